// SPDX-License-Identifier: Apache-2.0
//
// The user's terminal and the container's: what is typed arrives whole, the user's mode comes back, and neither side
// waits for one that is gone.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("terminals")
    struct Terminals {
        // It was put to raw mode with nobody to read its keys: Ctrl-C did nothing.
        @Test("attach --no-stdin leaves the user's terminal as it is; Ctrl-C ends it and not the service")
        func watchingTerminal() throws {
            try Stage.play("terminals") { stage in
                try stage.covey("up", "-d", "tt")
                let user = try stage.startInTerminal(["attach", "--no-stdin", "tt"])
                try stage.eventually("it shows what the service writes") {
                    try stage.exec("tt", "echo shown > /proc/1/fd/1")
                    return user.screen.contains("shown")
                }
                try stage.require(!user.isRaw, "nobody reads the keys of a raw terminal")
                try user.resize(rows: 33, columns: 77)
                try stage.eventually("the service's window fits") {
                    try stage.exec("tt", "stty size < /proc/1/fd/0") == "33 77"
                }
                try user.type("\u{3}")
                try stage.eventually("Ctrl-C ends it") { user.program.ended() == 128 + SIGINT }
                try stage.require(try stage.container("tt").State == "running", "the service ended")
            }
        }

        // It ended at once, and the shell of the user got a raw terminal.
        @Test(
            "exec that a signal ends gives the user's terminal back", arguments: [SIGINT, SIGQUIT, SIGTERM])
        func endedBySignal(_ signal: Int32) throws {
            try Stage.play("terminals") { stage in
                try stage.covey("up", "-d", "web")
                let user = try stage.startInTerminal(["exec", "web", "sh"])
                try stage.eventually("the shell has the keys") { user.isRaw && !user.screen.isEmpty }
                user.program.signal(signal)
                try stage.eventually("it ends") { user.program.ended() == 128 + signal }
                try stage.require(!user.isRaw, "the terminal stayed raw")
            }
        }

        // The client sat in write(2) while nobody read what the shell showed, for good.
        @Test("what is pasted arrives whole, however much it is", arguments: ["exec", "run", "attach"])
        func paste(_ command: String) throws {
            try Stage.play("terminals") { stage in
                try stage.covey("up", "-d")
                let user =
                    switch command {
                    case "exec": try stage.startInTerminal(["exec", "web", "sh"])
                    case "run": try stage.startInTerminal(["run", "--rm", "web", "sh"])
                    default: try stage.startInTerminal(["attach", "tt"])
                    }
                try stage.eventually("the shell has the keys") { user.isRaw }
                try user.type("echo $((40+2))\n")
                try stage.eventually("it answers") { user.screen.contains("42") }
                // 69 bytes each, as a long line of somebody's script.
                let line = "n=$((n+1)) # it adds one, and the rest of it is only here to be long\n"
                try user.type(String(repeating: line, count: 1000))
                try user.type("echo all=$n=all\n")
                try stage.eventually(within: .seconds(60), "every line has run") {
                    user.screen.contains("all=1000=all")
                } orSay: {
                    String(user.screen.suffix(2000))
                }
                if command == "attach" { return try user.type("\u{10}\u{11}") }
                try user.type("exit 3\n")
                try stage.eventually("its end is told") { user.program.ended() == 3 }
                try stage.require(!user.isRaw, "the terminal stayed raw")
            }
        }

        @Test("what is pasted into a bundle's terminal arrives whole")
        func bundlePaste() throws {
            try Bundle.play { bundle in
                try bundle.configure(["sh"], process: #""terminal":true,"#)
                let user = try UserTerminal(
                    [bundle.runtime, "--root", bundle.state, "run", bundle.name],
                    environment: ["PATH=\(Host.path)"], directory: bundle.directory,
                    scratch: "\(bundle.directory)/scratch")
                try bundle.await("the shell has the keys") { user.isRaw }
                let line = "n=$((n+1)) # it adds one, and the rest of it is only here to be long\n"
                try user.type(String(repeating: line, count: 1000) + "echo all=$n=all; exit 3\n")
                try bundle.await("its end is told") {
                    _ = user.screen
                    return user.program.ended() == 3
                }
                try bundle.require(user.screen.contains("all=1000=all") && !user.isRaw, user.screen)
            }
        }

        @Test(
            "a program that reads nothing of a paste is ended by a signal, and by itself",
            arguments: ["exec", "run"])
        func unreadPaste(_ command: String) throws {
            try Stage.play("terminals") { stage in
                try stage.covey("up", "-d", "web")
                let flags = command == "run" ? ["--rm"] : []
                let paste = String(
                    repeating: "echo hello, this is one line of the many that somebody pastes it\n",
                    count: 250)
                for (seconds, code): (String, Int32) in [("2", 0), ("1000", 128 + SIGTERM)] {
                    let user = try stage.startInTerminal([command] + flags + ["web", "sleep", seconds])
                    try stage.eventually("it has the keys") { user.isRaw }
                    try user.type(paste)
                    if code != 0 { user.program.signal(SIGTERM) }
                    try stage.eventually("it ends") {
                        _ = user.screen
                        return user.program.ended() != nil
                    }
                    try stage.require(user.program.ended() == code, "\(user.program.ended() ?? -1)")
                    try stage.require(!user.isRaw, "the terminal stayed raw")
                }
            }
        }

        // The controller had the terminal as well: its shell stayed until the container ended.
        @Test("exec whose client is gone hangs up its program")
        func hungUpProgram() throws {
            try Stage.play("terminals") { stage in
                try stage.covey("up", "-d", "web")
                for isKilled in [false, true] {
                    let user = try stage.startInTerminal(["exec", "web", "sh", "-s", "of-the-lost"])
                    try user.type("echo $((40+2))\n")
                    try stage.eventually("it answers") { user.screen.contains("42") }
                    try stage.require(try stage.exec("web", "ps").contains("of-the-lost"), "it does not run")
                    if isKilled { user.program.signal(SIGKILL) } else { user.close() }
                    try stage.eventually("the client is gone") { user.program.ended() != nil }
                    try stage.eventually(within: .seconds(5), "its program is gone") {
                        try !stage.exec("web", "ps").contains("of-the-lost")
                    }
                }
            }
        }

        // The client kept its connection and read the terminal no more, so nobody did.
        @Test("run whose terminal is lost goes on to its end; what it writes is in the log")
        func lostTerminal() throws {
            try Stage.play("terminals") { stage in
                try ensureDirectory("\(stage.files)/v")
                let line =
                    "trap '' HUP; echo ready; while [ ! -e /v/go ]; do sleep 0.05; done; "
                    + "for i in $(seq 3000); do echo line $i of the many that nobody reads; done; "
                    + "touch /v/done; while [ ! -e /v/end ]; do sleep 0.05; done; exit 7"
                let user = try stage.startInTerminal([
                    "run", "--rm", "--name", "lost-\(stage.project)", "-v", "./v:/v", "web", "sh", "-c", line,
                ])
                try stage.eventually("it runs") { user.screen.contains("ready") }
                user.close()
                try stage.write("v/go", "")
                try stage.eventually("it has written all") { exists("\(stage.files)/v/done") }
                try stage.eventually("all of it is in the log") {
                    let log = try stage.logs("--no-log-prefix")
                    return log.contains("line 1 of") && log.contains("line 3000 of")
                }
                try stage.write("v/end", "")
                try stage.eventually("the client tells its end") { user.program.ended() == 7 }
                try stage.eventually("it is removed") { try stage.covey("ps", "-a", "-q").lines.isEmpty }
            }
        }
    }
}
