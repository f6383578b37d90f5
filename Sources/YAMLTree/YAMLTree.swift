// SPDX-License-Identifier: Apache-2.0
//
// YAMLTree: YAML text → nodes that keep file:line:column and tags. Knows nothing of Compose.
//
// Built on libyaml's events, not on its document loader: so depth, aliases and duplicate keys are judged while
// reading, and hostile input is refused before it costs memory. Scalars stay the text that was written; what
// a text means (a number, a yes) is for the reader who knows the field.

public import Basics

/// The limits a file is held to; far above what people write, far below what hurts.
public struct YAMLLimits: Sendable {
    public var fileBytes = 4 << 20
    public var scalarBytes = 1 << 20
    public var depth = 100
    /// Keys and values of one file.
    public var nodes = 150_000
    /// Documents of one file: each is laid on those before it.
    public var documents = 100
    /// Nodes visited when every alias is followed.
    public var aliasVisits = 100_000
    /// Mistakes that are told of; further ones of the same kind are not.
    public var problems = 100
    public init() {}
}

/// Reads every document of a YAML file, in order; an empty file has none.
///
/// UTF-8 only, with or without a byte order mark. `<<` is resolved, aliases share their node.
/// - Parameters:
///   - name: how messages call the file.
///   - origin: kept in every place of the file, for the caller.
/// - Throws: every problem found, each with its place; reading stops at the first that breaks the structure.
public func readYAML(
    _ bytes: [UInt8], file name: String, origin: Int = 0, limits: YAMLLimits = YAMLLimits()
) throws(Failure) -> [Node] {
    guard bytes.count <= limits.fileBytes else {
        throw Failure(
            "\(name) is too large: \(ByteSize(bytes: Int64(bytes.count))); a file may have at most \(ByteSize(bytes: Int64(limits.fileBytes)))"
        )
    }
    let file = SourceFile(name: name, bytes: bytes, origin: origin)
    try checkEncoding(file)
    let builder = TreeBuilder(file: file, limits: limits)
    return try builder.read()
}

/// Refuses what is not UTF-8, with the place of the first byte that is not.
private func checkEncoding(_ file: SourceFile) throws(Failure) {
    let bytes = file.bytes
    if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff])
        || (bytes.count > 1 && (bytes[0] == 0) != (bytes[1] == 0))
    {
        throw Failure(
            "\(file.name) is UTF-16 text", advice: "save it as UTF-8",
            at: SourceLocation(file: file.name, line: 1, column: 1))
    }
    if let bad = firstInvalidUTF8(bytes) {
        throw Failure(
            "the text is not UTF-8", cause: "byte 0x\(hexadecimal(bytes[bad])) at offset \(bad)",
            advice: "save the file as UTF-8", at: file.place(offset: bad).location)
    }
}

/// The offset of the first byte that is not part of well-formed UTF-8 (RFC 3629), nil when all are.
func firstInvalidUTF8(_ bytes: [UInt8]) -> Int? {
    bytes.withUnsafeBufferPointer { bytes in
        var i = 0
        let end = bytes.count
        while i < end {
            let first = bytes[i]
            if first < 0x80 {
                i += 1
                continue
            }
            let length: Int
            var low: UInt8 = 0x80
            var high: UInt8 = 0xbf
            switch first {
            case 0xc2...0xdf: length = 2
            case 0xe0: (length, low) = (3, 0xa0)
            case 0xed: (length, high) = (3, 0x9f)
            case 0xe1...0xef: length = 3
            case 0xf0: (length, low) = (4, 0x90)
            case 0xf4: (length, high) = (4, 0x8f)
            case 0xf1...0xf3: length = 4
            default: return i
            }
            guard i + length <= end, bytes[i + 1] >= low, bytes[i + 1] <= high else { return i }
            for k in 2..<max(2, length) where bytes[i + k] & 0xc0 != 0x80 { return i }
            i += length
        }
        return nil
    }
}

func hexadecimal(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16)
    return text.utf8.count == 1 ? "0" + text : text
}
