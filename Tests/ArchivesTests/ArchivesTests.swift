// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import Kernel
import Testing

/// A directory of the test's own, `in` for what is unpacked and `out` beside it for what must not be touched.
final class Ground {
    let path: String

    init(_ name: String = #function) throws {
        let plain = name.filter { $0.isLetter }
        path = "/var/tmp/covey-archives-\(getpid())-\(plain)-\(UInt32.random(in: 0 ... .max))"
        try ensureDirectory("\(path)/in")
        try ensureDirectory("\(path)/out")
        try writeFile("\(path)/out/kept", "kept".utf8)
    }

    deinit {
        if let parent = try? openFile("/var/tmp", flags: O_RDONLY | O_DIRECTORY) {
            try? removeEntry(String(path.dropFirst("/var/tmp/".count)).cName, at: parent.raw)
        }
    }

    func unpack(_ bytes: [UInt8]) throws(ArchiveError) -> UnpackNotes {
        let top: OwnedFD
        do throws(SyscallError) { top = try openFile("\(path)/in", flags: O_RDONLY | O_DIRECTORY) } catch {
            throw .system(error)
        }
        return try unpackLayer(TarReader(Decompressed(MemorySource(bytes))), into: top.raw)
    }

    /// Everything outside of `in` is as it was.
    func isIntact() throws -> Bool {
        try directoryEntries("\(path)/out") == ["kept"] && readText("\(path)/out/kept") == "kept"
            && directoryEntries(path) == ["in", "out"] && fileStatus("\(path)/out/kept").st_nlink == 1
            && fileStatus("\(path)/out/kept").st_mode & 0o7777 == 0o644
    }
}

/// Collects what is written.
final class MemorySink: ByteSink {
    var bytes: [UInt8] = []
    func write(_ more: UnsafeRawBufferPointer) { bytes += more }
    func finish() {}
}

func tar(_ entries: [(TarEntry, String)], gzip: Bool = false) throws -> [UInt8] {
    let sink = MemorySink()
    let writer = TarWriter(gzip ? try GzipSink(sink) : sink)
    for (entry, body) in entries { try writer.add(entry, body: Array(body.utf8)) }
    try writer.finish()
    return sink.bytes
}

func file(_ path: String, mode: UInt32 = 0o644) -> TarEntry { TarEntry(.file, path, mode: mode) }
func folder(_ path: String, mode: UInt32 = 0o755) -> TarEntry { TarEntry(.directory, path, mode: mode) }
func link(_ path: String, _ target: String, _ kind: TarEntry.Kind = .symlink) -> TarEntry {
    var entry = TarEntry(kind, path, mode: 0o777)
    entry.link = Array(target.utf8)
    return entry
}

/// Puts a header's field and mends its checksum.
func patched(_ bytes: [UInt8], at offset: Int, _ field: [UInt8]) -> [UInt8] {
    var bytes = bytes
    bytes.replaceSubrange(offset..<(offset + field.count), with: field)
    bytes.replaceSubrange(148..<156, with: Array("        ".utf8))
    let digits = String(bytes[..<512].reduce(0) { $0 + Int($1) }, radix: 8)
    bytes.replaceSubrange(
        148..<156, with: Array(String(repeating: "0", count: 6 - digits.count).utf8) + digits.utf8 + [0, 32])
    return bytes
}

