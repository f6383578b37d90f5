// SPDX-License-Identifier: Apache-2.0

import Basics
import Kernel
import Testing

@testable import Commands
@testable import Controller

private func withPlace<Result>(_ body: (String, ProjectPlace) throws -> Result) throws -> Result {
    try withScratch { directory in
        try body(directory, ProjectPlace(project: "p", root: "\(directory)/root", run: "\(directory)/run"))
    }
}

private func container(_ name: String, _ state: ContainerStatus.State, log: String) -> ContainerStatus {
    var status = ContainerStatus(
        name: "p-\(name)-1", service: name, index: 1, image: "i", command: ["c"], state: state,
        logDirectory: log)
    status.createdAt = 1_000
    if state == .exited { status.exitCode = 0 }
    return status
}

private func writeLog(_ directory: String, _ name: String, _ time: Int64, _ text: String) throws {
    try ensureDirectory(directory)
    var index: [UInt8] = []
    for value in [Int64(0), time] { withUnsafeBytes(of: value.littleEndian) { index += Array($0) } }
    try writeFile("\(directory)/\(name)", Array(text.utf8))
    try writeFile("\(directory)/\(name).idx", index)
}

@Suite struct ClientTests {
    @Test("a request's operations become progress, done ends it")
    func stop() throws {
        try withPlace { directory, place in
            let scene: Scene = { request, channel, _ in
                guard case .stop(let services, let timeout) = request else { return }
                try channel.send(
                    json: ControlEvent.planned([
                        PlannedOperation(
                            kind: "Container", name: "p-\(services[0])-1", doing: "Stopping", done: "Stopped",
                            reason: "asked")
                    ]))
                try channel.send(json: ControlEvent.operation(index: 0, .started))
                try channel.send(json: ControlEvent.notice("after \(timeout?.composeText ?? "")"))
                try channel.send(json: ControlEvent.operation(index: 0, .finished))
                try channel.send(json: ControlEvent.done(changed: true))
            }
            let ran = try withController(of: place, [scene]) {
                try runCovey(["-p", "p", "stop", "-t", "3", "web"], in: directory)
            }
            #expect(ran.code == 0)
            #expect(ran.errors == " Container p-web-1  Stopping\nafter 3s\n Container p-web-1  Stopped\n")
        }
    }

    @Test("a failure is shown in its three parts and ends with 1")
    func failing() throws {
        try withPlace { directory, place in
            let scene: Scene = { _, channel, _ in
                try channel.send(
                    json: ControlEvent.failed(Failure("cannot do it", cause: "EIO", advice: "wait")))
            }
            let ran = try withController(of: place, [scene]) {
                try runCovey(["-p", "p", "start"], in: directory)
            }
            #expect(ran.code == 1)
            #expect(ran.errors == "error: cannot do it\n  cause: EIO\n  try:   wait\n")
        }
    }

    @Test("a controller that goes away is an error, not an end")
    func hangup() throws {
        try withPlace { directory, place in
            let ran = try withController(of: place, [{ _, _, _ in }]) {
                try runCovey(["-p", "p", "start"], in: directory)
            }
            #expect(ran.code == 1)
            #expect(ran.errors.hasPrefix("error: the controller of project \"p\" does not answer"))
        }
    }

    @Test("ps lists what runs, -a everything, -q names")
    func ps() throws {
        try withPlace { directory, place in
            let scene: Scene = { _, channel, _ in
                try channel.send(
                    json: ControlEvent.status([
                        container("web", .running, log: "/"), container("job", .exited, log: "/"),
                    ]))
                try channel.send(json: ControlEvent.done(changed: false))
            }
            try withController(of: place, [scene, scene, scene]) {
                #expect(try runCovey(["-p", "p", "ps", "-q"], in: directory).out == "p-web-1\n")
                #expect(try runCovey(["-p", "p", "ps", "-aq"], in: directory).out == "p-job-1\np-web-1\n")
                let json = try runCovey(["-p", "p", "ps", "--format", "json"], in: directory).out
                #expect(json.split(separator: "\n").count == 1)
            }
        }
    }

