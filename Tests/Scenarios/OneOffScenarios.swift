// SPDX-License-Identifier: Apache-2.0
//
// `covey run`: containers for one command, beside those of the services.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("one-off containers")
    struct OneOffs {
        @Test("run brings up what the service depends on, runs the command, ends with its code")
        func dependencies() throws {
            try Stage.play("oneoff") { stage in
                // No controller runs yet: run starts one.
                let run = try stage.covey(
                    "run", "--rm", "-T", "app", "sh", "-c", "cat /data/job; echo $COLOUR; pwd; exit 7",
                    code: 7)
                try stage.require(run.output == "prepared\nblue\n/tmp\n", "\(run)")
                let rows = try stage.containers()
                try stage.require(
                    rows.map(\.Service).sorted() == ["db", "job"], "dependencies alone are left: \(rows)")
                try stage.require(try stage.container("db").Health == "healthy", "\(rows)")
                let log = try stage.covey(
                    "run", "-q", "-T", "--rm", "app", "sh", "-c", "echo out; echo err >&2")
                try stage.require(log.output == "out\n" && log.errors == "err\n", "\(log)")
            }
        }

        @Test("run's flags set environment, user, directory, entrypoint, mounts, labels, ports and name")
        func flags() throws {
            try Stage.play("oneoff") { stage in
                try stage.write("more.env", "SIZE=large\nFROM_FILE=yes\n")
                try ensureDirectory("\(stage.files)/here")
                try stage.write("here/file", "from the host\n")
                let line =
                    "echo $COLOUR $SIZE $FROM_FILE $EXTRA $PASSED; id -u; pwd; cat /mnt/file; ls /extra"
                let set = try stage.covey(
                    "run", "--rm", "-T", "--no-deps", "-e", "EXTRA=more", "-e", "PASSED", "--env-from-file",
                    "more.env", "-u", "app", "-w", "/data", "-v", "./here:/mnt:ro", "-v", "/extra", "app",
                    "sh",
                    "-c", line, variables: ["PASSED=on"])
                try stage.require(
                    set.output == "blue large yes more on\n1000\n/data\nfrom the host\n", "\(set)")
                try stage.require(
                    try stage.containers().isEmpty, "--no-deps brought something up, or --rm failed")
                let entry = try stage.covey("run", "--rm", "-T", "tool")
                try stage.require(entry.output == "entry default\n", "\(entry)")
                let arguments = try stage.covey("run", "--rm", "-T", "tool", "-x", "--rm")
                try stage.require(arguments.output == "entry -x --rm\n", "\(arguments)")
                let other = try stage.covey(
                    "run", "--rm", "-T", "--entrypoint", "printf '%s %s'", "tool", "a", "b")
                try stage.require(other.output == "a b", "\(other)")
                let named = try stage.covey(
                    "run", "-d", "--no-deps", "--name", "one-more", "-p", "9090:80", "app", "sleep", "1000")
                try stage.require(named.text == "one-more", "\(named)")
                let port = try stage.covey("ps", "--format", "json")
                try stage.require(
                    port.output.contains("9090") && !port.output.contains("8080"),
                    "ports of the service: \(port)")
                let again = try stage.covey(
                    "run", "--no-deps", "-T", "--name", "one-more", "app", "true", code: 1)
                try stage.require(again.errors.contains("one-more"), "\(again)")
                let service = try stage.covey("run", "-d", "--no-deps", "-P", "app", "sleep", "1000")
                try stage.require(try stage.covey("ps").output.contains("8080->80"), "\(service)")
            }
        }

        @Test("64 MiB through standard input and output are exact, and the end is passed on")
        func exactStreams() throws {
            try Stage.play("oneoff") { stage in
                let big = "\(stage.files)/big"
                try Host.run(["dd", "if=/dev/urandom", "of=\(big)", "bs=1M", "count=64", "status=none"])
                    .orThrow()
                let sum = try Host.run(["sha256sum", big]).orThrow().output.prefix(64)
                let covey = Host.covey ?? "covey"
                let piped = try stage.inHost([
                    "sh", "-c", "cat big | \(covey) run --rm -T --no-deps app sha256sum",
                ])
                try stage.require(piped.output.hasPrefix(sum), "\(piped)")
                let through = try stage.inHost([
                    "sh", "-c", "cat big | \(covey) run --rm -T --no-deps app cat | sha256sum",
                ])
                try stage.require(through.output.hasPrefix(sum), "\(through)")
                let out = try stage.inHost([
                    "sh", "-c",
                    "\(covey) run --rm -T --no-deps -v ./big:/big app cat /big < /dev/null | sha256sum",
                ])
                try stage.require(out.output.hasPrefix(sum), "\(out)")
                let without = try stage.inHost([
                    "sh", "-c", "cat big | \(covey) run --rm -T -i=false --no-deps app wc -c",
                ])
                try stage.require(without.text == "0", "\(without)")
            }
        }

        @Test("run has a real terminal where there is one, with its size, and passes Ctrl-C and the code on")
        func terminal() throws {
            try Stage.play("oneoff") { stage in
                let covey = Host.covey ?? "covey"
                let size = try stage.inHost([
                    "script", "-qec",
                    "stty rows 33 cols 77; \(covey) run --rm --no-deps app sh -c 'tty; stty size; exit 5'",
                    "/dev/null",
                ])
                try stage.require(
                    size.output.contains("/dev/") && size.output.contains("33 77"), "\(size)")
                try stage.require(size.code == 5, "the exit code is not passed: \(size)")
                let typed = try stage.inHost([
                    "sh", "-c",
                    "(sleep 2; printf 'hello\\n'; sleep 0.5; printf '\\003') | script -qec "
                        + "\"\(covey) run --rm --no-deps app sh -c 'trap \\\"exit 9\\\" INT; read line; "
                        + "echo got \\$line; while :; do sleep 0.1; done'\" /dev/null",
                ])
                try stage.require(typed.output.contains("got hello"), "\(typed)")
                try stage.require(typed.code == 9, "Ctrl-C did not reach the program: \(typed)")
            }
        }

        @Test("SIGTERM and Ctrl-C of the client reach the command")
        func signals() throws {
            try Stage.play("oneoff") { stage in
                for (signal, code): (Int32, Int32) in [(SIGTERM, 3), (SIGINT, 4)] {
                    let run = try stage.start([
                        "run", "--rm", "-T", "--no-deps", "app", "sh", "-c",
                        "trap 'exit 3' TERM; trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done",
                    ])
                    try stage.eventually("it runs") { run.soFar.output.contains("ready") }
                    run.signal(signal)
                    try stage.eventually("it ends") { run.ended() != nil }
                    try stage.require(run.ended() == code, "signal \(signal) gave \(run.ended() ?? -1)")
                }
                try stage.require(try stage.containers().isEmpty, "--rm left something")
            }
        }

        @Test("a one-off container stays until rm or down; ps hides it when it ended, up never touches it")
        func staying() throws {
            try Stage.play("oneoff") { stage in
                try stage.covey("up", "-d")
                try stage.covey("run", "-T", "app", "sh", "-c", "exit 3", code: 3)
                try stage.require(try stage.covey("ps", "-q").lines.count == 2, "an ended one-off is listed")
                let all = try stage.covey("ps", "-a", "-q").lines
                let name = all.first { $0.contains("-app-run-") } ?? ""
                try stage.require(
                    name.hasPrefix("\(stage.project)-app-run-"), "ps -a does not list it: \(all)")
                let running = try stage.covey("run", "-d", "app", "sleep", "1000").text
                try stage.covey("up", "-d", "--remove-orphans")
                try stage.covey("up", "-d", "--force-recreate", "app")
                let after = try stage.covey("ps", "-a", "-q").lines
                try stage.require(after.contains(name) && after.contains(running), "up touched one: \(after)")
                let plan = try stage.covey("plan")
                try stage.require(plan.output.contains("nothing to do"), "\(plan)")
                try stage.covey("stop")
                try stage.require(try stage.covey("ps", "-q").lines == [running], "stop stopped the one-off")
                try stage.covey("rm", "-f")
                try stage.require(try stage.covey("ps", "-a", "-q").lines == [running], "rm left something")
            }
        }

        @Test("exec reaches a one-off where the service does not run; kill and wait do with its service")
        func reached() throws {
            try Stage.play("oneoff") { stage in
                try stage.covey("up", "-d", "db")
                let name = try stage.covey(
                    "run", "-d", "--rm", "--no-deps", "-e", "MARK=one-off", "db", "sh", "-c",
                    "trap 'exit 6' TERM; while :; do sleep 0.05; done"
                ).text
                try stage.require(try stage.exec("db", "echo $MARK") == "", "exec prefers the one-off")
                try stage.covey("stop", "-t", "0", "db")
                try stage.require(try stage.covey("ps", "-q").lines == [name], "stop stopped the one-off")
                try stage.require(try stage.exec("db", "echo $MARK") == "one-off", "exec does not find it")
                try stage.covey("start", "db")
                let wait = try stage.start(["wait", "db"])
                try stage.eventually("both are killed, and wait hears of both") {
                    try stage.covey("kill", "-s", "TERM", "db")
                    return wait.ended() != nil
                }
                let told = try wait.wait()
                try stage.require(told.output.contains("\(name) exited with code 6"), "\(told)")
                try stage.require(told.output.contains("db-1 exited with code"), "\(told)")
            }
        }

        @Test("a killed client leaves the container running; --rm removes it all the same when it ends")
        func lostClient() throws {
            try Stage.play("oneoff") { stage in
                let run = try stage.start([
                    "run", "--rm", "-T", "--no-deps", "--name", "lonely", "app", "sh", "-c",
                    "echo ready; while [ ! -e /data/go ]; do sleep 0.05; done",
                ])
                try stage.eventually("it runs") { run.soFar.output.contains("ready") }
                run.signal(SIGKILL)
                try stage.eventually("the client is gone") { run.ended() != nil }
                try stage.require(try stage.covey("ps", "-q").lines == ["lonely"], "it did not go on")
                try stage.covey("run", "--rm", "-T", "--no-deps", "app", "touch", "/data/go")
                try stage.eventually("it is removed") { try stage.covey("ps", "-a", "-q").lines.isEmpty }
            }
        }

        @Test("the controller killed while a command runs: its output and its code are exact")
        func lostController() throws {
            try Stage.play("oneoff") { stage in
                let run = try stage.start([
                    "run", "--rm", "-T", "--no-deps", "app", "sh", "-c",
                    "echo ready; while [ ! -e /data/go ]; do sleep 0.05; done; echo done; exit 12",
                ])
                try stage.eventually("it runs") { run.soFar.output.contains("ready") }
                guard let controller = stage.engine().last else { throw ScenarioError("no controller") }
                kill(controller, SIGKILL)
                try stage.eventually("another one answers") { try stage.covey("ps", "-q").lines.count == 1 }
                try stage.covey("run", "--rm", "-T", "--no-deps", "app", "touch", "/data/go")
                try stage.eventually("the client ends") { run.ended() != nil }
                try stage.require(run.ended() == 12, "the code is \(run.ended() ?? -1): \(run.soFar)")
                try stage.require(run.soFar.output == "ready\ndone\n", "\(run.soFar)")
                try stage.eventually("it is removed") { try stage.covey("ps", "-a", "-q").lines.isEmpty }
            }
        }

        @Test("what can't be run is refused with its reason and leaves nothing")
        func refused() throws {
            try Stage.play("oneoff") { stage in
                let service = try stage.covey("run", "ap", "true", code: 1)
                try stage.require(service.errors.contains("\"app\""), "\(service)")
                let program = try stage.covey(
                    "run", "--rm", "-T", "--no-deps", "app", "/no/such/program", code: 127)
                try stage.require(program.errors.contains("/no/such/program"), "\(program)")
                try stage.covey("run", "--rm", "-T", "--no-deps", "app", "/etc/passwd", code: 126)
                for (arguments, word) in [
                    (["-p", "nonsense", "app"], "nonsense"), (["-p", "99999", "app"], "99999"),
                    (["-v", "undeclared:/x", "app"], "undeclared"),
                    (["-v", "/x:relative", "app"], "relative"),
                    (["-e", "=x", "app"], "=x"), (["--env-from-file", "missing.env", "app"], "missing.env"),
                    (["--name", "bad/name", "app"], "bad/name"), (["--entrypoint", "'open", "app"], "open"),
                    (["-u", "nobody-here", "--no-deps", "app"], "nobody-here"),
                    (["--cap-add", "NONSENSE", "--no-deps", "app"], "NONSENSE"),
                    (["--pull", "always", "--no-deps", "app"], "cannot pull"),
                    (["--pull", "sometimes", "app"], "sometimes"),
                ] {
                    let outcome = try stage.start(["run", "-T"] + arguments + ["true"]).wait()
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains(word), "\(arguments): \(outcome)")
                }
                try stage.require(try stage.covey("ps", "-a", "-q").lines.isEmpty, "something was left")
            }
        }
    }
}