@Suite("tar, gzip and zstd as streams")
struct FormatTests {
    @Test("what is written reads back: long names, large numbers, links, attributes, fifos, devices")
    func roundTrip() throws {
        var long = file(String(repeating: "long/", count: 60) + "name")
        long.uid = 3_000_000
        long.gid = 4_000_000
        long.modified = 1_700_000_000
        long.xattrs = [.init(name: "user.colour", value: [1, 0, 10, 255]), .init(name: "user.b", value: [])]
        var device = TarEntry(.characterDevice, "dev/null", mode: 0o666)
        (device.deviceMajor, device.deviceMinor) = (1, 3)
        var old = file("old")
        old.modified = -5
        let entries = [
            folder("d/"), file("täst"), long, link("l", String(repeating: "t", count: 200)),
            link("h", "old", .hardlink),
            TarEntry(.fifo, "pipe", mode: 0o600), device, old,
        ]
        let reader = TarReader(try Decompressed(MemorySource(try tar(entries.map { ($0, "") }, gzip: true))))
        for entry in entries {
            var read = try #require(try reader.next())
            read.xattrs.sort { $0.name < $1.name }
            var expected = entry
            expected.xattrs.sort { $0.name < $1.name }
            #expect(read == expected)
        }
        #expect(try reader.next() == nil)
    }

    @Test("equal entries give equal bytes")
    func deterministic() throws {
        #expect(try tar([(file("a"), "x")], gzip: true) == tar([(file("a"), "x")], gzip: true))
    }

    @Test(
        "GNU tar's and PAX's own archives read, whichever way they are compressed",
        arguments: ["gnu", "pax", "ustar"])
    func foreign(format: String) throws {
        let ground = try Ground()
        let name = format == "ustar" ? "n" : String(repeating: "n", count: 180)
        try writeFile("\(ground.path)/out/\(name)", "body".utf8)
        for compression in ["", "z", "-zstd", "J", "j"] {
            let flag = compression == "-zstd" ? "--zstd -cf" : "-c\(compression)f"
            let status = system(
                "cd \(ground.path)/out && tar --format=\(format) \(flag) ../a.tar kept \(name)")
            #expect(status == 0)
            let notes = try ground.unpack(try readFile("\(ground.path)/a.tar"))
            #expect(notes.entries == 2)
            #expect(try readText("\(ground.path)/in/\(name)") == "body")
            for left in try directoryEntries("\(ground.path)/in") {
                try removeFile("\(ground.path)/in/\(left)")
            }
        }
    }

    @Test("our archives are tar's too")
    func toTar() throws {
        let ground = try Ground()
        let path = String(repeating: "p/", count: 90) + "f"
        try writeFile("\(ground.path)/a.tar.gz", try tar([(file(path), "body")], gzip: true))
        #expect(system("cd \(ground.path)/in && tar xzf ../a.tar.gz") == 0)
        #expect(try readText("\(ground.path)/in/\(path)") == "body")
    }

    @Test("several gzip members are one stream, and zeros after them are padding")
    func members() throws {
        let whole = try tar([(file("a"), "x")])
        let sink = MemorySink()
        for part in [whole[..<700], whole[700...]] {
            let gzip = try GzipSink(sink)
            Array(part).withUnsafeBytes { bytes in try? gzip.write(bytes) }
            try gzip.finish()
        }
        let bytes = try Decompressed(MemorySource(sink.bytes + [0, 0, 0])).readAll(limit: 1 << 20, as: "x")
        #expect(bytes == whole)
    }

