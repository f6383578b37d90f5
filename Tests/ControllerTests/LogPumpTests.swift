// SPDX-License-Identifier: Apache-2.0
//
// The log pump on real pipes: what is written, where it is indexed, when a segment ends, and that it comes back from a
// writer that never does.

import Glibc
import Kernel
import Testing

@testable private import Controller

/// A log directory; gone with the value.
private final class Logs {
    let path = "/tmp/covey-logs-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    init() throws { try ensureDirectory(path) }
    deinit { try? removeTree(path) }

    func segment(_ number: Int) throws -> [UInt8] { try readFile("\(path)/stdout.\(number)") }
    func exists(_ number: Int) -> Bool { Kernel.exists("\(path)/stdout.\(number)") }

    /// The index's records.
    func index(_ number: Int) throws -> [(offset: Int64, time: Int64)] {
        let bytes = try readFile("\(path)/stdout.\(number).idx")
        return stride(from: 0, to: bytes.count - 15, by: 16).map { at in
            bytes.withUnsafeBytes {
                (
                    $0.loadUnaligned(fromByteOffset: at, as: Int64.self),
                    $0.loadUnaligned(fromByteOffset: at + 8, as: Int64.self)
                )
            }
        }
    }
}

/// A pipe and the pump at its end.
private final class Line {
    let writer: SharedFD
    let pump: LogPump

    init(_ logs: String, bounds: LogBounds = LogBounds()) throws {
        let pipe = try makePipe()
        writer = SharedFD(try pipe.second.duplicate())
        let reader = SharedFD(try pipe.first.duplicate())
        try setNonBlocking(reader.raw)
        _ = fcntl(writer.raw, F_SETPIPE_SZ, 1 << 20)
        pump = try LogPump(source: reader, directory: logs, stream: "stdout", bounds: bounds)
    }

    func say(_ text: String) throws {
        try writeAll(writer.raw, text.utf8)
        _ = try pump.pump()
    }
}

/// A thread of its own, and what it found.
private final class Beside {
    private let work: () -> Bool
    private var thread = pthread_t()
    private var answer = false

    init(_ work: @escaping () -> Bool) {
        self.work = work
        pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                let beside = Unmanaged<Beside>.fromOpaque(context).takeUnretainedValue()
                beside.answer = beside.work()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    func wait() -> Bool {
        pthread_join(thread, nil)
        return answer
    }
}

@Suite("a stream on its way to its log")
struct LogPumpTests {
    @Test(
        "a last line without a line feed gets one at the end of its run, or at the next start, and no line two"
    )
    func lastLine() throws {
        let logs = try Logs()
        var line = try Line(logs.path)
        line.pump.endLine()
        #expect(!logs.exists(0))
        try line.say("cannot connect")
        line.pump.endLine()
        line.pump.endLine()
        try line.say("again\nand again")
        #expect(try String(decoding: logs.segment(0), as: UTF8.self) == "cannot connect\nagain\nand again")
        #expect(try logs.index(0).map(\.offset) == [0, 15])
        // Nobody saw the end of that run.
        line = try Line(logs.path)
        line.pump.endLine()
        try line.say("third\n")
        line.pump.endLine()
        #expect(try String(decoding: logs.segment(0), as: UTF8.self).hasSuffix("and again\nthird\n"))

        // What ends a segment may end in the middle of a line.
        let small = try Logs()
        line = try Line(small.path, bounds: LogBounds(segmentSize: 4, segmentsKept: 4))
        try line.say("four")
        line.pump.endLine()
        try line.say("next\n")
        #expect(try small.segment(1) == Array("\nnex".utf8))
    }

    @Test("bytes are in the segment, and the index has the offset and time of each arrival")
    func index() throws {
        let logs = try Logs()
        let line = try Line(logs.path)
        let before = realtimeNanoseconds()
        for text in ["one\n", "tw", "o\n"] { try line.say(text) }
        #expect(String(decoding: try logs.segment(0), as: UTF8.self) == "one\ntwo\n")
        let index = try logs.index(0)
        #expect(index.map(\.offset) == [0, 4, 6])
        #expect(index.allSatisfy { $0.time >= before } && index.map(\.time) == index.map(\.time).sorted())
    }

