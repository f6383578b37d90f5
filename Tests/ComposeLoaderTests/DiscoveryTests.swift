// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeLoader
import ComposeModel
import Testing

private let one = "services: {web: {image: a}}"

@Test(
    "files are found by name, the preferred first, with their override",
    arguments: [
        (["compose.yaml", "compose.yml", "docker-compose.yml"], ["compose.yaml"]),
        (["docker-compose.yaml", "docker-compose.yml"], ["docker-compose.yml"]),
        (["docker-compose.yaml"], ["docker-compose.yaml"]),
        (["compose.yaml", "compose.override.yaml"], ["compose.yaml", "compose.override.yaml"]),
        (["compose.yml", "docker-compose.override.yml"], ["compose.yml", "docker-compose.override.yml"]),
    ])
func discovery(_ present: [String], _ expected: [String]) throws {
    let files = Dictionary(uniqueKeysWithValues: present.map { ($0, one) })
    #expect(try load(files).project.files == expected.map { "/work/demo/" + $0 })
}

@Test("the search climbs; the project is where the file is")
func climbs() throws {
    let project = try load(["compose.yaml": one, ".env": "X=1"]) { $0.workingDirectory = "/work/demo/a/b" }
        .project
    #expect(project.directory == "/work/demo")
    #expect(project.name == "demo")
}

@Test("nothing found, and a file that is missing")
func missing() {
    #expect(
        complaint([:]) == """
            error: no Compose file in /work/demo or above it
              cause: looked for compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml
              try:   name one with -f
            """)
    #expect(
        complaint([:]) { $0.files = ["a.yaml"] } == """
            error: cannot read a.yaml
              cause: no such file
              try:   name a Compose file with -f
            """)
}

@Test("COMPOSE_FILE and its separator, from the environment or .env")
func composeFile() throws {
    let files = [
        "a.yaml": one, "sub/b.yaml": "services: {web: {user: b}}", ".env": "COMPOSE_FILE=a.yaml:sub/b.yaml",
    ]
    let project = try load(files).project
    #expect(project.files == ["/work/demo/a.yaml", "/work/demo/sub/b.yaml"])
    #expect(project.services["web"]?.user == "b")
    let other = try load(files) {
        $0.environment = ["COMPOSE_FILE": "sub/b.yaml,a.yaml", "COMPOSE_PATH_SEPARATOR": ","]
    }.project
    #expect(other.directory == "/work/demo/sub")
}

@Test("the project's name: -p, COMPOSE_PROJECT_NAME, name, the directory")
func names() throws {
    let named = ["compose.yaml": "name: ${N:-from-file}\n" + one]
    #expect(try load(named).project.name == "from-file")
    #expect(try load(named) { $0.environment = ["N": "n"] }.project.name == "n")
    #expect(try load(named) { $0.environment = ["COMPOSE_PROJECT_NAME": "env"] }.project.name == "env")
    #expect(try load(named) { $0.projectName = "flag" }.project.name == "flag")
    #expect(
        try load(["compose.yaml": one]) {
            $0.projectDirectory = "/srv/_My.App 2"
            $0.files = ["compose.yaml"]
        }.project.name == "myapp2")
    #expect(
        complaint(["compose.yaml": one]) { $0.projectName = "Demo" } == """
            error: -p is "Demo"; a project's name has lower-case letters, digits, "-" and "_", and begins with a letter or digit
              try:   did you mean "demo"?
            """)
    #expect(
        complaint(["compose.yaml": one]) {
            $0.projectDirectory = "/"
            $0.files = ["compose.yaml"]
        } == """
            error: the project has no name
              cause: nothing of "" can be in one
              try:   give one with -p or `name:`
            """)
}

