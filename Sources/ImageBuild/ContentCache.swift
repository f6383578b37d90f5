// SPDX-License-Identifier: Apache-2.0
//
// Digests of files' contents and attributes by what stat(2) says of them, so that an unchanged context is hashed
// once. A file is known by device, inode, size, mtime and ctime: whatever changes it moves its ctime, which nobody
// can set. One table per context under `buildcache/files`.
//
// The kernel's clock for ctime ticks every 1–10 ms (Linux before 6.13), so what changed just before it was hashed
// could change again in the same tick: such a file is not remembered.

internal import Archives
internal import Basics
internal import CLinux
internal import Kernel

final class ContentCache {
    /// 32 raw bytes without an allocation each.
    struct Content: Hashable {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

        func append(to bytes: inout [UInt8]) {
            withUnsafeBytes(of: words) { bytes.append(contentsOf: $0) }
        }
        static func == (a: Content, b: Content) -> Bool { a.words == b.words }
        func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }

    private struct File: Hashable {
        var device: UInt64
        var inode: UInt64
    }
    private struct Entry {
        var size: Int64
        var modified: Int64
        var changed: Int64
        var content: Content
    }

    private let path: String
    private var entries: [File: Entry] = [:]
    private var hasNews = false

    private static let magic = Array("covey-files-1\n\0\0".utf8)
    private static let recordSize = 72
    private static let raceWindow: Int64 = 20_000_000

    /// Reads the table of a context; a missing or foreign one is empty.
    init(for context: String, under cache: String) {
        path = "\(cache)/files/\(Digest(of: context.utf8).hex)"
        guard let bytes = try? readFile(path, limit: 1 << 30), bytes.starts(with: ContentCache.magic) else {
            return
        }
        let count = (bytes.count - ContentCache.magic.count) / ContentCache.recordSize
        entries.reserveCapacity(count)
        bytes.withUnsafeBytes { raw in
            for index in 0..<count {
                let start = ContentCache.magic.count + index * ContentCache.recordSize
                func word(_ at: Int) -> UInt64 {
                    raw.loadUnaligned(fromByteOffset: start + at * 8, as: UInt64.self)
                }
                entries[File(device: word(0), inode: word(1))] = Entry(
                    size: Int64(bitPattern: word(2)), modified: Int64(bitPattern: word(3)),
                    changed: Int64(bitPattern: word(4)),
                    content: Content(words: (word(5), word(6), word(7), word(8))))
            }
        }
    }

    func digest(of status: stat) -> Content? {
        guard let entry = entries[File(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))],
            entry.size == status.st_size, entry.modified == nanoseconds(status.st_mtim),
            entry.changed == nanoseconds(status.st_ctim)
        else { return nil }
        return entry.content
    }

    /// Remembers a content that was read after `status` was taken.
    func learn(_ content: Content, of status: stat) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let changed = nanoseconds(status.st_ctim)
        guard nanoseconds(now) - changed > ContentCache.raceWindow else { return }
        entries[File(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))] = Entry(
            size: Int64(status.st_size), modified: nanoseconds(status.st_mtim), changed: changed,
            content: content)
        hasNews = true
    }

    /// Writes the table if something was learnt; a failure costs time later and nothing else.
    func save() {
        guard hasNews else { return }
        // A table of files long gone starts again.
        if entries.count > 1 << 20 { entries.removeAll() }
        var bytes = ContentCache.magic
        bytes.reserveCapacity(bytes.count + entries.count * ContentCache.recordSize)
        func append(_ value: UInt64) { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }
        for (file, entry) in entries {
            append(file.device)
            append(file.inode)
            append(UInt64(bitPattern: entry.size))
            append(UInt64(bitPattern: entry.modified))
            append(UInt64(bitPattern: entry.changed))
            entry.content.append(to: &bytes)
        }
        do throws(SyscallError) {
            try ensureDirectory(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), mode: 0o700)
            try replaceFile(path, bytes, mode: 0o600)
            hasNews = false
        } catch {}
    }

    /// The digest of an open file's attributes and bytes.
    static func hash(_ fd: Int32, _ name: String) throws(SyscallError) -> Content {
        let hash = ContentHash()
        for (attribute, value) in try extendedAttributes(of: fd)
        where String(cName: attribute) != "security.selinux" {
            attribute.withUnsafeBytes { hash.update($0) }
            value.withUnsafeBytes { hash.update($0) }
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = try retrying("read", name) { read(fd, buffer.baseAddress, buffer.count) }
            if count == 0 { break }
            hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        let hex = Array(hash.finish().hex.utf8)
        var content = Content()
        func word(_ index: Int) -> UInt64 {
            UInt64(String(decoding: hex[index * 16..<index * 16 + 16], as: UTF8.self), radix: 16) ?? 0
        }
        content.words = (word(0), word(1), word(2), word(3))
        return content
    }

    private func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
