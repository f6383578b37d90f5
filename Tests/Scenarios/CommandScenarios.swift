// SPDX-License-Identifier: Apache-2.0
//
// What people read and type: logs, exec, ps, ls, config, the foreground, Ctrl-C.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("commands")
    struct Commands {
        @Test("logs show both streams with prefixes; -n, -t and --no-log-prefix as in Docker Compose")
        func logs() throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("both streams have come") {
                    let log = try stage.logs("writer")
                    return log.contains("no newline") && log.contains("two")
                }
                let plain = try stage.logs("--no-log-prefix", "writer").split(separator: "\n")
                try stage.require(
                    Set(plain) == ["one", "two", "three", "no newline"] && plain.count == 4, "\(plain)")
                let last = try stage.logs("--no-log-prefix", "-n", "1", "writer")
                try stage.require(last.split(separator: "\n").count == 1, last)
                let prefixed = try stage.logs("writer")
                try stage.require(
                    prefixed.split(separator: "\n").allSatisfy {
                        $0.hasPrefix("writer-1") && $0.contains("|")
                    }, prefixed)
                let timed = try stage.logs("--no-log-prefix", "-t", "writer").split(separator: "\n")
                try stage.require(
                    timed.allSatisfy { $0.hasPrefix("2") && $0.contains("T") && $0.contains("Z") }, "\(timed)"
                )
            }
        }

        @Test("logs -f goes on with what is written from now on and ends with the containers")
        func follow() throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d")
                let follower = try stage.start(["logs", "-f", "--no-log-prefix", "writer"])
                try stage.eventually("it shows what was") { follower.soFar.output.contains("three") }
                try stage.exec("writer", "echo later > /proc/1/fd/1")
                try stage.eventually("it shows what comes") { follower.soFar.output.contains("later") }
                try stage.covey("stop", "writer")
                try stage.eventually("it ends with the container") { follower.ended() != nil }
            }
        }

        @Test("exec runs in the container, passes its exit code, and honours -e, -u, -w")
        func exec() throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d")
                let code = try stage.covey(
                    "exec", "-T", "idle", "sh", "-c", "echo out; echo err >&2; exit 9", code: 9)
                try stage.require(code.output == "out\n" && code.errors == "err\n", "\(code)")
                let line = "echo $COLOUR $EXTRA; id -u; id -g; pwd"
                let set = try stage.covey(
                    "exec", "-T", "-e", "EXTRA=more", "-u", "app", "-w", "/data", "idle", "sh", "-c", line)
                try stage.require(set.text == "blue more\n1000\n1000\n/data", "\(set)")
                try stage.covey("exec", "-T", "idle", "/no/such/program", code: 127)
                let missing = try stage.covey("exec", "-T", "nowhere", "true", code: 1)
                try stage.require(missing.errors.contains("nowhere"), "\(missing)")
                try stage.covey("exec", "-T", "idle", "sh", "-c", "kill -TERM $$", code: 143)
            }
        }

        @Test("exec hands standard input over")
        func input() throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d", "idle")
                try stage.write("input", "line one\nline two\n")
                let cat = try stage.covey("exec", "-T", "idle", "cat", input: "\(stage.files)/input")
                try stage.require(cat.output == "line one\nline two\n", "\(cat)")
            }
        }

        @Test("exec has a real terminal where there is one")
        func terminal() throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d", "idle")
                let line = "\(Host.covey ?? "covey") exec idle sh -c 'tty; stty size'"
                let outcome = try stage.inHost([
                    "script", "-qec", "stty rows 33 cols 77; \(line)", "/dev/null",
                ])
                try stage.require(outcome.output.contains("/dev/pts/"), "\(outcome)")
                try stage.require(
                    outcome.output.contains("33 77"), "the window's size is not passed: \(outcome)")
            }
        }

        @Test("tty gives a service a terminal as its standard streams")
        func serviceTerminal() throws {
            try Stage.play("terminal") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("it says its terminal") {
                    let log = try stage.logs("--no-log-prefix")
                    return log.contains("/dev/console") || log.contains("/dev/pts/")
                }
                try stage.require(
                    try stage.execSucceeds("shell", "test -t 0 < /proc/1/fd/0"), "stdin is no terminal")
            }
        }

        @Test("ps and ls list what runs, in tables, names and JSON")
        func lists() throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d")
                let table = try stage.covey("ps")
                try stage.require(table.lines.count == 3 && table.lines[0].hasPrefix("NAME"), "\(table)")
                let quiet = try stage.covey("ps", "-q")
                let names = ["\(stage.project)-idle-1", "\(stage.project)-writer-1"]
                try stage.require(quiet.lines.sorted() == names, "\(quiet)")
                try stage.covey("stop", "idle")
                try stage.require(try stage.covey("ps", "-q").lines.count == 1, "a stopped one is listed")
                try stage.require(try stage.covey("ps", "-a", "-q").lines.count == 2, "-a lists it")
                let projects = try stage.covey("ls", "-q")
                try stage.require(projects.lines == [stage.project], "\(projects)")
            }
        }

        @Test("config resolves interpolation, anchors and a second file; environment reaches the container")
        func config() throws {
            try Stage.play("configuration") { stage in
                let one = try stage.covey("config")
                for part in [
                    "PLAIN: one", "DEFAULT: fallback", "ALTERNATIVE: given", "NESTED: one", "FROM_ANCHOR",
                ] {
                    try stage.require(one.output.contains(part), "config lacks \(part):\n\(one)")
                }
                try stage.covey("config", "-q")
                // An included project's own variables; one service with what it uses; ports that have no effect.
                try ensureDirectory("\(stage.files)/sub")
                try stage.write("sub/.env", "TOKEN=abc\n")
                try stage.write(
                    "sub/a.yaml",
                    """
                    x-run: &run {image: bb:1, command: sleep 9}
                    services: {one: {<<: *run, secrets: [s]}, two: {<<: *run, volumes: ["v:/v"]}}
                    secrets: {s: {environment: TOKEN}}
                    volumes: {v: }

                    """)
                try stage.write(
                    "top.yaml",
                    "include: [sub/a.yaml]\nservices: {two: {network_mode: host, ports: [\"80:80\"]}}\n")
                let alone = try stage.covey("-f", "top.yaml", "config", "one").output
                try stage.require(
                    alone.contains("environment: TOKEN") && !alone.contains("volumes:"),
                    "config one: \(alone)")
                let plan = try stage.covey("-f", "top.yaml", "plan", code: 2)
                try stage.require(plan.errors.contains("`services.two.ports` has no effect"), "\(plan)")
                let files = ["-f", "compose.yaml", "-f", "override.yaml"]
                _ = try stage.start(files + ["up", "-d"]).wait().orThrow()
                let environment = try stage.start(files + ["exec", "-T", "app", "env"]).wait().orThrow().lines
                for pair in [
                    "PLAIN=overridden", "ADDED=by the second file", "DEFAULT=fallback", "EMPTY_DEFAULT=",
                    "ALTERNATIVE=given", "NESTED=one", "DOLLAR=$5", "FROM_ANCHOR=yes",
                ] { try stage.require(environment.contains(pair), "\(pair) is not in \(environment)") }
            }
        }

        @Test("in the foreground Ctrl-C stops the services in reverse dependency order and ends with 130")
        func foreground() throws {
            try Stage.play("foreground") { stage in
                let up = try stage.start(["up"])
                try stage.eventually("both speak") {
                    let seen = up.soFar.output
                    return seen.contains("started first") && seen.contains("started second")
                }
                up.signal(SIGINT)
                let outcome = try up.wait()
                try stage.require(outcome.code == 130, "\(outcome)")
                let stopping = outcome.lines.filter { $0.contains("stopping") }
                try stage.require(
                    stopping.count == 2 && stopping[0].hasPrefix("second") && stopping[1].hasPrefix("first"),
                    "order: \(stopping)")
                try stage.require(try stage.containers().allSatisfy { $0.State == "exited" }, "still running")
            }
        }

        @Test("a second Ctrl-C kills")
        func secondInterrupt() throws {
            try Stage.play("foreground") { stage in
                let up = try stage.start(["--profile", "stubborn", "up", "stubborn"])
                try stage.eventually("it speaks") { up.soFar.output.contains("started stubborn") }
                up.signal(SIGINT)
                try stage.eventually("it is being stopped") {
                    let state = try stage.containers().first?.State
                    return state == "stopping" || state == "exited"
                }
                up.signal(SIGINT)
                let outcome = try up.wait(limit: .seconds(20))
                try stage.require(outcome.code == 130, "\(outcome)")
                try stage.require(try stage.containers().first?.ExitCode == 137, "it was not killed")
            }
        }

        @Test("Ctrl-C while services are still being started ends with 130 and stops what was started")
        func earlyInterrupt() throws {
            try Stage.play("foreground") { stage in
                try stage.edit(
                    "    hostname: first\n",
                    "    hostname: first\n    healthcheck: {test: [CMD, \"false\"], interval: 1s, retries: 1000}\n"
                )
                try stage.edit("[first]", "{first: {condition: service_healthy}}")
                let up = try stage.start(["up"])
                try stage.eventually("the first runs") {
                    try stage.containers().contains { $0.Service == "first" && $0.State == "running" }
                }
                up.signal(SIGINT)
                let outcome = try up.wait(limit: .seconds(20))
                try stage.require(outcome.code == 130, "\(outcome)")
                let left = try stage.containers()
                try stage.require(
                    left.allSatisfy { $0.State == "exited" || $0.State == "created" }, "\(left)")
                try stage.require(left.contains { $0.State == "exited" }, "the first did not run: \(left)")
            }
        }

        @Test("a plan of what is not there yet is told without a controller and leaves nothing")
        func firstPlan() throws {
            try Stage.play("one") { stage in
                let plan = try stage.covey("plan", code: 2)
                try stage.require(plan.output.contains("app"), "\(plan)")
                try stage.require(stage.engine().isEmpty, "a keeper was started for a plan")
                try stage.require(
                    tree("\(stage.directory)/run").isEmpty, "left: \(tree("\(stage.directory)/run"))")
                let json = try stage.covey("plan", "--format", "json", code: 2)
                try stage.require(json.output.hasPrefix("{") || json.output.hasPrefix("["), "\(json)")
                try stage.covey("up", "-d")
                try stage.covey("plan")
            }
        }

        @Test("a misspelt service is told the nearest name", arguments: ["up", "logs", "stop", "exec", "ps"])
        func misspelt(command: String) throws {
            try Stage.play("commands") { stage in
                try stage.covey("up", "-d")
                let more = command == "exec" ? ["true"] : []
                let wrong = try stage.start([command, "writr"] + more).wait()
                try stage.require(wrong.code == 1 && wrong.errors.contains("\"writer\""), "\(wrong)")
            }
        }

        @Test("every command has --help, and an unknown one names the nearest")
        func help() throws {
            try Stage.play("one") { stage in
                for command in [
                    "up", "down", "ps", "ls", "logs", "exec", "plan", "config", "build", "start", "stop",
                    "restart",
                    "kill", "version",
                ] {
                    let help = try stage.covey(command, "--help")
                    try stage.require(help.output.contains(command), "\(help)")
                }
                let wrong = try stage.covey("upp", code: 1)
                try stage.require(wrong.errors.contains("up"), "\(wrong)")
            }
        }

        @Test("the Compose file is found upwards through parent directories")
        func discovery() throws {
            try Stage.play("one") { stage in
                try ensureDirectory("\(stage.files)/deep/down")
                let config = try stage.inHost([
                    "env", "-C", "\(stage.files)/deep/down", Host.covey ?? "covey", "config", "--services",
                ])
                try stage.require(config.text == "app", "\(config)")
            }
        }

        @Test("debug launch prints a launch program, debug doctor says what this host has")
        func debug() throws {
            try Stage.play("one") { stage in
                try stage.covey("up", "-d")
                let program = try stage.covey("debug", "launch", "app")
                try stage.require(program.output.contains("exec"), "\(program)")
                // What runs is left alone.
                try stage.exec("app", "true")
                try stage.covey("debug", "doctor")
            }
        }
    }
}
