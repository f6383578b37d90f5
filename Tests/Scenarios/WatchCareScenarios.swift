// SPDX-License-Identifier: Apache-2.0
//
// `develop.watch` when something is in the way: directories where files are to go, paths that can't be written or are not
// there yet, and Ctrl-C while a rule's action takes its time.

import Glibc
import Kernel
import Testing

/// A service that waits, with these rules, each a line of YAML, and further attributes.
private func project(_ rules: [String], _ more: [String] = [], volumes: [String] = []) -> String {
    var lines = ["services:", "  app:", "    image: bb:1", "    init: true", "    command: [sleep, '1000']"]
    lines += more.map { "    \($0)" }
    if !rules.isEmpty { lines += ["    develop:", "      watch:"] + rules.map { "        - {\($0)}" } }
    if !volumes.isEmpty { lines += ["volumes:"] + volumes.map { "  \($0): {}" } }
    return lines.joined(separator: "\n") + "\n"
}

extension Scenarios.Watch {
    @Suite("care")
    struct Care {
        @Test("a file goes into the directory that is its target, and takes no directory's place")
        func directoriesStay() throws {
            try Stage.play("watch-directory") { stage in
                try stage.write(
                    "compose.yaml",
                    project(
                        [
                            "path: ./conf.txt, action: sync, target: /site/static/",
                            "path: ./other.txt, action: sync, target: /data/up",
                            "path: ./new.txt, action: sync, target: /made/new/",
                            "path: ./src, action: sync, target: /data/src",
                        ], ["volumes: ['vol:/data', './site:/site']"], volumes: ["vol"]))
                for directory in ["site/static", "src"] { try ensureDirectory("\(stage.files)/\(directory)") }
                for name in ["conf.txt", "other.txt", "new.txt"] { try stage.write(name, "first\n") }
                try stage.write("site/static/kept", "kept\n")
                try stage.covey("up", "-d")
                try stage.exec(
                    "app", "mkdir -p /data/up /data/src/page && touch /data/up/kept /data/src/page/kept")
                let watch = try stage.start(["watch", "--no-up"])
                try stage.eventually("it watches") { watch.soFar.errors.contains("watching app") }
                func has(_ path: String) throws -> Bool {
                    try stage.execSucceeds("app", "test \"$(cat \(path))\" = second")
                }
                for name in ["conf.txt", "other.txt", "new.txt", "src/page"] {
                    try stage.write(name, "second\n")
                }
                try stage.eventually("with a slash, in it") { try has("/site/static/conf.txt") }
                try stage.require(exists("\(stage.files)/site/static/kept"), "the host's directory was lost")
                try stage.eventually("without one, in it too") { try has("/data/up/other.txt") }
                try stage.eventually("in one that is made for it") { try has("/made/new/new.txt") }
                try stage.eventually("the refusal") {
                    watch.soFar.errors.contains("cannot write /data/src/page")
                        && watch.soFar.errors.contains("ENOTEMPTY")
                }
                try removeTree("\(stage.files)/src/page")
                try removeTree("\(stage.files)/other.txt")
                try stage.eventually("it is removed from the directory") {
                    try !stage.execSucceeds("app", "test -e /data/up/other.txt")
                }
                try stage.exec("app", "test -e /data/up/kept && test -e /data/src/page/kept")
                // A directory that is the host's own makes room.
                try ensureDirectory("\(stage.files)/src/swap/deep")
                try stage.write("src/swap/deep/one", "second\n")
                try stage.eventually("a directory") { try has("/data/src/swap/deep/one") }
                try removeTree("\(stage.files)/src/swap")
                try stage.write("src/swap", "second\n")
                try stage.eventually("a file in its place") { try has("/data/src/swap") }
                watch.signal(SIGINT)
                _ = try watch.wait()
            }
        }

        @Test("a path that can't be written keeps no other from its container, nor the rule's command")
        func failingPath() throws {
            try Stage.play("watch-failing") { stage in
                try stage.write(
                    "compose.yaml",
                    project(
                        [
                            "path: ./a, action: sync, target: /ro/sub",
                            "path: ./z, action: sync+exec, target: /z, exec: {command: [touch, /tmp/ran]}",
                        ], ["scale: 2", "volumes: ['./ro:/ro:ro']"]))
                for directory in ["a", "z", "ro"] { try ensureDirectory("\(stage.files)/\(directory)") }
                try stage.covey("up", "-d")
                let watch = try stage.start(["watch", "--no-up"])
                try stage.eventually("it watches") { watch.soFar.errors.contains("watching app") }
                for name in ["a/f", "z/f"] { try stage.write(name, "new\n") }
                for index in 1...2 {
                    try stage.eventually("the other path, in container \(index)") {
                        (try? stage.exec("app", "cat /z/f && test -e /tmp/ran", index: index)) == "new"
                    }
                    let name = "\(stage.project)-app-\(index)"
                    try stage.eventually("it is told of \(name)") {
                        watch.soFar.errors.contains("cannot write /ro/sub/f in container \"\(name)\"")
                    }
                }
                watch.signal(SIGINT)
                _ = try watch.wait()
            }
        }

