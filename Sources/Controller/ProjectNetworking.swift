// SPDX-License-Identifier: Apache-2.0
//
// ProjectNetworking: the project's networks as the controller uses them: what is made for a container before its first
// process, what the waiting child gets, what is published, and what its names resolve to.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import LaunchPlanning
internal import Netlink
internal import Networking

/// The port of the name service on 127.0.0.11 in every container; queries to port 53 are redirected to it.
let nameServicePort: UInt16 = 61053

final class ProjectNetworking {
    let project: String
    let host: HostNetworks
    private let group: UInt32
    /// By real name.
    private(set) var networks: [String: NetworkState] = [:]
    /// Networks of an earlier controller whose bridge is gone; this project's alone.
    private(set) var lost: [String: NetworkState] = [:]
    /// Networks that the firewall does not know yet.
    private var unadmitted: Set<String> = []
    /// Networks that are being told to it.
    private var admitting: Set<String> = []
    /// Container → network → address; on a network without IPv4 one that no link has.
    private var addresses: [String: [String: IPv4Address]] = [:]
    /// The same on networks that have IPv6.
    private(set) var ipv6Addresses: [String: [String: IPv6Address]] = [:]

    init(project: String, root: String) throws(Failure) {
        self.project = project
        host = try HostNetworks(root: root)
        group = try host.reserveGroup(project: project)
    }

    func ensure(_ request: NetworkRequest) throws(Failure) {
        let state = try host.ensureNetwork(request, project: project, group: group)
        networks[request.name] = state
        unadmitted.insert(request.name)
    }

    /// Finds a network of an earlier controller, which may have died before it was admitted. One whose bridge is gone, as
    /// after a reboot, is none: it is made again.
    func adopt(_ name: String) throws(Failure) {
        guard let state = try host.network(name) else { return }
        guard state.isThere else {
            if state.project == project { lost[name] = state }
            return
        }
        networks[name] = state
        unadmitted.insert(name)
    }

    /// Makes the bridge of a network again that was adopted without one, while containers run on it.
    func restore(_ name: String) throws(Failure) {
        guard let state = lost[name] else { return }
        networks[name] = try host.repair(
            .bridgeGone(network: name), network: state, endpoint: nil, pid: nil, project: project,
            group: group)
        lost[name] = nil
        unadmitted.insert(name)
    }

    /// Begins to let the firewall forward for networks that were made or adopted: while volumes and containers are prepared,
    /// whose first process needs none of it before its own links are ready. What fails here is done again, and told, by
    /// `admit`.
    func beginAdmitting() {
        guard !unadmitted.isEmpty, admitting.isEmpty else { return }
        do throws(Failure) {
            try host.beginAdmitting(states(of: unadmitted), project: project)
            swap(&admitting, &unadmitted)
        } catch {
            // admit() will say it.
        }
    }

    /// Returns when the firewall forwards for all networks that were made or adopted.
    func admit() throws(Failure) {
        if !admitting.isEmpty {
            if !host.finishAdmitting() { unadmitted.formUnion(admitting) }
            admitting = []
        }
        guard !unadmitted.isEmpty else { return }
        try host.publish([], networks: states(of: unadmitted), project: project)
        unadmitted = []
    }

    private func states(of names: Set<String>) -> [NetworkState] {
        names.sorted().compactMap { networks[$0] }
    }

    /// The project that made the network; nil when there is none such, or none that is whole and this project's.
    func owner(of name: String) -> String? {
        guard let state = try? host.network(name), state.isThere else { return nil }
        return state.project
    }

