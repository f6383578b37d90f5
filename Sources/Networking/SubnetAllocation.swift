// SPDX-License-Identifier: Apache-2.0
//
// Which subnet a network gets. Pure: it looks at what the host has and what other networks hold, and decides.
// Docker's default pools end at some 30 networks; here a network gets a /24 of 16,384, starting at one its name
// decides, so that the same project gets the same subnet again.

internal import Basics
internal import ContainerModel
internal import Netlink

struct SubnetAllocation {
    var others: [NetworkState]
    var links: [LinkState]
    var addresses: [AddressState]
    var routes: [RouteState]
    var ipv6Addresses: [IPv6AddressState] = []
    /// Our own bridge's index: what it has does not count.
    var ownBridge: UInt32?

    /// Tried in order; the later ones serve hosts whose routes cover all of 10.0.0.0/8. Where routes cover all of them, a subnet
    /// lies inside one.
    static let pools = [Subnet("10.128.0.0/10"), Subnet("172.16.0.0/12"), Subnet("192.168.0.0/16")].compactMap
    { $0 }

    func choose(
        _ request: NetworkRequest, project: String, group: UInt32, bridge: String, seed: String,
        recorded: NetworkState?
    ) throws(Failure) -> NetworkState {
        let doing = "cannot create network \"\(request.name)\""
        let subnet: Subnet
        if let text = request.subnet {
            subnet = try parse(text, "subnet", doing)
            guard subnet.prefix <= 30, subnet.prefix >= 8 else {
                throw Failure(
                    doing,
                    cause:
                        "subnet \(subnet) has no room for a gateway and a container, or is larger than a /8",
                    advice: "use a prefix from /8 to /30, such as 10.128.7.0/24")
            }
            if let holder = collision(subnet, .within) {
                throw Failure(
                    doing, cause: "subnet \(subnet) overlaps \(holder)",
                    advice: "choose another `subnet`, or leave it out and Covey picks a free one")
            }
        } else if let recorded, collision(recorded.subnet, .within) == nil {
            subnet = recorded.subnet
        } else if let free = free(seed, .apart) ?? free(seed, .within) {
            subnet = free
        } else {
            throw Failure(
                doing,
                cause: "every /24 of \(Self.pools.map(\.description).joined(separator: ", ")) is in use",
                advice: "name one with `ipam: {config: [{subnet: …}]}`")
        }
        var gateway = IPv4Address(subnet.base.value + 1)
        if let text = request.gateway {
            guard let given = IPv4Address(text), usable(given, in: subnet) else {
                throw Failure(
                    doing, cause: "gateway \"\(text)\" is not a host address of subnet \(subnet)",
                    advice: "use one from \(gateway) to \(IPv4Address(subnet.last.value - 1))")
            }
            gateway = given
        }
        var range = subnet
        if let text = request.ipRange {
            range = try parse(text, "ip_range", doing)
            guard subnet.contains(range) else {
                throw Failure(
                    doing, cause: "ip_range \(range) is not inside subnet \(subnet)",
                    advice: "choose a part of \(subnet)")
            }
        }
        var state = NetworkState(
            name: request.name, project: project, bridge: bridge, index: 0, subnet: subnet, gateway: gateway,
            range: range, isInternal: request.isInternal, group: group)
        state.withoutIPv4 = request.withoutIPv4
        state.auxiliary = request.auxiliary
        if let ipv6 = request.ipv6 {
            state.ipv6 = try choose(ipv6, seed: seed, recorded: recorded?.ipv6, doing)
        }
        return state
    }

    private func parse(_ text: String, _ field: String, _ doing: String) throws(Failure) -> Subnet {
        if let subnet = Subnet(text) { return subnet }
        if let slash = text.firstIndex(of: "/"), let address = IPv4Address(text[..<slash]),
            let prefix = UInt8(text[text.index(after: slash)...]), prefix <= 32
        {
            throw Failure(
                doing, cause: "\(field) \"\(text)\" has bits set behind its prefix",
                advice: "write \(Subnet(address, prefix: prefix))")
        }
        throw Failure(
            doing, cause: "\(field) \"\(text)\" is not an IPv4 network",
            advice: "write it as address/prefix, such as 10.128.7.0/24")
    }

    private func usable(_ address: IPv4Address, in subnet: Subnet) -> Bool {
        subnet.contains(address) && address != subnet.base && address != subnet.last
    }

    private func free(_ seed: String, _ regard: Regard) -> Subnet? {
        for pool in Self.pools {
            let count: UInt32 = 1 << UInt32(24 - pool.prefix)
            let start = spread(seed) % count
            for step in 0..<count {
                let base = pool.base.value + ((start + step) % count) << 8
                let candidate = Subnet(IPv4Address(base), prefix: 24)
                if collision(candidate, regard) == nil { return candidate }
            }
        }
        return nil
    }

    /// How a subnet may lie to the host's routes.
    enum Regard {
        /// In none of them but those that stand for everything.
        case apart
        /// Inside wide ones, such as a VPN's to all private networks: it is more specific and simply wins.
        case within
    }

    /// A route to so much is no network's: some VPNs write the default route in halves or quarters.
    private static let everything: UInt8 = 7

    /// Who uses part of a subnet already, in the user's words.
    func collision(_ subnet: Subnet, _ regard: Regard) -> String? {
        if let other = others.first(where: { $0.subnet.overlaps(subnet) }) {
            return "\(other.subnet) of network \"\(other.name)\" (project \"\(other.project)\")"
        }
        func linkName(_ index: UInt32?) -> String {
            links.first { $0.index == index }?.name ?? "link \(index ?? 0)"
        }
        if let other = addresses.first(where: { $0.index != ownBridge && $0.subnet.overlaps(subnet) }) {
            return "\(other.address)/\(other.prefix) of this host's \(linkName(other.index))"
        }
        for other in routes where other.kind == 1 && other.destination.prefix > Self.everything {
            if let ownBridge, other.index == ownBridge { continue }
            guard other.destination.overlaps(subnet) else { continue }
            let isWider = other.destination.prefix < subnet.prefix
            switch regard {
            case .apart: break
            // The host's own networks are among its addresses, which were looked at before.
            case .within: if isWider { continue }
            }
            return "the route to \(other.destination) through \(linkName(other.index))"
        }
        return nil
    }
}
