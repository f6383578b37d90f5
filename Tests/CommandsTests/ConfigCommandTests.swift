// SPDX-License-Identifier: Apache-2.0

import Basics
import Kernel
import Testing

@testable import Commands

private let file = """
    name: demo
    services:
      web:
        image: nginx:${TAG:-1}
        build: ./web
        ports: ["${PORT:?which}:80", "53:53/udp"]
        privileged: true
        env_file: [a.env]
        environment: ["HOME_OF=${OWNER:+me}"]
        volumes: ["data:/data", "./conf:/conf"]
        depends_on: [db]
        models: [m]
      db: {image: postgres, networks: [back]}
      tool: {build: ., profiles: [tools, more]}
    networks: {back: }
    volumes: {data: }
    models: {m: {model: ai/m}}

    """

/// What `config` with these words prints for the file above.
private func config(_ words: String..., text: String = file) throws -> (
    code: Int32, out: String, errors: String
) {
    try withScratch { directory in
        try writeFile("\(directory)/compose.yaml", Array(text.utf8))
        try writeFile("\(directory)/a.env", Array("FROM_FILE=1\n".utf8))
        try writeFile("\(directory)/.env", Array("PORT=8080\n".utf8))
        let ran = try runCovey(["config"] + words, in: directory)
        let out = ran.out.split(separator: directory, omittingEmptySubsequences: false).joined(
            separator: "/w")
        if let output = try? readFile("\(directory)/out.yaml") {
            return (ran.code, String(decoding: output, as: UTF8.self), ran.errors)
        }
        return (ran.code, out, ran.errors)
    }
}

@Suite struct ConfigCommandTests {
    @Test(
        "config prints one thing of a project, a line each",
        arguments: [
            (["--services"], "db\nweb\n"), (["--volumes"], "data\n"), (["--networks"], "back\ndefault\n"),
            (["--images"], "postgres\nnginx:1\n"), (["--models"], "ai/m\n"),
            (["--profiles"], "more\ntools\n"),
            (["--services", "--no-interpolate"], "db\ntool\nweb\n"), (["-q"], ""),
            (["--services", "db"], "db\n"),
            (
                ["--variables"],
                """
                NAME    REQUIRED   DEFAULT VALUE   ALTERNATE VALUE
                OWNER   false                      me
                PORT    true
                TAG     false      1

                """
            ),
        ] as [([String], String)])
    func lists(_ words: [String], _ expected: String) throws {
        let ran = try withScratch { directory in
            try writeFile("\(directory)/compose.yaml", Array(file.utf8))
            try writeFile("\(directory)/a.env", [])
            try writeFile("\(directory)/.env", Array("PORT=8080\n".utf8))
            return try runCovey(["config"] + words, in: directory)
        }
        #expect(ran.out == expected)
        #expect(ran.code == 0)
        #expect(ran.errors.isEmpty)
    }

    @Test("what this host refuses is shown, and only refused when the project is to run")
    func shown() throws {
        let ran = try config()
        #expect(ran.code == 0)
        #expect(ran.out.contains("    privileged: true\n"))
        #expect(ran.out.contains("      FROM_FILE: \"1\"\n"))
        #expect(ran.errors.isEmpty)
    }

    @Test("nothing is put in with --no-interpolate, and what says itself is made long")
    func plain() throws {
        let out = try config("--no-interpolate").out
        #expect(out.contains("    image: nginx:${TAG:-1}\n"))
        #expect(out.contains("      - ${PORT:?which}:80\n      - mode: ingress\n        target: 53\n"))
        #expect(out.contains("      context: /w/web\n"))
        #expect(out.contains("  tool:\n"))
        #expect(out.hasPrefix("models:\n"))
    }

    @Test("each --no-… leaves its own part undone")
    func undone() throws {
        #expect(try config("--no-path-resolution").out.contains("        source: ./conf\n"))
        #expect(try config("--no-env-resolution").out.contains("    env_file:\n      - path: /w/a.env\n"))
        let raw = try config("--no-normalize").out
        #expect(raw.contains("volumes:\n  data: null\n") && !raw.contains("default: null"))
        let loose = "services: {web: {image: a, volumes: [\"nope:/x\"], depends_on: [nobody]}}"
        #expect(try config("-q", text: loose).code == 1)
        #expect(try config("-q", "--no-consistency", text: loose).code == 0)
    }

    @Test("a hash is of what a container is made of")
    func hashes() throws {
        func hash(_ text: String) throws -> String { try config("--hash", "*", text: text).out }
        let one = try hash("services: {a: {image: x}}")
        #expect(one.hasPrefix("a ") && one.utf8.count == 2 + 64 + 1)
        #expect(try hash("services: {a: {image: x, scale: 3, pull_policy: never}}") == one)
        #expect(try hash("services: {a: {image: x, user: b}}") != one)
        #expect(try config("--hash", "nobody").code == 1)
    }

    @Test("-o writes a file, JSON is JSON, and the environment is what the files see")
    func outputs() throws {
        #expect(try config("-o", "out.yaml").out.hasPrefix("name: demo\nservices:\n"))
        #expect(try config("--format", "json").out.contains("\n  \"name\": \"demo\",\n"))
        let environment = try config("--environment").out
        #expect(environment.contains("PORT=8080\n") && environment.contains("COMPOSE_PROJECT_NAME=demo\n"))
        #expect(
            try config("--variables", "--format", "json").out.contains(
                "\"TAG\":{\"Name\":\"TAG\",\"DefaultValue\":\"1\""))
    }

    @Test(
        "an image the store has no digest of can't be pinned",
        arguments: ["--resolve-image-digests", "--lock-image-digests"])
    func digests(_ flag: String) throws {
        let ran = try config(flag)
        #expect(ran.code == 1)
        #expect(ran.errors.contains("error: cannot pin image \"postgres\""))
        #expect(ran.errors.contains("error: cannot pin image \"nginx:1\""))
    }

    @Test("an image that names its digest is pinned already")
    func pinnedAlready() throws {
        let digest = "sha256:" + String(repeating: "a", count: 64)
        let text = "services: {b: {image: \"x@\(digest)\"}, a: {build: .}}\n"
        let ran = try config("--lock-image-digests", text: text)
        #expect(ran.out == "services:\n  b:\n    image: x@\(digest)\n")
    }
}
