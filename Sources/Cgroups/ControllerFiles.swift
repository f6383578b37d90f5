// SPDX-License-Identifier: Apache-2.0
//
// Limits as the controllers' files want them, v1 and v2 (kernel Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst).
// Swap follows Docker: a memory limit allows as much swap again.

internal import ContainerModel
internal import Kernel

/// A controller a limit needs.
enum Controller: String, CaseIterable, Sendable {
    case cpu, memory, pids, cpuset
    /// `blkio` on v1.
    case io

    /// Where it is on this host.
    func hierarchy(of host: CgroupHost) -> CgroupHierarchy? {
        if self == .io, let legacy = host.hierarchy(of: "blkio") { return legacy }
        return host.hierarchy(of: rawValue)
    }

    /// Switched on for every container of v2, and set back when a limit goes; the others only where one is asked for.
    static let common: [Controller] = [.cpu, .memory, .pids]
}

extension ResourceLimits {
    /// The controllers these limits need; a limit of 0 or less is none, as in Docker.
    var controllers: [Controller] {
        Controller.allCases.filter { controller in
            switch controller {
            case .cpu: quota != nil || cpuShares != nil || realtimeRuntime != nil || realtimePeriod != nil
            case .memory:
                memoryBytes != nil || memoryReservation != nil || swappiness != nil || oomKillDisabled == true
            case .pids: processes != nil
            case .cpuset: cpuSet != nil
            case .io: blockIO != nil
            }
        }
    }

    fileprivate var memoryBytes: Int64? { memory.flatMap { $0.bytes > 0 ? $0.bytes : nil } }
    fileprivate var processes: Int? { pids.flatMap { $0 > 0 ? $0 : nil } }

    /// Microseconds of processor time in each period; the kernel's least is 1 ms.
    fileprivate var quota: Int64? {
        if let cpuQuota { return Int64(cpuQuota) }
        return cpus.flatMap { $0 > 0 ? max(1000, Int64(min($0, 1e6) * 100_000 + 0.5)) : nil }
    }

    fileprivate var period: Int64 { Int64(cpuPeriod ?? 100_000) }

    /// v2's weight from v1's shares: [2, 262144] onto [1, 10000], as runtimes of the OCI do.
    fileprivate var weight: Int64? { cpuShares.map { 1 + (Int64($0) - 2) * 9999 / 262_142 } }

    /// Memory and swap together, -1 for no bound; nil without a limit of memory.
    fileprivate var total: Int64? {
        memoryBytes.map { memory in
            if let given = memoryAndSwap { return given.bytes }
            let double = memory.multipliedReportingOverflow(by: 2)
            return double.overflow ? -1 : double.partialValue
        }
    }

    /// Swap alone, as v2 counts it.
    fileprivate var swap: String {
        guard let memoryBytes, let given = memoryAndSwap else { return memoryBytes.map(String.init) ?? "max" }
        return given.bytes < 0 ? "max" : "\(given.bytes - memoryBytes)"
    }

    /// What is written beside the limits every container has; only what is given.
    fileprivate func further(_ controller: Controller, unified: Bool) -> [(file: String, value: String)] {
        var files: [(String, String)] = []
        switch controller {
        case .cpu:
            if unified, let weight { files.append(("cpu.weight", "\(weight)")) }
            if !unified, let cpuShares { files.append(("cpu.shares", "\(cpuShares)")) }
        case .memory:
            if let memoryReservation {
                files.append(
                    (unified ? "memory.low" : "memory.soft_limit_in_bytes", "\(memoryReservation.bytes)"))
            }
            if let swappiness { files.append(("memory.swappiness", "\(swappiness)")) }
        case .cpuset:
            if let cpuSet { files.append(("cpuset.cpus", cpuSet)) }
        case .pids, .io: break
        }
        return files
    }
}

