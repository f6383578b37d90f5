// SPDX-License-Identifier: Apache-2.0
//
// `deploy` on one host.

import Testing

extension Scenarios {
    @Suite("deploys")
    struct Deploys {
        @Test("a global service is one container; reservations are weights and protected memory")
        func plain() throws {
            try Stage.play("deploys") { stage in
                try stage.covey("up", "-d")
                try stage.require(try stage.containers().count == 1, "\(try stage.containers())")
                let memory = stage.cgroupFile(
                    "everywhere",
                    stage.isUnified ? "memory.low" : "memory/memory.soft_limit_in_bytes")
                try stage.require(memory == "16777216", memory)
                if !stage.isUnified {
                    try stage.require(
                        stage.cgroupFile("everywhere", "cpu/cpu.shares") == "512", "the processor's weight")
                }
                let more = try stage.covey("up", "-d", "--scale", "everywhere=2")
                try stage.require(try stage.containers().count == 1, "\(more)")
            }
        }

        @Test("a restart policy's delay is kept, and its attempts end within the window")
        func restarts() throws {
            try Stage.play("deploys") { stage in
                try stage.covey("up", "-d", "eager")
                try stage.eventually(within: .seconds(10), "four attempts were made") {
                    let row = try stage.container("eager")
                    return row.State == "exited" && row.Restarts == 4
                }
            }
        }
    }
}
