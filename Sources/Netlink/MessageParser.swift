// SPDX-License-Identifier: Apache-2.0
//
// Reading what the kernel sends. Every length is checked against what is there; a message or attribute that lies about
// its length ends the iteration. Views are slices of the received bytes, nothing is copied.

/// One received message: header fields and payload.
public struct Message {
    public let type: UInt16
    public let flags: UInt16
    public let sequence: UInt32
    public let payload: ArraySlice<UInt8>

    public static let error: UInt16 = 2
    public static let done: UInt16 = 3

    /// NLM_F_DUMP_INTR: what is dumped changed meanwhile, so ask again.
    public var dumpWasInterrupted: Bool { flags & 0x10 != 0 }

    /// The messages in one datagram; stops at the first whose length is wrong.
    public static func all(in bytes: ArraySlice<UInt8>) -> [Message] {
        var messages: [Message] = []
        var rest = bytes
        while rest.count >= 16 {
            let length = Int(rest.u32(0))
            guard length >= 16, length <= rest.count else { break }
            messages.append(
                Message(
                    type: rest.u16(4), flags: rest.u16(6), sequence: rest.u32(8),
                    payload: rest.dropFirst(16).prefix(length - 16)))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return messages
    }

    /// The payload after a family header of `count` bytes, as attributes.
    public func attributes(after count: Int) -> Attributes { Attributes(payload.dropFirst(count)) }

    /// What an NLMSG_ERROR or NLMSG_DONE says; nil for others and for truncated ones.
    public var outcome: Outcome? {
        switch type {
        case Message.error:
            guard payload.count >= 20 else { return nil }
            let code = Int32(bitPattern: payload.u32(0))
            // The request follows, whole unless NLM_F_CAPPED; NLM_F_ACK_TLVS says attributes come after it.
            let echoed = flags & 0x100 != 0 ? 16 : max(16, Int(payload.u32(4)))
            var text: String?
            if flags & 0x200 != 0 {
                text = Attributes(payload.dropFirst(4 + ((echoed + 3) & ~3))).first(1)?.text
            }
            return Outcome(errno: code == .min ? 0 : -code, text: text)
        case Message.done:
            guard payload.count >= 4 else { return Outcome(errno: 0, text: nil) }
            let code = Int32(bitPattern: payload.u32(0))
            return Outcome(
                errno: code < 0 && code > .min ? -code : 0,
                text: Attributes(payload.dropFirst(4)).first(1)?.text)
        default: return nil
        }
    }

    /// An acknowledgement: errno 0 is success; the text is the kernel's own (NLMSGERR_ATTR_MSG).
    public struct Outcome: Equatable, Sendable {
        public let errno: Int32
        public let text: String?
        public init(errno: Int32, text: String?) {
            self.errno = errno
            self.text = text
        }
    }
}

/// One attribute: its type without flags, and its payload.
public struct Attribute {
    public let type: UInt16
    public let payload: ArraySlice<UInt8>

    public var nested: Attributes { Attributes(payload) }
    public var u8: UInt8? { payload.first }
    public var u16: UInt16? { payload.count >= 2 ? payload.u16(0) : nil }
    public var u32: UInt32? { payload.count >= 4 ? payload.u32(0) : nil }
    public var big32: UInt32? { u32?.byteSwapped }
    public var big64: UInt64? {
        payload.count >= 8 ? payload.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } : nil
    }
    /// Up to the first NUL; invalid UTF-8 is replaced.
    public var text: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }
    public var address: IPv4Address? { IPv4Address(bytes: payload) }
}

/// The attributes in some bytes; iteration ends at the first with a wrong length.
public struct Attributes: Sequence {
    private let bytes: ArraySlice<UInt8>

    public init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    public struct Iterator: IteratorProtocol {
        fileprivate var rest: ArraySlice<UInt8>

        public mutating func next() -> Attribute? {
            guard rest.count >= 4 else { return nil }
            let length = Int(rest.u16(0))
            guard length >= 4, length <= rest.count else { return nil }
            // The two top bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER.
            let attribute = Attribute(
                type: rest.u16(2) & 0x3fff, payload: rest.dropFirst(4).prefix(length - 4))
            rest = rest.dropFirst((length + 3) & ~3)
            return attribute
        }
    }

    public func makeIterator() -> Iterator { Iterator(rest: bytes) }

    public func first(_ type: UInt16) -> Attribute? { first { $0.type == type } }
}

extension ArraySlice<UInt8> {
    /// Reads in host order; both machines we support are little-endian, and netlink never leaves the machine.
    func u16(_ offset: Int) -> UInt16 {
        UInt16(littleEndian: UInt16(self[startIndex + offset]) | UInt16(self[startIndex + offset + 1]) << 8)
    }

    func u32(_ offset: Int) -> UInt32 { UInt32(u16(offset)) | UInt32(u16(offset + 2)) << 16 }
}
