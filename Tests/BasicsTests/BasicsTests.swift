// SPDX-License-Identifier: Apache-2.0

import Basics
import Testing

@Suite("values every layer speaks")
struct BasicsTests {
    @Test("SHA-256 gives FIPS 180-4's example digests")
    func sha256() {
        #expect(Digest(of: []).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            Digest(of: "abc".utf8).hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Digest(of: "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8).hex
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            Digest(of: repeatElement(UInt8(ascii: "a"), count: 200)).hex
                == "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5")
    }

    @Test(
        "only a sha256 digest in lower-case hex is a digest",
        arguments: ["sha256:../../x", "sha512:aa", "sha256:AB", ""])
    func digestRefuses(text: String) { #expect(Digest(text) == nil) }

    @Test(
        "durations read as Compose writes them",
        arguments: [("1m30s", 90_000), ("1.5s", 1500), ("0", 0), ("10ms", 10)])
    func durations(text: String, milliseconds: Int) {
        #expect(Duration(compose: text) == .milliseconds(milliseconds))
    }

    @Test("what is no duration is nil", arguments: ["", "5", "1x", "s", "-1s", "1m 2s"])
    func noDuration(text: String) { #expect(Duration(compose: text) == nil) }

    @Test(
        "byte sizes use binary units",
        arguments: [("1k", 1024), ("2mb", 2 << 20), ("0.5g", 1 << 29), ("7", 7)])
    func byteSizes(text: String, bytes: Int64) { #expect(ByteSize(text)?.bytes == bytes) }

    @Test("a misspelt name finds its neighbour, a foreign one finds none")
    func suggestion() {
        #expect(nearest(to: "enviroment", among: ["environment", "entrypoint"]) == "environment")
        #expect(nearest(to: "imgae", among: ["image", "init"]) == "image")
        #expect(nearest(to: "zebra", among: ["image", "init"]) == nil)
        #expect(nearest(to: "abdc", among: ["abcd"]) == "abcd")
        #expect(nearest(to: "badcfe", among: ["abcdef"]) == nil)
        #expect(nearest(to: "badcfegh", among: ["abcdefgh", "badcfeg"]) == "badcfeg")
        #expect(nearest(to: "IMAGES", among: ["imago", "image"]) == "image")
        #expect(nearest(to: "größe", among: ["GRÖSSE", "Größe"]) == "Größe")
        #expect(nearest(to: "", among: ["a", "ab"]) == "a")
    }

    @Test("how much is done at once is a number from 1 on, or ours to choose")
    func parallel() throws {
        #expect(try parallelLimit([:]) == nil)
        #expect(try parallelLimit(["COMPOSE_PARALLEL_LIMIT": "-1"]) == nil)
        #expect(try parallelLimit(["COMPOSE_PARALLEL_LIMIT": "7"]) == 7)
        for text in ["0", "-2", "many", "1.5"] {
            #expect(throws: Failure.self) { try parallelLimit(["COMPOSE_PARALLEL_LIMIT": text]) }
        }
    }

    @Test("a caret stands below a letter beyond the cut of a long line, and after letters of several scalars")
    func longLine() {
        let line = String(repeating: "x", count: 500) + "!" + String(repeating: "y", count: 500)
        let long = SourceLocation(file: "a", line: 1, column: 501, lineText: line).excerpt ?? ""
        let rows = long.split(separator: "\n").map(Array.init)
        #expect(rows.count == 2 && rows[1].firstIndex(of: "^").map { rows[0][$0] } == "!", "\(long)")
        let flags = SourceLocation(file: "a", line: 1, column: 5, lineText: "\u{1F1E9}\u{1F1EA}: !").excerpt
        #expect(flags == "  1 | \u{1F1E9}\u{1F1EA}: !\n    |     ^")
    }

    @Test("a failure shows its place with a caret")
    func failureText() {
        let place = SourceLocation(file: "compose.yaml", line: 14, column: 9, lineText: "      - 80:80:80")
        let failure = Failure("`ports[0]` is \"80:80:80\"", advice: "write \"80:80\"", at: place)
        #expect(
            failure.description == """
                compose.yaml:14:9: error: `ports[0]` is "80:80:80"
                  14 |       - 80:80:80
                     |         ^
                  try:   write "80:80"
                """)
    }
}
