// SPDX-License-Identifier: Apache-2.0
//
// Flags that people bring from Docker Compose, each seen to do what it says.

import Kernel
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

        @Test("--dry-run says what would be done, of all that changes by a plan, and does nothing")
        func dryRun() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    "services: {a: {image: bb:1, command: [sleep, '1000'], init: true, volumes: ['v:/v']}}\nvolumes: {v: }\n"
                )
                let name = "\(stage.project)-a-1"
                let first = try stage.covey("--dry-run", "up").text
                try stage.require(first.contains("create container \(name)"), first)
                try stage.require(!exists("\(stage.directory)/root/projects"), "something was made")
                try stage.require(
                    try stage.covey("down", "--dry-run").text == "nothing to do", "down before up")
                let down = try stage.covey("stop", "--dry-run", code: 1)
                try stage.require(down.errors.contains("is not up"), "\(down)")
                try stage.covey("create", "--dry-run")
                try stage.covey("up", "-d")
                let before = try stage.processes()
                for (words, said) in [
                    (["up", "--dry-run"], "nothing to do: project \"\(stage.project)\" is as declared"),
                    (["up", "--dry-run", "--force-recreate"], "remove container \(name)"),
                    (["scale", "--dry-run", "a=2"], "create container \(stage.project)-a-2"),
                    (["stop", "--dry-run"], "stop container \(name)"),
                    (["start", "--dry-run"], "nothing to do"),
                    (["restart", "--dry-run"], "start container \(name)"),
                    (["kill", "--dry-run", "-s", "HUP"], "kill"),
                    (["rm", "--dry-run", "-s"], "remove container \(name)"),
                    (["down", "--dry-run", "-v"], "remove volume \(stage.project)_v"),
                    (["ps", "--dry-run", "-q"], name),
                ] {
                    let outcome = try stage.start(words).wait().orThrow()
                    try stage.require(outcome.output.contains(said), "\(words): \(outcome)")
                }
                try stage.require(try stage.processes() == before, "something was done")
                for words in [
                    ["exec", "a", "true"], ["pull"], ["run", "a"], ["image", "prune"], ["oci", "list"],
                ] {
                    let refused = try stage.start(["--dry-run"] + words).wait()
                    try stage.require(
                        refused.code == 1 && refused.errors.contains("cannot say beforehand"), "\(refused)")
                }
                try stage.covey("down")
                let left = try stage.covey("down", "--dry-run", "-v").text
                try stage.require(left == "remove volume \(stage.project)_v", left)
            }
        }

        @Test(
            "--compatibility gives names with _, and leaves what runs as it is called; --all-resources makes all"
        )
        func names() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      a: {build: {dockerfile_inline: "FROM bb:1"}, command: [sleep, "1000"], init: true}
                    networks: {spare: }
                    volumes: {spare: }

                    """)
                let project = stage.project
                try stage.covey("up", "-d")
                try stage.covey("--compatibility", "up", "-d", "--scale", "a=2")
                try stage.require(
                    try stage.containers().map(\.Name).sorted() == ["\(project)-a-1", "\(project)_a_2"],
                    "\(try stage.containers())")
                try stage.require(
                    try stage.covey("config", "--images", variables: ["COMPOSE_COMPATIBILITY=true"]).text
                        == "\(project)_a", "the image's name")
                try stage.require(
                    try stage.logs().isEmpty && stage.covey("image", "ls").text.contains("\(project)_a"),
                    "image")
                try stage.covey("--compatibility", "up", "-d", "--force-recreate")
                try stage.require(
                    try stage.containers().map(\.Name) == ["\(project)_a_1"], "\(try stage.containers())")
                let unchanged = try stage.covey("--compatibility", "up", "-d")
                try stage.require(unchanged.errors.contains("unchanged"), "\(unchanged)")
                try stage.require(try stage.covey("volumes", "-q").text.isEmpty, "a volume nobody uses")
                try stage.covey("--compatibility", "--all-resources", "up", "-d")
                try stage.require(
                    try stage.covey("volumes", "-q").text == "\(project)_spare", "no volume was made")
                let again = try stage.covey("--compatibility", "--all-resources", "plan")
                try stage.require(again.text.contains("nothing to do"), again.text)
                try stage.require(
                    try stage.covey("--all-resources", "config", "--networks").text == "default\nspare",
                    "config")
            }
        }

        @Test("up shows dependencies when asked; kill takes orphans along; pull leaves what a sibling builds")
        func rest() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      a: {image: bb:1, command: [echo, of the dependency]}
                      b: {image: bb:1, command: [echo, of the service], depends_on: [a]}
                      made: {build: {dockerfile_inline: "FROM bb:1"}, image: "example.invalid/made:1"}
                      user: {image: "example.invalid/made:1", command: [sleep, "1000"], init: true}
                      old: {image: bb:1, command: [sleep, "1000"], init: true}

                    """)
                let alone = try stage.covey("up", "b")
                try stage.require(!alone.output.contains("of the dependency"), "\(alone)")
                let both = try stage.covey(
                    "up", "--force-recreate", "--always-recreate-deps", "--attach-dependencies", "b")
                try stage.require(
                    both.output.contains("of the service") && both.output.contains("of the dependency"),
                    "\(both)")
                for (words, said) in [
                    (["--attach-dependencies", "--attach", "a", "b"], "one by one"),
                    (["--attach-dependencies", "-d", "b"], "background"), (["--menu"], "menu"),
                ] {
                    let refused = try stage.start(["up"] + words).wait()
                    try stage.require(refused.code == 1 && refused.errors.contains(said), "\(refused)")
                }
                try stage.covey("--parallel", "1", "up", "-d", "user", "old", "--menu=false")
                for limit in ["0", "many"] {
                    let refused = try stage.covey("--parallel", limit, "ps", code: 1)
                    try stage.require(refused.errors.contains("at once"), "\(refused)")
                }
                try stage.covey("pull", "user")
                try stage.covey("pull", "made")
                try stage.edit("  old: {image: bb:1, command: [sleep, \"1000\"], init: true}\n", "")
                try stage.covey("kill", "--remove-orphans", "user")
                try stage.require(
                    try stage.covey("ps", "-a", "--services").text.split(separator: "\n").contains("user"),
                    "user was removed")
                try stage.require(
                    try stage.containers().allSatisfy { $0.Service != "old" }, "\(try stage.containers())")
            }
        }

        @Test("cp goes into all containers and follows links; commit changes the image and pauses meanwhile")
        func copies() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    "services: {a: {image: bb:1, command: [sleep, '1000'], init: true, scale: 2, environment: {GIVEN: kept}}}\n"
                )
                try stage.covey("up", "-d")
                let oneOff = try stage.covey("run", "-d", "a", "sleep", "1000").text
                try stage.write("file", "text\n")
                try stage.covey("cp", "file", "a:/tmp/file")
                for index in [1, 2] {
                    try stage.require(
                        try stage.exec("a", "cat /tmp/file", index: index) == "text", "container \(index)")
                }
                let inOneOff =
                    "/proc/\(try stage.containers().first { $0.Name == oneOff }?.Pid ?? 0)/root/tmp/file"
                try stage.require(!exists(inOneOff), "it went into a one-off container")
                try stage.covey("cp", "--all", "file", "a:/tmp/file")
                try stage.require(exists(inOneOff), "--all")
                try stage.covey("cp", "--index", "2", "file", "a:/tmp/second")
                try stage.require(
                    try !stage.execSucceeds("a", "test -e /tmp/second"), "--index was not the only one")
                let stream = try stage.covey("cp", "-", "a:/tmp", code: 1)
                try stage.require(stream.errors.contains("--index"), "\(stream)")
                try stage.covey("rm", "-f", "-s", "a")
                try stage.covey("up", "-d", "--scale", "a=1")
                try stage.exec(
                    "a",
                    "mkdir -p /d/sub; echo far >/d/sub/far; ln -s sub /d/way; ln -s way/far /d/link; ln -s loop /d/loop"
                )
                try stage.covey("cp", "-L", "a:/d/link", ".")
                try stage.require(contents("\(stage.files)/link") == "far\n", "the link was not followed")
                try stage.covey("cp", "-L", "a:/d/way", ".")
                try stage.require(contents("\(stage.files)/way/far") == "far\n", "the directory's link")
                try Host.run(["ln", "-s", "file", "\(stage.files)/own"]).orThrow()
                try stage.covey("cp", "-L", "own", "a:/d")
                try stage.require(
                    try stage.exec("a", "test -L /d/own || cat /d/own") == "text", "of the host")

                // What is written to is not replaced: a device of our own, and links on both sides.
                let null = "\(stage.files)/null"
                try Host.run(["mknod", "-m", "666", null, "c", "1", "3"]).orThrow()
                try stage.covey("export", "a", "-o", "null")
                try stage.covey("image", "save", "bb:1", "-o", "null")
                try stage.exec("a", "echo more >/tmp/null")
                for words in [["cp", "a:/d/sub/far", "null"], ["cp", "a:/tmp/null", "."]] {
                    let refused = try stage.start(words).wait()
                    try stage.require(refused.code == 1 && refused.errors.contains("device"), "\(refused)")
                }
                try stage.require(try fileStatus(null).isCharacterDevice, "the device was replaced")
                try Host.run(["ln", "-s", "target", "\(stage.files)/to"]).orThrow()
                try stage.covey("cp", "a:/d/sub/far", "to")
                try stage.require(contents("\(stage.files)/target") == "far\n", "the link was replaced")
                try stage.covey("config", "-o", "to")
                try stage.require(contents("\(stage.files)/target").contains("services"), "config -o")
                try stage.exec("a", "ln -s /d/real /d/to")
                try stage.covey("cp", "file", "a:/d/to")
                try stage.require(
                    try stage.exec("a", "readlink /d/to; cat /d/real") == "/d/real\ntext", "in the container")
                let loop = try stage.covey("cp", "-L", "a:/d/loop", "x", code: 1)
                try stage.require(loop.errors.contains("ELOOP"), "\(loop)")

                let pid = try stage.container("a").Pid
                try stage.covey(
                    "commit", "-c", "ENV A=b C=$PATH", "-c", "CMD [\"sh\", \"-c\", \"echo $A\"]", "-c",
                    "WORKDIR /d",
                    "-c", "ENTRYPOINT [\"/bin/busybox\"]", "a", "kept:1")
                let config = try stage.covey("image", "inspect", "kept:1").output
                for part in ["A=b", "C=/", "busybox", "echo $A"] {
                    try stage.require(config.contains(part), "\(part): \(config)")
                }
                let told = try stage.covey("events", "--json", "--since", "10m", "--until", "0s").output
                try stage.require(told.contains("\"pause\"") && told.contains("\"unpause\""), told)
                try stage.require(
                    try stage.container("a").Pid == pid && stage.container("a").State == "running",
                    "it is paused")
                try stage.exec("a", "true")
                try stage.covey("commit", "--pause=false", "a", "kept:2")
                let kept = try stage.covey("image", "inspect", "kept:2").output
                let flat = kept.split(whereSeparator: \.isWhitespace).joined().lowercased()
                for part in [#""cmd":["sleep","1000"]"#, "given=kept", #""created":"2"#] {
                    try stage.require(flat.contains(part), "\(part): \(kept)")
                }
                try stage.require(!flat.contains("com.docker.compose.project"), kept)
                for (change, said) in [
                    ("RUN true", "only describe"), ("CMD", "CMD"), ("NOPE x", "NOPE"),
                    ("STOPSIGNAL no", "signal"),
                ] {
                    let refused = try stage.covey("commit", "-c", change, "a", "kept:3", code: 1)
                    try stage.require(refused.errors.contains(said), "\(refused)")
                }
                try stage.require(!(try stage.covey("image", "ls").text.contains("kept:3")), "kept:3")
            }
        }
    }
}
