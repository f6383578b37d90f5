// SPDX-License-Identifier: Apache-2.0
//
// IPv4 addresses and subnets as numbers in host order, so that ranges are plain arithmetic.

public import Basics

/// An IPv4 address.
public struct IPv4Address: Hashable, Comparable, Sendable {
    /// In host order: 127.0.0.1 is 0x7f000001.
    public var value: UInt32

    public init(_ value: UInt32) { self.value = value }

    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        value = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Parses four decimal numbers, nothing shorter, no leading zero (which some readers take for octal).
    @inlinable
    public init?(_ text: some StringProtocol) {
        var value: UInt32 = 0
        var part: UInt32 = 0
        var digits = 0
        var parts = 0
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if digits > 0 && part == 0 { return nil }
                part = part * 10 + UInt32(byte - UInt8(ascii: "0"))
                digits += 1
                if part > 255 { return nil }
            case UInt8(ascii: "."):
                if digits == 0 || parts == 3 { return nil }
                value = value << 8 | part
                part = 0
                digits = 0
                parts += 1
            default: return nil
            }
        }
        guard parts == 3, digits > 0 else { return nil }
        self.value = value << 8 | part
    }

    /// The four bytes as they travel.
    public var bytes: [UInt8] {
        [
            UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16),
            UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value),
        ]
    }

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 else { return nil }
        value = bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    public static let any = IPv4Address(0)
    public static let loopback = IPv4Address(127, 0, 0, 1)

    /// 127.0.0.0/8.
    public var isLoopback: Bool { value >> 24 == 127 }

    public static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.value < b.value }
}

extension IPv4Address: CustomStringConvertible {
    public var description: String {
        "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
    }
}

extension IPv4Address: CodedAsText {
    public static var kind: String { "an IPv4 address" }
}

/// An IPv4 network, `a.b.c.d/n`; host bits are zero.
public struct Subnet: Hashable, Sendable {
    public let base: IPv4Address
    /// 0 to 32.
    public let prefix: UInt8

    /// The subnet an address lies in.
    public init(_ address: IPv4Address, prefix: UInt8) {
        precondition(prefix <= 32)
        self.prefix = prefix
        base = IPv4Address(address.value & Subnet.mask(prefix))
    }

    /// Parses `a.b.c.d/n`; nil for anything else, also when host bits are set.
    public init?(_ text: String) {
        guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")),
            let address = IPv4Address(text[..<slash])
        else { return nil }
        let digits = text[text.index(after: slash)...]
        guard (1...2).contains(digits.utf8.count), let prefix = UInt8(digits), prefix <= 32 else {
            return nil
        }
        self.init(address, prefix: prefix)
        if base != address { return nil }
    }

    private static func mask(_ prefix: UInt8) -> UInt32 { prefix == 0 ? 0 : ~0 << UInt32(32 - prefix) }

    public var last: IPv4Address { IPv4Address(base.value | ~Subnet.mask(prefix)) }

    public func contains(_ address: IPv4Address) -> Bool { base <= address && address <= last }

    public func contains(_ other: Subnet) -> Bool { prefix <= other.prefix && contains(other.base) }

    public func overlaps(_ other: Subnet) -> Bool { contains(other.base) || other.contains(base) }
}

extension Subnet: CustomStringConvertible {
    public var description: String { "\(base)/\(prefix)" }
}

extension Subnet: CodedAsText {
    public static var kind: String { "an IPv4 subnet" }
}

/// An address of a link with its prefix, of either family.
public enum LinkAddress: Hashable, Sendable {
    case ipv4(IPv4Address, prefix: UInt8)
    case ipv6(IPv6Address, prefix: UInt8)

    /// One that an operator manages beside a network's own, with the prefixes Docker gives those: RFC 3927's and RFC 4291's.
    public init?(linkLocal text: String) {
        if let address = IPv4Address(text) {
            self = .ipv4(address, prefix: 16)
        } else if let address = IPv6Address(text) {
            self = .ipv6(address, prefix: 64)
        } else {
            return nil
        }
    }
}

extension Requests {
    /// Gives a link an address; EEXIST when it has it.
    public mutating func addAddress(_ address: LinkAddress, index: UInt32, linkName: String) {
        switch address {
        case .ipv4(let address, let prefix):
            addAddress(address, prefix: prefix, index: index, linkName: linkName)
        case .ipv6(let address, let prefix):
            addAddress(address, prefix: prefix, index: index, linkName: linkName)
        }
    }
}
