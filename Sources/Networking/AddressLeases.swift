// SPDX-License-Identifier: Apache-2.0
//
// Addresses of containers: leased per network by container name, lowest free first, so that the same containers get
// the same addresses again. A lease outlives the container and goes with `releaseAddress` or the network; one that the
// network as it is now could not give, as its project made it anew, goes when the next is given. Who of other projects is on
// a network is found among them (Guests.swift).

public import Basics
internal import Kernel
public import Netlink

/// A container that needs an address on a network.
public struct AddressRequest: Sendable {
    public var container: String
    /// The address the user named, nil for any.
    public var fixed: String?
    /// What it is called there besides its own name; nil leaves what was told before.
    public var names: [String]?
    public init(container: String, fixed: String? = nil, names: [String]? = nil) {
        self.container = container
        self.fixed = fixed
        self.names = names
    }
}

/// A container that needs an IPv6 address on a network.
public struct IPv6AddressRequest: Sendable {
    public var container: String
    /// The address the user named, nil for any.
    public var fixed: IPv6Address?
    public init(container: String, fixed: IPv6Address? = nil) {
        self.container = container
        self.fixed = fixed
    }
}

extension HostNetworks {
    /// Gives each container an IPv6 address, or the one it has; none on a network without IPv6.
    public func assignIPv6Addresses(
        _ requests: [IPv6AddressRequest], network: NetworkState, project: String
    ) throws(Failure) -> [String: IPv6Address] {
        if let fixed = requests.first(where: { $0.fixed != nil }), network.ipv6 == nil {
            throw Failure(
                "cannot give container \"\(fixed.container)\" a fixed IPv6 address on network \"\(network.name)\"",
                cause: "that network has no IPv6",
                advice: "give it `enable_ipv6: true` in the project that makes it")
        }
        guard let ipv6 = network.ipv6, !requests.isEmpty else { return [:] }
        return try locked("cannot give addresses on network \"\(network.name)\"") { () throws(Failure) in
            var leases = try records.addresses(network.name)
            let result = try AddressLeases.assignIPv6(
                requests, network: network.name, ipv6, auxiliary: network.auxiliary ?? [:],
                project: project, leases: &leases)
            if result.changed { try records.save(leases, network: network.name) }
            return result.addresses
        }
    }

    /// Gives each container an address, or the one it has; one write for all. Fixed ones are given out first.
    public func assignAddresses(_ requests: [AddressRequest], network: NetworkState, project: String)
        throws(Failure) -> [String: IPv4Address]
    {
        if let fixed = requests.first(where: { $0.fixed != nil }), !network.hasIPv4 {
            throw Failure(
                "cannot give container \"\(fixed.container)\" a fixed address on network \"\(network.name)\"",
                cause: "that network has no IPv4",
                advice: "remove `enable_ipv4: false` in the project that makes it, or use `ipv6_address`")
        }
        return try locked("cannot give addresses on network \"\(network.name)\"") { () throws(Failure) in
            var leases = try records.addresses(network.name)
            let result = try AddressLeases.assign(
                requests, network: network, project: project, leases: &leases)
            if result.changed { try records.save(leases, network: network.name) }
            return result.addresses
        }
    }

    /// Gives one container an address, or the one it has.
    public func assignAddress(network: NetworkState, project: String, container: String, fixed: String? = nil)
        throws(Failure) -> IPv4Address
    {
        let found = try assignAddresses(
            [AddressRequest(container: container, fixed: fixed)], network: network, project: project)
        guard let address = found[container] else {
            preconditionFailure("every request is answered or throws")
        }
        return address
    }

    /// Frees a container's address on a network, or on all.
    public func releaseAddresses(project: String, container: String, network: String? = nil) throws(Failure) {
        try locked("cannot release the addresses of container \"\(container)\"") { () throws(Failure) in
            let own = AddressLease(project: project, container: container)
            guard let network else { return try records.removeLeases { $0 == own } }
            let leases = try records.addresses(network)
            let kept = leases.filter { $0.value != own }
            if kept.count != leases.count { try records.save(kept, network: network) }
        }
    }
}

