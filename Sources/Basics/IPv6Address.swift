// SPDX-License-Identifier: Apache-2.0
//
// IPv6 addresses and subnets as numbers in host order. Text is read as RFC 4291, section 2.2 has it, and written as
// RFC 5952 does, so that equal addresses have one text.

/// An IPv6 address without a zone.
public struct IPv6Address: Hashable, Comparable, Sendable {
    /// The network's half and the interface's.
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public init?(_ text: some StringProtocol) {
        var groups: [UInt16] = []
        var gap: Int?
        var rest = Array(text.utf8)[...]
        if rest.starts(with: [colon, colon]) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            guard groups.count < 8 else { return nil }
            let part = rest.prefix { $0 != colon }
            if part.contains(UInt8(ascii: ".")) {
                // The last four bytes as IPv4 writes them.
                guard part.endIndex == rest.endIndex, groups.count <= 6, let bytes = decimalBytes(part) else {
                    return nil
                }
                groups += [
                    UInt16(bytes[0]) << 8 | UInt16(bytes[1]), UInt16(bytes[2]) << 8 | UInt16(bytes[3]),
                ]
                rest = []
                continue
            }
            guard (1...4).contains(part.count),
                part.allSatisfy({ hexDigit($0) != nil }),
                let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
            else { return nil }
            groups.append(group)
            rest = rest[part.endIndex...]
            if rest.isEmpty { break }
            rest = rest.dropFirst()
            if rest.first == colon {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The sixteen bytes as they travel.
    public var bytes: [UInt8] {
        [high, low].flatMap { half in
            (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
        }
    }

    public static let loopback = IPv6Address(high: 0, low: 1)

    /// 2000::/3 or fc00::/7: what an interface of a routed network may have.
    public var isUnicast: Bool { high >> 61 == 1 || high >> 57 == 0x7e }

    public static func < (a: IPv6Address, b: IPv6Address) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }
}

private let colon = UInt8(ascii: ":")

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"):
        byte
    default: nil
    }
}

private func decimalBytes(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
        guard (1...3).contains(part.count), part.allSatisfy({ (48...57).contains($0) }),
            let byte = UInt8(String(decoding: part, as: UTF8.self))
        else { return nil }
        bytes.append(byte)
    }
    return bytes
}

extension IPv6Address: CustomStringConvertible {
    public var description: String {
        let groups = [high, low].flatMap { half in
            (0..<4).map { UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * $0)) }
        }
        // The longest run of zeros, the first of equal ones, never a single one (RFC 5952, section 4.2).
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if best.isEmpty { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}

extension IPv6Address: CodedAsText {
    public static var kind: String { "an IPv6 address" }
}

/// An IPv6 network, `address/n`; host bits are zero.
public struct IPv6Subnet: Hashable, Sendable {
    public let base: IPv6Address
    /// 0 to 128.
    public let prefix: UInt8

    /// The subnet an address lies in.
    public init(_ address: IPv6Address, prefix: UInt8) {
        precondition(prefix <= 128)
        self.prefix = prefix
        base = IPv6Address(
            high: address.high & IPv6Subnet.mask(min(prefix, 64)),
            low: address.low & IPv6Subnet.mask(prefix > 64 ? prefix - 64 : 0))
    }

    /// Parses `address/n`; nil for anything else. Host bits are cut off: `isExact` says whether there were any.
    public init?(_ text: String) {
        guard let (address, prefix) = IPv6Subnet.parts(text) else { return nil }
        self.init(address, prefix: prefix)
    }

    /// Whether a text is a subnet without bits beyond its prefix.
    public static func isExact(_ text: String) -> Bool {
        guard let (address, prefix) = parts(text) else { return false }
        return IPv6Subnet(address, prefix: prefix).base == address
    }

    private static func parts(_ text: String) -> (IPv6Address, UInt8)? {
        guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")),
            let address = IPv6Address(text[..<slash])
        else { return nil }
        let digits = text[text.index(after: slash)...]
        guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let prefix = UInt8(digits), prefix <= 128
        else { return nil }
        return (address, prefix)
    }

    private static func mask(_ bits: UInt8) -> UInt64 { bits == 0 ? 0 : ~0 << UInt64(64 - bits) }

    public func contains(_ address: IPv6Address) -> Bool {
        IPv6Subnet(address, prefix: prefix).base == base
    }

    public func overlaps(_ other: IPv6Subnet) -> Bool { contains(other.base) || other.contains(base) }

    /// The address `number` above the base; nil when it is not within the subnet.
    public func address(_ number: UInt64) -> IPv6Address? {
        let (low, carries) = base.low.addingReportingOverflow(number)
        let address = IPv6Address(high: base.high, low: low)
        return carries || !contains(address) ? nil : address
    }
}

extension IPv6Subnet: CustomStringConvertible {
    public var description: String { "\(base)/\(prefix)" }
}

extension IPv6Subnet: CodedAsText {
    public static var kind: String { "an IPv6 subnet" }
}
