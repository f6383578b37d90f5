// SPDX-License-Identifier: Apache-2.0
//
// `--dry-run` where a command would bring images in: what it would do is told, and the state directories are afterwards
// what they were, down to each file's time.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite(
        "dry runs",
        .enabled(
            if: LocalRegistry.isThere || Host.inCI, "needs docker-registry, skopeo, openssl, apache2-utils"))
    struct DryRuns {
        @Test("archives are looked into, registries asked, and nothing is written")
        func images() throws {
            try Stage.play("one") { stage in
                let registry = try LocalRegistry(stage)
                try registry.put("bb:1", as: "app:1")
                try stage.build("FROM bb:1\nVOLUME /data\nRUN echo new >/new\n", as: "new:1")
                try stage.covey("image", "save", "-o", "new.tar", "new:1")
                try Host.run(["gzip", "-k", "\(stage.files)/new.tar"]).orThrow()
                try stage.covey("image", "rm", "new:1")
                let state = ["\(stage.directory)/root", "\(stage.directory)/run"]
                /// What is there, with its inode, size and times of contents and of changes.
                func listing() throws -> String {
                    try Host.run(
                        ["find"] + state + ["!", "-name", "engine.log", "-printf", "%p %i %s %T@ %C@\n"]
                    ).orThrow().output
                }
                func rehearse(_ words: [String], _ said: [String], code: Int32 = 0) throws {
                    let before = try listing()
                    let outcome = try stage.start(words + ["--dry-run"]).wait()
                    try stage.require(outcome.code == code, "\(outcome)")
                    for text in said {
                        try stage.require(
                            (outcome.output + outcome.errors).contains(text), "\(text): \(outcome)")
                    }
                    let after = try listing()
                    try stage.require(before == after, "\(words) changed:\n\(before)\nto\n\(after)")
                }
                func file(_ image: String, _ more: String = "") throws {
                    try stage.write(
                        "compose.yaml",
                        "services: {a: {image: '\(image)', command: [sleep, '1000'], init: true\(more)}}\n")
                }
                for archive in ["docker-archive:new.tar", "oci-archive:new.tar.gz"] {
                    try file(archive)
                    try rehearse(["up"], ["new.tar", ": would be imported", "create container"])
                }
                try file("bb:1", ", volumes: [{type: image, source: 'docker-archive:new.tar', target: /m}]")
                try rehearse(["create"], ["new.tar: would be imported"])
                try file("docker-archive:none.tar")
                try rehearse(["up"], ["none.tar", "ENOENT"], code: 1)

                let name = "\(registry.host)/app:1"
                try file(name, ", pull_policy: always")
                try rehearse(["up"], ["image \(name): would be pulled, sha256:"])
                try stage.covey("up", "-d")
                try rehearse(["up"], ["nothing to do"])
                try stage.covey("image", "load", "-i", "new.tar")
                try registry.put("new:1", as: "app:1")
                let moved = "image \(name): would be pulled, \(try registry.digest("app:1"))"
                try rehearse(["up"], [moved, "create container"])
                try file(name)
                try rehearse(["up"], ["nothing to do"])
                try rehearse(["up", "--pull", "always"], [moved])
                try stage.covey("down")

                // A record that the store would make anew from its index.
                try Host.run(["sh", "-c", "rm \(stage.directory)/root/images/resolved/*"]).orThrow()
                try rehearse(["up"], ["create container"])
                try rehearse(["config", "-o", "out.yaml"], ["would write \(stage.files)/out.yaml"])
                try stage.require(!exists("\(stage.files)/out.yaml"), "config wrote it")
            }
        }
    }
}
