// SPDX-License-Identifier: Apache-2.0
//
// Document: a value as YAML or JSON text. YAML is written as Docker Compose's `config` writes it: two
// columns of indentation, lists indented below their key, quotes only where the plain text would be read as
// something else.

internal import ComposeModel
internal import YAMLTree

extension Node {
    /// The node without places: plain scalars as YAML 1.2's core schema has them, all else as text.
    var value: Value {
        switch content {
        case .sequence(let items): return .list(items.map(\.value))
        case .mapping(let mapping): return .map(mapping.pairs.map { ($0.key, $0.value.value) })
        case .scalar(let text, .plain):
            switch text {
            case _ where isNull: return .null
            case "true", "True", "TRUE": return .bool(true)
            case "false", "False", "FALSE": return .bool(false)
            default: break
            }
            if let number = Int64(text), text.first != "+",
                text == "0" || !text.drop(while: { $0 == "-" }).hasPrefix("0")
            {
                return .integer(number)
            }
            let first = text.utf8.first ?? 0
            let isNumber = (48...57).contains(first) || first == 0x2d || first == 0x2e
            if isNumber, text.utf8.contains(0x2e) || text.utf8.contains(0x65), let number = Double(text),
                number.isFinite
            {
                return .decimal(number)
            }
            return .text(text)
        case .scalar(let text, _): return .text(text)
        }
    }
}

/// Values are printed as documents.
typealias Document = Value

extension Value {
    // MARK: YAML

    func yaml() -> String {
        var text = ""
        writeYAML(to: &text, indentation: 0, inList: false)
        return text
    }

    private var isEmptyContainer: Bool {
        switch self {
        case .list(let items): items.isEmpty
        case .map(let pairs): pairs.isEmpty
        default: false
        }
    }

    /// Writes a block; the caller has written what stands before it on the line.
    private func writeYAML(to text: inout String, indentation: Int, inList: Bool) {
        switch self {
        case .map(let pairs) where !pairs.isEmpty:
            for (position, (key, value)) in pairs.enumerated() {
                if position > 0 || !inList { text += String(repeating: " ", count: indentation) }
                let written = yamlText(key, indentation: indentation, isKey: true)
                if written.unicodeScalars.count <= longestSimpleKey {
                    text += written + ":"
                } else {
                    text += "? " + written + "\n" + String(repeating: " ", count: indentation) + ":"
                }
                value.writeValue(to: &text, indentation: indentation)
            }
        case .list(let items) where !items.isEmpty:
            for (position, item) in items.enumerated() {
                if position > 0 || !inList { text += String(repeating: " ", count: indentation) }
                text += "-"
                switch item {
                case .map, .list:
                    text += " "
                    item.writeYAML(to: &text, indentation: indentation + 2, inList: true)
                default: item.writeValue(to: &text, indentation: indentation)
                }
            }
        default: text += scalar(indentation: indentation) + "\n"
        }
    }

    /// Writes what stands after `key:` or `-`.
    private func writeValue(to text: inout String, indentation: Int) {
        switch self {
        case .map, .list:
            if isEmptyContainer {
                text += " " + scalar(indentation: indentation) + "\n"
            } else {
                text += "\n"
                writeYAML(to: &text, indentation: indentation + 2, inList: false)
            }
        default: text += " " + scalar(indentation: indentation + 2) + "\n"
        }
    }

    private func scalar(indentation: Int) -> String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .decimal(let value): decimalText(value)
        case .text(let text): yamlText(text, indentation: indentation, isKey: false)
        case .list: "[]"
        case .map: "{}"
        }
    }

    // MARK: JSON

    func json() -> String {
        var text = ""
        writeJSON(to: &text, indentation: 0)
        return text + "\n"
    }

    private func writeJSON(to text: inout String, indentation: Int) {
        let inner = String(repeating: " ", count: indentation + 2)
        let outer = String(repeating: " ", count: indentation)
        switch self {
        case .map(let pairs) where !pairs.isEmpty:
            text += "{\n"
            for (position, (key, value)) in pairs.enumerated() {
                text += inner + quoted(key) + ": "
                value.writeJSON(to: &text, indentation: indentation + 2)
                text += position == pairs.count - 1 ? "\n" : ",\n"
            }
            text += outer + "}"
        case .list(let items) where !items.isEmpty:
            text += "[\n"
            for (position, item) in items.enumerated() {
                text += inner
                item.writeJSON(to: &text, indentation: indentation + 2)
                text += position == items.count - 1 ? "\n" : ",\n"
            }
            text += outer + "]"
        case .text(let value): text += quoted(value)
        default: text += scalar(indentation: 0)
        }
    }
}

