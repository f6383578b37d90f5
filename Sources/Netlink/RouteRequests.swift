// SPDX-License-Identifier: Apache-2.0
//
// rtnetlink requests on addresses and routes. IPv4 only.

private let familyInet: UInt8 = 2

enum AddressAttribute {
    static let address: UInt16 = 1
    static let local: UInt16 = 2
    static let broadcast: UInt16 = 4
}

enum RouteAttribute {
    static let destination: UInt16 = 1
    static let outLink: UInt16 = 4
    static let gateway: UInt16 = 5
    static let priority: UInt16 = 6
    static let preferredSource: UInt16 = 7
    static let table: UInt16 = 15
}

extension Requests {
    /// Gives a link an address; EEXIST when it has it.
    public mutating func addAddress(_ address: IPv4Address, prefix: UInt8, index: UInt32, linkName: String) {
        add(
            type: RouteMessage.newAddress, flags: MessageFlags.create | MessageFlags.exclusive,
            "give \(linkName) the address \(address)/\(prefix)"
        ) { m in
            // struct ifaddrmsg: family, prefix, flags, scope, index.
            m.append(bytes: [familyInet, prefix, 0, 0])
            m.append(index)
            m.attribute(AddressAttribute.local, bytes: address.bytes)
            m.attribute(AddressAttribute.address, bytes: address.bytes)
            if prefix < 31 {
                m.attribute(AddressAttribute.broadcast, bytes: Subnet(address, prefix: prefix).last.bytes)
            }
        }
    }

    /// The default route through a gateway that an address of the namespace already reaches; the kernel finds the
    /// link from it.
    public mutating func addDefaultRoute(gateway: IPv4Address) {
        defaultRoute(gateway: gateway, MessageFlags.exclusive)
    }

    /// The same in place of one of the same metric that leads elsewhere.
    public mutating func replaceDefaultRoute(gateway: IPv4Address) {
        defaultRoute(gateway: gateway, MessageFlags.replace)
    }

    private mutating func defaultRoute(gateway: IPv4Address, _ flag: UInt16) {
        add(
            type: RouteMessage.newRoute, flags: MessageFlags.create | flag,
            "add the default route through \(gateway)"
        ) { m in
            m.routeHeader(prefix: 0)
            m.attribute(RouteAttribute.gateway, bytes: gateway.bytes)
        }
    }

    /// Adds a route in the main table, through a gateway or a link.
    public mutating func addRoute(to subnet: Subnet, gateway: IPv4Address? = nil, index: UInt32? = nil) {
        add(
            type: RouteMessage.newRoute, flags: MessageFlags.create | MessageFlags.exclusive,
            "add the route to \(subnet)"
        ) { m in
            m.routeHeader(prefix: subnet.prefix, linkScope: gateway == nil)
            m.attribute(RouteAttribute.destination, bytes: subnet.base.bytes)
            if let gateway { m.attribute(RouteAttribute.gateway, bytes: gateway.bytes) }
            if let index { m.attribute(RouteAttribute.outLink, u32: index) }
        }
    }

    /// The route to a link's own subnet, as the kernel adds it with the address: RTPROT_KERNEL, link scope, `source` as
    /// the preferred one.
    public mutating func addConnectedRoute(to subnet: Subnet, source: IPv4Address, index: UInt32) {
        add(
            type: RouteMessage.newRoute, flags: MessageFlags.create | MessageFlags.exclusive,
            "add the route to \(subnet)"
        ) { m in
            m.append(bytes: [familyInet, subnet.prefix, 0, 0, 254, 2, 253, 1])
            m.append(UInt32(0))
            m.attribute(RouteAttribute.destination, bytes: subnet.base.bytes)
            m.attribute(RouteAttribute.preferredSource, bytes: source.bytes)
            m.attribute(RouteAttribute.outLink, u32: index)
        }
    }

    public mutating func dumpAddresses() {
        add(type: RouteMessage.getAddress, flags: MessageFlags.dump, "list addresses") { m in
            m.append(bytes: [familyInet, 0, 0, 0])
            m.append(UInt32(0))
        }
    }

    public mutating func dumpRoutes() {
        add(type: RouteMessage.getRoute, flags: MessageFlags.dump, "list routes") { m in
            // struct rtmsg all zero but the family: NETLINK_GET_STRICT_CHK allows filters, we take every table.
            m.append(bytes: [familyInet, 0, 0, 0, 0, 0, 0, 0])
            m.append(UInt32(0))
        }
    }
}

extension MessageBuilder {
    /// struct rtmsg of a unicast route in the main table made by an administrator (RTPROT_BOOT).
    fileprivate mutating func routeHeader(prefix: UInt8, linkScope: Bool = false) {
        append(bytes: [familyInet, prefix, 0, 0, 254, 3, linkScope ? 253 : 0, 1])
        append(UInt32(0))
    }
}

/// An IPv4 address of a link.
public struct AddressState: Hashable, Sendable {
    public var address: IPv4Address
    public var prefix: UInt8
    public var index: UInt32

    public init?(_ message: Message) {
        guard message.type == RouteMessage.newAddress, message.payload.count >= 8,
            message.payload.first == familyInet
        else { return nil }
        let attributes = message.attributes(after: 8)
        let found = attributes.first(AddressAttribute.local) ?? attributes.first(AddressAttribute.address)
        guard let address = found?.address else { return nil }
        self.address = address
        prefix = message.payload[message.payload.startIndex + 1]
        index = message.payload.u32(4)
        if prefix > 32 { return nil }
    }

    public var subnet: Subnet { Subnet(address, prefix: prefix) }
}

/// An IPv4 route.
public struct RouteState: Hashable, Sendable {
    public var destination: Subnet
    public var gateway: IPv4Address?
    public var index: UInt32?
    public var table: UInt32
    /// RTN_UNICAST 1, RTN_LOCAL 2, RTN_BROADCAST 3, …; linux/rtnetlink.h.
    public var kind: UInt8

    public init?(_ message: Message) {
        let payload = message.payload
        guard message.type == RouteMessage.newRoute, payload.count >= 12, payload.first == familyInet else {
            return nil
        }
        let prefix = payload[payload.startIndex + 1]
        guard prefix <= 32 else { return nil }
        table = UInt32(payload[payload.startIndex + 4])
        kind = payload[payload.startIndex + 7]
        destination = Subnet(.any, prefix: prefix)
        for attribute in message.attributes(after: 12) {
            switch attribute.type {
            case RouteAttribute.destination:
                if let address = attribute.address { destination = Subnet(address, prefix: prefix) }
            case RouteAttribute.gateway: gateway = attribute.address
            case RouteAttribute.outLink: index = attribute.u32
            case RouteAttribute.table: table = attribute.u32 ?? table
            default: break
            }
        }
    }
}