    @Test("whoever sees bytes in a segment finds their time in its index")
    func order() throws {
        let logs = try Logs()
        let segments = 2000
        let reader = Beside {
            for number in 0..<segments {
                let path = "\(logs.path)/stdout.\(number)"
                while true {
                    let isOver = exists("\(logs.path)/over")
                    if let size = try? fileStatus(path).st_size, size > 0 { break }
                    if isOver { return false }
                }
                guard let size = try? fileStatus(path + ".idx").st_size, size == 16 else { return false }
            }
            return true
        }
        let line = try Line(logs.path, bounds: LogBounds(segmentSize: 8, segmentsKept: segments + 1))
        for _ in 0..<segments { try line.say("1234567\n") }
        try writeFile("\(logs.path)/over", [])
        #expect(reader.wait())
    }

    @Test("another pump goes on where the first one was lost, a torn index record is dropped")
    func continued() throws {
        let logs = try Logs()
        try Line(logs.path).say("one\n")
        let torn = try openFile("\(logs.path)/stdout.0.idx", flags: O_WRONLY | O_APPEND)
        try writeAll(torn.raw, [1, 2, 3])
        try Line(logs.path).say("two\n")
        #expect(String(decoding: try logs.segment(0), as: UTF8.self) == "one\ntwo\n")
        #expect(try logs.index(0).map(\.offset) == [0, 4])
    }

    @Test("a full segment is followed by the next; only the last four stay")
    func rotation() throws {
        let logs = try Logs()
        let line = try Line(logs.path)
        let piece = String(repeating: "0123456789abcde\n", count: 1 << 15)
        // 5 segments of 16 MiB and a bit.
        for _ in 0..<(32 * 5 + 1) { try line.say(piece) }
        #expect([0, 1, 2, 3, 4, 5].map { logs.exists($0) } == [false, false, true, true, true, true])
        #expect(try logs.segment(2).count == 16 << 20)
        #expect(try logs.segment(5).count == 1 << 19)
        #expect(try logs.index(5).first?.offset == 0)
    }

    @Test("small bounds hold to the byte, and all that waits is moved")
    func bounded() throws {
        let logs = try Logs()
        let line = try Line(logs.path, bounds: LogBounds(.init(fileSize: 1024, files: 2)))
        try line.say(String(repeating: "x", count: 5000))
        #expect([0, 1, 2, 3, 4].map { logs.exists($0) } == [false, false, false, true, true])
        #expect(try logs.segment(3).count == 1024)
        #expect(try logs.segment(4).count == 5000 - 4096)
        let one = LogBounds(.init(fileSize: 1000, files: 1))
        #expect(one.segmentSize == 500 && one.segmentsKept == 2)
    }

    @Test("nothing is kept where nothing is to be")
    func dropped() throws {
        let logs = try Logs()
        let line = try Line(logs.path, bounds: LogBounds(.init(files: 0)))
        for _ in 0..<4 { try line.say(String(repeating: "x", count: 500_000)) }
        #expect(!logs.exists(0))
    }

    @Test("a full disk drops what comes and counts it; with room again the log goes on, its index whole")
    func full() throws {
        let logs = try Logs()
        // On real memory, as small as a file system gets.
        guard mount("tmpfs", logs.path, "tmpfs", 0, "size=64k") == 0 else {
            // No right to mount: scenarios and CI have it.
            #expect(geteuid() != 0, "mount: errno \(errno)")
            return
        }
        defer { umount2(logs.path, Int32(MNT_DETACH)) }
        let line = try Line(logs.path)
        var told: [String] = []
        line.pump.onLoss = { loss in
            switch loss {
            case .began(let error): told.append("began \(error.errno)")
            case .ended(let bytes): told.append("ended \(bytes > 100_000)")
            }
        }
        try line.say("first\n")
        try writeFile("\(logs.path)/ballast", [UInt8](repeating: 0, count: 20_000))
        for _ in 0..<4 { try line.say(String(repeating: "x", count: 100_000)) }
        #expect(told == ["began ENOSPC"])
        try removeFile("\(logs.path)/ballast")
        try line.say("last\n")
        #expect(told == ["began ENOSPC", "ended true"])
        let kept = try logs.segment(0)
        #expect(kept.starts(with: "first\n".utf8) && Array(kept.suffix(5)) == Array("last\n".utf8))
        let index = try logs.index(0)
        #expect(index.first?.offset == 0 && index.map(\.offset) == index.map(\.offset).sorted())
        #expect(try fileStatus("\(logs.path)/stdout.0.idx").st_size % 16 == 0)
    }

    @Test("a writer that never stops does not keep the pump")
    func endless() throws {
        let logs = try Logs()
        let zero = SharedFD(try openFile("/dev/zero"))
        let pump = try LogPump(source: zero, directory: logs.path, stream: "stdout", isTerminal: true)
        #expect(try pump.pump())
        #expect(try pump.pump(pieces: 2))
        #expect(try logs.index(0).count == 6)
    }
}
