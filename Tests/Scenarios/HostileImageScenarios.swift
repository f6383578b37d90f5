// SPDX-License-Identifier: Apache-2.0
//
// Images that are broken or mean harm, and hosts that lack what it takes: exit code 1, an error in its three parts that
// names the thing, nothing written elsewhere, and the machine as it was.

import Basics
import Glibc
import Kernel
import Testing

/// A layer made by a shell line, and what comes of it.
struct HostileLayer: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// Makes the file `layer`.
    var line: String
    var kind = "tar"
    var isDamaged = false
    /// What the error must contain; empty when the image is taken, with all of it inside.
    var says: [String]
}

private let gzipped = "head -c 300000 /dev/urandom >f && tar -czf whole f"

private let hostileLayers = [
    HostileLayer(
        testDescription: "../ in a path",
        line: "echo x >f && tar -cPf layer --transform 's,^f,../../../../../../covey-escaped,' f",
        says: ["../../../../../../covey-escaped", "`..`"]),
    HostileLayer(
        testDescription: "a hard link to ../",
        line: "echo x >f && ln f g && tar -cPf layer --transform 's,^f,../../../../etc/passwd,' f g",
        says: ["../../../../etc/passwd"]),
    HostileLayer(
        testDescription: "an absolute path",
        line: "echo x >f && tar -cPf layer --transform 's,^f,/covey-escaped,' f", says: []),
    HostileLayer(
        testDescription: "an absolute link and a file through it",
        line: "ln -s / link && tar -cf layer link && mkdir -p q/link && echo x >q/link/covey-escaped"
            + " && tar -rf layer -C q link/covey-escaped", says: []),
    HostileLayer(
        testDescription: "a link through a link, upwards, and a file through both",
        line: "mkdir p && ln -s b p/a && ln -s ../../../../../../.. p/b && tar -cf layer -C p a b"
            + " && mkdir -p q/a && echo x >q/a/covey-escaped && tar -rf layer -C q a/covey-escaped", says: []),
    HostileLayer(
        testDescription: "a truncated gzip stream", line: gzipped + " && head -c 150000 whole >layer",
        kind: "tar+gzip", says: ["truncated"]),
    HostileLayer(
        testDescription: "a truncated archive", line: gzipped + " && gzip -dc whole | head -c 150000 >layer",
        says: ["truncated"]),
    HostileLayer(
        testDescription: "bytes that are not those of the digest",
        line: gzipped + " && gzip -dc whole >layer",
        isDamaged: true, says: ["digest", "sha256:"]),
]

extension Outcome {
    /// error, cause and advice.
    fileprivate var hasThreeParts: Bool {
        code == 1 && errors.contains("error: ") && errors.contains("\n  cause: ")
            && errors.contains("\n  try: ")
    }
}

extension Scenarios {
    @Suite("hostile images and poor hosts")
    struct HostileImages {
        @Test("a layer that means harm is refused, or stays inside of its image", arguments: hostileLayers)
        func layers(hostile: HostileLayer) throws {
            try Stage.play("one") { stage in
                try stage.inHost(["sh", "-ec", hostile.line]).orThrow()
                try ImageLayout(
                    layer: try readFile("\(stage.files)/layer"), kind: hostile.kind,
                    isDamaged: hostile.isDamaged
                ).write(to: "\(stage.files)/image")
                let passwords = contents("/etc/passwd")
                let before = try stage.census()
                let stored = Set(tree("\(stage.directory)/root"))
                for command in [["image", "import", "oci:image", "hostile:1"], ["up", "-d"]] {
                    try stage.write(
                        "compose.yaml", "services:\n  app: {image: \"oci:image\", command: [x]}\n")
                    let outcome = try stage.start(command).wait()
                    try stage.require(!exists("/covey-escaped"), "it wrote outside: \(outcome)")
                    try stage.require(contents("/etc/passwd") == passwords, "it wrote /etc/passwd")
                    if hostile.says.isEmpty {
                        // A container without a program does not start; its image was taken.
                        try stage.require(command[0] == "up" || outcome.succeeded, "\(outcome)")
                        let escaped = tree("\(stage.directory)/root").filter {
                            $0.hasSuffix("/covey-escaped")
                        }
                        try stage.require(
                            escaped.allSatisfy { $0.contains("/fs/") } && !escaped.isEmpty, "\(escaped)")
                        continue
                    }
                    try stage.require(outcome.hasThreeParts, "\(outcome)")
                    let thing = command[0] == "up" ? "oci:image" : "hostile:1"
                    for part in hostile.says + [thing] {
                        try stage.require(outcome.errors.contains(part), "\"\(part)\" is not in:\n\(outcome)")
                    }
                    let left = Set(tree("\(stage.directory)/root")).subtracting(stored)
                    try stage.require(
                        left.allSatisfy {
                            !$0.contains("/layers/") && !$0.contains("/blobs/") && !$0.contains("/.tmp/")
                        }, "left: \(left.sorted())")
                    let more = try stage.census().more(than: before)
                    try stage.require(more.isEmpty, "left behind: \(more)")
                }
                try stage.covey("down", "-v")
            }
        }

