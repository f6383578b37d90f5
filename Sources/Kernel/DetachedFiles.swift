// SPDX-License-Identifier: Apache-2.0
//
// Files in memory that are mounted nowhere: a tmpfs only a descriptor reaches, gone with the last holder, so that no
// death of this process leaves what is in them behind. fsmount(2), Linux 5.2.

internal import CLinux

/// A file of a detached tmpfs.
public struct MemoryFile: Sendable {
    public var content: [UInt8]
    public var mode: UInt32
    public var uid: UInt32
    public var gid: UInt32

    public init(content: [UInt8], mode: UInt32 = 0o644, uid: UInt32 = 0, gid: UInt32 = 0) {
        (self.content, self.mode, self.uid, self.gid) = (content, mode, uid, gid)
    }
}

/// The top of a new tmpfs that holds the files under their numbers: `0`, `1`, ….
public func detachedFiles(_ files: [MemoryFile]) throws(SyscallError) -> OwnedFD {
    let context = OwnedFD(taking: try retrying("fsopen", "tmpfs") { linux_fsopen("tmpfs") })
    let fd = context.raw
    try retrying("fsconfig", "tmpfs mode") { linux_fsconfig_string(fd, "mode", "700") }
    try retrying("fsconfig", "tmpfs") { linux_fsconfig_create(fd) }
    let top = OwnedFD(taking: try retrying("fsmount", "tmpfs") { linux_fsmount(fd) })
    for (number, file) in files.enumerated() {
        let name = String(number)
        let target = try openFile(name, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, at: top.raw)
        let raw = target.raw
        try writeAll(raw, file.content, path: name)
        try retrying("fchown", name) { fchown(raw, file.uid, file.gid) }
        try retrying("fchmod", name) { fchmod(raw, file.mode) }
    }
    return top
}