@Test("profiles: none is always on, --profile, COMPOSE_PROFILES, *, naming a service")
func profiles() throws {
    let file = """
        services:
          web: {image: a}
          debug: {image: a, profiles: [debug]}
          tools: {image: a, profiles: [tools, debug]}
        """
    func services(_ change: (inout LoadOptions) -> Void = { _ in }) throws -> [String] {
        try load(["compose.yaml": file], change).project.services.keys.sorted()
    }
    #expect(try services() == ["web"])
    #expect(try services { $0.profiles = ["tools"] } == ["tools", "web"])
    #expect(try services { $0.profiles = ["*"] } == ["debug", "tools", "web"])
    #expect(try services { $0.environment = ["COMPOSE_PROFILES": "debug,x"] } == ["debug", "tools", "web"])
    #expect(try services { $0.environment = ["COMPOSE_PROFILES": " x , tools"] } == ["tools", "web"])
    // The variable counts when the command line names none (compose-go, cli/options.go, WithDefaultProfiles).
    let both: (inout LoadOptions) -> Void = {
        $0.environment = ["COMPOSE_PROFILES": "debug"]
        $0.profiles = ["tools"]
    }
    #expect(try services(both) == ["tools", "web"])
    #expect(try services { $0.services = ["debug"] } == ["debug", "tools", "web"])
    #expect(try load(["compose.yaml": file]).project.disabledServices.keys.sorted() == ["debug", "tools"])
    #expect(
        complaint(["compose.yaml": file]) { $0.services = ["wbe"] }
            == "error: no such service: \"wbe\"\n  try:   did you mean \"web\"?")
}

@Test("what no service uses is not made; a dependency that is not required may be off")
func pruned() throws {
    let project = try load([
        "compose.yaml": """
        services:
          web: {image: a, networks: [n], depends_on: {db: {condition: service_started, required: false}}}
          db: {image: a, profiles: [x], volumes: ["v:/v"]}
        networks: {n: , unused: }
        volumes: {v: }
        """
    ]).project
    #expect(project.networks.keys.sorted() == ["n"])
    #expect(project.volumes.isEmpty)
    #expect(project.services["web"]?.dependsOn.isEmpty == true)
}

@Test("a directory called .env has no variables, unless it is named")
func environmentDirectory() throws {
    let files = ["compose.yaml": "include: [sub/a.yaml]\n" + one, "sub/a.yaml": "services: {a: {image: a}}"]
    let project = try load(files, directories: [".env", "sub/.env"]).project
    #expect(project.services.keys.sorted().contains("a"))
    #expect(throws: Failure.self) {
        try load(files, directories: [".env"]) { $0.envFiles = [".env"] }
    }
}

@Test("a secret from a variable has the value its own file sees")
func environmentSecrets() throws {
    let secrets = "secrets: {s: {environment: TOKEN}}\nconfigs: {c: {environment: NOBODY}}\n"
    let project = try load([
        "compose.yaml":
            "include: [sub/a.yaml]\nservices: {web: {image: w, secrets: [t]}}\nsecrets: {t: {environment: TOKEN}}\n",
        "sub/a.yaml": "services: {a: {image: a, secrets: [s], configs: [c]}}\n" + secrets,
        "sub/.env": "TOKEN=abc",
    ]).project
    #expect(project.secrets["s"]?.content == .environment("TOKEN", value: "abc"))
    #expect(project.secrets["t"]?.content == .environment("TOKEN", value: nil))
    #expect(project.configs["c"]?.content == .environment("NOBODY", value: nil))
    #expect(!renderYAML(project).contains("abc"))
}

@Test("ports of a service on the host's network are told to have no effect")
func hostPorts() throws {
    let loaded = try load(["compose.yaml": yaml("network_mode: host\nports: [\"80:80\"]")])
    #expect(loaded.notes.map(\.doing) == ["`services.web.ports` has no effect"])
    #expect(loaded.notes.first?.location?.description == "compose.yaml:5:5")
}

@Test(
    "ports of a service on internal networks alone are told to have no effect",
    arguments: [
        ("[back]", true), ("[back, other]", true), ("[back, front]", false), ("[back, outer]", false),
    ])
func shutOffPorts(networks: String, isTold: Bool) throws {
    let text = """
        services:
          web: {image: w, ports: ["80:80"], networks: \(networks)}
          quiet: {image: w, networks: [back]}
        networks: {back: {internal: true}, other: {internal: true}, front: {}, outer: {external: true}}
        """
    let loaded = try load(["compose.yaml": text])
    #expect(loaded.notes.map(\.doing) == (isTold ? ["`services.web.ports` has no effect"] : []))
    if isTold { #expect(loaded.notes.first?.location?.description == "compose.yaml:2:19") }
}
