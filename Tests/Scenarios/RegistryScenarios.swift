// SPDX-License-Identifier: Apache-2.0
//
// Registries: images that come from one and go to one, Debian's docker-registry on the scenario's own loopback.

import Kernel
import Testing

extension Scenarios {
    @Suite(
        "registries",
        .enabled(
            if: LocalRegistry.isThere || Host.inCI, "needs docker-registry, skopeo, openssl, apache2-utils"))
    struct Registries {
        @Test(
            "up fetches what is not here; pull_policy and --pull say when again; the digest is what others see"
        )
        func pulling() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage)
                try registry.put("bb:1", as: "app:1")
                func file(_ policy: String) throws {
                    try stage.write(
                        "compose.yaml",
                        "services: {web: {image: \"\(registry.host)/app:1\", command: [sleep, '1000'], init: true\(policy)}}\n"
                    )
                }
                try file(", pull_policy: never")
                let never = try stage.covey("up", "-d", code: 1)
                try stage.require(never.errors.contains("is not in the store"), "\(never)")
                try file("")
                let plan = try stage.covey("plan", code: 1)
                try stage.require(
                    plan.errors.contains("is not in the store"), "plan fetches nothing: \(plan)")
                try stage.covey("up", "-d")
                let first = try registry.digest("app:1")
                try stage.require(
                    try stage.covey("image", "pull", "\(registry.host)/app:1").text == first, "other digest")
                let before = try stage.processes()

                // Another image under the same name.
                try stage.write("Dockerfile", "FROM bb:1\nRUN echo new >/new\n")
                try stage.write("other.yaml", "services: {x: {build: ., image: 'new:1'}}\n")
                try stage.covey("-f", "other.yaml", "build")
                try registry.put("new:1", as: "app:1")
                for policy in [
                    "", ", pull_policy: every_1h", ", pull_policy: weekly",
                    ", pull_policy: refresh, pull_refresh_after: 1d",
                ] {
                    try file(policy)
                    try stage.covey("up", "-d")
                    try stage.require(try stage.processes() == before, "it was made anew with\(policy)")
                }
                try stage.covey("up", "-d", "--pull", "always", "--quiet-pull")
                try stage.require(try stage.exec("web", "cat /new") == "new", "the new image does not run")
                // By digest the first one is still there.
                let pinned = "\(registry.host)/app@\(first)"
                try stage.covey("image", "pull", pinned)
                try stage.require(try stage.covey("image", "ls").output.contains(pinned), "not listed")
                let absent = try stage.covey("image", "pull", "\(registry.host)/none:1", code: 1)
                try stage.require(absent.errors.contains("answered 404"), "\(absent)")
                let closed = try stage.covey("image", "pull", "127.0.0.1:1/none:1", code: 1)
                try stage.require(
                    closed.errors.contains("try:") || closed.errors.contains("cause:"), "\(closed)")
                // skopeo finds what we fetched, in our store, as it was.
                try registry.skopeo([
                    "copy", "--dest-tls-verify=false",
                    "oci:\(stage.directory)/root/images:\(registry.host)/app:1",
                    "docker://\(registry.host)/back:1",
                ])
                try stage.require(
                    try registry.digest("back:1") == registry.digest("app:1"), "another digest came back")
            }
        }
    }
}
