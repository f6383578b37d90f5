// SPDX-License-Identifier: Apache-2.0
//
// The shared table `inet covey` as data: its sets, chains and rules. Pure. Projects are elements of its sets; the rules
// are the same for all and never change while a version of Covey lives. One table per project was measured 7 times
// slower at 500 projects, and the 1,025th fails.
//
// What the rules say, chain by chain:
//
//   raw          nothing from outside speaks as or to 127/8. Bridges have route_localnet for replies to 127.0.0.1, which
//                would otherwise let a crafted route reach what is published on 127.0.0.1 alone
//   prerouting   other hosts and containers: this host's addresses but 127/8, by (protocol, address, port), then by
//                (protocol, port) for ports published on every address
//   output       this host's own programs: the same, 127/8 too
//   postrouting  out of a network into the world: masquerade. Published ports reached from containers or from
//                127/8: masquerade, or the answer would not come back this way. hairpin: a container that reaches itself
//                through a bridge that shows IP traffic to netfilter (bridge-nf-call-iptables), where no input link is known
//   forward      answers pass; within a network all passes (bridge-nf-call-iptables); internal networks take and send
//                nothing; what came by a published port passes; all else into a network is dropped

internal import Netlink

enum FirewallTable {
    static let name = TableName(.inet, "covey")
    /// Kept in the table's comment; a table with another layout gets its rules anew. Count up with every change here.
    static let layout = "covey layout 1"

    static let bridges = SetSchema("bridges", key: [.linkName])
    static let outbound = SetSchema("outbound", key: [.linkName])
    static let inside = SetSchema("internal", key: [.linkName])
    static let pairs = SetSchema("pairs", key: [.linkName, .linkName])
    static let published = SetSchema(
        "published", key: [.transportProtocol, .address, .port], value: [.address, .port])
    static let everywhere = SetSchema(
        "everywhere", key: [.transportProtocol, .port], value: [.address, .port])
    static let hairpin = SetSchema("hairpin", key: [.address, .address])
    static let sets = [bridges, outbound, inside, pairs, published, everywhere, hairpin]

    struct Chain {
        var name: String
        var hook: ChainHook
        var rules: [[Expression]]
    }

    private static let r0 = Register(0)
    private static let r1 = Register(1)
    private static let r2 = Register(2)
    private static let r4 = Register(4)

    static let chains = [
        Chain(
            name: "raw", hook: ChainHook(.filter, .prerouting, priority: -300),
            rules: [
                notFromLoopback + loopbackNetwork(at: destination, .equal) + [.verdict(.drop)],
                notFromLoopback + loopbackNetwork(at: source, .equal) + [.verdict(.drop)],
            ]),
        Chain(
            name: "prerouting", hook: ChainHook(.nat, .prerouting, priority: -100),
            rules: [
                loopbackNetwork(at: destination, .notEqual) + toThisHost + translated(by: published),
                loopbackNetwork(at: destination, .notEqual) + toThisHost + translated(by: everywhere),
            ]),
        Chain(
            name: "output", hook: ChainHook(.nat, .output, priority: -100),
            rules: [
                ipv4 + toThisHost + translated(by: published), ipv4 + toThisHost + translated(by: everywhere),
            ]),
        Chain(
            name: "postrouting", hook: ChainHook(.nat, .postrouting, priority: 100),
            rules: [
                input(outbound) + output(bridges, inverted: true) + [.masquerade],
                input(bridges) + isTranslated + [.masquerade],
                output(bridges) + loopbackNetwork(at: source, .equal) + [.masquerade],
                ipv4 + [
                    .payload(.network, offset: source, length: 4, into: r0),
                    .payload(.network, offset: destination, length: 4, into: r1),
                    .lookup(set: hairpin.name, key: r0), .masquerade,
                ],
            ]),
        Chain(
            name: "forward", hook: ChainHook(.filter, .forward, priority: 0),
            rules: [
                // IPCT: established is bit 1, related bit 2.
                [
                    .conntrack(.state, into: r0), .bitwise(r0, mask: hostOrder(6)),
                    .compare(r0, .notEqual, hostOrder(0)),
                ]
                    + [.verdict(.accept)],
                [
                    .meta(.inName, into: r0), .meta(.outName, into: r4), .lookup(set: pairs.name, key: r0),
                    .verdict(.accept),
                ],
                input(inside) + [.verdict(.drop)],
                output(inside) + [.verdict(.drop)],
                isTranslated + [.verdict(.accept)],
                output(bridges) + [.verdict(.drop)],
            ]),
    ]

