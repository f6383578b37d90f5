// SPDX-License-Identifier: Apache-2.0
//
// What of a project's bridges and links is not as it was made, decided from what the kernel lists: pure. For each
// resource only the first thing that is wrong is told: once that is repaired a second look finds what hung on it.

public import Basics
public import Netlink

/// A running container's end of a network, as it was declared.
public struct DeclaredEndpoint: Hashable, Sendable {
    public var container: String
    public var network: NetworkState
    public var address: IPv4Address
    public var ipv6Address: IPv6Address?
    /// IPv6's default route goes by it.
    public var isIPv6Default = false
    /// Addresses beside those.
    public var further: [LinkAddress] = []
    /// By path below /proc/sys.
    public var sysctls: [String: String] = [:]
    /// The link's name inside, `eth0`.
    public var linkName: String
    /// The default route goes through it.
    public var isDefault: Bool
    /// nil: made from the address.
    public var hardwareAddress: MACAddress?
    /// It has the capability to change its routes (CAP_NET_ADMIN), as a VPN's container does: whether it has a default route,
    /// and which, is its own affair.
    public var routesItself = false

    public init(
        container: String, network: NetworkState, address: IPv4Address, linkName: String, isDefault: Bool
    ) {
        self.container = container
        self.network = network
        self.address = address
        self.linkName = linkName
        self.isDefault = isDefault
    }
}

/// What is wrong on the host's side.
public enum LinkDrift: Hashable, Sendable {
    /// net.ipv4.ip_forward is 0: no network reaches outside, and none is reached.
    case forwardingOff(network: String)
    case bridgeGone(network: String)
    case bridgeDown(network: String)
    case bridgeForeign(network: String, alias: String)
    case gatewayGone(network: String)
    case ipv6GatewayGone(network: String)
    case routeGone(network: String)
    case ipv6RouteGone(network: String)
    case endpointGone(container: String, network: String)
    /// Out of its bridge.
    case endpointLoose(container: String, network: String)
    case endpointDown(container: String, network: String)
}

/// What is wrong inside a container.
public enum InsideDrift: Hashable, Sendable {
    case loopbackDown
    /// Its link is not there by its name.
    case linkGone(String)
    case linkDown(String)
    case addressGone(String)
    /// Setting a link down takes its IPv6 addresses and routes along.
    case ipv6AddressGone(String)
    /// One beside those of the network.
    case furtherAddressGone(String)
    case routeGone(String)
    case ipv6RouteGone(String)
    case defaultRouteGone(String)
    case ipv6DefaultRouteGone(String)
    /// There is another one in place of ours.
    case defaultRouteReplaced(String, by: String)
    case nameRulesGone
}

/// What a network namespace has.
public struct LinkObservation: Sendable {
    public var links: [LinkState]
    public var addresses: [AddressState]
    public var routes: [RouteState]
    public var ipv6Addresses: [IPv6AddressState] = []
    public var ipv6Routes: [IPv6RouteState] = []
    /// Whether IPv4 is forwarded between links.
    public var forwards = true

    public init(links: [LinkState], addresses: [AddressState], routes: [RouteState]) {
        self.links = links
        self.addresses = addresses
        self.routes = routes
    }

    func has(_ address: IPv4Address, prefix: UInt8, on index: UInt32) -> Bool {
        addresses.contains { $0.index == index && $0.address == address && $0.prefix == prefix }
    }

    func has(_ address: IPv6Address, on index: UInt32) -> Bool {
        ipv6Addresses.contains { $0.index == index && $0.address == address }
    }

    func has(_ address: LinkAddress, on index: UInt32) -> Bool {
        switch address {
        case .ipv4(let address, let prefix): has(address, prefix: prefix, on: index)
        case .ipv6(let address, _): has(address, on: index)
        }
    }

    /// In the main table, RT_TABLE_MAIN.
    func routes(to subnet: Subnet, over index: UInt32) -> Bool {
        routes.contains { $0.table == 254 && $0.destination == subnet && $0.index == index }
    }

    func routes(to subnet: IPv6Subnet, over index: UInt32) -> Bool {
        ipv6Routes.contains { $0.table == 254 && $0.destination == subnet && $0.index == index }
    }

