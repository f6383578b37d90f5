// SPDX-License-Identifier: Apache-2.0
//
// The ledger is whole (every attribute of the Compose schema has a standing) and docs/compose-support.md is
// printed from it. COVEY_UPDATE_GOLDEN=1 writes the file.

import Basics
import ComposeLoader
import Glibc
import Kernel
import Testing
import YAMLTree

/// Where compose-go is ahead of the schema, and a proposal for it.
private let ahead = [
    "jobs", "services.*.build.no_cache_filter", "services.*.pre_start", "services.*.pre_start.*.command",
    "services.*.pre_start.*.environment", "services.*.pre_start.*.image",
    "services.*.pre_start.*.per_replica", "services.*.pre_start.*.privileged", "services.*.pre_start.*.user",
    "services.*.pre_start.*.working_dir",
]

@Test("every path of the schema is in the ledger, and no other")
func whole() {
    let paths = Set(Ledger.rows.map(\.path))
    let expected = Set(schemaPaths + ahead)
    #expect(expected.subtracting(paths).sorted() == [])
    #expect(paths.subtracting(expected).sorted() == [])
    #expect(paths.count == Ledger.rows.count)
}

@Test("what is refused says why, and what has no effect too")
func reasons() {
    for row in Ledger.rows where row.attribute.standing != .works {
        #expect(!row.attribute.note.isEmpty, "\(row.path)")
    }
}

@Test("every attribute that works is proven by a test there is")
func proofs() throws {
    let tests = try testFunctions()
    for row in Ledger.rows where row.standing == .works {
        let isThere = row.proofs.allSatisfy(tests.contains) && !row.proofs.isEmpty
        #expect(isThere, "\(row.path): \"\(row.proof)\"")
    }
    for row in Ledger.rows where row.attribute.standing != .works { #expect(row.attribute.proof.isEmpty) }
}

/// Every test function below Tests, as `Suite.function`, and as `Target.function` as well.
private func testFunctions() throws -> Set<String> {
    let tests = repository + "/Tests"
    var found: Set<String> = []
    for target in try directoryEntries(tests) {
        for name in (try? directoryEntries("\(tests)/\(target)")) ?? [] where name.hasSuffix(".swift") {
            let text = String(decoding: try readFile("\(tests)/\(target)/\(name)"), as: UTF8.self)
            var (suite, isSuite, isTest) = ("", false, false)
            for line in text.split(separator: "\n") {
                let words = line.split { " (){:".contains($0) }
                func word(after keyword: Substring) -> Substring? {
                    guard let place = words.firstIndex(of: keyword), place + 1 < words.count else {
                        return nil
                    }
                    return words[place + 1]
                }
                if line.contains("@Suite") { isSuite = true }
                // A suite goes on in another file: `extension Scenarios.Networks`.
                if line.hasPrefix("extension"), let name = word(after: "extension") {
                    suite = name.split(separator: ".").last.map(String.init) ?? suite
                }
                if line.contains("@Test") { isTest = true }
                if isSuite, let name = word(after: "struct") { (suite, isSuite) = (String(name), false) }
                if isTest, let name = word(after: "func") {
                    found.formUnion(["\(suite).\(name)", "\(target).\(name)"])
                    isTest = false
                }
            }
        }
    }
    return found
}

private let repository = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

/// A value of each service attribute that this host refuses, as the reader of the attribute takes it.
private let refusedValues: [(String, String)] = [
    ("cpu_count", "2"), ("cpu_percent", "50"), ("credential_spec", "{file: f}"), ("isolation", "hyperv"),
    ("models", "[m]"), ("runtime", "runc"), ("use_api_socket", "true"),
]

@Test("what this host refuses loads, and is refused by name with its place", arguments: refusedValues)
func refusals(_ name: String, _ value: String) throws {
    let files = ["compose.yaml": yaml("\(name): \(value)", "models: {m: {model: x}}\n")]
    let loaded = try load(files, honoured: false) { $0.checksConsistency = false }
    let yet = Ledger.service[name]?.standing == .refused ? " yet" : ""
    #expect(
        loaded.refusals.map(\.description).first?.hasPrefix(
            "compose.yaml:4:5: error: `services.web.\(name)` is not supported\(yet)\n") == true,
        "\(loaded.refusals)")
    #expect(renderYAML(loaded.project).contains("\n    \(name):"))
}

@Test("every service attribute that is refused is tried")
func refusalsAreWhole() {
    let refused = Ledger.service.attributes.filter { $0.standing == .refused || $0.standing == .notHere }
    #expect(Set(refused.map(\.name)) == Set(refusedValues.map(\.0)))
}