/// A key that is longer has to say that it is one (YAML 1.2, section 7.4.2: 1024 characters, its quotes and what stands
/// before the colon with it).
private let longestSimpleKey = 1000

private func decimalText(_ value: Double) -> String {
    // Swift writes a whole number as `2.0`; rounding functions would draw in libm.
    let text = String(value)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

/// A string in double quotes, escaped so that it is good JSON and good YAML.
private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default:
            if needsEscape(scalar), scalar.value <= 0xffff {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result + "\""
}

/// What YAML does not allow unescaped, or readers take for a line end (YAML 1.2, section 5.1).
private func needsEscape(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0xfeff, 0xfffe, 0xffff: true
    default: false
    }
}

// MARK: YAML's plain, single-quoted, double-quoted and literal texts

private func yamlText(_ text: String, indentation: Int, isKey: Bool) -> String {
    if text.isEmpty || isAmbiguous(text) { return quoted(text) }
    if text.utf8.contains(10) {
        return isKey ? quoted(text) : literal(text, indentation: indentation) ?? quoted(text)
    }
    if text.unicodeScalars.contains(where: { needsEscape($0) }) { return quoted(text) }
    return canBePlain(text)
        ? text
        : "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
}

/// Whether an unquoted text would be read as a null, a truth, a number or a date (YAML 1.1 and 1.2).
private func isAmbiguous(_ text: String) -> Bool {
    switch text {
    case "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES",
        "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N", "<<", "=", ".inf",
        ".Inf", ".INF", "-.inf", "+.inf", ".nan", ".NaN", ".NAN":
        return true
    default: break
    }
    guard let first = text.utf8.first, (48...57).contains(first) || [0x2b, 0x2d, 0x2e].contains(first) else {
        return false
    }
    if Double(text) != nil { return true }
    let digits = text.utf8.filter { $0 != 0x5f }
    let plain = String(decoding: digits, as: UTF8.self)
    if Double(plain) != nil { return true }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where plain.hasPrefix(prefix) {
        if Int(plain.dropFirst(2), radix: radix) != nil { return true }
    }
    if isBase60(text) { return true }
    // Dates.
    return text.utf8.allSatisfy {
        (48...58).contains($0) || [0x2d, 0x2e, 0x54, 0x74, 0x5a, 0x20, 0x2b].contains($0)
    }
        && text.utf8.filter { $0 == 0x2d }.count == 2
}

/// YAML 1.1's numbers of base 60, `12:30:45.5` (yaml.org/type/float.html).
private func isBase60(_ text: String) -> Bool {
    var parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count > 1 else { return false }
    var first = parts.removeFirst()
    if let sign = first.first, "+-".contains(sign) { first.removeFirst() }
    guard let digit = first.utf8.first, (48...57).contains(digit) else { return false }
    guard first.utf8.allSatisfy({ (48...57).contains($0) || $0 == 0x5f }) else { return false }
    let last = parts.removeLast().split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard last.count == 1 || last[1].utf8.allSatisfy({ (48...57).contains($0) || $0 == 0x5f }) else {
        return false
    }
    return (parts + [last[0]]).allSatisfy { part in
        (1...2).contains(part.utf8.count) && UInt8(part).map { $0 < 60 } == true
    }
}

private func canBePlain(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, let last = bytes.last else { return false }
    if first == 0x20 || last == 0x20 || last == UInt8(ascii: ":") { return false }
    if "!&*{}[]|>@`%\"'#,".utf8.contains(first) { return false }
    if "-?:".utf8.contains(first), bytes.count == 1 || bytes[1] == 0x20 { return false }
    if text.hasPrefix("---") || text.hasPrefix("...") { return false }
    for i in bytes.indices.dropFirst() {
        if bytes[i] == UInt8(ascii: "#"), bytes[i - 1] == 0x20 { return false }
        if bytes[i] == 0x20, bytes[i - 1] == UInt8(ascii: ":") { return false }
    }
    return true
}

/// `|` with what it needs at the end; nil when a literal cannot hold the text.
private func literal(_ text: String, indentation: Int) -> String? {
    guard let first = text.utf8.first, first != 0x20, first != 10, first != 9 else { return nil }
    guard !text.unicodeScalars.contains(where: { $0 != "\n" && $0 != "\t" && needsEscape($0) }) else {
        return nil
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    var sign = "-"
    if text.utf8.last == 10 {
        lines.removeLast()
        sign = lines.last?.isEmpty == true ? "+" : ""
    }
    let lead = String(repeating: " ", count: max(indentation, 2))
    return "|\(sign)\n" + lines.map { $0.isEmpty ? "" : lead + $0 }.joined(separator: "\n")
}
