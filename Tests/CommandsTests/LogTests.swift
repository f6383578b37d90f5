// SPDX-License-Identifier: Apache-2.0

import Basics
import Controller
import Glibc
import Kernel
import Testing

@testable import Commands

/// Writes a segment and its index as the controller does.
private func segment(_ directory: String, _ name: String, _ chunks: [(time: Int64, text: String)]) throws {
    try ensureDirectory(directory)
    var bytes: [UInt8] = []
    var index: [UInt8] = []
    for chunk in chunks {
        for value in [Int64(bytes.count), chunk.time] {
            withUnsafeBytes(of: value.littleEndian) { index += Array($0) }
        }
        bytes += Array(chunk.text.utf8)
    }
    try writeFile("\(directory)/\(name)", bytes)
    try writeFile("\(directory)/\(name).idx", index)
}

private func append(_ path: String, _ bytes: [UInt8]) throws {
    try writeFile(path, try readFile(path) + bytes)
}

private func all(_ merge: LogMerge) throws -> [String] {
    var lines: [String] = []
    while let line = try merge.next() {
        lines.append(
            "\(line.line.time) \(line.label)\(line.isError ? "!" : "") \(String(decoding: line.line.bytes, as: UTF8.self))"
        )
    }
    return lines
}

private func all(_ stream: LogStream) throws -> [String] {
    var lines: [String] = []
    while let line = try stream.peek() {
        lines.append("\(line.time) \(String(decoding: line.bytes, as: UTF8.self))")
        stream.advance()
    }
    return lines
}

@Suite struct LogTests {
    @Test("a line's time is that of the chunk it begins in; a line goes on in the next segment")
    func times() throws {
        try withScratch { directory in
            try segment(directory, "stdout.0", [(5, "one\ntw"), (7, "o\nthree\nfo")])
            try segment(directory, "stdout.1", [(9, "ur\n\nend")])
            let stream = LogStream(directory: directory, name: "stdout")
            #expect(try all(stream) == ["5 one", "5 two", "7 three", "7 four", "9 "])
            #expect(stream.takeRest() == LogLine(time: 9, bytes: Array("end".utf8)))
            #expect(stream.takeRest() == nil)
        }
    }

    @Test(
        "segments go by number, not by letters, and where the first were rotated away whole lines come first")
    func order() throws {
        try withScratch { directory in
            try segment(directory, "stdout.9", [(1, "the end of eight\nnine\n")])
            try segment(directory, "stdout.10", [(2, "ten\n")])
            #expect(try all(LogStream(directory: directory, name: "stdout")) == ["1 nine", "2 ten"])
            let tail = LogStream(directory: directory, name: "stdout")
            try tail.start(last: 9)
            #expect(try all(tail) == ["1 nine", "2 ten"])
        }
    }

    @Test(
        "a tail begins at the right line",
        arguments: [
            (0, []), (1, ["9 five"]), (2, ["7 four", "9 five"]),
            (4, ["5 two", "7 three", "7 four", "9 five"]),
            (5, ["5 one", "5 two", "7 three", "7 four", "9 five"]),
            (99, ["5 one", "5 two", "7 three", "7 four", "9 five"]),
        ] as [(Int, [String])])
    func tail(count: Int, expected: [String]) throws {
        try withScratch { directory in
            try segment(directory, "stdout.0", [(5, "one\ntwo\n"), (7, "three\nfo")])
            try segment(directory, "stdout.1", [(8, "ur\n"), (9, "five\n")])
            let stream = LogStream(directory: directory, name: "stdout")
            try stream.start(last: count)
            #expect(try all(stream) == expected)
        }
    }

    @Test("a tail of a long file is found across chunks")
    func longTail() throws {
        try withScratch { directory in
            let long = String(repeating: "x", count: 300_000)
            try segment(directory, "stdout.0", [(1, "a\n\(long)\nb\n")])
            let stream = LogStream(directory: directory, name: "stdout")
            try stream.start(last: 2)
            #expect(try all(stream).map(\.count) == [300_002, 3])
        }
    }

    @Test("a tail of an empty or missing log is nothing")
    func nothing() throws {
        try withScratch { directory in
            let stream = LogStream(directory: "\(directory)/missing", name: "stdout")
            try stream.start(last: 3)
            #expect(try all(stream).isEmpty)
            try segment(directory, "stdout.0", [])
            let empty = LogStream(directory: directory, name: "stdout")
            try empty.start(last: 3)
            #expect(try all(empty).isEmpty)
        }
    }

    @Test("streams and containers are merged by time")
    func merging() throws {
        try withScratch { directory in
            try segment("\(directory)/a", "stdout.0", [(1, "a1\n"), (4, "a4\n")])
            try segment("\(directory)/a", "stderr.0", [(2, "a2\n")])
            try segment("\(directory)/b", "stdout.0", [(3, "b3\n"), (4, "b4\n")])
            let merge = LogMerge()
            try merge.add(LogSource(label: "a", directory: "\(directory)/a"), tail: nil)
            try merge.add(LogSource(label: "b", directory: "\(directory)/b"), tail: nil)
            #expect(try all(merge) == ["1 a a1", "2 a! a2", "3 b b3", "4 a a4", "4 b b4"])
        }
    }

