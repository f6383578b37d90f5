// SPDX-License-Identifier: Apache-2.0

import Basics
import Testing
import YAMLTree

private func read(_ text: String) throws(Failure) -> Node {
    try read(Array(text.utf8))
}

private func read(_ bytes: [UInt8], _ limits: YAMLLimits = YAMLLimits()) throws(Failure) -> Node {
    guard let node = try readYAML(bytes, file: "a.yaml", limits: limits).first else {
        throw Failure("no document")
    }
    return node
}

private func complaint(_ bytes: [UInt8], _ limits: YAMLLimits = YAMLLimits()) -> String {
    do throws(Failure) {
        _ = try readYAML(bytes, file: "a.yaml", limits: limits)
        return "read"
    } catch {
        return error.description
    }
}

/// A tree in one line.
private func shown(_ node: Node) -> String {
    let tag = node.tag.map { $0.rawValue + " " } ?? ""
    switch node.content {
    case .scalar(let text, let style):
        if node.isNull { return tag + "null" }
        return tag + (style == .plain ? text : "\"\(text)\"")
    case .sequence(let items): return tag + "[" + items.map(shown).joined(separator: ",") + "]"
    case .mapping(let mapping):
        return tag + "{" + mapping.pairs.map { "\($0.key):\(shown($0.value))" }.joined(separator: ",") + "}"
    }
}

@Test(
    "text becomes a tree",
    arguments: [
        ("a: 1", "{a:1}"),
        ("a: [x, 'y', \"z\"]", "{a:[x,\"y\",\"z\"]}"),
        ("a:\nb: ~\nc: null\nd: 'null'\ne: ''", "{a:null,b:null,c:null,d:\"null\",e:\"\"}"),
        ("- a\n- - b\n  - c", "[a,[b,c]]"),
        ("a: |\n  x\n  y\n", "{a:\"x\ny\n\"}"),
        ("1: a\ntrue: b", "{1:a,true:b}"),
        ("a: !reset b\nc: !override [d]", "{a:!reset b,c:!override [d]}"),
        ("a: !!str null\nb: !!int 5", "{a:\"null\",b:5}"),
        ("a: &x {k: v}\nb: *x", "{a:{k:v},b:{k:v}}"),
        ("&k a: b\nc: *k", "{a:b,c:a}"),
        ("a: &x 1\nb: *x\nc: &x 2\nd: *x", "{a:1,b:1,c:2,d:2}"),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", "{a:{k:1,l:2},b:{k:3,l:2}}"),
        ("x: &x {k: 1}\ny: &y {k: 2, l: 3}\nz: {<<: [*x, *y]}", "{x:{k:1},y:{k:2,l:3},z:{k:1,l:3}}"),
        ("a: {<<: {k: v}}\nb: {'<<': c}", "{a:{k:v},b:{<<:\"?\"}}"),
        ("\u{feff}a: b", "{a:b}"),
        ("a: b\r\nc: d\r\n", "{a:b,c:d}"),
        ("%YAML 1.2\n---\na: b", "{a:b}"),
        ("{\"json\": [1, true, null]}", "{json:[1,true,null]}"),
        ("ä: ö", "{ä:ö}"),
    ])
func trees(_ text: String, _ expected: String) throws {
    #expect(
        try shown(read(text))
            == expected.split(separator: "\"?\"", omittingEmptySubsequences: false).joined(separator: "c"))
}

@Test("nodes know their line and column, in characters, and their line's text")
func places() throws {
    let node = try read("a: b\nö: {c: [d, é, x]}  # note\n")
    let item = try #require(node.mapping?["ö"]?.mapping?["c"]?.items?[2])
    #expect(
        item.place.location
            == SourceLocation(file: "a.yaml", line: 2, column: 15, lineText: "ö: {c: [d, é, x]}  # note"))
    #expect(node.mapping?.pair("ö")?.keyPlace.column == 1)
}

@Test("documents of a stream are kept apart; an empty one is null; anchors end with theirs")
func documents() throws {
    #expect(
        try readYAML(Array("a: 1\n---\n---\nb: 2\n".utf8), file: "a").map(shown) == [
            "{a:1}", "null", "{b:2}",
        ])
    #expect(try readYAML([], file: "a").isEmpty)
    #expect(
        complaint(Array("a: &x 1\n---\nb: *x\n".utf8)).hasPrefix("a.yaml:3:4: error: `*x` names no anchor"))
}

