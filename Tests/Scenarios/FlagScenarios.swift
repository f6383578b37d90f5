// SPDX-License-Identifier: Apache-2.0
//
// Flags that people bring from Docker Compose, each seen to do what it says.

import Testing

extension Scenarios {
    @Suite("flags")
    struct Flags {
        private static let compose = """
            services:
              base: {build: {dockerfile_inline: "FROM bb:1"}, command: [sleep, "1000"], init: true}
              named: {image: "${COMPOSE_PROJECT_NAME}-base", command: [sleep, "1000"], init: true}
              needy:
                image: bb:1
                command: [sleep, "1000"]
                init: true
                depends_on: {named: {condition: service_started, restart: true}}
                healthcheck: {test: [CMD, "true"], interval: 50ms}

            """

        @Test(
            "an image that a service of the project builds is never pulled for another; --no-build, down --rmi"
        )
        func images() throws {
            try Stage.play("one") { stage in
                try stage.write("compose.yaml", Self.compose)
                let refused = try stage.covey("up", "-d", "--no-build", code: 1)
                try stage.require(refused.errors.contains("\(stage.project)-base"), "\(refused)")
                let up = try stage.covey("up", "-d", "--wait", "-y")
                try stage.require(!up.errors.contains("Pulling"), "\(up)")
                try stage.covey("up", "-d", "--no-build")
                try stage.covey("down", "--rmi", "local")
                let left = try stage.covey("image", "ls").text
                try stage.require(!left.contains("\(stage.project)-base") && left.contains("bb:1"), left)
            }
        }

        @Test("lists are filtered, exec runs aside or with all capabilities, restart leaves dependants alone")
        func lists() throws {
            try Stage.play("one") { stage in
                try stage.write("compose.yaml", Self.compose)
                try stage.covey("up", "-d")
                try stage.covey("stop", "named", "needy")
                let running = try stage.covey("ps", "--status", "running", "--services").text
                try stage.require(running == "base", running)
                let ended = try stage.covey("ps", "--filter", "status=exited", "--services").text
                try stage.require(ended == "named\nneedy", ended)
                let wrong = try stage.covey("ps", "--filter", "label=x", code: 1)
                try stage.require(wrong.errors.contains("status=VALUE"), "\(wrong)")
                try stage.covey("ps", "--status", "asleep", code: 1)
                try stage.covey("start", "--wait")
                let healthy = try stage.covey("ps", "needy").text
                try stage.require(healthy.contains("(healthy)"), healthy)
                let short = try stage.covey("ps", "base").text
                try stage.require(short.contains("sleep 1000"), short)

                try stage.covey("exec", "-d", "base", "sh", "-c", "echo done >/tmp/aside")
                try stage.eventually("it ran aside") { try stage.execSucceeds("base", "test -s /tmp/aside") }
                let bounded = "grep -q 'CapEff:.*a80425fb' /proc/self/status"
                try stage.covey("exec", "-T", "base", "sh", "-c", bounded)
                try stage.covey("exec", "-T", "--privileged", "base", "sh", "-c", "! \(bounded)")

                let before = try stage.container("needy").Pid
                try stage.covey("restart", "--no-deps", "named")
                try stage.require(try stage.container("needy").Pid == before, "needy was restarted")
                try stage.covey("restart", "named")
                try stage.require(try stage.container("needy").Pid != before, "needy was not restarted")
                try stage.require(
                    try stage.covey("ls", "--filter", "name=\(stage.project.dropFirst())", "-q").text
                        == stage.project, "ls")
                try stage.require(try stage.covey("ls", "--filter", "name=nothing", "-q").text.isEmpty, "ls")
                try stage.write("compose.yaml", "services: {base: {image: bb:1}}\n")
                let declared = try stage.covey("ps", "-a", "--orphans=false", "--services").text
                try stage.require(declared == "base", declared)
            }
        }
    }
}
