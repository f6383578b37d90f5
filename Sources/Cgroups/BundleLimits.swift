// SPDX-License-Identifier: Apache-2.0
//
// `linux.resources` as the controllers' files want it (config-linux.md, "Control groups"; kernel
// Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst). A limit whose controller this host has not is an error that
// names it; what is not said is not touched.

public import Basics
internal import Kernel
public import OCIFormats

/// One write: the controller it needs, the file and what goes in.
struct LimitWrite: Hashable {
    let field: String
    let controller: String
    let file: String
    let value: String
    /// Where the kernel has no such file it is no limit of ours either: swap that isn't accounted.
    var optional = false
}

extension BundleCgroup {
    /// Sets the limits that are given. Devices are set by `setDevices`.
    public func apply(_ resources: RuntimeResources) throws(Failure) {
        let unified =
            places.contains { $0.hierarchy.unified && !$0.hierarchy.controllers.isEmpty }
            && !places.contains { !$0.hierarchy.unified && $0.hierarchy.controllers.contains("memory") }
        let writes = try limitWrites(resources, unified: unified)
        for (index, write) in writes.enumerated() {
            do throws(Failure) { try set(write) } catch {
                // v1 takes a period only while the quota of now still fits the parent's; then the new quota comes first.
                guard write.file == "cpu.cfs_period_us",
                    let quota = writes.dropFirst(index).first(where: { $0.file == "cpu.cfs_quota_us" })
                else { throw error }
                try set(quota)
                try set(write)
            }
        }
        for pair in resources.unified {
            guard let own = self.unified else {
                throw Failure(
                    "cannot set linux.resources.unified \"\(pair.name)\"",
                    cause: "invalid configuration: this host has no cgroup v2 hierarchy")
            }
            guard !pair.name.contains("/"), !pair.name.isEmpty else {
                throw Failure(
                    "cannot set linux.resources.unified \"\(pair.name)\"",
                    cause: "it is no name of a file in a cgroup")
            }
            for line in pair.value.split(separator: "\n") {
                try naming("cannot set linux.resources.unified \"\(pair.name)\"") { () throws(SyscallError) in
                    try writeControl("\(own.path)/\(pair.name)", String(line))
                }
            }
        }
    }

    private func set(_ write: LimitWrite) throws(Failure) {
        guard let place = place(of: write.controller) else {
            if write.optional { return }
            throw Failure(
                "cannot set \(write.field)",
                cause: "this host has no writable cgroup controller \"\(write.controller)\"",
                advice: "leave \(write.field) out, or switch the controller on")
        }
        do throws(SyscallError) {
            try writeControl("\(place.path)/\(write.file)", write.value)
        } catch {
            if write.optional, [.noEntry, .notSupported].contains(error.errno) { return }
            throw Failure(
                "cannot set \(write.field) to \(write.value)", error,
                advice: error.errno == .noEntry ? "this kernel has no \(write.file)" : nil)
        }
    }

