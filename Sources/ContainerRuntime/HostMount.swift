// SPDX-License-Identifier: Apache-2.0

internal import Kernel

extension MountEntry {
    /// The host's mount that a path is on; nil where /proc tells of none.
    static func holding(_ path: String) throws(SyscallError) -> MountEntry? {
        var found: MountEntry?
        for entry in MountEntry.all(in: try readFile("/proc/self/mountinfo")) {
            let holds = path == entry.point || entry.point == "/" || path.hasPrefix(entry.point + "/")
            // The last of several at one place is the one that is seen.
            if holds, entry.point.utf8.count >= (found?.point.utf8.count ?? 0) { found = entry }
        }
        return found
    }
}
