// SPDX-License-Identifier: Apache-2.0
//
// Commands that follow a project while others change it and while its keeper and controller die.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("following")
    struct Following {
        @Test("logs -f, up and wait go on with what is made anew, and without the engine they began with")
        func goingOn() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      web: {image: bb:1, init: true, command: [sh, -c, "echo hello; exec sleep 1000"]}
                      idle: {image: bb:1, init: true, command: [sleep, "1000"]}
                    """)
                let up = try stage.start(["up"])
                func greetings(_ program: RunningProgram) -> Int {
                    program.soFar.output.split(separator: "\n").count { $0.hasSuffix("hello") }
                }
                func greeted(_ count: Int, _ programs: RunningProgram...) throws {
                    try stage.eventually("\(count) greetings") {
                        programs.allSatisfy { greetings($0) >= count }
                    } orSay: {
                        "\(programs.map(\.soFar))"
                    }
                    try stage.require(
                        programs.allSatisfy { greetings($0) == count }, "\(programs.map(\.soFar))")
                }
                try greeted(1, up)
                let logs = try stage.start(["logs", "-f"])
                let wait = try stage.start(["wait", "idle"])
                let code = try stage.start(["up", "--exit-code-from", "idle", "idle"])
                try greeted(1, logs)
                try stage.covey("up", "-d", "--force-recreate", "web")
                try greeted(2, up, logs)

                func killEngine(_ which: ([pid_t]) -> [pid_t]) throws {
                    let before = stage.engine()
                    for pid in which(before) { kill(pid, SIGKILL) }
                    try stage.eventually("another answers") {
                        let now = stage.engine()
                        return now.count == 2 && now != before
                    }
                }
                try killEngine { Array($0.suffix(1)) }
                try stage.covey("up", "-d", "--force-recreate", "web")
                try greeted(3, up, logs)
                // Both: who follows starts them again.
                try killEngine { $0 }
                try stage.covey("up", "-d", "--force-recreate", "web")
                try greeted(4, up, logs)
                for program in [up, logs, wait, code] {
                    try stage.require(program.ended() == nil, "it ended: \(program.soFar)")
                }
                // Its parent is dead: before Linux 6.15 nobody can tell how it ended, and that counts as a failure.
                try stage.covey("kill", "idle")
                for program in [wait, code] {
                    let ended = try program.wait(limit: .seconds(20))
                    try stage.require(
                        [1, 137].contains(ended.code)
                            && (ended.output + ended.errors).contains("idle-1 exited with code"), "\(ended)")
                }
                try stage.covey("kill", "web")
                for program in [up, logs] { try program.wait(limit: .seconds(20)).orThrow() }
            }
        }

        @Test("who follows a log ends with its reader, though SIGPIPE is ignored")
        func readerGone() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      web: {image: bb:1, init: true, command: [sh, -c, "while :; do echo tick; sleep 0.1; done"]}
                    """)
                try stage.covey("up", "-d")
                let line =
                    "trap '' PIPE; timeout 20 \(Host.covey ?? "covey") logs -f web | head -n 1; echo over"
                let outcome = try stage.serve(["timeout", "-s", "KILL", "10", "sh", "-c", line])
                    .wait(limit: .seconds(15))
                try stage.require(outcome.text.hasSuffix("over"), "\(outcome)")
            }
        }

        @Test("without an engine a container's service is what its record says, and who follows starts one")
        func withoutEngine() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      web:
                        image: bb:1
                        init: true
                        container_name: \(stage.project)-other
                        command: [sh, -c, "echo hello; exec sleep 1000"]
                    """)
                try stage.covey("up", "-d")
                try stage.eventually("it speaks") { try stage.logs("web").contains("hello") }
                for pid in stage.engine() { kill(pid, SIGKILL) }
                try stage.eventually("it is dead") { stage.engine().isEmpty }
                try stage.require(try stage.logs("web").contains("hello"), "the record says web")
                let follower = try stage.start(["logs", "-f", "web"])
                try stage.eventually("it shows what was said") { follower.soFar.output.contains("hello") }
                try stage.covey("up", "-d", "--force-recreate")
                try stage.eventually("it shows what comes") {
                    follower.soFar.output.split(separator: "\n").count { $0.hasSuffix("hello") } == 2
                }
            }
        }
    }
}