@Test("aliases share their node, so a merge of many costs nothing")
func sharing() throws {
    let node = try read("a: &x {k: v}\nb: *x")
    #expect(node.mapping?["a"] === node.mapping?["b"])
}

@Test("large mappings find their keys and their duplicates")
func largeMappings() throws {
    let lines = (0..<2000).map { "key\($0): \($0)" }
    let node = try read(lines.joined(separator: "\n"))
    #expect(node.mapping?["key1999"]?.text == "1999")
    #expect(node.mapping?["key2000"] == nil)
    #expect(
        complaint(Array((lines + ["key7: x"]).joined(separator: "\n").utf8))
            == "a.yaml:2001:1: error: `key7` is given twice\n  2001 | key7: x\n       | ^\n  cause: first given at line 8"
    )
}

@Test("ten thousand levels are refused at the hundred and first")
func depth() throws {
    let deep = Array((String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)).utf8)
    #expect(complaint(deep).hasPrefix("a.yaml:1:101: error: nesting deeper than 100 levels is refused"))
    let maps = Array(
        (0..<10_000).map { String(repeating: " ", count: min($0, 200)) + "a:" }.joined(separator: "\n").utf8)
    #expect(complaint(maps).contains("nesting deeper than 100 levels is refused"))
    let fine = Array((String(repeating: "[", count: 100) + String(repeating: "]", count: 100)).utf8)
    #expect(try read(fine).items != nil)
}

@Test("too large a file, too long a value")
func sizes() {
    let large = [UInt8](repeating: 0x23, count: (4 << 20) + 1)
    #expect(complaint(large) == "error: a.yaml is too large: 4194305 B; a file may have at most 4 MiB")
    let long = Array("a: ".utf8) + [UInt8](repeating: 0x78, count: (1 << 20) + 1)
    #expect(
        complaint(long).hasPrefix(
            "a.yaml:1:4: error: a value of 1048577 B is too long; at most 1 MiB are read"))
}

@Test(
    "text that is not UTF-8",
    arguments: [
        ([0xff, 0xfe, 0x61, 0x00], "a.yaml:1:1: error: a.yaml is UTF-16 text\n  try:   save it as UTF-8"),
        ([0xfe, 0xff, 0x00, 0x61], "a.yaml:1:1: error: a.yaml is UTF-16 text\n  try:   save it as UTF-8"),
        ([0x61, 0x00, 0x3a, 0x00], "a.yaml:1:1: error: a.yaml is UTF-16 text\n  try:   save it as UTF-8"),
        (
            Array("a: 1\nb: ".utf8) + [0xe4],
            "a.yaml:2:4: error: the text is not UTF-8\n  2 | b: \u{fffd}\n    |    ^\n  cause: byte 0xe4 at offset 8\n  try:   save the file as UTF-8"
        ),
        (
            [0x61, 0xc0, 0x80],
            "a.yaml:1:2: error: the text is not UTF-8\n  1 | a\u{fffd}\u{fffd}\n    |  ^\n  cause: byte 0xc0 at offset 1\n  try:   save the file as UTF-8"
        ),
        (
            [0xed, 0xa0, 0x80],
            "a.yaml:1:1: error: the text is not UTF-8\n  1 | \u{fffd}\u{fffd}\u{fffd}\n    | ^\n  cause: byte 0xed at offset 0\n  try:   save the file as UTF-8"
        ),
    ] as [([UInt8], String)])
func encodings(_ bytes: [UInt8], _ expected: String) {
    #expect(complaint(bytes) == expected)
}

@Test("any cut and any changed byte of a file is read or refused, never more")
func mangled() {
    let text = Array(
        "a: &x {k: [1, 'b', \"c\\n\"]}\nb:\n  - <<: *x\n    l: |\n      t\n  - !reset z\n...\n---\nc: é\n"
            .utf8)
    for cut in 0...text.count { _ = complaint(Array(text[..<cut])) }
    for position in text.indices {
        for byte in [0, 9, 10, 0x22, 0x26, 0x2a, 0x3a, 0x5b, 0x7b, 0x80, 0xff] as [UInt8] {
            var other = text
            other[position] = byte
            _ = complaint(other)
        }
    }
}
