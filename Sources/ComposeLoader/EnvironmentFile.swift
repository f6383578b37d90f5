// SPDX-License-Identifier: Apache-2.0
//
// Environment files: `.env`, `--env-file` and `env_file` (05-services.md, "env_file"; compose-go, dotenv/).
// Comments, `export`, quotes over several lines, escapes and variables in double quotes, `NAME` alone taken
// from outside; and `format: raw`, in which everything after `=` is the value.

internal import Basics
internal import YAMLTree

struct EnvironmentFile {
    private let file: SourceFile
    private let bytes: [UInt8]
    private var i: Int
    private let lookup: (String) -> String?
    private(set) var variables: [String: String] = [:]

    /// Reads a file's variables. A variable in a value is looked for outside first, then above in the file.
    static func read(
        _ bytes: [UInt8], name: String, raw: Bool = false, lookup: @escaping (String) -> String?
    ) throws(Failure) -> [String: String] {
        var reader = EnvironmentFile(bytes, name: name, lookup: lookup)
        if let zero = bytes.firstIndex(of: 0) { throw reader.problem("there is a NUL character", at: zero) }
        if raw { try reader.readRaw() } else { try reader.read() }
        return reader.variables
    }

    private init(_ bytes: [UInt8], name: String, lookup: @escaping (String) -> String?) {
        file = SourceFile(name: name, bytes: bytes)
        self.bytes = bytes
        i = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
        self.lookup = lookup
    }

    private mutating func read() throws(Failure) {
        while true {
            skip { isSpace($0) || $0 == newline }
            guard i < bytes.count else { return }
            if bytes[i] == UInt8(ascii: "#") {
                skip { $0 != newline }
                continue
            }
            if bytes[i...].starts(with: Array("export".utf8)), i + 6 < bytes.count, isSpace(bytes[i + 6]) {
                i += 6
                skip(isSpace)
            }
            let start = i
            skip { isNameByte($0) }
            let name = String(decoding: bytes[start..<i], as: UTF8.self)
            skip(isSpace)
            guard !name.isEmpty else { throw problem("a line begins with a variable's name", at: start) }
            guard i < bytes.count, bytes[i] != newline, bytes[i] != UInt8(ascii: "#") else {
                variables[name] = lookup(name) ?? variables[name]
                continue
            }
            guard bytes[i] == UInt8(ascii: "=") || bytes[i] == UInt8(ascii: ":") else {
                throw problem("\"\(name)\" is followed by neither \"=\" nor the end of the line", at: i)
            }
            i += 1
            let afterSign = i
            skip(isSpace)
            variables[name] = try value(of: name, isApart: i > afterSign)
        }
    }

    private mutating func readRaw() throws(Failure) {
        while i < bytes.count {
            let start = i
            skip { $0 != newline }
            var line = bytes[start..<i]
            i += 1
            if line.last == 13 { line = line.dropLast() }
            guard let first = line.first(where: { !isSpace($0) }), first != UInt8(ascii: "#") else {
                continue
            }
            let equals = line.firstIndex(of: UInt8(ascii: "="))
            let name = trimmed(line[..<(equals ?? line.endIndex)])
            // As in `environment`, where what is printed is read again.
            if let last = name.utf8.last, (9...13).contains(last) {
                throw problem("the variable \"\(name)\" ends with white space", at: start)
            }
            if let equals {
                guard !name.isEmpty else { throw problem("a line begins with a variable's name", at: start) }
                guard !name.utf8.contains(0x20) else {
                    throw problem("the variable \"\(name)\" has a space in its name", at: start)
                }
                variables[name] = String(decoding: line[(equals + 1)...], as: UTF8.self)
            } else {
                variables[name] = lookup(name) ?? variables[name]
            }
        }
    }

    /// - Parameter isApart: whether white space stands before it.
    private mutating func value(of name: String, isApart: Bool) throws(Failure) -> String {
        let start = i
        guard i < bytes.count, bytes[i] == doubleQuote || bytes[i] == singleQuote else {
            skip { $0 != newline }
            var text = bytes[start..<i]
            // ` #` begins a comment; `#` inside a word does not, nor right after the sign: a colour is a value.
            if isApart, text.first == UInt8(ascii: "#") { text = text.prefix(0) }
            for k in text.indices.dropFirst()
            where text[k] == UInt8(ascii: "#") && isSpace(text[k - 1]) {
                text = text[..<k]
                break
            }
            return try expand(trimmed(text), at: start)
        }
        let quote = bytes[i]
        i += 1
        var text: [UInt8] = []
        while i < bytes.count, bytes[i] != quote {
            if bytes[i] == UInt8(ascii: "\\"), i + 1 < bytes.count {
                i += 1
                if quote == doubleQuote {
                    appendEscape(bytes[i], to: &text)
                } else {
                    if bytes[i] != quote { text.append(UInt8(ascii: "\\")) }
                    text.append(bytes[i])
                }
            } else {
                text.append(bytes[i])
            }
            i += 1
        }
        guard i < bytes.count else { throw problem("the quote of \"\(name)\" is never closed", at: start) }
        i += 1
        skip(isSpace)
        guard i == bytes.count || bytes[i] == newline || bytes[i] == UInt8(ascii: "#") else {
            throw problem("the value of \"\(name)\" goes on after its closing quote", at: i)
        }
        let string = String(decoding: text, as: UTF8.self)
        return quote == doubleQuote ? try expand(string, at: start) : string
    }

    private func appendEscape(_ byte: UInt8, to text: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "a"): text.append(7)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "v"): text.append(11)
        case UInt8(ascii: "\\"), doubleQuote: text.append(byte)
        // `$$` stands for the dollar sign until variables were put in.
        case UInt8(ascii: "$"): text += [byte, byte]
        default: text += [UInt8(ascii: "\\"), byte]
        }
    }

    private func expand(_ text: String, at offset: Int) throws(Failure) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        let template = Template(lookup: { lookup($0) ?? variables[$0] }, onMissing: { _, _ in })
        do throws(TemplateError) {
            return try template.expand(text)
        } catch {
            if case .required(let variable, let message) = error.reason {
                throw problem(
                    "the variable \"\(variable)\" is required", cause: message.isEmpty ? nil : message,
                    at: offset)
            }
            throw problem(
                "invalid variable in \"\(shortened(text))\"", advice: "write $$ for a dollar sign itself",
                at: offset)
        }
    }

    // MARK: Bytes

    private mutating func skip(_ condition: (UInt8) -> Bool) {
        while i < bytes.count, condition(bytes[i]) { i += 1 }
    }

    private func trimmed(_ text: ArraySlice<UInt8>) -> String {
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text = text.dropLast() }
        return String(decoding: text, as: UTF8.self)
    }

    private func problem(_ text: String, cause: String? = nil, advice: String? = nil, at offset: Int)
        -> Failure
    {
        Failure(text, cause: cause, advice: advice, at: file.place(offset: offset).location)
    }
}

private let newline = UInt8(ascii: "\n")
private let doubleQuote = UInt8(ascii: "\"")
private let singleQuote = UInt8(ascii: "'")

private func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 }

private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122, 0x5f, 0x2e, 0x2d, 0x5b, 0x5d: true
    default: false
    }
}
