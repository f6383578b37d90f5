// SPDX-License-Identifier: Apache-2.0
//
// Attacks from beside a project: bytes nobody would say at its sockets. What fails is that something breaks or leaks.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("attacks from beside")
    struct BesideAttacks {
        @Test(
            "garbage at the control socket and at the keeper's breaks nothing, leaks nothing, keeps nobody waiting"
        )
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
    }
}

/// What a process holds open.
private func targets(of pid: pid_t) -> [String] {
    ((try? directoryEntries("/proc/\(pid)/fd")) ?? []).map { (try? readLink("/proc/\(pid)/fd/\($0)")) ?? "" }
}
