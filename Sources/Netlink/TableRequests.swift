// SPDX-License-Identifier: Apache-2.0
//
// nf_tables requests. Changes travel in one batch, which the kernel applies whole or not at all; with a generation it
// is refused with ERESTART when anyone changed the ruleset since that was read.

/// The address family of a table; linux/netfilter.h.
public enum ProtocolFamily: UInt8, Sendable {
    case inet = 1
    case ipv4 = 2
    var wire: UInt32 { UInt32(rawValue) }
}

/// A table's name and family.
public struct TableName: Hashable, Sendable {
    public var family: ProtocolFamily
    public var name: String
    public init(_ family: ProtocolFamily, _ name: String) {
        self.family = family
        self.name = name
    }
}

/// A base chain: where and when it is run.
public struct ChainHook: Hashable, Sendable {
    public enum Kind: String, Sendable { case filter, nat, route }
    public enum Point: UInt32, Sendable { case prerouting = 0, input, forward, output, postrouting }
    public var kind: Kind
    public var point: Point
    /// NF_IP_PRI_RAW is -300, NAT_DST -100, FILTER 0, NAT_SRC 100.
    public var priority: Int32
    public init(_ kind: Kind, _ point: Point, priority: Int32) {
        self.kind = kind
        self.point = point
        self.priority = priority
    }
}

/// One field of a set's key or a map's value.
public enum SetField: UInt32, Hashable, Sendable {
    // nft's own type numbers, so that `nft list` prints what it prints for its own sets.
    case address = 7
    case transportProtocol = 12
    case port = 13
    case linkName = 41

    /// In a register: padded to four bytes.
    public var size: Int { self == .linkName ? 16 : 4 }
    /// As it is compared.
    var length: Int {
        switch self {
        case .address: 4
        case .transportProtocol: 1
        case .port: 2
        case .linkName: 16
        }
    }
}

/// A named set, or a map when it has a value.
public struct SetSchema: Hashable, Sendable {
    public var name: String
    public var key: [SetField]
    public var value: [SetField]
    public init(_ name: String, key: [SetField], value: [SetField] = []) {
        self.name = name
        self.key = key
        self.value = value
    }

    fileprivate static func type(of fields: [SetField]) -> UInt32 {
        fields.reduce(0) { $0 << 6 | $1.rawValue }
    }
    fileprivate static func length(of fields: [SetField]) -> Int {
        fields.count == 1 ? fields[0].length : fields.reduce(0) { $0 + $1.size }
    }
}

/// An element of a set, with its owner as comment.
public struct SetElement: Hashable, Sendable {
    public var key: [UInt8]
    public var value: [UInt8]
    public var comment: String
    public init(key: [UInt8], value: [UInt8] = [], comment: String) {
        self.key = key
        self.value = value
        self.comment = comment
    }
}

private enum TableMessage {
    static let subsystem: UInt16 = 10 << 8
    static let newTable = subsystem | 0
    static let getTable = subsystem | 1
    static let deleteTable = subsystem | 2
    static let newChain = subsystem | 3
    static let getChain = subsystem | 4
    static let newRule = subsystem | 6
    static let getRule = subsystem | 7
    static let deleteRule = subsystem | 8
    static let newSet = subsystem | 9
    static let getSet = subsystem | 10
    static let newElement = subsystem | 12
    static let getElement = subsystem | 13
    static let deleteElement = subsystem | 14
    static let newGeneration = subsystem | 15
    static let getGeneration = subsystem | 16
    static let batchBegin: UInt16 = 0x10
    static let batchEnd: UInt16 = 0x11
}

extension MessageBuilder {
    /// struct nfgenmsg: family, version 0, resource id in network order.
    fileprivate mutating func netfilterHeader(_ family: UInt8, resource: UInt16 = 0) {
        append(family)
        append(UInt8(0))
        append(resource.bigEndian)
    }

    /// nft's userdata: type, length, text with NUL. Texts over 250 bytes are cut: the whole may have 256.
    fileprivate mutating func comment(_ attribute: UInt16, _ text: String) {
        let bytes = Array(text.utf8.prefix(250)) + [0]
        self.attribute(attribute, bytes: [0, UInt8(bytes.count)] + bytes)
    }
}

extension Requests {
    // MARK: Changes; between beginBatch and endBatch.

    /// Opens a transaction. The kernel acknowledges neither end of it by itself; a transaction that fails as a whole
    /// is answered with this message's number.
    public mutating func beginBatch(generation: UInt32? = nil) {
        add(type: TableMessage.batchBegin, acknowledged: false, "begin the firewall transaction") { m in
            m.netfilterHeader(0, resource: 10)
            if let generation { m.attribute(1, big32: generation) }
        }
    }

    public mutating func endBatch() {
        add(type: TableMessage.batchEnd, acknowledged: false, "commit the firewall transaction") {
            $0.netfilterHeader(0, resource: 10)
        }
    }

