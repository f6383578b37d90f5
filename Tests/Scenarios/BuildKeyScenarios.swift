// SPDX-License-Identifier: Apache-2.0
//
// `build.ssh` with key files: a step signs with a key that it never sees. The step's programs are OpenSSH's own, of the host.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("keys of builds")
    struct BuildKeys {
        private static let programs = ["ssh-add", "ssh-keygen"]

        @Test(
            "a step lists and signs with the keys of its files, and has no more of them; sockets and bad files are told",
            .enabled(
                if: Host.which("ssh-add") != nil || Host.inCI, "needs openssh-client"))
        func keys() throws {
            try Stage.play("one") { stage in
                for (name, words) in [
                    ("key", ["-t", "ed25519"]), ("other", ["-t", "ecdsa"]), ("locked", ["-t", "ed25519"]),
                ] {
                    let phrase = name == "locked" ? "secret" : ""
                    try Host.run(
                        [
                            "ssh-keygen", "-q", "-N", phrase, "-C", "\(name)@here", "-f",
                            "\(stage.files)/\(name)",
                        ] + words
                    ).orThrow()
                }
                // The programs with the libraries they need.
                try Host.run(
                    [
                        "sh", "-c",
                        """
                        mkdir -p "$1"; cd "$1"; shift
                        for program; do cp -L "$(command -v $program)" .; done
                        ldd ./ssh-add ./ssh-keygen | grep -o '/[^ ]*' | sort -u | grep -v :$ | while read -r file; do cp -L "$file" .; done
                        cp ld-linux-*.so* loader
                        """, "sh", "\(stage.files)/tools",
                    ] + Self.programs
                ).orThrow()
                try stage.write(".dockerignore", "*\n")
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1
                    RUN mkdir -p /etc && echo root:x:0:0::/root:/bin/sh >>/etc/passwd
                    RUN --mount=type=ssh --mount=from=tools,target=/t \\
                        /t/loader --library-path /t /t/ssh-add -L >/keys
                    RUN --mount=type=ssh,id=second,uid=5 --mount=from=tools,target=/t \\
                        /t/loader --library-path /t /t/ssh-add -L >/second && \\
                        sed -n 1p /second >/k.pub && echo text >/text && \\
                        /t/loader --library-path /t /t/ssh-keygen -Y sign -f /k.pub -n file /text
                    RUN test ! -e /run/buildkit && ! grep -r PRIVATE /keys /second
                    CMD ["sleep", "1000"]

                    """)
                func file(_ agents: String) throws {
                    try stage.write(
                        "compose.yaml",
                        "services: {app: {build: {context: ., additional_contexts: {tools: tools}, ssh: [\(agents)]}, init: true}}\n"
                    )
                }
                try file("'default=./key', 'second=./other,./key'")
                try stage.covey("up", "-d", "--build")
                let (key, other) = (contents("\(stage.files)/key.pub"), contents("\(stage.files)/other.pub"))
                try stage.require(try stage.exec("app", "cat /keys") + "\n" == key, "other keys")
                try stage.require(try stage.exec("app", "cat /second") + "\n" == other + key, "other keys")
                try stage.covey("cp", "app:/text.sig", "text.sig")
                try stage.write("who", "me \(other)")
                try stage.write("text", "text\n")
                try Host.run([
                    "sh", "-c",
                    "cd '\(stage.files)' && ssh-keygen -Y verify -f who -I me -n file -s text.sig <text",
                ]).orThrow()
                let left = tree("\(stage.directory)/root/buildcache").filter { $0.contains("agent") }
                try stage.require(left.isEmpty, "left: \(left)")

                try stage.covey("build", "--no-cache", "--ssh", "second=./key,./other")
                _ = try Host.run(["mkfifo", "\(stage.files)/pipe"]).orThrow()
                for (agents, says) in [
                    ("'default=./locked'", "ssh-add \(stage.files)/locked"), ("'default=./key.pub'", ".pub"),
                    ("'default=./key,./none'", "ENOENT"), ("'default=./pipe'", "neither"),
                    ("'default=./key,./who'", "who: it is no private key"),
                    ("'default=,'", "a comma with no path beside it"),
                    ("'default=./key,'", "a comma with no path beside it"),
                ] {
                    try file(agents)
                    let refused = try stage.covey("build", code: 1)
                    try stage.require(
                        refused.errors.contains(says) && refused.errors.contains("the SSH agent `default`")
                            && refused.errors.contains("  cause: "), "\(agents): \(refused)")
                }
                let socket = try listenUnix("\(stage.files)/sock")
                try file("'default=./sock,./key'")
                let mixed = try stage.covey("build", code: 1)
                _ = consume socket
                try stage.require(mixed.errors.contains("name one socket, or key files"), "\(mixed)")
            }
        }

        @Test(
            "while a step runs, the client has one copy of its key, libcrypto's, and none of the file's text",
            .enabled(
                if: Host.which("ssh-keygen") != nil || Host.inCI, "needs openssh-client"))
        func memory() throws {
            try Stage.play("one") { stage in
                try Host.run(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "\(stage.files)/key"]
                ).orThrow()
                try stage.write("Dockerfile", "FROM bb:1\nRUN --mount=type=ssh exec sleep 98765\n")
                try stage.write(
                    "compose.yaml", "services: {app: {build: {context: ., ssh: ['default=./key']}}}\n")
                try stage.write("look.py", Self.look)
                let build = try stage.start(["build"])
                try stage.eventually("the step runs") {
                    try stage.inHost(["pgrep", "-f", "^sleep 98765"]).code == 0
                }
                let found = try stage.inHost(["python3", "look.py", "\(build.pid)", "key"]).orThrow()
                kill(build.pid, SIGTERM)
                _ = try build.wait()
                try stage.require(found.text == "seed 1, text 0", "\(found)")
            }
        }

        /// Looks for a key in all that a process may write.
        private static let look = """
            import base64, sys
            lines = open(sys.argv[2]).read().split()
            body = [line for line in lines if len(line) == 70]
            raw = base64.b64decode("".join(open(sys.argv[2]).read().splitlines()[1:-1]))
            point = raw[raw.index(b"ssh-ed25519") + 15:][:32]
            seed = raw[raw.rindex(point) - 32:raw.rindex(point)]
            seeds = texts = 0
            with open(f"/proc/{sys.argv[1]}/maps") as maps, open(f"/proc/{sys.argv[1]}/mem", "rb") as memory:
                for line in maps:
                    words = line.split()
                    if not words[1].startswith("rw"):
                        continue
                    start, end = (int(number, 16) for number in words[0].split("-"))
                    try:
                        memory.seek(start)
                        data = memory.read(end - start)
                    except OSError:
                        continue
                    seeds += data.count(seed)
                    # The second line and the third hold the seed.
                    texts += sum(data.count(line.encode()) for line in body[1:])
            print(f"seed {seeds}, text {texts}")

            """
    }
}
