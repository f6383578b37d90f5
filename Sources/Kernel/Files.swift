// SPDX-License-Identifier: Apache-2.0
//
// Files and directories. Every call that takes a path takes the directory it is walked from; `.currentDirectory`
// is for absolute paths the user named.

public import CLinux

/// The raw descriptor meaning "the working directory", for absolute paths.
public let currentDirectory: Int32 = AT_FDCWD

/// What openat2(2) may follow on the way.
public struct Resolve: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let noCrossDevice = Resolve(rawValue: 0x01)
    public static let noMagicLinks = Resolve(rawValue: 0x02)
    public static let noSymlinks = Resolve(rawValue: 0x04)
    /// No step may leave the starting directory.
    public static let beneath = Resolve(rawValue: 0x08)
    /// The starting directory is `/`: absolute links and `..` stay inside. For every path in a root file system.
    public static let inRoot = Resolve(rawValue: 0x10)
}

/// openat(2); always close-on-exec.
public func openFile(
    _ path: String, flags: Int32 = O_RDONLY, mode: UInt32 = 0o644, at directory: Int32 = currentDirectory
) throws(SyscallError) -> OwnedFD {
    OwnedFD(taking: try retrying("openat", path) { linux_openat(directory, path, flags | O_CLOEXEC, mode) })
}

/// openat2(2), Linux 5.6; always close-on-exec. EAGAIN (a rename raced with `..`) is tried again.
public func openat2(
    _ directory: Int32, _ path: String, flags: Int32, mode: UInt32 = 0, resolve: Resolve
) throws(SyscallError) -> OwnedFD {
    var tries = 0
    while true {
        do throws(SyscallError) {
            return OwnedFD(
                taking: try retrying("openat2", path) {
                    linux_openat2(
                        directory, path, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), UInt64(mode),
                        resolve.rawValue)
                })
        } catch {
            tries += 1
            if error.errno != .again || tries > 100 { throw error }
        }
    }
}

/// mkdirat(2); the mode is subject to the umask.
public func makeDirectory(_ path: String, mode: UInt32 = 0o755, at directory: Int32 = currentDirectory)
    throws(SyscallError)
{
    try retrying("mkdirat", path) { mkdirat(directory, path, mode) }
}

/// Makes the directory and its parents where they are missing.
public func ensureDirectory(_ path: String, mode: UInt32 = 0o755, at directory: Int32 = currentDirectory)
    throws(SyscallError)
{
    do throws(SyscallError) {
        try makeDirectory(path, mode: mode, at: directory)
    } catch {
        if error.errno == .exists { return }
        guard error.errno == .noEntry, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw error
        }
        try ensureDirectory(String(path[..<slash]), mode: mode, at: directory)
        do throws(SyscallError) {
            try makeDirectory(path, mode: mode, at: directory)
        } catch {
            if error.errno != .exists { throw error }
        }
    }
}

/// unlinkat(2); a missing file is fine.
public func removeFile(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError) {
    do throws(SyscallError) {
        try retrying("unlinkat", path) { unlinkat(directory, path, 0) }
    } catch {
        if error.errno != .noEntry { throw error }
    }
}

/// rmdir; a missing directory is fine.
public func removeDirectory(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError) {
    do throws(SyscallError) {
        try retrying("rmdir", path) { unlinkat(directory, path, AT_REMOVEDIR) }
    } catch {
        if error.errno != .noEntry { throw error }
    }
}

/// fstatat(2) without following a last link.
public func fileStatus(_ path: String, at directory: Int32 = currentDirectory, follow: Bool = false)
    throws(SyscallError) -> stat
{
    var result = stat()
    try retrying("fstatat", path) { fstatat(directory, path, &result, follow ? 0 : AT_SYMLINK_NOFOLLOW) }
    return result
}

/// fstat(2).
public func fileStatus(of fd: Int32) throws(SyscallError) -> stat {
    var result = stat()
    try retrying("fstat") { fstat(fd, &result) }
    return result
}

/// The file type in a stat's mode; inode(7).
extension stat {
    public var isDirectory: Bool { st_mode & 0o170000 == 0o040000 }
    public var isRegular: Bool { st_mode & 0o170000 == 0o100000 }
    public var isSymlink: Bool { st_mode & 0o170000 == 0o120000 }
    public var isCharacterDevice: Bool { st_mode & 0o170000 == 0o020000 }
    public var isDevice: Bool { isCharacterDevice || st_mode & 0o170000 == 0o060000 }
}

/// True when something is at the path; a dangling link counts.
public func exists(_ path: String, at directory: Int32 = currentDirectory) -> Bool {
    (try? fileStatus(path, at: directory)) != nil
}

/// The target of a symbolic link.
public func readLink(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try retrying("readlinkat", path) {
        buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlinkat(directory, path, $0, text.count) } ?? 0
            }
        }
    }
    return String(decoding: buffer[..<count], as: UTF8.self)
}

