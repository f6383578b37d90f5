// SPDX-License-Identifier: Apache-2.0
//
// Template: `$VAR` and every `${…}` form (12-interpolation.md; compose-go, template/template.go). Pure: the
// variables come from a closure, defaults are only looked at when their branch is taken.

/// Why a text could not be expanded, and at which byte of it.
struct TemplateError: Error {
    enum Reason {
        case invalid
        case required(variable: String, message: String)
    }
    var reason: Reason
    var offset: Int
}

/// Puts variables into texts.
struct Template {
    /// The value of a variable, nil when it is not set.
    let lookup: (String) -> String?
    /// Told of a variable that is not set and has no default, with its byte offset in the whole text.
    let onMissing: (String, Int) -> Void

    func expand(_ text: String) throws(TemplateError) -> String {
        let bytes = Array(text.utf8)
        return try String(decoding: expand(bytes[...], depth: 0), as: UTF8.self)
    }

    private func expand(_ text: ArraySlice<UInt8>, depth: Int) throws(TemplateError) -> [UInt8] {
        // Nobody nests so deep; a text made to exhaust the stack does.
        guard depth < 100 else { throw TemplateError(reason: .invalid, offset: text.startIndex) }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var i = text.startIndex
        while i < text.endIndex {
            let byte = text[i]
            guard byte == dollar else {
                result.append(byte)
                i += 1
                continue
            }
            let start = i
            i += 1
            guard i < text.endIndex else { throw TemplateError(reason: .invalid, offset: start) }
            if text[i] == dollar {
                result.append(dollar)
                i += 1
            } else if text[i] == openBrace {
                guard let end = Template.closingBrace(text, from: i) else {
                    throw TemplateError(reason: .invalid, offset: start)
                }
                result += try braced(text[(i + 1)..<end], at: start, depth: depth + 1)
                i = end + 1
            } else {
                let name = Template.variableName(text[i...])
                guard !name.isEmpty else { throw TemplateError(reason: .invalid, offset: start) }
                i = name.endIndex
                let variable = String(decoding: name, as: UTF8.self)
                if let value = lookup(variable) {
                    result += value.utf8
                } else {
                    onMissing(variable, start)
                }
            }
        }
        return result
    }

    /// What stands between the braces: a name, and perhaps `-`, `+` or `?`, each with or without a colon, and a text.
    private func braced(
        _ inside: ArraySlice<UInt8>, at start: Int, depth: Int
    ) throws(TemplateError) -> [UInt8] {
        let name = Template.variableName(inside)
        guard !name.isEmpty else { throw TemplateError(reason: .invalid, offset: start) }
        let variable = String(decoding: name, as: UTF8.self)
        let value = lookup(variable)
        var rest = inside[name.endIndex...]
        if rest.isEmpty {
            if value == nil { onMissing(variable, start) }
            return Array((value ?? "").utf8)
        }
        let colon = rest.first == UInt8(ascii: ":")
        if colon { rest = rest.dropFirst() }
        guard let sign = rest.popFirst() else { throw TemplateError(reason: .invalid, offset: start) }
        let isGiven = value.map { !(colon && $0.isEmpty) } ?? false
        switch sign {
        case UInt8(ascii: "-"): return isGiven ? Array((value ?? "").utf8) : try expand(rest, depth: depth)
        case UInt8(ascii: "+"): return isGiven ? try expand(rest, depth: depth) : []
        case UInt8(ascii: "?"):
            if isGiven { return Array((value ?? "").utf8) }
            let message = try String(decoding: expand(rest, depth: depth), as: UTF8.self)
            throw TemplateError(reason: .required(variable: variable, message: message), offset: start)
        default: throw TemplateError(reason: .invalid, offset: start)
        }
    }

    /// The brace that closes the one at `open`; braces in between are counted, as compose-go does.
    static func closingBrace(_ text: ArraySlice<UInt8>, from open: Int) -> Int? {
        var depth = 0
        for i in open..<text.endIndex {
            if text[i] == UInt8(ascii: "{") { depth += 1 }
            if text[i] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0 { return i }
            }
        }
        return nil
    }

    /// The name at the beginning, empty when none is there.
    static func variableName(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let first = text.first, isLetter(first) else { return text.prefix(0) }
        return text.prefix { isLetter($0) || (48...57).contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (65...90).contains(byte) || (97...122).contains(byte) || byte == 95
    }

    private let dollar = UInt8(ascii: "$")
    private let openBrace = UInt8(ascii: "{")

    init(lookup: @escaping (String) -> String?, onMissing: @escaping (String, Int) -> Void) {
        self.lookup = lookup
        self.onMissing = onMissing
    }
}
