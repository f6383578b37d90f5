// SPDX-License-Identifier: Apache-2.0
//
// Unpacks a layer's tar into a directory. The directory must be empty and nobody else's while this runs.
//
// No escape: the directory an entry goes into is opened with openat2(RESOLVE_IN_ROOT), so links on the way resolve
// inside, however they are chained; the entry itself is made by its last name with calls that follow nothing and
// never open what exists. Names `..` are refused. Whiteouts (OCI image-spec, layer.md) become overlayfs's form.
//
// Fast: directories stay open while entries go into them, and no call is made whose effect is there already.

internal import CLinux
internal import Kernel

/// What unpacking saw that decides whether the directory may be shared by every chain of layers.
public struct UnpackNotes: Hashable, Sendable {
    /// Directories that had to be made because an entry lies in them, without an entry of their own;
    /// the top is the empty path.
    public var implied: [[UInt8]] = []
    /// Paths deleted by the layer.
    public var whiteouts: [[UInt8]] = []
    /// Sum of the files' sizes.
    public var bytes: Int64 = 0
    public var entries = 0
    public init() {}
}

/// Unpacks all entries and reads the stream to its end.
/// - directory: an open, empty directory; becomes the layer's top, mode 0755 unless the layer says otherwise.
/// - mostEntries: more are refused.
/// - isSynchronised: the caller waits for the disk at the end, so that the files had better be on their way.
public func unpackLayer(
    _ reader: TarReader, into directory: Int32, mostEntries: Int = .max, isSynchronised: Bool = false
) throws(ArchiveError) -> UnpackNotes {
    let unpacker = try LayerUnpacker(directory, isSynchronised: isSynchronised)
    var count = 0
    while let entry = try reader.next() {
        count += 1
        if count > mostEntries {
            throw .tooLarge("it has more than \(mostEntries) entries", "COVEY_LAYER_ENTRIES")
        }
        try unpacker.unpack(entry, from: reader)
    }
    return try unpacker.finish()
}

final class LayerUnpacker {
    private let root: Int32
    private let isSynchronised: Bool
    private let umask: UInt32
    private let owner: (uid: UInt32, gid: UInt32)
    /// Open directories by path. Emptied whenever something that exists is removed, as a path may then mean another.
    private var parents: [[UInt8]: SharedFD] = [:]
    private var implied: Set<[UInt8]> = []
    private var whiteouts: Set<[UInt8]> = []
    private var opaque: Set<[UInt8]> = []
    /// What directories get last: making entries in them changes their times.
    private var directories: [[UInt8]: TarEntry] = [:]
    private var notes = UnpackNotes()

    init(_ directory: Int32, isSynchronised: Bool) throws(ArchiveError) {
        root = directory
        self.isSynchronised = isSynchronised
        umask = try processUmask()
        owner = (geteuid(), getegid())
        // The parent's set-group-id bit was inherited, and with it every file's group would be (inode(7)).
        try system { () throws(SyscallError) in
            try retrying("fchown") { fchown(directory, owner.uid, owner.gid) }
            try retrying("fchmod") { fchmod(directory, 0o755) }
        }
    }

    func unpack(_ entry: TarEntry, from reader: TarReader) throws(ArchiveError) {
        notes.entries += 1
        guard let path = TarPath.normalised(entry.path) else {
            throw .refused(path: entry.pathText, why: "has `..` in its path")
        }
        if path.isEmpty {
            guard entry.kind == .directory else {
                throw .refused(path: entry.pathText, why: "is the top and no directory")
            }
            directories[[]] = entry
            return
        }
        let (parentPath, name) = TarPath.split(path)
        if name.starts(with: LayerUnpacker.whiteoutPrefix) {
            return try whiteout(entry, parentPath, name.dropFirst(4))
        }
        if entry.kind == .characterDevice, entry.deviceMajor == 0, entry.deviceMinor == 0 {
            return try whiteout(entry, parentPath, name)
        }
        let parent = try parent(parentPath, entry)
        // The cache may let go of it on the way; its number must stay ours until the entry is made.
        defer { withExtendedLifetime(parent) {} }
        let cName = TarPath.cString(name)
        do throws(SyscallError) {
            try make(entry, path, parent.raw, cName)
        } catch {
            guard error.errno == .exists else { throw fail(error, entry) }
            if entry.kind == .directory, try existingIsDirectory(parent.raw, cName) {
                implied.remove(path)
                directories[path] = entry
                return
            }
            try replace(path, parent.raw, cName, by: entry)
        }
        if entry.kind == .file { try fillFile(entry, reader) }
    }

