// SPDX-License-Identifier: Apache-2.0
//
// Attacks from inside of a project's containers, mounted for real: what fails is that one gets through. Each test names
// the attacks as docs/security.md does; Tests/Scenarios/projects/attacker.c is who tries.

import Glibc
import Kernel
import Testing

extension Stage {
    /// A file of a named volume, as the host sees it.
    fileprivate func inVolume(_ volume: String, _ file: String) -> String {
        contents("\(directory)/root/volumes/\(project)_\(volume)/data/\(file)")
    }

    /// A directory of the host that nobody in a container may reach, with one file in it.
    fileprivate func makeVictim() throws -> String {
        let path = "\(directory)/victim"
        try ensureDirectory(path)
        try writeFile("\(path)/secret", Array("of the host\n".utf8), mode: 0o600)
        return path
    }

    fileprivate func requireUntouched(_ victim: String) throws {
        let status = try fileStatus("\(victim)/secret")
        try require(
            try directoryEntries(victim) == ["secret"] && contents("\(victim)/secret") == "of the host\n"
                && status.st_mode & 0o7777 == 0o600 && status.st_uid == 0,
            "the host was written to: \(tree(victim))")
    }
}

/// What `attacker born` says of a program that has nothing but its streams and no capability to pass on.
func holdsNothing(_ born: String) -> Bool {
    let lines = born.split(separator: "\n").map { $0.split(separator: " ") }
    let descriptors = lines.filter { $0.first == "fd" }.map { $0[1] }
    return !descriptors.isEmpty && descriptors.allSatisfy { ["0", "1", "2"].contains($0) }
        && born.contains("CapInh: 0000000000000000") && born.contains("CapAmb: 0000000000000000")
        && born.contains("Groups: 0")
}

/// How often `attacker flip` has flipped.
func flips(_ count: String) -> Int { Int(count.prefix { $0.isNumber }) ?? 0 }

extension Scenarios {
    @Suite("attacks from inside")
    struct Attacks {
        @Test(
            "on every way in: descriptors, inheritable capabilities, working directories (CVE-2024-21626, CVE-2022-24769)"
        )
        func born() throws {
            try Stage.play("attacks") { stage in
                try stage.covey("up", "-d", "--wait", "--build", "born")
                func check(_ way: String, _ text: String) throws {
                    try stage.require(holdsNothing(text), "\(way): \(text)")
                }
                try check("exec", try stage.covey("exec", "-T", "born", "attacker", "born").output)
                try check("run", try stage.covey("run", "--rm", "-T", "somebody", "attacker", "born").output)
                try check("build", try stage.exec("born", "cat /build"))
                let refused = try stage.exec("born", "cat /asked").split(separator: "\n")
                try stage.require(refused.count > 20, "\(refused)")
                for line in refused + (try stage.exec("born", "attacker ask")).split(separator: "\n") {
                    try stage.require(!line.hasSuffix("granted"), "\(line)")
                }
                for number in 3..<20 {
                    let place = "/proc/self/fd/\(number)"
                    let out = try stage.attempt("exec", "-T", "-w", place, "born", "attacker", "born")
                    try stage.require(out.code != 0 && out.output.isEmpty, "\(out)")
                }
                for number in [3, 7, 9] {
                    let place = "/proc/self/fd/\(number)"
                    let run = try stage.attempt("run", "--rm", "-T", "-w", place, "somebody", "pwd")
                    try stage.require(run.code != 0 && run.output.isEmpty, "\(run)")
                    let up = try stage.attempt("up", "-d", "misplaced", variables: ["NUMBER=\(number)"])
                    try stage.require(up.code == 1 && up.errors.contains(place), "\(up)")
                    let build = try stage.attemptBuild("FROM bb:1\nWORKDIR \(place)\nRUN pwd; ls ..\n")
                    try stage.require(build.code == 1, "\(build)")
                }
                try stage.covey("stop", "born")
                for way in ["main", "health", "pre_start", "post_start", "pre_stop"] {
                    try check(way, stage.inVolume("out", way))
                }
            }
        }

        @Test(
            "a spy with CAP_SYS_PTRACE sees nothing of the host's in who joins (CVE-2016-9962, CVE-2019-5736)"
        )
        func spy() throws {
            try Stage.play("attacks") { stage in
                try stage.covey("up", "-d", "spied")
                let covey = Host.covey ?? "covey"
                let loop =
                    "for n in $(seq 120); do \(covey) exec -T spied true; \(covey) exec -T -u app spied true; done"
                let execs = try stage.inHost(["sh", "-c", "(\(loop)) </dev/null 2>&1 | cat"])
                try stage.require(execs.output.isEmpty, "\(execs)")
                try writeFile("\(stage.directory)/root/volumes/\(stage.project)_out/data/stop", [])
                try stage.eventually("the spy has told") { stage.inVolume("out", "told").contains("seen") }
                let told = stage.inVolume("out", "told").split(separator: "\n")
                try stage.require(
                    told.count == 1 && told[0] != "seen 0",
                    "what the spy saw: \(Set(told).sorted().prefix(20))")
            }
        }

