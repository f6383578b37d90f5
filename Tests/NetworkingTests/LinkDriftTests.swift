// SPDX-License-Identifier: Apache-2.0
//
// What is told as drift of links, from lists as the kernel would give them.

import Basics
import Netlink
import Testing

@testable import Networking

/// The project's one network and one container on it, as they were made.
private struct Made {
    let owner = NetworkOwner(project: "shop", root: NetworkOwner.defaultRoot)
    var network = NetworkState(
        name: "shop_front", project: "shop", bridge: "cvy1", index: 7,
        subnet: Subnet(IPv4Address(10, 1, 2, 0), prefix: 24), gateway: IPv4Address(10, 1, 2, 1),
        range: Subnet(IPv4Address(10, 1, 2, 0), prefix: 24), isInternal: false, group: 5)
    var endpoint: DeclaredEndpoint {
        DeclaredEndpoint(
            container: "web", network: network, address: IPv4Address(10, 1, 2, 2), linkName: "eth0",
            isDefault: true)
    }

    func host(
        bridgeUp: Bool = true, bridgeIndex: UInt32 = 7, alias: String? = nil, bridge: Bool = true,
        gateway: Bool = true, route: Bool = true, link: Bool = true, master: UInt32 = 7, linkUp: Bool = true
    ) -> LinkObservation {
        var links: [LinkState] = []
        if bridge {
            links.append(
                state(bridgeIndex, "cvy1", alias ?? owner.alias(network: "shop_front"), up: bridgeUp))
        }
        if link {
            links.append(
                state(
                    9, "cvyv1", owner.alias(container: "web", network: "shop_front"), up: linkUp,
                    master: master))
        }
        return LinkObservation(
            links: links, addresses: gateway ? [address(10, 1, 2, 1, on: bridgeIndex)] : [],
            routes: route ? [routeTo(network.subnet, over: bridgeIndex)] : [])
    }
}

private func state(_ index: UInt32, _ name: String, _ alias: String, up: Bool, master: UInt32 = 0)
    -> LinkState
{
    var requests = Requests()
    requests.dumpLinks()
    var builder = MessageBuilder()
    builder.message(type: 16, flags: 0, sequence: 1) { m in
        m.append(UInt32(0))
        m.append(index)
        m.append(UInt32(up ? 1 : 0))
        m.append(UInt32(0))
        m.attribute(3, text: name)
        m.attribute(20, text: alias)
        m.attribute(10, u32: master)
        m.attribute(27, u32: 5)
    }
    guard let message = Message.all(in: builder.bytes[...]).first, let link = LinkState(message) else {
        preconditionFailure("a link message is one")
    }
    return link
}

private func address(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, on index: UInt32) -> AddressState {
    var requests = Requests()
    requests.addAddress(IPv4Address(a, b, c, d), prefix: 24, index: index, linkName: "x")
    guard let found = Message.all(in: requests.bytes[...]).compactMap(AddressState.init).first else {
        preconditionFailure("an address message is one")
    }
    return found
}

private func routeTo(_ subnet: Subnet, over index: UInt32) -> RouteState {
    var requests = Requests()
    requests.addConnectedRoute(to: subnet, source: subnet.base, index: index)
    guard let found = Message.all(in: requests.bytes[...]).compactMap(RouteState.init).first else {
        preconditionFailure("a route message is one")
    }
    return found
}

private func defaultRoute(through last: UInt8 = 1, over index: UInt32? = 2) -> RouteState {
    var requests = Requests()
    requests.addDefaultRoute(gateway: IPv4Address(10, 1, 2, last))
    guard var found = Message.all(in: requests.bytes[...]).compactMap(RouteState.init).first else {
        preconditionFailure("a route message is one")
    }
    // The kernel tells it; a request leaves it open.
    found.index = index
    return found
}

