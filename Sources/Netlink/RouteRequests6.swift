// SPDX-License-Identifier: Apache-2.0
//
// rtnetlink requests on IPv6 addresses and routes. Addresses are given without duplicate address detection: every one comes
// from our leases, and a container would otherwise wait a second before it could use it (RFC 4862, section 5.4).

public import Basics

private let familyInet6: UInt8 = 10
/// IFA_F_NODAD; linux/if_addr.h.
private let withoutDetection: UInt8 = 2

extension Requests {
    /// Gives a link an IPv6 address; EEXIST when it has it.
    public mutating func addAddress(_ address: IPv6Address, prefix: UInt8, index: UInt32, linkName: String) {
        add(
            type: RouteMessage.newAddress, flags: MessageFlags.create | MessageFlags.exclusive,
            "give \(linkName) the address \(address)/\(prefix)"
        ) { m in
            // struct ifaddrmsg: family, prefix, flags, scope, index.
            m.append(bytes: [familyInet6, prefix, withoutDetection, 0])
            m.append(index)
            m.attribute(AddressAttribute.local, bytes: address.bytes)
            m.attribute(AddressAttribute.address, bytes: address.bytes)
        }
    }

    /// The default route through a gateway that an address of the namespace already reaches; the kernel finds the
    /// link from it.
    public mutating func addDefaultRoute(gateway: IPv6Address) {
        add(
            type: RouteMessage.newRoute, flags: MessageFlags.create | MessageFlags.exclusive,
            "add the default route through \(gateway)"
        ) { m in
            // struct rtmsg of a unicast route in the main table made by an administrator (RTPROT_BOOT).
            m.append(bytes: [familyInet6, 0, 0, 0, 254, 3, 0, 1])
            m.append(UInt32(0))
            m.attribute(RouteAttribute.gateway, bytes: gateway.bytes)
        }
    }

    /// The route to a link's own subnet, as the kernel adds it with the address: RTPROT_KERNEL, metric 256.
    public mutating func addConnectedRoute(to subnet: IPv6Subnet, index: UInt32) {
        add(
            type: RouteMessage.newRoute, flags: MessageFlags.create | MessageFlags.exclusive,
            "add the route to \(subnet)"
        ) { m in
            m.append(bytes: [familyInet6, subnet.prefix, 0, 0, 254, 2, 0, 1])
            m.append(UInt32(0))
            m.attribute(RouteAttribute.destination, bytes: subnet.base.bytes)
            m.attribute(RouteAttribute.outLink, u32: index)
            m.attribute(RouteAttribute.priority, u32: 256)
        }
    }

    public mutating func dumpIPv6Routes() {
        add(type: RouteMessage.getRoute, flags: MessageFlags.dump, "list routes") { m in
            m.append(bytes: [familyInet6, 0, 0, 0, 0, 0, 0, 0])
            m.append(UInt32(0))
        }
    }

    public mutating func dumpIPv6Addresses() {
        add(type: RouteMessage.getAddress, flags: MessageFlags.dump, "list addresses") { m in
            m.append(bytes: [familyInet6, 0, 0, 0])
            m.append(UInt32(0))
        }
    }
}

/// An IPv6 address of a link.
public struct IPv6AddressState: Hashable, Sendable {
    public var address: IPv6Address
    public var prefix: UInt8
    public var index: UInt32

    public init(address: IPv6Address, prefix: UInt8, index: UInt32) {
        self.address = address
        self.prefix = prefix
        self.index = index
    }

    public init?(_ message: Message) {
        guard message.type == RouteMessage.newAddress, message.payload.count >= 8,
            message.payload.first == familyInet6
        else { return nil }
        let attributes = message.attributes(after: 8)
        func value(_ type: UInt16) -> IPv6Address? {
            attributes.first(type).flatMap { IPv6Address(bytes: $0.payload) }
        }
        guard let address = value(AddressAttribute.local) ?? value(AddressAttribute.address) else {
            return nil
        }
        self.address = address
        prefix = message.payload[message.payload.startIndex + 1]
        index = message.payload.u32(4)
        if prefix > 128 { return nil }
    }

    public var subnet: IPv6Subnet { IPv6Subnet(address, prefix: prefix) }
}

/// An IPv6 route.
public struct IPv6RouteState: Hashable, Sendable {
    /// `::/0` of the default route.
    public var destination: IPv6Subnet
    public var gateway: IPv6Address?
    public var index: UInt32?
    public var table: UInt32

    public init(destination: IPv6Subnet, gateway: IPv6Address? = nil, index: UInt32?, table: UInt32 = 254) {
        self.destination = destination
        self.gateway = gateway
        self.index = index
        self.table = table
    }

    /// From an RTM_NEWROUTE or RTM_DELROUTE.
    public init?(_ message: Message) {
        let payload = message.payload
        guard message.type == RouteMessage.newRoute || message.type == RouteMessage.newRoute + 1,
            payload.count >= 12, payload.first == familyInet6
        else { return nil }
        let prefix = payload[payload.startIndex + 1]
        guard prefix <= 128 else { return nil }
        let attributes = message.attributes(after: 12)
        func address(_ type: UInt16) -> IPv6Address? {
            attributes.first(type).flatMap { IPv6Address(bytes: $0.payload) }
        }
        table = attributes.first(RouteAttribute.table)?.u32 ?? UInt32(payload[payload.startIndex + 4])
        destination = IPv6Subnet(
            address(RouteAttribute.destination) ?? IPv6Address(high: 0, low: 0), prefix: prefix)
        gateway = address(RouteAttribute.gateway)
        index = attributes.first(RouteAttribute.outLink)?.u32
    }
}
