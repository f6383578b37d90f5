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

    /// nil when nothing of it is given.
    func rareSettings() throws(Failure) -> RareSettings? {
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
        rare.logging = try logging()
        if service.cgroup == "host" { rare.hostNamespaces.insert(.cgroup) }
        if let mode = service.uts, mode != "host" {
            throw Failure(
                "service \(quoted(service.name)): `uts: \(mode)` is not supported", advice: "`host` is",
                at: service.marks["uts"])
        }
        if service.uts == "host" {
            if let name = service.hostname != nil
                ? "hostname" : service.domainName != nil ? "domainname" : nil
            {
                throw mistake(
                    name, "has the host's name and a `\(name)`", cause: "`uts: host` is given",
                    advice: "remove one of them")
            }
            rare.hostNamespaces.insert(.uts)
        }
        return rare.isEmpty ? nil : rare
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
