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
    public let controllers: Set<String>
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
        let ownPaths = Self.ownPaths(own)
        var found: [CgroupHierarchy] = []
        let lines = mountInfo.split(separator: UInt8(ascii: "\n"))
        var places: [MountPlace] = []
        for line in lines { if let place = MountPlace(line) { places.append(place) } }
        for place in places {
            guard let mount = CgroupMount(place), !places.contains(where: { $0.covers(place) }) else {
                continue
            }
            let ownPath = ownPaths.first {
                mount.unified ? $0.controllers.isEmpty : $0.controllers == mount.controllers
            }
            let hierarchy = CgroupHierarchy(
                unified: mount.unified, mountPoint: mount.point,
                controllers: mount.unified
                    ? Set(
                        words(
                            unifiedControllers(mount.point)[...].prefix { $0 != UInt8(ascii: "\n") }, by: " ")
                    )
                    : mount.controllers,
                readOnly: mount.readOnly, partial: mount.root != "/",
                ownPath: relative(ownPath?.path ?? "/", to: mount.root))
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

    private static func ownPaths(_ text: [UInt8]) -> [(controllers: Set<String>, path: String)] {
        text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let parts = line.split(
                separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return nil }
            return (Set(words(parts[1], by: ",")), String(decoding: parts[2], as: UTF8.self))
        }
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
    let point: ArraySlice<UInt8>
    /// The whole line.
    let line: ArraySlice<UInt8>

    init?(_ line: ArraySlice<UInt8>) {
        var rest = line
        func field() -> ArraySlice<UInt8>? {
            guard let end = rest.firstIndex(of: UInt8(ascii: " ")) else { return nil }
            defer { rest = rest[(end + 1)...] }
            return rest[..<end]
        }
        guard let id = field(), let parent = field(), field() != nil, field() != nil, let point = field()
        else {
            return nil
        }
        (self.id, self.parent, self.point, self.line) = (id, parent, point, line)
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

/// What a line of mountinfo that is about cgroups says.
private struct CgroupMount {
    var unified: Bool
    var controllers: Set<String>
    var root: String
    var point: String
    var readOnly: Bool

    init?(_ place: MountPlace) {
        let fields = place.line.split(separator: UInt8(ascii: " "))
        guard fields.count >= 10, let dash = fields.dropFirst(6).firstIndex(of: [UInt8(ascii: "-")]),
            fields.count > dash + 3
        else { return nil }
        unified = fields[dash + 1].elementsEqual("cgroup2".utf8)
        guard unified || fields[dash + 1].elementsEqual("cgroup".utf8) else { return nil }
        root = unescapedMountField(fields[3])
        point = unescapedMountField(fields[4])
        let options = words(fields[5], by: ",")
        let superOptions = words(fields[dash + 3], by: ",")
        readOnly = options.contains("ro") || superOptions.contains("ro")
        let ignored = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"]
        controllers = []
        if unified { return }
        for option in superOptions
        where !ignored.contains(option) && !option.hasPrefix("release_agent=") {
            controllers.insert(option)
        }
    }
}

extension CgroupHost {
    /// A host without cgroups.
    public static let none = CgroupHost(hierarchies: [], namespaced: false)
}
