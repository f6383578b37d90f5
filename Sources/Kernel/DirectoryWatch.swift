// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// Tells that something changed in one of several directories (inotify(7)); what changed is looked up again.
public struct DirectoryWatch: ~Copyable {
    private let fd: OwnedFD

    public init() throws(SyscallError) {
        fd = OwnedFD(taking: try retrying("inotify_init1") { inotify_init1(Int32(0o2000000 | 0o4000)) })
    }

    /// For poll(2).
    public var raw: Int32 { fd.raw }

    /// Watches a directory for files that are written, made or moved in. Adding one twice is harmless.
    public borrowing func add(_ path: String) throws(SyscallError) {
        let raw = fd.raw
        try retrying("inotify_add_watch", path) {
            inotify_add_watch(raw, path, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO))
        }
    }

    /// Takes away what was told so far.
    public borrowing func drain() {
        let raw = fd.raw
        var buffer = [UInt8](repeating: 0, count: 4096)
        while read(raw, &buffer, buffer.count) > 0 {}
    }
}
