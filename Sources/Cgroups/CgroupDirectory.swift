// SPDX-License-Identifier: Apache-2.0
//
// A cgroup directory held open, and what is done relative to it. Names below it come from us; nothing here walks a
// path a container could have made: children are visited one component at a time.

internal import CLinux
internal import Kernel

/// A project's directory in one hierarchy.
struct CgroupDirectory: Sendable {
    let hierarchy: CgroupHierarchy
    /// Absolute, for messages and for processes that join by path.
    let path: String
    let fd: SharedFD

    /// Makes a child; false when it was there.
    func make(_ name: String) throws(SyscallError) -> Bool {
        do throws(SyscallError) {
            try makeDirectory(name, at: fd.raw)
            return true
        } catch {
            if error.errno == .exists { return false }
            throw SyscallError(error.call, error.errno, "\(path)/\(name)")
        }
    }

    func write(_ file: String, _ value: String) throws(SyscallError) {
        do throws(SyscallError) {
            try writeControl(file, value, at: fd.raw)
        } catch {
            throw SyscallError(error.call, error.errno, "\(path)/\(file)")
        }
    }

    func read(_ file: String) throws(SyscallError) -> String {
        do throws(SyscallError) {
            return try readText(file, at: fd.raw)
        } catch {
            throw SyscallError(error.call, error.errno, "\(path)/\(file)")
        }
    }

    func has(_ name: String) -> Bool { exists(name, at: fd.raw) }

    /// The number after `key` in a file of `key value` lines.
    func value(_ key: String, in file: String) -> Int64? {
        guard let text = try? read(file) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            let rest = line.dropFirst(key.count)
            if rest.first == " " { return Int64(rest.dropFirst()) }
        }
        return nil
    }

    /// The number a file holds; nil for `max` and for no file.
    func number(_ file: String) -> Int64? {
        guard let text = try? read(file) else { return nil }
        return Int64(text.prefix { $0 != "\n" })
    }

    /// Processes in the child and all beneath it.
    func processes(_ name: String) -> [Int32] {
        guard let child = try? openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: fd.raw) else {
            return []
        }
        return processesBeneath(child.raw)
    }

    /// Removes a child with all beneath it, deepest first. Missing is fine.
    ///
    /// A cgroup stays EBUSY for a moment after its last process was killed; `patience` says how often to look again.
    func remove(_ name: String, patience: inout RemovalPatience) throws(SyscallError) {
        do throws(SyscallError) {
            try removeCgroup(name, at: fd.raw, patience: &patience)
        } catch {
            throw SyscallError(error.call, error.errno, "\(path)/\(name)")
        }
    }
}

extension CgroupDirectory {
    /// Removes directories of ours in which nothing is any more, the innermost of them first.
    func removeEmpty(_ levels: [String]) throws(SyscallError) {
        for level in levels.reversed() {
            do throws(SyscallError) {
                try removeDirectory(level, at: fd.raw)
            } catch {
                if ![.busy, .notEmpty, .noEntry, .noDevice].contains(error.errno) { throw error }
            }
        }
    }
}

/// Looks left at a busy cgroup and how long to wait before the next: 0.2 ms growing to 16 ms, 0.3 s in all.
struct RemovalPatience {
    private var tries = 0

    mutating func wait() -> Bool {
        guard tries < 24 else { return false }
        pauseBetweenLooks(.microseconds(min(200 << tries, 16_000)))
        tries += 1
        return true
    }
}

private func removeCgroup(_ name: String, at directory: Int32, patience: inout RemovalPatience)
    throws(SyscallError)
{
    while true {
        do throws(SyscallError) {
            return try removeDirectory(name, at: directory)
        } catch {
            guard error.errno == .busy || error.errno == .notEmpty else { throw error }
            let found = try removeChildren(of: name, at: directory, patience: &patience)
            if !found && !patience.wait() { throw error }
        }
    }
}

/// True when there were any.
private func removeChildren(of name: String, at directory: Int32, patience: inout RemovalPatience)
    throws(SyscallError) -> Bool
{
    do throws(SyscallError) {
        let fd = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
        let children = try subdirectories(fd.raw)
        for child in children { try removeCgroup(child, at: fd.raw, patience: &patience) }
        return !children.isEmpty
    } catch {
        if error.errno == .noEntry || error.errno == .noDevice { return true }
        throw error
    }
}

private func processesBeneath(_ directory: Int32) -> [Int32] {
    let text = (try? readText("cgroup.procs", at: directory)) ?? ""
    var found = text.split(separator: "\n").compactMap { Int32($0) }
    for child in (try? subdirectories(directory)) ?? [] {
        guard let fd = try? openFile(child, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory) else {
            continue
        }
        found += processesBeneath(fd.raw)
    }
    return found
}

/// kernfs counts a directory's subdirectories in its links, so most are known childless without being listed.
func subdirectories(_ directory: Int32) throws(SyscallError) -> [String] {
    if try fileStatus(of: directory).st_nlink == 2 { return [] }
    return try directoryEntries(".", at: directory).filter {
        (try? fileStatus($0, at: directory).isDirectory) ?? false
    }
}
