// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// A flock(2) on a file, held as long as the value lives. Locks are taken in one order: host, project, container.
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
        let opened = try openFile(path, flags: O_RDONLY | O_DIRECTORY)
        let raw = opened.raw
        try retrying("flock", path) { linux_flock(raw, LOCK_EX) }
        fd = opened
    }

    /// The lock, or nil when another process holds it.
    public static func attempt(_ path: String, at directory: Int32 = currentDirectory) throws(SyscallError)
        -> FileLock?
    {
        let file = try openFile(path, flags: O_RDWR | O_CREAT, mode: 0o600, at: directory)
        let raw = file.raw
        do throws(SyscallError) {
            try retrying("flock", path) { linux_flock(raw, LOCK_EX | LOCK_NB) }
        } catch {
            if error.errno == .again { return nil }
            throw error
        }
        return FileLock(holding: file)
    }

    private init(holding fd: consuming OwnedFD) { self.fd = fd }
}
