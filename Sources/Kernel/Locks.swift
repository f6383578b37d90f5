// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// A flock(2) on a file or directory, held as long as the value lives. Locks are taken in one order: host, project, container.
public struct FileLock: ~Copyable, Sendable {
    private let fd: OwnedFD

    /// Waits for the lock; the file is made when missing.
    public init(_ path: String, exclusive: Bool = true, at directory: Int32 = currentDirectory)
        throws(SyscallError)
    {
        let file = try openFile(path, flags: O_RDWR | O_CREAT, mode: 0o600, at: directory)
        let raw = file.raw
        try retrying("flock", path) { linux_flock(raw, exclusive ? LOCK_EX : LOCK_SH) }
        fd = file
    }

    /// Waits for the lock of a directory, which needs no file of its own in it.
    public init(directory path: String) throws(SyscallError) {
        fd = try FileLock.lockedDirectory(path)
    }

    private static func lockedDirectory(_ path: String) throws(SyscallError) -> OwnedFD {
        while true {
            let opened = try openDirectory(path)
            let raw = opened.raw
            try retrying("flock", path) { linux_flock(raw, LOCK_EX) }
            if try isStill(raw, at: path) { return opened }
        }
    }

    /// The lock of a directory, or nil when another process holds it.
    public static func attempt(directory path: String) throws(SyscallError) -> FileLock? {
        while true {
            let opened = try openDirectory(path)
            guard try lockWithoutWaiting(opened.raw, path) else { return nil }
            if try isStill(opened.raw, at: path) { return FileLock(holding: opened) }
        }
    }

    private static func openDirectory(_ path: String) throws(SyscallError) -> OwnedFD {
        try openFile(path, flags: O_RDONLY | O_DIRECTORY)
    }

    /// Whoever held the lock before may have removed the directory, and another may be there by now.
    private static func isStill(_ fd: Int32, at path: String) throws(SyscallError) -> Bool {
        let (mine, found) = (try fileStatus(of: fd), try fileStatus(path, follow: true))
        return mine.st_ino == found.st_ino && mine.st_dev == found.st_dev
    }

    /// The lock, or nil when another process holds it.
    public static func attempt(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError)
        -> FileLock?
    {
        let file = try openFile(path, flags: O_RDWR | O_CREAT, mode: 0o600, at: directory)
        guard try lockWithoutWaiting(file.raw, path) else { return nil }
        return FileLock(holding: file)
    }

    private init(holding fd: consuming OwnedFD) { self.fd = fd }
}

/// Takes the lock of an open file or directory for as long as it is open. A file system that has no locks has nobody to
/// wait for.
/// - Parameter mayWait: asked when another process holds it.
/// - Returns: false when it is held and not waited for.
public func lock(_ fd: Int32, mayWait: () -> Bool) throws(SyscallError) -> Bool {
    do throws(SyscallError) {
        if try lockWithoutWaiting(fd, nil) { return true }
        guard mayWait() else { return false }
        try retrying("flock") { linux_flock(fd, LOCK_EX) }
    } catch {
        if error.errno != .notSupported && error.errno != .noLocks { throw error }
    }
    return true
}

private func lockWithoutWaiting(_ fd: Int32, _ path: String?) throws(SyscallError) -> Bool {
    do throws(SyscallError) {
        try retrying("flock", path) { linux_flock(fd, LOCK_EX | LOCK_NB) }
        return true
    } catch {
        if error.errno == .again { return false }
        throw error
    }
}
