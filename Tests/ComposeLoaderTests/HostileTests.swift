// SPDX-License-Identifier: Apache-2.0
//
// Files made to exhaust whoever reads them: each is refused, in the time and memory an honest one takes.

import Basics
import ComposeLoader
import Testing

private func refusal(_ files: [String: String]) -> String {
    String(complaint(files).split(separator: "\n").first ?? "")
}

@Test("a file deeper than 100 levels is refused", arguments: [101, 100_000])
func deep(_ levels: Int) {
    let flow = "services: " + String(repeating: "[", count: levels)
    #expect(refusal(["compose.yaml": flow]).hasSuffix("error: nesting deeper than 100 levels is refused"))
    let mapping = "a: " + String(repeating: "{a: ", count: levels)
    #expect(refusal(["compose.yaml": mapping]).hasSuffix("error: nesting deeper than 100 levels is refused"))
}

@Test("a file over 4 MiB is refused before it is parsed")
func large() {
    let file = "services: {web: {image: a}}\n" + String(repeating: "# filler\n", count: 1 << 19)
    #expect(refusal(["compose.yaml": file]).contains("compose.yaml is too large"))
}

@Test("a file of more than 150000 keys and values is refused")
func values() {
    let file = "services: {web: {image: a}}\nx-a: [" + String(repeating: "a, ", count: 150_000) + "]\n"
    #expect(
        refusal(["compose.yaml": file]).hasSuffix("error: compose.yaml has more than 150000 keys and values"))
}

@Test("a file of more than 100 documents is refused")
func manyDocuments() {
    let file = "services: {web: {image: a}}\n" + String(repeating: "---\nname: a\n", count: 100)
    #expect(refusal(["compose.yaml": file]).hasSuffix("error: compose.yaml has more than 100 documents"))
}

@Test("a hundred documents laid on a thousand services replace, add and take away what they name")
func layers() throws {
    var file = "services:\n" + (0..<1000).map { "  s\($0): {image: a}\n" }.joined()
    for number in 1..<100 {
        file +=
            "---\nservices: {s\(number): {image: b}, t\(number): {image: c}, s\(number + 500): !reset null}\n"
    }
    let services = try load(["compose.yaml": file]).project.services
    #expect(services.count == 1000)
    #expect(services["s99"]?.image == "b")
    #expect(services["t99"]?.image == "c")
    #expect(services["s599"] == nil)
    #expect(services["s600"]?.image == "a")
}

@Test("thousands of services in one line load, and what is wrong there is told without the line")
func oneLine() throws {
    let services = (0..<5000).map { "s\($0): {image: a}" }.joined(separator: ", ")
    #expect(try load(["compose.yaml": "services: {\(services)}"]).project.services.count == 5000)
    #expect(
        complaint(["compose.yaml": "services: {\(services), z: {image: a, init: perhaps}}"])
            .hasSuffix("error: `services.z.init` is \"perhaps\"; expected true or false"))
}

@Test("a service that depends on all before it closes a hundred rings, and no more are looked for")
func rings() {
    var file = "services:\n"
    for number in 1..<5000 { file += "  s\(number - 1): {image: a, depends_on: [s\(number), s0]}\n" }
    file += "  s4999: {image: a}\n"
    let text = complaint(["compose.yaml": file])
    #expect(text.split(separator: "\n").filter { $0.hasPrefix("compose.yaml:") }.count == 100)
}

@Test("a text of a hundred thousand variables nobody has is warned about a hundred times")
func unsetVariables() throws {
    let text = (0..<100_000).map { "$v\($0)" }.joined(separator: " ")
    let warnings = try load(["compose.yaml": "services: {web: {image: a, labels: {l: \"\(text)\"}}}"])
        .warnings
    #expect(warnings.count == 101)
    #expect(warnings.last?.doing == "there are 99900 more warnings")
}

@Test("thousands of names that nobody declares are not each compared with thousands that are")
func undeclared() {
    var file = "services:\n"
    for number in 0..<5000 { file += "  service\(number): {image: a, depends_on: [servise\(number)]}\n" }
    let text = complaint(["compose.yaml": file])
    #expect(text.contains("did you mean \"service0\"?"))
    #expect(text.contains("error: there are 4900 more problems"))
}

@Test(
    "of thousands of services too, what is switched off, not required or an extension depends on what it likes"
)
func lenientDependencies() throws {
    var file = "services:\n"
    for number in 0..<2000 { file += "  s\(number): {image: a}\n" }
    file += """
          off: {image: a, profiles: [p], depends_on: [nobody]}
          optional: {image: a, depends_on: {nobody: {condition: service_started, required: false}}}
          x-ring: {depends_on: [x-ring, nobody]}

        """
    let loaded = try load(["compose.yaml": file]).project
    #expect(loaded.services["optional"]?.dependsOn.isEmpty == true)
    #expect(loaded.disabledServices.keys.sorted() == ["off"])
}

@Test("a NUL character is refused wherever it stands: what takes the text would cut it there")
func zeros() {
    #expect(
        refusal(["compose.yaml": "services: {web: {image: a, environment: {A: \"a\\0b\"}}}"]).hasSuffix(
            "compose.yaml:1:45: error: a text has a NUL character in it"))
    #expect(
        refusal(["compose.yaml": "services: {web: {image: a, env_file: v.env}}", "v.env": "A=b\u{0}c"])
            .hasSuffix("v.env:1:4: error: there is a NUL character"))
}

