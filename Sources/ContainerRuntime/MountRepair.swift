// SPDX-License-Identifier: Apache-2.0
//
// A running container's declared mounts, looked at and mounted again from outside. What is looked at is whether a mount
// begins at the target, not what is mounted: what the container itself mounted over it is its affair.

public import Basics
internal import CLinux
internal import ContainerModel
public import Kernel
public import LaunchPlanning

/// Those declared mounts at whose target no mount begins any more.
///
/// The kernel's table is asked first. A target it does not have by that name may lie behind a link of the image, and is
/// walked to: not so a mount that is there, for its file system may be one that does not answer.
/// - Parameter pid, pidfd: of the container's first process.
public func missingMounts(_ setup: ContainerSetup, pid: Int32, pidfd: SharedFD) throws(Failure)
    -> [ResolvedMount]
{
    let doing = "cannot look at the mounts of container \"\(setup.name)\""
    var without: Set<String> = []
    // Not every container has one: without networks, on a host without it.
    for path in [setup.directories.resolvConf, setup.directories.hosts] where !exists(path) {
        without.insert(path)
    }
    let declared = declaredMounts(setup, without: without)
    let missing: [DeclaredMount]
    do throws(SyscallError) {
        // Of a program that changed its root the table tells what is below that alone.
        let points = MountEntry.reachablePoints(MountEntry.all(in: try readFile("/proc/\(pid)/mountinfo")))
        let doubtful = declared.filter { !points.contains($0.target) }
        if doubtful.isEmpty { return [] }
        missing = try inMountNamespace(of: pidfd.raw) { () throws(SyscallError) in
            doubtful.filter { mount in
                guard let target = try? openTarget(mount.target) else { return true }
                // -1: a kernel before 5.8 can't tell.
                return linux_is_mount_root(target.raw) == 0
            }
        }
    } catch {
        throw Failure(doing, error)
    }
    return try missing.map { mount throws(Failure) in try mount.resolved(setup, doing: doing) }
}

/// Mounts it again at its place in the running container.
public func restoreMount(_ mount: ResolvedMount, of container: String, pidfd: SharedFD) throws(Failure) {
    let doing = "cannot mount \(mount.title) at \(mount.target) of container \"\(container)\" again"
    do throws(SyscallError) {
        let tree: OwnedFD
        var attributes: UInt64 = mount.readOnly ? 1 : 0  // MOUNT_ATTR_RDONLY
        switch mount.source {
        case .path(let path, _, let recursive, _):
            tree = OwnedFD(
                taking: try retrying("open_tree", path) { linux_open_tree_clone(path, recursive ? 1 : 0) })
        case .layers(let directories): tree = try detachedOverlay(lowers: directories)
        case .tmpfs(let settings, let use):
            let context = OwnedFD(taking: try retrying("fsopen", "tmpfs") { linux_fsopen("tmpfs") })
            let fd = context.raw
            for (key, value) in [("source", "tmpfs")] + settings {
                try retrying("fsconfig", key) { linux_fsconfig_string(fd, key, value) }
            }
            try retrying("fsconfig", "tmpfs") { linux_fsconfig_create(fd) }
            tree = OwnedFD(taking: try retrying("fsmount", "tmpfs") { linux_fsmount(fd) })
            attributes |= use.attributes
        case .below(let holder, let path):
            let root = try openFile(holder, flags: O_PATH | O_DIRECTORY)
            let found = try openat2(root.raw, path, flags: O_PATH, resolve: [.beneath, .noSymlinks])
            // The descriptor's own link: what was found, wherever its name leads by now.
            let own = "/proc/self/fd/\(found.raw)"
            tree = OwnedFD(taking: try retrying("open_tree", path) { linux_open_tree_clone(own, 0) })
            _ = consume found
        case .overlay:
            // Build steps' alone, and nobody watches over those.
            throw SyscallError("open_tree", .notSupported, mount.target)
        }
        let fd = tree.raw
        try retrying("mount_setattr", mount.target) { linux_mount_set_private(fd, attributes) }
        try inMountNamespace(of: pidfd.raw) { () throws(SyscallError) in
            let target = try openTarget(mount.target)
            let place = target.raw
            try retrying("move_mount", mount.target) { linux_move_mount(fd, place) }
        }
    } catch {
        throw Failure(doing, error)
    }
}

/// In the container's mount namespace; nothing in it leads out of its root.
private func openTarget(_ path: String) throws(SyscallError) -> OwnedFD {
    let root = try openFile("/", flags: O_PATH | O_DIRECTORY)
    return try openat2(root.raw, path, flags: O_PATH, resolve: [.inRoot, .noMagicLinks])
}
