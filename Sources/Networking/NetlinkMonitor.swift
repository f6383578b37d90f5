// SPDX-License-Identifier: Apache-2.0
//
// NetlinkMonitor: hears that links, addresses, routes or firewall tables of one network namespace changed, by the
// kernel's multicast groups (rtnetlink(7), RTNLGRP_*; nf_tables, NFNLGRP_NFTABLES). What it hears is only a reason to
// look again: what is true is read anew, so a message that was lost (ENOBUFS) costs a look and no more.

internal import CLinux
public import Kernel
internal import Netlink

public final class NetlinkMonitor {
    public enum Subject: Sendable {
        /// Links, addresses and routes, and whether IPv4 is forwarded.
        case links
        case firewall
    }

    /// Whose changes count; all of them by default.
    public struct Filter: Sendable {
        /// Links of this group, and of these bridges with their addresses and routes.
        public var group: UInt32?
        public var bridges: Set<UInt32> = []
        public init() {}
    }

    private let fd: OwnedFD
    private let subject: Subject
    public var filter = Filter()

    /// Opens it in the calling thread's network namespace; it keeps that namespace alive.
    /// - Parameter room: bytes of the receive buffer.
    public init(_ subject: Subject, room: Int32 = 64 << 10) throws(SyscallError) {
        self.subject = subject
        let family: NetlinkSocket.Family = subject == .links ? .route : .netfilter
        fd = OwnedFD(
            taking: try retrying("socket", "netlink") {
                linux_socket(
                    AF_NETLINK, Int32(SOCK_RAW.rawValue) | 0o2000000 | O_NONBLOCK, family.rawValue)
            })
        let raw = fd.raw
        try retrying("bind", "netlink") { linux_bind_netlink(raw) }
        _ = linux_set_socket_int(raw, SOL_SOCKET, SO_RCVBUF, room)
        // RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE,
        // RTNLGRP_IPV4_NETCONF; NFNLGRP_NFTABLES.
        for group: Int32 in subject == .links ? [1, 5, 7, 9, 11, 24] : [7] {
            // SOL_NETLINK, NETLINK_ADD_MEMBERSHIP.
            try retrying("setsockopt", "netlink") { linux_set_socket_int(raw, 270, 1, group) }
        }
    }

    /// For the event loop.
    public var descriptor: Int32 { fd.raw }

    /// Takes away what was heard; true when something of it counts.
    public func drain() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 32768)
        var counts = false
        while true {
            let raw = fd.raw
            let length = buffer.withUnsafeMutableBytes {
                // MSG_DONTWAIT.
                linux_receive(raw, $0.baseAddress, $0.count, 0x40)
            }
            if length < 0 {
                let code = linux_errno()
                if code == EINTR { continue }
                // EAGAIN: that was all. ENOBUFS: more than there was room for.
                if code != ENOBUFS { return counts }
                counts = true
                continue
            }
            if counts { continue }
            for message in Message.all(in: buffer[..<length]) where relevant(message) { counts = true }
        }
    }

    private func relevant(_ message: Message) -> Bool {
        switch subject {
        case .links:
            if message.isOfLinkLocalAddress || message.isOfOwnIPv6Route { return false }
            if message.isConfiguration { return filter.group != nil && message.isAboutForwarding }
            guard let group = filter.group else { return true }
            return concerns(message, group: group, bridges: filter.bridges)
        case .firewall: return concernsTable(message, FirewallTable.name.name)
        }
    }
}

/// Whether a message of the route family is about a link of the group, or about one of the bridges.
func concerns(_ message: Message, group: UInt32, bridges: Set<UInt32>) -> Bool {
    if let link = LinkState(anyOf: message) {
        return link.group == group || bridges.contains(link.index) || bridges.contains(link.master)
    }
    guard let index = message.aboutLink else { return true }
    return bridges.contains(index)
}

/// Whether a message of nf_tables takes something from the table or changes its rules; elements that come are no harm.
func concernsTable(_ message: Message, _ table: String) -> Bool {
    TableReplies.change(message).map { $0.table == table && !$0.addsElement } ?? false
}
