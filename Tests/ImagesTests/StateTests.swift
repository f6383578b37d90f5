// SPDX-License-Identifier: Apache-2.0

import Basics
import Kernel
import Records
import Testing

@Suite("the state directory")
struct StateTests {
    struct Note: Codable, Equatable { var text: String }

    @Test("it is made private, and refused when a newer program laid it out")
    func layout() throws {
        let ground = try Playground()
        let state = StateDirectory(root: "\(ground.path)/s/root", run: "\(ground.path)/s/run")
        try state.ensure()
        try state.ensure()
        #expect(try fileStatus(state.root).st_mode & 0o777 == 0o700)
        #expect(try fileStatus(state.run).st_mode & 0o777 == 0o700)
        #expect(try readText("\(state.root)/layout") == "1\n")
        _ = try state.lockHost()
        try writeFile("\(state.root)/layout", "2\n".utf8)
        let failure = #expect(throws: Failure.self) { try state.ensure() }
        #expect(failure?.advice?.contains("newer covey") == true)
        try writeFile("\(state.root)/layout", "x".utf8)
        #expect(throws: Failure.self) { try state.ensure() }
    }

    @Test("the environment moves it, but not to a relative path")
    func environment() throws {
        #expect(
            try StateDirectory(environment: [:]) == StateDirectory(root: "/var/lib/covey", run: "/run/covey"))
        #expect(try StateDirectory(environment: ["COVEY_ROOT": "/a/"]).root == "/a")
        #expect(throws: Failure.self) { try StateDirectory(environment: ["COVEY_RUN": "a"]) }
    }

    @Test("a record comes back; a missing one is nil, a torn one an error that names the file")
    func records() throws {
        let ground = try Playground()
        let path = "\(ground.path)/note.json"
        #expect(try readRecord(Note.self, path) == nil)
        try writeRecord(Note(text: "a/b"), path, durable: true)
        #expect(try readRecord(Note.self, path) == Note(text: "a/b"))
        #expect(try readText(path) == "{\"text\":\"a/b\"}\n")
        for torn in ["", "{\"te", "[]"] {
            try writeFile(path, torn.utf8)
            let failure = #expect(throws: Failure.self) { try readRecord(Note.self, path) }
            #expect(failure?.doing.contains(path) == true && failure?.advice != nil)
        }
        #expect(try currentBootID().count == 36)
    }
}
