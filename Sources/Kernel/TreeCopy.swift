// SPDX-License-Identifier: Apache-2.0
//
// Copies what a file is, not only its bytes: owner, mode, times, extended attributes. And removes trees by the names
// they really have.

public import CLinux

/// The extended attributes of an open file; overlayfs's own (`trusted.overlay.*`) are left out.
public func extendedAttributes(of fd: Int32) throws(SyscallError) -> [(name: CName, value: [UInt8])] {
    try attributes(list: { flistxattr(fd, $0, $1) }, get: { fgetxattr(fd, $0, $1, $2) })
}

/// The extended attributes of an entry that can't be opened (link, device): by its directory, not following it.
public func extendedAttributes(of name: CName, at directory: Int32) throws(SyscallError)
    -> [(name: CName, value: [UInt8])]
{
    let path = procPath(name, at: directory)
    return try attributes(list: { llistxattr(path, $0, $1) }, get: { lgetxattr(path, $0, $1, $2) })
}

/// A path for the calls that take no descriptor of a directory (xattr(7) has no `at` family before Linux 6.13).
public func procPath(_ name: CName, at directory: Int32) -> CName {
    "/proc/self/fd/\(directory)/".utf8.map { CChar(bitPattern: $0) } + name
}

private func attributes(
    list: (UnsafeMutablePointer<CChar>?, Int) -> Int,
    get: (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
) throws(SyscallError) -> [(name: CName, value: [UInt8])] {
    // 64 KiB is the most names a file may have (xattr(7), XATTR_LIST_MAX).
    let size = list(nil, 0)
    if size == 0 { return [] }
    if size < 0 {
        let errno = Errno(linux_errno())
        if errno == .notSupported { return [] }
        throw SyscallError("listxattr", errno)
    }
    var names = [CChar](repeating: 0, count: size)
    let length = list(&names, size)
    if length < 0 { throw SyscallError("listxattr", Errno(linux_errno())) }
    var result: [(name: CName, value: [UInt8])] = []
    for part in names[..<length].split(separator: 0) {
        let name = Array(part) + [0]
        if String(cName: name).hasPrefix("trusted.overlay.") { continue }
        let room = get(name, nil, 0)
        if room < 0 { continue }
        var value = [UInt8](repeating: 0, count: room)
        let count = get(name, &value, room)
        if count < 0 { throw SyscallError("getxattr", Errno(linux_errno()), String(cName: name)) }
        result.append((name, Array(value[..<count])))
    }
    return result
}

/// Gives an open file the owner, extended attributes, mode and, with `times`, the times of another one.
public func copyMetadata(from source: Int32, _ status: stat, to target: Int32, times: Bool = true)
    throws(SyscallError)
{
    // chown(2) clears set-id bits and file capabilities: owner first, then attributes, mode last.
    try retrying("fchown") { fchown(target, status.st_uid, status.st_gid) }
    for (name, value) in try extendedAttributes(of: source) {
        try retrying("fsetxattr", String(cName: name)) { fsetxattr(target, name, value, value.count, 0) }
    }
    try retrying("fchmod") { fchmod(target, status.st_mode & 0o7777) }
    if times {
        let both = [status.st_atim, status.st_mtim]
        try retrying("futimens") { futimens(target, both) }
    }
}

/// Copies one entry that is no directory: file, link, device, fifo, with all it is. The target must not exist.
/// - Parameter wentOn: called now and then while a file's bytes are copied.
public func copyEntry(
    _ name: CName, from source: Int32, _ status: stat, to target: Int32, _ wentOn: () -> Void = {}
) throws(SyscallError) {
    if status.isRegular {
        let input = try openFile(name, flags: O_RDONLY | O_NOFOLLOW, at: source)
        let output = try openFile(
            name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: target)
        try copyContent(input.raw, output.raw, String(cName: name), wentOn)
        return try copyMetadata(from: input.raw, status, to: output.raw)
    }
    if status.isSymlink {
        let link = try linkTarget(name, at: source).map { CChar(bitPattern: $0) } + [0]
        try retrying("symlinkat", String(cName: name)) { symlinkat(link, target, name) }
    } else {
        try retrying("mknodat", String(cName: name)) {
            linux_mknodat(target, name, status.st_mode, UInt64(status.st_rdev))
        }
    }
    try retrying("fchownat", String(cName: name)) {
        fchownat(target, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW)
    }
    for (attribute, value) in try extendedAttributes(of: name, at: source) {
        let path = procPath(name, at: target)
        try retrying("lsetxattr", String(cName: name)) { lsetxattr(path, attribute, value, value.count, 0) }
    }
    // mknod(2) applied the umask; a link has no mode, and anything else here is not a link.
    if !status.isSymlink {
        try retrying("fchmodat", String(cName: name)) { fchmodat(target, name, status.st_mode & 0o7777, 0) }
    }
    let both = [status.st_atim, status.st_mtim]
    try retrying("utimensat", String(cName: name)) { utimensat(target, name, both, AT_SYMLINK_NOFOLLOW) }
}

/// The bytes, by copy_file_range(2) where the file systems can (a reflink where they share blocks), else by hand.
/// - Parameter wentOn: called after each part.
public func copyContent(_ input: Int32, _ output: Int32, _ name: String, _ wentOn: () -> Void = {})
    throws(SyscallError)
{
    // Small enough that a slow file system is heard of.
    let part = 4 << 20
    while true {
        do throws(SyscallError) {
            let count = try retrying("copy_file_range", name) {
                linux_copy_file_range(input, nil, output, nil, part)
            }
            if count == 0 { break }
            wentOn()
        } catch {
            // EXDEV, EINVAL, EOPNOTSUPP: not between these two (copy_file_range(2), ERRORS).
            guard error.errno == .crossDevice || error.errno == .invalid || error.errno == .notSupported
            else {
                throw error
            }
            break
        }
    }
    // Some file systems answer 0 for what they do not support: what is left is read.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { buffer.deallocate() }
    while true {
        let count = try retrying("read", name) { read(input, buffer.baseAddress, buffer.count) }
        if count == 0 { return }
        var done = 0
        while done < count {
            done += try retrying("write", name) {
                write(output, buffer.baseAddress?.advanced(by: done), count - done)
            }
        }
        wentOn()
    }
}

/// Removes an entry and all below it, whatever bytes its name is of; follows no link, leaves other file systems alone.
/// - Parameter wentOn: called for each thing below it.
public func removeEntry(_ name: CName, at directory: Int32, _ wentOn: () -> Void = {}) throws(SyscallError) {
    if unlinkat(directory, name, 0) == 0 { return }
    let errno = Errno(linux_errno())
    if errno == .noEntry { return }
    // EISDIR (Linux) or EPERM (POSIX) says it is a directory: unlink(2).
    guard errno == .isDirectory || errno == .notPermitted else {
        throw SyscallError("unlinkat", errno, String(cName: name))
    }
    let fd = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
    guard try fileStatus(of: fd.raw).st_dev == fileStatus(of: directory).st_dev else {
        throw SyscallError("unlinkat", .crossDevice, String(cName: name))
    }
    for child in try entryNames(of: fd.raw) {
        try removeEntry(child, at: fd.raw, wentOn)
        wentOn()
    }
    try retrying("rmdir", String(cName: name)) { unlinkat(directory, name, AT_REMOVEDIR) }
}

/// Moves an entry to another directory of the same mount, unless something of its name is there.
/// - Returns: false when there is.
public func moveUnlessThere(_ name: CName, from source: Int32, to target: Int32) throws(SyscallError) -> Bool
{
    do throws(SyscallError) {
        try retrying("renameat2", String(cName: name)) {
            linux_renameat2(source, name, target, name, 1)  // RENAME_NOREPLACE
        }
        return true
    } catch {
        if error.errno == .exists { return false }
        // A file system that can't (rename(2), "RENAME_NOREPLACE"; NFS).
        guard error.errno == .invalid else { throw error }
    }
    if try status(of: name, at: target) != nil { return false }
    try retrying("renameat", String(cName: name)) { renameat(source, name, target, name) }
    return true
}
