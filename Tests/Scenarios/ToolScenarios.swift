// SPDX-License-Identifier: Apache-2.0
//
// What looks at containers and acts on them one by one: pause, rm, wait, top, stats, port, images, volumes, attach,
// create, scale, logs in time, and `up` that ends with a container.

import FoundationEssentials
import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("tools")
    struct Tools {
        @Test("pause freezes a service's processes; exec is refused, ps says so, unpause and stop work")
        func pause() throws {
            try Stage.play("tools") { stage in
                try stage.covey("up", "-d", "web", "db")
                let pid = try stage.container("web").Pid ?? 0
                func lines() throws -> Int {
                    try stage.logs("--no-log-prefix", "web").split(separator: "\n").count
                }
                try stage.eventually("it writes") { try lines() > 2 }
                try stage.covey("pause", "web")
                try stage.require(try stage.container("web").State == "paused", "\(try stage.containers())")
                try stage.require(try stage.covey("ps").output.contains("(Paused)"), "ps does not say so")
                let before = try lines()
                usleep(300_000)
                try stage.require(try lines() == before, "it writes although it is paused")
                let refused = try stage.covey("exec", "-T", "web", "true", code: 1)
                try stage.require(refused.errors.contains("paused"), "\(refused)")
                // Who comes after a dead controller knows that it was meant.
                kill(stage.engine().last ?? 0, SIGKILL)
                try stage.eventually("another controller answers") {
                    try stage.attempt("ps", "-q").succeeded
                }
                try stage.require(try stage.container("web").State == "paused", "\(try stage.containers())")
                try stage.covey("pause", "web")
                try stage.covey("unpause", "web")
                try stage.eventually("it goes on") { try lines() > before }
                try stage.require(try stage.container("web").Pid == pid, "it is another process")
                try stage.covey("pause")
                let db = try stage.container("db")
                try stage.require(db.State == "paused", "\(db)")
                try stage.covey("stop", "-t", "5", "web")
                try stage.require(try stage.container("web").State == "exited", "\(try stage.containers())")
                let notRunning = try stage.covey("pause", "web", code: 1)
                try stage.require(notRunning.errors.contains("does not run"), "\(notRunning)")
                let unknown = try stage.covey("pause", "webb", code: 1)
                try stage.require(unknown.errors.contains("\"web\""), "\(unknown)")
                try stage.covey("kill", "db")
                try stage.eventually("kill ends a paused one") { try stage.container("db").State == "exited" }
                try stage.covey("start")
                try stage.covey("pause")
                // `down` of what is paused ends the scenario.
            }
        }

        @Test("a paused service keeps its health")
        func pausedHealth() throws {
            try Stage.play("tools") { stage in
                try stage.covey("up", "-d", "--wait", "db")
                try stage.covey("pause", "db")
                usleep(400_000)
                try stage.covey("unpause", "db")
                try stage.require(
                    try stage.container("db").Health == "healthy", "\(try stage.container("db"))")
                try stage.require(try stage.execSucceeds("db", "true"), "exec after unpause")
            }
        }

        @Test(
            "create makes containers and starts none; scale changes their number; rm removes what is stopped")
        func createScaleRemove() throws {
            try Stage.play("tools") { stage in
                try stage.covey("create")
                try stage.require(
                    try stage.containers().allSatisfy { $0.State == "created" }, "\(try stage.containers())")
                try stage.covey("up", "-d", "--no-start")
                try stage.require(try stage.covey("ps", "-q").lines.isEmpty, "--no-start started something")
                try stage.covey("up", "-d", "db")
                try stage.covey("scale", "db=3")
                try stage.require(
                    try stage.containers().filter { $0.Service == "db" && $0.State == "running" }.count == 3,
                    "\(try stage.containers())")
                try stage.covey("scale", "db=1")
                let one = try stage.containers().filter { $0.Service == "db" }
                try stage.require(one.map(\.Name) == ["\(stage.project)-db-1"], "\(one)")
                for (word, part) in [
                    ("db", "SERVICE=N"), ("db=x", "SERVICE=N"), ("db=-1", "SERVICE=N"), ("dx=2", "\"db\""),
                    ("db=10001", "from 0 to 10000"), ("db=99999999999999999999", "from 0 to 10000"),
                ] {
                    let bad = try stage.covey("scale", word, code: 1)
                    try stage.require(bad.errors.contains(part), "\(bad)")
                }
                let asked = try stage.covey("rm", code: 1)
                try stage.require(asked.errors.contains("sure?"), "\(asked)")
                try stage.require(try stage.containers().count == 5, "it did not wait for an answer")
                try stage.write("yes", "y\n")
                try stage.covey("rm", "web", input: "\(stage.files)/yes")
                try stage.require(try stage.containers().count == 4, "\(try stage.containers())")
                try stage.covey("rm", "-f")
                try stage.require(
                    try stage.containers().map(\.Service) == ["db"], "rm took a running one, or left one")
                try stage.covey("rm", "-f", "-s", "db")
                try stage.require(try stage.containers().isEmpty, "rm -s left one")
                try stage.covey("rm", "-f")
                let unknown = try stage.covey("rm", "-f", "dbb", code: 1)
                try stage.require(unknown.errors.contains("dbb"), "\(unknown)")
            }
        }

        @Test("wait prints codes and ends with the first; --down-project takes the project down")
        func wait() throws {
            try Stage.play("tools") { stage in
                try stage.covey("up", "-d", "db", "web")
                let waiting = try stage.start(["wait", "db"])
                usleep(200_000)
                try stage.require(waiting.ended() == nil, "it did not wait")
                try stage.covey("kill", "-s", "TERM", "db")
                try stage.eventually("it ends") { waiting.ended() != nil }
                try stage.require(
                    waiting.ended() == 143 && waiting.soFar.output.contains("db-1 exited with code 143"),
                    "\(waiting.soFar)")
                try stage.covey("wait", "db", code: 143)
                for (name, part) in [("dx", "\"db\""), ("shell", "no container")] {
                    let bad = try stage.covey("wait", name, code: 1)
                    try stage.require(bad.errors.contains(part), "\(bad)")
                }
                let last = try stage.start(["wait", "--down-project", "web"])
                usleep(200_000)
                try stage.covey("kill", "web")
                try stage.eventually("it ends") { last.ended() != nil }
                try stage.require(last.ended() == 137, "\(last.soFar)")
                try stage.require(try stage.covey("ps", "-a", "-q").lines.isEmpty, "the project is still up")
                let none = try stage.covey("wait", "web", code: 1)
                try stage.require(none.errors.contains("not up"), "\(none)")
                // So that the end of the scenario finds the volume's project.
                try stage.covey("up", "-d", "web")
            }
        }

        @Test("top, stats, port, images and volumes tell what there is")
        func lists() throws {
            try Stage.play("tools") { stage in
                try stage.covey("up", "-d", "web", "db")
                let top = try stage.covey("top", "db")
                try stage.require(
                    top.lines[0].hasPrefix("SERVICE") && top.output.contains("sleep 1000"), "\(top)")
                try stage.require(top.lines.count == 3, "its init and its program: \(top)")
                let stats = try stage.covey("stats", "--no-stream")
                try stage.require(
                    stats.lines.count == 3 && stats.lines[0].contains("CPU %")
                        && stats.output.contains("/ 64.0MiB"), "\(stats)")
                struct Row: Decodable {
                    var Service: String
                    var CPUPerc: String
                    var MemoryBytes: Int
                    var NetReceivedBytes: Int
                    var PIDs: String
                }
                let rows = try stage.covey("stats", "--no-stream", "--format", "json").lines.map {
                    try JSONDecoder().decode(Row.self, from: Data($0.utf8))
                }
                try stage.require(
                    rows.map(\.Service) == ["db", "web"]
                        && rows.allSatisfy {
                            $0.MemoryBytes > 0 && $0.CPUPerc.hasSuffix("%") && $0.PIDs != "0"
                        },
                    "\(rows)")
                try stage.exec("db", "ping -c 3 -i 0.1 web")
                let after = try stage.covey("stats", "--no-stream", "--format", "json", "db").lines.map {
                    try JSONDecoder().decode(Row.self, from: Data($0.utf8))
                }
                try stage.require(
                    after.count == 1 && after[0].NetReceivedBytes > rows[0].NetReceivedBytes, "\(after)")
                let live = try stage.start(["stats"])
                try stage.eventually("it is told again") {
                    live.soFar.output.split(separator: "\n").filter { $0.hasPrefix("NAME") }.count > 1
                }
                live.signal(SIGINT)
                try stage.eventually("Ctrl-C ends it") { live.ended() != nil }
                try stage.covey("stop", "db")
                try stage.require(try stage.covey("stats", "--no-stream").lines.count == 2, "db is listed")
                try stage.require(
                    try stage.covey("stats", "--no-stream", "-a").output.contains("--"), "-a lists it")

                try stage.require(try stage.covey("port", "web", "80").text == "0.0.0.0:8080", "port web 80")
                try stage.require(
                    try stage.covey("port", "--protocol", "udp", "web", "53").text == "127.0.0.1:5353", "udp")
                try stage.require(try stage.covey("port", "web", "53/udp").text == "127.0.0.1:5353", "53/udp")
                for (words, part) in [
                    (["web", "81"], "8080->80"), (["web", "eighty"], "eighty"), (["web", "70000"], "70000"),
                    (["--index", "2", "web", "80"], "number 2"), (["webb", "80"], "\"web\""),
                    (["db", "80"], "does not run"), (["shell", "80"], "no container"),
                ] {
                    let bad = try stage.start(["port"] + words).wait()
                    try stage.require(bad.code == 1 && bad.errors.contains(part), "\(words): \(bad)")
                }
                let images = try stage.covey("images")
                try stage.require(images.output.contains("\(stage.project)-web-1   bb:1"), "\(images)")
                try stage.require(try stage.covey("images", "-q").lines.count == 1, "one image")
                let json = try stage.covey("images", "--format", "json", "web").lines
                try stage.require(
                    json.count == 1 && json[0].hasPrefix("[{\"ID\":\"sha256:") && json[0].hasSuffix("}]")
                        && json[0].contains(
                            "\"ContainerName\":\"\(stage.project)-web-1\",\"Repository\":\"bb\",\"Tag\":\"1\",\"Platform\":\"linux/"
                        ),
                    "\(json)")
                try stage.require(try stage.covey("volumes", "-q").text == "\(stage.project)_data", "volumes")
                try stage.require(try stage.covey("volumes", "-q", "db").text == "", "db has none")
                for command in ["top", "stats", "images", "volumes"] {
                    let bad = try stage.covey(command, "nowhere", code: 1)
                    try stage.require(bad.errors.contains("nowhere"), "\(bad)")
                }
            }
        }

        @Test("attach shows output from now on, types into the service, passes signals and its code")
        func attach() throws {
            try Stage.play("tools") { stage in
                try stage.covey("up", "-d")
                let covey = Host.covey ?? "covey"
                let typed = try stage.inHost([
                    "sh", "-c", "(sleep 0.5; echo one; echo end; sleep 1) | \(covey) attach shell",
                ])
                try stage.require(typed.output == "got one\ngot end\n" && typed.code == 6, "\(typed)")
                let watching = try stage.start(["attach", "--no-stdin", "--sig-proxy=false", "web"])
                try stage.eventually("it shows output") { watching.soFar.output.contains("tick") }
                watching.signal(SIGINT)
                try stage.eventually("it ends") { watching.ended() != nil }
                try stage.require(try stage.container("web").State == "running", "the signal was passed on")
                let passing = try stage.start(["attach", "web"])
                try stage.eventually("it shows output") { passing.soFar.output.contains("tick") }
                passing.signal(SIGTERM)
                try stage.eventually("it ends with the service") { passing.ended() == 143 }
                let line =
                    "(sleep 2; printf 'hello\\n'; sleep 1; printf '\\020\\021'; sleep 1) | "
                    + "script -qec '\(covey) attach terminal' /dev/null"
                let terminal = try stage.inHost(["sh", "-c", line])
                try stage.require(terminal.output.contains("got hello") && terminal.code == 0, "\(terminal)")
                try stage.require(try stage.container("terminal").State == "running", "detaching ended it")
                for (words, part) in [
                    (["web"], "does not run"), (["nowhere"], "nowhere"),
                    (["--detach-keys", "ctrl-", "terminal"], "ctrl-"),
                    (["--index", "7", "terminal"], "number 7"),
                ] {
                    let bad = try stage.start(["attach"] + words).wait()
                    try stage.require(bad.code == 1 && bad.errors.contains(part), "\(words): \(bad)")
                }
            }
        }

        @Test("logs of several services are one row in time; --since, --until and -n cut it")
        func logsInTime() throws {
            try Stage.play("tools") { stage in
                try stage.covey("up", "-d", "talker", "shell")
                for number in 1...6 {
                    let service = number % 2 == 0 ? "talker" : "shell"
                    try stage.exec(service, "echo number \(number) > /proc/1/fd/1")
                    usleep(30_000)
                }
                func numbers(_ arguments: String...) throws -> [Int] {
                    let outcome = try stage.start(["logs", "--no-log-prefix"] + arguments).wait()
                    guard outcome.succeeded else { throw ScenarioError("\(outcome)") }
                    return outcome.lines.compactMap { $0.hasPrefix("number ") ? Int($0.dropFirst(7)) : nil }
                }
                try stage.eventually("all are there") { try numbers() == [1, 2, 3, 4, 5, 6] }
                let times = try stage.covey("logs", "-t", "--no-log-prefix").lines.filter {
                    $0.contains("number")
                }.map { String($0.prefix { $0 != " " }) }
                try stage.require(times == times.sorted() && times.count == 6, "\(times)")
                try stage.require(try numbers("--since", times[3]) == [4, 5, 6], "--since \(times[3])")
                try stage.require(try numbers("--until", times[2]) == [1, 2, 3], "--until \(times[2])")
                try stage.require(try numbers("--since", times[1], "--until", times[3]) == [2, 3, 4], "both")
                try stage.require(try numbers("--since", "10m") == [1, 2, 3, 4, 5, 6], "10m")
                try stage.require(try numbers("--until", "10m") == [], "until 10m ago")
                try stage.require(
                    try numbers("--until", times[4], "-n", "1", "shell") == [5], "-n with --until")
                try stage.require(
                    try numbers("--since", "0", "--index", "1", "shell") == [1, 3, 5], "--index")
                for (words, part) in [
                    (["--since", "yesterday"], "yesterday"), (["--until", "2026-13-01"], "2026-13-01"),
                    (["--since", "1m", "--until", "2m"], "later"), (["--index", "0"], "--index"),
                ] {
                    let bad = try stage.start(["logs"] + words).wait()
                    try stage.require(bad.code == 1 && bad.errors.contains(part), "\(words): \(bad)")
                }
            }
        }

        @Test(
            "up ends with a container: --exit-code-from, --abort-on-container-exit, --abort-on-container-failure"
        )
        func aborting() throws {
            try Stage.play("aborting") { stage in
                let from = try stage.covey("up", "--exit-code-from", "test", code: 42)
                try stage.require(from.output.contains("testing"), "\(from)")
                try stage.require(try stage.covey("ps", "-q").lines.isEmpty, "something runs on")
                // The server is stopped by the abort: its code tells so.
                try stage.covey("up", "--exit-code-from", "server", code: 143)
                try stage.covey("up", "--abort-on-container-exit", code: 42)
                try stage.covey("up", "--abort-on-container-failure", code: 42)
                try stage.covey(
                    "up", "--force-recreate", "--abort-on-container-exit", "--no-attach", "test", code: 0,
                    variables: ["CODE=0"])
                for (words, part) in [
                    (["-d", "--exit-code-from", "test"], "background"),
                    (["--exit-code-from", "tests"], "\"test\""),
                    (["--abort-on-container-exit", "--abort-on-container-failure"], "choose"),
                    (["--no-recreate", "--force-recreate"], "recreate"),
                    (["--attach", "nowhere"], "nowhere"),
                    (["-t", "soon"], "soon"),
                ] {
                    let bad = try stage.start(["up"] + words).wait()
                    try stage.require(bad.code == 1 && bad.errors.contains(part), "\(words): \(bad)")
                }
            }
        }

        @Test("up --no-deps, --no-recreate and --always-recreate-deps choose what is touched")
        func choosing() throws {
            try Stage.play("aborting") { stage in
                try stage.covey("up", "-d", "--no-deps", "server")
                try stage.require(
                    try stage.containers().map(\.Service) == ["server"], "\(try stage.containers())")
                let before = try stage.processes()
                try stage.edit("sleep, \"1000\"", "sleep, \"2000\"")
                try stage.covey("up", "-d", "--no-recreate", "server")
                try stage.require(try stage.processes() == before, "--no-recreate recreated it")
                try stage.covey("up", "-d", "server")
                let changed = try stage.processes()
                try stage.require(changed != before, "it was not recreated")
                try stage.covey("up", "-d", "--always-recreate-deps", "test")
                let last = try stage.processes()
                try stage.require(
                    last["\(stage.project)-server-1"] != changed["\(stage.project)-server-1"], "\(last)")
            }
        }

        @Test("every command has its help")
        func help() throws {
            try Stage.play("one") { stage in
                for command in [
                    "run", "create", "scale", "rm", "pause", "unpause", "wait", "attach", "top", "stats",
                    "port",
                    "images", "volumes",
                ] {
                    let text = try stage.covey(command, "--help").output
                    try stage.require(text.contains("Usage: covey \(command)"), text)
                }
            }
        }
    }
}
