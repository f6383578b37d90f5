// SPDX-License-Identifier: Apache-2.0
//
// JSON as commands write it for machines: keys stay in the order they were given, so output is stable.

internal import JSONFormat

typealias JSONText = JSONValue

extension JSONValue {
    static func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }
    static func number(_ value: Int64) -> JSONValue { .integer(value) }
    static func optional(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    static func strings(_ values: some Sequence<String>) -> JSONValue { .array(values.map { .string($0) }) }
    static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        .object(members.map { Member($0.0, $0.1) })
    }

    /// A member or item a line, for people.
    var indented: String {
        var bytes: [UInt8] = []
        write(to: &bytes, indentation: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// On one line, without spaces.
    var compact: String {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
