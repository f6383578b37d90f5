// SPDX-License-Identifier: Apache-2.0

import Basics
import Glibc
import Kernel
import Testing

@testable import Commands

/// Exit code, standard output, error output of a command line where nothing is.
private func ran(_ words: [String]) throws -> (Int32, String, String) {
    try withScratch { directory in
        let ran = try runCovey(words, in: directory)
        return (ran.code, ran.out, ran.errors)
    }
}

@Suite struct EdgeTests {
    @Test(
        "a bad command line ends with 1 and three parts on the error output",
        arguments: [["--nope"], ["upp"], ["up", "--scal"], ["exec"], ["logs", "--tail"], ["image", "lss"]])
    func mistakes(words: [String]) throws {
        let (code, out, errors) = try ran(words)
        #expect(code == 1)
        #expect(out.isEmpty)
        #expect(errors.hasPrefix("error: "))
    }

    @Test("help and version go to the standard output and end with 0")
    func help() throws {
        for words in [
            ["--help"], ["up", "--help"], ["image"], ["version"], ["--version"],
            ["version", "--format", "json"],
        ] {
            let (code, out, errors) = try ran(words)
            #expect(code == 0 && !out.isEmpty && errors.isEmpty, "\(words)")
        }
        #expect(try ran(["version"]).1 == "covey \(coveyVersion)\n")
        #expect(try ran(["version", "-f", "pretty"]).1 == "covey \(coveyVersion)\n")
        #expect(try ran(["convert", "--help"]).1 == ran(["config", "--help"]).1)
    }

    @Test("COMPOSE_ANSI is one of its words, unless --ansi says otherwise")
    func ansi() throws {
        try withScratch { directory in
            let words = ["version"]
            for (words, code) in [(words, 1), (["--ansi", "never"] + words, 0)] as [([String], Int32)] {
                let ran = try runCovey(words, in: directory, ["COMPOSE_ANSI": "bogus"])
                #expect(ran.code == code && ran.errors.contains("COMPOSE_ANSI=bogus") == (code == 1))
            }
        }
    }

    @Test("orphans are told of, removed or ignored as the flag says, else as Docker Compose's variables do")
    func orphans() throws {
        #expect(try OrphanChoice(given: nil, [:]) == .told)
        #expect(try OrphanChoice(given: nil, ["COMPOSE_REMOVE_ORPHANS": "True"]) == .removed)
        #expect(try OrphanChoice(given: false, ["COMPOSE_REMOVE_ORPHANS": "1"]) == .told)
        #expect(try OrphanChoice(given: nil, ["COMPOSE_IGNORE_ORPHANS": "1"]) == .ignored)
        #expect(try OrphanChoice(given: nil, ["COMPOSE_IGNORE_ORPHANS": "no"]) == .told)
        let both = #expect(throws: Failure.self) {
            try OrphanChoice(given: true, ["COMPOSE_IGNORE_ORPHANS": "yes"])
        }
        #expect(both?.description.contains("leave --remove-orphans out") == true)
    }

    @Test("what -o names is written whole when it is a file, and into when it is a link or a pipe")
    func outputs() throws {
        try withScratch { directory in
            let write = { (name: String) throws in
                try writeOutput(to: "\(directory)/\(name)", "cannot write") { (file) throws(Failure) in
                    try naming("cannot write") { () throws(SyscallError) in try writeAll(file.raw, "new".utf8)
                    }
                }
            }
            try writeFile("\(directory)/file", Array("old text".utf8))
            let before = try fileStatus("\(directory)/file").st_ino
            try write("file")
            #expect(try readText("\(directory)/file") == "new")
            #expect(try fileStatus("\(directory)/file").st_ino != before)
            try writeFile("\(directory)/file", Array("old text".utf8))
            #expect(symlink("file", "\(directory)/link") == 0 && symlink("none", "\(directory)/far") == 0)
            for name in ["link", "far"] {
                try write(name)
                #expect(try fileStatus("\(directory)/\(name)").isSymlink)
                #expect(try readText("\(directory)/\(name)") == "new")
            }
            #expect(mkfifo("\(directory)/pipe", 0o600) == 0)
            let reader = try openFile("\(directory)/pipe", flags: O_RDONLY | O_NONBLOCK)
            try write("pipe")
            var buffer = [UInt8](repeating: 0, count: 8)
            #expect(readBytes(reader.raw, &buffer) == 3)
            #expect(throws: Failure.self) { try write("") }
            #expect(try directoryEntries(directory) == ["far", "file", "link", "none", "pipe"])
        }
    }

    @Test("taking down what is not there is no error")
    func downOfNothing() throws {
        let (code, out, errors) = try ran(["-p", "nothing", "down"])
        #expect(code == 0)
        #expect(out.isEmpty)
        #expect(errors == "nothing to take down: project \"nothing\" is not up\n")
    }

    @Test("listing where nothing is")
    func empty() throws {
        #expect(try ran(["ls"]).1 == "NAME   STATUS   CONFIG FILES\n")
        #expect(try ran(["ls", "--format", "json"]).1 == "[]\n")
        #expect(
            try ran(["-p", "nothing", "ps"]).1
                == "NAME   IMAGE   COMMAND   SERVICE   CREATED   STATUS   PORTS\n")
    }

    @Test("a project's name is checked before it becomes a path", arguments: ["../x", "A", "-x", "a/b", ""])
    func names(name: String) throws {
        let (code, _, errors) = try ran(["-p", name, "ps"])
        #expect(code == 1)
        #expect(errors.contains("is no project name"))
    }

    @Test("logs and stop of a project that is not up say so")
    func notUp() throws {
        for words in [
            ["-p", "nothing", "logs"], ["-p", "nothing", "stop"], ["-p", "nothing", "exec", "a", "b"],
        ] {
            let (code, _, errors) = try ran(words)
            #expect(code == 1)
            #expect(errors.contains("project \"nothing\""))
        }
    }

    @Test("paths become absolute by their letters")
    func paths() {
        let invocation = Invocation(arguments: [], environment: [:], directory: "/a/b")
        #expect(invocation.absolute("c/./d/../e") == "/a/b/c/e")
        #expect(invocation.absolute("/x//y/..") == "/x")
        #expect(invocation.absolute("../../../..") == "/")
    }

    @Test("a finding shows its advice below it")
    func findings() {
        #expect(
            findingsText(
                [
                    Finding(.ok, "kernel", "Linux 6.1"),
                    Finding(.fallback, "cgroups", "v1", "works through v1"),
                ],
                colours: false) == """
                    OK        kernel   Linux 6.1
                    fallback  cgroups  v1
                                       works through v1

                    nothing missing, 1 with a fallback

                    """)
    }
}
