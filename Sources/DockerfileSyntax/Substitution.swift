// SPDX-License-Identifier: Apache-2.0
//
// Variables and quotes in an instruction's words, as Docker's own word processing has them: quotes go, escapes go,
// `$NAME` and the `${NAME…}` forms are replaced. Results are not expanded again.
// Source: Dockerfile reference, "Environment replacement".

public import Basics

/// Expands words with the variables in effect.
public struct Substitution {
    let escape: Unicode.Scalar
    let lookup: (String) -> String?
    /// Heredoc contents keep their quotes.
    var keepsQuotes = false
    /// Told the names that are replaced by nothing since they are not known; `${NAME:-…}` and the like expect that.
    public var undefined: ((String) -> Void)?

    public init(escape: Unicode.Scalar, lookup: @escaping (String) -> String?) {
        self.escape = escape
        self.lookup = lookup
    }

    /// The word with variables replaced and quotes removed.
    public func expand(_ word: Word) throws(Failure) -> String {
        // Most words have nothing to replace.
        if !word.text.unicodeScalars.contains(where: {
            $0 == "$" || $0 == "\"" || $0 == "'" || $0 == escape
        }) {
            return word.text
        }
        var run = Expansion(substitution: self, word: word)
        try run.process(until: nil, keepingEscapes: false)
        return run.output
    }

    /// The word expanded and then split at blanks that came unquoted, as `EXPOSE $PORTS` needs.
    public func expandAndSplit(_ word: Word) throws(Failure) -> [String] {
        var run = Expansion(substitution: self, word: word)
        try run.process(until: nil, keepingEscapes: false)
        return run.words
    }

    /// A heredoc's content with variables replaced and its quotes left alone.
    public func expandContent(_ word: Word) throws(Failure) -> String {
        var raw = self
        raw.keepsQuotes = true
        return try raw.expand(word)
    }
}

private struct Expansion {
    let substitution: Substitution
    let word: Word
    let input: [Unicode.Scalar]
    var position = 0
    var output = ""
    var words: [String] { openWord.isEmpty ? closedWords : closedWords + [openWord] }
    private var closedWords: [String] = []
    private var openWord = ""

    init(substitution: Substitution, word: Word) {
        self.substitution = substitution
        self.word = word
        input = Array(word.text.unicodeScalars)
    }

    private var peek: Unicode.Scalar? { position < input.count ? input[position] : nil }

    private func failure(_ doing: String, at position: Int, advice: String? = nil) -> Failure {
        var place = word.location
        place.column += position
        return Failure(doing, advice: advice, at: place)
    }

    private mutating func add(_ text: String, splitting: Bool) {
        output += text
        guard splitting else {
            openWord += text
            return
        }
        for scalar in text.unicodeScalars {
            if scalar.properties.isWhitespace {
                if !openWord.isEmpty { closedWords.append(openWord) }
                openWord = ""
            } else {
                openWord.unicodeScalars.append(scalar)
            }
        }
    }

    /// Consumes up to and including `stop`, or to the end when there is none.
    mutating func process(until stop: Unicode.Scalar?, keepingEscapes: Bool) throws(Failure) {
        let start = position
        while let scalar = peek {
            if scalar == stop {
                position += 1
                return
            }
            switch scalar {
            case "$": add(try dollar(), splitting: true)
            case "'" where !substitution.keepsQuotes: add(try singleQuoted(), splitting: false)
            case "\"" where !substitution.keepsQuotes: add(try doubleQuoted(), splitting: false)
            case substitution.escape:
                position += 1
                if keepingEscapes { add(String(scalar), splitting: false) }
                if let escaped = peek {
                    add(String(escaped), splitting: false)
                    position += 1
                }
            default:
                add(String(scalar), splitting: true)
                position += 1
            }
        }
        if let stop { throw failure("`\(stop)` is missing after this", at: max(0, start - 1)) }
    }

    private mutating func singleQuoted() throws(Failure) -> String {
        let start = position
        position += 1
        var text = ""
        while let scalar = peek {
            position += 1
            if scalar == "'" { return text }
            text.unicodeScalars.append(scalar)
        }
        throw failure("this single quote is never closed", at: start)
    }

    private mutating func doubleQuoted() throws(Failure) -> String {
        let start = position
        position += 1
        var text = ""
        while let scalar = peek {
            switch scalar {
            case "\"":
                position += 1
                return text
            case "$": text += try dollar()
            case substitution.escape:
                position += 1
                guard let next = peek else { continue }
                // Only these can be escaped within double quotes; before others the escape is a character.
                if next == "\"" || next == "$" || next == substitution.escape {
                    text.unicodeScalars.append(next)
                    position += 1
                } else {
                    text.unicodeScalars.append(scalar)
                }
            default:
                text.unicodeScalars.append(scalar)
                position += 1
            }
        }
        throw failure("this double quote is never closed", at: start)
    }

