// SPDX-License-Identifier: Apache-2.0
//
// MessageBuilder owns what is easy to get wrong by hand: a message's and an attribute's length, padding to four bytes,
// and nesting. Integers are in host order unless the call says `big`, as netlink(7) and nf_tables want them.

/// Bytes of netlink messages under construction.
public struct MessageBuilder: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// Appends an integer in host order, unaligned.
    public mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    public mutating func append(bytes more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

    mutating func pad() {
        while bytes.count & 3 != 0 { bytes.append(0) }
    }

    mutating func store(_ value: some FixedWidthInteger, at offset: Int) {
        withUnsafeBytes(of: value) { source in
            for (i, byte) in source.enumerated() { bytes[offset + i] = byte }
        }
    }

    /// One message: nlmsghdr, then what `body` appends, its length filled in after.
    public mutating func message(
        type: UInt16, flags: UInt16, sequence: UInt32, _ body: (inout MessageBuilder) -> Void
    ) {
        pad()
        let start = bytes.count
        append(UInt32(0))
        append(type)
        append(flags)
        append(sequence)
        append(UInt32(0))
        body(&self)
        pad()
        store(UInt32(bytes.count - start), at: start)
    }

    /// One attribute with a raw payload.
    public mutating func attribute(_ type: UInt16, bytes payload: some Collection<UInt8>) {
        precondition(payload.count <= 65_531, "an attribute's length has 16 bits")
        append(UInt16(4 + payload.count))
        append(type)
        bytes.append(contentsOf: payload)
        pad()
    }

    public mutating func attribute(_ type: UInt16, u8 value: UInt8) {
        attribute(type, bytes: CollectionOfOne(value))
    }

    public mutating func attribute(_ type: UInt16, u32 value: UInt32) {
        append(UInt16(8))
        append(type)
        append(value)
    }

    public mutating func attribute(_ type: UInt16, big16 value: UInt16) {
        append(UInt16(6))
        append(type)
        append(value.bigEndian)
        pad()
    }

    public mutating func attribute(_ type: UInt16, big32 value: UInt32) {
        attribute(type, u32: value.bigEndian)
    }

    public mutating func attribute(_ type: UInt16, big64 value: UInt64) {
        append(UInt16(12))
        append(type)
        append(value.bigEndian)
    }

    /// A text with the NUL the kernel's NLA_NUL_STRING wants.
    public mutating func attribute(_ type: UInt16, text: String) {
        let utf8 = text.utf8
        precondition(utf8.count <= 65_530, "an attribute's length has 16 bits")
        append(UInt16(5 + utf8.count))
        append(type)
        bytes.append(contentsOf: utf8)
        bytes.append(0)
        pad()
    }

    /// An attribute that holds attributes. `flagged` sets NLA_F_NESTED, which nf_tables wants and older rtnetlink
    /// parts refuse.
    public mutating func nested(_ type: UInt16, flagged: Bool = false, _ body: (inout MessageBuilder) -> Void)
    {
        let start = bytes.count
        append(UInt16(0))
        append(flagged ? type | 0x8000 : type)
        body(&self)
        let length = bytes.count - start
        precondition(length <= 65_535, "an attribute's length has 16 bits")
        store(UInt16(length), at: start)
        pad()
    }
}

/// Flags of nlmsghdr; netlink(7).
enum MessageFlags {
    static let request: UInt16 = 0x1
    static let ack: UInt16 = 0x4
    static let dump: UInt16 = 0x300
    static let replace: UInt16 = 0x100
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
    static let append: UInt16 = 0x800
}

/// Requests in one buffer, to be sent in one call; each asks for an acknowledgement unless it is a dump.
public struct Requests: Sendable {
    public struct Entry: Sendable {
        /// Where its nlmsghdr begins.
        public let start: Int
        /// For messages: `create bridge cvy1a2b3c4d`.
        public let title: String
        /// NLM_F_ACK is set: the kernel answers this one even when all is well.
        public let acknowledged: Bool
    }

    var builder = MessageBuilder()
    public private(set) var entries: [Entry] = []

    public init() {}

    public var bytes: [UInt8] { builder.bytes }

    public var isEmpty: Bool { entries.isEmpty }

    /// Appends a request; `flags` are added to NLM_F_REQUEST and, unless it is a dump or not `acknowledged`, NLM_F_ACK.
    mutating func add(
        type: UInt16, flags: UInt16 = 0, acknowledged: Bool = true, _ title: String,
        _ body: (inout MessageBuilder) -> Void
    ) {
        let asks = acknowledged && flags & MessageFlags.dump != MessageFlags.dump
        entries.append(Entry(start: builder.bytes.count, title: title, acknowledged: asks))
        builder.message(
            type: type, flags: MessageFlags.request | (asks ? MessageFlags.ack : 0) | flags,
            sequence: UInt32(entries.count), body)
    }

    /// Numbers the requests `first`, `first + 1`, …; the socket does it so that a late answer to an earlier send
    /// is never taken for one to this.
    public mutating func number(from first: UInt32) {
        for (i, entry) in entries.enumerated() {
            builder.store(first &+ UInt32(truncatingIfNeeded: i), at: entry.start + 8)
        }
    }
}
