// SPDX-License-Identifier: Apache-2.0
//
// What somebody meets who comes from Docker Compose and works with a project day by day: names, terminals, the ends of
// programs, what is said of them.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("everyday")
    struct Everyday {
        @Test(
            "a hostname is a name, a terminal is its user's, and what has nothing to run is in nobody's way")
        func names() throws {
            try Stage.play("everyday") { stage in
                try stage.covey("up", "-d", "named", "asker", "shell")
                try stage.exec("asker", "nslookup its-own-name 127.0.0.11")
                try stage.eventually("a user writes to their own terminal") {
                    try stage.logs("--no-log-prefix", "shell").contains("through")
                }
                let covey = Host.covey ?? "covey"
                let exec = try stage.inHost([
                    "script", "-qec",
                    "\(covey) exec -u 1000 named sh -c 'echo here >/dev/stdout; stat -Lc %u /dev/stdin'",
                    "/dev/null",
                ])
                try stage.require(exec.output.contains("here") && exec.output.contains("1000"), "\(exec)")

                let run = try stage.covey("run", "--rm", "-T", "bare", "echo", "hi")
                try stage.require(run.text == "hi", "\(run)")
                for command in [["run", "--rm", "-T", "bare"], ["up", "-d", "bare"]] {
                    let refused = try stage.start(command).wait()
                    try stage.require(
                        refused.code == 1 && refused.errors.contains("has nothing to run"), "\(refused)")
                }
            }
        }

        @Test("a chosen name that another project takes while an update waits is not taken twice")
        func nameTakenMeanwhile() throws {
            try Stage.play("everyday") { stage in
                let other = "other-\(stage.project)"
                let name = "NAME=chosen-\(stage.project)"
                try stage.write(
                    "names.yaml",
                    """
                    services:
                      gate:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        environment: {VERSION: "${NAME:-own}"}
                        healthcheck: {test: "test ! -e /files/closed", interval: 50ms, retries: 1000}
                        volumes: ["./:/files"]
                      named:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        container_name: ${NAME:-own}-named
                        depends_on: {gate: {condition: service_healthy}}

                    """)
                try stage.covey("-f", "names.yaml", "up", "-d")
                // What is checked before anything is made is checked long before the name is taken.
                try stage.write("closed", "")
                let waiting = try stage.start(["-f", "names.yaml", "up", "-d"], variables: [name])
                try stage.eventually("it waits") { waiting.soFar.errors.contains("Waiting") }
                try stage.write(
                    "second.yaml",
                    "services: {named: {image: 'bb:1', init: true, command: [sleep, '1000'], "
                        + "container_name: 'chosen-\(stage.project)-named'}}\n")
                try stage.covey("-f", "second.yaml", "-p", other, "up", "-d")
                try Host.run(["rm", "\(stage.files)/closed"]).orThrow()
                let late = try waiting.wait()
                try stage.require(
                    late.code == 1
                        && late.errors.contains("is in use by a container of project \"\(other)\""),
                    "\(late)")
                try stage.require(
                    !tree("\(stage.directory)/root/projects/\(stage.project)").contains {
                        $0.contains("chosen-")
                    },
                    "it left something")
                try stage.covey("-f", "second.yaml", "-p", other, "down", "--timeout", "1")
                try stage.covey("-f", "names.yaml", "up", "-d", variables: [name])
                try stage.covey("-f", "names.yaml", "down", "--timeout", "1")
            }
        }

        @Test("what failed is told as what it was")
        func failures() throws {
            try Stage.play("everyday") { stage in
                try stage.covey("up", "-d", "denied", code: 1)
                let row = try stage.container("denied")
                try stage.require(row.ExitCode == 126, "\(row)")
                let idle = try stage.covey("pause", code: 1)
                try stage.require(idle.errors.contains("none of its containers runs"), "\(idle)")

                let hopeful = try stage.covey("up", "-d", "hopeful")
                try stage.require(
                    hopeful.errors.contains("optional dependency") && !hopeful.errors.contains("Healthy"),
                    "\(hopeful)")
                let sick = try stage.covey("up", "-d", "--wait", "sick", code: 1)
                try stage.require(sick.errors.contains("cause: its check said nothing"), "\(sick)")
                try stage.write("bad.yaml", "services:\n  a:\n    image: 'UPPER/Case:bad tag'\n")
                let bad = try stage.covey("-f", "bad.yaml", "up", "-d", code: 1)
                try stage.require(bad.errors.contains("bad.yaml:3:5: error: cannot use"), "\(bad)")
                let hooked = try stage.covey("up", "-d", "hooked", code: 1)
                try stage.require(hooked.errors.contains("exited (1)"), "\(hooked)")
            }
        }

        @Test("a last line without a line feed is a line: none is lost, none are glued")
        func lastLines() throws {
            try Stage.play("everyday") { stage in
                for _ in 0..<2 {
                    let up = try stage.attempt("up", "says")
                    try stage.require(
                        up.output.split(separator: "\n").count { $0.hasSuffix("| fatal cannot connect") }
                            == 1,
                        "\(up)")
                }
                let logs = try stage.logs("--no-log-prefix", "says")
                try stage.require(logs == "fatal cannot connect\nfatal cannot connect\n", logs)
            }
        }

        @Test("a container's name that was chosen is one container's, in all projects")
        func containerNames() throws {
            try Stage.play("everyday") { stage in
                let name = "only-\(stage.project)"
                try stage.write(
                    "named.yaml",
                    "services: {it: {image: bb:1, init: true, command: [sleep, '1000'], container_name: \(name)}}\n"
                )
                try stage.covey("-f", "named.yaml", "up", "-d")
                let other = "\(stage.project)-other"
                let up = try stage.covey("-p", other, "-f", "named.yaml", "up", "-d", code: 1)
                try stage.require(
                    up.errors.contains("is in use by a container of project \"\(stage.project)\""), "\(up)")
                try stage.require(!exists("\(stage.directory)/root/projects/\(other)"), "something was made")
                let run = try stage.covey(
                    "-p", other, "-f", "named.yaml", "run", "--rm", "-T", "--name", name, "it", "true",
                    code: 1)
                try stage.require(run.errors.contains("is in use by"), "\(run)")
                try stage.require(!exists("\(stage.directory)/run/\(other)"), "something was made")
                try stage.covey("-f", "named.yaml", "up", "-d", "--force-recreate")
            }
        }
    }
}
