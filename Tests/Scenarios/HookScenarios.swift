// SPDX-License-Identifier: Apache-2.0
//
// Hooks: what runs before, after the start and before the stop of a service's containers.

import Glibc
import Kernel
import Testing

/// A shell line that goes on when the file is there, and takes it away.
private func awaiting(_ file: String) -> String {
    "until test -e /data/\(file); do sleep 0.05; done; rm /data/\(file)"
}

/// A project of `app`, which is started by its policy and whose post_start waits for the file `go`, and of what follows it.
private func waitingInPostStart(_ rest: String) -> String {
    """
    services:
      app:
        image: bb:1
        command: [sleep, "1000"]
        restart: always
        volumes: ["data:/data"]
        post_start: [{command: [sh, -c, "touch /data/hooked; \(awaiting("go")); touch /data/gone"]}]
    \(rest)
    volumes: {data: {}}
    """
}

extension Scenarios {
    @Suite("hooks")
    struct Hooks {
        @Test(
            "post_start runs in order before dependants, as its own user, privileged if asked; its failure is told"
        )
        func postStart() throws {
            try Stage.play("hooks") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("the follower has ended") {
                    try stage.container("follower").State == "exited"
                }
                try stage.require(
                    try stage.logs("--no-log-prefix", "follower") == "blue small 0 /tmp\n", "what it reads")
                try stage.require(try stage.logs("app").contains("from the hook"), "the hook's output")
                let all = try stage.exec("app", "cat /data/caps")
                try stage.require(!all.hasSuffix("a80425fb"), "capabilities of a privileged hook: \(all)")
                let failing = try stage.covey("up", "-d", "failing", code: 1)
                try stage.require(
                    failing.errors.contains("hook `post_start` of container")
                        && failing.errors.contains("(7)"),
                    "\(failing)")
                try stage.require(try stage.container("failing").State == "running", "it runs on")
            }
        }

        @Test("pre_stop runs before the stop signal; one that fails is told and stops nobody")
        func preStop() throws {
            try Stage.play("hooks") { stage in
                try stage.covey("up", "-d", "leaving", "reader")
                let stop = try stage.covey("stop", "leaving")
                try stage.require(stop.errors.contains("hook `pre_stop`"), "\(stop)")
                try stage.require(try stage.container("leaving").State == "exited", "it is stopped")
                try stage.require(
                    try stage.exec("reader", "cat /data/left") == "goodbye\nalive", "what it left")
                try stage.covey("start", "leaving")
                try stage.covey("kill", "leaving")
                try stage.require(
                    try stage.exec("reader", "cat /data/left") == "goodbye\nalive", "a kill runs no hook")
            }
        }

        @Test("pre_start ends before the start: once for all, or for each; again only for new containers")
        func preStart() throws {
            try Stage.play("hooks") { stage in
                func steps() throws -> [String] {
                    try stage.exec("reader", "cat /data/steps").split(separator: "\n").map(String.init)
                        .sorted()
                }
                try stage.covey("up", "-d", "prepared", "reader", "raised")
                try stage.require(try steps() == ["each me", "each me", "once"], "\(try steps())")
                let raised = try stage.exec("reader", "cat /data/raised")
                try stage.require(!raised.contains("a80425fb") && raised.hasSuffix("yes"), raised)
                try stage.covey("restart", "prepared")
                try stage.covey("up", "-d", "prepared", "reader")
                try stage.require(try steps().count == 3, "after a restart: \(try steps())")
                try stage.covey("up", "-d", "--scale", "prepared=3", "prepared", "reader")
                try stage.require(
                    try steps() == ["each me", "each me", "each me", "once"], "scaled: \(try steps())")
                try stage.covey("up", "-d", "--force-recreate", "--no-deps", "prepared")
                try stage.require(try steps().count == 7, "made anew: \(try steps())")
                try stage.require(
                    try stage.covey("ps", "-a").output.contains("pre-start") == false, "a step is left")
            }
        }

        @Test(
            "a step that fails is told with its last words, of its own image, and what it was for is not started"
        )
        func preStartFails() throws {
            try Stage.play("hooks") { stage in
                let missing = try stage.covey("up", "-d", "elsewhere", code: 1)
                try stage.require(missing.errors.contains("other:1"), "\(missing)")
                try stage.covey("image", "import", "dir:\(try Host.rootfs.get())", "other:1")
                let up = try stage.covey("up", "-d", "elsewhere", code: 1)
                try stage.require(
                    up.errors.contains("exited (9)") && up.errors.contains("the step says no"), "\(up)")
                try stage.require(try stage.container("elsewhere").State == "created", "it was started")
            }
        }

