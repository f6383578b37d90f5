// SPDX-License-Identifier: Apache-2.0
//
// Looks at a project's bridges and links and repairs what is wrong, in place: a container keeps its process, its name,
// its addresses and its MAC. What is wrong is decided in LinkDrift.swift.

public import Basics
internal import Kernel
internal import Netlink

extension HostNetworks {
    /// What of the project's links is not as it was made.
    public func verifyLinks(
        networks: [NetworkState], endpoints: [DeclaredEndpoint], project: String
    ) throws(Failure) -> [LinkDrift] {
        let doing = "cannot look at the links of project \"\(project)\""
        var found = try asking(doing) { () throws(NetlinkError) in
            try observeLinks(route, withIPv6: networks.contains { $0.ipv6 != nil })
        }
        found.forwards = isForwarding
        return linkDrift(
            networks: networks, owned: Set(networks.filter { $0.project == project }.map(\.name)),
            endpoints: endpoints, found: found, owner: owner(project))
    }

    /// Repairs one thing; what hung on it is found by another look.
    /// - Parameter pid: of the container, where a link is made again.
    /// - Returns: the network with its bridge's index of now.
    public func repair(
        _ drift: LinkDrift, network: NetworkState, endpoint: DeclaredEndpoint?, pid: Int32?, project: String,
        group: UInt32
    ) throws(Failure) -> NetworkState {
        let doing = "cannot repair network \"\(network.name)\""
        var network = network
        let alias = owner(project).alias(network: network.name)
        if case .forwardingOff = drift {
            try enableForwarding()
            return network
        }
        if case .bridgeGone = drift {
            network.index = try locked(doing) { () throws(Failure) in
                try asking(doing) { () throws(NetlinkError) in try makeBridge(network, alias: alias) }
            }
            return network
        }
        let link = try asking(doing) { () throws(NetlinkError) in try findLink(network.bridge) }
        guard let link else { throw Failure(doing, cause: "its bridge is not there") }
        network.index = link.index
        var requests = Requests()
        switch drift {
        case .bridgeGone, .forwardingOff: break
        case .bridgeDown, .bridgeForeign:
            requests.configureBridge(name: network.bridge, alias: alias, routeLocalnet: !network.isInternal)
        case .gatewayGone:
            requests.addAddress(
                network.gateway, prefix: network.subnet.prefix, index: link.index, linkName: network.bridge)
        case .ipv6GatewayGone:
            guard let ipv6 = network.ipv6 else { return network }
            return try asking(doing) { () throws(NetlinkError) in
                var gateway = Requests()
                gateway.addGateway(ipv6, index: link.index, linkName: network.bridge)
                try performWhatLacks(gateway, on: route)
                return network
            }
        case .routeGone:
            requests.addConnectedRoute(to: network.subnet, source: network.gateway, index: link.index)
        case .ipv6RouteGone:
            guard let ipv6 = network.ipv6 else { return network }
            requests.addConnectedRoute(to: ipv6.subnet, index: link.index)
        case .endpointLoose, .endpointDown, .endpointGone:
            guard let endpoint, let pid else { return network }
            try restore(endpoint, of: network, pid: pid, drift, project: project, group: group)
        }
        try asking(doing) { () throws(NetlinkError) in try route.perform(requests) }
        return network
    }

    private func restore(
        _ endpoint: DeclaredEndpoint, of network: NetworkState, pid: Int32, _ drift: LinkDrift,
        project: String, group: UInt32
    ) throws(Failure) {
        let doing = "cannot repair the link of container \"\(endpoint.container)\""
        let alias = owner(project).alias(container: endpoint.container, network: network.name)
        let own = try links(doing).filter { $0.alias == alias }
        if case .endpointGone = drift {
            // Its other end may be there yet under another name or in another namespace: then it serves nobody.
            for link in own {
                try asking(doing) { () throws(NetlinkError) in
                    var requests = Requests()
                    requests.deleteLink(index: link.index, name: link.name)
                    try route.perform(requests)
                }
            }
            var attachment = EndpointAttachment(
                container: endpoint.container, network: network, address: endpoint.address,
                namespace: .pid(pid), linkName: endpoint.linkName)
            attachment.hardwareAddress = endpoint.hardwareAddress
            try attach(attachment, project: project, group: group)
            return
        }
        guard let link = own.first else { throw Failure(doing, cause: "its link is not there") }
        try asking(doing) { () throws(NetlinkError) in
            var requests = Requests()
            if link.master != network.index {
                requests.setMaster(network.index, index: link.index, name: link.name)
            }
            requests.configurePort(name: link.name, alias: alias)
            try route.perform(requests)
        }
    }
}

