// SPDX-License-Identifier: Apache-2.0
//
// IPv6 of networks and containers: which /64 a network gets, and which address in it a container. Pure. The prefix is a
// unique local one (RFC 4193) that the network's name decides, so that the same project gets the same again; addresses are
// leased beside the IPv4 ones, in the same file and by the same rules.

internal import Basics
internal import ContainerModel
internal import Netlink

extension SubnetAllocation {
    func choose(_ request: IPv6Request, seed: String, recorded: IPv6State?, _ doing: String) throws(Failure)
        -> IPv6State
    {
        let subnet: IPv6Subnet
        if let given = request.subnet {
            if let holder = collision(given) {
                throw Failure(
                    doing, cause: "subnet \(given) overlaps \(holder)",
                    advice: "choose another IPv6 `subnet`, or leave it out and Covey picks a free one")
            }
            subnet = given
        } else if let recorded, collision(recorded.subnet) == nil {
            subnet = recorded.subnet
        } else {
            subnet = uniqueLocal(seed)
        }
        guard let first = subnet.address(1) else {
            throw Failure(doing, cause: "IPv6 subnet \(subnet) has no room for a gateway")
        }
        let gateway = request.gateway ?? first
        guard subnet.contains(gateway), gateway != subnet.base else {
            throw Failure(
                doing, cause: "gateway \(gateway) is not an address of subnet \(subnet)",
                advice: "use \(first), or leave it out")
        }
        if let range = request.range, !subnet.contains(range.base) || range.prefix < subnet.prefix {
            throw Failure(
                doing, cause: "ip_range \(range) is not inside subnet \(subnet)",
                advice: "choose a part of \(subnet)")
        }
        return IPv6State(subnet: subnet, gateway: gateway, range: request.range)
    }

    /// fd, 40 bits and a subnet's 16 from the name's digest.
    private func uniqueLocal(_ seed: String) -> IPv6Subnet {
        for attempt in 0... {
            let digest = Digest(of: Array("ipv6\u{0}\(seed)\u{0}\(attempt)".utf8)).hex
            let high = 0xfd << 56 | (UInt64(digest.prefix(14), radix: 16) ?? 0)
            let subnet = IPv6Subnet(IPv6Address(high: high, low: 0), prefix: 64)
            if collision(subnet) == nil { return subnet }
        }
        preconditionFailure("2^56 subnets are never all in use")
    }

    private func collision(_ subnet: IPv6Subnet) -> String? {
        if let other = others.first(where: { $0.ipv6?.subnet.overlaps(subnet) ?? false }),
            let used = other.ipv6
        {
            return "\(used.subnet) of network \"\(other.name)\" (project \"\(other.project)\")"
        }
        guard
            let other = ipv6Addresses.first(where: {
                $0.index != ownBridge && $0.address.isUnicast && $0.subnet.overlaps(subnet)
            })
        else { return nil }
        let link = links.first { $0.index == other.index }?.name ?? "link \(other.index)"
        return "\(other.address)/\(other.prefix) of this host's \(link)"
    }
}

extension AddressLeases {
    /// Answers all requests out of what is leased, fixed ones first.
    static func assignIPv6(
        _ requests: [IPv6AddressRequest], network: String, _ ipv6: IPv6State, auxiliary: [String: String],
        project: String, leases: inout [String: AddressLease]
    ) throws(Failure) -> (addresses: [String: IPv6Address], changed: Bool) {
        var result: [String: IPv6Address] = [:]
        var changed = false
        var held: [AddressLease: IPv6Address] = [:]
        let kept = auxiliary.mapValues { IPv6Address($0) }
        var taken = Set(kept.values.compactMap { $0 }).union([ipv6.gateway, ipv6.subnet.base])
        let range = ipv6.range ?? ipv6.subnet
        for (text, lease) in leases {
            guard let address = IPv6Address(text) else { continue }
            guard ipv6.mayGive(address) else {
                leases[text] = nil
                changed = true
                continue
            }
            held[lease] = address
            taken.insert(address)
        }
        for request in requests {
            let lease = AddressLease(project: project, container: request.container)
            guard let fixed = request.fixed, held[lease] != fixed else { continue }
            if let name = kept.first(where: { $0.value == fixed })?.key {
                throw Failure(
                    keptAddress: fixed.description, name: name, container: lease.container, network: network)
            }
            try check(fixed, for: lease, network, ipv6, leases)
            if let old = held[lease] { leases[old.description] = nil }
            leases[fixed.description] = lease
            held[lease] = fixed
            taken.insert(fixed)
            changed = true
        }
        // The first is where gateways are by custom.
        var next: UInt64 = range.base == ipv6.subnet.base ? 2 : 0
        for request in requests {
            let lease = AddressLease(project: project, container: request.container)
            if let address = held[lease],
                request.fixed != nil || (range.contains(address) && !kept.values.contains(address))
            {
                result[request.container] = address
                continue
            }
            while let address = range.address(next), taken.contains(address) { next += 1 }
            guard let address = range.address(next) else {
                throw Failure(
                    "cannot give container \"\(request.container)\" an address on network \"\(network)\"",
                    cause: "all addresses of \(range) are in use",
                    advice: "give the network a larger IPv6 `subnet` or `ip_range`")
            }
            if let old = held[lease] { leases[old.description] = nil }
            leases[address.description] = lease
            held[lease] = address
            taken.insert(address)
            result[request.container] = address
            changed = true
        }
        return (result, changed)
    }

    private static func check(
        _ address: IPv6Address, for lease: AddressLease, _ network: String, _ ipv6: IPv6State,
        _ leases: [String: AddressLease]
    ) throws(Failure) {
        let doing =
            "cannot give container \"\(lease.container)\" the address \(address) on network \"\(network)\""
        guard ipv6.subnet.contains(address), address != ipv6.subnet.base else {
            throw Failure(
                doing, cause: "it is not a host address of the network's subnet \(ipv6.subnet)",
                advice: "use an address inside \(ipv6.subnet), or set the network's IPv6 `subnet`")
        }
        if address == ipv6.gateway { throw Failure(doing, cause: "it is the network's gateway") }
        if let other = leases[address.description], other != lease {
            throw Failure(
                doing, cause: "container \"\(other.container)\" of project \"\(other.project)\" has it",
                advice: "choose another `ipv6_address`")
        }
    }
}
