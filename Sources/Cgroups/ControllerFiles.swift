// SPDX-License-Identifier: Apache-2.0
//
// Limits as the controllers' files want them, v1 and v2 (kernel Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst).
// Swap follows Docker: a memory limit allows as much swap again.

internal import ContainerModel
internal import Kernel

/// A controller a limit needs.
enum Controller: String, CaseIterable, Sendable {
    case cpu, memory, pids
}

extension ResourceLimits {
    /// The controllers these limits need; a limit of 0 or less is none, as in Docker.
    var controllers: [Controller] {
        Controller.allCases.filter { controller in
            switch controller {
            case .cpu: quota != nil
            case .memory: memoryBytes != nil
            case .pids: processes != nil
            }
        }
    }

    fileprivate var memoryBytes: Int64? { memory.flatMap { $0.bytes > 0 ? $0.bytes : nil } }
    fileprivate var processes: Int? { pids.flatMap { $0 > 0 ? $0 : nil } }

    /// Microseconds of processor time in each period of 100 ms; the kernel's least is 1 ms.
    fileprivate var quota: Int64? {
        cpus.flatMap { $0 > 0 ? max(1000, Int64(min($0, 1e6) * 100_000 + 0.5)) : nil }
    }
}

/// What the files of a hierarchy say when these limits hold. Files that are not there say nothing.
func expectedLimits(_ limits: ResourceLimits, _ hierarchy: CgroupHierarchy) -> [(file: String, value: String)]
{
    var files: [(String, String)] = []
    let has = { (controller: Controller) in hierarchy.controllers.contains(controller.rawValue) }
    if has(.cpu) {
        if hierarchy.unified {
            files.append(("cpu.max", "\(limits.quota.map(String.init) ?? "max") 100000"))
        } else if limits.quota != nil {
            files.append(("cpu.cfs_period_us", "100000"))
            files.append(("cpu.cfs_quota_us", "\(limits.quota ?? -1)"))
        }
    }
    if has(.pids) { files.append(("pids.max", limits.processes.map(String.init) ?? "max")) }
    if has(.memory) {
        if hierarchy.unified {
            let limit = limits.memoryBytes.map(String.init) ?? "max"
            files.append(("memory.max", limit))
            files.append(("memory.swap.max", limit))
        } else if let limit = limits.memoryBytes {
            files.append(("memory.limit_in_bytes", "\(limit)"))
            let total = limit.multipliedReportingOverflow(by: 2)
            if !total.overflow { files.append(("memory.memsw.limit_in_bytes", "\(total.partialValue)")) }
        }
    }
    return files
}

extension CgroupDirectory {
    /// Sets one controller's limit on a child; no limit lifts it.
    func set(_ controller: Controller, of limits: ResourceLimits, on child: String) throws(SyscallError) {
        switch (controller, hierarchy.unified) {
        case (.cpu, true):
            try write(child + "/cpu.max", "\(limits.quota.map(String.init) ?? "max") 100000")
        case (.cpu, false):
            if limits.quota != nil { try write(child + "/cpu.cfs_period_us", "100000") }
            try write(child + "/cpu.cfs_quota_us", "\(limits.quota ?? -1)")
        case (.pids, _):
            try write(child + "/pids.max", limits.processes.map(String.init) ?? "max")
        case (.memory, true):
            let limit = limits.memoryBytes.map(String.init) ?? "max"
            // The file is missing where swap is not accounted (CONFIG_SWAP, swapaccount=0).
            try writeIfThere(child + "/memory.swap.max", limit)
            try write(child + "/memory.max", limit)
        case (.memory, false):
            try setLegacyMemory(limits.memoryBytes, child)
        }
    }

    /// memory.limit_in_bytes may never be above memory.memsw.limit_in_bytes: EINVAL tells which must move first.
    private func setLegacyMemory(_ limit: Int64?, _ child: String) throws(SyscallError) {
        let total =
            limit.map { $0.multipliedReportingOverflow(by: 2) }.map { $0.overflow ? -1 : $0.partialValue }
            ?? -1
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
