// SPDX-License-Identifier: Apache-2.0
//
// Keeper and controller that don't die but stand still, and a controller that dies again and again: said, with the
// process and what to do, while containers run on.

import Glibc
import Testing

extension Scenarios {
    @Suite("keeper and controller")
    struct Engine {
        /// Keeper and controller.
        private func both(_ stage: Stage) throws -> (keeper: pid_t, controller: pid_t) {
            let engine = stage.engine()
            guard engine.count == 2 else { throw ScenarioError("not two processes: \(engine)") }
            return (engine[0], engine[1])
        }

        @Test("a stopped controller is said after a while, and goes on as if nothing had been")
        func stoppedController() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                let controller = try both(stage).controller
                kill(controller, SIGSTOP)
                let outcome = try stage.covey("ps", code: 1)
                for part in ["does not answer", "process \(controller) is stopped (state T)", "kill -CONT"] {
                    try stage.require(outcome.errors.contains(part), "no \"\(part)\" in \(outcome)")
                }
                let log = "\(stage.directory)/run/\(stage.project)/engine.log"
                try stage.require(contents(log).contains("the controller was stopped"), contents(log))
                kill(controller, SIGCONT)
                try stage.covey("up", "-d")
                try stage.require(try stage.processes() == before, "a container was touched")
            }
        }

        @Test("a stopped keeper is said by ps at once, and by the controller as an event")
        func stoppedKeeper() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                let keeper = try both(stage).keeper
                kill(keeper, SIGSTOP)
                let outcome = try stage.covey("ps")
                try stage.require(
                    outcome.errors.contains("process \(keeper), is stopped (state T)"), "\(outcome)")
                try stage.eventually(within: .seconds(40), "the controller says it") {
                    try stage.events().contains {
                        $0.type == "keeper"
                            && $0.attributes["cause"]?.contains("does not answer: it is stopped (state T)")
                                == true
                    }
                }
                kill(keeper, SIGCONT)
                try stage.covey("restart", "-t", "1", "b")
                let now = try stage.processes()
                try stage.require(
                    before.filter { !$0.key.contains("-b-") } == now.filter { !$0.key.contains("-b-") },
                    "a container was touched")
            }
        }

        @Test("a controller that crashes again and again is started more slowly each time, and ps says so")
        func crashLoop() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                for _ in 0..<4 {
                    let controller = try both(stage).controller
                    kill(controller, SIGABRT)
                    try stage.eventually("another controller runs") {
                        let now = stage.engine()
                        return now.count == 2 && !now.contains(controller)
                    }
                }
                let outcome = try stage.covey("ps")
                try stage.require(
                    outcome.errors.contains("it ended 4 times in a row, the last one was ended by signal 6"),
                    "\(outcome)")
                let log = contents("\(stage.directory)/run/\(stage.project)/engine.log")
                let delays = log.split(separator: "\n").filter { $0.contains("starting another") }
                    .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
                try stage.require(delays == [0, 0, 200, 400], "\(delays)")
                try stage.require(try stage.processes() == before, "a container was touched")
                // One that is killed at once has told nothing.
                let told = try stage.events().filter { $0.type == "controller" }
                try stage.require(
                    told.last?.attributes["failures"] == "4"
                        && told.allSatisfy { $0.attributes["cause"]?.contains("signal 6") == true },
                    "\(told)")
            }
        }

        @Test("a controller without a free descriptor lets clients wait, and rests meanwhile")
        func noDescriptors() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let controller = try both(stage).controller
                func allow(_ number: String) throws {
                    try Host.run(["prlimit", "--pid", "\(controller)", "--nofile=\(number)"]).orThrow()
                }
                try allow("3:4096")
                let waiting = try stage.start(["ps"])
                try stage.eventually("it is told in the log") {
                    contents("\(stage.directory)/run/\(stage.project)/engine.log").contains("clients wait")
                }
                // One that spins sleeps never; one look could find it on its way into a sleep.
                for _ in 0..<5 {
                    try stage.eventually("it sleeps") { statFields(controller).first == "S" }
                }
                try allow("4096:4096")
                try waiting.wait().orThrow()
            }
        }
    }
}