        @Test(
            "a disk that fills while an image is unpacked is an error that names it, and all room is free again"
        )
        func diskFull() throws {
            try Stage.play("one") { stage in
                try stage.inHost([
                    "sh", "-ec", "head -c 6000000 /dev/zero >f && tar -cf plain f && gzip -c plain >layer",
                ]).orThrow()
                try ImageLayout(
                    layer: try readFile("\(stage.files)/layer"), kind: "tar+gzip",
                    diffID: Digest(of: try readFile("\(stage.files)/plain"))
                ).write(to: "\(stage.files)/image")
                try stage.write("compose.yaml", "services:\n  app: {image: \"oci:image\", command: [x]}\n")
                try ensureDirectory("\(stage.directory)/small")
                // The blob fits, what it unpacks to does not. Mounted in a namespace of its own: it ends with the shell.
                let script = """
                    mount -t tmpfs -o size=2m covey-scenario "$1" || exit 99
                    shift
                    before=$(df --output=used -k "$0" | tail -1)
                    "$@"
                    code=$?
                    [ $(($(df --output=used -k "$0" | tail -1) - before)) -lt 200 ] || { find "$0" -size +1k; exit 98; }
                    exit $code
                    """
                try stage.inHost([
                    "sh", "-ec",
                    "mkdir b && cp f b/big && printf 'FROM scratch\\nCOPY big /big\\n' >b/Dockerfile",
                ]).orThrow()
                try stage.write("b/compose.yaml", "services:\n  app: {build: ., command: [x]}\n")
                let small = "\(stage.directory)/small"
                let before = try stage.census()
                for command in [
                    ["image", "import", "oci:image", "big:1"], ["up", "-d"],
                    ["-f", "b/compose.yaml", "build"],
                ] {
                    let outcome = try stage.inHost(
                        [
                            "unshare", "--mount", "sh", "-c", script, small, small, Host.covey ?? "covey",
                            "--root", small,
                        ] + command)
                    try stage.require(
                        outcome.hasThreeParts && outcome.errors.contains("ENOSPC"), "\(outcome)")
                    try stage.require(
                        outcome.errors.contains(
                            ["image": "big:1", "up": "oci:image"][command[0]] ?? "Dockerfile"), "\(outcome)")
                    let more = try stage.census().more(than: before)
                    try stage.require(more.isEmpty, "left behind: \(more)")
                }
            }
        }

        @Test(
            "what a host or CI container does not allow is named, and nothing is begun",
            arguments: [
                ("no root rights", ["--reuid", "65534", "--regid", "65534", "--clear-groups"], "root"),
                (
                    "no CAP_SYS_ADMIN", ["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"],
                    "CAP_SYS_ADMIN"
                ),
                (
                    "no CAP_NET_ADMIN", ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"],
                    "CAP_NET_ADMIN"
                ),
            ])
        func rights(name: String, flags: [String], says: String) throws {
            try Stage.play("one") { stage in
                try stage.inHost(["cp", Host.covey ?? "covey", "\(stage.directory)/covey"]).orThrow()
                try stage.inHost(["chmod", "-R", "a+rX", stage.directory]).orThrow()
                let before = try stage.census()
                let stored = Set(tree("\(stage.directory)/root"))
                let outcome = try stage.inHost(
                    ["setpriv"] + flags + ["\(stage.directory)/covey", "up", "-d"])
                try stage.require(outcome.hasThreeParts && outcome.errors.contains(says), "\(outcome)")
                let more = try stage.census().more(than: before)
                try stage.require(more.isEmpty, "left behind: \(more)")
                let left = Set(tree("\(stage.directory)/root")).subtracting(stored)
                try stage.require(left.isEmpty, "left: \(left.sorted())")
            }
        }
    }
}
