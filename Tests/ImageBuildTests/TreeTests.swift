// SPDX-License-Identifier: Apache-2.0

import Basics
import CLinux
import ImageBuild
import Kernel
import Testing

struct TreeCase: Sendable, CustomTestStringConvertible {
    var title: String
    var context: String
    var dockerfile: String
    var tree: String
    var testDescription: String { title }

    init(_ title: String, _ context: String, _ dockerfile: String, _ tree: String) {
        (self.title, self.context, self.dockerfile, self.tree) = (title, context, dockerfile, tree)
    }
}

@Test(
    "files are copied as Docker copies them",
    .enabled(if: isRoot, "needs root to mount overlays and set owners"),
    arguments: [
        TreeCase("a file to a path", "a 640 = x", "FROM scratch\nCOPY a /b", "f 640 0:0 b = x"),
        TreeCase(
            "a file into a directory that has to be made", "a = x", "FROM scratch\nCOPY a /d/e/",
            "d 755 0:0 d\nd 755 0:0 d/e\nf 644 0:0 d/e/a = x"),
        TreeCase(
            "a file into a directory that is there", "a = x\nd/k = y", "FROM scratch\nCOPY d /d\nCOPY a /d",
            "d 755 0:0 d\nf 644 0:0 d/a = x\nf 644 0:0 d/k = y"),
        TreeCase(
            "several files", "a = 1\nb = 2", "FROM scratch\nCOPY a b /d/",
            "d 755 0:0 d\nf 644 0:0 d/a = 1\nf 644 0:0 d/b = 2"),
        TreeCase(
            "a directory's contents, not itself", "s/ 750\ns/a = 1\ns/t/ 700\ns/t/b = 2",
            "FROM scratch\nCOPY s /d",
            "d 750 0:0 d\nf 644 0:0 d/a = 1\nd 700 0:0 d/t\nf 644 0:0 d/t/b = 2"),
        TreeCase(
            "a directory merged into one that exists", "s/t/b = 2\nr/t/ 700\nr/t/c = 3",
            "FROM scratch\nCOPY s /d\nCOPY r /d",
            "d 755 0:0 d\nd 700 0:0 d/t\nf 644 0:0 d/t/b = 2\nf 644 0:0 d/t/c = 3"),
        TreeCase(
            "the whole context, with its ignore file",
            ".dockerignore = *.log⏎!keep.log⏎d⏎!d/k\na = 1\nx.log = 2\nkeep.log = 3\nd/k = 4\nd/l = 5",
            "FROM scratch\nCOPY . /c/",
            "d 755 0:0 c\nf 644 0:0 c/.dockerignore = *.log⏎!keep.log⏎d⏎!d/k\nf 644 0:0 c/a = 1\nd 755 0:0 c/d\nf 644 0:0 c/d/k = 4\nf 644 0:0 c/keep.log = 3"
        ),
        TreeCase(
            "wildcards", "a.c = 1\nb.c = 2\nc.h = 3\ns/x.c = 4\nt/x.c = 5",
            "FROM scratch\nCOPY *.c /d/\nCOPY ?/x.c /e/",
            "d 755 0:0 d\nf 644 0:0 d/a.c = 1\nf 644 0:0 d/b.c = 2\nd 755 0:0 e\nf 644 0:0 e/x.c = 5"),
        TreeCase(
            "a name with a bracket, escaped", "a[1] = x", "FROM scratch\nCOPY a[[]1] /", "f 644 0:0 a[1] = x"),
        TreeCase(
            "links within a directory as they are", "s/a = 1\ns/l -> a\ns/out -> /etc/passwd\ns/gone -> none",
            "FROM scratch\nCOPY s /d",
            "d 755 0:0 d\nf 644 0:0 d/a = 1\nl 0:0 d/gone -> none\nl 0:0 d/l -> a\nl 0:0 d/out -> /etc/passwd"
        ),
        TreeCase(
            "a link that is named is followed", "s/a = 1\nl -> s/a\nm -> /s",
            "FROM scratch\nCOPY l /l\nCOPY m /m/",
            "f 644 0:0 l = 1\nd 755 0:0 m\nf 644 0:0 m/a = 1"),
        TreeCase(
            "a link out of the context stays inside", "l -> ../../../../etc/x\netc/x = mine",
            "FROM scratch\nCOPY l /l",
            "f 644 0:0 l = mine"),
        TreeCase(
            "dots do not climb out of the context", "a = 1", "FROM scratch\nCOPY ../../a /", "f 644 0:0 a = 1"
        ),
        TreeCase(
            "owner and mode by number", "s/a = 1\ns/l -> a",
            "FROM scratch\nCOPY --chown=5:6 --chmod=701 s /d",
            "d 701 5:6 d\nf 701 5:6 d/a = 1\nl 5:6 d/l -> a"),
        TreeCase(
            "an owner by number alone is group too", "a = 1", "FROM scratch\nCOPY --chown=5 a /n/a",
            "d 755 5:5 n\nf 644 5:5 n/a = 1"),
        TreeCase(
            "owners by name", "a = 1",
            "FROM base\nCOPY --chown=me:us a /a\nCOPY --chown=me a /b\nCOPY --chown=:us a /c\nFROM scratch\nCOPY --from=0 /a /b /c /",
            "f 644 1000:2000 a = 1\nf 644 1000:1001 b = 1\nf 644 0:2000 c = 1"),
        TreeCase(
            "a working directory is made and counts", "a = 1",
            "FROM scratch\nWORKDIR /w\nWORKDIR x\nCOPY a .\nCOPY a b",
            "d 755 0:0 w\nd 755 0:0 w/x\nf 644 0:0 w/x/a = 1\nf 644 0:0 w/x/b = 1"),
        TreeCase(
            "a link in the image leads within it", "a = 1\ns/real/\ns/l -> /real\ns/f -> /real/t",
            "FROM scratch\nCOPY s /\nCOPY a /l/\nCOPY a /f",
            "l 0:0 f -> /real/t\nl 0:0 l -> /real\nd 755 0:0 real\nf 644 0:0 real/a = 1\nf 644 0:0 real/t = 1"
        ),
        TreeCase(
            "a file takes a file's place", "a = 1\nb = 2", "FROM scratch\nCOPY a /x\nCOPY b /x",
            "f 644 0:0 x = 2"),
        TreeCase(
            "a nested file takes a link's place", "s/x -> nowhere\nt/x = 2",
            "FROM scratch\nCOPY s /d\nCOPY t /d",
            "d 755 0:0 d\nf 644 0:0 d/x = 2"),
        TreeCase(
            "variables in sources and destinations", "a-1 = x",
            "ARG V=9\nFROM scratch\nARG V=1\nENV D=/d\nCOPY a-$V ${D}/${NONE:-e}",
            "d 755 0:0 d\nf 644 0:0 d/e = x"),
        TreeCase(
            "files that stand in the Dockerfile", "",
            "FROM scratch\nARG W=world\nCOPY <<a <<\"b\" /d/\nhello $W \"q\"\na\nraw $W\nb\nCOPY --chmod=755 --chown=1:2 <<-EOF /x\n\t\ttabs\n\tEOF",
            "d 755 0:0 d\nf 644 0:0 d/a = hello world \"q\"⏎\nf 644 0:0 d/b = raw $W⏎\nf 755 1:2 x = tabs⏎"),
        TreeCase(
            "from a stage, owners kept", "a = 1",
            "FROM scratch AS s\nCOPY --chown=3:4 a /d/a\nFROM scratch\nCOPY --from=s /d /e\nCOPY --from=0 --chown=9:9 /d/a /",
            "f 644 9:9 a = 1\nd 755 3:4 e\nf 644 3:4 e/a = 1"),
        TreeCase(
            "a stage over several layers", "a = 1\nb = 2",
            "FROM scratch AS s\nCOPY a /d/a\nCOPY b /d/b\nFROM s AS t\nFROM scratch\nCOPY --from=t / /",
            "d 755 0:0 d\nf 644 0:0 d/a = 1\nf 644 0:0 d/b = 2"),
        TreeCase("ADD of a file that is no archive", "a = 1", "FROM scratch\nADD a /", "f 644 0:0 a = 1"),
        TreeCase(
            "RUN changes, deletes and makes", "a = 1",
            "FROM base AS b\nCOPY a /d/a\nCOPY a /d/b\nRUN rm /d/a && mkdir -m 711 /d/n && echo $((1+1)) > /d/n/two\nFROM scratch\nCOPY --from=b /d /d",
            "d 755 0:0 d\nf 644 0:0 d/b = 1\nd 711 0:0 d/n\nf 644 0:0 d/n/two = 2⏎"),
        TreeCase(
            "RUN sees variables, directory and user", "",
            "FROM base AS b\nARG A=1\nENV E=2\nARG U\nWORKDIR /w\nRUN chmod 777 . && echo $A$E$U $PWD > x\nUSER me\nRUN id -u > y\nFROM scratch\nCOPY --from=b /w /",
            "f 644 0:0 x = 12 /w⏎\nf 644 1000:1001 y = 1000⏎"),
        TreeCase(
            "RUN in exec form and with another shell", "",
            "FROM base AS b\nRUN [\"/bin/touch\", \"/r a\"]\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN echo $0 > /r2\nFROM scratch\nCOPY --from=b [\"/r a\", \"/r2\", \"/\"]",
            "f 644 0:0 r a\nf 644 0:0 r2 = /bin/sh⏎"),
        TreeCase(
            "modes that change what there is", "s/a = 1\ns/x 711 = 2\ns/d/ 700",
            "FROM scratch\nCOPY --chmod=u=rwX,go=rX s /d\nCOPY --chmod=g+w,o= s/a /b\nCOPY --chmod=a+x,u+s s/a /c",
            "f 660 0:0 b = 1\nf 4755 0:0 c = 1\nd 755 0:0 d\nf 644 0:0 d/a = 1\nd 755 0:0 d/d\nf 755 0:0 d/x = 2"
        ),
        TreeCase(
            "what is excluded stays out", "s/a.o = 1\ns/b = 2\ns/t/c.o = 3\ns/t/d = 4",
            "FROM scratch\nCOPY --exclude=*.o s /d\nCOPY --exclude=**/*.o --exclude=b s /e",
            "d 755 0:0 d\nf 644 0:0 d/b = 2\nd 755 0:0 d/t\nf 644 0:0 d/t/c.o = 3\nf 644 0:0 d/t/d = 4\nd 755 0:0 e\nd 755 0:0 e/t\nf 644 0:0 e/t/d = 4"
        ),
        TreeCase(
            "parents come along, from the mark on", "x/ 750\nx/y/a = 1\nx/z/b = 2\nx/z/c.t = 3",
            "FROM scratch\nCOPY --parents x/y/a x/z /d/\nCOPY --parents x/./z/b /e/\nCOPY --parents ./x/**/*.t /f/",
            "d 755 0:0 d\nd 750 0:0 d/x\nd 755 0:0 d/x/y\nf 644 0:0 d/x/y/a = 1\nd 755 0:0 d/x/z\nf 644 0:0 d/x/z/b = 2\nf 644 0:0 d/x/z/c.t = 3\nd 750 0:0 e\nd 755 0:0 e/z\nf 644 0:0 e/z/b = 2\nd 755 0:0 f\nd 750 0:0 f/x\nd 755 0:0 f/x/z\nf 644 0:0 f/x/z/c.t = 3"
        ),
        TreeCase(
            "a linked copy stands for itself", "a = 1\nb = 2",
            "FROM scratch\nCOPY a /d/a\nCOPY --link --chown=5:6 b /d/b\nCOPY --link <<E /c\nx\nE",
            "f 644 0:0 c = x⏎\nd 755 5:6 d\nf 644 0:0 d/a = 1\nf 644 5:6 d/b = 2"),
        TreeCase(
            "ENV hides ARG, both expand where Docker expands", "",
            "FROM scratch\nARG X=arg\nENV X=env Y=$X\nCOPY <<EOF /x\n$X $Y\nEOF", "f 644 0:0 x = env arg⏎"),
    ])