    private func limitWrites(_ resources: RuntimeResources, unified: Bool) throws(Failure) -> [LimitWrite] {
        var writes: [LimitWrite] = []
        func add(
            _ field: String, _ controller: String, _ file: String, _ value: String?, optional: Bool = false
        ) {
            guard let value else { return }
            writes.append(
                LimitWrite(
                    field: "linux.resources.\(field)", controller: controller, file: file, value: value,
                    optional: optional))
        }
        func bound(_ value: Int64) -> String { value < 0 ? "max" : "\(value)" }
        let cpu = resources.cpu
        add("cpu.cpus", "cpuset", "cpuset.cpus", cpu.cpus)
        add("cpu.mems", "cpuset", "cpuset.mems", cpu.mems)
        if let pids = resources.pids {
            // 0 is a limit for nobody: as in runc it means none.
            add("pids.limit", "pids", "pids.max", pids <= 0 ? "max" : "\(pids)")
        }
        if unified {
            if let shares = cpu.shares, shares > 0 {
                // As runtimes of the OCI map it: [2, 262144] onto [1, 10000].
                let clamped = min(max(shares, 2), 262_144)
                add("cpu.shares", "cpu", "cpu.weight", "\(1 + (clamped - 2) * 9999 / 262_142)")
            }
            if let idle = cpu.idle { add("cpu.idle", "cpu", "cpu.idle", "\(idle)") }
            let isPart = (cpu.quota == nil) != (cpu.period == nil)
            let now = isPart ? place(of: "cpu").flatMap { try? readText("\($0.path)/cpu.max") } : nil
            add(
                "cpu.quota", "cpu", "cpu.max",
                unifiedBandwidth(quota: cpu.quota, period: cpu.period, now: now ?? ""))
            add("cpu.burst", "cpu", "cpu.max.burst", cpu.burst.map(String.init))
            try addUnifiedMemory(resources.memory, add, bound)
        } else {
            add("cpu.shares", "cpu", "cpu.shares", cpu.shares.flatMap { $0 == 0 ? nil : "\($0)" })
            add("cpu.idle", "cpu", "cpu.idle", cpu.idle.map(String.init))
            // A quota is never above its burst; the period first, as a quota is checked against it.
            add("cpu.period", "cpu", "cpu.cfs_period_us", cpu.period.flatMap { $0 == 0 ? nil : "\($0)" })
            add("cpu.quota", "cpu", "cpu.cfs_quota_us", cpu.quota.flatMap { $0 == 0 ? nil : "\($0)" })
            add("cpu.burst", "cpu", "cpu.cfs_burst_us", cpu.burst.map(String.init))
            add(
                "cpu.realtimePeriod", "cpu", "cpu.rt_period_us",
                cpu.realtimePeriod.flatMap { $0 == 0 ? nil : "\($0)" })
            add(
                "cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us",
                cpu.realtimeRuntime.flatMap { $0 == 0 ? nil : "\($0)" })
            addLegacyMemory(resources.memory, add)
        }
        addBlockIO(resources.blockIO, unified: unified, add)
        for limit in resources.hugePages {
            // On a hybrid host the controller may be v2's though memory is not. Reservations are limited where the kernel
            // counts them (5.7), as config-linux.md, "Huge page limits" has it; use is limited as well.
            let place = place(of: "hugetlb")
            let last = place?.hierarchy.unified ?? unified ? "max" : "limit_in_bytes"
            let reserved = "hugetlb.\(limit.pageSize).rsvd.\(last)"
            if let place, Kernel.exists("\(place.path)/\(reserved)") {
                add("hugepageLimits", "hugetlb", reserved, "\(limit.limit)")
            }
            add("hugepageLimits", "hugetlb", "hugetlb.\(limit.pageSize).\(last)", "\(limit.limit)")
        }
        if let id = resources.network.classID {
            add("network.classID", "net_cls", "net_cls.classid", "\(id)", optional: unified)
        }
        for entry in resources.network.priorities {
            add("network.priorities", "net_prio", "net_prio.ifpriomap", "\(entry.name) \(entry.priority)")
        }
        for limit in resources.rdma {
            let parts = [limit.handles.map { "hca_handle=\($0)" }, limit.objects.map { "hca_object=\($0)" }]
            add(
                "rdma", "rdma", "rdma.max",
                ([limit.device] + parts.compactMap { $0 }).joined(separator: " "))
        }
        return writes
    }

    private typealias Add = (String, String, String, String?, Bool) -> Void

    /// `swap` in the specification is memory and swap together; v2 counts swap alone.
    private func addUnifiedMemory(
        _ memory: RuntimeResources.Memory, _ add: Add, _ bound: (Int64) -> String
    ) throws(Failure) {
        if let swap = memory.swap, swap != 0 {
            var value = bound(swap)
            if swap > 0 {
                guard let limit = memory.limit, limit > 0 else {
                    throw Failure(
                        "cannot set linux.resources.memory.swap",
                        cause: "it counts memory too, and memory.limit is not given")
                }
                guard swap >= limit else {
                    throw Failure(
                        "cannot set linux.resources.memory.swap",
                        cause: "memory and swap together (\(swap)) are less than memory (\(limit))")
                }
                value = "\(swap - limit)"
            }
            add("memory.swap", "memory", "memory.swap.max", value, true)
        } else if memory.limit == -1 {
            add("memory.swap", "memory", "memory.swap.max", "max", true)
        }
        if let limit = memory.limit, limit != 0 {
            // What v1's kernel does by itself; v2's would have its processes killed.
            if limit > 0, memory.checkBeforeUpdate == true, let place = place(of: "memory"),
                let used = Int64(
                    (try? readText("\(place.path)/memory.current"))?.prefix { $0 != "\n" } ?? ""),
                limit < used
            {
                throw Failure(
                    "cannot set linux.resources.memory.limit to \(limit)",
                    cause: "it is less than what is used now (\(used)), and checkBeforeUpdate is set")
            }
            add("memory.limit", "memory", "memory.max", bound(limit), false)
        }
        if let low = memory.reservation, low != 0 {
            add("memory.reservation", "memory", "memory.low", bound(low), false)
        }
    }

