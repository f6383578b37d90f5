// SPDX-License-Identifier: Apache-2.0
//
// Commands that meet each other: bring-ups that wait and what ends them, ends that are told in the foreground, signals that
// stop nothing.

import FoundationEssentials
import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("commands that meet")
    struct Pending {
        /// An `up` of `after`, once it waits for `slow`.
        private func waiting(_ stage: Stage, _ words: [String] = []) throws -> RunningProgram {
            let up = try stage.start(["--profile", "waits", "up", "-d"] + words + ["after"])
            try stage.eventually("it waits") {
                try stage.attempt("ps", "-a", "--format", "json").output.contains("slow")
                    && stage.container("slow").State == "running"
            }
            return up
        }

        @Test(
            "down ends the bring-up at work and those that wait behind it; a client that goes takes its own along"
        )
        func superseded() throws {
            try Stage.play("pending") { stage in
                let first = try waiting(stage)
                let second = try stage.start(["--profile", "waits", "up", "-d", "after"])
                try stage.eventually("the second is queued") { second.soFar.errors.contains("waiting") }
                try stage.covey("down", "-t", "0", limit: .seconds(20))
                for outcome in [try first.wait(limit: .seconds(5)), try second.wait(limit: .seconds(5))] {
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains("ended by another"), "\(outcome)")
                }

                let abandoned = try waiting(stage)
                let restart = try stage.start(["restart", "slow"])
                try stage.eventually("the restart is queued") { restart.soFar.errors.contains("waiting") }
                abandoned.signal(SIGKILL)
                let outcome = try restart.wait(limit: .seconds(20))
                try stage.require(outcome.code == 0, "\(outcome)")

                // What a queued run was given is given back when its client goes.
                _ = try waiting(stage)
                let line = "timeout -s KILL 2 \(Host.covey ?? "covey") run -T --no-deps job | cat"
                let run = try stage.serve(["sh", "-c", line])
                _ = try run.wait(limit: .seconds(20))
            }
        }

        @Test("a stop ends the bring-ups it concerns, and waits for no other")
        func apart() throws {
            try Stage.play("pending") { stage in
                try stage.covey("up", "-d", "deaf")
                let up = try waiting(stage)
                let queued = try stage.start(["--profile", "waits", "up", "-d", "after"])
                try stage.eventually("it is queued") { queued.soFar.errors.contains("waiting") }
                let restart = try stage.start(["restart", "deaf"])
                try stage.eventually("so is a restart") { restart.soFar.errors.contains("waiting") }
                try stage.covey("stop", "deaf", limit: .seconds(20))
                try stage.require(try stage.container("deaf").State == "exited", "it was not stopped")
                let ended = try restart.wait(limit: .seconds(5))
                try stage.require(ended.code == 1 && ended.errors.contains("ended by another"), "\(ended)")
                try stage.require(
                    up.ended() == nil && queued.ended() == nil, "a bring-up it does not concern")

                // What one waits for concerns it.
                try stage.covey("stop", "-t", "0", "slow", limit: .seconds(20))
                for outcome in [try up.wait(limit: .seconds(5)), try queued.wait(limit: .seconds(5))] {
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains("ended by another"), "\(outcome)")
                }
            }
        }

        @Test("down of services takes those that depend on them; of the last ones, the project")
        func downOfServices() throws {
            try Stage.play("pending") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    x-idle: &idle {image: "bb:1", init: true, command: [sleep, "1000"]}
                    services:
                      db: {<<: *idle, volumes: ["data:/data"], networks: [back]}
                      web: {<<: *idle, depends_on: [db], networks: [back, front]}
                      lone: {<<: *idle, volumes: ["kept:/data"], networks: [front]}
                    volumes: {data: , kept: }
                    networks: {back: , front: }

                    """)
                try stage.covey("up", "-d")
                let pid = try stage.container("lone").Pid
                let wrong = try stage.covey("down", "dbb", code: 1)
                try stage.require(wrong.errors.contains("did you mean \"db\""), "\(wrong)")
                let said = try stage.covey("--dry-run", "down", "-v", "db").text
                try stage.require(said.contains("remove volume \(stage.project)_data"), said)
                try stage.covey("down", "-v", "-t", "1", "db")
                let left = try stage.containers()
                try stage.require(left.map(\.Service) == ["lone"] && left[0].Pid == pid, "\(left)")
                let volumes = try directoryEntries("\(stage.directory)/root/volumes")
                try stage.require(volumes == ["\(stage.project)_kept"], "volumes: \(volumes)")
                let up = try stage.covey("up", "-d")
                try stage.require(
                    up.errors.contains("_back  Created") && !up.errors.contains("_front"), "networks: \(up)")
                try stage.require(try stage.container("lone").Pid == pid, "it was touched")
                try stage.covey("down", "-t", "1", "db", "lone")
                try stage.require(stage.engine().isEmpty, "the project is left")
                let none = try stage.covey("down", "db")
                try stage.require(none.errors.contains("is not up"), "\(none)")
            }
        }

        @Test("--wait notices who ends at once; what is paused is told, and waited for by nobody")
        func notReady() throws {
            try Stage.play("pending") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      short: {image: "bb:1", command: [sh, -c, "sleep 0.05; echo no setting; exit 3"]}
                      still:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        healthcheck: {test: [CMD, test, -e, /well], interval: 50ms, retries: 10000}
                      after: {image: "bb:1", command: [sleep, "1000"], depends_on: {still: {condition: service_healthy}}}

                    """)
                let short = try stage.covey("up", "-d", "--wait", "short", code: 1)
                try stage.require(
                    short.errors.contains("exited (3)") && short.errors.contains("no setting"), "\(short)")
                let up = try stage.start(["up", "-d", "after"])
                try stage.eventually("it waits") {
                    try stage.containers().contains { $0.Service == "still" && $0.State == "running" }
                }
                try stage.covey("pause", "still")
                let outcome = try up.wait(limit: .seconds(20))
                try stage.require(
                    outcome.code == 1 && outcome.errors.contains("is paused")
                        && outcome.errors.contains("covey unpause still"), "\(outcome)")
                for words in [["up", "-d", "after"], ["start", "still"]] {
                    let refused = try stage.start(words).wait(limit: .seconds(20))
                    try stage.require(refused.code == 1 && refused.errors.contains("is paused"), "\(refused)")
                }
                try stage.covey("up", "-d", "--force-recreate", "still")
                try stage.exec("still", "touch /well")
                try stage.covey("up", "-d", "--wait", "still")
            }
        }

        @Test("--wait-timeout is for dependencies too")
        func waitTimeout() throws {
            try Stage.play("pending") { stage in
                let up = try stage.start(
                    ["--profile", "waits", "up", "--wait", "--wait-timeout", "1", "after"])
                let outcome = try up.wait(limit: .seconds(20))
                try stage.require(
                    outcome.code == 1 && outcome.errors.contains("not ready after 1s"), "\(outcome)")
                // 0 is no limit, as with Docker Compose.
                try stage.covey("up", "--wait", "--wait-timeout", "0", "deaf")
            }
        }

        @Test(
            "a stop lets another stop be; a down goes further and ends both; an up waits for a stop that was cut off"
        )
        func stops() throws {
            try Stage.play("pending") { stage in
                func stopping(_ seconds: Int) throws -> RunningProgram {
                    let stop = try stage.start(["stop", "-t", "\(seconds)", "deaf"])
                    try stage.eventually("it is being stopped") { stop.soFar.errors.contains("Stopping") }
                    return stop
                }
                try stage.covey("up", "-d", "deaf")
                try stage.eventually("it is ready") { try stage.logs("deaf").contains("ready") }
                let first = try stopping(600)
                let second = try stage.start(["stop", "-t", "600", "deaf"])
                try stage.eventually("the second is queued") { second.soFar.errors.contains("waiting") }
                try stage.require(!first.soFar.errors.contains("ended"), "\(first.soFar)")
                try stage.covey("down", "-t", "0", limit: .seconds(20))
                let outcome = try first.wait(limit: .seconds(5))
                try stage.require(
                    outcome.code == 1 && outcome.errors.contains("ended by another"), "\(outcome)")
                // It has what it wanted, before the down or by it.
                _ = try second.wait(limit: .seconds(5))

                try stage.covey("up", "-d", "deaf")
                try stage.eventually("it is ready") { try stage.logs("deaf").contains("ready") }
                let old = try stage.container("deaf").Pid
                let cutOff = try stopping(2)
                kill(stage.engine().last ?? 0, SIGKILL)
                let up = try stage.covey("up", "-d", "deaf", limit: .seconds(20))
                _ = try cutOff.wait(limit: .seconds(20))
                let container = try stage.container("deaf")
                try stage.require(container.State == "running" && container.Pid != old, "\(up) \(container)")
            }
        }

        @Test("a stop signal that is sent by hand stops nothing that goes on; only its policy is off")
        func deaf() throws {
            try Stage.play("pending") { stage in
                try stage.covey("up", "-d", "deaf")
                try stage.eventually("it is ready") { try stage.logs("deaf").contains("ready") }
                try stage.covey("kill", "-s", "TERM", "deaf")
                try stage.require(try stage.container("deaf").State == "running", "\(try stage.containers())")
                let pid = try stage.container("deaf").Pid
                // Another controller does not take it for a stop that was cut off.
                kill(stage.engine().last ?? 0, SIGKILL)
                try stage.eventually("another controller answers") {
                    try stage.attempt("ps", "-q").succeeded
                }
                let container = try stage.container("deaf")
                try stage.require(container.State == "running" && container.Pid == pid, "\(container)")
                kill(pid_t(pid ?? 0), SIGKILL)
                try stage.eventually("it has ended, and stays so") {
                    try stage.container("deaf").State == "exited"
                }
            }
        }

        @Test(
            "in the foreground each end is told once, what was said before is not told again, and a job runs anew"
        )
        func ends() throws {
            try Stage.play("pending") { stage in
                try stage.covey("up", "-d", "deaf")
                try stage.eventually("it is ready") { try stage.logs("deaf").contains("ready") }
                for _ in 0..<2 {
                    let up = try stage.covey("up", "--exit-code-from", "job", "job", code: 7)
                    try stage.require(
                        up.errors.components(separatedBy: "exited with code 7").count == 2
                            && up.output.components(separatedBy: "working").count == 2
                            && !up.output.contains("ready"), "\(up)")
                }
                try stage.require(
                    try stage.container("deaf").State == "running", "a service of another `up` was stopped")
            }
        }

        @Test("an optional dependency that failed is said; output that does not fit ends with 1")
        func told() throws {
            try Stage.play("pending") { stage in
                let up = try stage.covey("--profile", "optional", "up", "-d", "anyway")
                let row = try stage.covey(
                    "ps", "--format", "{{.Service}}\\t{{.State}} {{json .Names}}", "anyway")
                try stage.require(row.output == "anyway\trunning \"\(stage.project)-anyway-1\"\n", "\(row)")
                try stage.require(up.errors.contains("optional dependency \"fails\" failed"), "\(up)")
                let covey = Host.covey ?? "covey"
                let linked =
                    "mkdir real; cp compose.yaml real; ln -s real lnk; cd lnk; unset COMPOSE_PROJECT_NAME; "
                let name = try stage.inHost(["sh", "-c", linked + "\(covey) config --format json"])
                try stage.require(name.output.contains("\"name\": \"lnk\""), "\(name)")
                for words in ["config", "ps -a", "ps --format {{.Name}}"] {
                    let full = try stage.inHost(["sh", "-c", "\(covey) \(words) >/dev/full"])
                    try stage.require(
                        full.code == 1 && full.errors.contains("cannot write the output")
                            && full.errors.contains("ENOSPC"), "\(full)")
                }
            }
        }
    }
}