@Test("a service that is switched off asks for nothing")
func switchedOff() throws {
    let file = "services: {a: {image: x}, b: {image: y, runtime: runc, platform: plan9, profiles: [p]}}"
    #expect(try load(["compose.yaml": file]).refusals.isEmpty)
    #expect(try load(["compose.yaml": file], honoured: false) { $0.profiles = ["p"] }.refusals.count == 2)
}

@Test("docs/compose-support.md says what the ledger says")
func document() throws {
    let path = repository + "/docs/compose-support.md"
    let expected = supportPage()
    if getenv("COVEY_UPDATE_GOLDEN") != nil {
        let file = try #require(fopen(path, "w"))
        fputs(expected, file)
        fclose(file)
    }
    let file = try #require(fopen(path, "r"), "\(path) is missing; COVEY_UPDATE_GOLDEN=1 writes it")
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    #expect(
        String(decoding: bytes[..<count], as: UTF8.self) == expected,
        "stale: run again with COVEY_UPDATE_GOLDEN=1")
}

private func supportPage() -> String {
    let counts = Ledger.rows.reduce(into: [:]) { $0[word($1.standing), default: 0] += 1 }
    let limits = YAMLLimits()
    var text = """
        # Compose attributes: what works

        Printed from the ledger in `Sources/ComposeLoader` by its test; change it there and run the tests with
        `COVEY_UPDATE_GOLDEN=1`. Of \(Ledger.rows.count) attribute paths \(counts["works"] ?? 0) work, \
        \(counts["no effect"] ?? 0) have no effect, \(counts["refused"] ?? 0) are refused for now, \
        \(counts["not here"] ?? 0) for good, and \(counts["proposed"] ?? 0) is a proposal.

        Nothing is silently ignored. Every attribute loads, and `covey config` shows it. What `up`, `plan` and `build` do
        about it is one of five things:

        - **works**: honoured as the Compose Specification says, with the limits the note names. The last column names the
          test that proves it, in `Tests`.
        - **no effect**: accepted with the warning `` `PATH` has no effect ``; on one host there is rightly nothing to do.
        - **refused**: ``FILE:LINE:COLUMN: error: `PATH` is not supported yet``. An empty value, or one of those listed as
          accepted, asks for nothing and is accepted.
        - **not here**: refused as `` `PATH` is not supported `` with the cause; it belongs to a cluster, to Windows or to
          another engine, and cannot mean anything on one Linux host.
        - **proposed**: the specification has not taken it up; a file that has it is not loaded, with an error that names it.

        A service that is switched off by its profiles asks for nothing. What is not in the schema is
        ``unknown attribute `PATH` ``, with the nearest known name. `x-*` is accepted in every element whose keys are not
        the user's own names. Services, networks, volumes, configs, secrets and models are held to `[a-zA-Z0-9._-]+`.

        What differs from Docker Compose on purpose: a plain value of `environment`, `labels` and `args` is the text
        that was written (`1.10` stays `1.10`, `True` stays `True`); an `env_file` that has junk after a closing quote
        is an error; in an environment file `A= # note` is empty; a text under `x-*` that is no template is left as it
        is; two entries of `include` that declare one name differently are an error (Docker Compose lays the first over
        the second); a file is read up to 4 MiB, \(limits.depth) levels deep, \(limits.nodes / 1000),000 keys and values and \(limits.documents) documents, and a project up to 1000 files.

        In paths a star stands for a name, or for an element of a list.


        """
    var group = "?"
    for row in Ledger.rows {
        let parts = row.path.split(separator: ".").map(String.init)
        let depth = parts.first == "services" ? 3 : 2
        let own = parts.count < depth ? "" : parts.prefix(depth - 1).joined(separator: ".")
        if own != group {
            group = own
            let title = own.isEmpty ? "Top level" : own.hasPrefix("services") ? "`services`" : "`\(own)`"
            text += "\(text.hasSuffix("\n\n") ? "" : "\n")## \(title)\n\n"
            text += "| attribute | standing | note | proven by |\n|---|---|---|---|\n"
        }
        var notes =
            row.attribute.note.isEmpty || row.attribute.note == "not supported yet"
            ? [] : [row.attribute.note]
        if !row.attribute.harmless.isEmpty {
            notes.append("accepted: \(row.attribute.harmless.map { "`\($0)`" }.joined(separator: ", "))")
        }
        let proof = row.proofs.map { "`\($0)`" }.joined(separator: ", ")
        text += "| `\(row.path)` | \(word(row.standing)) | \(notes.joined(separator: "; ")) | \(proof) |\n"
    }
    return text
}

private func word(_ standing: Attribute.Standing) -> String {
    switch standing {
    case .works: "works"
    case .noEffect: "no effect"
    case .refused: "refused"
    case .notHere: "not here"
    case .proposed: "proposed"
    }
}
