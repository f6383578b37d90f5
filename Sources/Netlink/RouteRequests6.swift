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
