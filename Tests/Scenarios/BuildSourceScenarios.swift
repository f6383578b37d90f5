// SPDX-License-Identifier: Apache-2.0
//
// What a build reads from elsewhere: files by URL and git repositories, both from busybox's httpd on the scenario's own
// loopback.

import Kernel
import Testing

extension Scenarios {
    @Suite("sources of builds")
    struct BuildSources {
        private static let url = "http://127.0.0.1:8080"

        /// Serves `www` of the stage's files, and repositories of `repos` below /cgi-bin/git.
        private func serve(_ stage: Stage) throws {
            try stage.inHost([
                "sh", "-ec",
                """
                mkdir -p www/cgi-bin repos
                cat >www/cgi-bin/git <<END
                #!/bin/sh
                export GIT_PROJECT_ROOT=$PWD/repos GIT_HTTP_EXPORT_ALL=1
                exec git http-backend
                END
                chmod +x www/cgi-bin/git
                """,
            ]).orThrow()
            try stage.serve(["busybox", "httpd", "-f", "-p", "127.0.0.1:8080", "-h", "\(stage.files)/www"])
            try stage.eventually("the server answers") {
                try stage.inHost(["curl", "-s", "-o", "/dev/null", Self.url]).succeeded
            }
        }

        @Test("ADD of URLs: names, modes, times, checksums; what is known is fetched no more")
        func files() throws {
            try Stage.play("one") { stage in
                try serve(stage)
                try stage.inHost([
                    "sh", "-ec",
                    "cd www && echo hello >f && echo sp >'a b' && touch -d @1000000000 f && mkdir t && echo in >t/in && tar -czf t.tgz t",
                ]).orThrow()
                let sum = try stage.inHost(["sha256sum", "www/f"]).orThrow().text.prefix(64)
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1
                    ARG BASE=\(Self.url)
                    ADD $BASE/f?x=y#z /named/
                    ADD ${BASE}/f /other
                    ADD --chmod=0751 --chown=5:6 $BASE/a%20b $BASE/f /many/
                    ADD --checksum=sha256:\(sum) $BASE/f /sure
                    ADD $BASE/t.tgz /kept/
                    ADD --unpack=true $BASE/t.tgz /unpacked/
                    ADD $BASE/f /bin
                    RUN grep -x hello /named/f /other /many/f /sure /bin/f && grep -x sp '/many/a b' \\
                        && [ "$(stat -c '%a %u %g %Y' /named/f)" = "600 0 0 1000000000" ] \\
                        && [ "$(stat -c '%a %u %g' '/many/a b')" = "751 5 6" ] \\
                        && test -f /kept/t.tgz && grep -x in /unpacked/t/in

                    """)
                try stage.write("compose.yaml", "services:\n  app: {build: .}\n")
                try stage.covey("build")
                let again = try stage.covey("build")
                try stage.require(
                    again.errors.split(separator: "\n").count { $0.hasSuffix("] cached") } == 8, "\(again)")
                // What changed is seen; what is pinned needs nobody.
                try stage.inHost(["sh", "-ec", "echo other >www/f"]).orThrow()
                let changed = try stage.attempt("build")
                try stage.require(
                    changed.code == 1 && changed.errors.contains("--checksum says"), "\(changed)")
                try stage.write("Dockerfile", "FROM bb:1\nADD \(Self.url)/f /f\nRUN grep -x other /f\n")
                try stage.covey("build")
                for (line, says) in [
                    ("ADD \(Self.url)/absent /", "404"), ("ADD http://192.0.2.9/f /f", "plain HTTP"),
                    ("ADD ftp://h/f /f", "ftp is not spoken"), ("ADD \(Self.url)/ /d/", "its path is empty"),
                    ("ADD https://u:p@127.0.0.1/f /f", "user and a password"),
                    ("ADD \(Self.url)/%2e%2e /d/", "no file name"),
                    ("ADD --checksum=md5:1 \(Self.url)/f /f", "is no checksum"),
                    ("ADD --checksum=sha256:\(sum) \(Self.url)/f Dockerfile /d/", "several sources"),
                    ("ADD http://127.0.0.1:1/f /f", "cannot fetch"),
                ] {
                    try stage.write("Dockerfile", "FROM bb:1\n\(line)\n")
                    let outcome = try stage.attempt("build")
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains(says)
                            && outcome.errors.contains("Dockerfile:2:"),
                        "\(line): \(outcome)")
                }
            }
        }

        @Test(
            "git repositories: ADD, contexts and named contexts by branch, tag and commit; nothing of them is run",
            .enabled(if: Host.which("git") != nil || Host.inCI, "needs git"))
        func repositories() throws {
            try Stage.play("one") { stage in
                try serve(stage)
                try stage.inHost([
                    "sh", "-ec",
                    """
                    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
                    git init -q -b main work && cd work
                    mkdir -p app/sub && echo one >app/file && echo deep >app/sub/deep && echo '*.log' >app/.dockerignore && echo no >app/x.log
                    printf 'FROM bb:1\\nCOPY . /c\\nCOPY --from=lib file /lib\\n' >app/Dockerfile
                    ln -s /etc/passwd app/link && ln -s ../../../../etc app/out
                    git add . && git commit -qm one && git tag -a -m t v1
                    echo two >app/file && git commit -qam two && git checkout -q -b side && echo side >app/file && git commit -qam side
                    git checkout -q main && cd .. && git clone -q --bare work repos/r.git
                    git init -q -b main evil && cd evil && git -c protocol.file.allow=always submodule --quiet add "$PWD/../repos/r.git" m
                    echo '* filter=x' >.gitattributes && echo f >f && git add . && git commit -qm e && cd .. && git clone -q --bare evil repos/evil.git
                    """,
                ]).orThrow()
                let url = "\(Self.url)/cgi-bin/git/r.git"
                let first = try stage.inHost(["git", "-C", "repos/r.git", "rev-parse", "v1^{commit}"])
                    .orThrow().text
                let tip = try stage.inHost(["git", "-C", "repos/r.git", "rev-parse", "main"]).orThrow().text
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1
                    ADD \(url) /whole
                    ADD \(url)#v1:app/sub /tag/
                    ADD \(url)#side:app /side
                    ADD --chown=7:8 --exclude=sub \(url)#\(first):app /commit
                    ADD --keep-git-dir=true --checksum=\(tip.prefix(12)) \(url)#refs/heads/main /git
                    RUN grep -x two /whole/app/file && ! test -e /whole/.git && grep -x deep /tag/deep && grep -x side /side/file \\
                        && grep -x one /commit/file && ! test -e /commit/sub && [ "$(stat -c %u:%g /commit/file)" = 7:8 ] \\
                        && test -f /git/.git/HEAD && [ "$(readlink /side/link)" = /etc/passwd ]

                    """)
                try stage.write("compose.yaml", "services:\n  app: {build: .}\n")
                // A user's own settings have no say, and a hook of theirs is not run.
                try stage.inHost([
                    "sh", "-ec",
                    "mkdir -p hooks && printf '#!/bin/sh\\ntouch \(stage.files)/hooked\\n' >hooks/post-checkout && chmod +x hooks/*",
                ])
                .orThrow()
                try stage.inHost(["git", "config", "--global", "core.hooksPath", "\(stage.files)/hooks"])
                    .orThrow()
                try stage.covey("build")
                try stage.require(!exists("\(stage.files)/hooked"), "a hook was run")
                let again = try stage.covey("build")
                try stage.require(
                    again.errors.split(separator: "\n").count { $0.hasSuffix("] cached") } == 6, "\(again)")
                // As contexts.
                try stage.write(
                    "compose.yaml",
                    "services:\n  app:\n    build: {context: '\(url)#v1:app', additional_contexts: {lib: '\(url)#side:app'}}\n    init: true\n    command: [sleep, '1000']\n"
                )
                try stage.covey("up", "-d", "--build")
                let files = try stage.exec("app", "cat /c/file /lib && ls /c")
                try stage.require(files == "one\nside\nDockerfile\nfile\nlink\nout\nsub", files)
                try stage.covey("down")
                try stage.require(
                    try directoryEntries("\(stage.directory)/root/buildcache/work").isEmpty,
                    "a checkout is left")
                for (reference, says) in [
                    ("\(url)#absent", "no branch or tag"), ("\(url)#v1:../x", "leads out"),
                    ("\(url)#v1:app/out", "app/out"), ("http://192.0.2.1/r.git", "neither encrypted"),
                    ("https://u:p@127.0.0.1/r.git", "names a user"),
                    ("\(Self.url)/cgi-bin/git/none.git", "git ls-remote"),
                    ("\(url)#--upload-pack=x", "no name of a branch"),
                    ("ssh://-oProxyCommand=x/r.git", "is no host"),
                    ("\(Self.url)/cgi-bin/git/evil.git", "not allowed"),
                ] {
                    try stage.write("compose.yaml", "services:\n  app: {build: '\(reference)'}\n")
                    let outcome = try stage.attempt("build")
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains(says), "\(reference): \(outcome)")
                }
                try stage.write(
                    "compose.yaml", "services:\n  app: {build: 'file://\(stage.files)/repos/r.git'}\n")
                let local = try stage.attempt("build")
                try stage.require(local.code == 1 && local.errors.contains("git repository"), "\(local)")
                try stage.write("compose.yaml", "services:\n  app: {build: '\(url)'}\n")
                try stage.inHost(["sh", "-ec", "mkdir -p only && ln -s $(command -v nsenter) only/"])
                    .orThrow()
                let without = try stage.attempt("build", variables: ["PATH=\(stage.files)/only"])
                try stage.require(
                    without.code == 1 && without.errors.contains("git is not installed")
                        && without.errors.contains("apt-get install git"), "\(without)")
            }
        }
    }
}
