// SPDX-License-Identifier: Apache-2.0
//
// A project's cgroups. What is made where:
//
//   v2        covey/<project>, engine and every container; processes in leaves only
//   devices   v1: covey/<project>, and engine with the policy; containers inherit through the keeper, but for those with a
//             policy of their own, which have a directory beside it
//   memory, cpu, pids on v1: a container's directory only where it has such a limit (each costs 10–35 µs to make, more
//             to join, and as much to remove); without v2 every container has one in pids, to be found and killed by
//   engine    elsewhere on v1 only where this process stands in a cgroup that would end it with a session or CI step
//
// Everything is idempotent and tolerates other projects coming and going.

public import Basics
internal import CLinux
public import ContainerModel
internal import Kernel

/// The cgroups of one project: those that exist are found at once, others made when needed.
public struct ProjectCgroup: Sendable {
    public let host: CgroupHost
    public let project: String
    let policy: DevicePolicy
    /// Open directories of the project, in the host's order of hierarchies.
    private(set) var directories: [CgroupDirectory] = []
    /// Of the containers that have one.
    private(set) var parents: [String: String] = [:]

    static let top = "covey"
    static let engine = "engine"
    static let containerPrefix = "ctr-"

    /// Finds what exists; makes nothing.
    /// - Throws: a failure for a project name that is no directory name.
    public init(host: CgroupHost, project: String, devices: DevicePolicy = .dockerDefault) throws(Failure) {
        guard Self.isName(project) else {
            throw Failure(
                "the project name \"\(project)\" can't name a cgroup", cause: "it must be one path component")
        }
        self.host = host
        self.project = project
        policy = devices
        for hierarchy in host.writable {
            if let directory = try? open(hierarchy) { directories.append(directory) }
        }
    }

    /// Makes the project's cgroups, with the device policy and the keeper's place.
    /// - Throws: what the kernel refused. Where no cgroups can be made at all because an enclosing container keeps them
    ///   to itself, nothing is made and nothing thrown; then limits are refused by `ensureContainer`.
    public mutating func ensure() throws(Failure) {
        if host.writable.isEmpty && host.isEnclosed && host.mode != .none { return }
        do throws(SyscallError) {
            for hierarchy in host.writable {
                let isDevices = !hierarchy.unified && hierarchy.controllers.contains("devices")
                guard hierarchy.unified || isDevices || hierarchy.ownPath != "/" else { continue }
                let directory = try ensureDirectory(hierarchy)
                if isDevices {
                    // Before anything is in it: the keeper must not start a container without the policy.
                    _ = try directory.make(Self.engine)
                    try setLegacyPolicy(directory)
                    continue
                }
                // `engine` is the mark that all is done.
                if directory.has(Self.engine) { continue }
                if hierarchy.unified && host.hierarchy(of: "devices") == nil {
                    try setUnifiedPolicy(directory)
                }
                _ = try directory.make(Self.engine)
                if hierarchy.controllers.contains("cpuset") && !hierarchy.unified {
                    try initializeCpuset(directory)
                }
            }
        } catch {
            throw Failure(
                "cannot make the cgroups of project \"\(project)\"", error, advice: advice(error))
        }
        guard
            directories.contains(where: {
                $0.hierarchy.unified || $0.hierarchy.controllers.contains("devices")
            })
        else {
            throw Failure(
                "cannot restrict the devices of project \"\(project)\"",
                cause: "neither cgroup v2 nor the v1 devices controller is mounted",
                advice: "mount cgroup2 at /sys/fs/cgroup")
        }
    }

    /// v1 `tasks` files into which the keeper writes `0` itself, cheap: no other thread has to be waited for.
    public var engineTaskFiles: [String] {
        directories.filter { !$0.hierarchy.unified && $0.has(Self.engine) }.map {
            "\($0.path)/\(Self.engine)/tasks"
        }
    }

    /// The v2 directory to clone the keeper into (CLONE_INTO_CGROUP). Writing cgroup.procs instead costs an RCU grace
    /// period, 14 ms.
    public var engineCloneInto: String? {
        directories.first { $0.hierarchy.unified && $0.has(Self.engine) }.map { "\($0.path)/\(Self.engine)" }
    }