    /// Whoever's it is.
    var hasIPv6DefaultRoute: Bool {
        ipv6Routes.contains { $0.table == 254 && $0.destination.prefix == 0 }
    }

    var defaultRoutes: [RouteState] {
        routes.filter { $0.table == 254 && $0.destination.prefix == 0 }
    }
}

/// - Parameter owned: names of the networks this project made; of others only its own endpoints are looked at.
func linkDrift(
    networks: [NetworkState], owned: Set<String>, endpoints: [DeclaredEndpoint], found: LinkObservation,
    owner: NetworkOwner
) -> [LinkDrift] {
    var drift: [LinkDrift] = []
    if !found.forwards,
        let outward = networks.first(where: { !$0.isInternal && owned.contains($0.name) })
    {
        drift.append(.forwardingOff(network: outward.name))
    }
    var bridges: [String: UInt32] = [:]
    for network in networks {
        guard let link = found.links.first(where: { $0.name == network.bridge }) else {
            if owned.contains(network.name) { drift.append(.bridgeGone(network: network.name)) }
            continue
        }
        bridges[network.name] = link.index
        guard owned.contains(network.name) else { continue }
        if link.alias != owner.alias(network: network.name) {
            drift.append(.bridgeForeign(network: network.name, alias: link.alias))
        } else if !link.isUp {
            drift.append(.bridgeDown(network: network.name))
        } else if network.hasIPv4, !found.has(network.gateway, prefix: network.subnet.prefix, on: link.index)
        {
            drift.append(.gatewayGone(network: network.name))
        } else if let ipv6 = network.ipv6, !found.has(ipv6.gateway, on: link.index) {
            drift.append(.ipv6GatewayGone(network: network.name))
        } else if network.hasIPv4, !found.routes(to: network.subnet, over: link.index) {
            drift.append(.routeGone(network: network.name))
        } else if let ipv6 = network.ipv6, !found.routes(to: ipv6.subnet, over: link.index) {
            drift.append(.ipv6RouteGone(network: network.name))
        }
    }
    let byAlias = Dictionary(
        found.links.filter { !$0.alias.isEmpty }.map { ($0.alias, $0) },
        uniquingKeysWith: { first, _ in first })
    for endpoint in endpoints {
        let (container, network) = (endpoint.container, endpoint.network.name)
        // Without its bridge nothing can be said of it yet.
        guard let bridge = bridges[network] else { continue }
        guard let link = byAlias[owner.alias(container: container, network: network)] else {
            drift.append(.endpointGone(container: container, network: network))
            continue
        }
        if link.master != bridge {
            drift.append(.endpointLoose(container: container, network: network))
        } else if !link.isUp {
            drift.append(.endpointDown(container: container, network: network))
        }
    }
    return drift
}

/// - Parameter endpoints: this container's.
func insideDrift(_ endpoints: [DeclaredEndpoint], found: LinkObservation) -> [InsideDrift] {
    var drift: [InsideDrift] = []
    if let loopback = found.links.first(where: { $0.name == "lo" }), !loopback.isUp {
        drift.append(.loopbackDown)
    }
    for endpoint in endpoints {
        let name = endpoint.linkName
        guard let link = found.links.first(where: { $0.name == name }) else {
            drift.append(.linkGone(name))
            continue
        }
        let subnet = Subnet(endpoint.address, prefix: endpoint.network.subnet.prefix)
        let hasIPv4 = endpoint.network.hasIPv4
        if !link.isUp {
            drift.append(.linkDown(name))
        } else if hasIPv4, !found.has(endpoint.address, prefix: subnet.prefix, on: link.index) {
            drift.append(.addressGone(name))
        } else if let address = endpoint.ipv6Address, !found.has(address, on: link.index) {
            drift.append(.ipv6AddressGone(name))
        } else if !endpoint.further.allSatisfy({ found.has($0, on: link.index) }) {
            drift.append(.furtherAddressGone(name))
        } else if hasIPv4, !found.routes(to: subnet, over: link.index) {
            drift.append(.routeGone(name))
        } else if endpoint.ipv6Address != nil, let ipv6 = endpoint.network.ipv6,
            !found.routes(to: ipv6.subnet, over: link.index)
        {
            drift.append(.ipv6RouteGone(name))
        } else if endpoint.routesItself {
            continue
        } else if endpoint.isDefault, let other = defaultRouteDrift(endpoint, over: link.index, found) {
            drift.append(other)
        } else if endpoint.isIPv6Default, !found.hasIPv6DefaultRoute {
            drift.append(.ipv6DefaultRouteGone(name))
        }
    }
    return drift
}