    /// Gives every container of the list its addresses, in one write for each network.
    /// - Parameter external: networks of other projects.
    func assignAddresses(
        _ containers: [(name: String, request: ContainerRequest)], external: Set<String>
    ) throws(Failure) {
        try adoptOthers(external.intersection(containers.flatMap { $0.request.networks.map(\.network) }))
        for container in containers { forgetOutdatedAddresses(of: container.name) }
        var wanted: [String: [AddressRequest]] = [:]
        var wantedIPv6: [String: [IPv6AddressRequest]] = [:]
        for (name, request) in containers {
            for endpoint in request.networks where addresses[name]?[endpoint.network] == nil {
                wanted[endpoint.network, default: []].append(
                    AddressRequest(
                        container: name, fixed: endpoint.ipv4Address, names: endpoint.aliases))
            }
            for endpoint in request.networks where ipv6Addresses[name]?[endpoint.network] == nil {
                guard endpoint.ipv6Address != nil || networks[endpoint.network]?.ipv6 != nil else { continue }
                wantedIPv6[endpoint.network, default: []].append(
                    IPv6AddressRequest(container: name, fixed: endpoint.ipv6Address))
            }
        }
        for (network, requests) in wantedIPv6 {
            guard let state = networks[network] else { continue }
            let given = try host.assignIPv6Addresses(requests, network: state, project: project)
            for (container, address) in given { ipv6Addresses[container, default: [:]][network] = address }
        }
        for (network, requests) in wanted {
            guard let state = networks[network] else { continue }
            let given = try host.assignAddresses(requests, network: state, project: project)
            for (container, address) in given { addresses[container, default: [:]][network] = address }
        }
    }

    /// Networks of other projects as they are now: one may have been made anew since, with another bridge or subnet, and no
    /// operation of this project tells of it.
    private func adoptOthers(_ names: Set<String>) throws(Failure) {
        for name in names.sorted() {
            guard let state = try host.network(name), state.isThere else {
                throw Failure(
                    "cannot use external network \"\(name)\"", cause: "it is not there",
                    advice: "bring the project up that defines it, or remove `external: true`")
            }
            guard state != networks[name] else { continue }
            networks[name] = state
            unadmitted.insert(name)
        }
    }

    private func forgetOutdatedAddresses(of container: String) {
        for (network, address) in addresses[container] ?? [:] {
            guard let state = networks[network], !state.mayGive(address) else { continue }
            addresses[container]?[network] = nil
        }
        for (network, address) in ipv6Addresses[container] ?? [:] {
            guard let state = networks[network], !(state.ipv6?.mayGive(address) ?? false) else { continue }
            ipv6Addresses[container]?[network] = nil
        }
    }

    func releaseAddresses(of container: String) throws(Failure) {
        ipv6Addresses[container] = nil
        if addresses.removeValue(forKey: container) != nil {
            try host.releaseAddresses(project: project, container: container)
        }
    }

    func remember(_ container: String, addresses known: [String: String]) {
        for (network, text) in known {
            if let address = IPv4Address(text) { addresses[container, default: [:]][network] = address }
            guard let state = networks[network], state.ipv6 != nil else { continue }
            if !state.hasIPv4,
                let address = try? host.assignAddress(network: state, project: project, container: container)
            {
                addresses[container, default: [:]][network] = address
            }
            // Its lease is in the records.
            let held = try? host.assignIPv6Addresses(
                [IPv6AddressRequest(container: container)], network: state, project: project)
            if let address = held?[container] { ipv6Addresses[container, default: [:]][network] = address }
        }
    }

    /// Of a container, as its link is made.
    private struct Interface {
        var endpoint: EndpointRequest
        var state: NetworkState
        var address: IPv4Address
        var link: String

        /// `net.ipv4.conf.IFNAME.NAME` as a path below /proc/sys.
        var sysctls: [String: String] {
            var paths: [String: String] = [:]
            for (key, value) in endpoint.settings?.sysctls ?? [:] {
                let names = key.split(separator: ".").map { $0 == "IFNAME" ? link : String($0) }
                paths[names.joined(separator: "/")] = value
            }
            return paths
        }

        var further: [LinkAddress] {
            (endpoint.settings?.linkLocalAddresses ?? []).compactMap { LinkAddress(linkLocal: $0) }
        }
    }