    func finish() throws(ArchiveError) -> UnpackNotes {
        try dropHiddenWhiteouts()
        parents.removeAll()
        for (path, entry) in directories { try finishDirectory(path, entry) }
        if directories[[]] == nil { implied.insert([]) }
        notes.implied = implied.sorted { $0.lexicographicallyPrecedes($1) }
        notes.whiteouts = whiteouts.sorted { $0.lexicographicallyPrecedes($1) }
        return notes
    }

    // MARK: - entries

    /// The file being made, between `make` and `fillFile`.
    private var file: OwnedFD?

    private func make(_ entry: TarEntry, _ path: [UInt8], _ parent: Int32, _ name: [CChar])
        throws(SyscallError)
    {
        switch entry.kind {
        case .file:
            file = try openFile(
                name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: entry.mode & 0o777, at: parent)
        case .directory:
            try retrying("mkdirat", entry.pathText) { mkdirat(parent, name, entry.mode & 0o777) }
            directories[path] = entry
        case .symlink:
            let target = TarPath.cString(entry.link)
            try retrying("symlinkat", entry.pathText) { symlinkat(target, parent, name) }
            try finishNode(entry, parent, name)
        case .hardlink:
            try makeHardlink(entry, parent, name)
        case .characterDevice, .blockDevice, .fifo:
            let type: UInt32 =
                entry.kind == .fifo ? 0o010000 : entry.kind == .blockDevice ? 0o060000 : 0o020000
            let device = linux_makedev(entry.deviceMajor, entry.deviceMinor)
            try retrying("mknodat", entry.pathText) {
                linux_mknodat(parent, name, type | entry.mode & 0o777, device)
            }
            try finishNode(entry, parent, name)
        }
    }

    /// Something is there: of two entries with one path the later counts, as in tar(1).
    private func replace(_ path: [UInt8], _ parent: Int32, _ name: [CChar], by entry: TarEntry)
        throws(ArchiveError)
    {
        do throws(SyscallError) {
            try removeEntry(name, at: parent)
            parents.removeAll()
            // A directory that was deleted and made anew in one layer hides the one beneath.
            if whiteouts.remove(path) != nil, entry.kind == .directory { opaque.insert(path) }
            let below = path + [UInt8(ascii: "/")]
            for gone in directories.keys where gone == path || gone.starts(with: below) {
                directories[gone] = nil
            }
            implied = implied.filter { $0 != path && !$0.starts(with: below) }
            whiteouts = whiteouts.filter { !$0.starts(with: below) }
            // The parent's descriptor went with the cache; the path is walked again.
            let (parentPath, _) = TarPath.split(path)
            let parent = try openParent(parentPath)
            defer { withExtendedLifetime(parent) {} }
            try make(entry, path, parent.raw, name)
            if opaque.contains(path) { try markOpaque(parent.raw, name) }
        } catch {
            throw fail(error, entry)
        }
    }

