// SPDX-License-Identifier: Apache-2.0
//
// RowTemplate: `--format` of lists as Docker's take it, of Go's text/template what scripts use: `{{.Field}}`, `{{json .Field}}`,
// `{{json .}}`, text around them, `\t` and `\n`, and `table ` before all for columns with a head. Which fields a list has is its
// own business.

internal import Basics
internal import JSONFormat

struct RowTemplate: Equatable {
    enum Part: Equatable {
        case text(String)
        case field(String)
        /// nil: the whole row.
        case json(String?)
    }
    private(set) var parts: [Part] = []
    let isTable: Bool

    /// - Throws: what is no template of this kind.
    init(_ text: String) throws(Failure) {
        isTable = text.hasPrefix("table ")
        var rest = (isTable ? text.dropFirst(6) : text[...])[...]
        while !rest.isEmpty {
            guard let open = rest.firstRange(of: "{{") else {
                parts.append(.text(unescaped(rest)))
                break
            }
            if open.lowerBound > rest.startIndex { parts.append(.text(unescaped(rest[..<open.lowerBound]))) }
            guard let close = rest[open.upperBound...].firstRange(of: "}}") else {
                throw Self.refused(text, "\"{{\" is not closed by \"}}\"")
            }
            let inside = rest[open.upperBound..<close.lowerBound]
            guard let part = Self.part(inside.split(whereSeparator: \.isWhitespace)) else {
                throw Self.refused(
                    text, "\"{{\(inside)}}\" is none of {{.Field}}, {{json .Field}}, {{json .}}")
            }
            parts.append(part)
            rest = rest[close.upperBound...]
        }
        if parts.allSatisfy({ if case .text = $0 { true } else { false } }) {
            throw Self.refused(text, "it names no field; `table` and `json` stand alone")
        }
    }

    private static func refused(_ text: String, _ cause: String) -> Failure {
        Failure(
            "cannot understand --format \(quoted(text))", cause: cause,
            advice: "use table, json, or fields in braces: '{{.Name}}\\t{{.Status}}'")
    }

    private static func part(_ words: [Substring]) -> Part? {
        func field(_ word: Substring) -> String? {
            word.hasPrefix(".") && word.dropFirst().allSatisfy(\.isLetter) ? String(word.dropFirst()) : nil
        }
        if words.count == 1, let name = field(words[0]), !name.isEmpty { return .field(name) }
        if words.count == 2, words[0] == "json", let name = field(words[1]) {
            return .json(name.isEmpty ? nil : name)
        }
        return nil
    }

    /// The rows' text, a line each.
    /// - Throws: when a row has no field of that name.
    func text(of rows: [[(name: String, value: JSONText)]]) throws(Failure) -> String {
        var lines: [String] = []
        for row in rows {
            var line = ""
            for part in parts {
                let cell = try text(of: part, in: row)
                // A tab in a field is no column's end.
                if isTable, case .text = part { line += cell } else { line += isTable ? escaped(cell) : cell }
            }
            lines.append(line)
        }
        guard isTable else { return lines.map { "\($0)\n" }.joined() }
        let head = parts.map {
            switch $0 {
            case .text(let text): text
            case .field(let name), .json(let name?): Self.title(name)
            case .json(nil): "JSON"
            }
        }.joined()
        func cells(_ line: String) -> [String] {
            line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        }
        return table(cells(head), lines.map(cells))
    }

    /// `RunningFor` as `RUNNING FOR`.
    private static func title(_ name: String) -> String {
        var title = ""
        var before: Character?
        for character in name {
            if character.isUppercase, before?.isLowercase == true { title += " " }
            title += character.uppercased()
            before = character
        }
        return title
    }

    private func text(of part: Part, in row: [(name: String, value: JSONText)]) throws(Failure) -> String {
        switch part {
        case .text(let text): return text
        case .field(let name):
            switch try value(of: name, in: row) {
            case .string(let text): return text
            case .null: return ""
            case let other: return other.compact
            }
        case .json(nil): return JSONText.object(row.map { ($0.name, $0.value) }).compact
        case .json(let name?): return try value(of: name, in: row).compact
        }
    }

    private func value(of name: String, in row: [(name: String, value: JSONText)]) throws(Failure) -> JSONText
    {
        if let found = row.first(where: { $0.name == name }) { return found.value }
        let names = row.map(\.name)
        throw Failure(
            "cannot show field \(quoted(name))", cause: "this list has none of that name",
            advice: nearest(to: name, among: names).map { "did you mean \(quoted($0))?" }
                ?? "it has \(names.joined(separator: ", "))")
    }
}

/// Go's escapes that a shell leaves in single quotes.
private func unescaped(_ text: Substring) -> String {
    var result = ""
    var rest = text
    while let character = rest.popFirst() {
        switch (character, rest.first) {
        case ("\\", "t"): result += "\t"
        case ("\\", "n"): result += "\n"
        default:
            result.append(character)
            continue
        }
        rest.removeFirst()
    }
    return result
}
