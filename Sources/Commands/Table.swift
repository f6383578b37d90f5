// SPDX-License-Identifier: Apache-2.0

/// A table for people: a head in capitals, columns three spaces apart, no space at a line's end.
func table(_ head: [String], _ rows: [[String]]) -> String {
    let rows = rows.map { $0.map { escaped($0) } }
    var widths = head.map(\.count)
    for row in rows {
        for (column, cell) in row.enumerated() where column < widths.count {
            widths[column] = max(widths[column], cell.count)
        }
    }
    var text = ""
    for row in [head] + rows {
        var line = ""
        for (column, cell) in row.enumerated() {
            line += cell
            if column < row.count - 1 {
                line += String(repeating: " ", count: widths[column] - cell.count + 3)
            }
        }
        while line.last == " " { line.removeLast() }
        text += line + "\n"
    }
    return text
}

/// A text in quotes, with quotes and backslashes in it escaped.
func quoted(_ text: String) -> String { "\"\(escaped(text, quotes: true))\"" }

/// A text on one line: what moves the cursor or turns the writing is shown as Go's `strconv.Quote` does, which is what
/// people know from Docker's tables.
func escaped(_ text: String, quotes: Bool = false) -> String {
    func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII {
            return (32..<127).contains(scalar.value) && !(quotes && (scalar == "\"" || scalar == "\\"))
        }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return false
        default: return true
        }
    }
    if text.unicodeScalars.allSatisfy(isPlain) { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case _ where isPlain(scalar): result.unicodeScalars.append(scalar)
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case "\r": result += "\\r"
        case "\"", "\\": result += "\\\(scalar)"
        default:
            let digits = String(scalar.value, radix: 16)
            let (mark, width) = scalar.value < 0x80 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
            result += "\\\(mark)" + String(repeating: "0", count: width - digits.count) + digits
        }
    }
    return result
}

/// A text cut to a number of characters, with an ellipsis where something is missing.
func shortened(_ text: String, to limit: Int) -> String {
    text.count <= limit ? text : String(text.prefix(limit - 1)) + "…"
}

/// A text without what would move the cursor: each control character is a space.
func onOneLine(_ text: String) -> String {
    String(
        String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
}