    private mutating func dollar() throws(Failure) -> String {
        let start = position
        position += 1
        guard peek == "{" else {
            let name = variableName()
            return name.isEmpty ? "$" : value(name)
        }
        position += 1
        let name = variableName()
        guard !name.isEmpty else { throw failure("bad substitution: a name must follow `${`", at: start) }
        guard var modifier = peek else { throw failure("`}` is missing after this", at: start) }
        position += 1
        if modifier == "}" { return value(name) }
        var emptyIsUnset = false
        if modifier == ":" {
            emptyIsUnset = true
            guard let next = peek else { throw failure("`}` is missing after this", at: start) }
            modifier = next
            position += 1
        }
        switch modifier {
        case "-", "+", "?":
            let argument = try inner(until: "}", from: start)
            let value = substitution.lookup(name).flatMap { emptyIsUnset && $0.isEmpty ? nil : $0 }
            switch modifier {
            case "-": return value ?? argument
            case "+": return value == nil ? "" : argument
            default:
                guard let value else {
                    let reason =
                        argument.isEmpty
                        ? "it is not allowed to be \(emptyIsUnset ? "empty" : "unset")" : argument
                    var error = failure("`\(name)` has no value", at: start)
                    error.cause = reason
                    throw error
                }
                return value
            }
        case "#", "%", "/":
            return try edited(name, by: modifier, from: start)
        default:
            throw failure(
                "`\(emptyIsUnset ? ":" : "")\(modifier)` is no substitution",
                at: start, advice: "use ${\(name)}, ${\(name):-default} or ${\(name):+alternative}")
        }
    }

    private func value(_ name: String) -> String {
        if let value = substitution.lookup(name) { return value }
        substitution.undefined?(name)
        return ""
    }

    /// The forms that cut or replace: `#` `##` `%` `%%` `/` `//`.
    private mutating func edited(_ name: String, by modifier: Unicode.Scalar, from start: Int)
        throws(Failure) -> String
    {
        let doubled = peek == modifier
        if doubled { position += 1 }
        let value = Array(value(name).unicodeScalars)
        if modifier == "/" {
            let pattern = ShellPattern(try inner(until: "/", from: start, keepingEscapes: true))
            let replacement = try inner(until: "}", from: start)
            return pattern.replace(in: value, with: replacement, all: doubled)
        }
        let pattern = ShellPattern(try inner(until: "}", from: start, keepingEscapes: true))
        return modifier == "#"
            ? pattern.trimPrefix(of: value, longest: doubled)
            : pattern.trimSuffix(of: value, longest: doubled)
    }

    /// The expanded text up to `stop`, without adding it to the output.
    private mutating func inner(until stop: Unicode.Scalar, from start: Int, keepingEscapes: Bool = false)
        throws(Failure) -> String
    {
        var nested = Expansion(substitution: substitution, word: word)
        nested.position = position
        do throws(Failure) {
            try nested.process(until: stop, keepingEscapes: keepingEscapes)
        } catch {
            if nested.position >= input.count {
                throw failure("`\(stop)` is missing after this", at: start)
            }
            throw error
        }
        position = nested.position
        return nested.output
    }

    /// A name, a run of digits, or one special parameter; empty when none of them follows.
    private mutating func variableName() -> String {
        var name = ""
        guard let first = peek else { return name }
        if ("0"..."9").contains(first) {
            while let digit = peek, ("0"..."9").contains(digit) {
                name.unicodeScalars.append(digit)
                position += 1
            }
            return name
        }
        if "@*#?-$!".unicodeScalars.contains(first) {
            position += 1
            return String(first)
        }
        while let scalar = peek,
            scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
        {
            name.unicodeScalars.append(scalar)
            position += 1
        }
        return name
    }
}

/// A pattern of `*`, `?` and literal characters, as `${NAME#pattern}` takes it (POSIX XCU 2.13, without brackets).
private struct ShellPattern {
    private enum Part: Equatable { case literal(Unicode.Scalar), one, many }
    private var parts: [Part] = []

    init(_ text: String) {
        var escaped = false
        for scalar in text.unicodeScalars {
            if escaped {
                parts.append(.literal(scalar))
                escaped = false
            } else {
                switch scalar {
                case "\\": escaped = true
                case "*": parts.append(.many)
                case "?": parts.append(.one)
                default: parts.append(.literal(scalar))
                }
            }
        }
    }

    func trimPrefix(of value: [Unicode.Scalar], longest: Bool) -> String {
        let ends = matchEnds(value, from: 0)
        guard let end = longest ? ends.last : ends.first else { return text(value[...]) }
        return text(value[end...])
    }

    func trimSuffix(of value: [Unicode.Scalar], longest: Bool) -> String {
        let starts = (0...value.count).filter { matchEnds(value, from: $0).last == value.count }
        guard let start = longest ? starts.first : starts.last else { return text(value[...]) }
        return text(value[..<start])
    }

    func replace(in value: [Unicode.Scalar], with replacement: String, all: Bool) -> String {
        var result = ""
        var position = 0
        while position <= value.count {
            if let end = matchEnds(value, from: position).last, end > position || parts.isEmpty == false {
                result += replacement
                if end > position {
                    position = end
                } else {
                    if position < value.count { result.unicodeScalars.append(value[position]) }
                    position += 1
                }
                if !all { return result + text(value[min(position, value.count)...]) }
                if position == value.count { break }
            } else {
                if position < value.count { result.unicodeScalars.append(value[position]) }
                position += 1
            }
        }
        return result
    }

    /// Every end, ascending, of a match that starts at `start`.
    private func matchEnds(_ value: [Unicode.Scalar], from start: Int) -> [Int] {
        var ends: Set<Int> = [start]
        for part in parts {
            var next: Set<Int> = []
            for end in ends {
                switch part {
                case .literal(let scalar): if end < value.count, value[end] == scalar { next.insert(end + 1) }
                case .one: if end < value.count { next.insert(end + 1) }
                case .many: next.formUnion(end...value.count)
                }
            }
            ends = next
        }
        return ends.sorted()
    }

    private func text(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var result = ""
        result.unicodeScalars.append(contentsOf: scalars)
        return result
    }
}