    @Test("exec without a terminal hands its descriptors over and ends with the program's code")
    func exec() throws {
        try withPlace { directory, place in
            let scene: Scene = { request, channel, descriptors in
                guard case .exec(let options) = request, descriptors.count == 3 else { return }
                try channel.send(json: ControlEvent.execStarted)
                let text =
                    "\(options.service) \(options.arguments) \(options.environment) \(options.terminal)\n"
                try writeAll(descriptors[1].raw, Array(text.utf8))
                try channel.send(json: ControlEvent.exited(code: 42))
            }
            let ran = try withController(of: place, [scene]) {
                try runCovey(
                    ["-p", "p", "exec", "-e", "A=1", "-eB", "web", "ls", "-l"], in: directory, ["B": "2"])
            }
            #expect(ran.code == 42)
            #expect(ran.out == "web [\"ls\", \"-l\"] [\"A=1\", \"B=2\"] false\n")
        }
    }

    @Test("exec with a terminal carries bytes and leaves the terminal as it was")
    func execTerminal() throws {
        try withPlace { directory, place in
            let user = try openTerminalPair()
            try setWindowSize(of: user.first.raw, WindowSize(rows: 30, columns: 90))
            let scene: Scene = { request, channel, descriptors in
                guard case .exec(let options) = request, options.terminal, descriptors.isEmpty else { return }
                let inside = try openTerminalPair()
                try channel.send(json: ControlEvent.execStarted, descriptors: [inside.first.raw])
                // Until the client has passed its size on, and with it is in its loop.
                while windowSize(of: inside.second.raw)?.columns != 90 { try waitALittle() }
                try writeAll(inside.second.raw, Array("hello\n".utf8))
                var line: [UInt8] = []
                while line.last != 10 { line += try receiveSome(inside.second.raw) }
                try writeAll(inside.second.raw, Array("got ".utf8) + line)
                try channel.send(json: ControlEvent.exited(code: 7))
            }
            // What the user typed before the program began reaches it.
            try writeAll(user.first.raw, Array("typed\n".utf8))
            let terminal = user.second.raw
            let ran = try withController(of: place, [scene]) {
                try runCovey(
                    ["-p", "p", "exec", "web", "sh"], in: directory, input: terminal, output: terminal)
            }
            #expect(ran.code == 7)
            // A line feed became CR LF in the container's terminal, once; ours was raw and added nothing.
            var seen: [UInt8] = []
            while !String(decoding: seen, as: UTF8.self).contains("got typed\r\n") {
                seen += try receiveSome(user.first.raw)
            }
            #expect(String(decoding: seen, as: UTF8.self).contains("hello\r\n"))
            // Cooked again: a line feed written by a program becomes CR LF.
            try writeAll(terminal, Array("x\n".utf8))
            #expect(String(decoding: try receiveSome(user.first.raw), as: UTF8.self) == "x\r\n")
        }
    }

