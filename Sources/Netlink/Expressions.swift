// SPDX-License-Identifier: Apache-2.0
//
// The expressions of nf_tables rules that Covey uses, each encoded as NFTA_EXPR_{NAME,DATA}
// (linux/netfilter/nf_tables.h). A rule runs its expressions in order; one that does not match ends the rule.

/// A 32-bit register of the nf_tables machine, 0 to 15. Four in a row hold what needs 16 bytes.
public struct Register: Hashable, Sendable {
    public let number: UInt32
    public init(_ number: UInt32) {
        precondition(number < 16)
        self.number = number
    }

    /// NFT_REG32_00 is 8; the names for 16-byte registers (NFT_REG_1 = 1) are not used.
    var wire: UInt32 { 8 + number }
}

public enum Verdict: Hashable, Sendable {
    case drop
    case accept
    case jump(String)
    case goto(String)
    case `return`
}

public enum Expression: Hashable, Sendable {
    public enum MetaKey: UInt32, Sendable {
        case inName = 6
        case outName = 7
        case networkProtocol = 15
        case transportProtocol = 16
    }

    public enum Header: UInt32, Sendable {
        case network = 1
        case transport = 2
    }

    public enum Comparison: UInt32, Sendable {
        case equal = 0
        case notEqual = 1
    }

    public enum ConntrackKey: UInt32, Sendable {
        case state = 0
        case status = 2
    }

    public enum NATKind: UInt32, Sendable {
        case source = 0
        case destination = 1
    }

    case meta(MetaKey, into: Register)
    case payload(Header, offset: UInt32, length: UInt32, into: Register)
    case bitwise(Register, mask: [UInt8])
    case compare(Register, Comparison, [UInt8])
    /// Membership of a set; with `into`, a map's value.
    case lookup(set: String, key: Register, into: Register? = nil, inverted: Bool = false)
    case conntrack(ConntrackKey, into: Register)
    /// The address type of the destination, RTN_LOCAL (2) for this host's own.
    case destinationKind(into: Register)
    case nat(NATKind, address: Register, port: Register?)
    case masquerade
    /// Redirects to a local port; in OUTPUT the address becomes 127.0.0.1, which is why the name service uses `nat`.
    case redirect(port: Register)
    case immediate([UInt8], into: Register)
    case verdict(Verdict)
    case counter

    var name: String {
        switch self {
        case .meta: "meta"
        case .payload: "payload"
        case .bitwise: "bitwise"
        case .compare: "cmp"
        case .lookup: "lookup"
        case .conntrack: "ct"
        case .destinationKind: "fib"
        case .nat: "nat"
        case .masquerade: "masq"
        case .redirect: "redir"
        case .immediate, .verdict: "immediate"
        case .counter: "counter"
        }
    }

    func encode(into m: inout MessageBuilder) {
        switch self {
        case .meta(let key, let register):
            m.attribute(1, big32: register.wire)
            m.attribute(2, big32: key.rawValue)
        case .payload(let header, let offset, let length, let register):
            m.attribute(1, big32: register.wire)
            m.attribute(2, big32: header.rawValue)
            m.attribute(3, big32: offset)
            m.attribute(4, big32: length)
        case .bitwise(let register, let mask):
            m.attribute(1, big32: register.wire)
            m.attribute(2, big32: register.wire)
            m.attribute(3, big32: UInt32(mask.count))
            m.data(4, mask)
            m.data(5, [UInt8](repeating: 0, count: mask.count))
        case .compare(let register, let comparison, let value):
            m.attribute(1, big32: register.wire)
            m.attribute(2, big32: comparison.rawValue)
            m.data(3, value)
        case .lookup(let set, let key, let result, let inverted):
            m.attribute(1, text: set)
            m.attribute(2, big32: key.wire)
            if let result { m.attribute(3, big32: result.wire) }
            if inverted { m.attribute(5, big32: 1) }
        case .conntrack(let key, let register):
            m.attribute(1, big32: register.wire)
            m.attribute(2, big32: key.rawValue)
        case .destinationKind(let register):
            m.attribute(1, big32: register.wire)
            // NFT_FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR.
            m.attribute(2, big32: 3)
            m.attribute(3, big32: 2)
        case .nat(let kind, let address, let port):
            m.attribute(1, big32: kind.rawValue)
            m.attribute(2, big32: ProtocolFamily.ipv4.wire)
            m.attribute(3, big32: address.wire)
            if let port { m.attribute(5, big32: port.wire) }
        case .redirect(let port): m.attribute(1, big32: port.wire)
        case .immediate(let value, let register):
            m.attribute(1, big32: register.wire)
            m.data(2, value)
        case .verdict(let verdict):
            m.attribute(1, big32: 0)
            m.nested(2, flagged: true) { m in m.verdict(verdict) }
        case .masquerade, .counter: break
        }
    }
}

extension MessageBuilder {
    /// An attribute that holds NFTA_DATA_VALUE.
    mutating func data(_ type: UInt16, _ value: [UInt8]) {
        nested(type, flagged: true) { $0.attribute(1, bytes: value) }
    }

    /// NFTA_DATA_VERDICT; codes of linux/netfilter.h and nf_tables.h.
    fileprivate mutating func verdict(_ verdict: Verdict) {
        nested(2, flagged: true) { m in
            switch verdict {
            case .drop: m.attribute(1, big32: 0)
            case .accept: m.attribute(1, big32: 1)
            case .jump(let chain):
                m.attribute(1, big32: UInt32(bitPattern: -3))
                m.attribute(2, text: chain)
            case .goto(let chain):
                m.attribute(1, big32: UInt32(bitPattern: -4))
                m.attribute(2, text: chain)
            case .return: m.attribute(1, big32: UInt32(bitPattern: -5))
            }
        }
    }
}