/// What the files of a hierarchy say when these limits hold. Files that are not there say nothing.
func expectedLimits(_ limits: ResourceLimits, _ hierarchy: CgroupHierarchy) -> [(file: String, value: String)]
{
    var files: [(String, String)] = []
    let has = { (controller: Controller) in hierarchy.controllers.contains(controller.rawValue) }
    if has(.cpu) {
        if hierarchy.unified {
            files.append(("cpu.max", "\(limits.quota.map(String.init) ?? "max") \(limits.period)"))
        } else if limits.quota != nil {
            files.append(("cpu.cfs_period_us", "\(limits.period)"))
            files.append(("cpu.cfs_quota_us", "\(limits.quota ?? -1)"))
        }
    }
    if has(.pids) { files.append(("pids.max", limits.processes.map(String.init) ?? "max")) }
    if has(.memory) {
        if hierarchy.unified {
            let limit = limits.memoryBytes.map(String.init) ?? "max"
            files.append(("memory.max", limit))
            files.append(("memory.swap.max", limits.swap))
        } else if let limit = limits.memoryBytes {
            files.append(("memory.limit_in_bytes", "\(limit)"))
            if let total = limits.total, total >= 0 {
                files.append(("memory.memsw.limit_in_bytes", "\(total)"))
            }
        }
    }
    for controller in Controller.allCases where has(controller) {
        // The kernel writes a list of processors in its own way.
        if controller == .cpuset || controller == .io { continue }
        files += limits.further(controller, unified: hierarchy.unified)
    }
    return files
}

extension CgroupDirectory {
    /// Sets one controller's limit on a child; no limit lifts it.
    func set(_ controller: Controller, of limits: ResourceLimits, on child: String) throws(SyscallError) {
        switch (controller, hierarchy.unified) {
        case (.cpu, true):
            try write(child + "/cpu.max", "\(limits.quota.map(String.init) ?? "max") \(limits.period)")
        case (.cpu, false):
            if limits.quota != nil { try write(child + "/cpu.cfs_period_us", "\(limits.period)") }
            try write(child + "/cpu.cfs_quota_us", "\(limits.quota ?? -1)")
        case (.pids, _):
            try write(child + "/pids.max", limits.processes.map(String.init) ?? "max")
        case (.memory, true):
            let limit = limits.memoryBytes.map(String.init) ?? "max"
            // The file is missing where swap is not accounted (CONFIG_SWAP, swapaccount=0).
            try writeIfThere(child + "/memory.swap.max", limits.swap)
            try write(child + "/memory.max", limit)
        case (.memory, false):
            try setLegacyMemory(limits, child)
        case (.cpuset, true), (.io, _): break
        case (.cpuset, false):
            // No process comes in before it has memory nodes: the project's.
            try write(child + "/cpuset.mems", read("cpuset.mems").filter { $0 != "\n" })
        }
        for (file, value) in limits.further(controller, unified: hierarchy.unified) {
            try write(child + "/" + file, value)
        }
        if controller == .memory, !hierarchy.unified, limits.oomKillDisabled == true {
            try write(child + "/memory.oom_control", "1")
        }
    }

    /// memory.limit_in_bytes may never be above memory.memsw.limit_in_bytes: EINVAL tells which must move first.
    private func setLegacyMemory(_ limits: ResourceLimits, _ child: String) throws(SyscallError) {
        let limit = limits.memoryBytes
        let total = limits.total ?? -1
        if limit == nil { try writeIfThere(child + "/memory.memsw.limit_in_bytes", "-1") }
        do throws(SyscallError) {
            try write(child + "/memory.limit_in_bytes", "\(limit ?? -1)")
        } catch {
            guard error.errno == .invalid else { throw error }
            try writeIfThere(child + "/memory.memsw.limit_in_bytes", "\(total)")
            try write(child + "/memory.limit_in_bytes", "\(limit ?? -1)")
        }
        if limit != nil { try writeIfThere(child + "/memory.memsw.limit_in_bytes", "\(total)") }
    }

    private func writeIfThere(_ file: String, _ value: String) throws(SyscallError) {
        do throws(SyscallError) {
            try write(file, value)
        } catch {
            // EOPNOTSUPP: the file is there, accounting is off.
            if error.errno != .noEntry && error.errno != .notSupported { throw error }
        }
    }
}
