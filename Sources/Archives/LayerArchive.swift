// SPDX-License-Identifier: Apache-2.0
//
// An overlay upper directory as a layer's tar, the other way round than LayerUnpacker: char devices 0:0 become
// `.wh.` entries, opaque directories get `.wh..wh..opq`. Entries are sorted bytewise and times cut to seconds, so
// that equal trees give equal archives.

internal import CLinux
internal import Kernel

/// Writes everything below the open directory; with `cleaning`, overlayfs's own attributes that a lower layer must
/// not carry (origin, impure, …) are removed on the way.
/// Equal to what unpacking the archive notes: the paths deleted, and that the top has no entry of its own when it is
/// an ordinary one (0755, root's).
/// - Throws: `.refused` for what can't be a layer: sockets are left out, redirected or metadata-only copies refused.
@discardableResult
public func archiveLayer(_ directory: Int32, into writer: TarWriter, cleaning: Bool = false)
    throws(ArchiveError)
    -> UnpackNotes
{
    let archive = LayerArchive(writer, cleaning)
    try archive.addTop(directory)
    try archive.addContents(of: directory, [])
    try writer.finish()
    return archive.notes
}

private final class LayerArchive {
    private(set) var notes = UnpackNotes()
    private let writer: TarWriter
    private let cleaning: Bool
    /// First path of each inode with several names.
    private var links: [Inode: [UInt8]] = [:]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)

    struct Inode: Hashable {
        var device: UInt
        var number: UInt
    }

    init(_ writer: TarWriter, _ cleaning: Bool) {
        self.writer = writer
        self.cleaning = cleaning
    }

    deinit { buffer.deallocate() }

    /// The top is an entry only when it is not what unpacking makes of it anyway.
    func addTop(_ directory: Int32) throws(ArchiveError) {
        let status = try system { () throws(SyscallError) in try fileStatus(of: directory) }
        let attributes = try attributes(
            system { () throws(SyscallError) in try extendedAttributes(of: directory) })
        try clean(procPath([46, 0], at: directory), [46])
        if status.st_mode & 0o7777 == 0o755, status.st_uid == 0, status.st_gid == 0, attributes.isEmpty {
            notes.implied.append([])
        } else {
            var entry = entry(.directory, [46], status)
            entry.xattrs = attributes
            try writer.add(entry)
        }
        if isOpaque(directory) { try writer.add(TarEntry(.file, ".wh..wh..opq", mode: 0)) }
    }

    func addContents(of directory: Int32, _ path: [UInt8]) throws(ArchiveError) {
        let names = try system { () throws(SyscallError) in try entryNames(of: directory) }
        for name in names {
            guard let status = try system({ () throws(SyscallError) in try status(of: name, at: directory) })
            else {
                continue
            }
            let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
            let below = path.isEmpty ? bytes : path + [UInt8(ascii: "/")] + bytes
            if status.isWhiteout {
                notes.whiteouts.append(below)
                let whiteout = Array(".wh.".utf8) + bytes
                try writer.add(
                    TarEntry(
                        .file, path: path.isEmpty ? whiteout : path + [UInt8(ascii: "/")] + whiteout, mode: 0)
                )
            } else if status.isDirectory {
                try addDirectory(name, at: directory, status, below)
            } else {
                try addEntry(name, at: directory, status, below)
            }
        }
    }

    private func addDirectory(_ name: CName, at parent: Int32, _ status: stat, _ path: [UInt8])
        throws(ArchiveError)
    {
        let fd = try system { () throws(SyscallError) in
            try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent)
        }
        var entry = entry(.directory, path, status)
        entry.xattrs = try attributes(
            system { () throws(SyscallError) in try extendedAttributes(of: fd.raw) })
        try clean(procPath(name, at: parent), path)
        try writer.add(entry)
        if isOpaque(fd.raw) {
            try writer.add(TarEntry(.file, path: path + Array("/.wh..wh..opq".utf8), mode: 0))
        }
        try addContents(of: fd.raw, path)
    }

    private func addEntry(_ name: CName, at parent: Int32, _ status: stat, _ path: [UInt8])
        throws(ArchiveError)
    {
        try clean(procPath(name, at: parent), path)
        if status.st_nlink > 1 {
            let inode = Inode(device: UInt(status.st_dev), number: UInt(status.st_ino))
            if let first = links[inode] {
                var entry = entry(.hardlink, path, status)
                entry.link = first
                return try writer.add(entry)
            }
            links[inode] = path
        }
        switch status.st_mode & 0o170000 {
        case 0o100000: try addFile(name, at: parent, status, path)
        case 0o120000:
            var entry = entry(.symlink, path, status)
            entry.link = try system { () throws(SyscallError) in try linkTarget(name, at: parent) }
            try add(entry, name, parent)
        case 0o010000: try add(entry(.fifo, path, status), name, parent)
        case 0o020000, 0o060000:
            let kind: TarEntry.Kind = status.isCharacterDevice ? .characterDevice : .blockDevice
            var entry = entry(kind, path, status)
            entry.deviceMajor = linux_major(UInt64(status.st_rdev))
            entry.deviceMinor = linux_minor(UInt64(status.st_rdev))
            try add(entry, name, parent)
        default: break  // A socket without its process is nothing; tar(1) leaves it out as well.
        }
    }

    private func add(_ entry: TarEntry, _ name: CName, _ parent: Int32) throws(ArchiveError) {
        var entry = entry
        entry.xattrs = try attributes(
            system { () throws(SyscallError) in try extendedAttributes(of: name, at: parent) })
        try writer.add(entry)
    }

    private func addFile(_ name: CName, at parent: Int32, _ status: stat, _ path: [UInt8])
        throws(ArchiveError)
    {
        var entry = entry(.file, path, status)
        let (fd, opened) = try openBody(of: entry, name, at: parent)
        entry.size = Int64(opened.st_size)
        entry.xattrs = try attributes(
            system { () throws(SyscallError) in try extendedAttributes(of: fd.raw) })
        try writer.add(entry)
        var left = Int(opened.st_size)
        while left > 0 {
            let count = try system { () throws(SyscallError) in
                try retrying("read", entry.pathText) {
                    read(fd.raw, buffer.baseAddress, min(buffer.count, left))
                }
            }
            if count == 0 { throw .refused(path: entry.pathText, why: "shrank while it was read") }
            try writer.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            left -= count
        }
    }

    private func entry(_ kind: TarEntry.Kind, _ path: [UInt8], _ status: stat) -> TarEntry {
        var entry = TarEntry(kind, path: path, mode: status.st_mode & 0o7777)
        entry.uid = status.st_uid
        entry.gid = status.st_gid
        entry.modified = Int64(status.st_mtim.tv_sec)
        notes.entries += 1
        if status.isRegular { notes.bytes += Int64(status.st_size) }
        return entry
    }

    private func attributes(_ list: [(name: CName, value: [UInt8])]) throws(ArchiveError) -> [TarEntry
        .Attribute]
    {
        list.map { TarEntry.Attribute(name: String(cName: $0.name), value: $0.value) }
            .filter { $0.name != "security.selinux" }
    }

    private static let orders = ["trusted.overlay.redirect", "trusted.overlay.metacopy"]
    private static let traces = ["origin", "impure", "nlink", "upper", "uuid", "protattr"].map {
        "trusted.overlay.\($0)"
    }

    /// A redirect names a place in the lower layers, a metadata-only copy has its bytes there: neither can move.
    private func clean(_ file: CName, _ path: [UInt8]) throws(ArchiveError) {
        guard llistxattr(file, nil, 0) > 0 else { return }
        for order in LayerArchive.orders where lgetxattr(file, order, nil, 0) >= 0 {
            throw .refused(
                path: String(decoding: path, as: UTF8.self),
                why: "carries \(order): mount the overlay with redirect_dir=off,metacopy=off")
        }
        guard cleaning else { return }
        for trace in LayerArchive.traces { _ = lremovexattr(file, trace) }
    }
}