    /// Offsets in the IPv4 header, RFC 791.
    private static let source: UInt32 = 12
    private static let destination: UInt32 = 16

    private static let ipv4: [Expression] = [
        .meta(.networkProtocol, into: r0), .compare(r0, .equal, [ProtocolFamily.ipv4.rawValue]),
    ]
    private static let notFromLoopback: [Expression] = [
        .meta(.inName, into: r0), .compare(r0, .notEqual, linkName("lo")),
    ]
    private static let toThisHost: [Expression] = [
        .destinationKind(into: r0), .compare(r0, .equal, hostOrder(2)),
    ]
    /// IPS_DST_NAT; linux/netfilter/nf_conntrack_common.h.
    private static let isTranslated: [Expression] = [
        .conntrack(.status, into: r0), .bitwise(r0, mask: hostOrder(0x20)),
        .compare(r0, .notEqual, hostOrder(0)),
    ]

    private static func loopbackNetwork(at offset: UInt32, _ comparison: Expression.Comparison)
        -> [Expression]
    {
        ipv4 + [.payload(.network, offset: offset, length: 1, into: r0), .compare(r0, comparison, [127])]
    }
    private static func input(_ set: SetSchema) -> [Expression] {
        [.meta(.inName, into: r0), .lookup(set: set.name, key: r0)]
    }
    private static func output(_ set: SetSchema, inverted: Bool = false) -> [Expression] {
        [.meta(.outName, into: r0), .lookup(set: set.name, key: r0, inverted: inverted)]
    }
    private static func translated(by map: SetSchema) -> [Expression] {
        var load: [Expression] = [.meta(.transportProtocol, into: r0)]
        if map.key.count == 3 { load.append(.payload(.network, offset: destination, length: 4, into: r1)) }
        return load + [
            .payload(.transport, offset: 2, length: 2, into: map.key.count == 3 ? r2 : r1),
            .lookup(set: map.name, key: r0, into: r0), .nat(.destination, address: r0, port: r1),
        ]
    }

    static func hostOrder(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    /// A link's name in its 16 bytes.
    static func linkName(_ name: String) -> [UInt8] {
        let bytes = Array(name.utf8.prefix(15))
        return bytes + [UInt8](repeating: 0, count: 16 - bytes.count)
    }

    static func port(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255), 0, 0] }

    /// What each chain's rules look like when the kernel prints them back.
    static let signatures: [String: [String]] = {
        var expected: [String: [String]] = [:]
        var model = Requests()
        build(into: &model, fresh: true)
        for rule in Message.all(in: model.bytes[...]).compactMap(TableReplies.rule) {
            expected[rule.chain, default: []].append(rule.signature)
        }
        return expected
    }()

    /// The requests that make all of it; `fresh` fails with EEXIST when the table is there.
    static func build(into batch: inout Requests, fresh: Bool) {
        batch.createTable(name, comment: layout, exclusive: fresh)
        for (i, set) in sets.enumerated() { batch.createSet(set, id: UInt32(i + 1), in: name) }
        for chain in chains { batch.createChain(chain.name, hook: chain.hook, in: name) }
        if !fresh { batch.deleteRules(in: name) }
        for chain in chains {
            for rule in chain.rules { batch.addRule(rule, chain: chain.name, in: name) }
        }
    }
}
