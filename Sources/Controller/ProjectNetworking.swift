// SPDX-License-Identifier: Apache-2.0
//
// ProjectNetworking: the project's networks as the controller uses them: what is made for a container before its first
// process, what the waiting child gets, what is published, and what its names resolve to.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Netlink
internal import Networking

/// The port of the name service on 127.0.0.11 in every container; queries to port 53 are redirected to it.
let nameServicePort: UInt16 = 61053

final class ProjectNetworking {
    private let project: String
    private let host: HostNetworks
    private let group: UInt32
    /// By real name.
    private(set) var networks: [String: NetworkState] = [:]
    /// Networks that the firewall does not know yet.
    private var unadmitted: Set<String> = []
    /// Container → network → address.
    private(set) var addresses: [String: [String: IPv4Address]] = [:]

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

    /// Finds a network of an earlier controller, which may have died before it was admitted.
    func adopt(_ name: String) throws(Failure) {
        // Without its bridge it is not there, and made by the next `up`.
        guard let state = try host.network(name), state.index != 0 else { return }
        networks[name] = state
        unadmitted.insert(name)
    }

    /// Lets the firewall forward for networks that were made or adopted. A transaction of nf_tables takes most of a
    /// millisecond; it is made while the first child of the network makes its mounts, which needs none of it before
    /// its own links are ready.
    func admit() throws(Failure) {
        guard !unadmitted.isEmpty else { return }
        try host.publish([], networks: unadmitted.sorted().compactMap { networks[$0] }, project: project)
        unadmitted = []
    }

    /// The project that made the network; nil when there is none such, or none that is whole and this project's.
    func owner(of name: String) -> String? {
        guard let state = try? host.network(name), state.project != project || state.index != 0 else {
            return nil
        }
        return state.project
    }

    /// Gives every container of the list its addresses, in one write for each network.
    func assignAddresses(_ containers: [(name: String, request: ContainerRequest)]) throws(Failure) {
        var wanted: [String: [AddressRequest]] = [:]
        for (name, request) in containers {
            for endpoint in request.networks where addresses[name]?[endpoint.network] == nil {
                wanted[endpoint.network, default: []].append(
                    AddressRequest(container: name, fixed: endpoint.ipv4Address))
            }
        }
        for (network, requests) in wanted {
            guard let state = networks[network] else { continue }
            let given = try host.assignAddresses(requests, network: state, project: project)
            for (container, address) in given { addresses[container, default: [:]][network] = address }
        }
    }

    func releaseAddresses(of container: String) throws(Failure) {
        if addresses.removeValue(forKey: container) != nil {
            try host.releaseAddresses(project: project, container: container)
        }
    }

    func remember(_ container: String, addresses known: [String: String]) {
        for (network, text) in known {
            if let address = IPv4Address(text) { addresses[container, default: [:]][network] = address }
        }
    }

    /// The container's interfaces in order: the one with the default route first, named eth0 and on.
    private func interfaces(of container: String, _ request: ContainerRequest)
        -> [(endpoint: EndpointRequest, state: NetworkState, address: IPv4Address, link: String)]
    {
        var result: [(EndpointRequest, NetworkState, IPv4Address, String)] = []
        for endpoint in request.networks {
            guard let state = networks[endpoint.network],
                let address = addresses[container]?[endpoint.network]
            else { continue }
            result.append((endpoint, state, address, "eth\(result.count)"))
        }
        return result
    }

    /// What the child sends in its own namespace.
    func routes(of container: String, _ request: ContainerRequest) -> [(link: String, messages: [UInt8])] {
        let links = interfaces(of: container, request).map { _, state, address, link in
            ContainerLink(
                name: link, address: address, prefix: state.subnet.prefix,
                gateway: state.isInternal ? nil : state.gateway)
        }
        return containerRouteMessages(links: links).map { ($0.linkName, $0.bytes) }
    }

    /// Makes the veths of a child that waits for them.
    func attach(_ container: String, _ request: ContainerRequest, pid: Int32) throws(Failure) {
        for (_, state, address, link) in interfaces(of: container, request) {
            try host.attach(
                EndpointAttachment(
                    container: container, network: state, address: address, namespace: .pid(pid),
                    linkName: link),
                project: project, group: group)
        }
        try admit()
    }

    func publish(_ ports: [PublishedPort]) throws(Failure) {
        if !ports.isEmpty { try host.publish(ports, networks: Array(networks.values), project: project) }
    }

    /// Holds a host port; the error names who has it.
    func reserve(_ port: PortRequest, service: String) throws(Failure) -> ReservedPort {
        try host.reservePort(
            PortReservation(
                proto: port.proto, address: port.hostAddress.flatMap { IPv4Address($0) } ?? .any,
                ports: port.published,
                service: service), project: project)
    }

    func unpublish(_ container: String) throws(Failure) {
        try host.unpublish(container: container, project: project)
    }

    /// The address published ports go to: the first interface's that has a way out, or else the first's.
    func publishAddress(of container: String, _ request: ContainerRequest) -> IPv4Address? {
        let all = interfaces(of: container, request)
        return (all.first { !$0.state.isInternal } ?? all.first)?.address
    }

    func gateway(of container: String, _ request: ContainerRequest) -> String? {
        interfaces(of: container, request).first { !$0.state.isInternal }?.state.gateway.description
    }

    func shownAddresses(of container: String) -> [String: String] {
        (addresses[container] ?? [:]).mapValues(\.description)
    }

    func remove(_ name: String) -> [Failure] {
        networks[name] = nil
        return host.removeNetwork(name, project: project)
    }

    /// Everything of the project, links in one delete.
    func removeAll() -> [Failure] {
        networks = [:]
        addresses = [:]
        return host.removeProject(project, group: group)
    }
}