    private mutating func table(
        _ table: TableName, _ type: UInt16, flags: UInt16 = 0, acknowledged: Bool = true, _ title: String,
        nameAttribute: UInt16 = 1, _ body: (inout MessageBuilder) -> Void = { _ in }
    ) {
        add(type: type, flags: flags, acknowledged: acknowledged, title) { m in
            m.netfilterHeader(table.family.rawValue)
            m.attribute(nameAttribute, text: table.name)
            body(&m)
        }
    }

    /// Makes a table; with `exclusive`, EEXIST when it is there.
    public mutating func createTable(_ name: TableName, comment: String, exclusive: Bool = false) {
        table(
            name, TableMessage.newTable,
            flags: MessageFlags.create | (exclusive ? MessageFlags.exclusive : 0),
            "create table \(name.name)"
        ) { $0.comment(6, comment) }
    }

    public mutating func deleteTable(_ name: TableName) {
        table(name, TableMessage.deleteTable, "delete table \(name.name)")
    }

    /// Makes a chain; one with a hook accepts what no rule decides.
    public mutating func createChain(_ chain: String, hook: ChainHook?, in name: TableName) {
        table(name, TableMessage.newChain, flags: MessageFlags.create, "create chain \(chain)") { m in
            m.attribute(3, text: chain)
            guard let hook else { return }
            m.nested(4, flagged: true) { m in
                m.attribute(1, big32: hook.point.rawValue)
                m.attribute(2, big32: UInt32(bitPattern: hook.priority))
            }
            m.attribute(5, big32: 1)
            m.attribute(7, text: hook.kind.rawValue)
        }
    }

    /// Deletes every rule of the table.
    public mutating func deleteRules(in name: TableName) {
        table(name, TableMessage.deleteRule, "delete the rules of table \(name.name)")
    }

    public mutating func addRule(_ expressions: [Expression], chain: String, in name: TableName) {
        table(
            name, TableMessage.newRule, flags: MessageFlags.create | MessageFlags.append,
            "add a rule to chain \(chain)"
        ) { m in
            m.attribute(2, text: chain)
            m.nested(4, flagged: true) { m in
                for expression in expressions {
                    m.nested(1, flagged: true) { m in
                        m.attribute(1, text: expression.name)
                        m.nested(2, flagged: true) { expression.encode(into: &$0) }
                    }
                }
            }
        }
    }

    /// Makes a set or map; `id` is any number that no other set of the batch has.
    public mutating func createSet(_ schema: SetSchema, id: UInt32, in name: TableName) {
        table(name, TableMessage.newSet, flags: MessageFlags.create, "create set \(schema.name)") { m in
            m.attribute(2, text: schema.name)
            m.attribute(3, big32: schema.value.isEmpty ? 0 : 0x8)
            m.attribute(4, big32: SetSchema.type(of: schema.key))
            m.attribute(5, big32: UInt32(SetSchema.length(of: schema.key)))
            if !schema.value.isEmpty {
                m.attribute(6, big32: SetSchema.type(of: schema.value))
                m.attribute(7, big32: UInt32(SetSchema.length(of: schema.value)))
            }
            m.attribute(10, big32: id)
            // NFTNL_UDATA_SET_KEYBYTEORDER, host order for names, network order for numbers; `nft list` wants it.
            if schema.key == [.linkName] { m.attribute(13, bytes: [0, 4, 1, 0, 0, 0]) }
        }
    }

    /// Adds elements; an equal one is fine, one of the same key with another value is EBUSY.
    public mutating func addElements(_ elements: [SetElement], set: String, in name: TableName) {
        elementMessages(
            elements, TableMessage.newElement, flags: MessageFlags.create, set: set, in: name, "add to")
    }

    /// Removes elements by key; ENOENT when one is not there.
    public mutating func deleteElements(_ elements: [SetElement], set: String, in name: TableName) {
        elementMessages(elements, TableMessage.deleteElement, flags: 0, set: set, in: name, "remove from")
    }

    /// The list of elements is one attribute, whose length has 16 bits: 128 elements of at most 350 bytes fit.
    private mutating func elementMessages(
        _ elements: [SetElement], _ type: UInt16, flags: UInt16, set: String, in name: TableName,
        _ verb: String
    ) {
        var start = 0
        while start < elements.count {
            let part = elements[start..<min(start + 128, elements.count)]
            start += part.count
            table(name, type, flags: flags, "\(verb) set \(set)") { m in
                m.attribute(2, text: set)
                m.nested(3, flagged: true) { m in
                    for element in part {
                        m.nested(1, flagged: true) { m in
                            m.data(1, element.key)
                            if !element.value.isEmpty { m.data(2, element.value) }
                            if type == TableMessage.newElement { m.comment(6, element.comment) }
                        }
                    }
                }
            }
        }
    }

    // MARK: Questions; outside a batch.

    public mutating func getGeneration() {
        add(type: TableMessage.getGeneration, acknowledged: false, "read the firewall's generation") {
            $0.netfilterHeader(0)
        }
    }

    public mutating func getTable(_ name: TableName) {
        table(name, TableMessage.getTable, acknowledged: false, "look up table \(name.name)")
    }