        @Test("a path that does not exist yet is told and waited for")
        func comesLater() throws {
            try Stage.play("watch-later") { stage in
                try stage.write(
                    "compose.yaml",
                    project([
                        "path: ./later, action: sync, target: /later, initial_sync: true",
                        "path: ./deep/er/conf, action: sync, target: /conf, initial_sync: true",
                    ]))
                let up = try stage.start(["up", "--watch"])
                try stage.eventually("it watches") { up.soFar.errors.contains("watching app") }
                try stage.require(
                    up.soFar.errors.contains("\(stage.files)/later does not exist"), "\(up.soFar)")
                try ensureDirectory("\(stage.files)/later/sub")
                try stage.write("later/sub/file", "new\n")
                try stage.eventually("a directory") {
                    try stage.execSucceeds("app", "grep new /later/sub/file")
                }
                try ensureDirectory("\(stage.files)/deep/er")
                try stage.write("deep/er/conf", "new\n")
                try stage.eventually("a file") { try stage.execSucceeds("app", "grep new /conf") }
                try removeTree("\(stage.files)/later")
                try stage.eventually("its files go") {
                    try !stage.execSucceeds("app", "test -e /later/sub")
                }
                try stage.exec("app", "test -d /later")
                up.signal(SIGINT)
                try stage.require(try up.wait().code == 130, "up's end")
            }
        }

        @Test("without a rule nothing is started")
        func noRule() throws {
            try Stage.play("watch-nothing") { stage in
                try stage.write("compose.yaml", project([]))
                for command in [["up", "--watch"], ["watch"]] {
                    let outcome = try stage.start(command).wait()
                    try stage.require(outcome.code == 1, "\(outcome)")
                    try stage.require(outcome.errors.contains("there is nothing to watch"), "\(outcome)")
                    try stage.require(try stage.containers().isEmpty, "\(command): something was started")
                }
            }
        }

        @Test("Ctrl-C ends the wait for a rule's command", arguments: [SIGINT, SIGTERM])
        func interrupted(_ signal: Int32) throws {
            try Stage.play("watch-interrupted") { stage in
                try stage.write(
                    "compose.yaml",
                    project([
                        "path: ./src, action: sync+exec, target: /src, "
                            + "exec: {command: [sh, -c, 'cp /src/f /tmp/begun; sleep 40']}"
                    ]))
                try ensureDirectory("\(stage.files)/src")
                func isInterrupted(_ command: [String], _ text: String) throws {
                    let program = try stage.start(command)
                    try stage.eventually("it watches") { program.soFar.errors.contains("watching app") }
                    try stage.write("src/f", "\(text)\n")
                    try stage.eventually("the command runs") {
                        try stage.execSucceeds("app", "grep \(text) /tmp/begun")
                    }
                    program.signal(signal)
                    let outcome = try program.wait(limit: .seconds(15))
                    try stage.require(outcome.code == 130, "\(outcome)")
                }
                try stage.covey("up", "-d")
                try isInterrupted(["watch", "--no-up"], "one")
                try stage.require(try stage.container("app").State == "running", "it was stopped")
                try isInterrupted(["up", "--watch"], "two")
                try stage.require(try stage.container("app").State == "exited", "it was not stopped")
            }
        }

        @Test("logs are shown while a rule's command runs")
        func logsGoOn() throws {
            try Stage.play("watch-logs") { stage in
                try stage.write(
                    "compose.yaml",
                    project([
                        "path: ./src, action: sync+exec, target: /src, "
                            + "exec: {command: [sh, -c, 'cp /src/f /tmp/begun; sleep 40']}"
                    ]).replacing(
                        "[sleep, '1000']",
                        with: "[sh, -c, 'while :; do [ -e /tmp/word ] && cat /tmp/word; sleep 0.1; done']"))
                try ensureDirectory("\(stage.files)/src")
                let up = try stage.start(["up", "--watch"])
                try stage.eventually("it watches") { up.soFar.errors.contains("watching app") }
                try stage.write("src/f", "one\n")
                try stage.eventually("the command runs") {
                    try stage.execSucceeds("app", "test -e /tmp/begun")
                }
                try stage.exec("app", "echo heard >/tmp/word")
                try stage.eventually("the log") { up.soFar.output.contains("heard") }
                up.signal(SIGINT)
                try stage.require(try up.wait(limit: .seconds(15)).code == 130, "up's end")
            }
        }

        @Test(
            "Ctrl-C while an image is built again stops the services, as ever", arguments: [false, true])
        func interruptedBuild(_ isTerminals: Bool) throws {
            try Stage.play("watch-interrupted") { stage in
                try ensureDirectory("\(stage.files)/web")
                try stage.write("web/page", "one\n")
                try stage.write(
                    "web/Dockerfile",
                    "FROM bb:1\nCOPY page /page\nRUN grep one /page || { echo beg''un; sleep 40; }\n"
                        + "CMD [\"sleep\", \"1000\"]\n")
                try stage.write(
                    "compose.yaml",
                    project(["path: ./web, action: rebuild"], ["build: ./web"])
                        .replacing("    image: bb:1\n", with: ""))
                let up = try stage.start(["up", "--watch"])
                try stage.eventually("it watches") { up.soFar.errors.contains("watching app") }
                try stage.write("web/page", "two\n")
                try stage.eventually("the step runs") { up.soFar.errors.contains(" begun") }
                // A terminal's is for all that are in the foreground.
                if isTerminals { kill(-up.pid, SIGINT) } else { up.signal(SIGINT) }
                let outcome = try up.wait(limit: .seconds(15))
                try stage.require(outcome.code == 130, "\(outcome)")
                try stage.require(!outcome.errors.contains("error:"), "\(outcome)")
                try stage.require(try stage.container("app").State == "exited", "it was not stopped")
                // Nothing of the build is kept from going on.
                try stage.write("web/page", "one\n")
                try stage.covey("up", "-d", "--build")
            }
        }
    }
}