/// The calling thread's network namespace when that is a container's. Used at once and let go: its sockets would keep
/// the namespace alive.
public struct InsideNetworks {
    private let route: NetlinkSocket
    private let endpoints: [DeclaredEndpoint]
    private let nameServicePort: UInt16
    private let container: String

    public init(_ container: String, _ endpoints: [DeclaredEndpoint], nameServicePort: UInt16) throws(Failure)
    {
        self.container = container
        self.endpoints = endpoints
        self.nameServicePort = nameServicePort
        do throws(SyscallError) {
            route = try NetlinkSocket(.route)
        } catch {
            throw Failure("cannot look at the links of container \"\(container)\"", error)
        }
    }

    public func verify() throws(Failure) -> [InsideDrift] {
        let found = try asking { () throws(NetlinkError) in
            try observeLinks(
                route, withIPv6: endpoints.contains { $0.ipv6Address != nil || !$0.further.isEmpty })
        }
        return insideDrift(endpoints, found: found) + (try nameRulesAreThere() ? [] : [.nameRulesGone])
    }

    /// Repairs one thing; a link that is not there is the host's to make.
    public func repair(_ drift: InsideDrift) throws(Failure) {
        switch drift {
        case .linkGone: return
        case .nameRulesGone: return try restoreNameRules()
        case .loopbackDown: try perform("lo", nil) { requests, link, _ in requests.setUp(index: link.index) }
        case .linkDown(let name):
            // It may be a new one, which has the namespace's settings yet.
            try setSysctls(of: name)
            try perform(name, nil) { requests, link, _ in requests.setUp(index: link.index) }
        case .addressGone(let name):
            try perform(name, name) { requests, link, endpoint in
                guard let endpoint else { return }
                requests.addAddress(
                    endpoint.address, prefix: endpoint.network.subnet.prefix, index: link.index,
                    linkName: name)
            }
        case .ipv6AddressGone(let name):
            try perform(name, name) { requests, link, endpoint in
                guard let endpoint, let address = endpoint.ipv6Address, let ipv6 = endpoint.network.ipv6
                else {
                    return
                }
                requests.addAddress(
                    address, prefix: ipv6.subnet.prefix, index: link.index, linkName: name)
                if endpoint.isIPv6Default { requests.addDefaultRoute(gateway: ipv6.gateway) }
            }
        case .furtherAddressGone(let name):
            try perform(name, name) { requests, link, endpoint in
                for address in endpoint?.further ?? [] {
                    requests.addAddress(address, index: link.index, linkName: name)
                }
            }
        case .routeGone(let name):
            try perform(name, name) { requests, link, endpoint in
                guard let endpoint else { return }
                requests.addConnectedRoute(
                    to: Subnet(endpoint.address, prefix: endpoint.network.subnet.prefix),
                    source: endpoint.address, index: link.index)
            }
        case .ipv6RouteGone(let name):
            try perform(name, name) { requests, link, endpoint in
                guard let ipv6 = endpoint?.network.ipv6 else { return }
                requests.addConnectedRoute(to: ipv6.subnet, index: link.index)
            }
        case .ipv6DefaultRouteGone(let name):
            try perform(name, name) { requests, _, endpoint in
                guard let ipv6 = endpoint?.network.ipv6 else { return }
                requests.addDefaultRoute(gateway: ipv6.gateway)
            }
        case .defaultRouteGone(let name):
            try perform(name, name) { requests, _, endpoint in
                guard let endpoint else { return }
                requests.addDefaultRoute(gateway: endpoint.network.gateway)
            }
        case .defaultRouteReplaced(let name, _):
            try perform(name, name) { requests, _, endpoint in
                guard let endpoint else { return }
                requests.replaceDefaultRoute(gateway: endpoint.network.gateway)
            }
        }
    }

