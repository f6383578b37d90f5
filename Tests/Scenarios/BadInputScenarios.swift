// SPDX-License-Identifier: Apache-2.0
//
// Bad input: each is refused with words that say what and where, and nothing is left behind.

import Kernel
import Testing

/// A Compose file that must be refused.
struct BadFile: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var text: String
    /// What the message must contain, all of it.
    var says: [String]
    init(_ name: String, _ text: String, says: [String]) {
        testDescription = name
        self.text = text
        self.says = says
    }
}

private let service = "services:\n  app:\n    image: bb:1\n"

private let badFiles = [
    BadFile("invalid YAML", "services: [", says: ["compose.yaml:"]),
    BadFile("tabs", "services:\n\tapp:\n", says: ["compose.yaml:2", "tab"]),
    BadFile("duplicate keys", service + "    image: other\n", says: ["compose.yaml:4:5", "image"]),
    BadFile(
        "an alias bomb",
        "x-a: &a [1,2,3,4,5,6,7,8,9]\n"
            + (0..<9).map {
                let one = "*\(["a", "b", "c", "d", "e", "f", "g", "h", "i"][$0])"
                return "x-\($0): &\(["b", "c", "d", "e", "f", "g", "h", "i", "j"][$0]) "
                    + "[\(Array(repeating: one, count: 9).joined(separator: ","))]\n"
            }.joined() + service,
        says: ["compose.yaml"]),
    BadFile(
        "10,000-deep nesting",
        "x-deep: " + String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000) + "\n"
            + service,
        says: ["compose.yaml:1"]),
    BadFile(
        "a cycle in depends_on",
        "services:\n  a: {image: bb:1, depends_on: [b]}\n  b: {image: bb:1, depends_on: [a]}\n",
        says: ["a", "b"]),
    BadFile(
        "an unknown attribute", service + "    imagee: x\n", says: ["compose.yaml:4:5", "imagee", "image"]),
    BadFile(
        "an attribute of Compose's that is not honoured", service + "    runtime: runc\n",
        says: ["compose.yaml:4:5", "runtime"]),
    BadFile(
        "a missing image", "services:\n  app: {image: no-such-image:1, pull_policy: never}\n",
        says: ["no-such-image:1", "import"]),
    BadFile(
        "an image nobody can be asked for", "services:\n  app: {image: no-such-image:1}\n",
        says: ["compose.yaml:2:9", "no-such-image:1", "import"]),
    BadFile(
        "a bad subnet", service + "networks:\n  default: {ipam: {config: [{subnet: 10.0.0.0/99}]}}\n",
        says: ["compose.yaml:5", "10.0.0.0/99"]),
    BadFile(
        "an unknown signal", service + "    stop_signal: SIGNOTHING\n",
        says: ["compose.yaml:4", "SIGNOTHING"]),
    BadFile("a bad port", service + "    ports: [\"80:80:80\"]\n", says: ["compose.yaml:4", "80:80:80"]),
    BadFile(
        "an undefined volume", service + "    volumes: [\"nowhere:/data\"]\n",
        says: ["compose.yaml:4", "nowhere"]),
    BadFile(
        "an undefined network", service + "    networks: [nowhere]\n", says: ["compose.yaml:4", "nowhere"]),
    BadFile("a missing env_file", service + "    env_file: none.env\n", says: ["none.env"]),
    BadFile("a required variable", service + "    user: \"${WHO:?say who}\"\n", says: ["WHO", "say who"]),
    BadFile(
        "a missing secret file", service + "    secrets: [s]\nsecrets: {s: {file: gone}}\n", says: ["gone"]),
    BadFile(
        "a bind of what is not there",
        service
            + "    command: [sleep, \"9\"]\n    volumes: [{type: bind, source: ./gone, target: /x, bind: {create_host_path: false}}]\n",
        says: ["gone"]),
    BadFile(
        "a program that is not in the image", service + "    command: [/no/such/program]\n",
        says: ["/no/such/program"]),
    BadFile(
        "a user that is not in the image", service + "    command: [sleep, \"9\"]\n    user: nobody-here\n",
        says: ["nobody-here"]),
]

