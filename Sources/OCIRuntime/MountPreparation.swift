// SPDX-License-Identifier: Apache-2.0
//
// A bundle's mounts as the child takes them. Most need nothing but a look at the source. What a child in a user namespace
// of its own may not do is done here: sources it can't reach are cloned, idmapped mounts are mapped, a tmpfs that
// begins with what is beneath it is filled (tmpcopyup). Such a mount is attached nowhere yet and goes along as descriptor.

internal import Basics
internal import CLinux
internal import Cgroups
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats
internal import Volumes

struct PreparedMounts {
    var mounts: [BundleMount] = []
    /// Made read-only at the end: what comes later in the list may lie in them.
    var late: [BundleMount] = []
    /// Descriptors of the mounts that are given, by slot name.
    var given: [String: SharedFD] = [:]
    /// Paths of the devices that are among the mounts.
    var devices: Set<String> = []
}

/// One mount of the list.
private struct WantedMount {
    let mount: RuntimeConfig.Mount
    let target: String
    var options: MountOptions
    /// For messages.
    let title: String
    /// Where it goes along as a descriptor.
    let slot: String

    init(_ mount: RuntimeConfig.Mount, at index: Int) {
        self.mount = mount
        target = plainPath(mount.destination)
        options = MountOptions(mount.options)
        // Whatever the type, where the options say so (config.md, "Mounts").
        if ["bind", "rbind"].contains(mount.type) { options.bind = true }
        if mount.type == "rbind" { options.recursive = true }
        title = mount.source.flatMap { $0.isEmpty ? nil : $0 } ?? mount.type ?? "mount"
        slot = "mount:\(index)"
    }

    var isMapped: Bool { options.idMap != nil || !mount.uidMappings.isEmpty }
    var isReadOnly: Bool { options.set & 1 != 0 }

    func from(_ source: BundleMount.Source) -> BundleMount {
        BundleMount(source: source, target: target, options: options, title: title)
    }

    func refused(_ cause: String) -> Failure {
        Failure("cannot mount \(title) at \(target)", cause: cause)
    }
}

/// Without doubled and final slashes and single dots, so that one place has one name. A `..` is walked as it is written:
/// what is before it may be a link.
private func plainPath(_ path: String) -> String {
    let (slash, dot) = (UInt8(ascii: "/"), UInt8(ascii: "."))
    var plain: [UInt8] = []
    var rest = path.utf8[...]
    while let start = rest.firstIndex(where: { $0 != slash }) {
        let end = rest[start...].firstIndex(of: slash) ?? rest.endIndex
        let name = rest[start..<end]
        if name.count != 1 || name.first != dot {
            plain.append(slash)
            plain += name
        }
        rest = rest[end...]
    }
    return plain.isEmpty ? "/" : String(decoding: plain, as: UTF8.self)
}

func prepareMounts(
    _ bundle: Bundle, cgroup: BundleCgroup, host: CgroupHost, warn: (String) -> Void
) throws(Failure) -> PreparedMounts {
    var prepared = PreparedMounts()
    let linux = bundle.config.linux
    for (index, mount) in bundle.config.mounts.enumerated() {
        let wanted = WantedMount(mount, at: index)
        if wanted.options.bind || wanted.options.remount {
            for word in wanted.options.unknown {
                warn("mount at \(wanted.target): unknown option \"\(word)\" has no effect")
            }
        }
        if wanted.isMapped, wanted.options.remount || !wanted.options.bind {
            throw wanted.refused("id mappings belong to bind mounts")
        }
        // First, as mount(2) asks for it: of a bind only what is mounted there already can be changed.
        if wanted.options.remount {
            prepared.mounts.append(wanted.from(.existing))
        } else if wanted.target == "/" {
            throw wanted.refused("the root file system is there already: what covers it would never be seen")
        } else if wanted.options.bind {
            try prepared.addBind(wanted, bundle)
        } else if mount.type == "cgroup" || mount.type == "cgroup2" {
            prepared.mounts += cgroupMounts(wanted.target, wanted.options, cgroup, host, linux)
        } else if wanted.options.copyUp {
            try prepared.addFilled(wanted, bundle)
        } else {
            try prepared.addFileSystem(wanted, bundle)
        }
    }
    if prepared.mounts.hasForeignDev { prepared.warnOfMissing(linux.devices, warn) }
    try prepared.addDevices(linux)
    return prepared
}

/// A directory by the root it is walked to in, and the path there.
private struct CoveredDirectory {
    var root: String
    var path: String

    /// Octal digits; nil where there is none.
    var mode: String? {
        guard let root = try? openFile(root, flags: O_PATH | O_DIRECTORY),
            let directory = try? openat2(
                root.raw, path.isEmpty ? "." : path, flags: O_PATH | O_DIRECTORY, resolve: .inRoot),
            let status = try? fileStatus(of: directory.raw)
        else { return nil }
        return String(status.st_mode & 0o7777, radix: 8)
    }
}

