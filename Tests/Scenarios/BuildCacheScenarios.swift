// SPDX-License-Identifier: Apache-2.0
//
// Build caches beside the store: directories and Debian's docker-registry; and the flags of `build` that concern
// registries and limits.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("build caches", .enabled(if: LocalRegistry.isThere || Host.inCI, "needs docker-registry, skopeo"))
    struct BuildCaches {
        private static let dockerfile = """
            FROM bb:1 AS made
            COPY source /source
            RUN mkdir /o && tr a-z A-Z </source >/o/loud && echo ran >&2
            FROM bb:1
            RUN echo first >/first && rm /source 2>/dev/null; true
            RUN true
            COPY --from=made /o/loud /loud
            COPY --link source /linked
            RUN --mount=type=bind,from=made,source=/o,target=/m cat /m/loud /loud >/both
            CMD ["sleep", "1000"]

            """

        /// The steps of a build: how many were done, how many known.
        private func steps(_ outcome: Outcome) -> (done: Int, cached: Int) {
            let lines = outcome.errors.split(separator: "\n") + outcome.output.split(separator: "\n")
            // A base is told as done, whoever knew it.
            let bases = lines.count { $0.contains("] FROM ") }
            return (lines.count { $0.contains("] done ") } - bases, lines.count { $0.hasSuffix("] cached") })
        }

        @Test(
            "a cache in a registry or a directory builds everything in an empty store, and the image is the same"
        )
        func registry() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage)
                try stage.write("source", "hello\n")
                try stage.write("Dockerfile", Self.dockerfile)
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app:
                        build:
                          context: .
                          cache_from: ["\(registry.host)/cache:1", "type=local,src=kept"]
                          cache_to: ["type=registry,ref=\(registry.host)/cache:1,mode=max", "type=local,dest=kept"]
                        init: true

                    """)
                let first = try stage.covey("build")
                try stage.require(steps(first).cached == 0, "\(first)")
                try stage.require(first.errors.contains("not there yet"), "\(first)")
                try stage.covey("up", "-d")
                let both = try stage.exec("app", "cat /both /linked /first")
                try stage.require(both == "HELLO\nHELLO\nhello\nfirst", both)
                let image = try stage.covey("image", "inspect", "\(stage.project)-app").output
                try stage.covey("down")
                // Another store, as another machine has one.
                func empty(_ number: Int) throws -> [String] {
                    let root = "\(stage.directory)/store-\(number)"
                    try ensureDirectory(root)
                    let variables = ["COVEY_ROOT=\(root)"]
                    try stage.covey(
                        "image", "import", "dir:\(try Host.rootfs.get())", "bb:1", variables: variables)
                    return variables
                }
                let other = try empty(1)
                // `made` is in the registry's cache; its layers are not needed for anything.
                let second = try stage.attempt("build", variables: other)
                try stage.require(second.code == 0 && steps(second).done == 0, "\(second)")
                let again = try stage.covey("image", "inspect", "\(stage.project)-app", variables: other)
                try stage.require(again.output == image, "\(again.output) is not \(image)")
                try stage.covey("up", "-d", variables: other)
                try stage.require(
                    try stage.covey("exec", "app", "cat", "/both", variables: other).text == "HELLO\nHELLO",
                    "other files")
                try stage.covey("down", variables: other)
                // A step that changed is run on layers that come from the cache, those of its stage too.
                let third = try empty(2)
                try stage.edit("cat /m/loud /loud", "cat /m/loud /loud /linked", in: "Dockerfile")
                let changed = try stage.attempt("build", variables: third)
                try stage.require(changed.code == 0 && steps(changed).done == 1, "\(changed)")
                // The image's own steps are all that the other cache has: `made` is made again, and the rest known.
                try stage.write(
                    "compose.yaml",
                    "services:\n  app: {build: {context: ., cache_from: [\"type=local,src=kept\"]}}\n")
                let fourth = try empty(3)
                let least = try stage.attempt("build", variables: fourth)
                try stage.require(least.code == 0 && steps(least) == (2, 5), "\(least) \(steps(least))")
                // Others read what is kept as they read any layout, and a registry keeps it as anything.
                try registry.skopeo(["inspect", "--raw", "oci:kept:latest"])
                try registry.skopeo([
                    "inspect", "--raw", "--tls-verify=false", "docker://\(registry.host)/cache:1",
                ])
            }
        }

        @Test("what can't be used of a cache is told, and nothing of it is believed")
        func refused() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage)
                try stage.write("Dockerfile", "FROM bb:1\nRUN echo x >/x\n")
                try stage.write("compose.yaml", "services:\n  app: {build: .}\n")
                for (flag, text, says) in [
                    ("--cache-to", "type=gha", "the type `gha` is not supported"),
                    ("--cache-to", "type=inline", "the type `inline` is not supported"),
                    ("--cache-from", "type=s3,region=x", "the type `s3` is not supported"),
                    ("--cache-to", "type=local", "it has no `dest`"),
                    ("--cache-to", "type=registry,ref=a,mode=all", "`all` is no mode"),
                    ("--cache-from", "type=local,src=x,token=y", "`token` is not supported"),
                    ("--cache-to", "type=registry,ref=\(registry.host)/UPPER", "is no repository"),
                    ("--cache-to", "type=registry,ref=127.0.0.1:1/none", "cannot write the build cache"),
                ] {
                    let outcome = try stage.attempt("build", flag, text, variables: ["COVEY_STALL_SECONDS=5"])
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains(says), "\(text): \(outcome)")
                }
                // A build does not fail for want of a cache to read, nor for one that may be missed.
                try registry.put("bb:1", as: "image:1")
                let deaf = try stage.attempt(
                    "build", "--no-cache", "--cache-from", "127.0.0.1:1/none", "--cache-from",
                    "\(registry.host)/image:1",
                    "--cache-from", "\(registry.host)/absent:1", "--cache-from", "type=local,src=Dockerfile",
                    "--cache-to", "type=registry,ref=127.0.0.1:1/none,ignore-error=true")
                try stage.require(
                    deaf.code == 0 && deaf.errors.contains("not a cache of Covey's")
                        && deaf.errors.contains("is not there yet")
                        && deaf.errors.contains("was not written"),
                    "\(deaf)")
                // Bytes that are not what the documents say.
                try stage.covey("build", "--cache-to", "type=local,dest=kept")
                try stage.inHost([
                    "sh", "-ec",
                    "for f in kept/blobs/sha256/*; do tar -tf $f >/dev/null 2>&1 && printf y | dd of=$f bs=1 seek=600 conv=notrunc || true; done",
                ]).orThrow()
                let root = "\(stage.directory)/other"
                try ensureDirectory(root)
                let other = ["COVEY_ROOT=\(root)"]
                try stage.covey("image", "import", "dir:\(try Host.rootfs.get())", "bb:1", variables: other)
                let forged = try stage.attempt(
                    "build", "--cache-from", "type=local,src=kept", variables: other)
                try stage.require(forged.code == 1 && forged.errors.contains("sha256:"), "\(forged)")
                // Sizes that are not those of the blobs: a layer's ends the build, a document's is a cache less.
                try stage.inHost([
                    "sh", "-ec",
                    "for f in kept/blobs/sha256/*; do tar -tf $f >/dev/null 2>&1 && printf y >>$f || true; done",
                ]).orThrow()
                let longer = try stage.attempt(
                    "build", "--cache-from", "type=local,src=kept", variables: other)
                try stage.require(
                    longer.code == 1 && longer.errors.contains("bytes, but has "), "\(longer)")
                try stage.require(
                    try stage.covey("image", "ls", variables: other).output.contains("-app") == false,
                    "an image of forged layers")
                try stage.inHost(["sed", "-i", "s/\"size\": *[0-9]*/\"size\":7/", "kept/index.json"])
                    .orThrow()
                let lied = try stage.attempt(
                    "build", "--cache-from", "type=local,src=kept", variables: other)
                try stage.require(
                    lied.code == 0 && lied.errors.contains("its manifest shall be")
                        && lied.errors.contains("of 7 bytes, but is"), "\(lied)")
            }
        }

        @Test(
            "--pull asks again, --push sends, a step's memory and processes are bounded, and flags of other builders are refused by name"
        )
        func flags() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage)
                try registry.put("bb:1", as: "base:1")
                try stage.write("Dockerfile", "FROM \(registry.host)/base:1\nRUN echo one >/one\n")
                try stage.write(
                    "compose.yaml",
                    "services:\n  app: {build: {context: ., tags: ['\(registry.host)/app:other']}, image: '\(registry.host)/app:1'}\n"
                )
                try stage.covey("build", "--push")
                try stage.require(
                    try registry.digest("app:1") == registry.digest("app:other"), "a tag was not pushed")
                // Another image under the base's name.
                try stage.build("FROM bb:1\nRUN echo new >/new\n", as: "new:1")
                try registry.put("new:1", as: "base:1")
                try stage.write("Dockerfile", "FROM \(registry.host)/base:1\nRUN cat /new\n")
                let old = try stage.attempt("build")
                try stage.require(old.code == 1, "the base was asked for unasked: \(old)")
                try stage.covey("build", "--pull")
                try registry.put("bb:1", as: "base:1")
                try stage.write("Dockerfile", "FROM \(registry.host)/base:1\nRUN ! test -e /new\n")
                try stage.edit("context: .", "context: ., pull: true")
                try stage.covey("build")
                // Memory, and nothing of a step's cgroup afterwards.
                try stage.write(
                    "Dockerfile",
                    "FROM bb:1\nRUN dd if=/dev/zero of=/dev/null bs=64M count=1\n")
                try stage.edit(", pull: true", "")
                let small = try stage.attempt("build", "--memory", "16m")
                try stage.require(small.code == 1 && small.errors.contains("--memory"), "\(small)")
                try stage.covey("build", "--memory", "256m")
                // So are its processes, by a limit that is there unasked. The shell ends when it gets no more.
                try stage.write("Dockerfile", "FROM bb:1\nRUN sleep 1000\n")
                let sleeping = try stage.start(["build"])
                let group = "covey/build.\(sleeping.pid).1/ctr-step/pids.max"
                try stage.eventually("a step that may have 4096 processes, or more with many processors") {
                    let limit = contents("/sys/fs/cgroup/pids/\(group)") + contents("/sys/fs/cgroup/\(group)")
                    return Int(limit.filter(\.isNumber)).map { $0 >= 4096 } ?? false
                }
                sleeping.signal(SIGINT)
                _ = try sleeping.wait()
                try stage.write("Dockerfile", "FROM bb:1\nRUN while :; do sleep 1000 & done\n")
                let bomb = try stage.attempt("build", variables: ["COVEY_STEP_PROCESSES=40"])
                try stage.require(
                    bomb.code == 1 && bomb.errors.contains("refused more than 40 processes"), "\(bomb)")
                let none = try stage.attempt("build", variables: ["COVEY_STEP_PROCESSES=none"])
                try stage.require(none.code == 1 && none.errors.contains("try: "), "\(none)")
                for (arguments, says) in [
                    (["--builder", "x"], "there is one builder"),
                    (["--provenance", "true"], "no attestations"),
                    (["--sbom", "true"], "no attestations"), (["--memory", "1k"], "6m is the least"),
                    (["--memory", "lots"], "it is no size"),
                ] {
                    let outcome = try stage.attempt("build", arguments[0], arguments[1])
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains(says), "\(arguments): \(outcome)")
                }
                try stage.write("Dockerfile", "FROM bb:1\n")
                try stage.covey("build", "--sbom", "false", "--provenance", "false")
            }
        }

        @Test("a bind mount's selection is none of COPY's, and flags are no sources")
        func selections() throws {
            try Stage.play("one") { stage in
                for content in ["one", "two"] {
                    try stage.build(
                        """
                        FROM bb:1 AS s
                        RUN mkdir -p /mount /parents /q && echo \(content) | tee /mount/f /parents/f && \
                            echo same >/q/g && touch -d 2001-01-01 /q/g /q
                        FROM bb:1
                        RUN --mount=type=bind,from=s,source=q,target=/x cat /x/g
                        COPY --from=s mount q /dst/
                        COPY --parents --from=s q /with/
                        COPY --from=s q parents /without/
                        RUN grep -q \(content) /dst/f && grep -q \(content) /without/f
                        """, as: "selected:1")
                }
            }
        }

        @Test("a pattern may match nothing; what is compiled in a step's tmpfs is run there")
        func idioms() throws {
            try Stage.play("one") { stage in
                try stage.write("package.json", "{}")
                try stage.build(
                    """
                    FROM bb:1
                    WORKDIR /app
                    COPY package.json yarn.lock* package-lock.json* ./
                    COPY nosuch* /none/
                    ADD nosuch* /none/
                    RUN test "$(ls /app)" = package.json
                    RUN --mount=type=tmpfs,target=/tt cp /bin/busybox /tt/true && /tt/true
                    """, as: "idioms:1")
                let missing = try stage.attemptBuild("FROM bb:1\nCOPY package.json yarn.lock ./\n")
                try stage.require(
                    missing.code == 1 && missing.errors.contains("finds no `yarn.lock`"), "\(missing)")
            }
        }
    }
}