private func defaultRouteDrift(_ endpoint: DeclaredEndpoint, over index: UInt32, _ found: LinkObservation)
    -> InsideDrift?
{
    let routes = found.defaultRoutes
    if routes.isEmpty { return .defaultRouteGone(endpoint.linkName) }
    if routes.contains(where: { $0.gateway == endpoint.network.gateway && $0.index == index }) { return nil }
    let other = routes[0].gateway.map { "through \($0)" } ?? "without a gateway"
    return .defaultRouteReplaced(endpoint.linkName, by: other)
}

extension LinkDrift {
    /// What happened, in the user's words.
    public var cause: String {
        switch self {
        case .forwardingOff: "net.ipv4.ip_forward was set to 0"
        case .bridgeGone: "its bridge was deleted"
        case .bridgeDown: "its bridge was set down"
        case .bridgeForeign(_, let alias): "its bridge's alias was changed to \"\(alias)\""
        case .gatewayGone: "its bridge's address was deleted"
        case .ipv6GatewayGone: "its bridge's IPv6 address was deleted"
        case .routeGone: "the host's route to it was deleted"
        case .ipv6RouteGone: "the host's IPv6 route to it was deleted"
        case .endpointGone(_, let network): "its link to network \"\(network)\" was deleted"
        case .endpointLoose(_, let network): "its link was taken out of the bridge of network \"\(network)\""
        case .endpointDown(_, let network): "its link to network \"\(network)\" was set down"
        }
    }

    /// What is done about it.
    public var action: String {
        switch self {
        case .forwardingOff: "set to 1 again"
        case .bridgeGone: "bridge made again"
        case .bridgeDown, .endpointDown: "set up again"
        case .bridgeForeign: "alias written back"
        case .gatewayGone, .ipv6GatewayGone: "address added again"
        case .routeGone, .ipv6RouteGone: "route added again"
        case .endpointGone: "link made again"
        case .endpointLoose: "link put back into its bridge"
        }
    }

    public var network: String {
        switch self {
        case .forwardingOff(let network), .bridgeGone(let network), .bridgeDown(let network),
            .bridgeForeign(let network, _), .gatewayGone(let network), .ipv6GatewayGone(let network),
            .routeGone(let network), .ipv6RouteGone(let network), .endpointGone(_, let network),
            .endpointLoose(_, let network), .endpointDown(_, let network):
            network
        }
    }

    /// nil for what concerns the whole network.
    public var container: String? {
        switch self {
        case .endpointGone(let container, _), .endpointLoose(let container, _),
            .endpointDown(let container, _):
            container
        default: nil
        }
    }
}

extension InsideDrift {
    public var cause: String {
        switch self {
        case .loopbackDown: "lo was set down"
        case .linkGone(let name): "\(name) is not there any more"
        case .linkDown(let name): "\(name) was set down"
        case .addressGone(let name): "the address of \(name) was deleted"
        case .ipv6AddressGone(let name): "the IPv6 address of \(name) was deleted"
        case .furtherAddressGone(let name): "an address of \(name) was deleted"
        case .routeGone(let name): "the route to the network of \(name) was deleted"
        case .ipv6RouteGone(let name): "the IPv6 route to the network of \(name) was deleted"
        case .defaultRouteGone: "the default route was deleted"
        case .ipv6DefaultRouteGone: "the IPv6 default route was deleted"
        case .defaultRouteReplaced(_, let other): "the default route was replaced by one \(other)"
        case .nameRulesGone: "the rules that lead name queries were deleted"
        }
    }

    public var action: String {
        switch self {
        case .loopbackDown, .linkDown: "set up again"
        case .linkGone: "link made again"
        case .addressGone, .ipv6AddressGone, .furtherAddressGone: "address added again"
        case .routeGone, .ipv6RouteGone, .defaultRouteGone, .ipv6DefaultRouteGone: "route added again"
        case .defaultRouteReplaced: "route put back"
        case .nameRulesGone: "rules made again"
        }
    }
}