    @Test("logs are read from the disk; a service's own are asked for by its name")
    func logs() throws {
        try withPlace { directory, place in
            let web = "\(place.directory)/containers/p-web-1/log"
            let db = "\(place.directory)/containers/p-db-1/log"
            try writeLog(web, "stdout.0", 2, "two\nlast")
            try writeLog(web, "stderr.0", 3, "trouble\n")
            try writeLog(db, "stdout.0", 1, "one\n")
            let all = try runCovey(["-p", "p", "logs"], in: directory)
            #expect(all.code == 0)
            #expect(all.out == "db-1   | one\nweb-1  | two\nweb-1  | last\n")
            #expect(all.errors == "web-1  | trouble\n")
            let one = try runCovey(["-p", "p", "logs", "--no-log-prefix", "-t", "db"], in: directory)
            #expect(one.out == "1970-01-01T00:00:00.000000001Z one\n")
            #expect(
                try runCovey(["-p", "p", "logs", "-n", "1", "web"], in: directory).errors
                    == "web-1  | trouble\n")
        }
    }

    @Test("followed logs end when every container has ended")
    func following() throws {
        try withPlace { directory, place in
            let web = "\(place.directory)/containers/p-web-1/log"
            let late = "\(place.directory)/containers/p-late-1/log"
            try writeLog(web, "stdout.0", 1, "one\n")
            let scene: Scene = { request, channel, _ in
                guard case .watch = request else { return }
                try channel.send(json: ControlEvent.status([container("web", .running, log: web)]))
                try writeLog(web, "stdout.1", 5, "two\n")
                try writeLog(late, "stdout.0", 6, "late\n")
                try channel.send(
                    json: ControlEvent.status([
                        container("web", .exited, log: web), container("late", .exited, log: late),
                    ]))
                _ = try channel.next()
            }
            let ran = try withController(of: place, [scene]) {
                try runCovey(["-p", "p", "logs", "-f"], in: directory)
            }
            #expect(ran.code == 0)
            // How wide the prefix is depends on when the second container is heard of.
            #expect(ran.out.hasPrefix("web-1 ") && ran.out.contains("| one\n"))
            #expect(ran.out.contains("| two\n") && ran.out.contains("late-1  | late\n"))
        }
    }

    @Test(
        "a controller that is lost has another after it: who follows goes on, and an end is told as it was",
        arguments: [
            (["logs", "-f"], 0, "web-1  | one\n"), (["wait", "web"], 3, "p-web-1 exited with code 3\n"),
        ] as [([String], Int32, String)])
    func lostController(words: [String], code: Int32, output: String) throws {
        try withPlace { directory, place in
            let log = "\(place.directory)/containers/p-web-1/log"
            try writeLog(log, "stdout.0", 1, "one\n")
            let first: Scene = { _, channel, _ in
                try channel.send(json: ControlEvent.status([container("web", .running, log: log)]))
            }
            let second: Scene = { request, channel, _ in
                guard case .watch = request else { return }
                var ended = container("web", .exited, log: log)
                ended.exitCode = 3
                try channel.send(json: ControlEvent.status([ended]))
                _ = try channel.next()
            }
            let ran = try withController(of: place, [first, second]) {
                try runCovey(["-p", "p"] + words, in: directory)
            }
            #expect(ran.code == code && ran.out == output, "\(ran)")
        }
    }

    @Test("without --index the first container there is is exported, whatever its number")
    func firstContainer() throws {
        try withPlace { directory, place in
            var second = container("web", .exited, log: "/")
            second.name = "p-web-2"
            second.index = 2
            let shown = second
            let scene: Scene = { _, channel, _ in
                try channel.send(json: ControlEvent.status([shown]))
                try channel.send(json: ControlEvent.done(changed: false))
            }
            let ran = try withController(of: place, [scene]) {
                try runCovey(["-p", "p", "export", "web"], in: directory)
            }
            #expect(ran.errors.contains("cannot open the files of container \"p-web-2\""), "\(ran)")
        }
    }

    @Test("followed logs of one service end with it, whoever else runs on")
    func followingOne() throws {
        try withPlace { directory, place in
            let web = "\(place.directory)/containers/p-web-1/log"
            try writeLog(web, "stdout.0", 1, "one\n")
            let scene: Scene = { request, channel, _ in
                guard case .watch = request else { return }
                try channel.send(
                    json: ControlEvent.status([
                        container("web", .exited, log: web), container("db", .running, log: web),
                    ]))
                _ = try channel.next()
            }
            let ran = try withController(of: place, [scene]) {
                try runCovey(["-p", "p", "logs", "-f", "web"], in: directory)
            }
            #expect(ran.code == 0)
            #expect(ran.out == "web-1  | one\n")
        }
    }

    @Test("ls counts states and names what nobody looks after")
    func ls() throws {
        try withPlace { directory, place in
            try writeFile("\(directory)/note", [])
            try ensureDirectory("\(directory)/root/projects/lost/containers/lost-a-1")
            try ensureDirectory(place.directory)
            try writeFile("\(place.directory)/project.json", Array(#"{"files":["/x/compose.yaml"]}"#.utf8))
            let answer: Scene = { _, channel, _ in
                try channel.send(
                    json: ControlEvent.status([
                        container("web", .running, log: "/"), container("job", .exited, log: "/"),
                    ]))
                try channel.send(json: ControlEvent.done(changed: false))
            }
            let ran = try withController(of: place, [answer]) { try runCovey(["ls"], in: directory) }
            #expect(
                ran.out == """
                    NAME   STATUS                  CONFIG FILES
                    lost   unattended(1)
                    p      exited(1), running(1)   /x/compose.yaml

                    """)
        }
    }
}

private func waitALittle() throws { _ = try waitReadable([], atMost: .milliseconds(2)) }

private func receiveSome(_ fd: Int32) throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try retrying("read") { readBytes(fd, &buffer) }
    return Array(buffer[..<count])
}