extension Scenarios {
    @Suite("bad input")
    struct BadInput {
        @Test("is refused with where and why, and leaves nothing", arguments: badFiles)
        func refused(file: BadFile) throws {
            try Stage.play("empty") { stage in
                try stage.write("compose.yaml", file.text)
                let before = try stage.census()
                let up = try stage.covey("up", "-d", code: 1, limit: .seconds(30))
                for part in file.says {
                    try stage.require(up.errors.contains(part), "\"\(part)\" is not in:\n\(up)")
                }
                try stage.require(up.errors.contains("error:"), "\(up)")
                // `down` needs a file that loads, or a project name.
                try stage.write("compose.yaml", service)
                try stage.covey("down", "-v", "--timeout", "1")
                try stage.eventually("nothing is left") { try stage.census().more(than: before).isEmpty }
            }
        }

        @Test("bytes that are not UTF-8 are refused by place")
        func notUTF8() throws {
            try Stage.play("empty") { stage in
                try writeFile(
                    "\(stage.files)/compose.yaml", Array(service.utf8) + [0x20, 0x20, 0x23, 0xff, 0xfe, 0x0a])
                let up = try stage.covey("up", "-d", code: 1)
                try stage.require(up.errors.contains("compose.yaml") && up.errors.contains("UTF-8"), "\(up)")
                try stage.write("compose.yaml", service)
            }
        }

        @Test("no Compose file is an error that says which names were looked for")
        func missingFile() throws {
            try Stage.play("empty") { stage in
                let up = try stage.covey("up", "-d", code: 1)
                try stage.require(up.errors.contains("compose.yaml"), "\(up)")
                let named = try stage.covey("-f", "gone.yaml", "up", "-d", code: 1)
                try stage.require(named.errors.contains("gone.yaml"), "\(named)")
                try stage.write("compose.yaml", service)
            }
        }

        @Test(
            "hostile archives are refused and write nothing outside",
            arguments: ["climbing", "absolute", "truncated"])
        func archives(kind: String) throws {
            try Stage.play("one") { stage in
                let line: String
                switch kind {
                case "climbing":
                    line = "mkdir -p d/e && echo x > d/f && cd d/e && tar -cPf ../../a.tar ../f"
                case "absolute":
                    line =
                        "ln -s / link && mkdir r && mv link r/ && tar -cf a.tar -C r link && mkdir -p q/link"
                        + " && echo x > q/link/covey-escaped && tar -rf a.tar -C q link/covey-escaped"
                default:
                    line =
                        "head -c 100000 /dev/urandom > f && tar -czf whole f && head -c 50000 whole > a.tar"
                }
                try stage.inHost(["sh", "-ec", line]).orThrow()
                try stage.write("Dockerfile", "FROM scratch\nADD a.tar /in/\n")
                try stage.write("compose.yaml", "services:\n  app: {build: ., command: [x]}\n")
                let build = try stage.attempt("build")
                try stage.require(!exists("/covey-escaped"), "it wrote outside")
                // A link that leaves is followed inside the image or refused; the others are no archives to take.
                if kind != "absolute" {
                    try stage.require(build.code == 1 && build.errors.contains("a.tar"), "\(build)")
                }
            }
        }

        @Test("a RUN step makes device nodes and opens none that a service may not; its cgroup goes with it")
        func devicesOfSteps() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1
                    RUN mknod /null c 1 3 && echo x >/null && mknod /disk b 7 0 && mknod /kmsg c 1 11
                    RUN ! dd if=/kmsg of=/tmp/k bs=1 count=1 && ! dd if=/disk of=/tmp/d bs=1 count=1
                    RUN sleep 1000 & cat /proc/self/cgroup >/groups

                    """)
                try stage.write(
                    "compose.yaml", "services:\n  app: {build: ., init: true, command: [sleep, \"1000\"]}\n")
                try stage.covey("build")
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.exec("app", "cat /groups").contains("/covey/build."), "no cgroup of its own")
                try stage.exec("app", "test -c /null && test -b /disk && ! dd if=/kmsg of=/k bs=1 count=1")
                let left = tree("/sys/fs/cgroup", depth: 3).filter { $0.contains("/covey/build.") }
                try stage.require(left.isEmpty, "left: \(left)")
            }
        }

        @Test("an up that is refused before anything was made leaves nothing, no keeper either")
        func refusedUp() throws {
            try Stage.play("one") { stage in
                let before = try stage.census()
                try stage.write(
                    "compose.yaml",
                    service
                        + "    command: [x]\n    volumes: [\"data:/data\"]\nvolumes: {data: {external: true, name: absent}}\n"
                )
                let up = try stage.covey("up", "-d", code: 1)
                try stage.require(up.errors.contains("absent"), "\(up)")
                let left = try stage.census().more(than: before)
                try stage.require(left.isEmpty, "left behind: \(left)")
            }
        }
    }
}
