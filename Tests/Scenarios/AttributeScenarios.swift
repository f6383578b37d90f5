// SPDX-License-Identifier: Apache-2.0
//
// Attributes most services have, each looked for where it is felt; those few have are in ParticularScenarios.swift.

import Testing

extension Scenarios {
    @Suite("attributes")
    struct Attributes {
        @Test(
            "a share of a processor, shared memory, directory, env files, addresses, replicas, profiles hold")
        func plain() throws {
            try Stage.play("attributes") { stage in
                try stage.covey("up", "-d")
                let variables = try stage.exec("app", "env")
                for line in ["FIRST=one", "QUOTED=a b", "RAW=\"as it is\"", "LAST=from environment"] {
                    try stage.require(
                        variables.split(separator: "\n").contains { $0 == line }, "\(line): \(variables)")
                }
                try stage.require(try stage.exec("app", "pwd") == "/run/place", "the directory")
                try stage.require(
                    try stage.exec("app", "grep ' /dev/shm ' /proc/mounts").contains("size=2048k"),
                    "shared memory")
                let quota = stage.cgroupFile("app", stage.isUnified ? "cpu.max" : "cpu/cpu.cfs_quota_us")
                try stage.require(quota.hasPrefix("25000"), quota)
                try stage.require(try stage.exec("app", "hostname -i") == "10.213.77.5", "the address")
                try stage.require(
                    try stage.exec("solitary", "ls /sys/class/net") == "lo", "a network of none")
                let rows = try stage.containers()
                try stage.require(
                    rows.filter { $0.Service == "copies" && $0.State == "running" }.count == 2, "\(rows)")
                try stage.require(!rows.contains { $0.Service == "optional" }, "a profile that is off")
                try stage.eventually("it was tried twice") {
                    let row = try stage.container("tries")
                    return row.State == "exited" && row.Restarts == 1 && row.ExitCode == 3
                }
                try stage.covey("--profile", "more", "up", "-d")
                try stage.require(try stage.container("optional").State == "running", "a profile that is on")
            }
        }

        @Test("another machine's platform and an image that may not be pulled are refused by name")
        func elsewhere() throws {
            try Stage.play("attributes") { stage in
                for (service, says) in [("foreign", "linux/s390x"), ("absent", "nowhere:1")] {
                    let up = try stage.covey("up", "-d", service, code: 1)
                    try stage.require(up.errors.contains(says), "\(up)")
                }
            }
        }
    }
}
