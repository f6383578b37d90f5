// SPDX-License-Identifier: Apache-2.0
//
// Copies a selection into a root file system as COPY does: a directory's contents go into the destination, a file
// into it or under its name; directories that exist are merged into; what else is in the way of a file is replaced.
// The destination's links are followed inside the root only (openat2, RESOLVE_IN_ROOT). Owners, modes, extended
// attributes, times and hard links come along; holes do not.
// Source: Dockerfile reference, "COPY"; tonistiigi/fsutil copy for what it leaves open.

internal import Basics
internal import CLinux
internal import Kernel

final class TreeWriter {
    /// The destination's root.
    private let root: Int32
    private let owner: Owner?
    private let mode: FileMode?
    /// The source's owners count for nothing.
    private let resetsOwners: Bool
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)

    private struct FileIdentity: Hashable {
        var device: UInt64
        var inode: UInt64

        init(_ status: stat) {
            (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
        }
    }
    /// Where the first name of a file with several was made: a directory and the path below it.
    private var links: [FileIdentity: (top: SharedFD, path: CName)] = [:]
    /// The sources in `links` by the file that was made of each.
    private var sources: [FileIdentity: FileIdentity] = [:]

    init(root: Int32, owner: Owner?, mode: FileMode?, resetsOwners: Bool) {
        self.root = root
        self.owner = owner
        self.mode = mode
        self.resetsOwners = resetsOwners
    }

    deinit { buffer.deallocate() }

    /// Copies all sources to an absolute path; `isDirectory` when it ended in a slash.
    func copy(_ selection: Selection, from source: SourceRoot?, to destination: String, isDirectory: Bool)
        throws(Failure)
    {
        for each in selection.sources {
            do throws(SyscallError) {
                let holder = try source?.openForReading(each)
                if each.node.status.isDirectory {
                    guard let holder else { continue }
                    try copyContents(of: each.node, holder, to: destination)
                } else {
                    let (parent, name) = try place(
                        each.node.name, at: destination,
                        isDirectory: isDirectory || selection.sources.count > 1)
                    try copy(each.node, opened: holder, in: nil, to: parent, name, top: parent, path: name)
                }
            } catch {
                var failure = Failure("cannot copy `\(each.path)` to `\(destination)`", error)
                if error.errno == .isDirectory || error.errno == .notDirectory {
                    failure.advice = "the image has a file where a directory is needed there, or the reverse"
                }
                throw failure
            }
        }
    }

    /// Makes a directory and its missing parents, 0755 and the owner's; one that exists stays as it is.
    @discardableResult
    func ensureDirectory(_ path: String, depth: Int = 0) throws(SyscallError) -> SharedFD {
        let path = path.isEmpty ? "/" : path
        do throws(SyscallError) {
            return SharedFD(try openat2(root, path, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot))
        } catch {
            guard error.errno == .noEntry, path != "/" else { throw error }
        }
        guard depth < 40 else { throw SyscallError("openat2", .loop, path) }
        let (above, name) = split(path)
        let parent = try ensureDirectory(above, depth: depth + 1)
        if try Kernel.status(of: name, at: parent.raw) != nil {
            // A link to nowhere: what it names is made.
            let target = String(decoding: try linkTarget(name, at: parent.raw), as: UTF8.self)
            return try ensureDirectory(
                target.hasPrefix("/") ? target : "\(above)/\(target)", depth: depth + 1)
        }
        return try makeDirectory(name, in: parent, mode: 0o755, owner ?? .root)
    }

    // MARK: Places

    /// The directory and name a file goes to.
    private func place(_ name: CName, at destination: String, isDirectory: Bool) throws(SyscallError) -> (
        SharedFD, CName
    ) {
        if isDirectory { return (try ensureDirectory(destination), name) }
        var path = destination
        for _ in 0..<40 {
            if let fd = try openedDirectory(path) { return (fd, name) }
            let (above, last) = split(path)
            let parent = try ensureDirectory(above)
            guard let status = try Kernel.status(of: last, at: parent.raw), status.isSymlink else {
                return (parent, last)
            }
            let target = String(decoding: try linkTarget(last, at: parent.raw), as: UTF8.self)
            path = target.hasPrefix("/") ? target : "\(above)/\(target)"
        }
        throw SyscallError("openat2", .loop, destination)
    }

    private func openedDirectory(_ path: String) throws(SyscallError) -> SharedFD? {
        do throws(SyscallError) {
            return SharedFD(try openat2(root, path, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot))
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return nil }
            throw error
        }
    }

    private func split(_ path: String) -> (String, CName) {
        var path = path[...]
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return ("/", String(path).cName) }
        return (
            slash == path.startIndex ? "/" : String(path[..<slash]),
            String(path[path.index(after: slash)...]).cName
        )
    }

    private func makeDirectory(_ name: CName, in parent: SharedFD, mode: UInt32, _ owner: Owner)
        throws(SyscallError)
        -> SharedFD
    {
        try retrying("mkdirat", String(cName: name)) { mkdirat(parent.raw, name, 0o700) }
        let fd = SharedFD(try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent.raw))
        try retrying("fchown", String(cName: name)) { fchown(fd.raw, owner.uid, owner.gid) }
        try retrying("fchmod", String(cName: name)) { fchmod(fd.raw, mode) }
        return fd
    }

    // MARK: Trees

    /// A source directory itself: its contents go into the destination, which is its likeness only when it is new.
    private func copyContents(of node: SourceNode, _ holder: SharedFD, to destination: String)
        throws(SyscallError)
    {
        if let existing = try openedDirectory(destination) {
            return try copyChildren(of: node, holder, to: existing, top: existing, path: [])
        }
        let made = try ensureDirectory(destination)
        try copyChildren(of: node, holder, to: made, top: made, path: [])
        try finishDirectory(node, holder, made)
    }

    private func copyChildren(
        of node: SourceNode, _ holder: SharedFD, to target: SharedFD, top: SharedFD, path: CName
    )
        throws(SyscallError)
    {
        for child in node.children {
            let childPath =
                path.isEmpty ? child.name : path.dropLast() + [CChar(UInt8(ascii: "/"))] + child.name
            try copy(child, opened: nil, in: holder, to: target, child.name, top: top, path: childPath)
        }
    }

    /// Copies one node under a name. `opened` is the node itself where it is the top of a source.
    private func copy(
        _ node: SourceNode, opened: SharedFD?, in holder: SharedFD?, to target: SharedFD, _ name: CName,
        top: SharedFD, path: CName
    ) throws(SyscallError) {
        let existing = try Kernel.status(of: name, at: target.raw)
        let text = String(cName: name)
        if node.status.isDirectory {
            guard let holder else { return }
            let source = SharedFD(
                try openFile(node.name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: holder.raw))
            let directory: SharedFD
            if existing == nil {
                directory = try makeDirectory(name, in: target, mode: 0o700, .root)
            } else {
                // A link in the image that stands where the source has a directory is not followed.
                directory = SharedFD(
                    try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target.raw))
            }
            try copyChildren(of: node, source, to: directory, top: top, path: path)
            if existing != nil, node.isImplied { return }
            return try finishDirectory(node, source, directory)
        }
        if let existing {
            if existing.isDirectory { throw SyscallError("openat", .isDirectory, text) }
            // What stands there next is another file: no later name of the first may become one of that.
            if let source = sources.removeValue(forKey: FileIdentity(existing)) { links[source] = nil }
            try retrying("unlinkat", text) { unlinkat(target.raw, name, 0) }
        }
        let identity = FileIdentity(node.status)
        let hasSeveral = node.content == nil && node.status.st_nlink > 1
        if hasSeveral, let first = links[identity],
            linkat(first.top.raw, first.path, target.raw, name, 0) == 0
        {
            return
        }
        if node.status.isRegular {
            try copyFile(node, opened, holder, to: target, name)
        } else {
            try copyNode(node, holder, to: target, name)
        }
        if hasSeveral, let made = try Kernel.status(of: name, at: target.raw) {
            links[identity] = (top, path)
            sources[FileIdentity(made)] = identity
        }
    }

    private func copyFile(
        _ node: SourceNode, _ opened: SharedFD?, _ holder: SharedFD?, to target: SharedFD, _ name: CName
    ) throws(SyscallError) {
        let text = String(cName: name)
        let output = try openFile(
            name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: target.raw)
        if let content = node.content {
            try writeAll(output.raw, content, path: text)
            return try finish(node, nil, output.raw, text)
        }
        let input: SharedFD
        if let opened {
            input = opened
        } else {
            input = SharedFD(try openRegularFile(node.name, at: holder?.raw ?? currentDirectory))
        }
        try copyBytes(input.raw, output.raw, text)
        try finish(node, input.raw, output.raw, text)
    }

    /// A link, device or fifo.
    private func copyNode(_ node: SourceNode, _ holder: SharedFD?, to target: SharedFD, _ name: CName)
        throws(SyscallError)
    {
        let text = String(cName: name)
        let raw = target.raw
        if node.status.isSymlink {
            let link = node.link.map { CChar(bitPattern: $0) } + [0]
            try retrying("symlinkat", text) { symlinkat(link, raw, name) }
        } else {
            try retrying("mknodat", text) {
                linux_mknodat(raw, name, node.status.st_mode, UInt64(node.status.st_rdev))
            }
        }
        let owner = owner(of: node)
        try retrying("fchownat", text) { fchownat(raw, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) }
        if let holder {
            let path = procPath(name, at: raw)
            for (attribute, value) in try extendedAttributes(of: node.name, at: holder.raw)
            where kept(attribute) {
                try check(lsetxattr(path, attribute, value, value.count, 0), attribute, text)
            }
        }
        if !node.status.isSymlink {
            let mode = mode(of: node)
            try retrying("fchmodat", text) { fchmodat(raw, name, mode, 0) }
        }
        let times = [node.status.st_mtim, node.status.st_mtim]
        try retrying("utimensat", text) { utimensat(raw, name, times, AT_SYMLINK_NOFOLLOW) }
    }

    private func finishDirectory(_ node: SourceNode, _ source: SharedFD, _ directory: SharedFD)
        throws(SyscallError)
    {
        try finish(node, source.raw, directory.raw, String(cName: node.name))
    }

    /// Owner, attributes, mode, times, in the order in which they do not undo each other (chown(2), NOTES).
    private func finish(_ node: SourceNode, _ source: Int32?, _ target: Int32, _ text: String)
        throws(SyscallError)
    {
        let owner = owner(of: node)
        try retrying("fchown", text) { fchown(target, owner.uid, owner.gid) }
        if let source {
            for (attribute, value) in try extendedAttributes(of: source) where kept(attribute) {
                try check(fsetxattr(target, attribute, value, value.count, 0), attribute, text)
            }
        }
        let mode = mode(of: node)
        try retrying("fchmod", text) { fchmod(target, mode) }
        if node.content == nil {
            let times = [node.status.st_mtim, node.status.st_mtim]
            try retrying("futimens", text) { futimens(target, times) }
        }
    }

    private func mode(of node: SourceNode) -> UInt32 {
        let own = node.status.st_mode & 0o7777
        return mode?.applied(to: own, isDirectory: node.status.isDirectory) ?? own
    }

    private func owner(of node: SourceNode) -> Owner {
        owner ?? (resetsOwners ? .root : Owner(uid: node.status.st_uid, gid: node.status.st_gid))
    }

    /// SELinux labels are the host's policy, not the file's.
    private func kept(_ attribute: CName) -> Bool { String(cName: attribute) != "security.selinux" }

    private func check(_ result: Int32, _ attribute: CName, _ text: String) throws(SyscallError) {
        if result == 0 { return }
        let errno = Errno(linux_errno())
        // A file system without such attributes loses decoration, but never a program's capabilities.
        if errno == .notSupported, String(cName: attribute) != "security.capability" { return }
        throw SyscallError("setxattr", errno, "\(text) (\(String(cName: attribute)))")
    }

    /// copy_file_range(2) where the two file systems can, else by hand.
    private func copyBytes(_ input: Int32, _ output: Int32, _ text: String) throws(SyscallError) {
        // The digest may have read the same descriptor to its end.
        try retrying("lseek", text) { lseek(input, 0, SEEK_SET) }
        while true {
            let count = linux_copy_file_range(input, nil, output, nil, 1 << 30)
            if count > 0 { continue }
            let errno = count == 0 ? nil : Errno(linux_errno())
            if errno == .interrupted { continue }
            if let errno, ![.crossDevice, .invalid, .notSupported, .noSystemCall].contains(errno) {
                throw SyscallError("copy_file_range", errno, text)
            }
            break
        }
        while true {
            let count = try retrying("read", text) { read(input, buffer.baseAddress, buffer.count) }
            if count == 0 { return }
            var done = 0
            while done < count {
                done += try retrying("write", text) {
                    write(output, buffer.baseAddress?.advanced(by: done), count - done)
                }
            }
        }
    }
}