    /// memory.limit_in_bytes may never be above memory.memsw.limit_in_bytes, so their order hangs on what is there.
    private func addLegacyMemory(_ memory: RuntimeResources.Memory, _ add: Add) {
        let limit = memory.limit.flatMap { $0 == 0 ? nil : "\($0)" }
        var swap = memory.swap.flatMap { $0 == 0 ? nil : "\($0)" }
        if memory.limit == -1, swap == nil { swap = "-1" }
        var growing = false
        if let place = place(of: "memory"), let wanted = memory.limit,
            let text = try? readText("\(place.path)/memory.memsw.limit_in_bytes"),
            let now = Int64(text.prefix { $0 != "\n" })
        {
            growing = wanted < 0 || wanted > now
        }
        if growing { add("memory.swap", "memory", "memory.memsw.limit_in_bytes", swap, true) }
        add("memory.limit", "memory", "memory.limit_in_bytes", limit, false)
        if !growing { add("memory.swap", "memory", "memory.memsw.limit_in_bytes", swap, true) }
        add(
            "memory.reservation", "memory", "memory.soft_limit_in_bytes",
            memory.reservation.flatMap { $0 == 0 ? nil : "\($0)" }, false)
        // Kernel memory has no limit of its own since Linux 5.16: an error would help nobody (cgroup-v1/memory.rst).
        add(
            "memory.kernel", "memory", "memory.kmem.limit_in_bytes",
            memory.kernel.flatMap { $0 == 0 ? nil : "\($0)" }, true)
        add(
            "memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes",
            memory.kernelTCP.flatMap { $0 == 0 ? nil : "\($0)" }, true)
        add("memory.swappiness", "memory", "memory.swappiness", memory.swappiness.map(String.init), false)
        if memory.disableOOMKiller == true {
            add("memory.disableOOMKiller", "memory", "memory.oom_control", "1", false)
        }
    }

    private func addBlockIO(_ io: RuntimeResources.BlockIO, unified: Bool, _ add: Add) {
        guard io != RuntimeResources().blockIO else { return }
        let controller = unified ? "io" : "blkio"
        // The one scheduler with weights has files of its own where the block layer's common ones are gone (Linux 5.0).
        let bfq = place(of: controller).flatMap { place in
            unified || Kernel.exists("\(place.path)/blkio.weight") ? nil : "blkio.bfq.weight"
        }
        let weightFile = unified ? "io.weight" : bfq ?? "blkio.weight"
        if let weight = io.weight, weight != 0 {
            // v2's io.weight goes to 10000 where v1's went to 1000; bfq's own file keeps the old scale.
            let value = unified ? "default \(unifiedWeight(UInt64(weight)))" : "\(weight)"
            add("blockIO.weight", controller, weightFile, value, false)
        }
        if let weight = io.leafWeight, weight != 0, !unified {
            add("blockIO.leafWeight", controller, "blkio.leaf_weight", "\(weight)", false)
        }
        for device in io.weightDevice {
            if let weight = device.weight {
                add(
                    "blockIO.weightDevice", controller,
                    unified ? "io.weight" : bfq.map { $0 + "_device" } ?? "blkio.weight_device",
                    "\(device.major):\(device.minor) \(unified ? unifiedWeight(UInt64(weight)) : UInt64(weight))",
                    false)
            }
            if let weight = device.leafWeight, !unified {
                add(
                    "blockIO.weightDevice", controller, "blkio.leaf_weight_device",
                    "\(device.major):\(device.minor) \(weight)", false)
            }
        }
        let throttles: [(String, String, String, [RuntimeResources.Throttle])] = [
            ("throttleReadBpsDevice", "rbps", "read_bps_device", io.readBytes),
            ("throttleWriteBpsDevice", "wbps", "write_bps_device", io.writeBytes),
            ("throttleReadIOPSDevice", "riops", "read_iops_device", io.readOperations),
            ("throttleWriteIOPSDevice", "wiops", "write_iops_device", io.writeOperations),
        ]
        for (field, key, file, limits) in throttles {
            for limit in limits {
                let device = "\(limit.major):\(limit.minor)"
                add(
                    "blockIO.\(field)", controller, unified ? "io.max" : "blkio.throttle.\(file)",
                    unified
                        ? "\(device) \(key)=\(limit.rate == 0 ? "max" : "\(limit.rate)")"
                        : "\(device) \(limit.rate)",
                    false)
            }
        }
    }
}

/// What cpu.max becomes: of quota and period each stays as it is `now` where it isn't given. nil when neither is.
func unifiedBandwidth(quota: Int64?, period: UInt64?, now: String) -> String? {
    if quota == nil, period ?? 0 == 0 { return nil }
    let parts = now.split(whereSeparator: \.isWhitespace).map(String.init)
    let limit = quota.map { $0 > 0 ? "\($0)" : "max" } ?? parts.first ?? "max"
    let length = period.flatMap { $0 == 0 ? nil : "\($0)" } ?? parts.dropFirst().first ?? "100000"
    return "\(limit) \(length)"
}

/// v1's weights from 10 to 1000 onto v2's from 1 to 10000, as runtimes of the OCI map them.
func unifiedWeight(_ weight: UInt64) -> UInt64 { 1 + (max(weight, 10) - 10) * 9999 / 990 }