        @Test("a pre_stop is ended in time also when a post_start ended meanwhile")
        func preStopBesidePostStart() throws {
            try Stage.play("hooks") { stage in
                try stage.write(
                    "compose.yaml",
                    waitingInPostStart(
                        """
                            pre_stop: [{command: [sh, -c, "touch /data/stopping; sleep 1000"]}]
                        """))
                func touch(_ file: String) throws { try writeFile(stage.volumeFile("data", file), []) }
                func appears(_ file: String) throws {
                    try stage.eventually("\(file) is there") { exists(stage.volumeFile("data", file)) }
                }
                let up = try stage.start(["up", "-d"])
                try appears("hooked")
                try touch("go")
                try up.wait().orThrow()
                for name in ["hooked", "gone"] { try removeFile(stage.volumeFile("data", name)) }
                kill(pid_t(try stage.container("app").Pid ?? -1), SIGKILL)
                // Its policy has started it.
                try appears("hooked")
                let stop = try stage.start(["stop", "-t", "3"])
                try appears("stopping")
                try touch("go")
                try appears("gone")
                try stop.wait(limit: .seconds(30)).orThrow()
                try stage.require(try stage.container("app").State == "exited", "it is not stopped")
            }
        }

        @Test("a post_start that a restart policy's start has is not ended with somebody's command")
        func postStartOfPolicy() throws {
            try Stage.play("hooks") { stage in
                try stage.write(
                    "compose.yaml",
                    waitingInPostStart(
                        """
                          slow:
                            image: bb:1
                            command: [sleep, "1000"]
                            stop_grace_period: 0s
                            post_start: [{command: [sleep, "1000"]}]
                        """))
                func file(_ name: String) -> String { stage.volumeFile("data", name) }
                let first = try stage.start(["up", "-d", "app"])
                try stage.eventually("its hook runs") { exists(file("hooked")) }
                try writeFile(file("go"), [])
                try first.wait().orThrow()
                for name in ["hooked", "gone"] { try removeFile(file(name)) }
                let up = try stage.start(["up", "-d", "slow"])
                try stage.eventually("the other one is being started") {
                    try stage.containers().contains { $0.Service == "slow" && $0.State == "running" }
                }
                kill(pid_t(try stage.container("app").Pid ?? -1), SIGKILL)
                try stage.eventually("its policy has started it") { exists(file("hooked")) }
                try stage.covey("stop", "slow")
                try stage.require(try up.wait().code == 1, "the command was not ended")
                try writeFile(file("go"), [])
                try stage.eventually("its hook has come to its end") { exists(file("gone")) }
            }
        }

        @Test(
            "a step before the start outlives the controller that began it, and counts once",
            arguments: [true, false])
        func stepWithoutController(isAwaited: Bool) throws {
            try Stage.play("hooks") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        volumes: ["data:/data"]
                        pre_start: [{command: [sh, -c, "echo step >>/data/steps; \(awaiting("go"))"]}]
                    volumes: {data: {}}
                    """)
                let steps = stage.volumeFile("data", "steps")
                let first = try stage.start(["up", "-d"])
                try stage.eventually("the step runs") { contents(steps) == "step\n" }
                first.signal(SIGKILL)
                _ = try first.wait()
                try stage.loseController()
                if isAwaited {
                    let second = try stage.start(["up", "-d"])
                    try stage.eventually("it has begun") {
                        second.soFar.errors.contains("\(stage.project)-app-1") || second.ended() != nil
                    }
                    try writeFile(stage.volumeFile("data", "go"), [])
                    try second.wait().orThrow()
                } else {
                    try writeFile(stage.volumeFile("data", "go"), [])
                    try stage.eventually("the step has ended") {
                        try stage.covey("ps", "-a").output.contains("pre-start") == false
                    }
                    try stage.covey("up", "-d")
                }
                try stage.require(contents(steps) == "step\n", contents(steps))
                try stage.require(try stage.container("app").State == "running", "it was not started")
            }
        }
    }
}
