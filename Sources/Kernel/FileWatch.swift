// SPDX-License-Identifier: Apache-2.0
//
// FileWatch: tells what changed in directories (inotify(7)), by name. On cgroup file systems it tells of writes to
// control files and of what the kernel itself notes in them (kernfs_notify).

internal import CLinux

public final class FileWatch {
    public struct Event: Sendable {
        /// -1: more happened than was kept, so anything may have changed.
        public var watch: Int32
        /// In the directory; empty for what is watched itself.
        public var name: String
        /// What has the name was removed, not written.
        public var isRemoval: Bool
        /// What has the name is, or was, a directory.
        public var isDirectory: Bool
        /// The watch is no more: what it was of is gone.
        public var isEnd: Bool
        /// What is watched has another name now; told of `sources`.
        public var isMove: Bool
    }

    private let fd: OwnedFD

    public init() throws(SyscallError) {
        fd = OwnedFD(taking: try retrying("inotify_init1") { inotify_init1(Int32(0o2000000 | 0o4000)) })
    }

    /// For the event loop.
    public var descriptor: Int32 { fd.raw }

    /// Watches a directory for writes to its files and for what is removed from it. Gives the watch's number.
    ///
    /// A cgroup's removal is told by the directory above only: kernfs keeps the links of what is gone, so that
    /// IN_DELETE_SELF never comes.
    public func add(directory path: String) throws(SyscallError) -> Int32 {
        try add(path, UInt32(IN_MODIFY | IN_DELETE | IN_ONLYDIR))
    }

    /// Watches a directory of somebody's work: files that were written and closed, what is made, removed and moved.
    public func add(sources path: String) throws(SyscallError) -> Int32 {
        try add(
            path,
            UInt32(
                IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF
                    | IN_ONLYDIR))
    }

    /// Watches one file. What the kernel itself notes is told only of a file that is watched or open: of others there
    /// is no inode to tell it of (kernfs_notify_workfn).
    public func add(file path: String) throws(SyscallError) -> Int32 { try add(path, UInt32(IN_MODIFY)) }

    private func add(_ path: String, _ events: UInt32) throws(SyscallError) -> Int32 {
        let raw = fd.raw
        return try retrying("inotify_add_watch", path) { inotify_add_watch(raw, path, events) }
    }

    public func remove(_ watch: Int32) { _ = inotify_rm_watch(fd.raw, watch) }

    /// What was told since the last time.
    public func next() -> [Event] {
        var events: [Event] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let raw = fd.raw
            let count = read(raw, &buffer, buffer.count)
            if count <= 0 { return events }
            var at = 0
            // struct inotify_event: wd, mask, cookie, length of the name, the name padded with NUL.
            while at + 16 <= count {
                let (watch, mask, length) = buffer.withUnsafeBytes {
                    (
                        $0.loadUnaligned(fromByteOffset: at, as: Int32.self),
                        $0.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self),
                        Int($0.loadUnaligned(fromByteOffset: at + 12, as: UInt32.self))
                    )
                }
                let name = buffer[(at + 16)..<min(at + 16 + length, count)].prefix { $0 != 0 }
                events.append(
                    Event(
                        watch: watch, name: String(decoding: name, as: UTF8.self),
                        isRemoval: mask & UInt32(IN_DELETE) != 0,
                        isDirectory: mask & UInt32(IN_ISDIR) != 0, isEnd: mask & UInt32(IN_IGNORED) != 0,
                        isMove: mask & UInt32(IN_MOVE_SELF) != 0))
                at += 16 + length
            }
        }
    }
}
