// SPDX-License-Identifier: Apache-2.0
//
// SourceFile: the bytes a tree was read from, kept once and shared by all its nodes, so that a line's text is
// cut out only when a message needs it.

public import Basics

/// A file's name and bytes, and where its lines begin.
public final class SourceFile: SourceLines {
    /// As messages call it.
    public let name: String
    public let bytes: [UInt8]
    /// The reader's own number for where the file comes from.
    public let origin: Int
    /// Offset of each line's first byte.
    private let lineStarts: [Int]

    public init(name: String, bytes: [UInt8], origin: Int = 0) {
        self.name = name
        self.bytes = bytes
        self.origin = origin
        var starts = [0]
        starts.reserveCapacity(bytes.count / 24 + 1)
        bytes.withUnsafeBufferPointer { bytes in
            for i in 0..<bytes.count where bytes[i] == 10 { starts.append(i + 1) }
        }
        lineStarts = starts
    }

    /// Longer lines are no text for people: nothing of them is shown.
    static let longestLine = 16 << 10

    /// The text of a line counted from 1, without its line end and without a byte order mark.
    public func text(ofLine line: Int) -> String? {
        guard line >= 1, line <= lineStarts.count else { return nil }
        var start = lineStarts[line - 1]
        var end = line < lineStarts.count ? lineStarts[line] - 1 : bytes.count
        if end - start > SourceFile.longestLine { return nil }
        if end > start, bytes[end - 1] == 13 { end -= 1 }
        if line == 1, bytes.starts(with: [0xef, 0xbb, 0xbf]) { start = 3 }
        return String(decoding: bytes[start..<max(start, end)], as: UTF8.self)
    }

    /// The place of the byte at an offset; columns count characters.
    public func place(offset: Int) -> Place {
        var low = 0
        var high = lineStarts.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if lineStarts[middle] <= offset { low = middle } else { high = middle - 1 }
        }
        let before = bytes[lineStarts[low]..<min(max(offset, lineStarts[low]), bytes.count)]
        let column = before.reduce(1) { $1 & 0xc0 == 0x80 ? $0 : $0 + 1 }
        return Place(file: self, line: low + 1, column: column)
    }

    /// Whether the byte occurs anywhere.
    public func contains(_ byte: UInt8) -> Bool { bytes.contains(byte) }
}

/// A place in a source file, small enough to stand in every node.
public struct Place: Sendable {
    public let file: SourceFile
    private let storedLine: Int32
    private let storedColumn: Int32

    public init(file: SourceFile, line: Int, column: Int) {
        self.file = file
        storedLine = Int32(clamping: line)
        storedColumn = Int32(clamping: column)
    }

    /// From 1.
    public var line: Int { Int(storedLine) }
    /// From 1, in characters.
    public var column: Int { Int(storedColumn) }

    /// The place with its line's text, for a message.
    public var location: SourceLocation {
        SourceLocation(file: file.name, line: line, column: column, in: file)
    }
}
