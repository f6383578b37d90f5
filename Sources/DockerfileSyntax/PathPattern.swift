// SPDX-License-Identifier: Apache-2.0
//
// Wildcards in paths: Go's filepath.Match, with `**` for any number of directories where it is asked for.
// A pattern runs as a set of states over the path's characters, so no pattern makes matching slow.

/// A compiled pattern over a whole path.
public struct PathPattern: Sendable {
    private enum Token: Sendable, Equatable {
        case literal(Unicode.Scalar)
        /// `?`: one character that is no slash.
        case one
        /// `*`: characters that are no slash.
        case many
        /// `**` at the end: anything.
        case rest
        /// `**/`: nothing, or anything that ends in a slash; stands before a `directories`.
        case maybeDirectories
        case directories
        case set([ClosedRange<Unicode.Scalar>], negated: Bool)
    }
    private enum Shape: Sendable { case exact, prefix, suffix, general }

    /// The pattern's text.
    public let text: String
    private var tokens: [Token] = []
    private var shape = Shape.exact
    /// For `prefix` and `suffix`: what must stand there. For `general`: the literal beginning.
    private var fixed: [UInt8] = []

    /// A path prepared once for many patterns.
    struct Subject {
        let bytes: [UInt8]
        let scalars: [Unicode.Scalar]
        init(_ path: String) {
            bytes = Array(path.utf8)
            scalars = Array(path.unicodeScalars)
        }
    }

    /// Nil when the pattern is malformed: an unclosed or empty `[…]`, a reversed range, a `\` at the end.
    public init?(_ text: String, doubleStar: Bool = true) {
        self.text = text
        let input = Array(text.unicodeScalars)
        var index = 0
        var leadingDoubleStar = false
        while index < input.count {
            let scalar = input[index]
            index += 1
            switch scalar {
            case "*":
                guard doubleStar, index < input.count, input[index] == "*" else {
                    if tokens.last != .many { tokens.append(.many) }
                    shape = .general
                    continue
                }
                let first = index == 1
                index += 1
                if index < input.count, input[index] == "/" { index += 1 }
                if index == input.count {
                    // Anything below: as .gitignore has it.
                    shape = shape == .exact ? .prefix : .general
                    tokens.append(.rest)
                } else {
                    shape = .general
                    tokens += [.maybeDirectories, .directories]
                }
                if first { leadingDoubleStar = true }
            case "?":
                shape = .general
                tokens.append(.one)
            case "[":
                guard let (set, end) = PathPattern.parseSet(input, index) else { return nil }
                shape = .general
                tokens.append(set)
                index = end
            case "\\":
                guard index < input.count else { return nil }
                tokens.append(.literal(input[index]))
                index += 1
            default: tokens.append(.literal(scalar))
            }
        }
        settleShape(leadingDoubleStar: leadingDoubleStar)
    }

    /// moby's matcher takes `**name` and `**/name` without further wildcards as "ends in name", and even `**`
    /// itself; a pattern with wildcards after its `**/` asks for whole path elements.
    private mutating func settleShape(leadingDoubleStar: Bool) {
        func bytes(_ tokens: some Sequence<Token>) -> [UInt8] {
            var result = ""
            for case .literal(let scalar) in tokens { result.unicodeScalars.append(scalar) }
            return Array(result.utf8)
        }
        func allLiteral(_ tokens: some Sequence<Token>) -> Bool {
            tokens.allSatisfy { if case .literal = $0 { true } else { false } }
        }
        if leadingDoubleStar, tokens == [.rest] {
            (shape, fixed) = (.prefix, [])
        } else if leadingDoubleStar, tokens.count > 2, allLiteral(tokens.dropFirst(2)),
            !text.utf8.contains(UInt8(ascii: "\\"))
        {
            (shape, fixed) = (.suffix, Array(text.utf8.dropFirst(2)))
        } else if shape == .prefix {
            fixed = bytes(tokens.dropLast())
        } else {
            fixed = bytes(
                tokens.prefix { if case .literal = $0 { true } else { false } })
        }
    }

    private static func parseSet(_ input: [Unicode.Scalar], _ start: Int) -> (Token, Int)? {
        var index = start
        let negated = index < input.count && input[index] == "^"
        if negated { index += 1 }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        func character() -> Unicode.Scalar? {
            guard index < input.count, input[index] != "-" else { return nil }
            if input[index] == "\\" {
                index += 1
                guard index < input.count else { return nil }
            }
            defer { index += 1 }
            return input[index]
        }
        while index < input.count {
            if input[index] == "]", !ranges.isEmpty { return (.set(ranges, negated: negated), index + 1) }
            if input[index] == "]" { return nil }
            guard let low = character() else { return nil }
            var high = low
            if index < input.count, input[index] == "-" {
                index += 1
                guard index < input.count, input[index] != "]", let end = character(), end >= low else {
                    return nil
                }
                high = end
            }
            ranges.append(low...high)
        }
        return nil
    }

    /// True when a name holds a character that makes it a pattern.
    public static func isPattern(_ text: String) -> Bool {
        text.utf8.contains {
            $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "[")
                || $0 == UInt8(ascii: "\\")
        }
    }

    /// True when the whole path matches.
    public func matches(_ path: String) -> Bool { matches(Subject(path)) }

    func matches(_ path: Subject) -> Bool {
        switch shape {
        case .exact: return path.bytes == fixed
        case .prefix: return path.bytes.starts(with: fixed)
        case .suffix:
            if path.bytes.count >= fixed.count, path.bytes.suffix(fixed.count).elementsEqual(fixed) {
                return true
            }
            return fixed.first == UInt8(ascii: "/") && path.bytes.elementsEqual(fixed.dropFirst())
        case .general:
            guard path.bytes.starts(with: fixed) else { return false }
            return run(path.scalars[...], partial: false)
        }
    }

    /// True when some path below `directory` may match: the pattern can get through `directory/`.
    func mayMatch(below directory: String) -> Bool {
        if shape == .suffix { return true }
        return run(Array("\(directory)/".unicodeScalars)[...], partial: true)
    }

    private func run(_ path: ArraySlice<Unicode.Scalar>, partial: Bool) -> Bool {
        var states = [Bool](repeating: false, count: tokens.count + 1)
        enter(0, &states)
        for scalar in path {
            var next = [Bool](repeating: false, count: tokens.count + 1)
            var alive = false
            for index in tokens.indices where states[index] {
                switch tokens[index] {
                case .literal(let wanted): if scalar == wanted { enter(index + 1, &next) }
                case .one: if scalar != "/" { enter(index + 1, &next) }
                case .many: if scalar != "/" { enter(index, &next) }
                case .rest: enter(index, &next)
                case .maybeDirectories: break
                case .directories:
                    next[index] = true
                    if scalar == "/" { enter(index + 1, &next) }
                case .set(let ranges, let negated):
                    if ranges.contains(where: { $0.contains(scalar) }) != negated { enter(index + 1, &next) }
                }
                alive = true
            }
            if !alive { return false }
            states = next
        }
        return partial ? states.contains(true) : states[tokens.count]
    }

    /// Marks a state and all that are reached from it without a character.
    private func enter(_ index: Int, _ states: inout [Bool]) {
        guard !states[index] else { return }
        states[index] = true
        guard index < tokens.count else { return }
        switch tokens[index] {
        case .many, .rest: enter(index + 1, &states)
        case .maybeDirectories:
            enter(index + 1, &states)
            enter(index + 2, &states)
        default: break
        }
    }
}
