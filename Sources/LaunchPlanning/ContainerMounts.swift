// SPDX-License-Identifier: Apache-2.0
//
// The part of a container's program that puts declared mounts and device nodes into its root. Every path in it is walked
// from the root's descriptor.

internal import CLaunch

/// MOUNT_ATTR_* of mount_setattr(2).
enum MountAttribute {
    static let readOnly: UInt64 = 1
    static let noSetUID: UInt64 = 2
    static let noDevices: UInt64 = 4
    static let noExec: UInt64 = 8
    static let strictAccessTime: UInt64 = 0x20
}

/// What a tmpfs is for. Programs run with the rights of who starts them in each.
public enum TmpfsUse: Sendable {
    /// Files alone, as Docker has it for a service.
    case files
    case programs
    /// As BuildKit has it for a step.
    case programsAndDevices

    /// MOUNT_ATTR_* of mount_setattr(2).
    public var attributes: UInt64 {
        switch self {
        case .files: MountAttribute.noSetUID | MountAttribute.noDevices | MountAttribute.noExec
        case .programs: MountAttribute.noSetUID | MountAttribute.noDevices
        case .programsAndDevices: MountAttribute.noSetUID
        }
    }
}

/// MS_* of mount(2), for mount_setattr(2)'s `propagation`.
public enum Propagation {
    public static let isPrivate: UInt64 = 1 << 18
    public static let isSlave: UInt64 = 1 << 19
    public static let isShared: UInt64 = 1 << 20
    public static let recursive: UInt64 = 1 << 14
}

extension LaunchProgram {
    /// Mounts that shall hear of the host's, or tell it of theirs, are copied while ours are still peers of the host's
    /// (Documentation/filesystems/sharedsubtree.rst): `addRoot` ends that for all the others.
    mutating func openShared(_ mounts: [ResolvedMount]) -> [Int: Slot] {
        var slots: [Int: Slot] = [:]
        for (index, mount) in mounts.enumerated() {
            guard case .path(let path, _, let recursive, let propagation) = mount.source, propagation != 0,
                propagation & Propagation.isPrivate == 0
            else { continue }
            let slot = newSlot()
            add(
                L_OPEN_TREE, "mounting \(mount.title) at \(mount.target)", slots: [slot], texts: [path],
                flags: recursive ? 1 : 0)
            slots[index] = slot
        }
        return slots
    }

