// SPDX-License-Identifier: Apache-2.0
//
// Rolling updates: `update_config` and `rollback_config` on one host.

import Testing

extension Scenarios {
    @Suite("updates")
    struct Updates {
        @Test("start-first: a new container is well before its old one goes, one after the other")
        func startFirst() throws {
            try Stage.play("updates") { stage in
                try stage.covey("up", "-d")
                let before = Set(try stage.processes().values)
                let up = try stage.covey("up", "-d", variables: ["VERSION=2"])
                let lines = up.errors.split(separator: "\n").map(String.init)
                func place(_ text: String) throws -> Int {
                    guard let place = lines.firstIndex(where: { $0.contains(text) }) else {
                        throw ScenarioError("no \(text) in \(up)")
                    }
                    return place
                }
                try stage.require(
                    try place("app-3  Started") < place("app-1  Stopping")
                        && place("app-1  Removed") < place("app-4  Starting")
                        && place("app-4  Started") < place("app-2  Stopping"), "\(up)")
                try stage.require(
                    try stage.containers().map(\.Name).map { String($0.suffix(5)) } == ["app-3", "app-4"],
                    "\(try stage.containers())")
                try stage.require(before.isDisjoint(with: try stage.processes().values), "an old one runs")
                try stage.require(try stage.exec("app", "echo $VERSION") == "2", "the first of them answers")
                let again = try stage.covey("up", "-d", variables: ["VERSION=2"])
                try stage.require(again.errors.contains("unchanged"), "\(again)")
                try stage.covey("up", "-d", variables: ["VERSION=4"])
                try stage.require(
                    try stage.containers().map(\.Name).map { String($0.suffix(5)) } == ["app-1", "app-2"],
                    "numbers come back: \(try stage.containers())")
            }
        }

        @Test("an update that fails is rolled back, says so, and is tried again by the next up")
        func rolledBack() throws {
            try Stage.play("updates") { stage in
                try stage.covey("up", "-d")
                for _ in 0..<2 {
                    let up = try stage.covey("up", "-d", code: 1, variables: ["VERSION=3"])
                    try stage.require(
                        up.errors.contains("the update of service \"app\" failed")
                            && up.errors.contains("rolled back"), "\(up)")
                    let rows = try stage.containers()
                    try stage.require(
                        rows.count == 2 && rows.allSatisfy { $0.State == "running" }, "\(rows)")
                    try stage.require(try stage.exec("app", "echo $VERSION") == "1", "the old version")
                }
            }
        }

        @Test(
            "a rollback leaves the old container that still runs, and brings dependants back that were stopped"
        )
        func oldOneStays() throws {
            try Stage.play("updates") { stage in
                // The old one with the higher number, the one that fails with the lower.
                try stage.covey("up", "-d", "leaning")
                try stage.covey("up", "-d", "leaning", variables: ["VERSION=2"])
                let before = try stage.processes().first { $0.key.hasSuffix("leaned-2") }
                try stage.require(before != nil, "\(try stage.containers())")
                let up = try stage.covey("up", "-d", "leaning", code: 1, variables: ["VERSION=3"])
                try stage.require(up.errors.contains("rolled back"), "\(up)")
                let after = try stage.processes()
                try stage.require(after.count == 2 && after.values.contains(before?.value ?? ""), "\(after)")
                try stage.require(after.keys.contains { $0.hasSuffix("leaning-1") }, "\(after)")
            }
        }

        @Test("failure_action: continue goes on and tells, pause leaves the rest as it was")
        func otherActions() throws {
            try Stage.play("updates") { stage in
                try stage.covey("up", "-d", "tolerant")
                let paused = try stage.covey(
                    "up", "-d", "tolerant", code: 1, variables: ["VERSION=3", "ACTION=pause"])
                try stage.require(paused.errors.contains("failed"), "\(paused)")
                try stage.require(
                    try stage.containers().filter { $0.State == "running" }.count == 1,
                    "\(try stage.containers())")
                try stage.covey("up", "-d", "tolerant")
                let told = try stage.covey("up", "-d", "tolerant", variables: ["VERSION=3"])
                try stage.require(told.errors.contains("exited (5)"), "\(told)")
                try stage.require(
                    try stage.containers().allSatisfy { $0.State == "exited" }, "\(try stage.containers())")
            }
        }

        @Test("the share that failed is counted when all have shown what they are")
        func failsLate() throws {
            try Stage.play("updates") { stage in
                try stage.covey("up", "-d", "late")
                let up = try stage.covey("up", "-d", "late", code: 1, variables: ["VERSION=3"])
                try stage.require(up.errors.contains("the update of service \"late\" failed"), "\(up)")
            }
        }

        @Test("an old container that was unwell is no reason against the new one that is well")
        func recovers() throws {
            try Stage.play("updates") { stage in
                try stage.covey("up", "-d", "store")
                try stage.eventually("it is unwell") {
                    try stage.container("store").Health == "unhealthy"
                }
                try stage.covey("up", "-d", "user", variables: ["GOOD=yes"])
                try stage.require(try stage.containers().count == 2, "\(try stage.containers())")
            }
        }

        @Test("what only one container can have is not for start-first")
        func refused() throws {
            try Stage.play("updates") { stage in
                let up = try stage.covey("up", "-d", "fixed", code: 1)
                try stage.require(up.errors.contains("the host's port 8080 can be only one"), "\(up)")
                let addressed = try stage.covey("up", "-d", "addressed", code: 1)
                try stage.require(
                    addressed.errors.contains("`mac_address` can be only one"), "\(addressed)")
            }
        }
    }
}
