// SPDX-License-Identifier: Apache-2.0
//
// As much TOML (v1.0) as containers-registries.conf(5) is written in: tables, arrays of tables, strings, booleans,
// numbers and arrays of strings, one key a line. What is more than that is refused with its line, never skipped.

internal import Basics

struct TOMLTable {
    /// `registry`, `registry.mirror`; empty for the top.
    var path: String
    var values: [String: TOMLValue] = [:]
    var line: Int
}

enum TOMLValue: Equatable {
    case text(String)
    case flag(Bool)
    case number(Int64)
    case list([String])
}

/// The tables of a text in the order they stand there, the top first.
func parseTOML(_ text: String, path: String) throws(Failure) -> [TOMLTable] {
    var tables = [TOMLTable(path: "", line: 1)]
    func refuse(_ line: Int, _ why: String) -> Failure {
        Failure(
            "cannot read the registry settings", cause: "\(path):\(line): \(why)",
            advice: "see containers-registries.conf(5)")
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[...]
    var number = 0
    while var line = lines.popFirst() {
        number += 1
        let first = number
        // A list goes on until its bracket closes.
        while isOpen(line), let more = lines.popFirst() {
            number += 1
            line += "\n" + more
        }
        var reader = TOMLReader(line)
        reader.skipBlanks()
        if reader.atEnd { continue }
        if reader.take("[") {
            let isArray = reader.take("[")
            var parts: [String] = []
            repeat {
                guard let key = reader.key() else { throw refuse(first, "a table has no name") }
                parts.append(key)
            } while reader.take(".")
            guard reader.take("]"), !isArray || reader.take("]") else {
                throw refuse(first, "a `]` is missing")
            }
            tables.append(TOMLTable(path: parts.joined(separator: "."), line: first))
        } else {
            guard let key = reader.key() else { throw refuse(first, "neither a table nor a key") }
            guard reader.take("="), let value = reader.value() else {
                throw refuse(first, "`\(key)` has no value that is understood here")
            }
            tables[tables.count - 1].values[key] = value
        }
        reader.skipBlanks()
        guard reader.atEnd else { throw refuse(first, "something follows the value") }
    }
    return tables
}

/// More `[` than `]` after the `=`, outside of strings and comments.
private func isOpen(_ line: String) -> Bool {
    guard line.contains("=") else { return false }
    var depth = 0
    var quote: Character?
    var escaped = false
    var inComment = false
    for character in line {
        if character == "\n" { inComment = false }
        if inComment { continue }
        if let open = quote {
            if escaped {
                escaped = false
            } else if character == "\\", open == "\"" {
                escaped = true
            } else if character == open {
                quote = nil
            }
            continue
        }
        switch character {
        case "\"", "'": quote = character
        case "#": inComment = true
        case "[": depth += 1
        case "]": depth -= 1
        default: break
        }
    }
    return depth > 0
}

private struct TOMLReader {
    private var rest: Substring
    init(_ text: String) { rest = text[...] }

    var atEnd: Bool { rest.isEmpty }

    mutating func skipBlanks() {
        while let first = rest.first {
            if first == "#" {
                rest = rest.drop { $0 != "\n" }
            } else if first.isWhitespace {
                rest = rest.dropFirst()
            } else {
                return
            }
        }
    }

    mutating func take(_ character: Character) -> Bool {
        skipBlanks()
        guard rest.first == character else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func key() -> String? {
        skipBlanks()
        if rest.first == "\"" || rest.first == "'" { return string() }
        let word = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
        rest = rest.dropFirst(word.count)
        return word.isEmpty ? nil : String(word)
    }

    mutating func value() -> TOMLValue? {
        skipBlanks()
        if rest.first == "\"" || rest.first == "'" { return string().map { .text($0) } }
        if take("[") {
            var items: [String] = []
            while true {
                if take("]") { return .list(items) }
                skipBlanks()
                guard let item = string() else { return nil }
                items.append(item)
                if take(",") { continue }
                return take("]") ? .list(items) : nil
            }
        }
        let word = rest.prefix { !$0.isWhitespace && $0 != "#" }
        rest = rest.dropFirst(word.count)
        switch word {
        case "true": return .flag(true)
        case "false": return .flag(false)
        default: return Int64(word).map { .number($0) }
        }
    }

    /// A basic or literal string of one line.
    private mutating func string() -> String? {
        guard let quote = rest.first, quote == "\"" || quote == "'" else { return nil }
        rest = rest.dropFirst()
        var text = ""
        while let character = rest.popFirst() {
            if character == quote { return text }
            if character == "\n" { return nil }
            if character == "\\", quote == "\"" {
                switch rest.popFirst() {
                case "\"": text.append("\"")
                case "\\": text.append("\\")
                case "n": text.append("\n")
                case "t": text.append("\t")
                default: return nil
                }
            } else {
                text.append(character)
            }
        }
        return nil
    }
}
