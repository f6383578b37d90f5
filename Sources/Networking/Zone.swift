// SPDX-License-Identifier: Apache-2.0
//
// Zone: who is called what on which network. A value, replaced as containers come and go.

public import Netlink

/// Names and addresses, network by network.
public struct Zone: Sendable {
    /// A container on a network.
    public struct Host: Hashable, Sendable {
        public var container: String
        /// All it is called there: service, container name, aliases, in any case.
        public var names: [String]
        public var address: IPv4Address
        public init(container: String, names: [String], address: IPv4Address) {
            self.container = container
            self.names = names
            self.address = address
        }
    }

    private struct Network: Sendable {
        var addresses: [String: [IPv4Address]] = [:]
        var containers: [IPv4Address: String] = [:]
    }

    /// By the network's name in lower case.
    private var networks: [String: Network] = [:]
    private var spellings: [String: String] = [:]

    public init() {}

    /// Replaces all hosts of a network; replicas keep their order.
    public mutating func set(_ network: String, hosts: [Host]) {
        var result = Network()
        for host in hosts {
            result.containers[host.address] = host.container
            for name in Set(host.names.map(lowercase) + [lowercase(host.container)]) {
                result.addresses[name, default: []].append(host.address)
            }
        }
        networks[lowercase(network)] = result
        spellings[lowercase(network)] = network
    }

    public mutating func remove(network: String) {
        networks[lowercase(network)] = nil
        spellings[lowercase(network)] = nil
    }

    /// The addresses of a lower-case name as a container on these networks sees it: on the first network that knows
    /// it, or as `name.network`. nil when nobody is called that.
    func addresses(of name: String, on visible: [String]) -> [IPv4Address]? {
        for network in visible {
            if let found = networks[network]?.addresses[name] { return found }
        }
        for network in visible where name.utf8.count > network.utf8.count + 1 {
            if name.hasSuffix("." + network) {
                let bare = String(name.dropLast(network.count + 1))
                if let found = networks[network]?.addresses[bare] { return found }
            }
        }
        return nil
    }

    /// `container.network` of an address on these networks.
    func name(of address: IPv4Address, on visible: [String]) -> String? {
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

/// The address that `d.c.b.a.in-addr.arpa` asks for (RFC 1035, 3.5).
func reverseAddress(_ name: String) -> IPv4Address? {
    guard name.hasSuffix(".in-addr.arpa") else { return nil }
    let parts = name.dropLast(13).split(separator: ".", omittingEmptySubsequences: false)
    return IPv4Address(parts.reversed().joined(separator: "."))
}