enum AddressLeases {
    /// Pure: answers all requests out of what is leased.
    static func assign(
        _ requests: [AddressRequest], network: NetworkState, project: String,
        leases: inout [String: AddressLease]
    ) throws(Failure) -> (addresses: [String: IPv4Address], changed: Bool) {
        var result: [String: IPv4Address] = [:]
        var changed = false
        var held: [AddressLease: IPv4Address] = [:]
        var taken: Set<UInt32> = []
        for (text, lease) in leases {
            guard let address = IPv4Address(text) else { continue }
            guard network.mayGive(address) else {
                leases[text] = nil
                changed = true
                continue
            }
            held[lease] = address
            taken.insert(address.value)
        }
        let kept = Set((network.auxiliary ?? [:]).values.compactMap { IPv4Address($0)?.value })
        taken.formUnion(kept)
        func give(_ address: IPv4Address, _ lease: AddressLease) {
            if let old = held[lease], old != address {
                leases[old.description] = nil
                taken.remove(old.value)
            }
            if held[lease] != address { changed = true }
            leases[address.description] = lease
            held[lease] = address
            taken.insert(address.value)
            result[lease.container] = address
        }
        for request in requests {
            guard let fixed = request.fixed else { continue }
            let lease = AddressLease(project: project, container: request.container)
            give(try check(fixed, for: lease, network, leases), lease)
        }
        var next = max(network.range.base.value, network.subnet.base.value + 1)
        let last = min(network.range.last.value, network.subnet.last.value - 1)
        for request in requests where request.fixed == nil {
            let lease = AddressLease(project: project, container: request.container)
            if let address = held[lease], network.range.contains(address), !kept.contains(address.value) {
                result[request.container] = address
                continue
            }
            while next <= last, taken.contains(next) || next == network.gateway.value { next += 1 }
            guard next <= last else {
                throw Failure(
                    "cannot give container \"\(request.container)\" an address on network \"\(network.name)\"",
                    cause: "all addresses of \(network.range) are in use",
                    advice: "give the network a larger `subnet` or `ip_range`")
            }
            give(IPv4Address(next), lease)
        }
        for request in requests {
            guard let names = request.names, let address = result[request.container]?.description,
                leases[address]?.names ?? [] != names
            else { continue }
            leases[address]?.names = names
            changed = true
        }
        return (result, changed)
    }

    private static func check(
        _ text: String, for lease: AddressLease, _ network: NetworkState, _ leases: [String: AddressLease]
    ) throws(Failure) -> IPv4Address {
        let doing =
            "cannot give container \"\(lease.container)\" the address \(text) on network \"\(network.name)\""
        guard let address = IPv4Address(text) else {
            throw Failure(doing, cause: "it is not an IPv4 address")
        }
        let subnet = network.subnet
        guard subnet.contains(address), address != subnet.base, address != subnet.last else {
            throw Failure(
                doing, cause: "it is not a host address of the network's subnet \(subnet)",
                advice: "use an address inside \(subnet), or set the network's `subnet`")
        }
        if address == network.gateway { throw Failure(doing, cause: "it is the network's gateway") }
        if let name = network.auxiliary?.first(where: { IPv4Address($0.value) == address })?.key {
            throw Failure(keptAddress: text, name: name, container: lease.container, network: network.name)
        }
        if let other = leases[text], other != lease {
            throw Failure(
                doing, cause: "container \"\(other.container)\" of project \"\(other.project)\" has it",
                advice: "choose another `ipv4_address`")
        }
        return address
    }
}

extension Failure {
    /// Of an address that `aux_addresses` names.
    init(keptAddress address: String, name: String, container: String, network: String) {
        self.init(
            "cannot give container \"\(container)\" the address \(address) on network \"\(network)\"",
            cause: "the network's `aux_addresses` keeps it for \"\(name)\"", advice: "choose another address")
    }
}
