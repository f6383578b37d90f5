// SPDX-License-Identifier: Apache-2.0
//
// Hooks: what runs before, after the start and before the stop of a service's containers.

import Testing

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
    }
}
