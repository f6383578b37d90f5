// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeLoader
import Testing

private let variables = ["SET": "value", "EMPTY": "", "OTHER": "other", "HOME": "/home/me"]

@Test(
    "every form of a variable",
    arguments: [
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a${SET}b", "avalueb"),
        ("$SET-$OTHER", "value-other"),
        ("$$SET", "$SET"),
        ("$$$SET", "$value"),
        ("$${SET}", "${SET}"),
        ("${SET:-d}", "value"),
        ("${SET-d}", "value"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET:-d}", "d"),
        ("${UNSET-d}", "d"),
        ("${UNSET:-}", ""),
        ("${UNSET-}", ""),
        ("${SET:+alt}", "alt"),
        ("${SET+alt}", "alt"),
        ("${EMPTY:+alt}", ""),
        ("${EMPTY+alt}", "alt"),
        ("${UNSET:+alt}", ""),
        ("${UNSET+alt}", ""),
        ("${SET:?no}", "value"),
        ("${EMPTY?no}", ""),
        ("${UNSET:-${OTHER}}", "other"),
        ("${UNSET:-${ALSO:-${OTHER}}}", "other"),
        ("${UNSET:-a ${OTHER} b}", "a other b"),
        ("${UNSET:-{\"a\":1}}", "{\"a\":1}"),
        ("${UNSET:-$$x}", "$x"),
        ("${SET:-${}}", "value"),
        ("${SET:+${OTHER}}", "other"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${UNSET:-ä ö}", "ä ö"),
        ("ä${SET}ö", "ävalueö"),
        ("$UNSET", ""),
        ("${COMPOSE_PROJECT_NAME}", "demo"),
    ])
func forms(_ text: String, _ expected: String) throws {
    let quoted = text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    let service = try web("environment: {A: '\(quoted)'}") { $0.environment = variables }
    #expect(service.environment["A"] == expected)
}

@Test("a variable that is not set warns once, with its place; one with a default does not")
func warnings() throws {
    let loaded = try load([
        "compose.yaml": yaml("user: \"${NOBODY}\"\nhostname: a${NOBODY}\nworking_dir: /${B:-x}")
    ])
    #expect(
        loaded.warnings.map(\.description) == [
            """
            compose.yaml:4:12: error: the variable "NOBODY" is not set: it is taken as empty
              4 |     user: "${NOBODY}"
                |            ^
              try:   set it, or give a default: ${NOBODY:-}
            """
        ])
}

@Test("values are put in, keys are not, and what is no variable in x- is left alone")
func valuesOnly() throws {
    let service = try web("labels: {\"$SET\": \"$SET\"}", "x-other: $(date)\n") { $0.environment = variables }
    #expect(service.labels == ["$SET": "value"])
}

@Test("what variables make is read as the field's type")
func typed() throws {
    let service = try web("read_only: ${RO}\nscale: $N\nports: [\"$P:80\"]\nuser: $E") {
        $0.environment = ["RO": "yes", "N": "3", "P": "8080", "E": "null"]
    }
    #expect(service.readOnly)
    #expect(service.replicas == 3)
    #expect(service.ports.first?.published == 8080...8080)
    #expect(service.user == "null")
}

@Test(
    "the grammar of environment files",
    arguments: [
        ("A=b", ["A": "b"]),
        ("# note\n\nA=b # note\nB=c#d", ["A": "b", "B": "c#d"]),
        ("export A=b", ["A": "b"]),
        ("A = b c  ", ["A": "b c"]),
        ("A: b", ["A": "b"]),
        ("A='$HOME \\n'", ["A": "$HOME \\n"]),
        ("A=\"x\\ty\\n\\\"q\\\"\"", ["A": "x\ty\n\"q\""]),
        ("A=\"two\nlines\" # note\nB=c", ["A": "two\nlines", "B": "c"]),
        ("A=1\nB=${A}2\nC=\"$B\"", ["A": "1", "B": "12", "C": "12"]),
        ("A=\\$x", ["A": "\\"]),
        ("A=\"\\$x\"", ["A": "$x"]),
        ("A=$$x", ["A": "$x"]),
        ("A=${NO:-d}", ["A": "d"]),
        ("A=", ["A": ""]),
        ("A=#x", ["A": "#x"]),
        ("A= #x", ["A": ""]),
        ("A:#x # y", ["A": "#x"]),
        ("USER", ["USER": "me"]),
        ("NOBODY", [:]),
        ("\u{feff}A=b\r\nB=c\r\n", ["A": "b", "B": "c"]),
        ("A=x\nA=y", ["A": "y"]),
        ("A=a=b", ["A": "a=b"]),
    ])
