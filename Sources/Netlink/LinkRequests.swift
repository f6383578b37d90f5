// SPDX-License-Identifier: Apache-2.0
//
// rtnetlink requests on links: bridges, veth pairs, deletion. Attribute numbers are linux/if_link.h's.

/// Where a veth's peer is born.
public enum NamespacePlace: Sendable {
    case pid(Int32)
    case fd(Int32)
}

/// A hardware address.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    public let bytes: [UInt8]

    public init?(bytes: [UInt8]) {
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    /// 02:42 and the address: stable for an address, locally administered, as Docker's.
    public init(for address: IPv4Address) { bytes = [0x02, 0x42] + address.bytes }

    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

enum LinkAttribute {
    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let mtu: UInt16 = 4
    static let master: UInt16 = 10
    static let linkInfo: UInt16 = 18
    static let namespacePid: UInt16 = 19
    static let alias: UInt16 = 20
    static let addressFamilies: UInt16 = 26
    static let group: UInt16 = 27
    static let namespaceFD: UInt16 = 28
    static let sendingQueues: UInt16 = 31
    static let receivingQueues: UInt16 = 32
    static let infoKind: UInt16 = 1
    static let infoData: UInt16 = 2
    static let infoSlaveKind: UInt16 = 4
    static let infoSlaveData: UInt16 = 5
    static let vethPeer: UInt16 = 1
    static let bridgePortHairpin: UInt16 = 4
    static let inetConfiguration: UInt16 = 1
    static let inet6AddressGeneration: UInt16 = 8
    /// IPV4_DEVCONF_ROUTE_LOCALNET, linux/ip.h.
    static let routeLocalnet: UInt16 = 26
}

enum RouteMessage {
    static let newLink: UInt16 = 16
    static let deleteLink: UInt16 = 17
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let getAddress: UInt16 = 22
    static let newRoute: UInt16 = 24
    static let getRoute: UInt16 = 26
}

private let familyInet: UInt16 = 2
private let familyInet6: UInt16 = 10

extension MessageBuilder {
    /// struct ifinfomsg.
    mutating func linkHeader(index: UInt32 = 0, up: Bool = false) {
        append(UInt32(0))
        append(index)
        append(UInt32(up ? 1 : 0))
        append(UInt32(up ? 1 : 0))
    }
}

extension Requests {
    /// Makes a bridge, down; `configureBridge` completes it. EEXIST when the name is taken.
    /// - mtu: nil for the kernel's default, 1500.
    public mutating func createBridge(name: String, group: UInt32, mac: MACAddress, mtu: UInt32? = nil) {
        add(
            type: RouteMessage.newLink, flags: MessageFlags.create | MessageFlags.exclusive,
            "create bridge \(name)"
        ) { m in
            m.linkHeader()
            m.attribute(LinkAttribute.name, text: name)
            m.attribute(LinkAttribute.address, bytes: mac.bytes)
            if let mtu { m.attribute(LinkAttribute.mtu, u32: mtu) }
            m.attribute(LinkAttribute.group, u32: group)
            m.nested(LinkAttribute.linkInfo) { $0.attribute(LinkAttribute.infoKind, text: "bridge") }
        }
    }

    /// Names a bridge's owner and brings it up. `routeLocalnet` lets replies to 127.0.0.1 come back through it; IPv6
    /// gets no address of the kernel's own making, only those that a network with IPv6 is given.
    ///
    /// The alias can't be given on creation: rtnl_newlink reads it only when it changes a link.
    public mutating func configureBridge(name: String, alias: String, routeLocalnet: Bool) {
        add(type: RouteMessage.newLink, "configure bridge \(name)") { m in
            m.linkHeader(up: true)
            m.attribute(LinkAttribute.name, text: name)
            m.attribute(LinkAttribute.alias, text: alias)
            m.nested(LinkAttribute.addressFamilies) { m in
                if routeLocalnet {
                    m.nested(familyInet) { m in
                        m.nested(LinkAttribute.inetConfiguration) {
                            $0.attribute(LinkAttribute.routeLocalnet, u32: 1)
                        }
                    }
                }
                m.noIPv6Addresses()
            }
        }
    }

    /// Makes a veth pair, the host's end in a bridge, the peer named and born in the container's namespace.
    public mutating func createVeth(
        name: String, group: UInt32, master: UInt32, peerName: String, peerMAC: MACAddress,
        peer: NamespacePlace, mtu: UInt32? = nil
    ) {
        add(
            type: RouteMessage.newLink, flags: MessageFlags.create | MessageFlags.exclusive,
            "create link \(name)"
        ) { m in
            m.linkHeader()
            m.attribute(LinkAttribute.name, text: name)
            if let mtu { m.attribute(LinkAttribute.mtu, u32: mtu) }
            m.attribute(LinkAttribute.group, u32: group)
            m.attribute(LinkAttribute.master, u32: master)
            m.oneQueue()
            m.nested(LinkAttribute.linkInfo) { m in
                m.attribute(LinkAttribute.infoKind, text: "veth")
                m.nested(LinkAttribute.infoData) { m in
                    m.nested(LinkAttribute.vethPeer) { m in
                        m.linkHeader()
                        m.attribute(LinkAttribute.name, text: peerName)
                        m.attribute(LinkAttribute.address, bytes: peerMAC.bytes)
                        if let mtu { m.attribute(LinkAttribute.mtu, u32: mtu) }
                        m.oneQueue()
                        switch peer {
                        case .pid(let pid):
                            m.attribute(LinkAttribute.namespacePid, u32: UInt32(bitPattern: pid))
                        case .fd(let fd): m.attribute(LinkAttribute.namespaceFD, u32: UInt32(bitPattern: fd))
                        }
                    }
                }
            }
        }
    }

    /// Names the owner of a bridge port, lets it send back what it received (hairpin), and brings it up.
    public mutating func configurePort(name: String, alias: String) {
        add(type: RouteMessage.newLink, "configure link \(name)") { m in
            m.linkHeader(up: true)
            m.attribute(LinkAttribute.name, text: name)
            m.attribute(LinkAttribute.alias, text: alias)
            m.nested(LinkAttribute.linkInfo) { m in
                m.attribute(LinkAttribute.infoSlaveKind, text: "bridge")
                m.nested(LinkAttribute.infoSlaveData) { $0.attribute(LinkAttribute.bridgePortHairpin, u8: 1) }
            }
            m.nested(LinkAttribute.addressFamilies) { $0.noIPv6Addresses() }
        }
    }

    /// Brings a link up by its index.
    public mutating func setUp(index: UInt32) {
        add(type: RouteMessage.newLink, "bring up link \(index)") { $0.linkHeader(index: index, up: true) }
    }

    /// Puts a link into a bridge.
    public mutating func setMaster(_ master: UInt32, index: UInt32, name: String) {
        add(type: RouteMessage.newLink, "connect link \(name)") { m in
            m.linkHeader(index: index)
            m.attribute(LinkAttribute.master, u32: master)
        }
    }

    public mutating func deleteLink(index: UInt32, name: String) {
        add(type: RouteMessage.deleteLink, "delete link \(name)") { $0.linkHeader(index: index) }
    }

    /// Deletes every link of a group in one grace period; ENODEV when the group is empty.
    public mutating func deleteLinks(group: UInt32) {
        precondition(group != 0, "group 0 is every link nobody put in a group")
        add(type: RouteMessage.deleteLink, "delete links of group \(group)") { m in
            m.linkHeader()
            m.attribute(LinkAttribute.group, u32: group)
        }
    }

    public mutating func dumpLinks() {
        add(type: RouteMessage.getLink, flags: MessageFlags.dump, "list links") { m in
            m.linkHeader()
            // RTEXT_FILTER_SKIP_STATS: nobody reads the counters here.
            m.attribute(29, u32: 1 << 3)
        }
    }

    /// One link by name; ENODEV when there is none. The link is the answer, so no acknowledgement is asked for.
    public mutating func getLink(name: String) {
        add(type: RouteMessage.getLink, "look up link \(name)") { m in
            m.linkHeader()
            m.attribute(LinkAttribute.name, text: name)
            m.attribute(29, u32: 1 << 3)
        }
    }
}

extension MessageBuilder {
    /// A veth is given a queue for each possible processor and uses one of them. Cutting the others off takes a wait for an RCU
    /// grace period at each end, with the lock held that all of rtnetlink takes (veth_init_queues, drivers/net/veth.c, 5.14);
    /// asked for one, it has nothing to cut off.
    fileprivate mutating func oneQueue() {
        attribute(LinkAttribute.sendingQueues, u32: 1)
        attribute(LinkAttribute.receivingQueues, u32: 1)
    }

    /// IN6_ADDR_GEN_MODE_NONE; linux/if_link.h.
    fileprivate mutating func noIPv6Addresses() {
        nested(familyInet6) { $0.attribute(LinkAttribute.inet6AddressGeneration, u8: 1) }
    }
}

/// A link as a dump shows it.
public struct LinkState: Hashable, Sendable {
    public var index: UInt32
    public var name: String
    public var alias: String
    public var group: UInt32
    public var master: UInt32
    public var isUp: Bool
    /// Bytes; 0 where the kernel did not say.
    public var mtu: UInt32 = 0
    /// `bridge`, `veth`, empty for others.
    public var kind: String

    /// From an RTM_NEWLINK message; nil for any other and for a truncated one.
    public init?(_ message: Message) {
        guard message.type == RouteMessage.newLink, message.payload.count >= 16 else { return nil }
        index = message.payload.u32(4)
        isUp = message.payload.u32(8) & 1 != 0
        name = ""
        alias = ""
        group = 0
        master = 0
        kind = ""
        for attribute in message.attributes(after: 16) {
            switch attribute.type {
            case LinkAttribute.name: name = attribute.text
            case LinkAttribute.alias: alias = attribute.text
            case LinkAttribute.mtu: mtu = attribute.u32 ?? 0
            case LinkAttribute.group: group = attribute.u32 ?? 0
            case LinkAttribute.master: master = attribute.u32 ?? 0
            case LinkAttribute.linkInfo:
                kind = attribute.nested.first(LinkAttribute.infoKind)?.text ?? ""
            default: break
            }
        }
    }
}
