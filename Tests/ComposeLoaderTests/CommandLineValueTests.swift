// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeModel
import Testing

@testable import ComposeLoader

@Suite("values from the command line")
struct CommandLineValueTests {
    @Test("ports and mounts are read as in a file")
    func read() throws {
        #expect(try readPorts("127.0.0.1:8080:80/udp").map(\.target) == [80])
        #expect(try readPorts("8000-8002:80-82").map(\.target) == [80, 81, 82])
        let bind = try readMounts("./data:/data:ro", directory: "/work", home: nil)
        #expect(bind.first?.source == .bind(path: "/work/data", createHostPath: true, propagation: nil))
        #expect(bind.first?.readOnly == true)
        #expect(
            try readMounts("~/x:/x", directory: "/work", home: "/home/me").first?.source
                == .bind(path: "/home/me/x", createHostPath: true, propagation: nil))
        #expect(try readMounts("/cache", directory: "/work", home: nil).first?.source == .anonymous)
        #expect(try readWords("sh -c 'a b'") == ["sh", "-c", "a b"])
        let variables = try readVariables(
            Array("A=1\n# no\nexport B=\"two $A\"\nC\n".utf8), name: "x.env", environment: ["C": "outside"])
        #expect(variables == ["A": "1", "B": "two 1", "C": "outside"])
    }

    @Test(
        "a mistake names the value and not a path in a file",
        arguments: ["x", "80:80:80", "70000", "1-2:3-5", "80/sctpx"])
    func wrongPort(text: String) {
        #expect {
            try readPorts(text)
        } throws: {
            let said = "\($0)"
            return said.contains("cannot understand the port \"\(text)\"") && !said.contains("port[0]")
        }
    }

    @Test("wrong mounts", arguments: ["a::b", "data:relative", "/a:/b:nonsense", "no/name:/x", ":/x"])
    func wrongMount(text: String) {
        #expect(throws: Failure.self) { try readMounts(text, directory: "/", home: nil) }
    }

    @Test("an open quote") func wrongWords() { #expect(throws: Failure.self) { try readWords("'open") } }
}
