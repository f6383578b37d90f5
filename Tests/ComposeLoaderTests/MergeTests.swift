// SPDX-License-Identifier: Apache-2.0
//
// Merging, held to what `config` prints: each case is an attribute in two files and its lines afterwards.

import Basics
import ComposeLoader
import ComposeModel
import Testing

struct Merge: CustomTestStringConvertible {
    let title: String
    let base: String
    let over: String
    let expected: String

    init(_ title: String, _ base: String, _ over: String, _ expected: String) {
        self.title = title
        self.base = base
        self.over = over
        self.expected = expected
    }

    var testDescription: String { title }
}

@Test("an override file is merged", arguments: merges)
func merging(_ merge: Merge) throws {
    let shared =
        "\nnetworks: {a: , b: }\nsecrets: {s: {file: /s}, t: {file: /t}}\nconfigs: {c: {file: /c}}\nvolumes: {v: }\n"
    let project = try load(
        [
            "a.yaml": "services:\n  web: {image: app, \(merge.base)}\n  db: {image: db}\n  mq: {image: mq}"
                + shared, "b.yaml": "services:\n  web: {\(merge.over)}\n",
        ]
    ) { $0.files = ["a.yaml", "b.yaml"] }.project
    let plain = try load([
        "a.yaml": "services:\n  web: {image: app}\n  db: {image: db}\n  mq: {image: mq}" + shared
    ]) { $0.files = ["a.yaml"] }.project
    var only = project
    only.services = ["web": project.services["web"] ?? Service(name: "")]
    var bare = plain
    bare.services = ["web": plain.services["web"] ?? Service(name: "")]
    func lines(_ project: Project) -> [String] {
        let text = renderYAML(project)
        let end = text.split(separator: "\nnetworks:", maxSplits: 1).first ?? ""
        return end.split(separator: "\n").map(String.init)
    }
    let known = Set(lines(bare))
    let told = lines(only).filter { !known.contains($0) }.map { $0.drop { $0 == " " } }.joined(
        separator: "; ")
    #expect(told == merge.expected)
}

private let merges: [Merge] = [
    Merge("scalars replace", "user: a", "user: b", "user: b"),
    Merge("an attribute of one stays", "user: a", "hostname: h", "hostname: h; user: a"),
    Merge(
        "lists append, each once", "cap_add: [CHOWN, KILL]", "cap_add: [KILL, SYSLOG]",
        "cap_add:; - CHOWN; - KILL; - SYSLOG"),
    Merge("commands replace", "command: [a, b]", "command: c d", "command:; - c; - d"),
    Merge("entrypoints replace", "entrypoint: [a]", "entrypoint: [b, c]", "entrypoint:; - b; - c"),
    Merge(
        "a test replaces, its neighbours stay", "healthcheck: {test: [CMD, a], interval: 5s}",
        "healthcheck: {test: b}", "healthcheck:; test:; - CMD-SHELL; - b; interval: 5s"),
    Merge(
        "environment: list on mapping", "environment: {A: 1, B: 2}", "environment: [B=3, C=4]",
        "environment:; A: \"1\"; B: \"3\"; C: \"4\""),
    Merge(
        "environment: mapping on list", "environment: [A=1, B=2]", "environment: {B: }",
        "environment:; A: \"1\"; B: null"),
    Merge("labels", "labels: [a=1]", "labels: {b: 2}", "labels:; a: \"1\"; b: \"2\""),
    Merge("sysctls", "sysctls: {a.b: 1}", "sysctls: [a.b=2, c.d=3]", "sysctls:; a.b: \"2\"; c.d: \"3\""),
    Merge("dns: text on list", "dns: [1.1.1.1]", "dns: 8.8.8.8", "dns:; - 1.1.1.1; - 8.8.8.8"),
    Merge(
        "tmpfs: by target", "tmpfs: [/run, /tmp]", "tmpfs: \"/run:size=1m\"",
        "tmpfs:; - /run:size=1m; - /tmp"),
    Merge(
        "extra_hosts without doubles", "extra_hosts: [\"a:1.1.1.1\"]",
        "extra_hosts: [\"a:1.1.1.1\", \"b:2.2.2.2\"]", "extra_hosts:; - a=1.1.1.1; - b=2.2.2.2"),
    Merge(
        "depends_on: list on mapping", "depends_on: {db: {condition: service_healthy, restart: true}}",
        "depends_on: [db, mq]",
        "depends_on:; db:; condition: service_started; restart: true; required: true; mq:; condition: service_started; required: true"
    ),
    Merge(
        "depends_on: mapping on list", "depends_on: [db]", "depends_on: {db: {condition: service_healthy}}",
        "depends_on:; db:; condition: service_healthy; required: true"),
    Merge(
        "networks: list and mapping", "networks: [a]", "networks: {a: {aliases: [x]}, b: }",
        "a:; aliases:; - x; b: null"),
    Merge(
        "aliases append", "networks: {a: {aliases: [x]}}", "networks: {a: {aliases: [z, x]}}",
        "a:; aliases:; - x; - z"),
    Merge(
        "build: text on mapping", "build: {context: /a, target: t}", "build: /b",
        "build:; context: /b; dockerfile: Dockerfile; target: t"),
    Merge(
        "build: mapping on text", "build: /a", "build: {args: [X=1]}",
        "build:; context: /a; dockerfile: Dockerfile; args:; X: \"1\""),
    Merge(
        "build.args", "build: {context: /a, args: {X: 1, Z: 2}}", "build: {args: [Z=3]}",
        "build:; context: /a; dockerfile: Dockerfile; args:; X: \"1\"; Z: \"3\""),
    Merge(
        "build.additional_contexts", "build: {context: /a, additional_contexts: {x: /x}}",
        "build: {additional_contexts: [\"x=/y\", \"z=/z\"]}",
        "build:; context: /a; dockerfile: Dockerfile; additional_contexts:; x: /y; z: /z"),
    Merge(
        "volumes by target, in place", "volumes: [\"/a:/x\", \"v:/y\"]", "volumes: [\"/b:/x:ro\"]",
        "volumes:; - type: bind; source: /b; target: /x; read_only: true; bind: {}; - type: volume; source: v; target: /y; volume: {}"
    ),
    Merge(
        "ports append, each once", "ports: [\"80:80\"]", "ports: [\"80:80\", \"81:80\"]",
        "ports:; - mode: ingress; target: 80; published: \"80\"; protocol: tcp; - mode: ingress; target: 80; published: \"81\"; protocol: tcp"
    ),
    Merge(
        "ports: short and long are the same", "ports: [\"80:80\"]",
        "ports: [{target: 80, published: 80, name: web}]",
        "ports:; - name: web; mode: ingress; target: 80; published: \"80\"; protocol: tcp"),
    Merge(
        "secrets by target", "secrets: [s]", "secrets: [{source: t, target: s, mode: 0400}]",
        "secrets:; - source: t; target: /run/secrets/s; mode: \"0400\""),
    Merge(
        "configs by target", "configs: [c]", "configs: [{source: c, target: /c, uid: 5}]",
        "configs:; - source: c; target: /c; uid: \"5\""),
    Merge(
        "a limit is replaced whole", "ulimits: {nofile: {soft: 1, hard: 2}, core: 0}", "ulimits: {nofile: 9}",
        "ulimits:; core: 0; nofile: 9"),
    Merge(
        "deploy recurses", "deploy: {replicas: 2, resources: {limits: {cpus: 1}}}",
        "deploy: {resources: {limits: {memory: 1m}}}",
        "deploy:; replicas: 2; resources:; limits:; cpus: 1; memory: \"1048576\""),
    Merge(
        "an empty section changes nothing", "cap_add: [KILL], labels: {a: b}", "cap_add: , labels: ",
        "cap_add:; - KILL; labels:; a: b"),
    Merge("!reset removes", "ports: [\"80:80\"], user: a", "ports: !reset [], user: !reset null", ""),
    Merge(
        "!reset removes an element", "environment: {A: 1, B: 2}", "environment: {A: !reset null}",
        "environment:; B: \"2\""),
    Merge(
        "!override replaces", "ports: [\"80:80\"]", "ports: !override [\"81:81\"]",
        "ports:; - mode: ingress; target: 81; published: \"81\"; protocol: tcp"),
    Merge(
        "!override of a mapping", "environment: {A: 1}", "environment: !override {B: 2}",
        "environment:; B: \"2\""),
    Merge("!reset where nothing is", "user: a", "hostname: !reset x", "user: a"),
]

