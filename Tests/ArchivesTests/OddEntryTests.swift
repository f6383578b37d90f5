// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import Kernel
import Testing

/// One entry's header and body as they stand in an archive, without its end.
private func part(_ entry: TarEntry, _ body: [UInt8] = []) throws -> [UInt8] {
    let sink = MemorySink()
    let writer = TarWriter(sink)
    try writer.add(entry, body: body)
    try writer.finish()
    return Array(sink.bytes[..<(512 + (body.count + 511) / 512 * 512)])
}

/// A PAX header of records that may be right or wrong.
private func pax(_ records: String) throws -> [UInt8] {
    patched(try part(file("PaxHeaders/x"), Array(records.utf8)), at: 156, [UInt8(ascii: "x")])
}

/// `<length> <key>=<value>\n`, the length counting itself.
private func record(_ text: String) -> String {
    let rest = " \(text)\n"
    var length = rest.utf8.count
    while "\(length)".utf8.count + rest.utf8.count != length {
        length = "\(length)".utf8.count + rest.utf8.count
    }
    return "\(length)\(rest)"
}

private let end = [UInt8](repeating: 0, count: 1024)

@Suite("entries that are odd")
struct OddEntryTests {
    @Test("of two entries with one path the later counts, and nothing is written through the first one")
    func duplicates() throws {
        let ground = try Ground()
        let notes = try ground.unpack(
            try tar([
                (file("a"), "one"), (link("h", "a", .hardlink), ""), (file("a", mode: 0o600), "two"),
                (folder("d"), ""), (file("d/x"), "gone"), (file("d"), "a file now"),
                (file("e"), "a file"), (folder("e"), ""), (file("e/x"), "in it"),
                (TarEntry(.fifo, "p", mode: 0o600), ""), (file("p"), "no pipe"),
            ]))
        let path = "\(ground.path)/in"
        #expect(try readText("\(path)/h") == "one" && readText("\(path)/a") == "two")
        #expect(try fileStatus("\(path)/a").st_mode & 0o777 == 0o600)
        #expect(try readText("\(path)/d") == "a file now" && readText("\(path)/e/x") == "in it")
        #expect(try readText("\(path)/p") == "no pipe")
        #expect(notes.entries == 11)
        #expect(try directoryEntries(path) == ["a", "d", "e", "h", "p"])
    }

    @Test("names that look alike are other names: composed and not, either case, turned and without width")
    func unicode() throws {
        let ground = try Ground()
        let names = [
            "\u{e9}", "e\u{301}", "stra\u{df}e", "STRASSE", "x\u{202e}gpj.exe", "a\u{200b}b", "ab", "K",
            "\u{212a}",
        ]
        _ = try ground.unpack(
            try tar(names.enumerated().map { (file($0.element), "\($0.offset)") }))
        let top = try openFile("\(ground.path)/in", flags: O_RDONLY | O_DIRECTORY)
        let found = Set(try entryNames(of: top.raw).map { $0.dropLast().map { UInt8(bitPattern: $0) } })
        // A string compares by meaning: bytes are what the archive and the kernel have.
        #expect(found == Set(names.map { Array($0.utf8) }))
        for (number, name) in names.enumerated() {
            #expect(try readText("\(ground.path)/in/\(name)") == "\(number)")
        }
    }

    @Test("what follows the archive's end is no entry")
    func ghost() throws {
        let ground = try Ground()
        let notes = try ground.unpack(
            try part(file("real"), Array("r".utf8)) + end + part(file("ghost"), Array("g".utf8)) + end)
        #expect(notes.entries == 1)
        #expect(try directoryEntries("\(ground.path)/in") == ["real"])
    }

    @Test("a PAX header's word counts before the header's, for name, link and size, as with GNU tar")
    func overrides() throws {
        let ground = try Ground()
        var shown = link("shown-link", "shown-target")
        shown.mode = 0o777
        let hidden = try part(file("hidden"), Array("h".utf8))
        // The header says that the hidden entry is its body; the PAX header says that it has none.
        var carrier = try part(file("carrier"), hidden)
        carrier = try pax(record("size=0")) + carrier
        let bytes =
            try pax(record("path=real")) + part(file("shown"), Array("x".utf8))
            + pax(record("path=link") + record("linkpath=real")) + part(shown)
            + pax("") + part(file("plain")) + carrier + end
        _ = try ground.unpack(bytes)
        let path = "\(ground.path)/in"
        #expect(try directoryEntries(path) == ["carrier", "hidden", "link", "plain", "real"])
        #expect(try readLink("\(path)/link") == "real")
        try writeFile("\(ground.path)/a.tar", bytes)
        try ensureDirectory("\(ground.path)/tar")
        #expect(system("cd \(ground.path)/tar && tar xf ../a.tar") == 0)
        #expect(try directoryEntries("\(ground.path)/tar") == directoryEntries(path))
    }

    static let oddRecords: [(String, String)] = [
        ("path=x\n", "valid length"), ("0 path=x\n", "valid length"), ("-9 path=x\n", "valid length"),
        ("9999 path=x\n", "valid length"), ("7 path\n", "without `=`"), ("9 path=x!", "line end"),
        ("99999999999999999999 path=x\n", "valid length"), (record("size=-1"), "no number"),
        (record("size=99999999999999999999"), "no number"), (record("size=1e3"), "no number"),
        (record("size=999999999999999999"), "truncated"), (record("uid=4294967295"), "impossible owner"),
        (record("gid=-1"), "no number"), (record("mtime=soon"), "no number"),
        (record("mtime=1.x"), "no number"), (record("path="), "no directory"),
        (record("path=../out/new"), "`..`"), (record("path=a\u{0}b"), "`..`"),
        (record("path=/"), "no directory"), (record("GNU.sparse.major=1"), "sparse"),
        (record("GNU.sparse.name=x"), "sparse"), (record("path=" + String(repeating: "n/", count: 3000)), ""),
        (record("path=" + String(repeating: "n", count: 300)), "longer than Linux allows"),
    ]

    @Test("a PAX header that is none, or says what can't be, is told", arguments: oddRecords)
    func records(text: String, expected: String) throws {
        let ground = try Ground()
        let bytes = try pax(text) + part(file("a"), Array("x".utf8)) + end
        let error = #expect(throws: ArchiveError.self) { try ground.unpack(bytes) }
        #expect(expected.isEmpty || error?.cause.contains(expected) == true, "\(error?.cause ?? "")")
        #expect(try ground.isIntact())
    }

    @Test("PAX times before 1970 and with fractions arrive")
    func times() throws {
        let ground = try Ground()
        _ = try ground.unpack(
            try pax(record("mtime=-1.25") + record("atime=5")) + part(file("a")) + end)
        let status = try fileStatus("\(ground.path)/in/a")
        #expect(status.st_mtim.tv_sec == -2 && status.st_mtim.tv_nsec == 750_000_000)
    }

    @Test("headers before one entry have one limit together, however many they are")
    func manyHeaders() throws {
        let one = try pax(record("comment=" + String(repeating: "c", count: 100_000)))
        let few = try (0..<5).flatMap { _ in one } + part(file("a")) + end
        let ground = try Ground()
        _ = try ground.unpack(few)
        let many = try (0..<20).flatMap { _ in one } + part(file("b")) + end
        let error = #expect(throws: ArchiveError.self) { try ground.unpack(many) }
        #expect(error?.cause.contains("1 MiB is allowed") == true, "\(error?.cause ?? "")")
    }
}
