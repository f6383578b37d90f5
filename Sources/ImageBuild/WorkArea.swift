// SPDX-License-Identifier: Apache-2.0
//
// Directories a build writes in before their contents become layers. Each build has one, with a lock held as long
// as it lives: what a killed build left is found unlocked by the next one, and removed.

internal import Basics
internal import CLinux
public import Kernel

/// A build's own directory under `buildcache/work`; gone with the value.
public final class WorkArea {
    let path: String
    private let lock: FileLock
    private var count = 0
    private let counting = ThreadLock()

    public init(under cache: String) throws(SyscallError) {
        let parent = "\(cache)/work"
        try ensureDirectory(parent, mode: 0o700)
        WorkArea.sweep(parent)
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        path = "\(parent)/\(getpid())-\(time.tv_sec)\(time.tv_nsec)"
        try makeDirectory(path, mode: 0o700)
        lock = try FileLock("\(path)/lock")
    }

    deinit { try? removeTree(path) }

    /// A fresh empty directory.
    public func directory(_ purpose: String) throws(SyscallError) -> String {
        let number = counting.held {
            count += 1
            return count
        }
        let name = "\(path)/\(number)-\(purpose)"
        try makeDirectory(name, mode: 0o755)
        // Whatever the umask: an upper's top is the image's root.
        try retrying("chmod", name) { chmod(name, 0o755) }
        return name
    }

    private static func sweep(_ parent: String) {
        guard let names = try? directoryEntries(parent) else { return }
        for name in names {
            let path = "\(parent)/\(name)"
            // One that has no lock file yet is being made at this moment.
            guard exists("\(path)/lock"), let lock = try? FileLock.attempt("\(path)/lock") else { continue }
            try? removeTree(path)
            _ = consume lock
        }
    }
}
