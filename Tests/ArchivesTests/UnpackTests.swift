// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import Kernel
import Testing

@Suite("unpacking a layer")
struct UnpackTests {
    static let climbing: [(String, [(TarEntry, String)])] = [
        ("a path that climbs", [(file("../out/new"), "x")]),
        ("a path that climbs later", [(file("a/b/../../../out/new"), "x")]),
        ("a hard link that climbs", [(link("h", "../out/kept", .hardlink), "")]),
        ("a hard link to an absolute path", [(link("h", "/etc/passwd", .hardlink), "")]),
        ("a hard link through a link", [(link("s", "../out"), ""), (link("h", "s/kept", .hardlink), "")]),
        ("a hard link to a directory", [(folder("d"), ""), (link("h", "d", .hardlink), "")]),
        ("a whiteout of the parent", [(file(".wh..."), ""), (file("d/.wh..."), "")]),
        ("a whiteout of the directory itself", [(file(".wh.."), "")]),
        ("a whiteout of nothing", [(file(".wh."), "")]),
        ("a file below a file", [(file("f"), ""), (file("f/g"), "")]),
        ("links in a circle", [(link("a", "b"), ""), (link("b", "a"), ""), (file("a/x"), "x")]),
        ("a name longer than Linux allows", [(file(String(repeating: "n", count: 300)), "")]),
        ("the top as a file", [(file("./"), "")]),
        ("a NUL in a name", [(file(String(repeating: "n", count: 120) + "\0b"), "")]),
    ]

    @Test("what would climb out or makes no sense is refused", arguments: climbing)
    func refused(what: String, entries: [(TarEntry, String)]) throws {
        let ground = try Ground()
        let bytes = try tar(entries)
        let error = #expect(throws: ArchiveError.self) { try ground.unpack(bytes) }
        guard case .refused = error else {
            Issue.record("not refused by name: \(error?.cause ?? "")")
            return
        }
        #expect(try ground.isIntact())
    }

    static let leading: [(String, [(TarEntry, String)], String)] = [
        ("an absolute path", [(file("/etc/inside"), "x")], "etc/inside"),
        ("a link that climbs", [(link("l", "../../../../out"), ""), (file("l/new"), "x")], "out/new"),
        ("an absolute link", [(link("l", "/var/tmp"), ""), (file("l/new"), "x")], "var/tmp/new"),
        (
            "a link through a link",
            [(link("a", "/"), ""), (link("b", "a/../.."), ""), (file("b/out/new"), "x")],
            "out/new"
        ),
        ("a file over a link", [(link("l", "../out/kept"), ""), (file("l"), "x")], "l"),
        (
            "a directory over a link",
            [(link("l", "../out"), ""), (folder("l", mode: 0o700), ""), (file("l/new"), "x")],
            "l/new"
        ),
        (
            "a link over a directory whose descriptor is held",
            [(folder("d"), ""), (file("d/a"), ""), (link("d", "../out"), ""), (file("d/new"), "x")], "out/new"
        ),
    ]

    @Test("what leads out by a link stays inside", arguments: leading)
    func contained(what: String, entries: [(TarEntry, String)], place: String) throws {
        let ground = try Ground()
        _ = try ground.unpack(try tar(entries))
        #expect(try readText("\(ground.path)/in/\(place)") == "x")
        #expect(try ground.isIntact())
    }

    @Test("a link's attributes and mode never reach what it leads to")
    func linkMetadata() throws {
        let ground = try Ground()
        var entry = link("l", "../out/kept")
        entry.mode = 0o7777
        entry.uid = 1234
        entry.modified = 1
        entry.xattrs = [.init(name: "trusted.seen", value: [1])]
        _ = try ground.unpack(try tar([(entry, ""), (link("h", "l", .hardlink), "")]))
        #expect(try ground.isIntact())
        #expect(try fileStatus("\(ground.path)/out/kept").st_uid == 0)
        #expect(try fileStatus("\(ground.path)/in/h").isSymlink)
    }