@Test("an environment file of thousands of variables is read once for thousands of services")
func sharedEnvironment() throws {
    let services = (0..<2000).map { "  s\($0): {image: a, env_file: v.env}\n" }.joined()
    let variables = (0..<5000).map { "V\($0)=\($0)\n" }.joined()
    let loaded = try load(["compose.yaml": "services:\n\(services)", "v.env": variables])
    #expect(loaded.project.services["s1999"]?.environment["V4999"] == "4999")
    let own = try load([
        "compose.yaml":
            "services: {a: {image: a, env_file: v.env, environment: {A: 1}}, b: {image: a, env_file: [w.env, v.env]}}",
        "v.env": "X=${W:-none}", "w.env": "W=given",
    ])
    #expect(own.project.services["a"]?.environment["X"] == "none")
    #expect(own.project.services["b"]?.environment["X"] == "given")
}

@Test("an environment file with variables is read anew for whom they have another value, and only for them")
func sharedTemplates() throws {
    let services = (0..<2000).map {
        "  s\($0): {image: a, env_file: \($0 == 7 ? "[w.env, v.env]" : "v.env")}\n"
    }
    let variables = (0..<1000).map { "V\($0)=${W:-none}\n" }.joined()
    let loaded = try load([
        "compose.yaml": "services:\n\(services.joined())", "v.env": variables, "w.env": "W=given",
    ]).project
    #expect(loaded.services["s6"]?.environment["V999"] == "none")
    #expect(loaded.services["s7"]?.environment["V999"] == "given")
    #expect(loaded.services["s8"]?.environment["V999"] == "none")
}

@Test("a ring of 10000 services is told by its ends")
func ring() {
    let count = 10_000
    var file = "services:\n"
    for number in 0..<count {
        file += "  s\(number): {image: a, depends_on: [s\((number + 1) % count)]}\n"
    }
    #expect(
        refusal(["compose.yaml": file]).hasSuffix(
            "services depend on each other in a cycle: s0 → s1 → s2 → s3 → s4 → s5 → s6 → s7 → s8 → s9 → "
                + "… 9986 more … → s9996 → s9997 → s9998 → s9999 → s0"))
}

@Test("aliases that multiply are refused")
func aliases() {
    var file = "x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n"
    for level in 1..<12 {
        let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
        file += "x-\(level): &a\(level) [\(uses)]\n"
    }
    #expect(
        refusal(["compose.yaml": file + "services: {web: {image: a}}"]).hasSuffix(
            "error: aliases expand to more than 100000 nodes"))
}

@Test("a cycle of aliases is refused")
func aliasCycle() {
    #expect(refusal(["compose.yaml": "services: &a {web: *a}"]).contains("a cycle"))
}

@Test("files that include each other twice are refused when they are too many")
func includes() {
    var files = ["compose.yaml": "include: [f0.yaml, f0.yaml]\nservices: {web: {image: a}}"]
    for level in 0..<40 {
        files["f\(level).yaml"] = "include: [f\(level + 1).yaml, f\(level + 1).yaml]"
    }
    files["f40.yaml"] = "services: {last: {image: b}}"
    #expect(refusal(files).contains("more than 1000 files are included or extended"))
}

@Test("a chain of extends over 100 is refused")
func chain() {
    var services = "  s0: {image: a}\n"
    for level in 1..<5000 { services += "  s\(level): {extends: s\(level - 1)}\n" }
    // Told once, from whichever service is looked at first.
    let reversed = services.split(separator: "\n").reversed().joined(separator: "\n")
    #expect(
        refusal(["compose.yaml": "services:\n\(reversed)\n"]).contains(
            "services extend each other more than 100 deep"))
}

@Test("variables nested without end are refused")
func nestedVariables() {
    let text = String(repeating: "${A:-", count: 5000) + "x" + String(repeating: "}", count: 5000)
    #expect(
        refusal(["compose.yaml": "services: {web: {image: \"\(text)\"}}"]).contains("has an invalid variable")
    )
}

@Test("a thousand services load")
func thousand() throws {
    var file = "services:\n"
    for number in 0..<1000 {
        file += "  s\(number): {image: a, environment: {N: \(number)}, ports: [\"\(10_000 + number):80\"]}\n"
    }
    #expect(try load(["compose.yaml": file]).project.services.count == 1000)
}

@Test("a range of nearly all ports there are loads")
func portRange() throws {
    let file = "services: {web: {image: a, ports: [\"10000-61999:10000-61999\", \"20000:20000\"]}}"
    let ports = try load(["compose.yaml": file]).project.services["web"]?.ports ?? []
    #expect(ports.count == 52_000)
    #expect(ports.last?.published == 61_999...61_999)
}

@Test("of thousands of mistakes a hundred are told, and the number of the rest")
func mistakes() {
    var file = "services:\n"
    for number in 0..<3000 { file += "  s\(number): {imagee: a}\n" }
    let text = complaint(["compose.yaml": file])
    #expect(text.split(separator: "\n").filter { $0.hasPrefix("compose.yaml:") }.count == 100)
    #expect(text.contains("error: there are 2900 more problems"))
}

@Test("of thousands of wrong values a hundred are told, and no more are read")
func wrongValues() {
    var file = "services:\n"
    for number in 0..<3000 { file += "  s\(number): {image: a, init: perhaps}\n" }
    let text = complaint(["compose.yaml": file])
    #expect(text.split(separator: "\n").filter { $0.hasPrefix("compose.yaml:") }.count == 100)
    #expect(text.contains("error: there may be more problems than these"))
}