/// The names in an open directory, without `.` and `..`, sorted.
public func directoryEntries(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError)
    -> [String]
{
    let fd = try openFile(path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
    guard let stream = fdopendir(fd.release()) else {
        throw SyscallError("fdopendir", Errno(linux_errno()), path)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// All bytes of a descriptor from where it stands; more than `limit` is EFBIG.
public func readAll(_ fd: Int32, limit: Int = 64 << 20, path: String? = nil) throws(SyscallError) -> [UInt8] {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while true {
        let count = try retrying("read", path) {
            buffer.withUnsafeMutableBytes { read(fd, $0.baseAddress, $0.count) }
        }
        if count == 0 { return result }
        result += buffer[..<count]
        if result.count > limit { throw SyscallError("read", Errno(EFBIG), path) }
    }
}

/// The whole of a file.
public func readFile(_ path: String, at directory: Int32 = currentDirectory, limit: Int = 64 << 20)
    throws(SyscallError) -> [UInt8]
{
    let fd = try openFile(path, at: directory)
    return try readAll(fd.raw, limit: limit, path: path)
}

/// The whole of a small text file.
public func readText(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError) -> String {
    String(decoding: try readFile(path, at: directory), as: UTF8.self)
}

/// Writes all bytes, however many calls it takes.
public func writeAll(_ fd: Int32, _ bytes: some Sequence<UInt8>, path: String? = nil) throws(SyscallError) {
    let bytes = Array(bytes)
    var done = 0
    while done < bytes.count {
        done += try retrying("write", path) {
            bytes.withUnsafeBytes { write(fd, $0.baseAddress?.advanced(by: done), $0.count - done) }
        }
    }
}

/// Creates or truncates a file and writes it. Not atomic: for files nobody else reads yet, and for the kernel's own.
public func writeFile(
    _ path: String, _ bytes: some Sequence<UInt8>, mode: UInt32 = 0o644,
    at directory: Int32 = currentDirectory
) throws(SyscallError) {
    let fd = try openFile(path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode, at: directory)
    try writeAll(fd.raw, bytes, path: path)
}

/// Writes a value into an existing kernel file (cgroup, sysctl) in one write, as those need.
public func writeControl(_ path: String, _ value: String, at directory: Int32 = currentDirectory)
    throws(SyscallError)
{
    let fd = try openFile(path, flags: O_WRONLY, at: directory)
    let bytes = Array(value.utf8)
    try retrying("write", path) { bytes.withUnsafeBytes { write(fd.raw, $0.baseAddress, $0.count) } }
}

/// Replaces a file whole: a temporary beside it, then rename(2). With `durable`, fsync of file and directory.
public func replaceFile(
    _ path: String, _ bytes: some Sequence<UInt8>, mode: UInt32 = 0o644, durable: Bool = false,
    at directory: Int32 = currentDirectory
) throws(SyscallError) {
    let temporary = "\(path).tmp.\(getpid())"
    do throws(SyscallError) {
        let fd = try openFile(
            temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode, at: directory)
        try writeAll(fd.raw, bytes, path: path)
        if durable { try retrying("fsync", path) { fsync(fd.raw) } }
        try retrying("renameat", path) { renameat(directory, temporary, directory, path) }
    } catch {
        _ = unlinkat(directory, temporary, 0)
        throw error
    }
    if durable { try synchronizeParent(of: path, at: directory) }
}

/// Makes a file that was replaced without `durable` survive a power cut: fsync(2) of it and of its directory.
public func synchronize(_ path: String) throws(SyscallError) {
    let fd = try openFile(path, flags: O_RDONLY | O_NOFOLLOW)
    try retrying("fsync", path) { fsync(fd.raw) }
    try synchronizeParent(of: path)
}

/// A name is durable once its directory is.
private func synchronizeParent(of path: String, at directory: Int32 = currentDirectory) throws(SyscallError) {
    let parent = splitPath(path).0
    let fd = try openFile(parent, flags: O_RDONLY | O_DIRECTORY, at: directory)
    try retrying("fsync", parent) { fsync(fd.raw) }
}

/// Removes a tree without crossing into another file system and without following a link. Missing is fine.
public func removeTree(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError) {
    let (parent, name) = splitPath(path)
    let fd: OwnedFD
    do throws(SyscallError) {
        fd = try openFile(parent, flags: O_RDONLY | O_DIRECTORY, at: directory)
    } catch {
        if error.errno == .noEntry { return }
        throw error
    }
    try removeEntry(name.cName, at: fd.raw)
}

/// rename(2): what is at `to`, a file or an empty directory, is replaced.
public func moveFile(_ path: String, to target: String) throws(SyscallError) {
    try retrying("rename", path) { rename(path, target) }
}

/// The directory part and the last name.
private func splitPath(_ path: String) -> (String, String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let parent = slash == path.startIndex ? "/" : String(path[..<slash])
    return (parent, String(path[path.index(after: slash)...]))
}

/// A file in memory, gone with its last descriptor; memfd_create(2).
public func memoryFile(_ name: String) throws(SyscallError) -> OwnedFD {
    OwnedFD(taking: try retrying("memfd_create", name) { linux_memfd_create(name, UInt32(MFD_CLOEXEC)) })
}

/// A file without a name in a directory's file system, gone with its last descriptor (open(2), O_TMPFILE, whose number Glibc's
/// module hides).
public func unnamedFile(in directory: String) throws(SyscallError) -> OwnedFD {
    try openFile(directory, flags: O_RDWR | 0o20000000 | O_DIRECTORY, mode: 0o600)
}

/// The same in the directory that has, or is to have, a file.
public func unnamedFile(beside path: String) throws(SyscallError) -> OwnedFD {
    try unnamedFile(in: splitPath(path).0)
}

/// Gives a file without a name one, in its file system; what is called so is replaced, which linkat(2) alone can't. The link in
/// /proc stands for the descriptor, for AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH.
public func nameFile(_ file: Int32, _ path: String) throws(SyscallError) {
    func link(as name: String) throws(SyscallError) {
        try retrying("linkat", name) {
            linkat(AT_FDCWD, "/proc/self/fd/\(file)", AT_FDCWD, name, AT_SYMLINK_FOLLOW)
        }
    }
    do throws(SyscallError) { return try link(as: path) } catch {
        guard error.errno == .exists else { throw error }
    }
    let temporary = "\(path).tmp.\(getpid())"
    try? removeFile(temporary)
    try link(as: temporary)
    do throws(SyscallError) { try moveFile(temporary, to: path) } catch {
        try? removeFile(temporary)
        throw error
    }
}
