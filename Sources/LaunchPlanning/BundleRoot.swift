// SPDX-License-Identifier: Apache-2.0
//
// A bundle's file systems: the root, its mounts in the order they are written (config.md, "Mounts"), and the devices and
// links every container has (config-linux.md, "Default Devices", "Dev symbolic links").

internal import CLaunch
internal import OCIFormats

extension LaunchProgram {
    /// Gives the slot of the root, attached but not entered.
    mutating func addBundleRoot(_ launch: BundleLaunch) -> Slot {
        let givenRoot = given.firstIndex(of: "root").map { Slot(Int32($0)) }
        let root = givenRoot ?? newSlot()
        if !launch.sharesMounts { attachBundleRoot(root, isGiven: givenRoot != nil, launch) }
        let slot = newSlot()
        for mount in launch.mounts { addBundleMount(mount, slot, in: root, apart: launch.sharesMounts) }
        addDevices(launch, in: root)
        return root
    }

    private mutating func attachBundleRoot(_ root: Slot, isGiven: Bool, _ launch: BundleLaunch) {
        // Slave, not private: a mount of the host's still reaches a volume that asks for it with `rslave`.
        // Beneath a root that is moved a procfs the host mounts later must not arrive, unless a mount asks to hear of news.
        let listens = launch.movedRoot == nil || launch.asksForPropagation
        let (name, flag): (String, UInt64) = listens ? ("slaves", 1 << 19) : ("private", 1 << 18)
        let doing = "mounting the root file system \(launch.root)"
        add(L_PROPAGATION, "making mounts \(name)", texts: ["/"], numbers: [flag | 1 << 14])
        if !isGiven {
            add(L_OPEN_TREE, doing, slots: [root], texts: [launch.root], flags: 1)
        }
        if let name = launch.config.linux.rootfsPropagation, !name.hasSuffix("slave") {
            add(L_MOUNT_ATTR, doing, slots: [root], flags: 1, numbers: [0, 0, 1 << 18])
        }
        // One that can't be walked to lies on `/` until it is pivoted to.
        add(L_ATTACH_HOST, doing, slots: [root], texts: [isGiven ? "/" : launch.root])
    }

    /// - Parameter apart: the mount namespace is the host's, in which a clone is a peer of what it was cloned from: what is
    ///   mounted in it, and taken off with it, would be so on the host (mount_namespaces(7), "Shared subtrees").
    mutating func addBundleMount(_ mount: BundleMount, _ slot: Slot, in root: Slot, apart: Bool = false) {
        let doing = "mounting \(mount.title) at \(mount.target)"
        let options = mount.options
        var placed = slot
        let isProc = if case .fileSystem("proc", _, _) = mount.source { true } else { false }
        let refuseProc: UInt32 = isProc ? 0 : refusesProc(mount.target)
        switch mount.source {
        case .path(let path, let isDirectory):
            add(L_OPEN_TREE, doing, slots: [slot], texts: [path], flags: options.recursive ? 1 : 0)
            if apart { add(L_MOUNT_ATTR, doing, slots: [slot], flags: 1, numbers: [0, 0, 1 << 19]) }
            addAttributes(options, slot, doing)
            add(
                L_ATTACH, doing, slots: [slot, root], texts: [mount.target],
                flags: (isDirectory ? 1 : 2) | refuseProc)
        case .given(let name, let isDirectory):
            guard let index = given.firstIndex(of: name) else { return }
            placed = Slot(Int32(index))
            addAttributes(options, placed, doing)
            add(
                L_ATTACH, doing, slots: [placed, root], texts: [mount.target],
                flags: (isDirectory ? 1 : 2) | refuseProc)
        case .fileSystem(let type, let source, let data):
            add(
                L_FSMOUNT, doing, slots: [slot], texts: [type],
                blob: LaunchPlanning.options([("source", source)] + data), numbers: [options.set])
            // A link where the kernel's own file systems belong is refused (CVE-2023-27561).
            let kernels = ["proc", "sysfs"].contains(type)
            add(
                L_ATTACH, doing, slots: [slot, root], texts: [mount.target],
                flags: kernels ? 1 | 4 : 1 | refuseProc)
            var rest = options
            (rest.set, rest.clear) = (0, 0)
            addAttributes(rest, slot, doing)
        case .existing:
            let path = mount.target.drop { $0 == "/" }
            add(
                L_OPEN, doing, slots: [slot, root], texts: [path.isEmpty ? "." : String(path)],
                numbers: [0o1000_0000, 0, 0x10])
            addAttributes(options, slot, doing)
        case .link(let target):
            let (parent, name) = parentAndName(mount.target)
            add(
                L_OPEN, doing, slots: [slot, root], texts: [String(parent.drop { $0 == "/" })],
                numbers: [0o1000_0000 | 0o200000, 0, 0x10])
            add(L_SYMLINK, doing, slots: [slot], texts: [target, name])
        }
    }

