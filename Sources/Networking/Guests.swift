// SPDX-License-Identifier: Apache-2.0
//
// Guests: who of other projects is on a network, and what it is called there. The leases say who has an address, and the
// links, by their aliases, whether it runs. Nobody tells of their coming and going, so it is looked up when it is asked for:
// the leases are read again when their file was replaced, without the lock, for it is replaced whole.

internal import Kernel
public import Basics
public import Netlink

/// Leases as they were read, and of which state of the file.
struct KnownLeases {
    var stamp: [Int64]
    var leases: [String: AddressLease]
}

extension HostNetworks {
    /// The addresses of a running container of any project on a network; nil when none of that name runs there.
    public func locate(_ container: String, on network: NetworkState) throws(Failure)
        -> (ipv4: IPv4Address?, ipv6: IPv6Address?)?
    {
        let found = try hosts(on: network) { $0.container == container }
        return found.first.map { ($0.address, $0.ipv6Address) }
    }

    /// Running containers of other projects that are called so on a network, in any case.
    public func guests(named name: String, on network: NetworkState, besides project: String) throws(Failure)
        -> [Zone.Host]
    {
        let wanted = lowercase(name)
        return try hosts(on: network) { lease in
            lease.project != project
                && (lowercase(lease.container) == wanted
                    || (lease.names ?? []).contains { lowercase($0) == wanted })
        }
    }

    /// Running containers of other projects on a network of this one.
    public func guests(on network: String, besides project: String) throws(Failure) -> [String] {
        try present(Set(try records.addresses(network).values.filter { $0.project != project }), on: network)
            .map(\.container)
    }

    private func hosts(on network: NetworkState, _ isWanted: (AddressLease) -> Bool) throws(Failure)
        -> [Zone.Host]
    {
        let leases = try currentLeases(of: network.name)
        // The names stand on one of a container's two leases.
        let wanted = Set(leases.values.filter(isWanted))
        if wanted.isEmpty { return [] }
        return try present(wanted, on: network.name).map { lease in
            let own = leases.filter { $0.value == lease }.keys
            return Zone.Host(
                container: lease.container, names: [],
                address: network.hasIPv4 ? own.compactMap { IPv4Address($0) }.first : nil,
                ipv6Address: network.ipv6 == nil ? nil : own.compactMap { IPv6Address($0) }.first)
        }
    }

    /// Those that run, in the order of their names.
    private func present(_ leases: Set<AddressLease>, on network: String) throws(Failure) -> [AddressLease] {
        if leases.isEmpty { return [] }
        let aliases = Set(
            try links("cannot look for the containers on network \"\(network)\"").map(\.alias))
        return leases.filter {
            aliases.contains(owner($0.project).alias(container: $0.container, network: network))
        }.sorted { ($0.container, $0.project) < ($1.container, $1.project) }
    }

    private func currentLeases(of network: String) throws(Failure) -> [String: AddressLease] {
        guard let stamp = records.stamp(ofAddresses: network) else { return [:] }
        if let known = knownLeases[network], known.stamp == stamp { return known.leases }
        let leases = try records.addresses(network)
        knownLeases[network] = KnownLeases(stamp: stamp, leases: leases)
        return leases
    }
}
