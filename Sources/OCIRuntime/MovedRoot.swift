// SPDX-License-Identifier: Apache-2.0
//
// `--no-pivot`: what must go from beneath a root that is moved over `/` instead of pivoted to. In a user namespace the
// kernel allows a new procfs or sysfs only where one is mounted already whose whole tree is to be seen (mount_too_revealing,
// fs/namespace.c): the container's own has masks, the host's beneath has none. As runc's msMoveRoot has it.

internal import Basics
internal import Kernel
internal import LaunchPlanning

func movedRoot(outside bundle: Bundle) throws(Failure) -> MovedRoot {
    let namespace = bundle.config.linux.namespaces.first { $0.kind == .mount }
    guard let namespace, namespace.path == nil else {
        throw Failure(
            "cannot move the root over / in \(namespace?.path ?? "the host's mount namespace")",
            cause: "--no-pivot is for a mount namespace of the container's own",
            advice: "leave --no-pivot out, or the namespace's path")
    }
    let table = try naming("cannot read the host's mounts") { () throws(SyscallError) in
        MountEntry.all(in: try readFile("/proc/self/mountinfo"))
    }
    return MovedRoot(unmounted: wholeKernelMounts(in: table, outside: bundle.rootfs))
}

/// Mount points of procfs and sysfs that show all there is in them, the last mounted first: one may lie on another. Each
/// point once, however many are mounted there: what covers it must not be taken off again.
func wholeKernelMounts(in table: [MountEntry], outside root: String) -> [String] {
    var seen: Set<String> = []
    return table.reversed().filter { entry in
        ["proc", "sysfs"].contains(entry.type) && entry.root == "/" && !entry.isBelow(root)
    }.map(\.point).filter { seen.insert($0).inserted }
}
