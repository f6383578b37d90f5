// SPDX-License-Identifier: Apache-2.0
//
// The two things a container's child sends to its own network namespace before it becomes the container's program.
// They are made here, in the parent, and only carried out there: the child runs no Swift (docs/ARCHITECTURE.md,
// "Launch programs"). Two rules for whoever sends them:
//
//   - A link's index is not known before the link is there. Messages about a link have `unknownLinkIndex` at byte 20
//     of the message (ifi_index and ifa_index stand at the same place); the child asks SIOCGIFINDEX for `linkName`
//     and writes the answer there. A message whose four bytes at 20 are anything else is sent as it is.
//   - Every message that sets NLM_F_ACK (nlmsg_flags & 4, at byte 6) is answered by one NLMSG_ERROR; error 0 is
//     success. In the nf_tables batch the first and last message have no NLM_F_ACK, and a batch that fails as a whole
//     is answered by an NLMSG_ERROR with the first one's sequence number. So: count the ACK flags, read until that
//     many zero errors came, and stop at the first that is not zero.

public import Basics

/// Stands for the index of the link a message is about, until the child knows it.
public let unknownLinkIndex: UInt32 = 0xffff_ffff

/// Messages for NETLINK_ROUTE, all about one link.
public struct LinkMessages: Hashable, Sendable {
    public var linkName: String
    public var bytes: [UInt8]
    public init(linkName: String, bytes: [UInt8]) {
        self.linkName = linkName
        self.bytes = bytes
    }
}

/// A container's end of a veth pair.
public struct ContainerLink: Sendable {
    public var name: String
    /// nil on a network without IPv4.
    public var address: IPv4Address?
    public var prefix: UInt8
    /// nil on an internal network; the first link that has one gets the default route.
    public var gateway: IPv4Address?
    /// nil on a network without IPv6.
    public var ipv6: (address: IPv6Address, prefix: UInt8, gateway: IPv6Address?)?
    /// Beside those.
    public var further: [LinkAddress] = []

    public init(name: String, address: IPv4Address?, prefix: UInt8, gateway: IPv4Address?) {
        self.name = name
        self.address = address
        self.prefix = prefix
        self.gateway = gateway
    }
}

/// Brings `lo` and the links up, gives them their addresses, and sets one default route.
public func containerRouteMessages(links: [ContainerLink]) -> [LinkMessages] {
    var loopback = Requests()
    loopback.setUp(index: unknownLinkIndex)
    var result = [LinkMessages(linkName: "lo", bytes: loopback.bytes)]
    var routed = false
    var routed6 = false
    for link in links {
        var requests = Requests()
        if let address = link.address {
            requests.addAddress(address, prefix: link.prefix, index: unknownLinkIndex, linkName: link.name)
        }
        requests.setUp(index: unknownLinkIndex)
        if let gateway = link.gateway, !routed {
            routed = true
            // The route names no link: the gateway lies in the subnet the messages before made reachable.
            requests.addDefaultRoute(gateway: gateway)
        }
        if let ipv6 = link.ipv6 {
            requests.addAddress(
                ipv6.address, prefix: ipv6.prefix, index: unknownLinkIndex, linkName: link.name)
            if let gateway = ipv6.gateway, !routed6 {
                routed6 = true
                requests.addDefaultRoute(gateway: gateway)
            }
        }
        for address in link.further {
            requests.addAddress(address, index: unknownLinkIndex, linkName: link.name)
        }
        result.append(LinkMessages(linkName: link.name, bytes: requests.bytes))
    }
    return result
}

/// The same for a container with one link.
public func containerRouteMessages(
    address: IPv4Address, prefix: UInt8, gateway: IPv4Address?, linkName: String = "eth0"
) -> [LinkMessages] {
    containerRouteMessages(links: [
        ContainerLink(name: linkName, address: address, prefix: prefix, gateway: gateway)
    ])
}

/// The address containers ask for names.
public let nameServiceAddress = IPv4Address(127, 0, 0, 11)

/// One nf_tables batch for NETLINK_NETFILTER: names asked for at 127.0.0.11:53 go to 127.0.0.11:`port`, over udp and
/// tcp, so that the container may bind 0.0.0.0:53 itself.
///
/// Answers come back from port 53: the connection's reverse translation is the kernel's own. `redirect` would not do:
/// in OUTPUT it rewrites the address to 127.0.0.1 (nf_nat_redirect_ipv4).
public func containerNameServiceRules(port: UInt16) -> [UInt8] {
    var batch = Requests()
    batch.beginBatch()
    batch.createTable(nameServiceTable, comment: "name service")
    batch.addNameServiceChain(port: port)
    batch.endBatch()
    return batch.bytes
}

/// Where those rules are, in the container's network namespace.
public let nameServiceTable = TableName(.ipv4, "covey")

extension Requests {
    /// The same in a batch of its own, whatever is there of it.
    public mutating func restoreNameServiceRules(port: UInt16) {
        beginBatch()
        createTable(nameServiceTable, comment: "name service")
        createChain("names", hook: nameServiceHook, in: nameServiceTable)
        deleteRules(in: nameServiceTable)
        addNameServiceChain(port: port)
        endBatch()
    }

    /// The chain and its rules, between beginBatch and endBatch.
    public mutating func addNameServiceChain(port: UInt16) {
        createChain("names", hook: nameServiceHook, in: nameServiceTable)
        for transport: UInt8 in [17, 6] {
            addRule(
                [
                    .payload(.network, offset: 16, length: 4, into: Register(0)),
                    .compare(Register(0), .equal, nameServiceAddress.bytes),
                    .meta(.transportProtocol, into: Register(0)),
                    .compare(Register(0), .equal, [transport]),
                    .payload(.transport, offset: 2, length: 2, into: Register(0)),
                    .compare(Register(0), .equal, [0, 53]),
                    .immediate(nameServiceAddress.bytes, into: Register(0)),
                    .immediate([UInt8(port >> 8), UInt8(port & 255)], into: Register(1)),
                    .nat(.destination, address: Register(0), port: Register(1)),
                ], chain: "names", in: nameServiceTable)
        }
    }
}

private let nameServiceHook = ChainHook(.nat, .output, priority: -100)