    @Test(
        "a truncated gzip, a damaged one, and garbage after its end are told",
        arguments: ["cut", "flip", "tail"])
    func damagedGzip(kind: String) throws {
        var bytes = try tar([(file("a"), String(repeating: "text ", count: 5000))], gzip: true)
        switch kind {
        case "cut": bytes.removeLast(20)
        case "flip": bytes[bytes.count - 7] ^= 0xff
        default: bytes += Array("garbage".utf8)
        }
        let error = #expect(throws: ArchiveError.self) {
            try Decompressed(MemorySource(bytes)).drain()
        }
        let expected = ["cut": "truncated", "flip": "incorrect data check", "tail": "garbage"]
        #expect(error?.cause.contains(expected[kind] ?? "?") == true)
    }

    @Test("a truncated zstd stream is told")
    func truncatedZstd() throws {
        let ground = try Ground()
        #expect(system("head -c 300000 /dev/urandom | zstd -q > \(ground.path)/a.zst") == 0)
        let bytes = try readFile("\(ground.path)/a.zst")
        try Decompressed(MemorySource(bytes)).drain()
        let error = #expect(throws: ArchiveError.self) {
            try Decompressed(MemorySource(Array(bytes.dropLast(10)))).drain()
        }
        #expect(error == .damaged("the zstd stream is damaged: it is truncated"))
    }

    @Test(
        "how a stream is compressed is known however few of its bytes come first",
        arguments: ["gzip", "zstd", "xz", "bzip2", "cat"])
    func trickling(tool: String) throws {
        let ground = try Ground()
        let plain = try tar([(file("a"), "text")])
        try writeFile("\(ground.path)/plain", plain)
        #expect(system("\(tool) <\(ground.path)/plain >\(ground.path)/packed") == 0)
        let packed = try readFile("\(ground.path)/packed")
        for first in 1...7 {
            let sink = MemorySink()
            try Decompressed(Trickle(packed, first)).copy(to: sink)
            #expect(sink.bytes == plain, "\(first) bytes first")
        }
        let sink = MemorySink()
        try Decompressed(Trickle([0x1f], 1)).copy(to: sink)
        #expect(sink.bytes == [0x1f], "one byte is no gzip stream")
        #expect(try Decompressed(Trickle([], 1)).compression == .plain)
    }

    @Test(
        "several members of zstd, xz and bzip2 are one stream; one that is cut, changed or followed by garbage is told",
        arguments: ["zstd", "xz", "bzip2"])
    func rare(tool: String) throws {
        let ground = try Ground()
        let path = "\(ground.path)/a"
        #expect(
            system(
                "head -c 700000 /dev/urandom >\(path) && (head -c 300000 \(path) | \(tool) -q; tail -c +300001 \(path) | \(tool) -q) >\(path).c"
            )
                == 0)
        let (plain, packed) = (try readFile(path), try readFile("\(path).c"))
        #expect(try Decompressed(MemorySource(packed)).readAll(limit: 1 << 20, as: "a") == plain)
        var changed = packed
        changed[packed.count / 3] ^= 0x10
        let tail = packed + Array("garbage!".utf8)
        for bad in [Array(packed.dropLast(20)), Array(packed[..<(packed.count / 2)]), changed, tail] {
            let error = #expect(throws: ArchiveError.self) { try Decompressed(MemorySource(bad)).drain() }
            #expect(error?.cause.contains("the \(tool) stream is damaged") == true, "\(error?.cause ?? "")")
        }
    }

    /// Asked for whatever the size of what is in it.
    @Test(
        "a stream that asks for a window of gigabytes is refused, and not as damaged",
        arguments: [
            ("xz", "xz --lzma2=preset=0,dict=1GiB -c"),
            ("zstd", "zstd -q --ultra --long=31 -c"),
            // A second frame may ask for what the first did not.
            ("zstd", "(zstd -q --no-content-size; echo y | zstd -q --ultra --long=28 -c)"),
        ])
    func greedy(tool: String, command: String) throws {
        let ground = try Ground()
        #expect(system("echo x | \(command) >\(ground.path)/a") == 0)
        let bytes = try readFile("\(ground.path)/a")
        let error = #expect(throws: ArchiveError.self) { try Decompressed(MemorySource(bytes)).drain() }
        #expect(
            error
                == .greedy("the \(tool) stream asks for a window above the 128 MiB that are allowed"))
        #expect(error?.advice?.contains("COVEY_LAYER_WINDOW") == true)
    }

    @Test(
        "what the highest levels write is read, several at once, and frames that ask for more than those before them"
    )
    func windows() throws {
        let ground = try Ground()
        // The second half is found in the first, which is further back than any window that is kept in memory.
        let script = """
            cd \(ground.path) && head -c 30000000 /dev/urandom >half && cat half half >plain
            zstd -q -1 --long=27 -c <plain >plain.zst
            (echo x | zstd -q -c; cat plain.zst) >later.zst && (echo x; cat plain) >later
            xz --lzma2=preset=0,dict=64MiB,nice=273 -c <plain >plain.xz
            """
        #expect(system(script) == 0)
        let lock = ThreadLock()
        var wrong: [String] = []
        runOnThreads(4) { number in
            let (packed, plain) = [
                ("plain.zst", "plain"), ("plain.xz", "plain"), ("later.zst", "later"), ("plain.zst", "plain"),
            ][number]
            do {
                let hash = ContentHash()
                try Tee(
                    Decompressed(MemorySource(readFile("\(ground.path)/\(packed)"))), hash: hash
                ).drain()
                let expected = try Digest(hashing: readFile("\(ground.path)/\(plain)"))
                if hash.finish() != expected { lock.held { wrong.append(packed) } }
            } catch {
                lock.held { wrong.append("\(packed): \(error)") }
            }
        }
        #expect(wrong == [])
    }

    @Test("libcrypto's SHA-256 is ours")
    func digests() {
        let bytes = Array(repeating: UInt8(7), count: 100_000)
        #expect(Digest(hashing: bytes) == Digest(of: bytes))
    }

    static let lies: [(String, Int, [UInt8], String)] = [
        ("a wrong checksum", 0, [], "checksum"),
        ("a size that is no number", 124, Array("99999999999\0".utf8), "no number"),
        (
            "a size beyond all disks", 124, [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "impossible"
        ),
        ("a negative size", 124, [UInt8](repeating: 0xff, count: 12), "impossible"),
        ("an owner beyond 2^32", 108, [0x80, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff], "impossible owner"),
        ("a sparse entry", 156, [UInt8(ascii: "S")], "sparse"),
        ("an unknown type", 156, [UInt8(ascii: "Q")], "unknown type"),
        (
            "a huge PAX header", 124,
            Array("77777777777\0".utf8) + Array("00000000000\0".utf8) + Array("        x".utf8), "PAX"
        ),
        ("a body that is not there", 124, Array("00000077777\0".utf8), "truncated"),
    ]

    @Test("a lying header is told", arguments: lies)
    func lyingHeader(what: String, offset: Int, field: [UInt8], expected: String) throws {
        var bytes = try tar([(file("a"), "x")])
        if field.isEmpty { bytes[3] ^= 1 } else { bytes = patched(bytes, at: offset, field) }
        let ground = try Ground()
        let error = #expect(throws: ArchiveError.self) { try ground.unpack(bytes) }
        #expect(error?.cause.contains(expected) == true, "\(error?.cause ?? "")")
    }

    @Test("no cut or changed byte of an archive crashes the reader")
    func everyByte() throws {
        var long = file(String(repeating: "x", count: 300))
        long.xattrs = [.init(name: "user.a", value: [1])]
        let bytes = try tar([(long, "body"), (link("l", "t"), "")])
        for index in stride(from: 0, to: bytes.count, by: 3) {
            var changed = bytes
            changed[index] ^= 0x55
            for input in [changed, Array(bytes[..<index])] {
                let reader = TarReader(MemorySource(input))
                while let entry = try? reader.next(), !entry.path.isEmpty {}
            }
        }
    }
}

/// A stream of which the first bytes come one at a time.
private final class Trickle: ByteSource {
    private let bytes: UnsafeMutableRawBufferPointer
    private var given = 0
    private let slow: Int

    init(_ bytes: [UInt8], _ slow: Int) {
        self.bytes = .allocate(byteCount: bytes.count, alignment: 1)
        self.bytes.copyBytes(from: bytes)
        self.slow = slow
    }

    deinit { bytes.deallocate() }

    func next() -> UnsafeRawBufferPointer {
        let end = given < slow ? min(given + 1, bytes.count) : bytes.count
        defer { given = end }
        return UnsafeRawBufferPointer(rebasing: bytes[given..<end])
    }
}