func copies(_ each: TreeCase) throws {
    let sandbox = try BuildSandbox(each.context)
    if each.dockerfile.contains("FROM base") { try sandbox.makeBase() }
    _ = try sandbox.build(each.dockerfile)
    #expect(try sandbox.tree() == each.tree)
    try sandbox.expectNothingLeft()
}

@Test("heredocs run as scripts, as shell text and as input", .enabled(if: isRoot, "needs root"))
func heredocs() throws {
    let sandbox = try BuildSandbox()
    try sandbox.makeBase()
    _ = try sandbox.build(
        """
        FROM base AS b
        RUN <<EOF
        echo one > /d-h
        echo two >> /d-h
        EOF
        RUN cat > /d-i <<'EOF'
        three $x
        EOF
        RUN <<EOF
        #!/bin/sh -e
        echo script > /d-j
        EOF
        FROM scratch
        COPY --from=b /d-* /
        """)
    #expect(
        try sandbox.tree() == "f 644 0:0 d-h = one⏎two⏎\nf 644 0:0 d-i = three $x⏎\nf 644 0:0 d-j = script⏎")
    let image = try sandbox.image("test")
    #expect(image.diffIDs.count == 1)
}

@Test("hard links, times and attributes come along", .enabled(if: isRoot, "needs root"))
func metadata() throws {
    let sandbox = try BuildSandbox("s/a = 1")
    #expect(spawn(["/bin/ln", "\(sandbox.context)/s/a", "\(sandbox.context)/s/b"]) == 0)
    #expect(spawn(["/usr/bin/touch", "-d", "2001-02-03T04:05:06Z", "\(sandbox.context)/s/a"]) == 0)
    let value: [UInt8] = [1, 2]
    #expect(setxattr("\(sandbox.context)/s/a", "user.note", value, 2, 0) == 0)
    _ = try sandbox.build("FROM scratch\nCOPY s /d")
    #expect(try sandbox.tree() == "d 755 0:0 d\nf 644 0:0 d/a x2 = 1\nf 644 0:0 d/b x2 = 1")
    let file = try sandbox.image().facts.layers[0] + "/d/a"
    #expect(try fileStatus(file).st_mtim.tv_sec == 981_173_106)
    var read = [UInt8](repeating: 0, count: 2)
    #expect(getxattr(file, "user.note", &read, 2) == 2)
    #expect(read == value)
}