    /// The container's interfaces in order, named eth0 and on where no name is given.
    private func interfaces(of container: String, _ request: ContainerRequest) -> [Interface] {
        let given = Set(request.networks.compactMap { $0.settings?.linkName })
        var free = (0...).lazy.map { "eth\($0)" }.filter { !given.contains($0) }.makeIterator()
        var result: [Interface] = []
        for endpoint in request.networks {
            guard let state = networks[endpoint.network],
                let address = addresses[container]?[endpoint.network],
                let link = endpoint.settings?.linkName ?? free.next()
            else { continue }
            result.append(Interface(endpoint: endpoint, state: state, address: address, link: link))
        }
        return result
    }

    /// The one default routes go by: of those with a way out that with the highest priority, the first of several.
    private func wayOut(_ all: [Interface], _ hasFamily: (NetworkState) -> Bool) -> Interface? {
        var best: Interface?
        for one in all where !one.state.isInternal && hasFamily(one.state) {
            let priority = one.endpoint.settings?.gatewayPriority ?? 0
            if let best, best.endpoint.settings?.gatewayPriority ?? 0 >= priority { continue }
            best = one
        }
        return best
    }

    private func hasIPv4(_ state: NetworkState) -> Bool { state.hasIPv4 }
    private func hasIPv6(_ state: NetworkState) -> Bool { state.ipv6 != nil }

    /// The container's address on a network, nil where that has no IPv4.
    func ipv4Address(of container: String, on network: String) -> IPv4Address? {
        networks[network]?.hasIPv4 == false ? nil : addresses[container]?[network]
    }

    /// What the child sends in its own namespace, and what it sets of each link before.
    func links(of container: String, _ request: ContainerRequest) -> [PreparedLink] {
        let all = interfaces(of: container, request)
        let (way, way6) = (wayOut(all, hasIPv4)?.link, wayOut(all, hasIPv6)?.link)
        let links = all.map { one in
            let state = one.state
            var own = ContainerLink(
                name: one.link, address: state.hasIPv4 ? one.address : nil, prefix: state.subnet.prefix,
                gateway: one.link == way ? state.gateway : nil)
            if let ipv6 = state.ipv6, let address = ipv6Addresses[container]?[one.endpoint.network] {
                own.ipv6 = (address, ipv6.subnet.prefix, one.link == way6 ? ipv6.gateway : nil)
            }
            own.further = one.further
            return own
        }
        return containerRouteMessages(links: links).map { messages in
            var link = PreparedLink(name: messages.linkName, messages: messages.bytes)
            link.sysctls = all.first { $0.link == messages.linkName }?.sysctls ?? [:]
            return link
        }
    }

    /// Makes the veths of a child that waits for them.
    func attach(_ container: String, _ request: ContainerRequest, pid: Int32) throws(Failure) {
        for one in interfaces(of: container, request) {
            var attachment = EndpointAttachment(
                container: container, network: one.state, address: one.address, namespace: .pid(pid),
                linkName: one.link)
            attachment.hardwareAddress = one.endpoint.hardwareAddress
            try host.attach(attachment, project: project, group: group)
        }
        try admit()
    }

    // MARK: Drift

    /// What is listened to on the host.
    var monitored: NetlinkMonitor.Filter {
        var filter = NetlinkMonitor.Filter()
        filter.group = group
        filter.bridges = Set(networks.values.map(\.index))
        return filter
    }

    func endpoints(of container: String, _ request: ContainerRequest) -> [DeclaredEndpoint] {
        let all = interfaces(of: container, request)
        let (way, way6) = (wayOut(all, hasIPv4)?.link, wayOut(all, hasIPv6)?.link)
        return all.map { one in
            var declared = DeclaredEndpoint(
                container: container, network: one.state, address: one.address, linkName: one.link,
                isDefault: one.link == way)
            declared.hardwareAddress = one.endpoint.hardwareAddress
            declared.ipv6Address = ipv6Addresses[container]?[one.endpoint.network]
            declared.isIPv6Default = one.link == way6
            declared.further = one.further
            declared.sysctls = one.sysctls
            declared.routesItself =
                request.rare?.privileged ?? false
                || request.capAdd.contains { ["NET_ADMIN", "ALL"].contains($0) }
            return declared
        }
    }