    /// Makes a container's cgroup or brings an existing one's limits to what is given.
    ///
    /// Processes of a running container are moved where a limit is new to it on v1.
    /// - Parameter devices: instead of the project's own policy; set when the cgroup is made, and kept as long as it is.
    /// - Throws: a failure naming the limit this host can't keep.
    public mutating func ensureContainer(
        _ name: String, limits: ResourceLimits, devices: DevicePolicy? = nil
    ) throws(Failure) -> ContainerCgroup {
        guard Self.isName(name) else {
            throw Failure(
                "the container name \"\(name)\" can't name a cgroup", cause: "it must be one path component")
        }
        let place = place(of: name)
        let child = place.child
        let homes = try homes(of: limits, container: name)
        if let parent = parents[name] { try checkParent(parent, of: name) }
        // The project's own policy stands on the project's cgroup on v2, and does not reach beyond that.
        let devices = devices ?? (place.foreignParent != nil && hasUnifiedDevices ? policy : nil)
        var isNew = true
        do throws(SyscallError) {
            let home = membershipHierarchy
            if let home { isNew = try makeChild(place, in: home) }
            if let devices { try setDevices(devices, of: place) }
            for controller in Controller.allCases {
                let wanted = homes[controller]
                guard let hierarchy = wanted ?? controller.hierarchy(of: host) else { continue }
                let isCommon = Controller.common.contains(controller)
                if wanted == nil && !isCommon { continue }
                var made = isNew
                if hierarchy != home && wanted != nil {
                    made = try makeChild(place, in: hierarchy)
                    if made && !isNew, let home { try move(child, from: home, to: hierarchy) }
                }
                guard let directory = directory(in: hierarchy) else { continue }
                if !isCommon { try prepare(controller, for: place, in: directory) }
                if wanted == nil && (made || !directory.has(child + "/" + controller.probe(hierarchy))) {
                    continue
                }
                try directory.set(controller, of: limits, on: child)
            }
        } catch {
            if isNew { try? container(name).remove() }
            let isLost = place.foreignParent != nil && error.errno == .noEntry
            throw Failure(
                "cannot place container \"\(name)\" in its cgroups", error,
                advice: isLost
                    ? "an absolute `cgroup_parent` must be there in every hierarchy; one without a leading / is made"
                    : advice(error))
        }
        do throws(Failure) {
            try setBlockLimits(limits, of: child, container: name)
            try setRealtime(limits, of: place, container: name)
        } catch {
            if isNew { try? container(name).remove() }
            throw error
        }
        return container(name)
    }

    /// A container's cgroup as it is, also when it isn't: then it is empty and removing it does nothing.
    public func container(_ name: String) -> ContainerCgroup {
        ContainerCgroup(name: name, place: place(of: name), directories: directories)
    }

    /// Says what `cgroup_parent` a container has; before anything is asked of its cgroup.
    public mutating func setParent(_ parent: String?, of container: String) { parents[container] = parent }

    func place(of name: String) -> ContainerPlace {
        ContainerPlace(name, project: project, parent: parents[name])
    }

    private var hasUnifiedDevices: Bool { host.hierarchy(of: "devices")?.unified ?? true }

    private func checkParent(_ parent: String, of container: String) throws(Failure) {
        let doing = "cannot place container \"\(container)\" in cgroup \"\(parent)\""
        guard ContainerPlace.isParent(parent) else {
            throw Failure(
                doing, cause: "`cgroup_parent` is a path of plain names, none of them one of Covey's own",
                advice: "such as batch or /machine/batch")
        }
        guard !host.writable.isEmpty else {
            throw Failure(
                doing, cause: "no cgroup hierarchy of this host can be written",
                advice: "remove `cgroup_parent`")
        }
    }

    /// Names of the containers that have a cgroup in any hierarchy, sorted.
    public func containers() -> [String] {
        var names: Set<String> = []
        for directory in directories {
            for child in (try? directoryEntries(".", at: directory.fd.raw)) ?? []
            where child.hasPrefix(Self.containerPrefix) {
                names.insert(String(child.dropFirst(Self.containerPrefix.count)))
            }
        }
        return names.sorted()
    }

    /// Removes all of the project's cgroups, and `covey` with the last project. Processes must be gone before; what
    /// can't be removed is reported after all else is. Foreign directories among ours are left and named.
    public mutating func remove() throws(Failure) {
        var failures: [Failure] = []
        for hierarchy in host.writable {
            do throws(SyscallError) {
                try removeProject(in: hierarchy)
            } catch {
                let leftover = error.errno == .busy
                failures.append(
                    Failure(
                        "cannot remove the cgroups of project \"\(project)\"", error,
                        advice: leftover
                            ? "a process or a foreign directory is left in it: see its cgroup.procs" : nil))
            }
        }
        directories = []
        if let failure = Failure.collect(failures) { throw failure }
    }
}