extension PreparedMounts {
    /// What will lie beneath a mount when it is made, as far as it is there already: of the bundle's root or of an earlier
    /// mount's source; nil where that is a file system which is only made then.
    fileprivate func covered(_ wanted: WantedMount, _ rootfs: String) -> CoveredDirectory? {
        guard let above = mounts.covering(wanted.target) else {
            return CoveredDirectory(root: rootfs, path: wanted.target)
        }
        let rest = String(wanted.target.dropFirst(above.target.count).drop { $0 == "/" })
        return path(of: above).map { CoveredDirectory(root: $0, path: rest) }
    }

    /// Where a mount's files can be seen before it is made; nil for a file system that is not there yet.
    private func path(of mount: BundleMount) -> String? {
        switch mount.source {
        case .path(let source, _): source
        case .given(let name, _): given[name].map { "/proc/self/fd/\($0.raw)/." }
        case .fileSystem, .existing, .link: nil
        }
    }

    /// What isn't there in a /dev of the host's is not made there.
    fileprivate func warnOfMissing(_ devices: [RuntimeConfig.Device], _ warn: (String) -> Void) {
        guard let bind = mounts.covering("/dev"), let source = path(of: bind) else { return }
        for device in devices where device.path.hasPrefix("/dev/") {
            if mounts.covering(device.path)?.target == "/dev", !exists(source + device.path.dropFirst(4)) {
                warn(
                    "device \(device.path) is not there: /dev is a bind of \(bind.title), in which none is made"
                )
            }
        }
    }

    fileprivate mutating func addBind(_ wanted: WantedMount, _ bundle: Bundle) throws(Failure) {
        guard let named = wanted.mount.source, !named.isEmpty else {
            throw wanted.refused("a bind mount needs a source")
        }
        let source = named.hasPrefix("/") ? named : "\(bundle.path)/\(named)"
        let isDirectory: Bool
        do throws(SyscallError) { isDirectory = try fileStatus(source, follow: true).isDirectory } catch {
            throw wanted.refused(
                error.errno == .noEntry ? "stat \(source): no such file or directory" : error.description)
        }
        let linux = bundle.config.linux
        guard wanted.isMapped || linux.namespaces.contains(where: { $0.kind == .user }) else {
            return mounts.append(wanted.from(.path(source, isDirectory: isDirectory)))
        }
        given[wanted.slot] = try cloneTree(source, wanted, linux)
        mounts.append(wanted.from(.given(wanted.slot, isDirectory: isDirectory)))
    }

    /// A tmpfs that begins with what is beneath it.
    fileprivate mutating func addFilled(_ wanted: WantedMount, _ bundle: Bundle) throws(Failure) {
        guard wanted.mount.type == "tmpfs" else { throw wanted.refused("tmpcopyup is for tmpfs alone") }
        if bundle.config.linux.namespaces.contains(where: { $0.kind == .user }) {
            throw wanted.refused("tmpcopyup is not supported in a user namespace")
        }
        given[wanted.slot] = try filledTmpfs(wanted, covered(wanted, bundle.rootfs))
        mounts.append(wanted.from(.given(wanted.slot, isDirectory: true)))
    }

    fileprivate mutating func addFileSystem(_ wanted: WantedMount, _ bundle: Bundle) throws(Failure) {
        guard let type = wanted.mount.type, type != "none" else {
            throw wanted.refused("it has neither a type nor `bind`")
        }
        var data = wanted.options.data.map { (key: $0.key, value: $0.value) }
        if let label = bundle.config.linux.mountLabel, isSELinuxEnabled,
            ["tmpfs", "devpts", "mqueue"].contains(type)
        {
            data.append((key: "context", value: "\"\(label)\""))
        }
        // A tmpfs without a mode of its own has that of the directory it covers, as runc has it.
        if type == "tmpfs", !data.contains(where: { $0.key == "mode" }) {
            data.append((key: "mode", value: covered(wanted, bundle.rootfs)?.mode ?? "755"))
        }
        // The file system itself is read-only too where it has a device; kernel's own are shared with others.
        if wanted.isReadOnly, wanted.mount.source?.hasPrefix("/") == true {
            data.append((key: "ro", value: ""))
        }
        var options = wanted.options
        if type == "tmpfs", wanted.isReadOnly {
            options.set &= ~1
            late.append(
                BundleMount(
                    source: .existing, target: wanted.target, options: MountOptions(["ro"]),
                    title: wanted.title))
        }
        mounts.append(
            BundleMount(
                source: .fileSystem(type, source: wanted.mount.source ?? type, data: data),
                target: wanted.target, options: options, title: type))
    }
}