@Test("documents of one file are merged in order")
func documents() throws {
    let project = try load([
        "compose.yaml": "services: {web: {image: a, user: b}}\n---\nservices: {web: {image: c}}\n"
    ]).project
    #expect(project.services["web"]?.image == "c")
    #expect(project.services["web"]?.user == "b")
}

@Test("ipam.config is merged by subnet, top-level names by key")
func networksMerge() throws {
    let project = try load([
        "compose.yaml": """
        services: {web: {image: a, networks: [n]}}
        networks: {n: {ipam: {config: [{subnet: 10.9.0.0/24}]}, labels: [a=b]}}
        """,
        "compose.override.yaml": """
        networks: {n: {ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.9}]}, labels: {c: d}}}
        """,
    ]).project
    #expect(project.networks["n"]?.ipam.map(\.gateway) == ["10.9.0.9"])
    #expect(project.networks["n"]?.labels == ["a": "b", "c": "d"])
}

@Test("anchors and merge keys work across services, relative paths start at the first file's directory")
func anchors() throws {
    let project = try load(
        [
            "dir/a.yaml": """
            x-base: &base {image: a, environment: &env {A: 1}}
            x-more: &more {user: u}
            services:
              one: {<<: *base, build: .}
              two: {<<: [*base, *more], image: b, environment: {<<: *env, B: 2}}
            """,
            "other/b.yaml": "services: {one: {volumes: [\"./d:/d\"]}}",
        ]
    ) { $0.files = ["dir/a.yaml", "other/b.yaml"] }.project
    #expect(project.services["two"]?.image == "b")
    #expect(project.services["two"]?.user == "u")
    #expect(project.services["two"]?.environment == ["A": "1", "B": "2"])
    #expect(project.services["one"]?.build?.context == "/work/demo/dir")
    #expect(
        project.services["one"]?.volumes.map(\.source)
            == [.bind(path: "/work/demo/dir/d", createHostPath: true, propagation: nil)])
}

@Test("forms that cannot be merged are told with both places")
func cannotMerge() {
    #expect(
        complaint([
            "compose.yaml": yaml("healthcheck: {test: a}"),
            "compose.override.yaml": "services:\n  web:\n    healthcheck: [a]\n",
        ]) == """
            compose.override.yaml:3:18: error: `services.web.healthcheck` cannot be merged: it is a list here and a mapping in compose.yaml:4
              3 |     healthcheck: [a]
                |                  ^
              try:   use the same form, or `!override` to replace it
            """)
}