@Suite("drift of links")
struct LinkDriftTests {
    @Test(
        "on the host the first thing that is wrong is told",
        arguments: [
            (Made().host(), []),
            (Made().host(bridge: false), [.bridgeGone(network: "shop_front")]),
            (Made().host(bridgeUp: false), [.bridgeDown(network: "shop_front")]),
            (Made().host(bridgeUp: false, gateway: false), [.bridgeDown(network: "shop_front")]),
            (Made().host(alias: "mine"), [.bridgeForeign(network: "shop_front", alias: "mine")]),
            (Made().host(gateway: false, route: false), [.gatewayGone(network: "shop_front")]),
            (Made().host(route: false), [.routeGone(network: "shop_front")]),
            (Made().host(link: false), [.endpointGone(container: "web", network: "shop_front")]),
            (Made().host(master: 0), [.endpointLoose(container: "web", network: "shop_front")]),
            // Its bridge was made again by somebody.
            (Made().host(bridgeIndex: 20), [.endpointLoose(container: "web", network: "shop_front")]),
            (Made().host(linkUp: false), [.endpointDown(container: "web", network: "shop_front")]),
        ] as [(LinkObservation, [LinkDrift])])
    func host(found: LinkObservation, expected: [LinkDrift]) {
        let made = Made()
        #expect(
            linkDrift(
                networks: [made.network], owned: ["shop_front"], endpoints: [made.endpoint], found: found,
                owner: made.owner) == expected)
    }

    @Test("another project's bridge is its own to repair; our link on it is ours")
    func external() {
        let made = Made()
        for (found, expected): (LinkObservation, [LinkDrift]) in [
            (made.host(bridge: false), []), (made.host(bridgeUp: false, gateway: false, route: false), []),
            (made.host(bridgeIndex: 30), [.endpointLoose(container: "web", network: "shop_front")]),
        ] {
            #expect(
                linkDrift(
                    networks: [made.network], owned: [], endpoints: [made.endpoint], found: found,
                    owner: made.owner) == expected)
        }
    }

    @Test("inside a container the first thing that is wrong is told")
    func inside() {
        let made = Made()
        let subnet = made.network.subnet
        let up = state(2, "eth0", "", up: true)
        let lo = state(1, "lo", "", up: true)
        let own = address(10, 1, 2, 2, on: 2)
        let routes = [routeTo(subnet, over: 2), defaultRoute()]
        for (found, expected): (LinkObservation, [InsideDrift]) in [
            (LinkObservation(links: [lo, up], addresses: [own], routes: routes), []),
            (
                LinkObservation(
                    links: [state(1, "lo", "", up: false), up], addresses: [own], routes: routes),
                [.loopbackDown]
            ),
            (LinkObservation(links: [lo], addresses: [], routes: []), [.linkGone("eth0")]),
            (
                LinkObservation(links: [lo, state(2, "eth0", "", up: false)], addresses: [], routes: []),
                [.linkDown("eth0")]
            ),
            (LinkObservation(links: [lo, up], addresses: [], routes: []), [.addressGone("eth0")]),
            (
                LinkObservation(links: [lo, up], addresses: [own], routes: [defaultRoute()]),
                [.routeGone("eth0")]
            ),
            (
                LinkObservation(links: [lo, up], addresses: [own], routes: [routeTo(subnet, over: 2)]),
                [.defaultRouteGone("eth0")]
            ),
            (
                LinkObservation(
                    links: [lo, up], addresses: [own],
                    routes: [routeTo(subnet, over: 2), defaultRoute(through: 9)]),
                [.defaultRouteReplaced("eth0", by: "through 10.1.2.9")]
            ),
            // One more beside ours harms nothing.
            (
                LinkObservation(
                    links: [lo, up], addresses: [own], routes: [defaultRoute(through: 9)] + routes), []
            ),
        ] {
            #expect(insideDrift([made.endpoint], found: found) == expected)
        }
    }

    @Test(
        "of an IPv6 network the address, the route to it and the default route are looked at, in this order")
    func ipv6() {
        var endpoint = Made().endpoint
        let subnet = IPv6Subnet(IPv6Address(high: 0xfd00 << 48, low: 0), prefix: 64)
        let gateway = IPv6Address(high: 0xfd00 << 48, low: 1)
        endpoint.network.ipv6 = IPv6State(subnet: subnet, gateway: gateway)
        endpoint.ipv6Address = IPv6Address(high: 0xfd00 << 48, low: 2)
        endpoint.isIPv6Default = true
        let own = IPv6AddressState(address: IPv6Address(high: 0xfd00 << 48, low: 2), prefix: 64, index: 2)
        let connected = IPv6RouteState(destination: subnet, index: 2)
        let whole = IPv6Subnet(IPv6Address(high: 0, low: 0), prefix: 0)
        let out = IPv6RouteState(destination: whole, gateway: gateway, index: 2)
        for (addresses, routes, expected): ([IPv6AddressState], [IPv6RouteState], [InsideDrift]) in [
            ([own], [connected, out], []),
            ([], [], [.ipv6AddressGone("eth0")]),
            ([own], [out], [.ipv6RouteGone("eth0")]),
            ([own], [IPv6RouteState(destination: subnet, index: 3), out], [.ipv6RouteGone("eth0")]),
            ([own], [connected], [.ipv6DefaultRouteGone("eth0")]),
        ] {
            var found = LinkObservation(
                links: [state(1, "lo", "", up: true), state(2, "eth0", "", up: true)],
                addresses: [address(10, 1, 2, 2, on: 2)],
                routes: [routeTo(endpoint.network.subnet, over: 2), defaultRoute()])
            found.ipv6Addresses = addresses
            found.ipv6Routes = routes
            #expect(insideDrift([endpoint], found: found) == expected)
        }
    }

    @Test("a container that may change its routes has whatever default routes it likes, or none")
    func ownRoutes() {
        var endpoint = Made().endpoint
        endpoint.routesItself = true
        endpoint.isIPv6Default = true
        let links = [state(1, "lo", "", up: true), state(2, "eth0", "", up: true)]
        let connected = routeTo(endpoint.network.subnet, over: 2)
        for (routes, expected): ([RouteState], [InsideDrift]) in [
            ([connected, defaultRoute(through: 9, over: 5)], []),
            ([connected], []), ([], [.routeGone("eth0")]),
        ] {
            let found = LinkObservation(
                links: links, addresses: [address(10, 1, 2, 2, on: 2)], routes: routes)
            #expect(insideDrift([endpoint], found: found) == expected)
        }
    }

    @Test("forwarding that is switched off concerns a project with a network that reaches outside")
    func forwarding() {
        var made = Made()
        var found = made.host()
        found.forwards = false
        for (isInternal, owned, expected): (Bool, Set<String>, [LinkDrift]) in [
            (false, ["shop_front"], [.forwardingOff(network: "shop_front")]),
            (true, ["shop_front"], []), (false, [], []),
        ] {
            made.network.isInternal = isInternal
            #expect(
                linkDrift(
                    networks: [made.network], owned: owned, endpoints: [made.endpoint], found: found,
                    owner: made.owner) == expected)
        }
    }

    @Test("of what the kernel tells of links' settings only forwarding as a whole counts")
    func settings() {
        func message(index: UInt32, attribute: UInt16) -> Message {
            var builder = MessageBuilder()
            // RTM_NEWNETCONF, struct netconfmsg: the family, padded.
            builder.message(type: 80, flags: 0, sequence: 0) { m in
                m.append(UInt32(2))
                m.attribute(1, u32: index)
                m.attribute(attribute, u32: 0)
            }
            guard let message = Message.all(in: builder.bytes[...]).first else {
                preconditionFailure("a message is one")
            }
            return message
        }
        #expect(message(index: .max, attribute: 2).isAboutForwarding)
        #expect(!message(index: 7, attribute: 2).isAboutForwarding)
        #expect(!message(index: .max, attribute: 3).isAboutForwarding)
    }

    @Test("only what is about our links counts as news")
    func relevance() {
        var ours = Requests()
        ours.createVeth(
            name: "cvyv1", group: 5, master: 7, peerName: "eth0", peerMAC: MACAddress(for: .any),
            peer: .pid(1))
        var others = Requests()
        others.createVeth(
            name: "cvyv2", group: 6, master: 8, peerName: "eth0", peerMAC: MACAddress(for: .any),
            peer: .pid(1))
        others.addAddress(.any, prefix: 24, index: 8, linkName: "x")
        others.addConnectedRoute(to: Subnet(.any, prefix: 24), source: .any, index: 8)
        var bridge = Requests()
        bridge.addAddress(.any, prefix: 24, index: 7, linkName: "x")
        bridge.addConnectedRoute(to: Subnet(.any, prefix: 24), source: .any, index: 7)
        for message in Message.all(in: (ours.bytes + bridge.bytes)[...]) {
            #expect(concerns(message, group: 5, bridges: [7]))
        }
        for message in Message.all(in: others.bytes[...]) {
            #expect(!concerns(message, group: 5, bridges: [7]))
        }
    }

    @Test("what is taken from the firewall counts, what others add to it does not")
    func firewallRelevance() {
        let table = TableName(.inet, "covey")
        let set = SetSchema("bridges", key: [.linkName])
        let element = SetElement(key: [UInt8](repeating: 1, count: 16), comment: "x")
        var harmless = Requests()
        harmless.addElements([element], set: set.name, in: table)
        harmless.deleteTable(TableName(.inet, "mine"))
        harmless.beginBatch()
        var harmful = Requests()
        harmful.deleteElements([element], set: set.name, in: table)
        harmful.deleteRules(in: table)
        harmful.deleteTable(table)
        for message in Message.all(in: harmless.bytes[...]) { #expect(!concernsTable(message, "covey")) }
        for message in Message.all(in: harmful.bytes[...]) { #expect(concernsTable(message, "covey")) }
    }
}