    func verifyLinks(_ endpoints: [DeclaredEndpoint]) throws(Failure) -> [LinkDrift] {
        try host.verifyLinks(
            networks: networks.values.sorted { $0.name < $1.name }, endpoints: endpoints, project: project)
    }

    func repair(_ drift: LinkDrift, endpoint: DeclaredEndpoint?, pid: Int32?) throws(Failure) {
        guard let state = networks[drift.network] else { return }
        networks[drift.network] = try host.repair(
            drift, network: state, endpoint: endpoint, pid: pid, project: project, group: group)
    }

    func verifyFirewall(_ ports: [PublishedPort]) throws(Failure) -> [FirewallDrift] {
        try host.verifyTable(ports, networks: Array(networks.values), project: project)
    }

    /// - Parameter rules: elements alone would not do.
    func repairFirewall(_ ports: [PublishedPort], rules: Bool) throws(Failure) {
        let all = Array(networks.values)
        if rules {
            try host.repairTable(ports, networks: all, project: project)
        } else {
            try host.publish(ports, networks: all, project: project)
        }
    }

    func publish(_ ports: [PublishedPort]) throws(Failure) {
        if !ports.isEmpty { try host.publish(ports, networks: Array(networks.values), project: project) }
    }

    func unpublish(_ container: String) throws(Failure) {
        try host.unpublish(container: container, project: project)
    }

    /// The address published ports go to: of the first interface that has a way out, or else of the first. Without any
    /// IPv4 it is an IPv6 one.
    func publishTarget(of container: String, _ request: ContainerRequest) -> RelayTarget? {
        let all = interfaces(of: container, request)
        if let one = wayOut(all, hasIPv4) ?? all.first(where: { $0.state.hasIPv4 }) {
            return .ipv4(one.address)
        }
        let one = wayOut(all, hasIPv6) ?? all.first
        return one.flatMap { ipv6Addresses[container]?[$0.endpoint.network] }.map(RelayTarget.ipv6)
    }

    /// True when the container has networks and none of them is open to the outside.
    func isInternal(_ request: ContainerRequest) -> Bool {
        !request.networks.isEmpty && request.networks.allSatisfy { networks[$0.network]?.isInternal ?? true }
    }

    /// True when the container has IPv6 alone.
    func lacksIPv4(_ request: ContainerRequest) -> Bool {
        !request.networks.isEmpty && request.networks.allSatisfy { networks[$0.network]?.hasIPv4 == false }
    }

    /// Of the interface default routes go by.
    func gateway(of container: String, _ request: ContainerRequest) -> String? {
        let all = interfaces(of: container, request)
        return wayOut(all, hasIPv4)?.state.gateway.description
            ?? wayOut(all, hasIPv6)?.state.ipv6?.gateway.description
    }

    /// By network, IPv6's where there is no other.
    func shownAddresses(of container: String) -> [String: String] {
        var shown: [String: String] = [:]
        for network in (addresses[container] ?? [:]).keys {
            shown[network] =
                ipv4Address(of: container, on: network)?.description
                ?? ipv6Addresses[container]?[network]?.description
        }
        return shown
    }

    func remove(_ name: String) -> [Failure] {
        networks[name] = nil
        return host.removeNetwork(name, project: project)
    }

    /// Of what the project made only these outlive it; one that did and is its own again goes with it.
    func keep(_ external: [String]) throws(Failure) {
        let released = networks.values.filter { $0.isKept == true && !external.contains($0.name) }
        try host.keepNetworks(external, releasing: released.map(\.name), project: project)
    }

    /// Everything of the project, links in one delete.
    func removeAll() -> [Failure] {
        let known = Set(networks.keys)
        networks = [:]
        addresses = [:]
        ipv6Addresses = [:]
        return host.removeProject(project, group: group, visited: known)
    }
}

extension EndpointRequest {
    fileprivate var hardwareAddress: MACAddress? {
        macAddress.flatMap {
            MACAddress(bytes: $0.split(separator: ":").compactMap { UInt8($0, radix: 16) })
        }
    }
}
