// SPDX-License-Identifier: Apache-2.0
//
// Codable values to a tree. A tree and not text at once, because a type may fill its containers in turn
// (`Encoder`'s contract), and because members are sorted.

/// One value while it is being encoded.
final class JSONNode {
    enum Content {
        /// Nothing was encoded: an object without members, as JSONEncoder has it for a type that encodes nothing.
        case empty
        case leaf(JSONValue)
        case array([JSONNode])
        case object([(name: String, node: JSONNode)])
    }
    var content = Content.empty

    func child() -> JSONNode {
        let node = JSONNode()
        guard case .array(var items) = content else {
            content = .array([node])
            return node
        }
        content = .empty
        items.append(node)
        content = .array(items)
        return node
    }

    func child(_ name: String) -> JSONNode {
        let node = JSONNode()
        guard case .object(var members) = content else {
            content = .object([(name, node)])
            return node
        }
        content = .empty
        members.append((name, node))
        content = .object(members)
        return node
    }

    /// What was encoded, members sorted by name.
    var value: JSONValue {
        switch content {
        case .empty: .object([])
        case .leaf(let value): value
        case .array(let items): .array(items.map(\.value))
        case .object(let members):
            .object(
                members.map { JSONValue.Member($0.name, $0.node.value) }.sorted { $0.name < $1.name })
        }
    }
}

struct JSONTreeEncoder: Encoder, SingleValueEncodingContainer {
    let node: JSONNode
    /// Not kept: the only error is a number that is not finite, and it names itself.
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .empty = node.content { node.content = .object([]) }
        return KeyedEncodingContainer(KeyedJSONEncoding<Key>(node: node))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .empty = node.content { node.content = .array([]) }
        return UnkeyedJSONEncoding(node: node)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    private func set(_ value: JSONValue) { node.content = .leaf(value) }
    func encodeNil() { set(.null) }
    func encode(_ value: Bool) { set(.bool(value)) }
    func encode(_ value: String) { set(.string(value)) }
    func encode(_ value: Double) throws { set(try finite(value)) }
    func encode(_ value: Float) throws { set(try finite(Double(value))) }
    func encode(_ value: Int) { set(.integer(Int64(value))) }
    func encode(_ value: Int8) { set(.integer(Int64(value))) }
    func encode(_ value: Int16) { set(.integer(Int64(value))) }
    func encode(_ value: Int32) { set(.integer(Int64(value))) }
    func encode(_ value: Int64) { set(.integer(value)) }
    func encode(_ value: UInt) { set(.unsigned(UInt64(value))) }
    func encode(_ value: UInt8) { set(.integer(Int64(value))) }
    func encode(_ value: UInt16) { set(.integer(Int64(value))) }
    func encode(_ value: UInt32) { set(.integer(Int64(value))) }
    func encode(_ value: UInt64) { set(.unsigned(value)) }
    func encode(_ value: some Encodable) throws { try value.encode(to: self) }

    private func finite(_ value: Double) throws -> JSONValue {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: [], debugDescription: "JSON has no number \(value)"))
        }
        return .double(value)
    }
}

private struct KeyedJSONEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: JSONNode
    var codingPath: [any CodingKey] { [] }

    private func at(_ key: Key) -> JSONTreeEncoder { JSONTreeEncoder(node: node.child(key.stringValue)) }
    func encodeNil(forKey key: Key) { at(key).encodeNil() }
    func encode(_ value: Bool, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: String, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: Double, forKey key: Key) throws { try at(key).encode(value) }
    func encode(_ value: Float, forKey key: Key) throws { try at(key).encode(value) }
    func encode(_ value: Int, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: Int8, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: Int16, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: Int32, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: Int64, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: UInt, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: UInt8, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: UInt16, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: UInt32, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: UInt64, forKey key: Key) { at(key).encode(value) }
    func encode(_ value: some Encodable, forKey key: Key) throws { try value.encode(to: at(key)) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key)
        -> KeyedEncodingContainer<Nested>
    {
        at(key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        at(key).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { JSONTreeEncoder(node: node.child("super")) }
    func superEncoder(forKey key: Key) -> any Encoder { at(key) }
}

private struct UnkeyedJSONEncoding: UnkeyedEncodingContainer {
    let node: JSONNode
    var codingPath: [any CodingKey] { [] }
    var count: Int {
        guard case .array(let items) = node.content else { return 0 }
        return items.count
    }

    private func next() -> JSONTreeEncoder { JSONTreeEncoder(node: node.child()) }
    func encodeNil() { next().encodeNil() }
    func encode(_ value: Bool) { next().encode(value) }
    func encode(_ value: String) { next().encode(value) }
    func encode(_ value: Double) throws { try next().encode(value) }
    func encode(_ value: Float) throws { try next().encode(value) }
    func encode(_ value: Int) { next().encode(value) }
    func encode(_ value: Int8) { next().encode(value) }
    func encode(_ value: Int16) { next().encode(value) }
    func encode(_ value: Int32) { next().encode(value) }
    func encode(_ value: Int64) { next().encode(value) }
    func encode(_ value: UInt) { next().encode(value) }
    func encode(_ value: UInt8) { next().encode(value) }
    func encode(_ value: UInt16) { next().encode(value) }
    func encode(_ value: UInt32) { next().encode(value) }
    func encode(_ value: UInt64) { next().encode(value) }
    func encode(_ value: some Encodable) throws { try value.encode(to: next()) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        next().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { next().unkeyedContainer() }
    func superEncoder() -> any Encoder { next() }
}
