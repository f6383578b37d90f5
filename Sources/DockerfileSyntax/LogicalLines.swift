// SPDX-License-Identifier: Apache-2.0
//
// The file as instructions see it: comments gone, directives read, continued lines joined, each byte still
// knowing its place. Heredocs are read by the instruction's parser, which alone knows that one begins.

internal import Basics

/// The file's bytes cut into lines, and places in it.
struct SourceText {
    let path: String
    let bytes: [UInt8]
    /// Each line without its newline and carriage return.
    let lines: [Range<Int>]

    init(_ bytes: [UInt8], path: String) {
        self.path = path
        self.bytes = bytes
        var lines: [Range<Int>] = []
        var start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") {
            lines.append(start..<SourceText.trimmedEnd(bytes, start, index))
            start = index + 1
        }
        if start < bytes.count { lines.append(start..<SourceText.trimmedEnd(bytes, start, bytes.count)) }
        self.lines = lines
    }

    private static func trimmedEnd(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int {
        end > start && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
    }

    func text(_ line: Int) -> String { String(decoding: bytes[lines[line]], as: UTF8.self) }

    /// The place of a byte `offset` bytes into a line; lines count from 0 here and from 1 in the result.
    func location(line: Int, offset: Int) -> SourceLocation {
        let range = lines[line]
        let lead = String(
            decoding: bytes[range.lowerBound..<min(range.upperBound, range.lowerBound + offset)],
            as: UTF8.self)
        return SourceLocation(file: path, line: line + 1, column: lead.count + 1, lineText: text(line))
    }
}

/// An instruction's text after joining.
struct LogicalLine {
    struct Piece {
        /// Where it starts in `bytes`.
        var start: Int
        /// The line it came from, from 0, and where in it.
        var line: Int
        var offset: Int
    }
    var bytes: [UInt8] = []
    var pieces: [Piece] = []

    func location(of position: Int, in source: SourceText) -> SourceLocation {
        let piece = pieces.last { $0.start <= position } ?? pieces[0]
        return source.location(line: piece.line, offset: piece.offset + position - piece.start)
    }
}

/// Gives out one instruction after another.
struct LineReader {
    let source: SourceText
    private(set) var escape = UInt8(ascii: "\\")
    private(set) var warnings: [Warning] = []
    private(set) var check = CheckDirective()
    /// The comment right above the instruction that was given out last.
    private(set) var comment: (text: String, line: Int)?
    private var next = 0
    private var directivesOver = false
    private var seenDirectives: Set<String> = []

    init(_ source: SourceText) { self.source = source }

    /// The next instruction; nil at the end of the file.
    mutating func nextInstruction() throws(Failure) -> LogicalLine? {
        comment = nil
        while next < source.lines.count {
            let number = next
            let content = source.lines[number]
            let start = skipBlank(content)
            next += 1
            if start == content.upperBound {
                directivesOver = true
                comment = nil
                continue
            }
            if source.bytes[start] == UInt8(ascii: "#") {
                try readDirective(number, start)
                let text = String(decoding: source.bytes[start + 1..<content.upperBound], as: UTF8.self)
                    .trimmed
                comment = text.isEmpty || !directivesOver ? nil : (text, number)
                continue
            }
            directivesOver = true
            return join(from: number, start: start)
        }
        return nil
    }

    /// The raw lines up to one that is the terminator alone; nil when the file ends first.
    mutating func heredocLines(until terminator: String, strippingTabs: Bool) -> String? {
        var text: [UInt8] = []
        let terminator = Array(terminator.utf8)
        while next < source.lines.count {
            let line = source.bytes[source.lines[next]]
            next += 1
            let compared = strippingTabs ? line.drop { $0 == UInt8(ascii: "\t") } : line
            if compared.elementsEqual(terminator) { return String(decoding: text, as: UTF8.self) }
            text += line
            text.append(UInt8(ascii: "\n"))
        }
        return nil
    }

    private func skipBlank(_ range: Range<Int>) -> Int {
        var index = range.lowerBound
        while index < range.upperBound, isBlank(source.bytes[index]) { index += 1 }
        return index
    }

    private mutating func join(from first: Int, start: Int) -> LogicalLine {
        var line = LogicalLine()
        var (number, begin) = (first, start)
        while true {
            let range = source.lines[number]
            let (end, continues) = continuation(begin..<range.upperBound)
            line.pieces.append(
                .init(start: line.bytes.count, line: number, offset: begin - range.lowerBound))
            line.bytes += source.bytes[begin..<end]
            if !continues { break }
            // Comments between continued lines vanish; blank ones too, though Docker warns of them.
            var found = false
            while next < source.lines.count, !found {
                let range = source.lines[next]
                let first = skipBlank(range)
                if first == range.upperBound {
                    warnings.append(
                        Warning(
                            "an empty line within a continued instruction", .noEmptyContinuation,
                            at: source.location(line: next, offset: 0)))
                } else if source.bytes[first] != UInt8(ascii: "#") {
                    (number, begin) = (next, range.lowerBound)
                    found = true
                }
                next += 1
            }
            if !found { break }
        }
        while let last = line.bytes.last, isBlank(last) { line.bytes.removeLast() }
        return line
    }

    /// Where a line's content ends, and whether an escape character, not itself escaped, continues it.
    private func continuation(_ range: Range<Int>) -> (Int, Bool) {
        var end = range.upperBound
        while end > range.lowerBound,
            source.bytes[end - 1] == UInt8(ascii: " ") || source.bytes[end - 1] == UInt8(ascii: "\t")
        {
            end -= 1
        }
        guard end > range.lowerBound, source.bytes[end - 1] == escape else {
            return (range.upperBound, false)
        }
        if end - 2 >= range.lowerBound, source.bytes[end - 2] == escape { return (range.upperBound, false) }
        return (end - 1, true)
    }

    /// `# name=value` at the top of the file. `syntax` means nothing here: the one syntax is ours, and nothing is
    /// fetched.
    private mutating func readDirective(_ number: Int, _ start: Int) throws(Failure) {
        guard !directivesOver else { return }
        let range = source.lines[number]
        let text = String(decoding: source.bytes[start + 1..<range.upperBound], as: UTF8.self)
        guard let equals = text.firstIndex(of: "=") else {
            directivesOver = true
            return
        }
        let name = text[..<equals].trimmed.lowercased()
        let value = text[text.index(after: equals)...].trimmed
        guard ["escape", "syntax", "check"].contains(name), !value.isEmpty else {
            directivesOver = true
            return
        }
        let place = source.location(line: number, offset: start - range.lowerBound)
        if !seenDirectives.insert(name).inserted {
            throw Failure("the directive `\(name)` is given twice", at: place)
        }
        if name == "check" { check = try CheckDirective(value, at: place) }
        guard name == "escape" else { return }
        guard value == "\\" || value == "`", let character = value.utf8.first else {
            throw Failure(
                "the escape directive is `\(value)`", cause: "only \\ and ` can be the escape character",
                at: place)
        }
        escape = character
    }
}

func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || (9...13).contains(byte)
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    var trimmed: String {
        var view = Array(utf8)[...]
        while let first = view.first, isBlank(first) { view.removeFirst() }
        while let last = view.last, isBlank(last) { view.removeLast() }
        return String(decoding: view, as: UTF8.self)
    }
}
