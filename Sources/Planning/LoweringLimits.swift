// SPDX-License-Identifier: Apache-2.0
//
// A service's limits and rare settings. What the kernel would refuse or bend by itself is said here, with its place;
// what this host's cgroups can't keep is said when the container starts.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    func limits() throws(Failure) -> ResourceLimits {
        var limits = ResourceLimits(
            cpus: service.cpuLimit, memory: service.memoryBound, pids: service.pidsBound)
        try processorTime(&limits)
        try memory(&limits)
        try reserve(in: &limits)
        try realtime(&limits)
        limits.blockIO = try blockLimits()
        return limits
    }

    /// The engine's bounds, which are the kernel's (Documentation/scheduler/sched-bwc.rst); zero counts as unset.
    private func processorTime(_ limits: inout ResourceLimits) throws(Failure) {
        let quota = service.cpuQuota.flatMap { $0 != 0 ? $0 : nil }
        let period = service.cpuPeriod.flatMap { $0 != 0 ? $0 : nil }
        if limits.cpus != nil, let name = quota != nil ? "cpu_quota" : period != nil ? "cpu_period" : nil {
            throw mistake(
                name, "limits processor time twice", cause: "`cpus` is given as well",
                advice: "keep `cpus`, or `cpu_quota` with `cpu_period`")
        }
        if let quota, quota > 0, quota < 1000 {
            throw mistake("cpu_quota", "has a `cpu_quota` of \(quota) µs", advice: "1000 is the least")
        }
        if let period, !(1000...1_000_000).contains(period) {
            throw mistake(
                "cpu_period", "has a `cpu_period` of \(period) µs", advice: "from 1000 to 1000000")
        }
        limits.cpuQuota = quota.flatMap { $0 > 0 ? $0 : nil }
        limits.cpuPeriod = period
        // The kernel keeps a weight within these itself.
        limits.cpuShares = service.cpuShares.flatMap { $0 > 0 ? min(max($0, 2), 262_144) : nil }
        limits.cpuSet = service.cpuSet
    }

    /// The kernel's own rule: a runtime is part of its period (Documentation/scheduler/sched-rt-group.rst).
    private func realtime(_ limits: inout ResourceLimits) throws(Failure) {
        limits.realtimeRuntime = service.cpuRealtimeRuntime.flatMap { $0 > 0 ? $0 : nil }
        limits.realtimePeriod = service.cpuRealtimePeriod.flatMap { $0 > 0 ? $0 : nil }
        if let runtime = limits.realtimeRuntime, runtime > limits.realtimePeriod ?? 1_000_000 {
            throw mistake(
                "cpu_rt_runtime", "has a `cpu_rt_runtime` longer than its period",
                cause: "\(runtime) µs in each \(limits.realtimePeriod ?? 1_000_000) µs",
                advice: "shorten it, or lengthen `cpu_rt_period`")
        }
    }

    private func blockLimits() throws(Failure) -> BlockLimits? {
        guard let given = service.blockIO, given != Service.BlockIO() else { return nil }
        var limits = BlockLimits()
        // 0 is unset, as in the engine.
        limits.weight = given.weight.flatMap { $0 > 0 ? $0 : nil }
        let weights = (limits.weight.map { [Int64($0)] } ?? []) + given.weights.map(\.value)
        if let weight = weights.first(where: { !(10...1000).contains($0) }) {
            throw mistake(
                "blkio_config", "has a weight of \(weight) in `blkio_config`", advice: "from 10 to 1000")
        }
        let all =
            given.weights + given.readBytes + given.writeBytes + given.readOperations + given.writeOperations
        if let entry = all.first(where: { !$0.path.hasPrefix("/") }) {
            throw mistake(
                "blkio_config", "names the device \(quoted(entry.path)) in `blkio_config`",
                cause: "it is no absolute path", advice: "such as /dev/sda")
        }
        func lowered(_ entries: [Service.BlockIO.Entry]) -> [BlockLimit] {
            entries.map { BlockLimit(path: $0.path, value: $0.value) }
        }
        limits.weights = lowered(given.weights)
        limits.readBytes = lowered(given.readBytes)
        limits.writeBytes = lowered(given.writeBytes)
        limits.readOperations = lowered(given.readOperations)
        limits.writeOperations = lowered(given.writeOperations)
        return limits
    }

    private func memory(_ limits: inout ResourceLimits) throws(Failure) {
        let memory = limits.memory
        if let reservation = service.memoryReservation, reservation.bytes > 0 {
            if let memory, reservation.bytes > memory.bytes {
                throw mistake(
                    "mem_reservation", "reserves more memory than it may use",
                    cause: "`mem_reservation` is \(reservation), the limit \(memory)",
                    advice: "lower `mem_reservation`, or raise `mem_limit`")
            }
            limits.memoryReservation = reservation
        }
        if let total = service.memorySwapLimit, total.bytes != 0 {
            guard let memory else {
                throw mistake(
                    "memswap_limit", "limits swap and not memory",
                    cause: "`memswap_limit` is memory and swap together", advice: "give `mem_limit` as well")
            }
            if total.bytes > 0, total.bytes < memory.bytes {
                throw mistake(
                    "memswap_limit", "may use more memory than memory and swap together",
                    cause: "`memswap_limit` is \(total), the limit of memory \(memory)",
                    advice: "raise `memswap_limit`; equal to `mem_limit` is no swap, -1 is all of it")
            }
            limits.memoryAndSwap = total
        }
        limits.swappiness = service.memorySwappiness
        limits.oomKillDisabled = service.oomKillDisable ? true : nil
    }

    func rareSettings() throws(Failure) -> RareSettings {
        var rare = RareSettings()
        rare.oomScoreAdjustment = service.oomScoreAdjustment.flatMap { $0 != 0 ? $0 : nil }
        rare.groups = service.groupAdd
        rare.domainName = service.domainName
        if let name = service.domainName, !isDomain(name) {
            throw mistake(
                "domainname", "has the domain name \(quoted(name))",
                advice: "at most 64 letters, digits, \"-\", \"_\" and \".\"")
        }
        // Each goes into a line of resolv.conf as it is.
        for (attribute, words) in [("dns_search", service.dnsSearch), ("dns_opt", service.dnsOptions)]
        where words.contains(where: { $0.isEmpty || $0.contains { $0.isWhitespace } }) {
            throw mistake(
                attribute, "has white space in `\(attribute)`", cause: "or an item of it is empty",
                advice: "one word each")
        }
        rare.dnsSearch = service.dnsSearch
        rare.dnsOptions = service.dnsOptions
        rare.links = try links()
        rare.externalLinks = try externalLinks()
        rare.cgroupParent = service.cgroupParent
        rare.storageSize = service.storageOptions["size"].flatMap { ByteSize($0) }
        rare.logging = try logging()
        rare.annotations = service.annotations
        try namespaces(&rare)
        try devices(&rare)
        return rare
    }

    /// The kernel's bound, __NEW_UTS_LEN of linux/utsname.h.
    private func isDomain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 64
            && name.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || $0.properties.numericType != nil
                        || "-_.".unicodeScalars.contains($0))
            }
    }

    func mistake(_ attribute: String, _ what: String, cause: String? = nil, advice: String) -> Failure {
        Failure(
            "service \(quoted(service.name)) \(what)", cause: cause, advice: advice,
            at: service.marks.place(attribute))
    }
}
