// SPDX-License-Identifier: Apache-2.0
//
// Builds as a person runs them: mounts of steps, networks, secrets, agents, and what a hostile Dockerfile tries on the
// machine that builds it.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("building images")
    struct Building {
        private static let compose = "services:\n  app: {build: ., init: true, command: [sleep, \"1000\"]}\n"

        @Test("a step's mounts hold what they say, and leave nothing in the layer")
        func mounts() throws {
            try Stage.play("one") { stage in
                try stage.inHost([
                    "sh", "-ec",
                    "mkdir -p src/sub && echo one >src/a && echo two >src/sub/b && echo no >src/ignored && echo ignored >.dockerignore && sed -i s,^,src/, .dockerignore",
                ]).orThrow()
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1 AS made
                    RUN mkdir -p /o && echo made >/o/file && echo top >/top
                    FROM bb:1
                    RUN --mount=type=bind,target=/ctx cat /ctx/src/a && ! test -e /ctx/src/ignored && ! touch /ctx/x
                    RUN --mount=type=bind,source=src/sub,target=/new/deep/dir,rw echo w >/new/deep/dir/w && cat /new/deep/dir/b
                    RUN --mount=type=bind,source=src/sub,target=/x ! test -e /x/w
                    RUN --mount=type=bind,from=made,source=/o/file,target=/f --mount=from=made,target=/all cat /f /all/top
                    RUN --mount=type=tmpfs,target=/t,size=1m echo x >/t/x && ! dd if=/dev/zero of=/t/y bs=1M count=2
                    RUN --mount=type=cache,target=/c,id=c,uid=7,mode=0700 echo kept >/c/k && stat -c '%u %a' /c | grep -x '7 700'
                    RUN --mount=type=cache,target=/elsewhere,id=c,readonly cat /elsewhere/k && ! touch /elsewhere/x
                    RUN --mount=type=cache,target=/c2,id=d,from=made,sharing=locked cat /c2/o/file
                    RUN find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /bin \\) -prune -o -print | sort >/list

                    """)
                try stage.write("compose.yaml", Self.compose)
                let build = try stage.attempt("build")
                try stage.require(build.code == 0, "\(build)")
                try stage.covey("up", "-d")
                let list = try stage.exec("app", "cat /list")
                for stub in ["/ctx", "/new", "/x", "/f", "/all", "/t", "/c", "/elsewhere", "/c2"] {
                    try stage.require(
                        !list.split(separator: "\n").contains { $0 == stub || $0.hasPrefix("\(stub)/") },
                        "\(stub) is in the layer: \(list)")
                }
                // A cache outlives the build and is no part of the step's key.
                try stage.write(
                    "Dockerfile", "FROM bb:1\nRUN --mount=type=cache,target=/c,id=c cat /c/k >/kept\n")
                try stage.covey("build")
                try stage.covey("up", "-d")
                try stage.require(try stage.exec("app", "cat /kept").hasPrefix("kept"), "the cache was lost")
            }
        }

        @Test(
            "secrets, agents, hosts, limits and networks of a build reach its steps and stay out of the image"
        )
        func attributes() throws {
            try Stage.play("one") { stage in
                try stage.write("token", "s3cret\n")
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1
                    ARG WHAT=unset
                    RUN --mount=type=secret,id=token --mount=type=secret,id=V,env=V --mount=type=secret,id=absent,target=/a \\
                        grep -x s3cret /run/secrets/token && [ "$V" = fromshell ] && ! test -e /a && stat -c %a /run/secrets/token | grep -x 400
                    RUN --mount=type=ssh,uid=5,mode=0660 test -S "$SSH_AUTH_SOCK" && stat -c '%u %a' $SSH_AUTH_SOCK | grep -x '5 660'
                    RUN grep -E '^10.1.2.3\\s+db$' /etc/hosts && df -k /dev/shm | grep -w 1024 && [ "$(ulimit -n)" = 77 ]
                    RUN echo $WHAT >/what && ip route | grep -q ^default && ip -4 addr show eth0 | grep -q inet
                    RUN --network=none ! ip link show eth0 && ip link show lo
                    RUN --network=host ip link show lo && ! ip link show eth0
                    RUN --security=insecure mkdir /m && mount -t tmpfs m /m && umount /m && rmdir /m

                    """)
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app:
                        build:
                          context: .
                          secrets: [token, {source: shell, target: V}]
                          ssh: ["default=agent.sock"]
                          extra_hosts: {db: 10.1.2.3}
                          shm_size: 1m
                          ulimits: {nofile: 77}
                          network: default
                          entitlements: [security.insecure]
                        init: true
                        command: [sleep, "1000"]
                    secrets: {token: {file: token}, shell: {environment: FROM_SHELL}}

                    """)
                let listener = try listenUnix("\(stage.files)/agent.sock")
                let build = try stage.attempt(
                    "build", "--build-arg", "WHAT=given", variables: ["FROM_SHELL=fromshell"])
                _ = consume listener
                try stage.require(build.code == 0, "\(build)")
                try stage.covey("up", "-d", variables: ["FROM_SHELL=fromshell"])
                try stage.require(try stage.exec("app", "cat /what").hasPrefix("given"), "no build argument")
                try stage.exec("app", "! test -e /run/secrets/token && ! test -e /run/buildkit")
                let links = try stage.inHost(["ip", "-o", "link"]).output
                try stage.require(!links.contains("build."), "a build's network is left: \(links)")
                try stage.edit("entitlements: [security.insecure]", "privileged: false")
                let refused = try stage.covey(
                    "build", "--no-cache", "--build-arg", "WHAT=given", code: 1,
                    variables: ["FROM_SHELL=fromshell"])
                try stage.require(refused.errors.contains("is not allowed in this build"), "\(refused)")
            }
        }

        @Test("what a Dockerfile names does not lead out of its root, and what a step plants is not followed")
        func hostile() throws {
            try Stage.play("one") { stage in
                try stage.inHost([
                    "sh", "-ec",
                    "mkdir -p victim/dir ctx && echo keep >victim/file && : >victim/empty && ln -s \"$PWD/victim\" ctx/link && ln -s ../../../../../../../etc ctx/up && mkfifo ctx/fifo",
                ]).orThrow()
                try stage.write("compose.yaml", "services:\n  app: {build: ctx, command: [x]}\n")
                let victim = "\(stage.files)/victim"
                // CVE-2024-1753, CVE-2024-9407: a source that is a link or climbs is resolved within its root.
                for source in [
                    "link", "link/file", "../victim", "../../../../../../..\(victim)", "up/passwd",
                ] {
                    try stage.write(
                        "ctx/Dockerfile",
                        "FROM bb:1\nRUN --mount=type=bind,source=\(source),target=/m,rw cat /m/* /m; touch /m/hacked\n"
                    )
                    let build = try stage.attempt("build")
                    try stage.require(
                        build.code == 1 && build.errors.contains("finds no"), "\(source): \(build)")
                }
                // The whole context with its links and its fifo: as they are, leading nowhere.
                try stage.write(
                    "ctx/Dockerfile",
                    "FROM bb:1\nRUN --mount=type=bind,target=/m,rw ! test -e /m/link/file && test -p /m/fifo\n"
                )
                try stage.covey("build")
                // CVE-2024-9675, CVE-2024-9676: an id is no path.
                try stage.write(
                    "ctx/Dockerfile",
                    "FROM bb:1\nRUN --mount=type=cache,id=../../../../..\(victim),target=/m touch /m/hacked\n"
                )
                try stage.covey("build")
                // CVE-2024-23651: a directory of a cache that another step turns into a link.
                try stage.write(
                    "ctx/Dockerfile",
                    "FROM bb:1\nRUN --mount=type=cache,id=e,target=/m ln -s \(victim) /m/sub\nRUN --mount=type=cache,id=e,source=sub,target=/m touch /m/hacked\n"
                )
                let linked = try stage.attempt("build")
                try stage.require(linked.code == 1 && linked.errors.contains("ELOOP"), "\(linked)")
                // The same as a race between two builds.
                try stage.write(
                    "flip.Dockerfile",
                    "FROM bb:1\nRUN --mount=type=cache,id=f,target=/m while :; do mkdir /m/sub; rmdir /m/sub; ln -s \(victim) /m/sub; rm -f /m/sub; touch /m/flips; done\n"
                )
                try stage.write(
                    "flip.yaml", "services: {x: {build: {context: ., dockerfile: flip.Dockerfile}}}\n")
                let flipper = try stage.start(["-f", "flip.yaml", "build"])
                try stage.eventually("the flipper flips") {
                    tree("\(stage.directory)/root/buildcache/mounts").contains { $0.hasSuffix("/flips") }
                }
                try stage.write(
                    "ctx/Dockerfile",
                    "FROM bb:1\nRUN --mount=type=cache,id=f,source=sub,target=/m touch /m/hacked\n")
                for _ in 0..<12 {
                    let raced = try stage.attempt("build", "--no-cache")
                    try stage.require(raced.code <= 1, "\(raced)")
                }
                flipper.signal(SIGINT)
                _ = try flipper.wait()
                // CVE-2024-23652: what a step puts in the place of a mount point, or above it.
                try stage.write(
                    "ctx/Dockerfile",
                    """
                    FROM bb:1
                    RUN --mount=type=tmpfs,target=/s/dir umount /s/dir; rm -rf /s; ln -s \(victim) /s || true
                    RUN mkdir -p /q; mv /etc /q/etc; rm -rf /etc; ln -s \(victim) /etc; mv /sys /q/sys; ln -s \(victim) /sys; true
                    RUN --mount=type=tmpfs,target=/t true; ln -s \(victim) /u

                    """)
                _ = try stage.attempt("build")
                try stage.inHost([
                    "sh", "-ec",
                    "test -d victim/dir && grep -qx keep victim/file && test -e victim/empty && ! test -e victim/hacked",
                ]).orThrow()
                // Rights beyond a service's are refused by name.
                try stage.write("ctx/Dockerfile", "FROM bb:1\nRUN --security=insecure true\n")
                let rights = try stage.attempt("build")
                try stage.require(rights.hasThreeParts && rights.errors.contains("--security"), "\(rights)")
            }
        }

        @Test("contexts of their own are directories, layouts, images and what other services build")
        func contexts() throws {
            try Stage.play("one") { stage in
                try stage.inHost([
                    "sh", "-ec",
                    "mkdir -p dir flat && echo dir >dir/file && echo flat >flat/file && tar -C flat -cf flat.tar file",
                ]).orThrow()
                try ImageLayout(layer: try readFile("\(stage.files)/flat.tar")).write(
                    to: "\(stage.files)/layout")
                try stage.write("Base", "FROM bb:1\nRUN echo base >/file\n")
                try stage.write(
                    "Dockerfile",
                    """
                    FROM other
                    COPY --from=lay /file /flat
                    COPY --from=name /bin/busybox /named
                    RUN --mount=type=bind,from=dir,target=/m cat /m/file /flat /file >/all && test -x /named

                    """)
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app:
                        build:
                          context: .
                          pull: true
                          additional_contexts:
                            - other=service:base
                            - lay=oci-layout://./layout
                            - dir=./dir
                            - name=oci:layout
                        init: true
                        command: [sleep, "1000"]
                      base: {build: {context: ., dockerfile: Base}, command: ["true"], scale: 0}

                    """)
                // Layouts have no busybox; what is built here is not asked for anywhere, whatever `pull` says.
                let wrong = try stage.attempt("build", "app")
                try stage.require(
                    wrong.code == 1 && wrong.errors.contains("finds no `/bin/busybox`"), "\(wrong)")
                try stage.edit("name=oci:layout", "name=docker-image://\(stage.project)-base")
                try stage.edit("pull: true", "pull: false")
                try stage.covey("up", "-d", "--build")
                try stage.require(try stage.exec("app", "cat /all") == "dir\nflat\nbase", "other contexts")
                // The layout's image has changed: it is another context.
                try stage.inHost([
                    "sh", "-ec", "echo new >flat/file && tar -C flat -cf flat.tar file && rm -r layout",
                ])
                .orThrow()
                try ImageLayout(layer: try readFile("\(stage.files)/flat.tar")).write(
                    to: "\(stage.files)/layout")
                try stage.covey("up", "-d", "--build")
                try stage.require(try stage.exec("app", "cat /all") == "dir\nnew\nbase", "the old layout")
                try stage.edit("other=service:base", "other=service:app")
                let circle = try stage.attempt("build")
                try stage.require(circle.code == 1 && circle.errors.contains("app → app"), "\(circle)")
            }
        }

        @Test("on a terminal a build is a tree of its steps with their times, drawn over itself")
        func terminal() throws {
            try Stage.play("one") { stage in
                try stage.write("Dockerfile", "FROM bb:1\nRUN echo loud; sleep 0.3\nRUN exit 3\n")
                try stage.write("compose.yaml", Self.compose)
                let typed = try stage.inHost([
                    "env", "TERM=xterm", "script", "-qec",
                    "stty cols 70 rows 20; \(Host.covey ?? "covey") build", "/dev/null",
                ])
                let screens = typed.output.filter { $0 != "\r" }.split(separator: "\u{1b}[J")
                try stage.require(
                    typed.code == 1 && screens.count > 2, "it is not drawn over itself: \(typed)")
                let last = screens.last.map { $0.split(whereSeparator: \.isNewline) } ?? []
                try stage.require(
                    last.count > 4 && last[0] == "[+] build 2/4"
                        && last[1].hasPrefix(" ✘ Image \(stage.project)-app")
                        && last[2].hasPrefix(" ✔   [app stage 0 1/3] FROM bb:1")
                        && last[3].hasPrefix(" ✔   [app stage 0 2/3] RUN echo loud; sleep 0.3")
                        && last[4].hasPrefix(" ✘   [app stage 0 3/3] RUN exit 3")
                        && last[1...4].allSatisfy { $0.hasSuffix("s") && $0.count <= 70 }, "\(last)")
                try stage.require(typed.output.contains("[app stage 0 2/3] loud"), "no output of the step")
            }
        }

        @Test("checks tell what is rarely meant and build nothing; --print says what would be built")
        func checks() throws {
            try Stage.play("one") { stage in
                try stage.write("Dockerfile", "FROM bb:1\nWORKDIR x\nRUN exit 1\nCMD y\n")
                try stage.write("compose.yaml", Self.compose)
                let check = try stage.attempt("build", "--check")
                try stage.require(
                    check.code == 1 && check.errors.contains("Dockerfile:2:9: warning")
                        && check.errors.contains("WorkdirRelativePath")
                        && check.errors.contains("JSONArgsRecommended"), "\(check)")
                try stage.write(
                    "print.yaml",
                    """
                    services:
                      app:
                        build:
                          {context: ., args: {A: file, B: file}, network: none, shm_size: 64m, secrets: [key], pull: true,
                           platforms: [linux/amd64], ulimits: {nofile: {soft: 10, hard: 20}}, extra_hosts: ["h=10.0.0.1"]}
                    secrets: {key: {file: ./Dockerfile}}
                    """)
                let printed = try stage.covey(
                    "-f", "print.yaml", "build", "--print", "--build-arg", "A=line", "--no-cache"
                ).output
                let flat = printed.split(whereSeparator: \.isWhitespace).joined()
                for part in [
                    #"/Dockerfile","args":{"A"#, #""args":{"A":"line","B":"file"}"#, #""network":"none""#,
                    #""shm-size":"67108864""#, #""secret":["id=key,src=\#(stage.files)/Dockerfile"]"#,
                    #""platforms":["linux/amd64"]"#, #""ulimits":["nofile=10:20"]"#,
                    #""extra-hosts":{"h":"10.0.0.1"}"#, #""no-cache":true"#, #""pull":true"#,
                ] {
                    try stage.require(flat.contains(part), "\(part) is not in \(printed)")
                }
                // An image that a service names which nobody asked for is built anew all the same.
                try stage.write(
                    "compose.yaml",
                    "services:\n  a: {image: 'both:1', command: ['true']}\n  b: {build: ., image: 'both:1', command: ['true']}\n"
                )
                for word in ["one", "two"] {
                    try stage.write("Dockerfile", "FROM bb:1\nRUN echo \(word) >/word\n")
                    try stage.covey("up", "-d", "--build", "b")
                    let history = try stage.covey("image", "history", "both:1").output
                    try stage.require(history.contains("echo \(word)"), history)
                }
                let secret = try stage.attempt("build", "--secret", "src=x")
                try stage.require(secret.hasThreeParts, "\(secret)")
                try stage.write("compose.yaml", "services:\n  app: {build: {context: ., ssh: [default]}}\n")
                let agent = try stage.attempt("build")
                try stage.require(agent.hasThreeParts && agent.errors.contains("SSH_AUTH_SOCK"), "\(agent)")
                try stage.write("compose.yaml", "services:\n  app: {build: {context: ., network: lan}}\n")
                let network = try stage.attempt("build")
                try stage.require(network.hasThreeParts && network.errors.contains("\"lan\""), "\(network)")
            }
        }
    }
}

extension Outcome {
    /// Refused, with what was being done, why not, and what to do.
    fileprivate var hasThreeParts: Bool {
        code == 1 && errors.contains("error: ") && errors.contains("  cause: ") && errors.contains("  try: ")
    }
}