@Test(
    "a file whose first name was replaced meanwhile is what it was under its other names",
    .enabled(if: isRoot, "needs root"))
func replacedLink() throws {
    let sandbox = try BuildSandbox("a/x = one\nb/x = other")
    #expect(spawn(["/bin/ln", "\(sandbox.context)/a/x", "\(sandbox.context)/b/y"]) == 0)
    #expect(spawn(["/bin/ln", "\(sandbox.context)/a/x", "\(sandbox.context)/b/z"]) == 0)
    _ = try sandbox.build("FROM scratch\nCOPY a b /d/")
    #expect(
        try sandbox.tree()
            == "d 755 0:0 d\nf 644 0:0 d/x = other\nf 644 0:0 d/y x2 = one\nf 644 0:0 d/z x2 = one")
}

@Test(
    "ADD unpacks a tar, plain and compressed", .enabled(if: isRoot, "needs root"),
    arguments: ["", "--gzip", "--zstd", "--xz", "--bzip2"])
func addsArchive(_ compression: String) throws {
    let sandbox = try BuildSandbox("s/d/ 711\ns/d/a 600 = 1\ns/l -> d/a\nold/d/ 755\nold/d/z = 9")
    var arguments = [
        "/bin/tar", "-C", "\(sandbox.context)/s", "--owner=7", "--group=8", "-cf", "\(sandbox.context)/x.tar",
    ]
    if !compression.isEmpty { arguments.append(compression) }
    #expect(spawn(arguments + ["d", "l"], ["PATH=/usr/bin:/bin"]) == 0)
    _ = try sandbox.build("FROM scratch\nCOPY old /e\nADD x.tar /e\nCOPY x.tar /kept/")
    let tree = try sandbox.tree().split(separator: "\n").filter { !$0.contains("kept") }.joined(
        separator: "\n")
    #expect(
        tree == "d 755 0:0 e\nd 711 7:8 e/d\nf 600 7:8 e/d/a = 1\nf 644 0:0 e/d/z = 9\nl 7:8 e/l -> d/a")
    #expect(try sandbox.tree().contains("kept/x.tar"))
    try sandbox.expectNothingLeft()
}

