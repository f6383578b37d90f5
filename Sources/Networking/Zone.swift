// SPDX-License-Identifier: Apache-2.0
//
// Zone: who is called what on which network. A value, replaced as containers come and go.

public import Basics
public import Netlink

/// Names and addresses, network by network.
public struct Zone: Sendable {
    /// A container on a network.
    public struct Host: Hashable, Sendable {
        public var container: String
        /// All it is called there: service, container name, aliases, in any case.
        public var names: [String]
        /// On a network with IPv4.
        public var address: IPv4Address?
        /// On a network with IPv6.
        public var ipv6Address: IPv6Address?
        public init(
            container: String, names: [String], address: IPv4Address?, ipv6Address: IPv6Address? = nil
        ) {
            self.container = container
            self.names = names
            self.address = address
            self.ipv6Address = ipv6Address
        }
    }

    private struct Network: Sendable {
        var hosts: [String: [Host]] = [:]
        var containers: [[UInt8]: String] = [:]
    }

    /// By the network's name in lower case.
    private var networks: [String: Network] = [:]
    private var spellings: [String: String] = [:]

    public init() {}

    /// Replaces all hosts of a network; replicas keep their order.
    public mutating func set(_ network: String, hosts: [Host]) {
        var result = Network()
        for host in hosts {
            if let address = host.address { result.containers[address.bytes] = host.container }
            if let address = host.ipv6Address { result.containers[address.bytes] = host.container }
            for name in Set(host.names.map(lowercase) + [lowercase(host.container)]) {
                result.hosts[name, default: []].append(host)
            }
        }
        networks[lowercase(network)] = result
        spellings[lowercase(network)] = network
    }

    public mutating func remove(network: String) {
        networks[lowercase(network)] = nil
        spellings[lowercase(network)] = nil
    }

    /// Who has a lower-case name as a container on these networks sees it: on the first network that knows it, or as
    /// `name.network`. nil when nobody is called that.
    func hosts(named name: String, on visible: [String]) -> [Host]? {
        for network in visible {
            if let found = networks[network]?.hosts[name] { return found }
        }
        for network in visible where name.utf8.count > network.utf8.count + 1 {
            if name.hasSuffix("." + network) {
                let bare = String(name.dropLast(network.count + 1))
                if let found = networks[network]?.hosts[bare] { return found }
            }
        }
        return nil
    }

    /// `container.network` of an address's bytes on these networks.
    func name(of address: [UInt8], on visible: [String]) -> String? {
        for network in visible {
            if let container = networks[network]?.containers[address] {
                return "\(container).\(spellings[network] ?? network)"
            }
        }
        return nil
    }
}

/// ASCII letters in lower case, as names are compared (RFC 4343).
func lowercase(_ text: String) -> String {
    if !text.utf8.contains(where: { (65...90).contains($0) }) { return text }
    return String(decoding: text.utf8.map { (65...90).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}

/// The address that `d.c.b.a.in-addr.arpa` (RFC 1035, 3.5) or 32 hexadecimal digits under `ip6.arpa` (RFC 3596, 2.5) ask for.
func reverseAddress(_ name: String) -> [UInt8]? {
    if name.hasSuffix(".ip6.arpa") {
        let digits = name.dropLast(9).split(separator: ".", omittingEmptySubsequences: false).reversed()
        let values = digits.compactMap { $0.utf8.count == 1 ? $0.first?.hexDigitValue : nil }
        guard digits.count == 32, values.count == 32 else { return nil }
        return stride(from: 0, to: 32, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }
    guard name.hasSuffix(".in-addr.arpa") else { return nil }
    let parts = name.dropLast(13).split(separator: ".", omittingEmptySubsequences: false)
    return IPv4Address(parts.reversed().joined(separator: "."))?.bytes
}
