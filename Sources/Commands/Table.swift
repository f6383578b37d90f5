// SPDX-License-Identifier: Apache-2.0

/// A table for people: a head in capitals, columns three spaces apart, no space at a line's end.
func table(_ head: [String], _ rows: [[String]]) -> String {
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

/// A text cut to a number of characters, with an ellipsis where something is missing.
func shortened(_ text: String, to limit: Int) -> String {
    text.count <= limit ? text : String(text.prefix(limit - 1)) + "…"
}

/// A text without what would move the cursor: each control character is a space.
func onOneLine(_ text: String) -> String {
    String(
        String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
}
