// SPDX-License-Identifier: Apache-2.0
//
// JSONFormat: JSON (RFC 8259) and Codable values. FoundationEssentials' coders ask the runtime for every type whether it
// conforms to protocols of theirs; each first question searches all conformances of the program, which was a third of
// the CPU of `up` (docs/decisions/007-json-of-our-own.md). These ask nothing. Dates, data and key strategies are not here.

/// A JSON text as a tree. An object keeps its members' order and its duplicates; the last one of a name counts.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Whole numbers above `Int64.max`.
    case unsigned(UInt64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Hashable, Sendable {
        public var name: String
        public var value: JSONValue

        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The value of a member; nil when this is no object or has no such member.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    /// For messages: what kind of value this is.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .unsigned, .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A text that is no JSON.
public struct JSONSyntaxError: Error, Equatable, CustomStringConvertible {
    /// Bytes from the start of the text.
    public var offset: Int
    public var problem: String

    public var description: String { "\(problem) at byte \(offset)" }
}

/// Decodes a Codable value from JSON text.
/// - Throws: `JSONSyntaxError` for a text that is no JSON, `DecodingError` for one that is not this type.
public func decodeJSON<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    try decodeJSON(type, from: parseJSON(bytes))
}

/// Decodes a Codable value from a parsed text.
public func decodeJSON<Value: Decodable>(_ type: Value.Type, from value: JSONValue) throws -> Value {
    try Value(from: JSONTreeDecoder(value: value, path: nil))
}

/// Encodes a Codable value with members sorted by name, so that equal values give equal bytes.
/// - indented: a member or item a line, for people.
/// - Throws: `EncodingError` for a number that JSON has no form for (NaN, infinity).
public func encodeJSON(_ value: some Encodable, indented: Bool = false) throws -> [UInt8] {
    let node = JSONNode()
    try value.encode(to: JSONTreeEncoder(node: node))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(1024)
    node.value.write(to: &bytes, indentation: indented ? 0 : nil)
    return bytes
}
