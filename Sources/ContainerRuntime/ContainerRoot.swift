// SPDX-License-Identifier: Apache-2.0
//
// ContainerRoot: the file system of a running container, written to from outside through /proc/PID/root: nothing in the
// container takes part, so an image without a shell and a program without rights are as good as any. Every path is
// walked with openat2(RESOLVE_IN_ROOT): what the container makes of its own links never leads out of it.

internal import CLinux
public import Kernel

public struct ContainerRoot: ~Copyable {
    private let root: OwnedFD

    /// - Parameter pid: of a process in the container.
    public init(pid: Int) throws(SyscallError) {
        root = try openFile("/proc/\(pid)/root", flags: O_RDONLY | O_DIRECTORY)
    }

    /// Whether a directory is there, or a link that leads to one within the container.
    public borrowing func isDirectory(_ path: String) -> Bool {
        do throws(SyscallError) {
            _ = try openat2(root.raw, path, flags: O_PATH | O_DIRECTORY, resolve: .inRoot)
            return true
        } catch {
            return false
        }
    }

    /// Makes `target` in the container what `source` is on the host; what is gone there is removed here. Files keep the
    /// owner they have, new ones get that of the directory they are in; mode and time are the source's.
    ///
    /// A file takes the place of a directory only when that is empty: what else is in it came from somewhere else.
    /// - Parameter removesDirectories: a directory goes with all below it when the source is gone; it stays otherwise.
    /// - Returns: false when it was so already.
    /// - Throws: `ENOTEMPTY` when a directory is in a file's place.
    @discardableResult
    public borrowing func synchronize(_ source: String, to target: String, removesDirectories: Bool)
        throws(SyscallError) -> Bool
    {
        let status: stat
        do throws(SyscallError) {
            status = try fileStatus(source)
        } catch {
            guard error.errno == .noEntry || error.errno == .notDirectory else { throw error }
            return try remove(target, withDirectories: removesDirectories)
        }
        let (parent, name) = Self.split(target)
        let directory = try ensureDirectory(parent)
        if name.isEmpty { return false }
        let existing = try? fileStatus(name, at: directory.raw)
        if status.isDirectory {
            if let existing {
                if existing.isDirectory { return false }
                try removeEntry(name.cName, at: directory.raw)
            }
            try Self.makeDirectory(name, mode: UInt32(status.st_mode & 0o7777), in: directory)
            return true
        }
        guard status.isRegular || status.isSymlink else { return false }
        if let existing, existing.isDirectory { try removeDirectory(name, at: directory.raw) }
        if status.isSymlink { return try link(source, name, in: directory) }
        if let existing, existing.isRegular, existing.st_size == status.st_size,
            existing.st_mtim.tv_sec == status.st_mtim.tv_sec,
            existing.st_mtim.tv_nsec == status.st_mtim.tv_nsec
        {
            return false
        }
        try replace(name, in: directory, with: source, status, existing)
        return true
    }

    /// Removes what is there, with all below it; links are not followed, other file systems are left alone.
    private borrowing func remove(_ target: String, withDirectories: Bool) throws(SyscallError) -> Bool {
        let (parent, name) = Self.split(target)
        guard !name.isEmpty,
            let directory = try? openat2(
                root.raw, parent, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot),
            let status = try? fileStatus(name, at: directory.raw), withDirectories || !status.isDirectory
        else { return false }
        try removeEntry(name.cName, at: directory.raw)
        return true
    }

    private static func split(_ path: String) -> (parent: String, name: String) {
        let parts = path.split(separator: "/").filter { $0 != "." }
        return ("/" + parts.dropLast().joined(separator: "/"), parts.last.map(String.init) ?? "")
    }

    /// The directory, made where it is missing, each with the owner of the one it is in.
    private borrowing func ensureDirectory(_ path: String) throws(SyscallError) -> OwnedFD {
        do throws(SyscallError) {
            return try openat2(root.raw, path, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot)
        } catch {
            guard error.errno == .noEntry, path != "/" else { throw error }
        }
        let (parent, name) = Self.split(path)
        let directory = try ensureDirectory(parent)
        try Self.makeDirectory(name, mode: 0o755, in: directory)
        return try openat2(root.raw, path, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot)
    }

    private static func makeDirectory(_ name: String, mode: UInt32, in directory: borrowing OwnedFD)
        throws(SyscallError)
    {
        try Kernel.makeDirectory(name, mode: 0o700, at: directory.raw)
        let made = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory.raw)
        let owner = try fileStatus(of: directory.raw)
        try retrying("fchown", name) { fchown(made.raw, owner.st_uid, owner.st_gid) }
        try retrying("fchmod", name) { fchmod(made.raw, mode) }
    }

    private borrowing func link(_ source: String, _ name: String, in directory: borrowing OwnedFD)
        throws(SyscallError) -> Bool
    {
        let target = try readLink(source)
        if let same = try? readLink(name, at: directory.raw), same == target { return false }
        try removeFile(name, at: directory.raw)
        let raw = directory.raw
        try retrying("symlinkat", name) { symlinkat(target, raw, name) }
        return true
    }

    /// Beside the old one, then in its place: nobody reads half of it. What is mounted there can't be replaced and is
    /// written over.
    private borrowing func replace(
        _ name: String, in directory: borrowing OwnedFD, with source: String, _ status: stat,
        _ existing: stat?
    ) throws(SyscallError) {
        let input = try openFile(source, flags: O_RDONLY | O_NOFOLLOW)
        let owner: stat
        if let existing { owner = existing } else { owner = try fileStatus(of: directory.raw) }
        let temporary = ".covey-sync.\(getpid())"
        try removeFile(temporary, at: directory.raw)
        do throws(SyscallError) {
            let output = try openFile(
                temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: directory.raw)
            try copyContent(input.raw, output.raw, name)
            try Self.finish(output, owner, status)
            let raw = directory.raw
            try retrying("renameat", name) { renameat(raw, temporary, raw, name) }
        } catch {
            try removeFile(temporary, at: directory.raw)
            guard error.errno == .busy else { throw error }
            let output = try openFile(name, flags: O_WRONLY | O_TRUNC | O_NOFOLLOW, at: directory.raw)
            lseek(input.raw, 0, SEEK_SET)
            try copyContent(input.raw, output.raw, name)
            try Self.finish(output, owner, status)
        }
    }

    private static func finish(_ output: borrowing OwnedFD, _ owner: stat, _ status: stat)
        throws(SyscallError)
    {
        let raw = output.raw
        try retrying("fchown") { fchown(raw, owner.st_uid, owner.st_gid) }
        try retrying("fchmod") { fchmod(raw, status.st_mode & 0o7777) }
        let times = [status.st_atim, status.st_mtim]
        try retrying("futimens") { futimens(raw, times) }
    }
}
