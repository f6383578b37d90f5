// SPDX-License-Identifier: Apache-2.0
//
// Whether this process was put into a directory by chroot(2). What starts containers refuses that: pivot_root(2) changes
// the mount at the process's root, and what lies above it in the namespace stays. setns(2) then lands there, outside
// of the container, and so does a container that may chroot(2) itself.

internal import CLinux

/// True when another directory than ours is the root of the machine's mount namespace, false also where that can't be
/// told: in a mount namespace that process 1 isn't in.
public func isInChroot() -> Bool {
    func status(_ path: String) -> stat? { try? fileStatus(path, follow: true) }
    guard let namespace = status("/proc/self/ns/mnt"), let first = status("/proc/1/ns/mnt"),
        namespace.st_ino == first.st_ino, let own = status("/"), let root = status("/proc/1/root")
    else { return false }
    return own.st_dev != root.st_dev || own.st_ino != root.st_ino
}
