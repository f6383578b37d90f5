// SPDX-License-Identifier: Apache-2.0
//
// Cgroups: cgroup v2, v1 and hybrid behind one face (cgroups(7)). A project is `covey/<project>`, with `engine` for the
// keeper and controller and `ctr-<container>` for each container. Starting processes in them is the keeper's.
//
// This file: which hierarchies the host has and where this process stands in them, read once from /proc.

public import Basics
internal import CLinux
internal import Kernel

/// One mounted cgroup hierarchy.
public struct CgroupHierarchy: Hashable, Sendable {
    /// True for cgroup v2.
    public let unified: Bool
    public let mountPoint: String
    /// v1: the controllers mounted here, `name=systemd` for a named one. v2: those it has.
    public let controllers: [String]
    public let readOnly: Bool
    /// The mount shows a part of the hierarchy only, so nothing above can be reached (bind-mounted into a container).
    public let partial: Bool
    /// This process's cgroup, relative to the mount's root: `/` when no cgroup below it holds us.
    public let ownPath: String
}

/// What the host has of cgroups.
public struct CgroupHost: Hashable, Sendable {
    public enum Mode: String, Sendable { case v2, v1, hybrid, none }

    public let hierarchies: [CgroupHierarchy]
    /// In a cgroup namespace that is not the machine's first.
    public let namespaced: Bool

    public var mode: Mode {
        let unified = hierarchies.contains { $0.unified }
        let legacy = hierarchies.contains { !$0.unified }
        return unified ? (legacy ? .hybrid : .v2) : (legacy ? .v1 : .none)
    }

    /// True where the enclosing cgroup can't be left, as in a CI container: all we start ends with it.
    public var isEnclosed: Bool {
        namespaced || writable.isEmpty || hierarchies.contains { $0.partial }
    }

    /// The hierarchies cgroups can be made in.
    public var writable: [CgroupHierarchy] { hierarchies.filter { !$0.readOnly } }

    /// The hierarchy that has a controller; v1 has it if it is mounted there at all.
    public func hierarchy(of controller: String) -> CgroupHierarchy? {
        writable.first { $0.controllers.contains(controller) }
    }

    /// Looks at /proc/self/mountinfo, /proc/self/cgroup and the v2 root's controllers.
    public static func detect() throws(Failure) -> CgroupHost {
        do throws(SyscallError) {
            let mounts = try readFile("/proc/self/mountinfo")
            let own = try readFile("/proc/self/cgroup")
            let namespace = try? fileStatus("/proc/self/ns/cgroup", follow: true).st_ino
            return CgroupHost(
                mountInfo: mounts, own: own, namespaced: (namespace ?? initialNamespace) != initialNamespace
            ) { mountPoint in
                (try? readFile(mountPoint + "/cgroup.controllers")) ?? []
            }
        } catch {
            throw Failure("cannot read the host's cgroups", error, advice: "mount /proc")
        }
    }

    /// The inode of the machine's first cgroup namespace, PROC_CGROUP_INIT_INO in linux/proc_ns.h.
    private static let initialNamespace: UInt = 0xEFFF_FFFB

    init(hierarchies: [CgroupHierarchy], namespaced: Bool) {
        self.hierarchies = hierarchies
        self.namespaced = namespaced
    }

    /// From the two files' contents; `unifiedControllers` gives a v2 mount's `cgroup.controllers`.
    init(
        mountInfo: [UInt8], own: [UInt8], namespaced: Bool,
        unifiedControllers: (_ mountPoint: String) -> [UInt8]
    ) {
        self.namespaced = namespaced
        let ownPlaces = own.split(separator: UInt8(ascii: "\n")).compactMap { OwnPlace($0) }
        var found: [CgroupHierarchy] = []
        let lines = mountInfo.split(separator: UInt8(ascii: "\n"))
        var places: [MountPlace] = []
        for line in lines { if let place = MountPlace(line) { places.append(place) } }
        for place in places {
            guard let mount = CgroupMount(place), !places.contains(where: { $0.covers(place) }) else {
                continue
            }
            let ownPlace = ownPlaces.first {
                mount.unified ? $0.controller.isEmpty : mount.controllers.contains($0.controller)
            }
            let hierarchy = CgroupHierarchy(
                unified: mount.unified, mountPoint: mount.point,
                controllers: mount.unified
                    ? words(unifiedControllers(mount.point)[...].prefix { $0 != UInt8(ascii: "\n") }, by: " ")
                    : mount.controllers,
                readOnly: mount.readOnly, partial: mount.root != "/",
                ownPath: relative(ownPlace?.path ?? "/", to: mount.root))
            if let place = found.firstIndex(where: { $0.isSame(as: hierarchy) }) {
                // The same hierarchy twice: the whole and writable one serves.
                if (found[place].partial || found[place].readOnly) && !hierarchy.partial
                    && !hierarchy.readOnly
                {
                    found[place] = hierarchy
                }
            } else {
                found.append(hierarchy)
            }
        }
        // On hybrid hosts a v1 controller is used where it is mounted: v1 hierarchies are asked first.
        hierarchies = found.filter { !$0.unified } + found.filter(\.unified)
    }
}

