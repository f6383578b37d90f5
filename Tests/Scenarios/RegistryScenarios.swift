// SPDX-License-Identifier: Apache-2.0
//
// Registries: images that come from one and go to one, Debian's docker-registry on the scenario's own loopback.

import Glibc
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
                let first = try registry.digest("app:1")
                let plan = try stage.covey("plan", code: 2)
                try stage.require(
                    plan.errors.contains("\(registry.host)/app:1: would be pulled, \(first); 1 layer")
                        && plan.output.contains("web"), "what a pull would bring is not told: \(plan)")
                try stage.require(
                    try !stage.covey("image", "ls").output.contains("/app:1"), "plan fetched it")
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.covey("image", "pull", "\(registry.host)/app:1").text == first, "other digest")
                let before = try stage.processes()

                // Another image under the same name.
                try stage.build("FROM bb:1\nRUN echo new >/new\n", as: "new:1")
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
                // Images of steps and of mounts are fetched as services' own are.
                try registry.put("bb:1", as: "step:1")
                try file(
                    ", pre_start: [{image: '\(registry.host)/step:1', command: ['true']}], "
                        + "volumes: [{type: image, source: '\(registry.host)/files:1', target: /m}]")
                let steps = try stage.covey("plan", code: 2).errors
                try stage.require(
                    steps.contains("/step:1: would be pulled, sha256:")
                        && steps.contains("/files:1: would be pulled; "), steps)
                let lacking = try stage.covey("up", "-d", code: 1)
                try stage.require(lacking.errors.contains("/files:1"), "\(lacking)")
                try registry.put("bb:1", as: "files:1")
                try stage.covey("up", "-d")
                try stage.exec("web", "test -e /m/data/seed")
                try file("")
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

        @Test(
            "an image goes to a registry with a CA and users of its own, and comes back by digest and runs; logout ends that"
        )
        func pushing() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage, secure: true, user: "me:secret")
                let image = "\(registry.host)/team/app:1"
                try stage.write(
                    "Dockerfile", "FROM bb:1\nRUN echo built >/built\nCMD [\"sleep\", \"1000\"]\n")
                try stage.write(
                    "compose.yaml", "services: {web: {build: ., image: '\(image)', init: true}}\n")
                try stage.covey("build")
                let trust = try registry.trust()
                let stranger = try stage.attempt("push", variables: ["COVEY_CERTS_D=/nowhere"])
                try stage.require(
                    stranger.code == 1 && stranger.errors.contains("certs.d"),
                    "a CA nobody trusts: \(stranger)")
                let nobody = try stage.attempt("push", variables: trust)
                try stage.require(nobody.code == 1 && nobody.errors.contains("covey login"), "\(nobody)")
                try stage.write("password", "wrong\n")
                let wrong = try stage.attempt(
                    "login", registry.host, "-u", "me", "--password-stdin", variables: trust)
                try stage.require(wrong.code == 1, "without a password it can't: \(wrong)")
                try stage.covey(
                    "login", registry.host, "-u", "me", "--password-stdin", code: 1, variables: trust,
                    input: "\(stage.files)/password")
                try stage.require(
                    !exists("\(stage.directory)/.docker/config.json"), "a wrong credential was kept")
                try stage.write("password", "secret\n")
                try stage.covey(
                    "login", registry.host, "-u", "me", "--password-stdin", variables: trust,
                    input: "\(stage.files)/password")
                try stage.covey("push", variables: trust)
                let digest = try registry.digest("team/app:1")
                let local = try stage.covey("image", "inspect", image).output
                try stage.require(local.contains(digest), "skopeo sees \(digest), we have \(local)")

                // Removed, and back by its digest.
                try stage.covey("image", "rm", image)
                let pruned = try stage.covey("image", "prune")
                try stage.require(pruned.output.contains("the build cache holds"), "\(pruned)")
                let freed = try stage.covey("image", "prune", "-a", "--build-cache")
                try stage.require(!freed.output.contains("the build cache holds"), "\(freed)")
                try stage.write(
                    "compose.yaml",
                    "services: {web: {image: '\(registry.host)/team/app@\(digest)', init: true}}\n")
                try stage.covey("up", "-d", variables: trust)
                try stage.require(try stage.exec("web", "cat /built") == "built", "another image runs")
                try stage.require(try stage.covey("system", "df").output.contains("Images"), "no usage")

                // Behind a proxy the answers are the registry's and not the proxy's, which come first.
                let proxy = try ConnectProxy(stage)
                let behind = trust + [proxy.variable]
                try stage.covey("image", "pull", image, variables: behind)
                try stage.require(
                    try stage.covey("image", "inspect", image).output.contains(digest), "another image came")
                let absent = try stage.covey(
                    "image", "pull", "\(registry.host)/team/none:1", code: 1, variables: behind)
                try stage.require(absent.errors.contains("answered 404"), "\(absent)")
                try stage.require(proxy.asked(registry.host) > 1, "not through the proxy")
                let nowhere = try stage.covey(
                    "image", "pull", "127.0.0.1:1/none:1", code: 1, variables: behind)
                try stage.require(
                    nowhere.errors.contains("502") && proxy.asked("127.0.0.1:1") > 0, "\(nowhere)")
                try stage.covey("logout", registry.host)
                let after = try stage.attempt("image", "pull", image, variables: trust)
                try stage.require(after.code == 1 && after.errors.contains("401"), "\(after)")
            }
        }

        @Test("a lock holds images still until it is written again; --locked refuses what it does not have")
        func lock() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage)
                try registry.put("bb:1", as: "app:1")
                try stage.write(
                    "compose.yaml",
                    "services: {web: {image: '\(registry.host)/app:1', command: [sleep, '1000'], init: true}}\n"
                )
                let refused = try stage.covey("up", "-d", "--locked", code: 1)
                try stage.require(refused.errors.contains("covey lock"), "\(refused)")
                try stage.covey("lock")
                let first = try registry.digest("app:1")
                try stage.require(contents("\(stage.files)/compose.lock").contains(first), "not in the lock")
                try stage.covey("up", "-d", "--locked")
                let before = try stage.processes()
                try stage.build("FROM bb:1\nRUN echo new >/new\n", as: "new:1")
                try registry.put("new:1", as: "app:1")
                try stage.covey("pull")
                try stage.covey("up", "-d", "--pull", "always")
                try stage.require(try stage.processes() == before, "the locked image was left")
                try stage.require(
                    try stage.covey("plan", "--pull").errors.isEmpty, "a pull would change something")
                let second = try stage.covey("lock").output
                try stage.require(second.contains(first), "lock does not say what changes: \(second)")
                let plan = try stage.covey("plan", code: 2)
                try stage.require(
                    plan.errors.contains("would be pulled as locked, \(try registry.digest("app:1"))"),
                    "\(plan)")
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.exec("web", "cat /new") == "new", "the lock's new image does not run")
                try stage.write("compose.lock", "{\"version\": 9}")
                let newer = try stage.covey("up", "-d", code: 1)
                try stage.require(newer.errors.contains("compose.lock"), "\(newer)")
            }
        }

        @Test("archives go both ways between us, skopeo and umoci")
        func archives() throws {
            try Stage.play("registry") { stage in
                func tool(_ words: String...) throws -> Outcome { try stage.inHost(words).orThrow() }
                try stage.build(
                    "FROM bb:1\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n", as: "mine:1")
                try stage.write(
                    "compose.yaml",
                    "services: {web: {image: 'mine:1', command: [sleep, '1000'], init: true}}\n")
                try stage.covey("image", "save", "-o", "a.tar.gz", "mine:1", "bb:1")
                try stage.covey("image", "save", "-o", "one.tar", "mine:1")
                _ = try tool(
                    "skopeo", "--insecure-policy", "copy", "docker-archive:one.tar:mine:1",
                    "oci:from-docker:x")
                _ = try tool(
                    "skopeo", "--insecure-policy", "copy", "oci-archive:one.tar:mine:1", "oci:from-oci:x")
                _ = try tool("umoci", "unpack", "--image", "\(stage.directory)/root/images:mine:1", "bundle")
                try stage.require(
                    contents("\(stage.files)/bundle/rootfs/built") == "built\n",
                    "umoci unpacks something else")
                // It writes in place what we run.
                _ = try tool(
                    "umoci", "config", "--image", "\(stage.directory)/root/images:mine:1", "--tag",
                    "theirs:2",
                    "--config.env", "BY=umoci")
                try stage.write(
                    "umoci.yaml",
                    "services: {x: {image: 'theirs:2', command: [sh, -c, 'cat /built; echo $$BY']}}\n")
                let changed = try stage.covey("-f", "umoci.yaml", "run", "--rm", "-T", "x")
                try stage.require(changed.lines == ["built", "umoci"], "\(changed)")
                // Its bundle runs as it is, with the terminal it asks for.
                let ran = try stage.covey(
                    "oci", "--root", "\(stage.files)/oci", "run", "--bundle", "\(stage.files)/bundle",
                    "umoci-\(getpid())")
                try stage.require(ran.output.contains("built"), "\(ran)")
                _ = try tool(
                    "skopeo", "--insecure-policy", "copy", "oci:from-docker:x",
                    "docker-archive:theirs.tar:theirs:1")
                // Podman reads what we save, and its root file system is the same to the byte.
                let podman = [
                    "podman", "--root", "\(stage.files)/podman", "--runroot", "\(stage.files)/podman-run",
                    "--storage-driver", "vfs",
                ]
                try stage.inHost(podman + ["load", "-q", "-i", "one.tar"]).orThrow()
                let theirs = try stage.inHost(podman + ["image", "mount", "mine:1"]).orThrow().text
                try stage.require(contents("\(theirs)/built") == "built\n", "Podman has another file")
                try stage.inHost(podman + ["image", "umount", "-a"]).orThrow()
                let before = try stage.covey("image", "inspect", "mine:1").output
                try stage.covey("image", "rm", "mine:1")
                try stage.covey("image", "rm", "bb:1")
                let loaded = try stage.covey("image", "load", "-i", "a.tar.gz")
                try stage.require(loaded.lines == ["loaded mine:1", "loaded bb:1"], "\(loaded)")
                try stage.require(
                    try stage.covey("image", "inspect", "mine:1").output == before, "another digest")
                try stage.covey("image", "load", input: "\(stage.files)/theirs.tar")
                try stage.covey("image", "tag", "theirs:1", "mine:1")
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.exec("web", "cat /built") == "built", "the archive's image does not run")
                try stage.require(
                    try stage.covey("image", "history", "theirs:1").output.contains("SIZE"), "no history")
                // The other archives' compressions, and what the image is beside its base.
                _ = try tool("xz", "-k", "one.tar")
                try stage.require(
                    try stage.covey("image", "load", "-i", "one.tar.xz").lines == ["loaded mine:1"], "no xz")
                let added = try stage.covey("image", "diff", "mine:1").lines
                try stage.require(added.contains("A /built"), "\(added)")
                let removed = try stage.covey("image", "diff", "mine:1", "bb:1", "--format", "json").lines
                try stage.require(
                    removed.contains(#"{"Change":"deleted","Path":"/built"}"#), "\(removed)")
                let none = try stage.covey("image", "diff", "none:1", code: 1)
                try stage.require(none.errors.contains("none:1"), "\(none)")
                try stage.write("bad.tar", "no archive")
                let bad = try stage.covey("image", "load", "-i", "bad.tar", code: 1)
                try stage.require(bad.errors.contains("bad.tar"), "\(bad)")
                // One damaged document keeps nobody from the others, and ids are names enough.
                let inspected = try stage.covey("image", "inspect", "theirs:2").lines
                let digest = inspected.first { $0.contains("\"Digest\": ") }?.split(separator: "\"")[3] ?? ""
                try writeFile(
                    "\(stage.directory)/root/images/blobs/sha256/\(digest.dropFirst(7))", Array("junk".utf8))
                let listed = try stage.covey("image", "ls")
                try stage.require(
                    listed.output.contains("damaged") && listed.errors.contains("covey image rm theirs:2"),
                    "\(listed)")
                let ids = try stage.covey("image", "ls", "-q").lines
                try stage.start(["image", "rm"] + ids).wait().orThrow()
                try stage.require(try stage.covey("image", "ls").lines.count == 1, "not all are gone")
                try stage.require(
                    try stage.exec("web", "cat /built") == "built", "gone beneath its container")
            }
        }

        @Test(
            "a client certificate opens a registry that wants one, and a credential helper keeps the login"
        )
        func certificate() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(
                    stage, secure: true, user: "me:secret", wantsCertificate: true)
                let image = "\(registry.host)/team/app:1"
                try stage.covey("image", "tag", "bb:1", image)
                // The helper keeps one credential in a file, as the protocol of docker-credential-helpers has it.
                try stage.write(
                    "docker-credential-kept",
                    """
                    #!/bin/sh
                    case $1 in
                    store) cat >"$HOME/kept" ;;
                    get) [ -e "$HOME/kept" ] && cat "$HOME/kept" || { echo "credentials not found"; exit 1; } ;;
                    erase) rm "$HOME/kept" ;;
                    esac
                    """)
                try Host.run(["chmod", "755", "\(stage.files)/docker-credential-kept"]).orThrow()
                try ensureDirectory("\(stage.directory)/.docker")
                try writeFile(
                    "\(stage.directory)/.docker/config.json",
                    Array("{\"credHelpers\":{\"\(registry.host)\":\"kept\"}}".utf8))
                let trust = try registry.trust() + ["PATH=\(stage.files):\(Host.path)"]
                try stage.write("password", "secret\n")
                func login(_ variables: [String], code: Int32) throws -> Outcome {
                    try stage.covey(
                        "login", registry.host, "-u", "me", "--password-stdin", code: code,
                        variables: variables, input: "\(stage.files)/password")
                }
                let stranger = try login(trust, code: 1)
                try stage.require(
                    stranger.errors.contains("ertificate"), "without a certificate: \(stranger)")
                try registry.identify()
                let done = try login(trust, code: 0)
                try stage.require(done.output.contains("docker-credential-kept"), "\(done)")
                try stage.require(
                    !contents("\(stage.directory)/.docker/config.json").contains("auths"),
                    "kept in the file too")
                try stage.covey("image", "push", image, variables: trust)
                try stage.covey("image", "rm", image)
                try stage.covey("image", "pull", image, variables: trust)
                try stage.covey("logout", registry.host, variables: trust)
                try stage.require(!exists("\(stage.directory)/kept"), "the helper was not told")
                let after = try stage.attempt("image", "pull", image, variables: trust)
                try stage.require(after.code == 1 && after.errors.contains("401"), "\(after)")
            }
        }

        @Test(
            "Ctrl-C in a pull ends at once with 130 and leaves nothing; an image nobody has is asked for once; offline, plan says so"
        )
        func interrupted() throws {
            try Stage.play("registry") { stage in
                let registry = try StallingRegistry(stage)
                func file(_ name: String) throws {
                    let service = "{image: '\(registry.host)/\(name)', command: [sleep, '1000'], init: true}"
                    try stage.write("compose.yaml", "services: {web: \(service), api: \(service)}\n")
                }
                try file("none:1")
                let absent = try stage.covey("up", "-d", code: 1)
                try stage.require(
                    absent.errors.split(separator: "error: ").count == 2, "told twice: \(absent)")
                let asked = registry.asked("/v2/none/manifests/")
                try stage.require(asked == 1, "asked \(asked) times")
                try file("slow:1")
                let up = try stage.start(["up", "-d"])
                let intake = "\(stage.directory)/root/images/.intake"
                try stage.eventually("the layer begins to come") {
                    tree(intake).contains { $0.hasSuffix(".blob") && contents($0).utf8.count > 0 }
                }
                up.signal(SIGINT)
                let outcome = try up.wait(limit: .seconds(10))
                try stage.require(outcome.code == 130, "\(outcome)")
                let left =
                    tree(intake) + tree("\(stage.directory)/root/layers").filter { $0.contains(".intake") }
                try stage.require(left.isEmpty, "left: \(left)")
                try stage.require(try !stage.covey("image", "ls").output.contains("slow"), "it has a name")
                let plan = try stage.covey("plan", code: 2)
                try stage.require(plan.errors.contains("slow:1: would be pulled, sha256:"), "\(plan)")
                try registry.end()
                let offline = try stage.covey("plan", code: 2)
                try stage.require(
                    offline.errors.contains("would be pulled; the registry can't be asked now:"), "\(offline)"
                )
            }
        }

        @Test(
            "after a crash a damaged layer is unpacked again, and a damaged blob fetched again from where it came"
        )
        func crashed() throws {
            try Stage.play("registry") { stage in
                let registry = try LocalRegistry(stage)
                try registry.put("bb:1", as: "app:1")
                try stage.write(
                    "compose.yaml",
                    "services: {web: {image: '\(registry.host)/app:1', command: [sleep, '1000'], init: true}}\n"
                )
                try stage.covey("image", "pull", "\(registry.host)/app:1")
                // It is its own: bb:1 has the same layer in another blob.
                try stage.covey("image", "rm", "bb:1")
                let images = "\(stage.directory)/root/images"
                func crash(flipping path: String) throws {
                    var bytes = try readFile(path)
                    bytes[bytes.count / 2] ^= 1
                    try writeFile(path, bytes)
                    try writeFile("\(images)/boot", Array("11111111-2222-3333-4444-555555555555 open\n".utf8))
                }
                let busybox = tree("\(stage.directory)/root/layers").first { $0.hasSuffix("/bin/busybox") }
                try crash(flipping: busybox ?? "")
                let mended = try stage.covey("up", "-d")
                try stage.require(
                    mended.errors.contains("was damaged when the machine went down")
                        && mended.errors.contains("bin/busybox"), "\(mended)")
                try stage.exec("web", "true")
                try stage.covey("down")
                let blobs = try Host.run(["ls", "-S", "\(images)/blobs/sha256"]).orThrow().lines
                try crash(flipping: "\(images)/blobs/sha256/\(blobs[0])")
                let fetched = try stage.covey("up", "-d")
                try stage.require(
                    fetched.errors.contains("is fetched again, sha256:") && fetched.errors.contains(blobs[0]),
                    "\(fetched)")
                try stage.exec("web", "true")
                let quiet = try stage.covey("up", "-d")
                try stage.require(!quiet.errors.contains("warning"), "said again: \(quiet)")
            }
        }

        @Test(
            "cp goes both ways, export and commit keep what was written; links lead nowhere out of the container"
        )
        func copying() throws {
            try Stage.play("registry") { stage in
                try stage.write(
                    "compose.yaml",
                    "services: {web: {image: 'bb:1', command: [sleep, '1000'], init: true, volumes: ['data:/data']}}\nvolumes: {data: {}}\n"
                )
                try stage.covey("up", "-d")
                try stage.exec(
                    "web",
                    "mkdir -p /d/sub; echo one >/d/one; echo two >/d/sub/two; ln -s one /d/link; echo v >/data/v; ln -s /etc/shadow /escape; ln -s / /top; ln -s ../../../../../.. /up"
                )
                try stage.covey("cp", "web:/d", "out")
                try stage.require(contents("\(stage.files)/out/sub/two") == "two\n", "no file came out")
                try stage.require(try readLink("\(stage.files)/out/link") == "one", "the link is no link")
                try stage.covey("cp", "web:/data/v", "./v")
                try stage.require(contents("\(stage.files)/v") == "v\n", "the volume is not seen")
                try stage.covey("cp", "out", "web:/data")
                try stage.require(try stage.exec("web", "cat /data/out/sub/two") == "two", "nothing went in")
                try stage.covey("cp", "out/.", "web:/data/other/", code: 0)
                try stage.require(
                    try stage.exec("web", "cat /data/other/one; stat -c %u /data/other/one") == "one\n0",
                    "contents")
                // Links of the container are walked within it, whoever made them.
                let secret = "\(stage.directory)/host-secret"
                try writeFile(secret, Array("secret".utf8))
                for way in ["/top", "/up"] {
                    let stolen = try stage.attempt("cp", "web:\(way)\(secret)", "stolen")
                    try stage.require(
                        stolen.code == 1 && !exists("\(stage.files)/stolen"), "\(way): \(stolen)")
                    try stage.covey("cp", "v", "web:\(way)/planted")
                    try stage.require(
                        try stage.exec("web", "cat /planted; rm /planted") == "v" && !exists("/planted"),
                        "it left")
                }
                let stream = try stage.covey("cp", "web:/d", "-")
                try stage.require(stream.output.contains("d/sub/two"), "no tar")
                try Host.run(["tar", "-C", stage.files, "-cf", "\(stage.files)/in.tar", "out"]).orThrow()
                try stage.covey("cp", "-", "web:/tmp", input: "\(stage.files)/in.tar")
                try stage.require(
                    try stage.exec("web", "cat /tmp/out/one") == "one", "the tar did not arrive")
                for bad in [
                    ["web:/none", "x"], ["v", "web:/none/x/y"], ["v", "w"], ["web:/d", "web:/e"],
                    ["none:/x", "y"],
                ] {
                    let refused = try stage.attempt("cp", bad[0], bad[1])
                    try stage.require(
                        refused.code == 1 && refused.errors.hasPrefix("error: "), "\(bad): \(refused)")
                }
                try stage.covey("export", "web", "-o", "all.tar")
                let listing = try Host.run(["tar", "-tf", "\(stage.files)/all.tar"]).orThrow().output
                try stage.require(
                    listing.contains("d/sub/two") && listing.contains("bin/busybox")
                        && !listing.contains("data/v"), listing)
                try stage.covey("commit", "web", "kept:1", "-m", "as it was")
                try stage.require(
                    try stage.covey("image", "history", "kept:1").output.contains("covey commit web"),
                    "no history")
                try stage.covey("stop", "-t", "1")
                try stage.covey("cp", "web:/d/one", "from-stopped")
                try stage.require(contents("\(stage.files)/from-stopped") == "one\n", "stopped")
                try stage.covey("cp", "v", "web:/d/late")
                try stage.covey("start")
                try stage.require(
                    try stage.exec("web", "cat /d/late") == "v", "what went into a stopped one is lost")
                try stage.edit("image: 'bb:1'", "image: 'kept:1'")
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.exec("web", "cat /d/sub/two") == "two", "the image does not have it")
            }
        }
    }
}