    @Test("owner, mode with set-id bits, time, attributes and capabilities arrive")
    func metadata() throws {
        let ground = try Ground()
        var program = file("bin/su", mode: 0o6755)
        (program.uid, program.gid, program.modified) = (12, 34, 1_600_000_000)
        // cap_net_raw, version 2 (linux/capability.h).
        let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        program.xattrs = [
            .init(name: "security.capability", value: capability),
            .init(name: "user.note", value: Array("hi".utf8)),
            .init(name: "trusted.overlay.redirect", value: Array("/etc".utf8)),
        ]
        var open = folder("tmp", mode: 0o1777)
        open.modified = 1_500_000_000
        var null = TarEntry(.characterDevice, "dev/null", mode: 0o666)
        (null.deviceMajor, null.deviceMinor) = (1, 3)
        _ = try ground.unpack(
            try tar([
                (open, ""), (file("tmp/x"), ""), (program, "body"), (null, ""),
                (TarEntry(.fifo, "p", mode: 0o622), ""),
                (link("bin/alias", "bin/su", .hardlink), ""), (file("umask", mode: 0o666), ""),
            ]))
        let status = try fileStatus("\(ground.path)/in/bin/alias")
        #expect(status.st_mode & 0o7777 == 0o6755)
        #expect((status.st_uid, status.st_gid) == (12, 34))
        #expect(status.st_mtim.tv_sec == 1_600_000_000)
        #expect(status.st_nlink == 2)
        let fd = try openFile("\(ground.path)/in/bin/su")
        let attributes = try extendedAttributes(of: fd.raw).map { String(cName: $0.name) }.sorted()
        #expect(attributes == ["security.capability", "user.note"])
        #expect(fgetxattr(fd.raw, "trusted.overlay.redirect", nil, 0) < 0)
        #expect(try fileStatus("\(ground.path)/in/tmp").st_mode & 0o7777 == 0o1777)
        #expect(try fileStatus("\(ground.path)/in/tmp").st_mtim.tv_sec == 1_500_000_000)
        #expect(try fileStatus("\(ground.path)/in/dev/null").st_rdev == 0x103)
        #expect(try fileStatus("\(ground.path)/in/p").st_mode == 0o010622)
        #expect(try fileStatus("\(ground.path)/in/umask").st_mode & 0o777 == 0o666)
    }

    @Test("names of any bytes survive")
    func anyBytes() throws {
        let ground = try Ground()
        var entry = file("x")
        entry.path = [0xff, 0xfe, UInt8(ascii: "a")]
        _ = try ground.unpack(try tar([(entry, "body")]))
        let top = try openFile("\(ground.path)/in", flags: O_RDONLY | O_DIRECTORY)
        #expect(try entryNames(of: top.raw) == [[-1, -2, 97, 0]])
    }

    @Test("whiteouts become overlayfs's, and hide nothing of their own layer")
    func whiteouts() throws {
        let ground = try Ground()
        let notes = try ground.unpack(
            try tar([
                (folder("d"), ""), (file("d/.wh.gone"), ""), (folder("o"), ""), (file("o/stays"), ""),
                (file("o/.wh..wh..opq"), ""), (file("o/.wh.hidden"), ""), (folder("both"), ""),
                (file("both/x"), ""),
                (file(".wh.both"), ""), (file(".wh.first"), ""), (folder("first"), ""),
                (file(".wh..wh.plnk"), ""),
                (file("implied/f"), ""),
            ]))
        let path = "\(ground.path)/in"
        #expect(try fileStatus("\(path)/d/gone").isWhiteout)
        #expect(notes.whiteouts.map { String(decoding: $0, as: UTF8.self) } == ["d/gone"])
        #expect(notes.implied.map { String(decoding: $0, as: UTF8.self) } == ["", "implied"])
        #expect(try directoryEntries("\(path)/o") == ["stays"])
        for opaque in ["o", "both", "first"] {
            let fd = try openFile("\(path)/\(opaque)", flags: O_RDONLY | O_DIRECTORY)
            #expect(isOpaque(fd.raw), "\(opaque)")
        }
        #expect(try directoryEntries("\(path)/both") == ["x"])
        #expect(try directoryEntries(path) == ["both", "d", "first", "implied", "o"])
    }