/// A line of /proc/self/cgroup (cgroups(7)).
private struct OwnPlace {
    /// The first of the hierarchy's, which is in no other; empty for v2.
    let controller: String
    let path: String

    init?(_ line: ArraySlice<UInt8>) {
        let colon = UInt8(ascii: ":")
        guard let first = line.firstIndex(of: colon), let second = line[(first + 1)...].firstIndex(of: colon)
        else { return nil }
        let controllers = line[(first + 1)..<second]
        let end = controllers.firstIndex(of: UInt8(ascii: ",")) ?? second
        controller = String(decoding: controllers[..<end], as: UTF8.self)
        path = String(decoding: line[(second + 1)...], as: UTF8.self)
    }
}

private func words(_ bytes: ArraySlice<UInt8>, by separator: Unicode.Scalar) -> [String] {
    bytes.split(separator: UInt8(ascii: separator)).map { String(decoding: $0, as: UTF8.self) }
}

extension CgroupHierarchy {
    fileprivate func isSame(as other: CgroupHierarchy) -> Bool {
        unified == other.unified && (unified || controllers == other.controllers)
    }
}

/// `path` as seen from `root`; `/` when it isn't beneath.
private func relative(_ path: String, to root: String) -> String {
    if root == "/" { return path }
    guard path.hasPrefix(root + "/") else { return "/" }
    return String(path.dropFirst(root.count))
}

/// A line of mountinfo and where it is in the tree of mounts (proc_pid_mountinfo(5)). A host has dozens, of which a handful
/// are about cgroups: only what tells them apart is read.
private struct MountPlace {
    let id: ArraySlice<UInt8>
    let parent: ArraySlice<UInt8>
    let root: ArraySlice<UInt8>
    let point: ArraySlice<UInt8>
    /// From its options on.
    let rest: MountFields

    init?(_ line: ArraySlice<UInt8>) {
        var fields = MountFields(rest: line)
        guard let id = fields.next(), let parent = fields.next(), fields.next() != nil,
            let root = fields.next(), let point = fields.next()
        else {
            return nil
        }
        (self.id, self.parent, self.root, self.point, self.rest) = (id, parent, root, point, fields)
    }

    /// True when `other` can't be reached by its path: this one is mounted right on it, or later on a directory above it.
    /// Mounted earlier it would be its parent.
    func covers(_ other: MountPlace) -> Bool {
        if parent.elementsEqual(other.id) { return point.elementsEqual(other.point) }
        return parent.elementsEqual(other.parent) && point.count < other.point.count
            && other.point.starts(with: point)
            && other.point[other.point.startIndex + point.count] == UInt8(ascii: "/")
    }
}

/// The fields of a line, one after the other.
private struct MountFields {
    var rest: ArraySlice<UInt8>

    mutating func next() -> ArraySlice<UInt8>? {
        guard !rest.isEmpty else { return nil }
        let end = rest.firstIndex(of: UInt8(ascii: " ")) ?? rest.endIndex
        defer { rest = rest[min(end + 1, rest.endIndex)...] }
        return rest[..<end]
    }
}

/// What a line of mountinfo that is about cgroups says.
private struct CgroupMount {
    var unified: Bool
    var controllers: [String]
    var root: String
    var point: String
    var readOnly: Bool

    init?(_ place: MountPlace) {
        var fields = place.rest
        guard let ownOptions = fields.next() else { return nil }
        // Any number of optional fields, then a dash.
        while let field = fields.next(), !field.elementsEqual(CollectionOfOne(UInt8(ascii: "-"))) {}
        guard let type = fields.next(), fields.next() != nil, let superOptionText = fields.next() else {
            return nil
        }
        unified = type.elementsEqual("cgroup2".utf8)
        guard unified || type.elementsEqual("cgroup".utf8) else { return nil }
        root = unescapedMountField(place.root)
        point = unescapedMountField(place.point)
        let superOptions = words(superOptionText, by: ",")
        readOnly = words(ownOptions, by: ",").contains("ro") || superOptions.contains("ro")
        let ignored = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"]
        controllers = []
        if unified { return }
        for option in superOptions
        where !ignored.contains(option) && !option.hasPrefix("release_agent=") {
            controllers.append(option)
        }
    }
}

extension CgroupHost {
    /// A host without cgroups.
    public static let none = CgroupHost(hierarchies: [], namespaced: false)
}
