// SPDX-License-Identifier: Apache-2.0

import Basics
import ImageBuild
import Images
import Testing

struct BadBuild: Sendable, CustomTestStringConvertible {
    var dockerfile: String
    var doing: String
    var cause: String?
    var advice: String?
    var place: String?
    var testDescription: String { dockerfile.split(separator: "\n").joined(separator: " ⏎ ") }

    init(
        _ dockerfile: String, _ doing: String, cause: String? = nil, advice: String? = nil,
        at place: String? = nil
    ) {
        (self.dockerfile, self.doing, self.cause, self.advice, self.place) = (
            dockerfile, doing, cause, advice, place
        )
    }
}

@Test(
    "a bad build fails with place, cause and advice, and leaves nothing", .enabled(if: isRoot, "needs root"),
    arguments: [
        BadBuild(
            "FROM scratch\nCOPY main.g /", "`COPY` finds no `main.g` in the build context",
            cause: "`main.g` does not exist", advice: "did you mean `main.go`?", at: "2:6"),
        BadBuild(
            "FROM scratch\nCOPY d/filf /", "`COPY` finds no `d/filf` in the build context",
            cause: "`d/filf` does not exist", advice: "did you mean `d/file`?", at: "2:6"),
        BadBuild(
            "FROM scratch\nCOPY main.go secret /d/", "`COPY` finds no `secret` in the build context",
            cause: ".dockerignore leaves it out", advice: "add `!secret` at the end of .dockerignore",
            at: "2:14"),
        BadBuild(
            "FROM scratch\nCOPY --from=host /bin/busybax /",
            "`COPY` finds no `/bin/busybax` in the context `host` (/)",
            cause: "`bin/busybax` does not exist", advice: "did you mean `bin/busybox`?", at: "2:18"),
        BadBuild(
            "FROM scratch AS a\nFROM scratch\nCOPY --from=a /x /", "`COPY` finds no `/x` in stage `a`",
            cause: "`x` does not exist", at: "3:15"),
        BadBuild(
            "FROM scratch\nCOPY main.go d /x", "`COPY` has several sources and one file as its destination",
            advice: "end the destination with a slash: /x/", at: "2:16"),
        BadBuild(
            "FROM scratch\nCOPY *.go /x", "`COPY` found 2 sources and has one file as its destination",
            advice: "end the destination with a slash: /x/", at: "2:11"),
        BadBuild(
            "FROM scratch\nCOPY main.go /x\nCOPY d /x", "cannot copy `d` to `/x`",
            advice: "the image has a file where a directory is needed there, or the reverse", at: "3:1"),
        BadBuild(
            "FROM scratch\nCOPY d /main.go/main.go\nCOPY main.go /main.go/",
            "cannot copy `main.go` to `/main.go`", at: "3:1"),
        BadBuild(
            "FROM scratch\nCOPY --chmod=rw main.go /", "`--chmod=rw` is no mode",
            cause: "it takes an octal number such as 0644, or changes such as u=rwX,go=rX", at: "2:14"),
        BadBuild(
            "FROM scratch\nCOPY --chown=nobody main.go /", "cannot give files to `nobody`",
            cause: "/etc/passwd of the image has no user `nobody`", at: "2:14"),
        BadBuild(
            "FROM scratch\nADD --checksum=sha256:1 main.go /", "`--checksum` is given with no URL",
            at: "2:16"),
        BadBuild(
            "FROM scratch\nADD --checksum=sha256:1 https://h/a main.go /d/",
            "`--checksum` is given with several sources", at: "2:16"),
        BadBuild(
            "FROM scratch\nADD --keep-git-dir main.go /",
            "`--keep-git-dir` is given, and no source is a repository", at: "2:1"),
        BadBuild("FROM scratch\nADD https://h/x /", "cannot fetch https://h/x", at: "2:5"),
        BadBuild("FROM scratch\nADD ftp://h/x /", "`ADD` cannot fetch ftp://h/x", at: "2:5"),
        BadBuild(
            "FROM scratch\nADD git@h:x.git#a..b /", "cannot add the repository git@h:x.git",
            cause: "`a..b` is no name of a branch, tag or commit", at: "2:5"),
        BadBuild(
            "FROM scratch AS t\nONBUILD COPY absent /\nFROM t",
            "`COPY` finds no `absent` in the build context", cause: "`absent` does not exist", at: "1:6"),
        BadBuild(
            "FROM base\nRUN --mount=type=bind,source=../../absent,target=/x true",
            "`RUN --mount` finds no `../../absent` in the build context", cause: "`absent` does not exist",
            at: "2:13"),
        BadBuild(
            "FROM base\nRUN --mount=type=secret,id=s,required true", "the secret `s` is required",
            cause: "the build was given none of that name", at: "2:13"),
        BadBuild(
            "FROM base\nRUN --mount=type=ssh,required true", "the SSH agent `default` is required",
            cause: "the build was given none of that name", at: "2:13"),
        BadBuild(
            "FROM base\nRUN --mount=type=tmpfs,target=/ true", "a mount cannot take the place of `/`",
            at: "2:13"),
        BadBuild(
            "FROM scratch\nADD greedy.xz /", "cannot read `greedy.xz`",
            cause: "the xz stream asks for a window above the 128 MiB that are allowed",
            advice:
                "if you trust it, set COVEY_LAYER_WINDOW to more bytes; or compress it anew at a lower level",
            at: "2:1"),
        BadBuild("FROM scratch\nADD cut.tar.xz /", "cannot unpack `cut.tar.xz`", at: "2:1"),
        BadBuild(
            "FROM scratch\nADD bomb.tar.bz2 /", "cannot unpack `bomb.tar.bz2`",
            cause: "it is larger than allowed: it has more than 1048576 bytes unpacked", at: "2:1"),
        BadBuild("FROM nowhere", "image \"nowhere\" is not in the store", at: "1:6"),
        BadBuild("FROM host", "`FROM host` names the directory /", at: "1:6"),
        BadBuild(
            "FROM $V", "`FROM` names no image", cause: "`$V` is empty once its variables are replaced",
            at: "1:6"),
        BadBuild(
            "FROM --platform=windows/amd64 scratch", "cannot build for `windows/amd64`", at: "1:17"),
        BadBuild(
            "FROM scratch\nCOPY --from=late /x /\nFROM scratch AS late\nFROM 0\n",
            "image \"0\" is not in the store", at: "4:6"),
        BadBuild(
            "FROM scratch AS x\nCOPY --from=late /x /\nFROM scratch AS late\nFROM x\n",
            "`--from=late` names a stage that does not come before this one",
            cause: "a stage can only copy from earlier ones", at: "2:13"),
        BadBuild("FROM scratch\nEXPOSE http", "`http` is not a port", at: "2:8"),
        BadBuild("FROM scratch\nEXPOSE 70000", "`70000` is not a port", at: "2:8"),
        BadBuild(
            "FROM scratch\nSTOPSIGNAL SIGINTT", "`SIGINTT` is not a signal", advice: "did you mean `SIGINT`?",
            at: "2:12"),
        BadBuild("FROM scratch\nUSER $NONE", "`USER` is empty", at: "2:6"),
        BadBuild("FROM scratch\nWORKDIR $NONE", "`WORKDIR` is empty", at: "2:9"),
        BadBuild("FROM scratch\nWORKDIR ${X:?needed}", "`X` has no value", cause: "needed", at: "2:9"),
        BadBuild(
            "FROM base\nRUN echo hi; echo there >&2; exit 3",
            "step 2/2, RUN echo hi; echo there >&2; exit 3, failed",
            cause:
                "`/bin/sh -c echo hi; echo there >&2; exit 3` exited with code 3; its last lines:\n    | hi\n    | there",
            at: "2:1"),
        BadBuild(
            "FROM base\nRUN exit 137", "step 2/2, RUN exit 137, failed",
            cause: "`/bin/sh -c exit 137` was killed by signal 9 and wrote nothing", at: "2:1"),
    ])
