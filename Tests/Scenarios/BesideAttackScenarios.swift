// SPDX-License-Identifier: Apache-2.0
//
// Attacks from beside a project: bytes nobody would say at its sockets, and files that change under a build that copies
// them. What fails is that something breaks, leaks or gets through.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("attacks from beside")
    struct BesideAttacks {
        @Test("garbage at the control socket and at the keeper's breaks nothing, leaks nothing, keeps nobody waiting")
        func garbage() throws {
            try Stage.play("garbage") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                let engine = stage.engine()
                try stage.require(engine.count == 2, "keeper and controller: \(engine)")
                func descriptors() -> [Int] { engine.map { targets(of: $0).count } }
                // What it listens to for drift is opened a moment after the start; `ps` is answered when that is done.
                try stage.eventually("it listens") {
                    let held = targets(of: engine[1])
                    return held.contains { $0.hasSuffix("/mountinfo") } && held.contains("anon_inode:inotify")
                }
                try stage.covey("ps")
                let held = descriptors()
                let pipe = "\(stage.directory)/hush"
                try Host.run(["mkfifo", pipe]).orThrow()
                let shouter = try RunningProgram(
                    [
                        "sh", "-c", "exec python3 shout.py \"$1\" \"$2\" <>\"$3\"", "shout",
                        "\(stage.directory)/run/\(stage.project)/control.sock", "\(engine[1])", pipe,
                    ], environment: ["PATH=\(Host.path)"], directory: stage.files,
                    scratch: stage.directory)
                defer { shouter.signal(SIGKILL) }
                try stage.eventually(
                    "it has shouted",
                    { shouter.ended() != nil || shouter.soFar.output.contains("shouted") },
                    orSay: { "\(shouter.soFar)" })
                try stage.require(shouter.ended() == nil, "\(shouter.soFar)")
                // While those who say nothing more are still connected.
                try stage.require(try stage.exec("app", "echo fine") == "fine", "exec")
                shouter.signal(SIGKILL)
                try stage.eventually(
                    "no descriptor is left", { descriptors() == held },
                    orSay: { "before \(held), now \(descriptors())" })
                try stage.require(stage.engine() == engine, "the engine was \(engine), is \(stage.engine())")
                try stage.require(try stage.processes() == before, "containers were touched")
                try stage.covey("down")
            }
        }

        @Test("links and directories that flip 10,000 times under COPY bring nothing of the host's into the image")
        func copying() throws {
            try Stage.play("garbage") { stage in
                let victim = "\(stage.directory)/victim"
                let context = "\(stage.files)/context"
                for directory in [victim, "\(context)/swap", "\(context)/.parked"] {
                    try ensureDirectory(directory)
                }
                try writeFile("\(victim)/inside", Array("of the host\n".utf8))
                try writeFile("\(context)/swap/inside", Array("of the context\n".utf8))
                try writeFile("\(context)/file", Array("of the context\n".utf8))
                try Host.run(["ln", "-s", victim, "\(context)/away"]).orThrow()
                try Host.run(["ln", "-s", "../../victim/inside", "\(context)/link"]).orThrow()
                try writeFile(
                    "\(context)/Dockerfile",
                    Array(
                        """
                        FROM bb:1
                        COPY . /all
                        COPY swap/inside /one
                        COPY fil[e] /two
                        RUN cat /one /two; cat /all/*/* /all/file; ! grep -rq "of the [h]ost" /all /one /two
                        """.utf8))
                try stage.write("compose.yaml", "services: {app: {image: taken:1, build: ./context}}\n")
                let count = "\(stage.directory)/count"
                let flipper = try RunningProgram(
                    [
                        "\(try Host.rootfs.get())/bin/attacker", "flip", "\(stage.directory)/stop", count,
                        "\(context)/swap", "\(context)/away", "\(context)/file", "\(context)/link",
                    ], environment: [], directory: "/", scratch: stage.directory)
                defer { flipper.signal(SIGKILL) }
                var (rounds, built) = (0, 0)
                while rounds < 8 || flips(contents(count)) < 10_000 || built == 0 && rounds < 60 {
                    rounds += 1
                    try stage.require(flipper.ended() == nil && rounds < 500, "no race: \(flipper.soFar)")
                    let build = try stage.attempt("build", "--no-cache", "app")
                    if build.code == 0 { built += 1 }
                    try stage.require(
                        !(build.output + build.errors).contains("of the host")
                            && (build.code == 0 || !build.errors.contains("5/5")), "\(build)")
                }
                flipper.signal(SIGKILL)
                try stage.require(contents("\(victim)/inside") == "of the host\n", "the victim was touched")
            }
        }
    }
}

/// What a process holds open.
private func targets(of pid: pid_t) -> [String] {
    ((try? directoryEntries("/proc/\(pid)/fd")) ?? []).map { (try? readLink("/proc/\(pid)/fd/\($0)")) ?? "" }
}