    private func makeHardlink(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws(SyscallError) {
        guard let target = TarPath.normalised(entry.link), !target.isEmpty else {
            throw SyscallError("linkat", Errno(EXDEV), entry.pathText)
        }
        let (targetParent, targetName) = TarPath.split(target)
        let from = try openParent(targetParent)
        defer { withExtendedLifetime(from) {} }
        let old = TarPath.cString(targetName)
        // Without AT_SYMLINK_FOLLOW a link is linked itself, so the target is inside the layer.
        try retrying("linkat", entry.pathText) { linkat(from.raw, old, parent, name, 0) }
    }

    private func fillFile(_ entry: TarEntry, _ reader: TarReader) throws(ArchiveError) {
        guard let file = file.take() else { return }
        let fd = file.raw
        notes.bytes += entry.size
        var early = isSynchronised ? EarlyWriting(fd) : nil
        try reader.body { (bytes: UnsafeRawBufferPointer) throws(ArchiveError) in
            try writeBytes(fd, bytes, path: entry.pathText, size: entry.size)
            early?.wrote(bytes.count)
        }
        early?.finish()
        do throws(SyscallError) {
            try finishOpen(entry, fd, created: true)
        } catch {
            throw fail(error, entry)
        }
    }

    /// Owner, attributes, mode, time of an open file, in the order in which they do not undo each other:
    /// chown(2) clears set-id bits and capabilities.
    private func finishOpen(_ entry: TarEntry, _ fd: Int32, created: Bool) throws(SyscallError) {
        if !created || entry.uid != owner.uid || entry.gid != owner.gid {
            try retrying("fchown", entry.pathText) { fchown(fd, entry.uid, entry.gid) }
        }
        for attribute in entry.xattrs where keeps(attribute.name) {
            let result = fsetxattr(fd, attribute.name, attribute.value, attribute.value.count, 0)
            try check(result, attribute, entry)
        }
        if !created || entry.mode & 0o7000 != 0 || entry.mode & umask != 0 {
            try retrying("fchmod", entry.pathText) { fchmod(fd, entry.mode) }
        }
        var times = times(entry)
        try retrying("futimens", entry.pathText) { futimens(fd, &times) }
    }

    /// The same for what was just made by name and can't be opened.
    private func finishNode(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws(SyscallError) {
        if entry.uid != owner.uid || entry.gid != owner.gid {
            try retrying("fchownat", entry.pathText) {
                fchownat(parent, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW)
            }
        }
        for attribute in entry.xattrs where keeps(attribute.name) {
            let path = procPath(name, at: parent)
            try check(
                lsetxattr(path, attribute.name, attribute.value, attribute.value.count, 0), attribute, entry)
        }
        // fchmodat follows links; what was just made here is none.
        if entry.kind != .symlink, entry.mode & 0o7000 != 0 || entry.mode & umask != 0 {
            try retrying("fchmodat", entry.pathText) { fchmodat(parent, name, entry.mode, 0) }
        }
        var times = times(entry)
        try retrying("utimensat", entry.pathText) { utimensat(parent, name, &times, AT_SYMLINK_NOFOLLOW) }
    }

    private func finishDirectory(_ path: [UInt8], _ entry: TarEntry) throws(ArchiveError) {
        do throws(SyscallError) {
            let fd = try openInside(
                path.isEmpty ? [46] : path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                resolve: [.inRoot, .noMagicLinks])
            try finishOpen(entry, fd.raw, created: false)
        } catch {
            throw fail(error, entry)
        }
    }

    /// overlayfs's own attributes would be orders to the kernel; SELinux labels are the host's policy.
    private func keeps(_ attribute: String) -> Bool {
        !attribute.hasPrefix("trusted.overlay.") && !attribute.hasPrefix("user.overlay.")
            && attribute != "security.selinux"
    }

    private func check(_ result: Int32, _ attribute: TarEntry.Attribute, _ entry: TarEntry)
        throws(SyscallError)
    {
        if result == 0 { return }
        let errno = Errno(linux_errno())
        // A file system without such attributes loses decoration, but never a program's capabilities.
        if errno == .notSupported, attribute.name != "security.capability" { return }
        throw SyscallError("setxattr", errno, "\(entry.pathText) (\(attribute.name))")
    }

    private func times(_ entry: TarEntry) -> [timespec] {
        let time = timespec(tv_sec: Int(entry.modified), tv_nsec: entry.modifiedNanoseconds)
        return [time, time]
    }

    // MARK: - whiteouts

    private static let whiteoutPrefix = Array(".wh.".utf8)
    private static let metadataPrefix = Array(".wh.".utf8)
    private static let opaqueName = Array(".wh..opq".utf8)

    /// - name: what follows `.wh.`.
    private func whiteout(_ entry: TarEntry, _ parentPath: [UInt8], _ name: ArraySlice<UInt8>)
        throws(ArchiveError)
    {
        if name.starts(with: LayerUnpacker.metadataPrefix) {
            guard name.elementsEqual(LayerUnpacker.opaqueName) else { return }  // aufs's own records
            let parent = try parent(parentPath, entry)
            opaque.insert(parentPath)
            do throws(SyscallError) { try markOpaque(parent.raw, [46, 0]) } catch { throw fail(error, entry) }
            return
        }
        guard !name.isEmpty, !name.elementsEqual([46]), !name.elementsEqual([46, 46]) else {
            throw .refused(path: entry.pathText, why: "is a whiteout of nothing")
        }
        let parent = try parent(parentPath, entry)
        let cName = TarPath.cString(name)
        let path = parentPath.isEmpty ? Array(name) : parentPath + [UInt8(ascii: "/")] + name
        do throws(SyscallError) {
            try retrying("mknodat", entry.pathText) { linux_mknodat(parent.raw, cName, 0o020000, 0) }
            whiteouts.insert(path)
        } catch {
            guard error.errno == .exists else { throw fail(error, entry) }
            // A whiteout hides what is beneath the layer, never what the layer itself brings (layer.md, "Whiteouts").
            if try existingIsDirectory(parent.raw, cName) {
                opaque.insert(path)
                do throws(SyscallError) { try markOpaque(parent.raw, cName) } catch {
                    throw fail(error, entry)
                }
            }
        }
    }

    private func markOpaque(_ parent: Int32, _ name: [CChar]) throws(SyscallError) {
        let path = procPath(name, at: parent)
        try retrying("setxattr", "trusted.overlay.opaque") {
            lsetxattr(path, "trusted.overlay.opaque", "y", 1, 0)
        }
    }

    /// Below an opaque directory a whiteout has nothing to hide, and would show as a broken entry.
    private func dropHiddenWhiteouts() throws(ArchiveError) {
        guard !opaque.isEmpty else { return }
        for path in whiteouts where hasOpaqueAncestor(path) {
            let (parentPath, name) = TarPath.split(path)
            try system { () throws(SyscallError) in
                let parent = try openParent(parentPath)
                defer { withExtendedLifetime(parent) {} }
                try removeEntry(TarPath.cString(name), at: parent.raw)
            }
            whiteouts.remove(path)
        }
    }

    private func hasOpaqueAncestor(_ path: [UInt8]) -> Bool {
        var path = path
        while let slash = path.lastIndex(of: UInt8(ascii: "/")) {
            path = Array(path[..<slash])
            if opaque.contains(path) { return true }
        }
        return opaque.contains([])
    }

    // MARK: - directories on the way

    private func parent(_ path: [UInt8], _ entry: TarEntry) throws(ArchiveError) -> SharedFD {
        do throws(SyscallError) { return try openParent(path) } catch { throw fail(error, entry) }
    }

    private func openParent(_ path: [UInt8], depth: Int = 0) throws(SyscallError) -> SharedFD {
        if let known = parents[path] { return known }
        // A few hundred open directories serve any archive in tree order; the limit is often 1,024.
        if parents.count >= 200 { parents.removeAll(keepingCapacity: true) }
        do throws(SyscallError) {
            let fd = SharedFD(try openDirectory(path))
            parents[path] = fd
            return fd
        } catch {
            guard error.errno == .noEntry, !path.isEmpty else { throw error }
        }
        guard depth < 40 else { throw SyscallError("openat2", .loop, String(decoding: path, as: UTF8.self)) }
        let (above, name) = TarPath.split(path)
        let parent = try openParent(above, depth: depth + 1)
        defer { withExtendedLifetime(parent) {} }
        let cName = TarPath.cString(name)
        do throws(SyscallError) {
            try retrying("mkdirat", String(decoding: path, as: UTF8.self)) {
                mkdirat(parent.raw, cName, 0o755)
            }
            try retrying("fchmodat", String(decoding: path, as: UTF8.self)) {
                fchmodat(parent.raw, cName, 0o755, 0)
            }
            implied.insert(path)
        } catch {
            guard error.errno == .exists else { throw error }
            // A link whose target is not in this layer: its target is made, inside.
            try makeTarget(of: cName, at: parent.raw, above, depth)
        }
        let fd = SharedFD(try openDirectory(path))
        parents[path] = fd
        return fd
    }

    private func makeTarget(of name: [CChar], at parent: Int32, _ above: [UInt8], _ depth: Int)
        throws(SyscallError)
    {
        let target = try linkTarget(name, at: parent)
        var components = target.first == UInt8(ascii: "/") ? [] : above.split(separator: UInt8(ascii: "/"))
        for component in target.split(separator: UInt8(ascii: "/")) {
            if component.elementsEqual([46]) { continue }
            if component.elementsEqual([46, 46]) {
                _ = components.popLast()
            } else {
                components.append(component)
            }
        }
        _ = try openParent(Array(components.joined(separator: [UInt8(ascii: "/")])), depth: depth + 1)
    }

    private func openDirectory(_ path: [UInt8]) throws(SyscallError) -> OwnedFD {
        try openInside(
            path.isEmpty ? [46] : path, flags: O_PATH | O_DIRECTORY, resolve: [.inRoot, .noMagicLinks])
    }

    /// openat2(2) with a path of bytes.
    private func openInside(_ path: [UInt8], flags: Int32, resolve: Resolve) throws(SyscallError) -> OwnedFD {
        let name = TarPath.cString(path)
        return OwnedFD(
            taking: try retrying("openat2", String(decoding: path, as: UTF8.self)) {
                linux_openat2(
                    root, name, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), 0, resolve.rawValue)
            })
    }

    private func existingIsDirectory(_ parent: Int32, _ name: [CChar]) throws(ArchiveError) -> Bool {
        try system { () throws(SyscallError) in try status(of: name, at: parent)?.isDirectory ?? false }
    }

    private func fail(_ error: SyscallError, _ entry: TarEntry) -> ArchiveError {
        let code = error.errno
        if entry.kind == .hardlink,
            code == .noEntry || code.code == EXDEV || code == .loop || code == .notDirectory
                || code == .notPermitted
        {
            let target = String(decoding: entry.link, as: UTF8.self)
            return .refused(
                path: entry.pathText, why: "is a hard link to \"\(target)\", which is no file of this layer")
        }
        switch code {
        case .notDirectory:
            return .refused(path: entry.pathText, why: "lies below something that is no directory")
        case .loop: return .refused(path: entry.pathText, why: "lies below links that lead in a circle")
        case .nameTooLong: return .refused(path: entry.pathText, why: "has a name longer than Linux allows")
        default: return .writing(error, entry.pathText, entry.size)
        }
    }
}

/// The process's umask, read without changing it: setting it to look would race with other threads (umask(2)).
private func processUmask() throws(ArchiveError) -> UInt32 {
    let text = try system { () throws(SyscallError) in try readText("/proc/self/status") }
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) where line.starts(with: Array("Umask:".utf8)) {
        let digits = String(decoding: line.dropFirst(6), as: UTF8.self).filter { $0.isNumber }
        return UInt32(digits, radix: 8) ?? 0o777
    }
    return 0o777
}