    public mutating func dumpChains(family: ProtocolFamily) {
        add(type: TableMessage.getChain, flags: MessageFlags.dump, "list chains") {
            $0.netfilterHeader(family.rawValue)
        }
    }

    /// - Parameter chain: whose rules; nil for all of the table.
    public mutating func dumpRules(of chain: String? = nil, in name: TableName) {
        table(name, TableMessage.getRule, flags: MessageFlags.dump, "list rules of table \(name.name)") { m in
            if let chain { m.attribute(2, text: chain) }
        }
    }

    public mutating func dumpElements(set: String, in name: TableName) {
        table(name, TableMessage.getElement, flags: MessageFlags.dump, "list set \(set)") {
            $0.attribute(2, text: set)
        }
    }
}

/// What nf_tables answers, as values.
public enum TableReplies {
    /// The generation in an NFT_MSG_NEWGEN.
    public static func generation(_ message: Message) -> UInt32? {
        guard message.type == TableMessage.newGeneration else { return nil }
        return message.attributes(after: 4).first(1)?.big32
    }

    /// Name and comment in an NFT_MSG_NEWTABLE.
    public static func table(_ message: Message) -> (name: String, comment: String)? {
        guard message.type == TableMessage.newTable else { return nil }
        let attributes = message.attributes(after: 4)
        guard let name = attributes.first(1)?.text else { return nil }
        return (name, attributes.first(6).flatMap { comment($0.payload) } ?? "")
    }

    /// Table and name in an NFT_MSG_NEWCHAIN.
    public static func chain(_ message: Message) -> (table: String, name: String)? {
        guard message.type == TableMessage.newChain else { return nil }
        let attributes = message.attributes(after: 4)
        guard let table = attributes.first(1)?.text, let name = attributes.first(3)?.text else { return nil }
        return (table, name)
    }

    /// Table and name of a base chain that drops what none of its rules accepts, when it is at `hook`.
    public static func dropsByPolicy(_ message: Message, at hook: ChainHook.Point) -> (
        table: String, name: String
    )? {
        // NFTA_CHAIN_HOOK with NFTA_HOOK_HOOKNUM, NFTA_CHAIN_POLICY with NF_DROP; linux/netfilter/nf_tables.h.
        guard let chain = chain(message) else { return nil }
        let attributes = message.attributes(after: 4)
        guard attributes.first(4)?.nested.first(1)?.big32 == hook.rawValue, attributes.first(5)?.big32 == 0
        else {
            return nil
        }
        return chain
    }

    /// The chain of an NFT_MSG_NEWRULE, and what its expressions do, without what the kernel adds when it prints
    /// them back: names, registers' keys, compared values and sets.
    public static func rule(_ message: Message) -> (chain: String, signature: String)? {
        guard message.type == TableMessage.newRule else { return nil }
        let attributes = message.attributes(after: 4)
        guard let chain = attributes.first(2)?.text, let list = attributes.first(4) else { return nil }
        let parts = list.nested.map { entry -> String in
            let name = entry.nested.first(1)?.text ?? ""
            guard let data = entry.nested.first(2)?.nested else { return name }
            let number = data.first(2)?.big32
            return switch name {
            case "cmp": "\(name) \(number ?? 0) \(data.first(3).map { Array($0.payload) } ?? [])"
            case "lookup": "\(name) \(data.first(1)?.text ?? "") \(data.first(5)?.big32 ?? 0)"
            case "immediate": "\(name) \(data.first(2)?.nested.first(2)?.nested.first(1)?.big32 ?? 0)"
            case "meta", "ct", "payload": "\(name) \(number ?? 0) \(data.first(3)?.big32 ?? 0)"
            default: name
            }
        }
        return (chain, parts.joined(separator: ", "))
    }

    /// The elements in an NFT_MSG_NEWSETELEM.
    public static func elements(_ message: Message) -> [SetElement] {
        guard message.type == TableMessage.newElement,
            let list = message.attributes(after: 4).first(3)
        else { return [] }
        return list.nested.compactMap { entry in
            var key: [UInt8]?
            var value: [UInt8] = []
            var text = ""
            for attribute in entry.nested {
                switch attribute.type {
                case 1: key = attribute.nested.first(1).map { Array($0.payload) }
                case 2: value = attribute.nested.first(1).map { Array($0.payload) } ?? []
                case 6: text = comment(attribute.payload) ?? ""
                default: break
                }
            }
            return key.map { SetElement(key: $0, value: value, comment: text) }
        }
    }

    private static func comment(_ userdata: ArraySlice<UInt8>) -> String? {
        var rest = userdata
        while rest.count >= 2 {
            let type = rest[rest.startIndex]
            let length = Int(rest[rest.startIndex + 1])
            let value = rest.dropFirst(2).prefix(length)
            guard value.count == length else { return nil }
            if type == 0 { return String(decoding: value.prefix { $0 != 0 }, as: UTF8.self) }
            rest = rest.dropFirst(2 + length)
        }
        return nil
    }
}
