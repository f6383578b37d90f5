// SPDX-License-Identifier: Apache-2.0
//
// The root of a container without a mount namespace: a type that is not listed is the runtime's own (config-linux.md,
// "Namespaces"). Then all its mounts are ours to see and to take off again. They lie in one mount over the root file system,
// entered by chroot(2), whose number the record keeps: `delete` takes off that mount with all in it, and none of the user's.

internal import Basics
internal import CLinux
internal import Kernel

/// A clone of the root's tree that hangs nowhere yet.
struct HostRoot {
    let tree: SharedFD
    let number: UInt64
    private let path: String

    init(_ path: String) throws(SyscallError) {
        self.path = path
        tree = try openDetachedTree(path, recursive: true)
        number = linux_mount_number(tree.raw)
        if number == 0 { throw SyscallError("statx", Errno(ENOSYS), path) }
    }

    /// - Precondition: a record on disk has the number.
    func attach() throws(SyscallError) {
        let place = try openFile(path, flags: O_PATH | O_DIRECTORY)
        let (mount, target) = (tree.raw, place.raw)
        try retrying("move_mount", path) { linux_move_mount(mount, target) }
        // Where the mount beneath is shared the new one is as well (mount_namespaces(7)): what is mounted in it is no peer's.
        try retrying("mount_setattr", path) { linux_mount_set_private(mount, 0) }
    }
}

extension ContainerRecord {
    /// Takes off the mount over the root, if it is there.
    /// - Throws: when somebody's lies on it: that one is not ours to take off, and beneath it ours can't be reached.
    func detachHostRoot() throws(Failure) {
        guard let number = rootMount else { return }
        let doing = "cannot unmount the root file system \(rootfs)"
        guard let place = try? openFile(rootfs, flags: O_PATH | O_DIRECTORY),
            linux_mount_number(place.raw) == number
        else {
            if linux_has_mount(number) == 0 { return }
            throw Failure(doing, cause: "something else is mounted there", advice: "unmount that first")
        }
        _ = try naming(doing) { () throws(SyscallError) in
            try retrying("umount2", rootfs) { linux_umount2(rootfs, detach | dontFollow) }
        }
    }
}

private let detach: Int32 = 2  // MNT_DETACH
private let dontFollow: Int32 = 8  // UMOUNT_NOFOLLOW