@Test(
    "what only begins like an archive, or holds something else than a tar, is added as the file it is",
    .enabled(if: isRoot, "needs root"))
func addsWhatIsNoArchive() throws {
    let sandbox = try BuildSandbox("a = 1")
    let heads: [(String, [UInt8])] = [
        ("gzip", [0x1F, 0x8B, 8, 0]), ("zstd", [0x28, 0xB5, 0x2F, 0xFD]),
        ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, 1, 2]), ("bzip2", Array("BZh9".utf8)),
    ]
    for (name, bytes) in heads { try writeFile("\(sandbox.context)/\(name)", bytes) }
    #expect(spawn(["/usr/bin/xz", "\(sandbox.context)/a"]) == 0)
    _ = try sandbox.build("FROM scratch\nADD a.xz gzip zstd xz bzip2 /d/")
    let directory = try sandbox.image().facts.layers[0] + "/d"
    for (name, bytes) in heads { #expect(try readFile("\(directory)/\(name)") == bytes) }
    #expect(try readFile("\(directory)/a.xz") == readFile("\(sandbox.context)/a.xz"))
}

@Test("only what is named is read of a named context", .enabled(if: isRoot, "needs root"))
func namedContext() throws {
    let sandbox = try BuildSandbox()
    _ = try sandbox.build("FROM scratch\nCOPY --from=host /bin/busybox /bin/busybox")
    #expect(try sandbox.tree() == "d 755 0:0 bin")
    let image = try sandbox.image()
    #expect(
        try fileStatus(image.facts.layers[0] + "/bin/busybox").st_size == fileStatus("/bin/busybox").st_size)
}
