// SPDX-License-Identifier: Apache-2.0

import Basics
import ContainerModel
import Testing

@testable import Cgroups

@Suite("limits as the controllers' files say them")
struct ControllerFilesTests {
    private static func limits(_ change: (inout ResourceLimits) -> Void) -> ResourceLimits {
        var limits = ResourceLimits()
        change(&limits)
        return limits
    }

    @Test(
        "each kind, on v1 and on v2",
        arguments: [
            (
                limits { $0.cpus = 1.5 }, ["cpu.cfs_period_us 100000", "cpu.cfs_quota_us 150000"],
                ["cpu.max 150000 100000"]
            ),
            (
                limits {
                    $0.cpuQuota = 5000
                    $0.cpuPeriod = 20_000
                }, ["cpu.cfs_period_us 20000", "cpu.cfs_quota_us 5000"], ["cpu.max 5000 20000"]
            ),
            (limits { $0.cpuShares = 2 }, ["cpu.shares 2"], ["cpu.weight 1"]),
            (limits { $0.cpuShares = 1024 }, ["cpu.shares 1024"], ["cpu.weight 39"]),
            (limits { $0.cpuShares = 262_144 }, ["cpu.shares 262144"], ["cpu.weight 10000"]),
            (
                limits { $0.memory = ByteSize(bytes: 4096) },
                ["memory.limit_in_bytes 4096", "memory.memsw.limit_in_bytes 8192"],
                ["memory.max 4096", "memory.swap.max 4096"]
            ),
            (
                limits {
                    $0.memory = ByteSize(bytes: 4096)
                    $0.memoryAndSwap = ByteSize(bytes: 4096)
                }, ["memory.limit_in_bytes 4096", "memory.memsw.limit_in_bytes 4096"],
                ["memory.max 4096", "memory.swap.max 0"]
            ),
            (
                limits {
                    $0.memory = ByteSize(bytes: 4096)
                    $0.memoryAndSwap = ByteSize(bytes: -1)
                }, ["memory.limit_in_bytes 4096"], ["memory.max 4096"]
            ),
            (
                limits { $0.memoryReservation = ByteSize(bytes: 4096) },
                ["memory.soft_limit_in_bytes 4096"], ["memory.low 4096"]
            ),
        ] as [(ResourceLimits, [String], [String])])
    func files(_ limits: ResourceLimits, _ legacy: [String], _ unified: [String]) {
        #expect(said(limits, unified: false) == legacy)
        #expect(said(limits, unified: true) == unified)
    }

    /// What differs from no limits at all.
    private func said(_ limits: ResourceLimits, unified: Bool) -> [String] {
        let hierarchy = CgroupHierarchy(
            unified: unified, mountPoint: "/c", controllers: ["cpu", "memory", "pids", "cpuset"],
            readOnly: false,
            partial: false, ownPath: "/")
        let lines = { (limits: ResourceLimits) in
            expectedLimits(limits, hierarchy).map { "\($0.file) \($0.value)" }
        }
        let none = Set(lines(ResourceLimits()))
        return lines(limits).filter { !none.contains($0) }
    }
}