    mutating func addMounts(
        _ mounts: [ResolvedMount], _ shared: [Int: Slot], in root: Slot, host: HostFacts
    ) {
        // A mount's parent comes first, whatever order they were written in.
        let depth = { (path: String) in path.split(separator: "/").count }
        for (index, mount) in mounts.enumerated().sorted(by: {
            (depth($0.element.target), $0.offset) < (depth($1.element.target), $1.offset)
        }) {
            let doing = "mounting \(mount.title) at \(mount.target)"
            let slot = newSlot()
            let (directory, file) = (1 | refusesProc(mount.target), 2 | refusesProc(mount.target))
            switch mount.source {
            case .path(let path, let isDirectory, let recursive, let propagation):
                let opened = shared[index]
                let slot = opened ?? slot
                if opened == nil {
                    add(L_OPEN_TREE, doing, slots: [slot], texts: [path], flags: recursive ? 1 : 0)
                }
                let attributes = mount.readOnly ? MountAttribute.readOnly : 0
                let kind = propagation & ~Propagation.recursive
                if attributes != 0 {
                    add(
                        L_MOUNT_ATTR, doing, slots: [slot],
                        flags: recursive && !mount.writableBeneath ? 1 : 0,
                        numbers: [attributes, 0, 0])
                }
                if kind != 0 {
                    add(
                        L_MOUNT_ATTR, doing, slots: [slot],
                        flags: propagation & Propagation.recursive != 0 ? 1 : 0, numbers: [0, 0, kind])
                }
                add(
                    L_ATTACH, doing, slots: [slot, root], texts: [mount.target],
                    flags: isDirectory ? directory : file)
            case .layers(let directories):
                addOverlay(directories, doing, slot, host: host)
                add(L_ATTACH, doing, slots: [slot, root], texts: [mount.target], flags: directory)
            case .below(let holder, let path):
                // The descriptor that was checked is the one that is mounted: nothing can be put in its place between.
                let (top, inner) = (newSlot(), newSlot())
                let opath: UInt64 = 0o1000_0000
                let beneathWithoutLinks: UInt64 = 0x08 | 0x04
                add(L_OPEN, doing, slots: [top], texts: [holder], numbers: [opath, 0, 0])
                add(
                    L_OPEN, doing, slots: [inner, top], texts: [path],
                    numbers: [opath, 0, beneathWithoutLinks])
                add(L_OPEN_TREE, doing, slots: [slot, inner])
                if mount.readOnly {
                    add(L_MOUNT_ATTR, doing, slots: [slot], numbers: [MountAttribute.readOnly, 0, 0])
                }
                add(L_ATTACH, doing, slots: [slot, root], texts: [mount.target], flags: directory)
            case .overlay(let lowers, let upper, let work):
                var settings = [("source", "overlay")]
                if host.overlayLowerdirPlus, lowers.allSatisfy({ $0.utf8.count < 256 }) {
                    settings += lowers.map { ("lowerdir+", $0) }
                } else {
                    settings.append(("lowerdir", lowers.map(escapeOverlay).joined(separator: ":")))
                }
                if let upper, let work {
                    settings += [("upperdir", upper), ("workdir", work), ("volatile", "")]
                }
                add(
                    L_FSMOUNT, doing, slots: [slot], texts: ["overlay"], blob: options(settings),
                    numbers: [mount.readOnly ? MountAttribute.readOnly : 0])
                add(L_ATTACH, doing, slots: [slot, root], texts: [mount.target], flags: directory)
            case .tmpfs(let settings, let use):
                add(
                    L_FSMOUNT, doing, slots: [slot], texts: ["tmpfs"],
                    blob: options([("source", "tmpfs")] + settings),
                    numbers: [use.attributes | (mount.readOnly ? MountAttribute.readOnly : 0)])
                add(L_ATTACH, doing, slots: [slot, root], texts: [mount.target], flags: directory)
            }
        }
    }

    /// An overlay without an upper directory.
    private mutating func addOverlay(_ directories: [String], _ doing: String, _ slot: Slot, host: HostFacts)
    {
        let layers =
            host.overlayLowerdirPlus
            ? directories.map { ("lowerdir+", $0) }
            : [("lowerdir", directories.map(escapeOverlay).joined(separator: ":"))]
        add(
            L_FSMOUNT, doing, slots: [slot], texts: ["overlay"],
            blob: options([("source", "overlay")] + layers),
            numbers: [MountAttribute.readOnly | MountAttribute.noSetUID | MountAttribute.noDevices])
    }

    /// Below /dev most often, whose file system is the container's own. There may be many, so their directories take turns in
    /// one slot; what was in it stays open until execve(2).
    mutating func addDevices(_ devices: [DeviceNode], in root: Slot) {
        let directory = newSlot()
        var current: String?
        for device in devices {
            let doing = "making \(device.path)"
            let parts = device.path.split(separator: "/")
            let parent = parts.dropLast().joined(separator: "/")
            if parent != current {
                current = parent
                add(L_ENSURE_DIRECTORY, doing, slots: [nil, root], texts: ["/" + parent], numbers: [0o755])
                let opath: UInt64 = 0o200000 | 0o1000_0000  // O_DIRECTORY | O_PATH
                let inRoot: UInt64 = 0x10  // RESOLVE_IN_ROOT
                add(
                    L_OPEN, doing, slots: [directory, root], texts: [parent.isEmpty ? "." : parent],
                    numbers: [opath, 0, inRoot])
            }
            add(
                L_MKNOD, doing, slots: [directory], texts: [String(parts.last ?? "")], flags: 1,
                numbers: [UInt64(device.mode), device.number, UInt64(device.gid) << 32 | UInt64(device.uid)])
        }
    }
}