func fails(_ bad: BadBuild) throws {
    let sandbox = try BuildSandbox(
        """
        main.go = x
        util.go = y
        d/file = z
        secret = s
        .dockerignore = secret
        """)
    if bad.dockerfile.contains("FROM base") { try sandbox.makeBase() }
    try sandbox.write("placeholder = 1")
    if [".xz", ".bz2"].contains(where: bad.dockerfile.contains) { makeArchives(sandbox.context) }
    var store = sandbox.store
    store.limits.bytes = 1 << 20
    let failure = try #require(
        failing { _ = try sandbox.build(bad.dockerfile, into: store) }, "the build fails")
    #expect(failure.doing == bad.doing)
    if let cause = bad.cause { #expect(failure.cause == cause) }
    if let advice = bad.advice { #expect(failure.advice == advice) }
    #expect(failure.location.map { "\($0.line):\($0.column)" } == bad.place)
    #expect((try? sandbox.store.lookUp("test")) == .some(nil))
    try sandbox.expectNothingLeft()
}

/// An xz header that asks for a gigabyte, a tar that ends too early, and one of two megabytes of zeros.
private func makeArchives(_ context: String) {
    let script = """
        cd "$0" && echo x | xz --lzma2=preset=0,dict=1GiB >greedy.xz
        head -c 100000 /dev/urandom >noise && tar -cJf whole noise && head -c 50000 whole >cut.tar.xz
        truncate -s 2M zeros && tar -cjf bomb.tar.bz2 zeros
        """
    #expect(spawn(["/bin/sh", "-ec", script, context], ["PATH=/usr/bin:/bin"]) == 0)
}

@Test("an unknown target is an error with the nearest stage")
func unknownTarget() throws {
    let sandbox = try BuildSandbox()
    let failure = failing { _ = try sandbox.build("FROM scratch AS release") { $0.target = "relase" } }
    #expect(failure?.advice == "did you mean `release`?")
}

@Test("a malformed ignore file is an error with its line", .enabled(if: isRoot, "needs root"))
func badIgnoreFile() throws {
    let sandbox = try BuildSandbox("a = 1\n.dockerignore = x⏎[")
    let failure = failing { _ = try sandbox.build("FROM scratch\nCOPY a /") }
    #expect(failure?.location?.line == 2)
}

@Test("named contexts are read as Compose writes them")
func contexts() throws {
    #expect(try NamedContext(name: "a", text: "/x") == .directory("/x"))
    #expect(try NamedContext(name: "a", text: "docker-image://alpine:3") == .image("alpine:3"))
    #expect(try NamedContext(name: "a", text: "oci-layout:///x") == .image("oci:/x"))
    #expect(try NamedContext(name: "a", text: "oci:/x") == .image("oci:/x"))
    for text in ["service:web", "https://example.com/x.git", "x"] {
        #expect(throws: Failure.self) { try NamedContext(name: "a", text: text) }
    }
}
