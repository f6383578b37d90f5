// SPDX-License-Identifier: Apache-2.0
//
// The cgroup of a build step: as a project of one container, `covey/build.<pid>.<n>/ctr-step`, with the device policy that
// services have and the limits it is given. It lasts as long as the step; one that a killed builder left goes with the next step.

public import Basics
internal import CLinux
public import ContainerModel
internal import Kernel

/// Made for one build step of this process.
public struct StepCgroup {
    private var project: ProjectCgroup
    private let own: ContainerCgroup?
    /// Processes and threads it may have at once; nil is any number.
    public let mostProcesses: Int?

    private static let prefix = "build."

    /// Where an enclosing container keeps cgroups to itself nothing is made.
    /// - number: steps that run side by side have different ones.
    /// - usualProcesses: a limit of processes where `limits` has none, which is kept as far as the host can.
    /// - Throws: what the kernel refused, and limits that can't be kept.
    public init(
        number: Int = 0, devices: DevicePolicy = .dockerDefault, limits: ResourceLimits = ResourceLimits(),
        usualProcesses: Int? = nil
    ) throws(Failure) {
        let host = try CgroupHost.detect()
        Self.removeAbandoned(host)
        project = try ProjectCgroup(
            host: host, project: "\(Self.prefix)\(getpid()).\(number)", devices: devices)
        do throws(Failure) {
            try project.ensure()
            let isThere = project.engineCloneInto != nil || !project.engineTaskFiles.isEmpty
            guard isThere || limits == ResourceLimits() else {
                throw Failure(
                    "cannot limit a build step", cause: "no cgroup can be made here",
                    advice:
                        "build without limits, or outside of the container that keeps cgroups to itself"
                )
            }
            (own, mostProcesses) = isThere ? try Self.place(in: &project, limits, usualProcesses) : (nil, nil)
        } catch {
            try? project.remove()
            throw error
        }
    }

    /// The usual limit is kept where it can be: a host may not count processes, or let nobody limit them in here.
    private static func place(in project: inout ProjectCgroup, _ limits: ResourceLimits, _ usual: Int?)
        throws(Failure) -> (ContainerCgroup?, Int?)
    {
        if limits.pids == nil, let usual {
            var wished = limits
            wished.pids = usual
            if let own = try? project.ensureContainer("step", limits: wished) { return (own, usual) }
        }
        return (try project.ensureContainer("step", limits: limits), limits.pids)
    }

    /// True when its processes open no other devices than a service's do.
    public var hasDevicePolicy: Bool { own != nil }

    /// In this order: the policy's own directory first, so that a place deeper in the same hierarchy is the last.
    public var taskFiles: [String] { own.map { project.engineTaskFiles + $0.taskFiles } ?? [] }

    public var cloneInto: String? { own?.cloneInto }

    /// Processes the kernel killed for want of memory.
    public var memoryKills: Int { own?.memoryKills ?? 0 }

    /// Processes and threads the kernel refused it.
    public var refusedForks: Int { own?.refusedForks ?? 0 }

    /// Kills what the step left and removes the cgroup.
    public mutating func remove() {
        if let own, !own.isEmpty {
            try? own.kill()
            for _ in 0..<200 where !own.isEmpty { pauseBetweenLooks(.milliseconds(5)) }
        }
        try? own?.remove()
        try? project.remove()
    }

    private static func removeAbandoned(_ host: CgroupHost) {
        var names: Set<String> = []
        for hierarchy in host.writable {
            for name in (try? directoryEntries("\(hierarchy.mountPoint)/\(ProjectCgroup.top)")) ?? []
            where name.hasPrefix(prefix) {
                guard let pid = Int32(name.dropFirst(prefix.count).prefix { $0 != "." }), pid > 0,
                    !exists("/proc/\(pid)")
                else {
                    continue
                }
                names.insert(name)
            }
        }
        for name in names {
            guard var left = try? ProjectCgroup(host: host, project: name) else { continue }
            try? left.container("step").remove()
            try? left.remove()
        }
    }
}