    /// /proc/sys/net shows the namespace of the thread that looks.
    private func setSysctls(of name: String) throws(Failure) {
        let sysctls = endpoints.first { $0.linkName == name }?.sysctls ?? [:]
        for (path, value) in sysctls.sorted(by: { $0.key < $1.key }) {
            do throws(SyscallError) {
                try writeControl("/proc/sys/\(path)", value)
            } catch {
                throw Failure("cannot repair the network of container \"\(container)\"", error)
            }
        }
    }

    /// Takes away what stands where a link is to be made again: an end whose other end nobody knows.
    public func remove(link name: String) throws(Failure) {
        try asking { () throws(NetlinkError) in
            var question = Requests()
            question.dumpLinks()
            for link in try route.ask(question).compactMap({ LinkState($0) }) where link.name == name {
                var requests = Requests()
                requests.deleteLink(index: link.index, name: name)
                try route.perform(requests)
            }
        }
    }

    private func perform(
        _ name: String, _ endpointName: String?,
        _ build: (inout Requests, LinkState, DeclaredEndpoint?) -> Void
    ) throws(Failure) {
        try asking { () throws(NetlinkError) in
            var question = Requests()
            question.getLink(name: name)
            let found = try route.ask(question).compactMap { LinkState($0) }
            guard let link = found.first else { return }
            var requests = Requests()
            build(&requests, link, endpoints.first { $0.linkName == endpointName })
            try performWhatLacks(requests, on: route)
        }
    }

    private func nameRulesAreThere() throws(Failure) -> Bool {
        try asking { () throws(NetlinkError) in
            var question = Requests()
            question.dumpRules(in: nameServiceTable)
            do throws(NetlinkError) {
                let socket = try firewall()
                return try socket.ask(question).compactMap(TableReplies.rule).count == 2
            } catch {
                if error.errno == .noEntry { return false }
                throw error
            }
        }
    }

    private func restoreNameRules() throws(Failure) {
        try asking { () throws(NetlinkError) in
            var batch = Requests()
            batch.restoreNameServiceRules(port: nameServicePort)
            try firewall().perform(batch)
        }
    }

    private func firewall() throws(NetlinkError) -> NetlinkSocket {
        do throws(SyscallError) {
            return try NetlinkSocket(.netfilter)
        } catch {
            throw NetlinkError("open a netlink socket", error.errno)
        }
    }

    private func asking<Result>(_ body: () throws(NetlinkError) -> Result) throws(Failure) -> Result {
        do throws(NetlinkError) {
            return try body()
        } catch {
            throw Failure("cannot repair the network of container \"\(container)\"", error)
        }
    }
}

/// What is there already is no failure.
private func performWhatLacks(_ requests: Requests, on socket: NetlinkSocket) throws(NetlinkError) {
    for case let failure? in try socket.outcomes(of: requests) where failure.errno != .exists {
        throw failure
    }
}

private func observeLinks(_ socket: NetlinkSocket, withIPv6: Bool) throws(NetlinkError) -> LinkObservation {
    var links = Requests()
    links.dumpLinks()
    var addresses = Requests()
    addresses.dumpAddresses()
    var routes = Requests()
    routes.dumpRoutes()
    var found = LinkObservation(
        links: try socket.ask(links).compactMap { LinkState($0) },
        addresses: try socket.ask(addresses).compactMap(AddressState.init),
        routes: try socket.ask(routes).compactMap(RouteState.init))
    if withIPv6 {
        var question = Requests()
        question.dumpIPv6Addresses()
        found.ipv6Addresses = try socket.ask(question).compactMap(IPv6AddressState.init)
        var routes = Requests()
        routes.dumpIPv6Routes()
        found.ipv6Routes = try socket.ask(routes).compactMap(IPv6RouteState.init)
    }
    return found
}
