// SPDX-License-Identifier: Apache-2.0
//
// A service's fixed IPv6 and hardware addresses. A hardware address of the service itself is that of its first network.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    func ipv6Address(on key: String, _ attachment: Service.Attachment, _ network: Network) throws(Failure)
        -> IPv6Address?
    {
        guard let text = attachment.ipv6Address else { return nil }
        guard network.enableIPv6 == true || network.external else {
            throw mistake(
                "networks.\(key).ipv6_address", "has the address \(text) on network \(quoted(key))",
                cause: "that network has no IPv6", advice: "give it `enable_ipv6: true`")
        }
        guard service.replicas <= 1 else {
            throw mistake(
                "networks.\(key).ipv6_address", "has \(service.replicas) replicas and a fixed address",
                cause: "only one container can have `ipv6_address` on network \(quoted(key))",
                advice: "remove `ipv6_address`, or run one replica")
        }
        return IPv6Address(text)
    }

    /// In lower case with colons; nil for none given.
    func hardwareAddress(on key: String, _ attachment: Service.Attachment, isFirst: Bool) throws(Failure)
        -> String?
    {
        let own = attachment.macAddress.map(normalized)
        let general = isFirst ? service.macAddress.map(normalized) : nil
        if let own, let general, own != general {
            throw mistake(
                "mac_address", "has two hardware addresses on network \(quoted(key))",
                cause: "\(general) of the service and \(own) of the network", advice: "keep one of them")
        }
        guard let address = own ?? general else { return nil }
        let bytes = address.split(separator: ":").compactMap { UInt8($0, radix: 16) }
        // The kernel refuses these (is_valid_ether_addr, linux/etherdevice.h).
        guard bytes.count == 6, bytes[0] & 1 == 0, bytes.contains(where: { $0 != 0 }) else {
            throw mistake(
                "mac_address", "has the hardware address \(address), which no interface can have",
                cause: "it is a multicast address, or nothing but zeros",
                advice: "take one whose first byte is even, such as 02:42:ac:11:00:02")
        }
        guard service.replicas <= 1 else {
            throw mistake(
                "mac_address", "has \(service.replicas) replicas and a fixed hardware address",
                cause: "only one container can have `mac_address` on network \(quoted(key))",
                advice: "remove `mac_address`, or run one replica")
        }
        return address
    }

    private func normalized(_ address: String) -> String {
        address.lowercased().split(separator: "-").joined(separator: ":")
    }
}