        @Test(
            "names that flip 10,000 times during mounts and copies lead nowhere out (CVE-2021-30465, CVE-2024-45310, CVE-2018-15664, CVE-2021-41089)"
        )
        func flipping() throws {
            try Stage.play("attacks") { stage in
                let victim = try stage.makeVictim()
                let mounts = contents("/proc/self/mountinfo").split(separator: "\n").count
                let variables = ["VICTIM=\(victim)"]
                try ensureDirectory("\(stage.files)/taken")
                try stage.covey("up", "-d", "flipper", variables: variables)
                try stage.eventually("the flipper flips") { flips(stage.inVolume("shared", "count")) > 0 }
                let before = flips(stage.inVolume("shared", "count"))
                var (rounds, started, copied) = (0, 0, 0)
                let look = "cat /sub/* /sub/*/* /shared/swap/* /shared/again/* 2>/dev/null; true"
                // Whether a start ever wins its race is luck: one is waited for, but not for ever.
                while rounds < 6 || flips(stage.inVolume("shared", "count")) - before < 10_000
                    || started == 0 && rounds < 60 || copied == 0
                {
                    rounds += 1
                    try stage.require(rounds < 500, "the flipper does not flip")
                    for service in ["mounter", "taker"] {
                        let run = try stage.attempt(
                            "run", "--rm", "-T", service, "sh", "-c", look, variables: variables)
                        if run.code == 0 { started += 1 }
                        try stage.require(!run.output.contains("of the host"), "\(run)")
                    }
                    for words in [
                        ["cp", "flipper:/shared/swap", "./taken"],
                        ["cp", "flipper:/shared/again/.", "./taken"],
                        ["cp", "./given", "flipper:/shared/swap"],
                        ["cp", "-a", "./given/file", "flipper:/shared/again/secret"],
                    ] {
                        if try stage.start(words, variables: variables).wait().code == 0 { copied += 1 }
                    }
                    for path in tree("\(stage.files)/taken") {
                        try stage.require(!contents(path).contains("of the host"), "copied: \(path)")
                    }
                    try stage.requireUntouched(victim)
                }
                let after = contents("/proc/self/mountinfo").split(separator: "\n")
                try stage.require(
                    after.count == mounts || !after.contains { $0.contains(stage.directory) },
                    "mounts of the host: \(after)")
            }
        }

        @Test(
            "a program that is /proc/self/exe, on every way in, is no binary of the host (CVE-2019-5736)")
        func itself() throws {
            try Stage.play("attacks") { stage in
                let binary = Host.covey ?? "covey"
                let before = try Host.run(["sha256sum", binary]).text
                // An attacker brings the loader it needs: without one it would fail whatever stands against it.
                try takeLibraries(of: binary, into: "\(stage.files)/libraries")
                for service in ["itself", "script", "direct"] {
                    _ = try stage.attempt("up", "-d", "--build", service)
                    try stage.eventually("\(service) has ended") {
                        try stage.container(service).State != "running"
                    }
                    let logs = try stage.logs(service)
                    try stage.require(!logs.contains("Usage") && !logs.contains("covey"), logs)
                }
                try stage.covey("up", "-d", "neighbour")
                for words in [
                    ["exec", "-T", "neighbour", "/proc/self/exe", "--help"],
                    ["exec", "-T", "-d", "neighbour", "/proc/self/exe", "up"],
                    ["run", "--rm", "-T", "itself"], ["run", "--rm", "-T", "script"],
                    ["run", "--rm", "-T", "direct"], ["run", "--rm", "-T", "direct", "/script"],
                ] {
                    let outcome = try stage.start(words).wait()
                    try stage.require(outcome.output.isEmpty, "\(outcome)")
                    try stage.require(outcome.code != 0 || words.contains("-d"), "\(outcome)")
                }
                let build = try stage.attemptBuild("FROM bb:1\nRUN [\"/proc/self/exe\", \"--help\"]\n")
                try stage.require(build.code == 1 && !build.errors.contains("Usage: covey"), "\(build)")
                try stage.require(try Host.run(["sha256sum", binary]).text == before, "the binary changed")

                // No socket in the abstract name space, which a container with the host's network shares
                // (CVE-2020-15257).
                let sockets = try stage.exec("neighbour", "cat /proc/net/unix")
                try stage.require(
                    sockets.contains("control.sock") && !sockets.contains(" @"), "sockets: \(sockets)")
            }
        }