    @Test("a container that is made anew is shown anew, after what is left of the one before")
    func recreated() throws {
        try withScratch { directory in
            try writeFile("\(directory)/out", [])
            let file = try openFile("\(directory)/out", flags: 1)
            let output = Output(fd: file.raw, colours: false, isTerminal: false)
            let feed = LogFeed(
                project: "p", choice: LogChoice(), tail: nil,
                printer: LogPrinter(out: output, errors: output, style: .init(prefix: false)))
            let path = "\(directory)/web"
            func web(_ createdAt: Int64) -> LogContainer {
                LogContainer(
                    name: "p-web-1", service: "web", index: 1, directory: path, createdAt: createdAt)
            }
            try segment(path, "stdout.0", [(1, "one\n")])
            try feed.update(to: [web(1)])
            try feed.printAvailable(last: false)
            try append("\(path)/stdout.0", Array("two\nhalf".utf8))
            try removeTree(path)
            try segment(path, "stdout.0", [(3, "new\n")])
            try segment(path, "stderr.0", [(4, "new error\n")])
            // Before the controller tells of it nothing of the new one is taken for the old one's.
            try feed.printAvailable(last: false)
            #expect(try readText("\(directory)/out") == "one\ntwo\n")
            try feed.update(to: [web(2)])
            try feed.update(to: [web(2)])
            try feed.printAvailable(last: false)
            try feed.update(to: [])
            try feed.printAvailable(last: true)
            #expect(try readText("\(directory)/out") == "one\ntwo\nhalf\nnew\nnew error\n")
        }
    }

    @Test("a tail is of each container, its two streams together")
    func mergedTail() throws {
        try withScratch { directory in
            try segment("\(directory)/a", "stdout.0", [(1, "a1\n"), (4, "a4\n")])
            try segment("\(directory)/a", "stderr.0", [(2, "a2\n"), (6, "a6\n")])
            try segment("\(directory)/b", "stdout.0", [(3, "b3\n"), (5, "b5\n")])
            let merge = LogMerge()
            try merge.add(LogSource(label: "a", directory: "\(directory)/a"), tail: 2)
            try merge.add(LogSource(label: "b", directory: "\(directory)/b"), tail: 1)
            merge.orderTails()
            #expect(try all(merge) == ["4 a a4", "5 b b5", "6 a! a6"])
        }
    }

    @Test(
        "a line without an end counts in a tail; one left out stays left out when its end comes",
        arguments: [
            (1, [], ["a2"]), (2, ["3 a three"], ["a2"]), (3, ["3 a three"], ["a1", "a2"]),
            (4, ["1 a one", "3 a three"], ["a1", "a2"]),
        ] as [(Int, [String], [String])])
    func unendedTail(count: Int, lines: [String], ends: [String]) throws {
        try withScratch { directory in
            let path = "\(directory)/a"
            try segment(path, "stdout.0", [(1, "one\n"), (2, "a1")])
            try segment(path, "stderr.0", [(3, "three\n"), (4, "a2")])
            let merge = LogMerge()
            try merge.add(LogSource(label: "a", directory: path), tail: count)
            merge.orderTails()
            #expect(try all(merge).map { $0.replacing("!", with: "") } == lines)
            try append("\(path)/stdout.0", Array("\n".utf8))
            try append("\(path)/stderr.0", Array("\n".utf8))
            #expect(try merge.next() == nil)
            merge.goOn()
            #expect(try all(merge).compactMap { $0.split(separator: " ").last.map(String.init) } == ends)
        }
    }

    @Test("what is written later is read later, from the same place on")
    func following() throws {
        try withScratch { directory in
            try segment(directory, "stdout.0", [(1, "one\nhal")])
            let stream = LogStream(directory: directory, name: "stdout")
            #expect(try all(stream) == ["1 one"])
            try append("\(directory)/stdout.0", Array("f\n".utf8))
            #expect(try all(stream) == ["1 half"])
            try segment(directory, "stdout.1", [(8, "next\n")])
            #expect(try all(stream) == ["8 next"])
        }
    }

    @Test("what was rotated away is passed by, and halves of two lines are no line")
    func rotated() throws {
        try withScratch { directory in
            try segment(directory, "stdout.3", [(1, "of the second\none\nhal")])
            let stream = LogStream(directory: directory, name: "stdout")
            #expect(try all(stream) == ["1 one"])
            // Listed, and gone when it is opened.
            symlink("\(directory)/nowhere", "\(directory)/stdout.4")
            try segment(directory, "stdout.5", [(5, "of another\nthree\n")])
            #expect(try all(stream) == ["5 three"])
            try segment(directory, "stdout.6", [(6, "four\n")])
            #expect(try all(stream) == ["6 four"])
        }
    }

