// SPDX-License-Identifier: Apache-2.0
//
// An instruction's arguments as the Dockerfile language cuts them: flags, words, quoted words, JSON lists.

internal import Basics

/// Reads on through one instruction's text.
struct Arguments {
    let source: SourceText
    let line: LogicalLine
    let escape: UInt8
    private(set) var position = 0

    init(source: SourceText, line: LogicalLine, escape: UInt8) {
        self.source = source
        self.line = line
        self.escape = escape
    }

    var place: SourceLocation { location(position) }
    var isAtEnd: Bool { position >= line.bytes.count }
    /// What is left, as it stands.
    var rest: String { text(position..<line.bytes.count) }

    func location(_ position: Int) -> SourceLocation { line.location(of: position, in: source) }
    func text(_ range: Range<Int>) -> String { String(decoding: line.bytes[range], as: UTF8.self) }

    mutating func skipBlank() {
        while position < line.bytes.count, isBlank(line.bytes[position]) { position += 1 }
    }

    /// Up to the next blank, quotes not regarded.
    mutating func plainWord() -> Word? {
        skipBlank()
        guard !isAtEnd else { return nil }
        let start = position
        while position < line.bytes.count, !isBlank(line.bytes[position]) { position += 1 }
        return Word(text(start..<position), at: location(start))
    }

    /// Up to the next blank outside quotes; quotes and escapes stay in the text.
    mutating func quotedWord() -> Word? {
        skipBlank()
        guard !isAtEnd else { return nil }
        let start = position
        var quote: UInt8?
        while position < line.bytes.count {
            let byte = line.bytes[position]
            if byte == escape, quote != UInt8(ascii: "'"), position + 1 < line.bytes.count {
                position += 2
                continue
            }
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if isBlank(byte) {
                break
            }
            position += 1
        }
        return Word(text(start..<position), at: location(start))
    }

    /// All words left.
    mutating func plainWords() -> [Word] {
        var words: [Word] = []
        while let word = plainWord() { words.append(word) }
        return words
    }

    /// The rest as one word; nil when nothing is left.
    mutating func wholeRest() -> Word? {
        skipBlank()
        guard !isAtEnd else { return nil }
        defer { position = line.bytes.count }
        return Word(rest, at: place)
    }

    /// A word's part from `offset` bytes on, with its own place.
    func part(of word: Word, startingAt start: Int, from offset: Int) -> Word {
        Word(String(decoding: Array(word.text.utf8)[offset...], as: UTF8.self), at: location(start + offset))
    }

    /// `--name[=value]` words before the first other one.
    mutating func flags() throws(Failure) -> [Flag] {
        var flags: [Flag] = []
        while true {
            skipBlank()
            guard line.bytes[position...].starts(with: "--".utf8) else { return flags }
            let start = position
            guard let word = quotedWord() else { return flags }
            if word.text == "--" { return flags }
            let name = word.text.dropFirst(2).prefix { $0 != "=" }
            let hasValue = word.text.utf8.count > 2 + name.utf8.count
            let flag = Flag(
                name: String(name), location: word.location,
                value: hasValue ? part(of: word, startingAt: start, from: 3 + name.utf8.count) : nil)
            if !repeatableFlags.contains(flag.name), flags.contains(where: { $0.name == flag.name }) {
                throw Failure("`--\(flag.name)` is given twice", at: word.location)
            }
            flags.append(flag)
        }
    }

    /// The rest as a JSON list of strings; nil when it is no JSON list, and then it is shell text.
    mutating func jsonList() throws(Failure) -> [Word]? {
        skipBlank()
        guard position < line.bytes.count, line.bytes[position] == UInt8(ascii: "[") else { return nil }
        var reader = JSONListReader(bytes: line.bytes, position: position)
        guard let items = reader.list() else { return nil }
        if let other = reader.nonString {
            throw Failure(
                "a list may only hold strings in double quotes", cause: "this element is not one",
                at: location(other))
        }
        defer { position = line.bytes.count }
        return items.map { Word($0.text, at: location($0.position)) }
    }
}

private let repeatableFlags: Set<String> = ["mount", "exclude", "device"]

/// `--name=value`.
struct Flag {
    var name: String
    var location: SourceLocation
    var value: Word?
}

/// A JSON array of strings at the end of the bytes (RFC 8259); anything else makes `list` nil.
private struct JSONListReader {
    let bytes: [UInt8]
    var position: Int
    /// Where an element stands that is valid JSON but no string.
    var nonString: Int?

    init(bytes: [UInt8], position: Int) {
        self.bytes = bytes
        self.position = position
    }

    mutating func list() -> [(text: String, position: Int)]? {
        position += 1
        var items: [(String, Int)] = []
        skip()
        if peek == UInt8(ascii: "]") {
            position += 1
            return end ? items : nil
        }
        while true {
            skip()
            let start = position
            if peek == UInt8(ascii: "\"") {
                guard let text = string() else { return nil }
                items.append((text, start))
            } else {
                guard scalar() else { return nil }
                nonString = nonString ?? start
            }
            skip()
            switch peek {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return end ? items : nil
            default: return nil
            }
        }
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
    private var end: Bool { bytes[position...].allSatisfy(isBlank) }
    private mutating func skip() { while let byte = peek, isBlank(byte) { position += 1 } }

    /// A number, `true`, `false` or `null`.
    private mutating func scalar() -> Bool {
        let start = position
        while let byte = peek, byte != UInt8(ascii: ","), byte != UInt8(ascii: "]"), !isBlank(byte) {
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        return ["true", "false", "null"].contains(text) || Double(text) != nil
    }

    private mutating func string() -> String? {
        position += 1
        var text: [UInt8] = []
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = peek else { return nil }
                position += 1
                switch escaped {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escaped)
                case UInt8(ascii: "b"): text.append(8)
                case UInt8(ascii: "f"): text.append(12)
                case UInt8(ascii: "n"): text.append(10)
                case UInt8(ascii: "r"): text.append(13)
                case UInt8(ascii: "t"): text.append(9)
                case UInt8(ascii: "u"):
                    guard let scalar = unicodeEscape() else { return nil }
                    text += Array(String(Character(scalar)).utf8)
                default: return nil
                }
            case 0..<32: return nil
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func unicodeEscape() -> Unicode.Scalar? {
        guard let first = hex4() else { return nil }
        guard (0xD800..<0xDC00).contains(first) else { return Unicode.Scalar(first) }
        guard bytes[position...].starts(with: "\\u".utf8) else { return nil }
        position += 2
        guard let second = hex4(), (0xDC00..<0xE000).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private mutating func hex4() -> UInt32? {
        guard position + 4 <= bytes.count else { return nil }
        defer { position += 4 }
        return UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
    }
}
