// SPDX-License-Identifier: Apache-2.0

/// A text with lines, kept by whoever read it.
public protocol SourceLines: AnyObject, Sendable {
    /// The text of a line counted from 1, without its end; nil for one that is not there, or that nobody would read.
    func text(ofLine line: Int) -> String?
}

/// A place in a file the user wrote; line and column count from 1, columns in Unicode scalars.
public struct SourceLocation: Sendable {
    public var file: String
    public var line: Int
    public var column: Int
    private var source: Source

    /// A loaded project remembers thousands of places, and messages show a few: a line is cut out of its file when it is
    /// asked for.
    private enum Source: Sendable {
        case unknown
        case text(String)
        case lines(any SourceLines)
    }

    public init(file: String, line: Int, column: Int, lineText: String? = nil) {
        self.file = file
        self.line = line
        self.column = column
        source = lineText.map { .text($0) } ?? .unknown
    }

    public init(file: String, line: Int, column: Int, in lines: any SourceLines) {
        self.file = file
        self.line = line
        self.column = column
        source = .lines(lines)
    }

    /// The text of the line, for the caret beneath it; nil when it is not at hand.
    public var lineText: String? {
        switch source {
        case .unknown: nil
        case .text(let text): text
        case .lines(let lines): lines.text(ofLine: line)
        }
    }

    /// The line with its number and a caret below the column; long lines are cut around the column.
    public var excerpt: String? {
        guard let lineText else { return nil }
        let limit = 120
        let scalars = Array(lineText.unicodeScalars)
        let start = max(0, min(column - 1 - limit / 2, scalars.count - limit))
        func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            return text
        }
        let shown = text(scalars[start..<min(scalars.count, start + limit)])
        let number = String(line)
        let gutter = String(repeating: " ", count: number.count)
        // A tab stays a tab in the caret's line, so that the caret stands right in every terminal.
        let lead = scalars[start..<max(start, min(column - 1, scalars.count))].map { $0 == "\t" ? $0 : " " }
        return "  \(number) | \(shown)\n  \(gutter) | \(text(lead))^"
    }
}

/// Two places are one when they are in one line and column: what the line says follows from that.
extension SourceLocation: Hashable {
    public static func == (left: SourceLocation, right: SourceLocation) -> Bool {
        left.line == right.line && left.column == right.column && left.file == right.file
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(file)
        hasher.combine(line)
        hasher.combine(column)
    }
}

/// With the line's text: who reads it has no file.
extension SourceLocation: Codable {
    private enum CodingKeys: String, CodingKey { case file, line, column, lineText }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            file: try container.decode(String.self, forKey: .file),
            line: try container.decode(Int.self, forKey: .line),
            column: try container.decode(Int.self, forKey: .column),
            lineText: try container.decodeIfPresent(String.self, forKey: .lineText))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(file, forKey: .file)
        try container.encode(line, forKey: .line)
        try container.encode(column, forKey: .column)
        try container.encodeIfPresent(lineText, forKey: .lineText)
    }
}

extension SourceLocation: CustomStringConvertible {
    public var description: String { "\(file):\(line):\(column)" }
}
