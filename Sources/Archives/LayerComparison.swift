// SPDX-License-Identifier: Apache-2.0
//
// An unpacked layer held against its tar, entry by entry: whether the tree is still what unpacking made of it. It only
// reads. A layer that says one path twice may look different although it is not; whoever asks unpacks it again then,
// which is right in any case. Whiteouts are not looked at here: what is left of them is in the notes of unpacking.

internal import CLinux
internal import Kernel

/// Reads all entries; gives the first path whose file, link or directory is not what the entry says.
public func firstDifference(between reader: TarReader, and directory: Int32) throws(ArchiveError) -> String? {
    let comparison = LayerComparison(directory)
    var different: String?
    while let entry = try reader.next() {
        if different == nil, !(try comparison.matches(entry, reader)) { different = entry.pathText }
    }
    return different
}

private final class LayerComparison {
    private let root: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)

    init(_ root: Int32) { self.root = root }

    deinit { buffer.deallocate() }

    func matches(_ entry: TarEntry, _ reader: TarReader) throws(ArchiveError) -> Bool {
        guard let path = TarPath.normalised(entry.path) else { return false }
        let name = TarPath.split(path).name
        if path.isEmpty || name.starts(with: Array(".wh.".utf8)) { return true }
        guard let fd = open(path) else { return false }
        defer { withExtendedLifetime(fd) {} }
        guard let status = try? fileStatus(of: fd.raw) else { return false }
        if entry.kind == .hardlink { return isSame(status, as: entry.link) }
        let isNullDevice =
            entry.kind == .characterDevice && entry.deviceMajor == 0 && entry.deviceMinor == 0
        if isNullDevice { return status.isWhiteout }
        guard status.st_mode & 0o170000 == type(entry.kind), status.st_uid == entry.uid,
            status.st_gid == entry.gid, Int64(status.st_mtim.tv_sec) == entry.modified,
            entry.kind == .symlink || status.st_mode & 0o7777 == entry.mode
        else { return false }
        switch entry.kind {
        case .file:
            guard Int64(status.st_size) == entry.size else { return false }
            return try hasBody(of: fd.raw, reader)
        case .symlink: return (try? linkTarget([0], at: fd.raw)) == entry.link
        case .characterDevice, .blockDevice:
            return status.st_rdev == linux_makedev(entry.deviceMajor, entry.deviceMinor)
        case .directory, .fifo, .hardlink: return true
        }
    }

    /// What a path names, neither followed nor opened: it may be a device. nil when there is nothing.
    private func open(_ path: [UInt8]) -> SharedFD? {
        let name = TarPath.cString(path)
        let resolve: Resolve = [.inRoot, .noMagicLinks]
        let flags = UInt64(UInt32(bitPattern: O_PATH | O_NOFOLLOW | O_CLOEXEC))
        let raw = linux_openat2(root, name, flags, 0, resolve.rawValue)
        return raw < 0 ? nil : SharedFD(OwnedFD(taking: raw))
    }

    private func isSame(_ status: stat, as link: [UInt8]) -> Bool {
        guard let target = TarPath.normalised(link), let fd = open(target),
            let other = try? fileStatus(of: fd.raw)
        else { return false }
        return other.st_dev == status.st_dev && other.st_ino == status.st_ino
    }

    private func type(_ kind: TarEntry.Kind) -> UInt32 {
        switch kind {
        case .file, .hardlink: 0o100000
        case .directory: 0o040000
        case .symlink: 0o120000
        case .characterDevice: 0o020000
        case .blockDevice: 0o060000
        case .fifo: 0o010000
        }
    }

    /// Whether the regular file behind an O_PATH descriptor holds the entry's body.
    private func hasBody(of place: Int32, _ reader: TarReader) throws(ArchiveError) -> Bool {
        // What can't be read is not what was written: a bad sector ends here as well.
        guard let file = try? openFile("/proc/self/fd/\(place)") else { return false }
        let fd = file.raw
        guard let found = buffer.baseAddress else { return false }
        var same = true
        try reader.body { (bytes: UnsafeRawBufferPointer) throws(ArchiveError) in
            var rest = bytes
            while same, !rest.isEmpty {
                let count = read(fd, found, min(buffer.count, rest.count))
                if count < 0, linux_errno() == EINTR { continue }
                guard count > 0, let start = rest.baseAddress, memcmp(found, start, count) == 0
                else {
                    same = false
                    return
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
        return same
    }
}
