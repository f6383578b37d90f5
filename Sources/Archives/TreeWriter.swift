// SPDX-License-Identifier: Apache-2.0
//
// Entries into a directory that others use. Every path is walked with openat2(RESOLVE_IN_ROOT) from one open directory, so
// that no link, whoever makes it and when, leads out; the entry itself is made by its last name with calls that follow
// nothing. What is there is replaced, a directory by nothing but a directory, a device by nothing at all.

internal import CLinux
internal import Kernel

public final class TreeWriter: EntrySink {
    private let root: Int32
    private let owner: (uid: UInt32, gid: UInt32)?
    private var file: SharedFD?
    private var entry: TarEntry?

    /// - root: an open directory that outlives the writer.
    /// - owner: of all that is made; nil keeps the entries' own.
    public init(_ root: Int32, owner: (uid: UInt32, gid: UInt32)? = nil) {
        self.root = root
        self.owner = owner
    }

    public func add(_ entry: TarEntry) throws(ArchiveError) {
        try finishFile()
        guard let path = TarPath.normalised(entry.path) else {
            throw .refused(path: entry.pathText, why: "has `..` in its path")
        }
        if path.isEmpty { return }
        let (parentPath, name) = TarPath.split(path)
        let cName = TarPath.cString(name)
        var isInUse = false
        do throws(SyscallError) {
            let parent = try directory(parentPath)
            isInUse = try status(of: cName, at: parent.raw)?.isDevice == true
            if !isInUse { try make(entry, parent.raw, cName) }
            withExtendedLifetime(parent) {}
        } catch {
            throw .writing(error, entry.pathText, entry.size)
        }
        // A file in the place of /dev/null would keep what everybody throws away.
        if isInUse { throw .refused(path: entry.pathText, why: "would take the place of a device") }
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard let file, let entry else { return }
        try writeBytes(file.raw, bytes, path: entry.pathText, size: entry.size)
    }

    public func finish() throws(ArchiveError) { try finishFile() }

    private func directory(_ path: [UInt8]) throws(SyscallError) -> OwnedFD {
        let resolve: Resolve = [.inRoot, .noMagicLinks]
        let text = path.isEmpty ? "." : String(decoding: path, as: UTF8.self)
        do throws(SyscallError) {
            return try openat2(root, text, flags: O_RDONLY | O_DIRECTORY, resolve: resolve)
        } catch {
            guard error.errno == .noEntry, !path.isEmpty else { throw error }
        }
        // Archives may leave out directories that lie on the way.
        let (above, name) = TarPath.split(path)
        let parent = try directory(above)
        let cName = TarPath.cString(name)
        do throws(SyscallError) {
            try retrying("mkdirat", text) { mkdirat(parent.raw, cName, 0o755) }
        } catch {
            if error.errno != .exists { throw error }
        }
        return try openat2(root, text, flags: O_RDONLY | O_DIRECTORY, resolve: resolve)
    }

    private func make(_ entry: TarEntry, _ parent: Int32, _ name: CName) throws(SyscallError) {
        let path = entry.pathText
        if entry.kind == .directory {
            do throws(SyscallError) {
                try retrying("mkdirat", path) { mkdirat(parent, name, 0o700) }
            } catch {
                // One that is there keeps its owner and mode, as with `docker cp`.
                guard error.errno == .exists else { throw error }
                _ = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent)
                return
            }
            let fd = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent)
            return try finish(entry, fd.raw)
        }
        if unlinkat(parent, name, 0) != 0, linux_errno() != ENOENT {
            throw SyscallError("unlinkat", Errno(linux_errno()), path)
        }
        switch entry.kind {
        case .directory: break
        case .file:
            file = SharedFD(
                try openFile(name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: parent))
            self.entry = entry
        case .symlink:
            let target = TarPath.cString(entry.link[...])
            try retrying("symlinkat", path) { symlinkat(target, parent, name) }
            try own(entry, parent, name)
        case .hardlink:
            guard let target = TarPath.normalised(entry.link), !target.isEmpty else {
                throw SyscallError("linkat", Errno(EINVAL), path)
            }
            let (above, last) = TarPath.split(target)
            let from = try directory(above)
            let lastName = TarPath.cString(last)
            // Without AT_SYMLINK_FOLLOW the link itself gets the name.
            try retrying("linkat", path) { linkat(from.raw, lastName, parent, name, 0) }
        case .fifo:
            try retrying("mknodat", path) { mknodat(parent, name, 0o010000 | (entry.mode & 0o777), 0) }
            try own(entry, parent, name)
        case .characterDevice, .blockDevice:
            let kind: UInt32 = entry.kind == .characterDevice ? 0o020000 : 0o060000
            let device = linux_makedev(entry.deviceMajor, entry.deviceMinor)
            try retrying("mknodat", path) { mknodat(parent, name, kind | (entry.mode & 0o777), UInt(device)) }
            try own(entry, parent, name)
        }
    }

    private func own(_ entry: TarEntry, _ parent: Int32, _ name: CName) throws(SyscallError) {
        let (uid, gid) = owner ?? (entry.uid, entry.gid)
        try retrying("fchownat", entry.pathText) { fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) }
    }

    private func finishFile() throws(ArchiveError) {
        guard let file, let entry else { return }
        self.file = nil
        self.entry = nil
        try system { () throws(SyscallError) in try finish(entry, file.raw) }
    }

    /// Owner first: chown(2) clears set-id bits.
    private func finish(_ entry: TarEntry, _ fd: Int32) throws(SyscallError) {
        let (uid, gid) = owner ?? (entry.uid, entry.gid)
        try retrying("fchown", entry.pathText) { fchown(fd, uid, gid) }
        try retrying("fchmod", entry.pathText) { fchmod(fd, entry.mode & 0o7777) }
        for attribute in entry.xattrs where attribute.name.hasPrefix("user.") {
            // A file system without them is no reason to fail.
            _ = attribute.value.withUnsafeBytes { fsetxattr(fd, attribute.name, $0.baseAddress, $0.count, 0) }
        }
        if entry.kind == .file {
            let times = [
                timespec(tv_sec: 0, tv_nsec: 0x3fff_fffe), timespec(tv_sec: Int(entry.modified), tv_nsec: 0),
            ]
            try retrying("futimens", entry.pathText) { futimens(fd, times) }
        }
    }
}