        @Test(
            "users that are no numbers, or too large, are nobody (CVE-2026-30892, CVE-2024-40635); groups are whole (CVE-2022-36109)"
        )
        func users() throws {
            try Stage.play("attacks") { stage in
                try stage.covey("up", "-d", "somebody")
                let wrong = [
                    " 1000", "1000 ", "1000:", ":", "-1", "4294967295", "4294967296", "0x0", "1000x",
                    "1000:4294967296", "2147483648:2147483648:0", "18446744073709551616", "+0", "0\n",
                ]
                for user in wrong {
                    let exec = try stage.attempt("exec", "-T", "-u", user, "somebody", "id")
                    try stage.require(exec.code != 0 && exec.output.isEmpty, "\(exec)")
                }
                for user in ["4294967296", "2147483648:4294967295"] {
                    let up = try stage.attempt("up", "-d", "somebody", variables: ["SOMEBODY=\(user)"])
                    try stage.require(up.code == 1, "\(up)")
                    let build = try stage.attemptBuild("FROM bb:1\nUSER \(user)\nRUN id\n")
                    try stage.require(build.code == 1, "\(build)")
                }
                try stage.covey("up", "-d", "somebody")
                for (user, expected) in [
                    ("app", "1000 1000 2000"), ("1000", "1000 1000 2000"), ("12345", "12345 0"),
                    ("app:extra", "1000 2000"), ("2147483648:7", "2147483648 7"),
                ] {
                    let exec = try stage.covey(
                        "exec", "-T", "-u", user, "somebody", "sh", "-c", "echo $(id -u) $(id -G)")
                    try stage.require(exec.text == expected, "\(user): \(exec)")
                }
            }
        }

        @Test("directories of state are root's alone (CVE-2021-41091, CVE-2021-41103)")
        func modes() throws {
            try Stage.play("attacks") { stage in
                let (root, run) = ("\(stage.directory)/fresh/root", "\(stage.directory)/fresh/run")
                chmod(stage.directory, 0o755)
                let place = ["--root", root, "--run", run]
                for words in [
                    ["image", "import", "dir:\(try Host.rootfs.get())", "bb:1"], ["up", "-d", "spied"],
                ] {
                    let outcome = try stage.start(place + words).wait()
                    try stage.require(outcome.succeeded, "\(outcome)")
                }
                let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
                for path in [root, run] {
                    let look = try stage.inHost(nobody + ["find", path])
                    try stage.require(look.lines.count <= 1, "nobody sees: \(look)")
                }
                // Where the outer directory is somebody's choice, and open, the inner ones are not.
                for parent in ["\(stage.directory)/root", "\(stage.directory)/run"] {
                    for name in try directoryEntries(parent) {
                        let look = try stage.inHost(nobody + ["find", "\(parent)/\(name)"])
                        try stage.require(look.lines.count <= 1, "nobody sees: \(look)")
                    }
                }
                _ = try stage.start(place + ["down", "-v", "--timeout", "1"]).wait()
            }
        }

        @Test("clients of exec that die leave the controller as it was (CVE-2022-23471, CVE-2022-31030)")
        func deadClients() throws {
            try Stage.play("attacks") { stage in
                try stage.covey("up", "-d", "somebody")
                let controller = stage.engine().last ?? 0
                func descriptors() throws -> Int { try directoryEntries("/proc/\(controller)/fd").count }
                let before = try descriptors()
                for number in 0..<20 {
                    let line = "echo up; while sleep 0.1; do echo more; done"
                    // Every other one has a terminal, which `script` gives it.
                    let covey = "exec \(Host.covey ?? "covey") exec somebody sh -c '\(line)'"
                    let client =
                        number % 2 == 0
                        ? try stage.start(["exec", "-T", "somebody", "sh", "-c", line])
                        : try RunningProgram(
                            [
                                "nsenter", "--net=/run/netns/\(stage.host)", "script", "-qec", covey,
                                "/dev/null",
                            ], environment: stage.environment, directory: stage.files,
                            scratch: "\(stage.directory)/scratch")
                    try stage.eventually("it runs") { client.soFar.output.contains("up") }
                    client.signal(SIGKILL)
                    _ = try client.wait()
                }
                try stage.covey("restart", "--timeout", "0", "somebody")
                // Some it holds for the container itself, from a moment after its start; one left by each client is more.
                try stage.eventually("the controller holds no more than before") {
                    try descriptors() <= before + 8
                } orSay: {
                    "\(before), now \(try descriptors())"
                }
            }
        }
    }
}
