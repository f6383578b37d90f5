// SPDX-License-Identifier: Apache-2.0
//
// An overlay file system that is mounted nowhere: only its descriptor reaches it, and it goes with the descriptor,
// so that no death of this process leaves a mount behind. overlayfs.rst; fsmount(2), Linux 5.2.

internal import CLinux

/// Mounts directories over each other without attaching the result; the descriptor is its top.
///
/// `volatile` where there is an upper: unmounting does not sync, as whoever keeps the upper does so himself.
/// - lowers: topmost first, at least one; two where there is no upper.
/// - Throws: `EINVAL` for directories overlayfs refuses (an upper on overlayfs, more lowers than an old kernel takes).
public func detachedOverlay(lowers: [String], upper: String? = nil, work: String? = nil) throws(SyscallError)
    -> OwnedFD
{
    let context = OwnedFD(taking: try retrying("fsopen", "overlay") { linux_fsopen("overlay") })
    let fd = context.raw
    // A value of fsconfig(2) has at most 255 bytes; longer paths go by descriptors that stay open until the mount.
    var held: [SharedFD] = []
    func short(_ path: String) throws(SyscallError) -> String {
        if path.utf8.count < 200, !path.utf8.contains(UInt8(ascii: ":")) { return path }
        let directory = SharedFD(try openFile(path, flags: O_RDONLY | O_DIRECTORY))
        held.append(directory)
        return "/proc/self/fd/\(directory.raw)"
    }
    func set(_ key: String, _ value: String) throws(SyscallError) {
        try retrying("fsconfig", "overlay \(key)=\(value)") { linux_fsconfig_string(fd, key, value) }
    }
    if let first = lowers.first {
        do throws(SyscallError) {
            try set("lowerdir+", try short(first))
            for lower in lowers.dropFirst() { try set("lowerdir+", try short(lower)) }
        } catch {
            // Before Linux 6.5 there is one value for all of them.
            guard error.call == "fsconfig", error.errno == .invalid else { throw error }
            var all = ""
            for lower in lowers {
                let directory = SharedFD(try openFile(lower, flags: O_RDONLY | O_DIRECTORY))
                held.append(directory)
                all += (all.isEmpty ? "" : ":") + "/proc/self/fd/\(directory.raw)"
            }
            try set("lowerdir", all)
        }
    }
    if let upper, let work {
        try set("upperdir", try short(upper))
        try set("workdir", try short(work))
        // What the host's defaults for these would write into the upper cannot become a layer.
        for option in ["redirect_dir", "index", "metacopy"] { try set(option, "off") }
        try retrying("fsconfig", "overlay volatile") { linux_fsconfig_flag(fd, "volatile") }
    }
    try retrying("fsconfig", "overlay of \(lowers.count) layers") { linux_fsconfig_create(fd) }
    return OwnedFD(taking: try retrying("fsmount", "overlay") { linux_fsmount(fd) })
}
