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
    /// Networks of an earlier controller whose bridge is gone; this project's alone.
    private(set) var lost: [String: NetworkState] = [:]
    /// Networks that the firewall does not know yet.
    private var unadmitted: Set<String> = []
    /// Networks that are being told to it.
    private var admitting: Set<String> = []
    /// Container → network → address.
    private(set) var addresses: [String: [String: IPv4Address]] = [:]
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
    func assignAddresses(_ containers: [(name: String, request: ContainerRequest)]) throws(Failure) {
        var wanted: [String: [AddressRequest]] = [:]
        var wantedIPv6: [String: [IPv6AddressRequest]] = [:]
        for (name, request) in containers {
            for endpoint in request.networks where addresses[name]?[endpoint.network] == nil {
                wanted[endpoint.network, default: []].append(
                    AddressRequest(container: name, fixed: endpoint.ipv4Address))
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
            // Its lease is in the records.
            let held = try? host.assignIPv6Addresses(
                [IPv6AddressRequest(container: container)], network: state, project: project)
            if let address = held?[container] { ipv6Addresses[container, default: [:]][network] = address }
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
        let links = interfaces(of: container, request).map { endpoint, state, address, link in
            var own = ContainerLink(
                name: link, address: address, prefix: state.subnet.prefix,
                gateway: state.isInternal ? nil : state.gateway)
            if let ipv6 = state.ipv6, let address = ipv6Addresses[container]?[endpoint.network] {
                own.ipv6 = (address, ipv6.subnet.prefix, state.isInternal ? nil : ipv6.gateway)
            }
            return own
        }
        return containerRouteMessages(links: links).map { ($0.linkName, $0.bytes) }
    }

    /// Makes the veths of a child that waits for them.
    func attach(_ container: String, _ request: ContainerRequest, pid: Int32) throws(Failure) {
        for (endpoint, state, address, link) in interfaces(of: container, request) {
            var attachment = EndpointAttachment(
                container: container, network: state, address: address, namespace: .pid(pid), linkName: link)
            attachment.hardwareAddress = endpoint.hardwareAddress
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
        let first = all.first { !$0.state.isInternal }?.link
        let firstIPv6 = all.first { !$0.state.isInternal && $0.state.ipv6 != nil }?.link
        return all.map { endpoint, state, address, link in
            var declared = DeclaredEndpoint(
                container: container, network: state, address: address, linkName: link,
                isDefault: link == first)
            declared.hardwareAddress = endpoint.hardwareAddress
            declared.ipv6Address = ipv6Addresses[container]?[endpoint.network]
            declared.isIPv6Default = link == firstIPv6
            declared.routesItself = request.capAdd.contains { ["NET_ADMIN", "ALL"].contains($0) }
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

    /// A host port with the sockets that hold it: over IPv4, over IPv6 where it has a listener, or both.
    struct HeldPort {
        var number: UInt16
        var reservation: SharedFD?
        var listener: (address: String, socket: SharedFD)?
    }

    /// Holds a host port; the error names who has it. Without an address it is held over IPv4 and, where the host has it,
    /// IPv6, with one number.
    ///
    /// - Parameter isInternal: its networks take nothing from outside, which a relay on every address would lead in.
    func reserve(_ port: PortRequest, service: String, isInternal: Bool = false) throws(Failure) -> HeldPort {
        guard let text = port.hostAddress ?? (isInternal ? IPv4Address.any.description : nil) else {
            return try reserveEverywhere(port, service: service)
        }
        if let address = ListenAddress(text) { return try listen(port, address, service: service) }
        guard let address = IPv4Address(text) else {
            throw Failure(
                "cannot publish port \(port.target)/\(port.proto.rawValue) of service \"\(service)\"",
                cause: "\"\(text)\" is not an address")
        }
        let reserved = try reserve(port, address, port.published, service: service)
        return HeldPort(number: reserved.port, reservation: reserved.socket)
    }

    private func reserve(
        _ port: PortRequest, _ address: IPv4Address, _ range: ClosedRange<UInt16>?, service: String
    ) throws(Failure) -> ReservedPort {
        try host.reservePort(
            PortReservation(proto: port.proto, address: address, ports: range, service: service),
            project: project)
    }

    private func reserveEverywhere(_ port: PortRequest, service: String) throws(Failure) -> HeldPort {
        var range = port.published
        for attempt in 1... {
            let reserved = try reserve(port, .any, range, service: service)
            do throws(ListenRefusal) {
                let listener = try listenIPv6(port.proto, .any, port: reserved.port)
                return HeldPort(
                    number: reserved.port, reservation: reserved.socket,
                    listener: (ListenAddress.any.description, listener.socket))
            } catch {
                switch error {
                case .unavailable: return HeldPort(number: reserved.port, reservation: reserved.socket)
                // Another number may be free over both.
                case .taken where range == nil && attempt < 64: continue
                case .taken:
                    if let last = range?.upperBound, reserved.port < last {
                        range = (reserved.port + 1)...last
                        continue
                    }
                    fallthrough
                case .other:
                    throw Failure(error, port: "[::]:\(reserved.port)", port.proto, service: service)
                }
            }
        }
        preconditionFailure("the loop returns or throws")
    }

    private func listen(_ port: PortRequest, _ address: ListenAddress, service: String) throws(Failure)
        -> HeldPort
    {
        let range = port.published ?? 0...0
        var last: ListenRefusal?
        for number in range {
            do throws(ListenRefusal) {
                let held = try listenIPv6(port.proto, address, port: number)
                return HeldPort(number: held.port, listener: (address.description, held.socket))
            } catch {
                last = error
                guard case .taken = error else { break }
            }
        }
        let numbers = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        guard let last else { preconditionFailure("a range is never empty") }
        throw Failure(last, port: "[\(address)]:\(numbers)", port.proto, service: service)
    }

    func unpublish(_ container: String) throws(Failure) {
        try host.unpublish(container: container, project: project)
    }

    /// The address published ports go to: the first interface's that has a way out, or else the first's.
    func publishAddress(of container: String, _ request: ContainerRequest) -> IPv4Address? {
        let all = interfaces(of: container, request)
        return (all.first { !$0.state.isInternal } ?? all.first)?.address
    }

    /// True when no network of the container is open to the outside.
    func isInternal(_ request: ContainerRequest) -> Bool {
        request.networks.allSatisfy { networks[$0.network]?.isInternal ?? true }
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
        ipv6Addresses = [:]
        return host.removeProject(project, group: group)
    }
}

extension EndpointRequest {
    fileprivate var hardwareAddress: MACAddress? {
        macAddress.flatMap {
            MACAddress(bytes: $0.split(separator: ":").compactMap { UInt8($0, radix: 16) })
        }
    }
}