/// On v2 the hierarchy as it is seen from its own namespace; else a tmpfs with the container's own directory of each.
private func cgroupMounts(
    _ target: String, _ options: MountOptions, _ cgroup: BundleCgroup, _ host: CgroupHost,
    _ linux: RuntimeConfig.Linux
) -> [BundleMount] {
    let ownNamespace = linux.namespaces.contains { $0.kind == .cgroup && $0.path == nil }
    if host.mode == .v2, let hierarchy = host.hierarchies.first(where: \.unified) {
        let source: BundleMount.Source =
            ownNamespace
            ? .fileSystem("cgroup2", source: "cgroup", data: [])
            : .path(hierarchy.mountPoint, isDirectory: true)
        return [BundleMount(source: source, target: target, options: options, title: "cgroup2")]
    }
    var writable = options
    (writable.set, writable.clear) = (options.set & ~1, 0)
    writable.data = []
    var mounts = [
        BundleMount(
            source: .fileSystem("tmpfs", source: "cgroup", data: [(key: "mode", value: "755")]),
            target: target,
            options: writable, title: "cgroup")
    ]
    var each = options
    each.data = []
    for place in cgroup.mounts {
        mounts.append(
            BundleMount(
                source: .path(place.path, isDirectory: true), target: "\(target)/\(place.name)",
                options: each,
                title: "cgroup"))
        // `cpu` for `cpu,cpuacct`, as hosts have it.
        for controller in place.controllers.sorted()
        where !place.unified && controller != place.name && !controller.hasPrefix("name=") {
            mounts.append(
                BundleMount(
                    source: .link(to: place.name), target: "\(target)/\(controller)",
                    options: MountOptions([]),
                    title: "cgroup"))
        }
    }
    if options.set & 1 != 0 {
        mounts.append(
            BundleMount(
                source: .existing, target: target, options: MountOptions(["ro"]), title: "cgroup"))
    }
    return mounts
}

private func cloneTree(
    _ source: String, _ wanted: WantedMount, _ linux: RuntimeConfig.Linux
) throws(Failure) -> SharedFD {
    let mount = wanted.mount
    let tree: SharedFD
    do throws(SyscallError) {
        tree = try openDetachedTree(source, recursive: wanted.options.recursive)
    } catch {
        throw wanted.refused(error.description)
    }
    if !wanted.isMapped { return tree }
    // Without maps of its own a mapped mount has the container's (config.md, "idmap").
    let uids = mount.uidMappings.isEmpty ? linux.uidMappings : mount.uidMappings
    let gids = mount.gidMappings.isEmpty ? linux.gidMappings : mount.gidMappings
    guard !uids.isEmpty, !gids.isEmpty else {
        throw wanted.refused(
            "an id-mapped mount needs uidMappings and gidMappings, its own or the container's")
    }
    let namespace = try makeMappedNamespace(uids: uids, gids: gids)
    do throws(SyscallError) {
        try retrying("mount_setattr", "MOUNT_ATTR_IDMAP") {
            linux_mount_setattr(
                tree.raw, wanted.options.idMap == .recursive ? 1 : 0, 0x10_0000, 0, 0, namespace.raw)
        }
    } catch {
        throw wanted.refused(
            error.errno == .invalid
                ? "the file system of \(source) can't be id-mapped: \(error)" : error.description)
    }
    return tree
}

private func filledTmpfs(_ wanted: WantedMount, _ source: CoveredDirectory?) throws(Failure) -> SharedFD {
    guard let source else {
        throw wanted.refused(
            "tmpcopyup can't begin with what lies in a file system that is made by another mount")
    }
    let mount: SharedFD
    do throws(SyscallError) {
        let context = OwnedFD(taking: try retrying("fsopen", "tmpfs") { linux_fsopen("tmpfs") })
        let fd = context.raw
        try retrying("fsconfig", "source") { linux_fsconfig_string(fd, "source", "tmpfs") }
        for datum in wanted.options.data {
            try retrying("fsconfig", datum.key) {
                datum.value.isEmpty
                    ? linux_fsconfig_flag(fd, datum.key) : linux_fsconfig_string(fd, datum.key, datum.value)
            }
        }
        try retrying("fsconfig", "tmpfs") { linux_fsconfig_create(fd) }
        mount = SharedFD(OwnedFD(taking: try retrying("fsmount", "tmpfs") { linux_fsmount(fd) }))
    } catch {
        throw wanted.refused(error.description)
    }
    try copyUp(from: [source.root], path: source.path, into: "/proc/self/fd/\(mount.raw)/.")
    return mount
}

/// A clone of the tree that is attached nowhere. What the host mounts beneath later still arrives; what is mounted in it
/// never gets out.
func openDetachedTree(_ path: String, recursive: Bool) throws(SyscallError) -> SharedFD {
    let tree = SharedFD(
        OwnedFD(taking: try retrying("open_tree", path) { linux_open_tree_clone(path, recursive ? 1 : 0) }))
    try retrying("mount_setattr", path) { linux_mount_setattr(tree.raw, 1, 0, 0, 1 << 19, -1) }  // MS_SLAVE
    return tree
}
