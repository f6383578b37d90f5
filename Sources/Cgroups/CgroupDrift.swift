// SPDX-License-Identifier: Apache-2.0
//
// What of a running container's cgroup is not as it was made, and its repair in place: limits are written back, a
// removed cgroup is made again and its processes moved in. Freezing is a file of its own (Freezing.swift).

public import Basics
internal import CLinux
public import ContainerModel
internal import Kernel

public enum CgroupDrift: Hashable, Sendable {
    /// A file of a controller says something else.
    case limit(file: String, is: String, declared: String)
    case frozen
    /// By v1's freezer, in a cgroup that is none of ours.
    case frozenElsewhere(path: String)
    /// Its first process was stopped by a signal: from outside, as one of its own namespace can't (pid_namespaces(7)).
    case stopped
    /// Its directory of that hierarchy is not there.
    case gone(path: String)
    /// It is there, but the container's first process is not in it.
    case left(path: String)

    /// What happened, in the user's words.
    public var cause: String {
        switch self {
        case .limit(let file, let now, let declared): "\(file) was set to \(now), declared is \(declared)"
        case .frozen: "its processes were frozen"
        case .stopped: "its first process was stopped by a signal"
        case .frozenElsewhere(let path): "its processes were frozen in \(path)"
        case .gone(let path): "its cgroup \(path) was removed"
        case .left(let path): "its processes were moved out of \(path)"
        }
    }

    public var action: String {
        switch self {
        case .limit: "written back"
        case .frozen: "thawed"
        case .stopped: "continued"
        case .frozenElsewhere: "its processes moved out of there"
        case .gone: "made again, its processes moved in"
        case .left: "its processes moved back"
        }
    }
}

extension ContainerCgroup {
    /// The directories that tell of changes by inotify(7): writes to their files and, on v2, what the kernel notes in
    /// `cgroup.events` and `memory.events`.
    public var watchedDirectories: [String] {
        directories.filter { $0.has(child) }.map { $0.path(of: place) }
    }

    /// The container whose cgroup has that name in its project's; nil for another.
    public static func container(ofDirectory name: String) -> String? {
        let prefix = ProjectCgroup.containerPrefix
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : nil
    }

    /// Whether a change of that file can be drift; usage and events of pressure are not.
    public static func countsAsDrift(_ file: String) -> Bool {
        watchedFiles.contains(file)
    }
}

private let watchedFiles: Set<String> = [
    "cgroup.freeze", "cgroup.events", "cgroup.procs", "tasks", "freezer.state", "memory.max",
    "memory.swap.max",
    "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us",
    "cpu.cfs_period_us", "pids.max", "cpu.weight", "cpu.shares", "memory.low", "memory.soft_limit_in_bytes",
    "memory.swappiness",
]

extension ProjectCgroup {
    /// The project's own directories, which tell of a container's cgroup that is removed.
    public var watchedDirectories: [String] { directories.map(\.path) }

    /// What of a running container's cgroup is not as `ensureContainer` left it; freezing is for the caller to judge.
    /// - Parameter process: its first process.
    public func verifyContainer(_ name: String, limits: ResourceLimits, process: Int32) -> [CgroupDrift] {
        let place = place(of: name)
        let child = place.child
        var drift: [CgroupDrift] = []
        var homes: [CgroupHierarchy] = []
        if let home = membershipHierarchy { homes.append(home) }
        for controller in limits.controllers {
            guard let hierarchy = controller.hierarchy(of: host), !homes.contains(hierarchy) else {
                continue
            }
            homes.append(hierarchy)
        }
        // On v1 the device policy is its own directory's, or inherited through the keeper's place.
        for directory in directories
        where !directory.hierarchy.unified && directory.hierarchy.controllers.contains("devices") {
            let isOwn = directory.has(child)
            if !homes.contains(directory.hierarchy),
                !directory.holds(process, isOwn ? place.suffix : Self.engine)
            {
                drift.append(
                    .left(path: isOwn ? directory.path(of: place) : "\(directory.path)/\(Self.engine)"))
            }
        }
        for hierarchy in homes {
            let path = "\(hierarchy.mountPoint)/\(place.suffix)"
            guard let directory = directories.first(where: { $0.hierarchy == hierarchy }),
                directory.has(child)
            else {
                drift.append(.gone(path: path))
                continue
            }
            if !directory.holds(process, place.suffix) {
                drift.append(.left(path: path))
                continue
            }
            for (file, declared) in expectedLimits(limits, hierarchy) {
                guard let text = try? directory.read("\(child)/\(file)") else { continue }
                let now = String(text.prefix { $0 != "\n" })
                if !isSameLimit(now, declared, file: file) {
                    drift.append(.limit(file: file, is: now, declared: declared))
                }
            }
        }
        return drift
    }

    /// Makes the container's cgroup as it ought to be and moves those of its processes in that are not there.
    public mutating func restoreContainer(
        _ name: String, limits: ResourceLimits, devices: DevicePolicy? = nil, processes: [Int32]
    ) throws(Failure) {
        let own = try ensureContainer(name, limits: limits, devices: devices)
        do throws(SyscallError) {
            for directory in own.directories {
                let devices =
                    !directory.hierarchy.unified && directory.hierarchy.controllers.contains("devices")
                let place = directory.has(own.child) ? own.child : devices ? Self.engine : nil
                guard let place else { continue }
                let there = Set(directory.processes(place))
                for process in processes where !there.contains(process) {
                    do throws(SyscallError) {
                        try directory.write(place + "/cgroup.procs", "\(process)")
                    } catch {
                        // Ended meanwhile.
                        if error.errno != .noProcess { throw error }
                    }
                }
            }
        } catch {
            throw Failure("cannot put container \"\(name)\" back into its cgroups", error)
        }
    }
}

extension ProjectCgroup {
    /// Puts keeper and controller back where the project's engine stands.
    public func restoreEngine(_ processes: [Int32]) throws(Failure) {
        do throws(SyscallError) {
            for directory in directories where directory.has(Self.engine) {
                for process in processes where !directory.holds(process, Self.engine) {
                    try directory.write(Self.engine + "/cgroup.procs", "\(process)")
                }
            }
        } catch {
            throw Failure("cannot put the engine of project \"\(project)\" back into its cgroups", error)
        }
    }
}

extension CgroupDirectory {
    /// Where a process stands is told by itself in one small file; a cgroup may have thousands.
    func holds(_ process: Int32, _ child: String) -> Bool {
        guard let text = try? readText("/proc/\(process)/cgroup") else { return true }
        let suffix = "/\(child)"
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let controllers = Set(parts[1].split(separator: ",").map(String.init))
            let same = hierarchy.unified ? parts[1].isEmpty : controllers == Set(hierarchy.controllers)
            // Sub-cgroups of the container's own are its affair.
            if same { return parts[2].hasSuffix(suffix) || parts[2].contains(suffix + "/") }
        }
        return true
    }
}

/// Whether a file shows the declared limit: of memory, the kernel rounds down to whole pages.
func isSameLimit(_ now: String, _ declared: String, file: String) -> Bool {
    if now == declared { return true }
    guard file.hasPrefix("memory."), let number = Int64(now), let wanted = Int64(declared) else {
        return false
    }
    let page = Int64(sysconf(Int32(_SC_PAGESIZE)))
    return number == wanted / page * page
}
