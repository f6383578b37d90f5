// SPDX-License-Identifier: Apache-2.0

/// A place in a file the user wrote; line and column count from 1, columns in characters.
public struct SourceLocation: Hashable, Codable, Sendable {
    public var file: String
    public var line: Int
    public var column: Int
    /// The text of the line, for the caret beneath it; nil when it is not at hand.
    public var lineText: String?

    public init(file: String, line: Int, column: Int, lineText: String? = nil) {
        self.file = file
        self.line = line
        self.column = column
        self.lineText = lineText
    }

    /// The line with its number and a caret below the column; long lines are cut around the column.
    public var excerpt: String? {
        guard let lineText else { return nil }
        let limit = 120
        let characters = Array(lineText)
        let start = max(0, min(column - 1 - limit / 2, characters.count - limit))
        let shown = String(characters[start..<min(characters.count, start + limit)])
        let number = String(line)
        let gutter = String(repeating: " ", count: number.count)
        // A tab stays a tab in the caret's line, so that the caret stands right in every terminal.
        let lead = characters[start..<max(start, min(column - 1, characters.count))]
            .map { (c: Character) -> Character in c == "\t" ? "\t" : " " }
        return "  \(number) | \(shown)\n  \(gutter) | \(String(lead))^"
    }
}

extension SourceLocation: CustomStringConvertible {
    public var description: String { "\(file):\(line):\(column)" }
}