func environmentFiles(_ file: String, _ expected: [String: String]) throws {
    let project = try load(["compose.yaml": yaml("env_file: a.env"), "a.env": file]).project
    #expect(project.services["web"]?.environment == expected)
}

@Test(
    "an environment file that cannot be read says where",
    arguments: [
        ("A=\"x", "/work/demo/a.env:1:3: error: the quote of \"A\" is never closed\n  1 | A=\"x\n    |   ^"),
        (
            "OK=1\nA b",
            "/work/demo/a.env:2:3: error: \"A\" is followed by neither \"=\" nor the end of the line\n  2 | A b\n    |   ^"
        ),
        (
            "A=${x",
            "/work/demo/a.env:1:3: error: invalid variable in \"${x\"\n  1 | A=${x\n    |   ^\n  try:   write $$ for a dollar sign itself"
        ),
        ("=b", "/work/demo/a.env:1:1: error: a line begins with a variable's name\n  1 | =b\n    | ^"),
    ])
func badEnvironmentFiles(_ file: String, _ expected: String) {
    #expect(complaint(["compose.yaml": yaml("env_file: a.env"), "a.env": file]) == expected)
}

@Test("env_file: later files win, environment wins over them, raw is raw, an optional one may be missing")
func envFileOrder() throws {
    let project = try load([
        "compose.yaml": yaml(
            """
            env_file:
              - a.env
              - {path: ./b.env, format: raw}
              - {path: none.env, required: false}
            environment: [C=own, USER, NOBODY, D]
            """),
        "a.env": "A=a\nB=a\nC=a\nD=a\nNOBODY=file",
        "b.env": "B=\"$HOME\" # x\n",
    ]).project
    // A name without a value is the client's even when a file has one (05-services.md, "environment").
    #expect(
        project.services["web"]?.environment == ["A": "a", "B": "\"$HOME\" # x", "C": "own", "USER": "me"])
}

@Test("sources of variables: the client, then --env-file in order, else .env")
func sources() throws {
    let files = [
        "compose.yaml": yaml("environment: {A: $A, B: $B, C: $C}"), ".env": "A=dot\nB=dot\nC=dot",
        "one.env": "A=one\nB=one\nC=", "two.env": "B=two\nC=$B",
    ]
    let plain = try load(files) { $0.environment = ["A": "client"] }.project
    #expect(plain.services["web"]?.environment == ["A": "client", "B": "dot", "C": "dot"])
    // In a value the files before come first, then what stands above in the file (compose-go, dotenv/env.go).
    let named = try load(files) { $0.envFiles = ["one.env", "two.env"] }.project
    #expect(named.services["web"]?.environment == ["A": "one", "B": "two", "C": "one"])
    let listed = try load(files) { $0.environment = ["COMPOSE_ENV_FILES": "one.env"] }.project
    #expect(listed.services["web"]?.environment == ["A": "one", "B": "one", "C": ""])
    #expect(
        complaint(files) { $0.envFiles = ["gone.env"] }
            == "error: cannot read the environment file gone.env\n  cause: no such file")
}

@Test("variables nested without end are refused")
func nestedWithoutEnd() {
    let deep = String(repeating: "${A:-", count: 20_000) + String(repeating: "}", count: 20_000)
    #expect(complaint(["compose.yaml": yaml("user: \(deep)")]).contains("has an invalid variable in"))
}