    @Test("a layer written from an upper directory unpacks to the same, and writes the same bytes again")
    func upperRoundTrip() throws {
        let ground = try Ground()
        let out = "\(ground.path)/out"
        try ensureDirectory("\(out)/o")
        #expect(setxattr("\(out)/o", "trusted.overlay.opaque", "y", 1, 0) == 0)
        #expect(setxattr("\(out)/o", "trusted.overlay.impure", "y", 1, 0) == 0)
        #expect(mknod("\(out)/gone", 0o020000, 0) == 0)
        #expect(symlink("o", "\(out)/l") == 0)
        #expect(CLinux.link("\(out)/kept", "\(out)/twin") == 0)
        var archives: [[UInt8]] = []
        for directory in ["out", "in"] {
            let sink = MemorySink()
            let top = try openFile("\(ground.path)/\(directory)", flags: O_RDONLY | O_DIRECTORY)
            let notes = try archiveLayer(top.raw, into: TarWriter(sink), cleaning: true)
            #expect(notes.whiteouts == [Array("gone".utf8)])
            archives.append(sink.bytes)
            if directory == "out" { _ = try ground.unpack(sink.bytes) }
        }
        #expect(archives[0] == archives[1])
        #expect(getxattr("\(out)/o", "trusted.overlay.impure", nil, 0) < 0)
    }

    @Test("a redirected directory is refused as a layer: it points at what is beneath")
    func redirect() throws {
        let ground = try Ground()
        try ensureDirectory("\(ground.path)/out/r")
        #expect(setxattr("\(ground.path)/out/r", "trusted.overlay.redirect", "x", 1, 0) == 0)
        let top = try openFile("\(ground.path)/out", flags: O_RDONLY | O_DIRECTORY)
        #expect(throws: ArchiveError.self) { try archiveLayer(top.raw, into: TarWriter(MemorySink())) }
    }

    @Test("a file that becomes a FIFO while its tree is archived is told, and nobody waits for who writes it")
    func becomesFIFO() throws {
        let ground = try Ground()
        let (file, pipe, name) = ("\(ground.path)/file", "\(ground.path)/pipe", "\(ground.path)/out/a")
        try ensureDirectory("\(ground.path)/out")
        try writeFile(file, Array("x".utf8))
        #expect(mkfifo(pipe, 0o600) == 0)
        let over = SharedFlag()
        let flipper = try #require(
            JoinableThread {
                while !over.isSet {
                    for kind in [file, pipe] {
                        _ = CLinux.link(kind, "\(name).new")
                        _ = rename("\(name).new", name)
                    }
                }
            })
        let top = try openFile("\(ground.path)/out", flags: O_RDONLY | O_DIRECTORY)
        for _ in 0..<3000 {
            do throws(ArchiveError) {
                try archiveLayer(top.raw, into: TarWriter(MemorySink()))
            } catch {
                // Gone between two looks, or another kind of file by now.
                let isRefused =
                    if case .refused(_, let why) = error { why == "changed while it was read" } else { false }
                let isGone = if case .system(let cause) = error { cause.errno == .noEntry } else { false }
                #expect(isRefused || isGone, "\(error)")
            }
        }
        over.set()
        flipper.join()
    }
}

/// Seen by two threads.
private final class SharedFlag {
    private let lock = ThreadLock()
    private var value = false
    var isSet: Bool { lock.held { value } }
    func set() { lock.held { value = true } }
}
