// SPDX-License-Identifier: Apache-2.0
//
// Trees on their way, entry by entry: from a directory, or from a tar, into a tar or into a directory. This is for `cp` and
// `export`, where the other side is a container that runs and may change everything meanwhile: a name is opened once,
// following nothing, and what was opened is what is read (CVE-2018-15664 was a second look at a path). Layers and
// whiteouts are LayerArchive's and LayerUnpacker's.

internal import CLinux
public import Kernel

/// What takes entries: an entry, then its body's bytes if it is a file.
public protocol EntrySink: AnyObject {
    func add(_ entry: TarEntry) throws(ArchiveError)
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError)
    func finish() throws(ArchiveError)
}

extension TarWriter: EntrySink {}

/// Hands a tar's entries on.
public func sendArchive(_ reader: TarReader, to sink: some EntrySink) throws(ArchiveError) {
    while let entry = try reader.next() {
        try sink.add(entry)
        if entry.kind == .file { try reader.body { (bytes) throws(ArchiveError) in try sink.write(bytes) } }
    }
    try sink.finish()
}

/// Hands a tree's entries on.
public final class TreeSource {
    private let sink: any EntrySink
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    private var links: [[UInt64]: [UInt8]] = [:]

    public init(_ sink: any EntrySink) { self.sink = sink }

    deinit { buffer.deallocate() }

    /// An entry of an open directory with all below it, called `path`.
    public func send(_ name: CName, at directory: Int32, as path: [UInt8]) throws(ArchiveError) {
        guard
            let status = try system({ () throws(SyscallError) in try Kernel.status(of: name, at: directory) })
        else {
            return
        }
        var entry = TarEntry(.file, path: path, mode: status.st_mode & 0o7777)
        entry.uid = status.st_uid
        entry.gid = status.st_gid
        entry.modified = Int64(status.st_mtim.tv_sec)
        if status.st_nlink > 1, !status.isDirectory {
            let inode = [UInt64(status.st_dev), UInt64(status.st_ino)]
            if let first = links[inode] {
                entry.kind = .hardlink
                entry.link = first
                return try sink.add(entry)
            }
            links[inode] = path
        }
        switch status.st_mode & 0o170000 {
        case 0o040000:
            let fd = try system { () throws(SyscallError) in
                try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
            }
            entry.kind = .directory
            entry.xattrs = try attributes(fd.raw)
            try sink.add(entry)
            try sendContents(of: fd.raw, as: path)
        case 0o100000:
            let (fd, opened) = try openBody(of: entry, name, at: directory)
            entry.size = Int64(opened.st_size)
            entry.xattrs = try attributes(fd.raw)
            try sink.add(entry)
            try sendBody(fd.raw, entry)
        case 0o120000:
            entry.kind = .symlink
            entry.link = try system { () throws(SyscallError) in try linkTarget(name, at: directory) }
            try sink.add(entry)
        case 0o010000:
            entry.kind = .fifo
            try sink.add(entry)
        case 0o020000, 0o060000:
            entry.kind = status.isCharacterDevice ? .characterDevice : .blockDevice
            entry.deviceMajor = linux_major(UInt64(status.st_rdev))
            entry.deviceMinor = linux_minor(UInt64(status.st_rdev))
            try sink.add(entry)
        default: break  // A socket without its process is nothing.
        }
    }

    /// What is in an open directory, below `path`.
    public func sendContents(of directory: Int32, as path: [UInt8]) throws(ArchiveError) {
        for name in try system({ () throws(SyscallError) in try entryNames(of: directory) }) {
            let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
            try send(name, at: directory, as: path.isEmpty ? bytes : path + [UInt8(ascii: "/")] + bytes)
        }
    }

    private func sendBody(_ fd: Int32, _ entry: TarEntry) throws(ArchiveError) {
        var left = Int(entry.size)
        while left > 0 {
            let count = try system { () throws(SyscallError) in
                try retrying("read", entry.pathText) { read(fd, buffer.baseAddress, min(buffer.count, left)) }
            }
            if count == 0 { throw .refused(path: entry.pathText, why: "shrank while it was read") }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            left -= count
        }
    }

    private func attributes(_ fd: Int32) throws(ArchiveError) -> [TarEntry.Attribute] {
        try system { () throws(SyscallError) in try extendedAttributes(of: fd) }
            .map { TarEntry.Attribute(name: String(cName: $0.name), value: $0.value) }
            .filter { $0.name.hasPrefix("user.") || $0.name == "security.capability" }
    }
}

/// A file that is to be archived, and what it is now; another kind of file by now is refused.
func openBody(of entry: TarEntry, _ name: CName, at directory: Int32) throws(ArchiveError) -> (SharedFD, stat)
{
    do throws(SyscallError) {
        let fd = SharedFD(try openRegularFile(name, at: directory))
        return (fd, try fileStatus(of: fd.raw))
    } catch {
        if error.errno.code == ESTALE {
            throw .refused(path: entry.pathText, why: "changed while it was read")
        }
        throw .system(error)
    }
}