    private mutating func addAttributes(_ options: MountOptions, _ slot: Slot, _ doing: String) {
        if options.set | options.clear != 0 {
            add(L_MOUNT_ATTR, doing, slots: [slot], numbers: [options.set, options.clear, 0])
        }
        if options.setBeneath | options.clearBeneath != 0 {
            add(
                L_MOUNT_ATTR, doing, slots: [slot], flags: 1,
                numbers: [options.setBeneath, options.clearBeneath, 0])
        }
        for flags in options.propagation {
            add(
                L_MOUNT_ATTR, doing, slots: [slot], flags: flags & 0x4000 != 0 ? 1 : 0,
                numbers: [0, 0, flags & ~0x4000])
        }
    }

    private mutating func addDevices(_ launch: BundleLaunch, in root: Slot) {
        let isUsers = launch.has(.user)
        func device(_ path: String, _ type: UInt64, _ number: UInt64, mode: UInt64, uid: UInt64, gid: UInt64)
        {
            add(
                L_DEVICE, "making device \(path)", slots: [nil, root], texts: [path, isUsers ? path : nil],
                flags: isUsers ? 1 : 0, numbers: [type | mode, number, uid << 32 | gid])
        }
        let isForeign = launch.mounts.hasForeignDev
        if !isForeign {
            for (name, major, minor) in defaultDevices {
                let path = "/dev/\(name)"
                if launch.config.linux.devices.contains(where: { $0.path == path }) { continue }
                device(path, 0o020000, major << 8 | minor, mode: 0o666, uid: 0, gid: 0)
            }
        }
        for node in launch.config.linux.devices where !launch.mountedDevices.contains(node.path) {
            if isForeign, node.path.hasPrefix("/dev/") { continue }
            let types: [String: UInt64] = ["c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000]
            let (major, minor) = (UInt64(clamping: node.major), UInt64(clamping: node.minor))
            device(
                node.path, types[node.type] ?? 0o020000,
                node.type == "p" ? 0 : deviceNumber(major, minor),
                mode: UInt64(node.fileMode ?? 0o666) & 0o7777,
                uid: UInt64(node.uid ?? 0), gid: UInt64(node.gid ?? 0))
        }
        if isForeign { return }
        let dev = newSlot()
        add(L_ENSURE_DIRECTORY, "making /dev", slots: [nil, root], texts: ["/dev"], numbers: [0o755])
        add(
            L_OPEN, "opening /dev", slots: [dev, root], texts: ["dev"],
            numbers: [0o1000_0000 | 0o200000, 0, 0x10])
        for (target, name) in deviceLinks {
            add(L_SYMLINK, "making /dev/\(name)", slots: [dev], texts: [target, name])
        }
    }
}

/// As the kernel encodes a device number for mknod(2), include/linux/kdev_t.h, new_encode_dev.
private func deviceNumber(_ major: UInt64, _ minor: UInt64) -> UInt64 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xff) << 12
}

func parentAndName(_ path: String) -> (String, String) {
    guard let slash = path.lastIndex(of: "/") else { return ("", path) }
    return (String(path[..<slash]), String(path[path.index(after: slash)...]))
}