    @Test("a segment that is rotated away while it is read keeps its times")
    func rotatedIndex() throws {
        try withScratch { directory in
            try segment(directory, "stdout.0", [(5, "one\n")])
            let stream = LogStream(directory: directory, name: "stdout")
            #expect(try all(stream) == ["5 one"])
            try append("\(directory)/stdout.0", Array("two\n".utf8))
            try removeFile("\(directory)/stdout.0.idx")
            #expect(try all(stream) == ["5 two"])
        }
    }

    @Test("lines of a segment without records have the time of the segment")
    func timeless() throws {
        try withScratch { directory in
            let before = realtimeNanoseconds() - 1_000_000_000
            try writeFile("\(directory)/stdout.0", Array("one\ntwo\n".utf8))
            try writeFile("\(directory)/stdout.0.idx", [])
            let stream = LogStream(directory: directory, name: "stdout")
            while let line = try stream.peek() {
                #expect((before...realtimeNanoseconds()).contains(line.time))
                stream.advance()
            }
        }
    }

    @Test("what is written while a log is read to its end is left out, until it goes on")
    func present() throws {
        try withScratch { directory in
            try segment(directory, "stdout.0", [(1, "one\n")])
            let stream = LogStream(directory: directory, name: "stdout")
            let silent = LogStream(directory: directory, name: "stderr")
            stream.stopAtPresent()
            silent.stopAtPresent()
            try append("\(directory)/stdout.0", Array("two\n".utf8))
            try segment(directory, "stdout.1", [(3, "three\n")])
            try segment(directory, "stderr.0", [(3, "error\n")])
            #expect(try all(stream) == ["1 one"])
            #expect(try all(silent) == [])
            stream.goOn()
            silent.goOn()
            #expect(try all(stream) == ["1 two", "3 three"])
            #expect(try all(silent) == ["3 error"])
        }
    }

    @Test("a line that does not end is given in pieces")
    func pieces() throws {
        try withScratch { directory in
            let whole = 5 * LogStream.longestLine / 2
            try segment(directory, "stdout.0", [(1, String(repeating: "x", count: whole))])
            let stream = LogStream(directory: directory, name: "stdout")
            var sizes: [Int] = []
            while let line = try stream.peek() {
                sizes.append(line.bytes.count)
                stream.advance()
            }
            let rest = stream.takeRest()?.bytes.count ?? 0
            #expect(sizes.count == 2 && rest < LogStream.longestLine)
            #expect(sizes.reduce(rest, +) == whole)
        }
    }

    @Test("a long log is printed in portions, so that somebody looks at signals between them")
    func portions() throws {
        try withScratch { directory in
            let lines = (0..<300_000).map { "line \($0)\n" }.joined()
            try segment("\(directory)/log", "stdout.0", [(1, lines)])
            try writeFile("\(directory)/out", [])
            let file = try openFile("\(directory)/out", flags: 1)
            let out = Output(fd: file.raw, colours: false, isTerminal: false)
            let feed = LogFeed(
                project: "p", choice: LogChoice(), tail: nil,
                printer: LogPrinter(out: out, errors: out, style: .init(prefix: false, times: false)))
            try feed.update(to: [
                LogContainer(name: "p-a-1", service: "a", index: 1, directory: "\(directory)/log")
            ])
            try feed.printAvailable(last: false)
            let first = try readFile("\(directory)/out").count
            #expect(feed.patience == .zero)
            #expect(0 < first && first < lines.utf8.count)
            while feed.patience == .zero { try feed.printAvailable(last: false) }
            #expect(try readText("\(directory)/out") == lines)
        }
    }

    @Test("lines get prefix and time; the error output stays apart")
    func printing() throws {
        try withScratch { directory in
            try writeFile("\(directory)/out", [])
            try writeFile("\(directory)/err", [])
            let out = try openFile("\(directory)/out", flags: 1)
            let errors = try openFile("\(directory)/err", flags: 1)
            let printer = LogPrinter(
                out: Output(fd: out.raw, colours: false, isTerminal: false),
                errors: Output(fd: errors.raw, colours: true, isTerminal: true),
                style: .init(prefix: true, times: true))
            printer.announce("web-1")
            printer.announce("database-1")
            let line = LogLine(time: 1, bytes: Array("hello".utf8))
            printer.print(MergedLine(label: "web-1", isError: false, line: line))
            printer.print(MergedLine(label: "database-1", isError: true, line: line))
            printer.flush()
            #expect(
                try readText("\(directory)/out") == "web-1       | 1970-01-01T00:00:00.000000001Z hello\n")
            #expect(
                try readText("\(directory)/err")
                    == "\u{1b}[33mdatabase-1  | \u{1b}[0m1970-01-01T00:00:00.000000001Z hello\n")
        }
    }

    @Test("without a controller the containers are those on the disk")
    func onDisk() throws {
        try withScratch { directory in
            let place = ProjectPlace(project: "p", root: directory, run: directory)
            #expect(try containersOnDisk(place).isEmpty)
            for name in ["p-my-web-12", "fixed"] {
                try ensureDirectory("\(directory)/projects/p/containers/\(name)/log")
            }
            let found = try containersOnDisk(place)
            #expect(found.map(\.service) == ["fixed", "my-web"])
            #expect(found.map(\.index) == [1, 12])
        }
    }
}