// MARK: - Making

extension ProjectCgroup {
    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 200
            && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 || $0 == UInt8(ascii: "\n") }
    }

    func directory(in hierarchy: CgroupHierarchy) -> CgroupDirectory? {
        directories.first { $0.hierarchy == hierarchy }
    }

    /// Where every container has a directory, to be counted, killed and cloned into.
    var membershipHierarchy: CgroupHierarchy? {
        host.writable.first(where: \.unified) ?? host.hierarchy(of: "pids") ?? host.hierarchy(of: "memory")
            ?? host.writable.first
    }

    func open(_ hierarchy: CgroupHierarchy) throws(SyscallError) -> CgroupDirectory {
        let path = "\(hierarchy.mountPoint)/\(Self.top)/\(project)"
        // Not O_PATH: bpf(2) wants a directory opened for reading.
        let fd = try openFile(path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        return CgroupDirectory(hierarchy: hierarchy, path: path, fd: SharedFD(fd))
    }

    private mutating func ensureDirectory(_ hierarchy: CgroupHierarchy) throws(SyscallError)
        -> CgroupDirectory
    {
        if let known = directory(in: hierarchy), known.has("cgroup.procs") { return known }
        directories.removeAll { $0.hierarchy == hierarchy }
        let top = "\(hierarchy.mountPoint)/\(Self.top)"
        // The last project of another process may remove `covey` between the two.
        for _ in 0..<100 {
            do throws(SyscallError) {
                try makeDirectory("\(top)/\(project)")
                break
            } catch {
                if error.errno == .exists { break }
                guard error.errno == .noEntry else { throw error }
                do throws(SyscallError) { try makeDirectory(top) } catch {
                    if error.errno != .exists { throw error }
                }
            }
        }
        let directory = try open(hierarchy)
        if hierarchy.unified {
            for path in [hierarchy.mountPoint, top, directory.path] { try enableControllers(path, hierarchy) }
        }
        let place = host.writable.firstIndex(of: hierarchy) ?? 0
        let index = directories.firstIndex { known in
            (host.writable.firstIndex(of: known.hierarchy) ?? 0) > place
        }
        directories.insert(directory, at: index ?? directories.endIndex)
        return directory
    }

    /// What a controller that few containers have needs before the first of them.
    private func prepare(
        _ controller: Controller, for place: ContainerPlace, in directory: CgroupDirectory
    ) throws(SyscallError) {
        let hierarchy = directory.hierarchy
        if hierarchy.unified {
            for path in above(place, in: directory) { try enableControllers(path, hierarchy, [controller]) }
        } else if controller == .cpuset {
            try initializeCpuset(
                directory, engine: directory.has(Self.engine),
                between: place.between.map { "\(directory.path)/\($0)" })
        }
    }

    /// Lets children have some controllers, as far as v2 has them (cgroup-v2.rst, "Enabling and Disabling").
    private func enableControllers(
        _ path: String, _ hierarchy: CgroupHierarchy, _ controllers: [Controller] = Controller.common
    ) throws(SyscallError) {
        func words(_ file: String) throws(SyscallError) -> Set<String> {
            Set(try readText("\(path)/\(file)").split { $0 == " " || $0 == "\n" }.map(String.init))
        }
        let enabled = try words("cgroup.subtree_control")
        let ours = controllers.map(\.rawValue).filter { hierarchy.controllers.contains($0) }
        if enabled.isSuperset(of: ours) { return }
        let missing = try words("cgroup.controllers").subtracting(enabled).intersection(ours).sorted()
        if missing.isEmpty { return }
        do throws(SyscallError) {
            try writeControl(
                "\(path)/cgroup.subtree_control", missing.map { "+" + $0 }.joined(separator: " "))
        } catch {
            // The root of a cgroup namespace with processes in it is no true root: no controllers beneath. That matters
            // once a limit is asked for.
            guard host.isEnclosed && error.errno == .busy else { throw error }
        }
    }

    /// Makes a container's directory, and the project's where it is missing or was removed under us.
    mutating func makeChild(_ place: ContainerPlace, in hierarchy: CgroupHierarchy) throws(SyscallError)
        -> Bool
    {
        if let known = directory(in: hierarchy) {
            do throws(SyscallError) {
                return try make(place, in: known)
            } catch {
                guard error.errno == .noEntry || error.errno == .noDevice else { throw error }
            }
        }
        return try make(place, in: try ensureDirectory(hierarchy))
    }

    /// With what is on the way there; on v2 a container has those controllers that all above it give.
    private func make(_ place: ContainerPlace, in directory: CgroupDirectory) throws(SyscallError) -> Bool {
        let hierarchy = directory.hierarchy
        for level in place.between { _ = try directory.make(level) }
        if hierarchy.unified {
            for path in above(place, in: directory).dropFirst(place.foreignParent == nil ? 3 : 0) {
                try enableControllers(path, hierarchy)
            }
        }
        return try directory.make(place.child)
    }

    /// The directories above a container's, from the top of the hierarchy.
    func above(_ place: ContainerPlace, in directory: CgroupDirectory) -> [String] {
        let mount = directory.hierarchy.mountPoint
        guard let parent = place.foreignParent else {
            return [mount, "\(mount)/\(Self.top)", directory.path]
                + place.between.map { "\(directory.path)/\($0)" }
        }
        return parent.split(separator: "/").reduce(into: [mount]) { $0.append("\($0.last ?? mount)/\($1)") }
    }

    /// Moves a running container's processes into a v1 directory it has now got.
    func move(_ child: String, from home: CgroupHierarchy, to hierarchy: CgroupHierarchy)
        throws(SyscallError)
    {
        guard let source = directory(in: home), let target = directory(in: hierarchy) else { return }
        // Again until nothing new was forked meanwhile.
        var moved: Set<Int32> = []
        for _ in 0..<100 {
            let fresh = source.processes(child).filter { !moved.contains($0) }
            if fresh.isEmpty { return }
            for process in fresh {
                do throws(SyscallError) {
                    try target.write(child + "/cgroup.procs", "\(process)")
                } catch {
                    if error.errno != .noProcess { throw error }
                }
                moved.insert(process)
            }
        }
    }

    /// The hierarchy for each limited controller.
    private func homes(of limits: ResourceLimits, container: String) throws(Failure) -> [Controller:
        CgroupHierarchy]
    {
        var homes: [Controller: CgroupHierarchy] = [:]
        let legacyOnly =
            limits.swappiness != nil
            ? "mem_swappiness"
            : limits.oomKillDisabled == true
                ? "oom_kill_disable"
                : limits.realtimeRuntime != nil
                    ? "cpu_rt_runtime" : limits.realtimePeriod != nil ? "cpu_rt_period" : nil
        let home = legacyOnly?.hasPrefix("cpu") == true ? "cpu" : "memory"
        if let legacyOnly, host.hierarchy(of: home)?.unified == true {
            throw Failure(
                "cannot keep `\(legacyOnly)` of container \"\(container)\"",
                cause: "cgroup v2, which this host has, knows nothing of the kind",
                advice: "remove `\(legacyOnly)`")
        }
        for controller in limits.controllers {
            guard let hierarchy = controller.hierarchy(of: host) else {
                throw Failure(
                    "cannot limit \(controller.rawValue) of container \"\(container)\"",
                    cause:
                        "no writable cgroup hierarchy of this host has the \(controller.rawValue) controller",
                    advice: host.isEnclosed
                        ? "run the enclosing container with a writable /sys/fs/cgroup, or leave the limit out"
                        : "enable the controller on the kernel's command line, or leave the limit out")
            }
            homes[controller] = hierarchy
        }
        return homes
    }

    private func advice(_ error: SyscallError) -> String? {
        switch error.errno {
        case .busy where host.isEnclosed, .noEntry where host.isEnclosed:
            "processes stand in the enclosing container's root cgroup: start it with --cgroupns=host, or move them to a leaf"
        case .notPermitted, .access: "run covey as root"
        case .readOnlyFileSystem: "mount /sys/fs/cgroup writable"
        default: nil
        }
    }
}

extension Controller {
    /// A file that is there when the controller is at work in a cgroup.
    fileprivate func probe(_ hierarchy: CgroupHierarchy) -> String {
        switch (self, hierarchy.unified) {
        case (.cpu, true): "cpu.max"
        case (.cpu, false): "cpu.cfs_quota_us"
        case (.memory, true): "memory.max"
        case (.memory, false): "memory.limit_in_bytes"
        case (.pids, _): "pids.max"
        case (.cpuset, _): "cpuset.cpus"
        case (.io, true): "io.max"
        case (.io, false): "blkio.throttle.read_bps_device"
        }
    }
}
