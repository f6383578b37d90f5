// SPDX-License-Identifier: Apache-2.0
//
// What multicast messages are about: enough to tell ours from others'.

extension LinkState {
    /// From an RTM_NEWLINK or RTM_DELLINK; the kernel fills both alike (rtnl_fill_ifinfo).
    public init?(anyOf message: Message) {
        guard message.type == RouteMessage.newLink || message.type == RouteMessage.deleteLink else {
            return nil
        }
        self.init(
            Message(
                type: RouteMessage.newLink, flags: message.flags, sequence: message.sequence,
                payload: message.payload))
    }
}

extension Message {
    /// The link an address or route message is about; nil when it names none.
    public var aboutLink: UInt32? {
        switch type {
        case RouteMessage.newAddress, RouteMessage.newAddress + 1:
            payload.count >= 8 ? payload.u32(4) : nil
        case RouteMessage.newRoute, RouteMessage.newRoute + 1:
            payload.count >= 12 ? attributes(after: 12).first(RouteAttribute.outLink)?.u32 : nil
        default: nil
        }
    }
}

extension Message {
    /// About an IPv6 address of a link alone, which the kernel makes of itself (RT_SCOPE_LINK; linux/rtnetlink.h).
    public var isOfLinkLocalAddress: Bool {
        (type == RouteMessage.newAddress || type == RouteMessage.newAddress + 1) && payload.count >= 8
            && payload.first == 10 && payload[payload.startIndex + 3] == 253
    }

    /// About an IPv6 route that nobody took away, or that the kernel makes of itself: of this host's own addresses (the local
    /// table), link-local (fe80::/10) or multicast (ff00::/8).
    public var isOfOwnIPv6Route: Bool {
        guard type == RouteMessage.newRoute || type == RouteMessage.newRoute + 1, payload.first == 10 else {
            return false
        }
        guard type == RouteMessage.newRoute + 1, let route = IPv6RouteState(self) else { return true }
        let top = route.destination.base.high >> 48
        return route.table != 254 || top & 0xffc0 == 0xfe80 || top & 0xff00 == 0xff00
    }

    /// RTM_NEWNETCONF about forwarding between all links (linux/netconf.h); others of its kind come with every link.
    public var isAboutForwarding: Bool {
        guard isConfiguration, payload.count >= 4 else { return false }
        let attributes = attributes(after: 4)
        // NETCONFA_IFINDEX is NETCONFA_IFINDEX_ALL, -1; NETCONFA_FORWARDING.
        return attributes.first(1)?.u32 == UInt32.max && attributes.first(2) != nil
    }

    /// RTM_NEWNETCONF, RTM_DELNETCONF.
    public var isConfiguration: Bool { type == 80 || type == 81 }
}

extension TableReplies {
    /// The table a message of NFNLGRP_NFTABLES is about; nil when it is about none, as a generation's number.
    public static func change(_ message: Message) -> (table: String, addsElement: Bool)? {
        // The table's name is the first attribute of tables, chains, rules, sets and elements alike.
        guard message.type >> 8 == 10, message.type & 0xff != 15,
            let name = message.attributes(after: 4).first(1)?.text
        else { return nil }
        return (name, message.type & 0xff == 12)
    }
}
