// SPDX-License-Identifier: Apache-2.0

import Basics
import Testing

@testable import Commands

private func parsed(_ line: String) throws -> (name: String, arguments: Arguments) {
    let words = line.split(separator: " ").map(String.init)
    guard
        case .run(let command, let arguments) = try parse(words, commands: commandTable, globals: globalFlags)
    else {
        struct NoCommand: Error {}
        throw NoCommand()
    }
    return (command.name, arguments)
}

@Suite struct ParsingTests {
    @Test(
        "a global flag may stand before or after the command, its value attached or apart",
        arguments: [
            "-f a.yaml -p x ps", "-fa.yaml -px ps", "--file=a.yaml --project-name=x ps",
            "--file a.yaml ps -p x",
            "ps -p=x --file=a.yaml", "ps --file a.yaml --project-name x",
        ])
    func globals(line: String) throws {
        let (name, arguments) = try parsed(line)
        #expect(name == "ps")
        #expect(arguments.all(.file) == ["a.yaml"])
        #expect(arguments.last(.project) == "x")
    }

    @Test("behind the command a letter is the command's own")
    func commandFirst() throws {
        let (_, arguments) = try parsed("-f a.yaml logs -f -n5 web")
        #expect(arguments.all(.file) == ["a.yaml"])
        #expect(arguments.has(.follow))
        #expect(arguments.last(.tail) == "5")
        #expect(arguments.operands == ["web"])
    }

    @Test("letters stand together, the last one may take a value")
    func clusters() throws {
        let (_, arguments) = try parsed("logs -tfn 7")
        #expect(arguments.has(.timestamps) && arguments.has(.follow))
        #expect(arguments.last(.tail) == "7")
    }

    @Test("repeatable flags keep their order")
    func repeated() throws {
        let (_, arguments) = try parsed("-f a -f b up --scale web=2 --scale db=1")
        #expect(arguments.all(.file) == ["a", "b"])
        #expect(arguments.all(.scale) == ["web=2", "db=1"])
    }

    @Test("a switch can be taken back")
    func switches() throws {
        #expect(try parsed("up --wait=true").arguments.has(.wait))
        #expect(try !parsed("up --wait --wait=false").arguments.has(.wait))
    }

    @Test("after exec's service everything is the program's")
    func passing() throws {
        let (_, arguments) = try parsed("exec -T -e A=1 -u 5 web ls -la --all -- x")
        #expect(arguments.operands == ["web", "ls", "-la", "--all", "--", "x"])
        #expect(arguments.has(.noTTY))
        #expect(arguments.all(.env) == ["A=1"])
        #expect(try parsed("exec web -- ls -l").arguments.operands == ["web", "ls", "-l"])
    }

    @Test("after -- there are no flags")
    func border() throws {
        #expect(try parsed("ps -q -- -q").arguments.operands == ["-q"])
    }

    @Test("commands of two words")
    func groups() throws {
        #expect(try parsed("image ls -q").name == "image ls")
        #expect(try parsed("debug launch web").arguments.operands == ["web"])
    }

    @Test(
        "what can't be understood is named, with the nearest name",
        arguments: [
            ("pss", "no command \"pss\"", "there is a command \"ps\""),
            ("up --detatch", "no flag --detatch of `covey up`", "there is a flag --detach"),
            ("ps -x", "no flag -x of `covey ps`", nil),
            ("logs -n", "cannot understand -n", "its value is missing"),
            ("ls --format yaml", "cannot understand --format yaml", "it is none of table, json"),
            ("exec web", "cannot run `covey exec`", "SERVICE COMMAND [ARGUMENT…] is missing"),
            ("ls x", "cannot run `covey ls`", "\"x\" is one argument too many"),
            ("up --wait=maybe", "cannot understand --wait=maybe", "--wait takes no value \"maybe\""),
            ("image sl", "no command \"image sl\"", "there is a command \"image ls\""),
        ] as [(String, String, String?)])
    func mistakes(line: String, doing: String, cause: String?) {
        let failure = #expect(throws: Failure.self) { try parsed(line) }
        #expect(failure?.doing == doing)
        #expect(failure?.cause == cause)
    }

    @Test("help is asked for in several ways")
    func help() throws {
        for words in [["--help"], ["-h"], [], ["help"]] {
            guard case .help(nil) = try parse(words, commands: commandTable, globals: globalFlags) else {
                Issue.record("\(words) asks for no help")
                continue
            }
        }
        for words in [["up", "--help"], ["help", "up"], ["--help", "up"], ["up", "-dh"]] {
            guard case .help(let command?) = try parse(words, commands: commandTable, globals: globalFlags)
            else {
                Issue.record("\(words) asks for no help")
                continue
            }
            #expect(command.name == "up")
        }
        guard case .groupHelp("image") = try parse(["image"], commands: commandTable, globals: globalFlags)
        else {
            Issue.record("no help of a group")
            return
        }
    }

    @Test("no two flags of one command share a name or a letter")
    func unique() {
        for command in commandTable {
            let letters = command.flags.compactMap(\.short)
            #expect(Set(letters).count == letters.count, "\(command.name)")
            let names = command.flags.map(\.name.rawValue)
            #expect(Set(names).count == names.count, "\(command.name)")
        }
    }

    @Test(
        "seconds and durations",
        arguments: [("10", 10_000), ("1m30s", 90_000), ("250ms", 250)] as [(String, Int64)])
    func durations(text: String, milliseconds: Int64) throws {
        #expect(try parsed("stop -t \(text)").arguments.duration(.timeout) == .milliseconds(milliseconds))
    }

    @Test("no duration is an error", arguments: ["x", "-1", "5q"])
    func badDurations(text: String) throws {
        let (_, arguments) = try parsed("stop --timeout=\(text)")
        #expect(throws: Failure.self) { try arguments.duration(.timeout) }
    }
}
