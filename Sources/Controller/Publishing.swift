// SPDX-License-Identifier: Apache-2.0
//
// A container's published ports: held before it starts, forwarded and relayed once it runs, given back at its end.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import Netlink
internal import Networking

/// Of the descriptors a process may have: for containers' pipes, connections and files.
private let descriptorsKeptFree = 128

extension ProjectController {
    /// Holds all of a container's ports, or none.
    func reservePorts(of container: Container, _ networking: ProjectNetworking) throws(Failure) {
        releasePorts(of: container)
        let ports = isShutOff(container, networking) ? [] : container.request.ports
        var held: [ProjectNetworking.HeldPort] = []
        if !ports.isEmpty {
            try checkRoom(forPortsOf: container)
            try networking.reservingPorts { (reserving) throws(Failure) in
                for port in ports {
                    held.append(try reserve(port, of: container, networking, by: &reserving))
                }
            }
        }
        var shown: [PublishedPortStatus] = []
        for (port, held) in zip(ports, held) {
            portsGivenBack.remove(held.number)
            var places: [PublishedPortStatus] = []
            if held.reservation != nil { places.append(port.status(held, at: port.hostAddress ?? "0.0.0.0")) }
            if let listener = held.listener { places.append(port.status(held, at: listener.address)) }
            hold(held, places, for: container)
            shown += places
        }
        container.status.ports = shown
    }

    /// Whether its networks take nothing from outside: then no port of the host leads to it, and none is taken away from others.
    private func isShutOff(_ container: Container, _ networking: ProjectNetworking) -> Bool {
        guard networking.isInternal(container.request) else { return false }
        // Of the project's own networks the file told it.
        let external = externalNetworks
        if !container.request.ports.isEmpty,
            container.request.networks.contains(where: { external.contains($0.network) })
        {
            runOwner?.send(
                .notice(
                    "the ports of container \"\(container.name)\" are not published: its networks are internal"
                ))
        }
        return true
    }

    /// One that was given back a moment ago may be held by the keeper still.
    private func reserve(
        _ port: PortRequest, of container: Container, _ networking: ProjectNetworking,
        by reserving: inout PortReserving
    ) throws(Failure) -> ProjectNetworking.HeldPort {
        var looks = port.published.map { !portsGivenBack.isDisjoint(with: $0) } ?? false ? 50 : 0
        while true {
            do throws(Failure) {
                return try networking.reserve(
                    port, service: container.portHolder, lacksIPv4: networking.lacksIPv4(container.request),
                    by: &reserving)
            } catch {
                guard looks > 0 else { throw error }
                looks -= 1
                pauseBetweenLooks(.milliseconds(1))
            }
        }
    }

    /// A port is held by a socket for IPv4 and one for IPv6, here and by the keeper, which has the same limit; what else is
    /// opened while containers run needs room beside them.
    private func checkRoom(forPortsOf container: Container) throws(Failure) {
        let count = container.request.ports.count
        let limit = descriptorLimit()
        let taken = (try? directoryEntries("/proc/self/fd"))?.count ?? 0
        guard taken + 2 * count + descriptorsKeptFree > limit else { return }
        throw Failure(
            "cannot publish the \(count) ports of service \"\(container.portHolder)\"",
            cause: "each takes two open files, and of \(limit) that may be open \(taken) are",
            advice: "raise the limit (`ulimit -Hn`) in the shell that runs the project's first `covey up`,"
                + " or publish fewer ports")
    }

    /// The sockets of a published port, here and with the keeper.
    func hold(
        _ held: ProjectNetworking.HeldPort, _ places: [PublishedPortStatus], for container: Container
    ) {
        for place in places {
            guard let socket = place.isIPv6 ? held.listener?.socket : held.reservation else { continue }
            take(socket, place, for: container)
            try? keeper.hold(socket.raw, as: place.heldName(container.name))
        }
    }

    /// In the order of the status.
    func take(_ socket: SharedFD, _ place: PublishedPortStatus, for container: Container) {
        if place.isIPv6 {
            container.listeners.append((place, socket))
        } else {
            container.reservations.append(socket)
        }
    }

    /// Leads on what comes in over IPv6.
    func serveListeners(of container: Container) throws(Failure) {
        guard !container.listeners.isEmpty,
            let target = networking?.publishTarget(of: container.name, container.request)
        else { return }
        for (port, socket) in container.listeners {
            let relay = PortRelay(
                loop: loop, listener: socket, target: target, port: port.containerPort, proto: port.proto,
                room: relayRoom)
            try naming("cannot serve port [\(port.hostAddress)]:\(port.hostPort)") {
                () throws(SyscallError) in
                try relay.start()
            }
            container.relays.append(relay)
        }
    }

    /// Closes the sockets of its ports, and takes back that they are its: who asks for one of them next is told who has it by
    /// what is written down. A project that goes does that at once for all.
    func releasePorts(of container: Container) {
        for port in container.status.ports {
            portsGivenBack.insert(port.hostPort)
            try? keeper.drop(port.heldName(container.name))
        }
        if !takingDown, !container.reservations.isEmpty, let networking {
            do throws(Failure) {
                try networking.releasePorts(
                    container.status.ports.compactMap { PortReservation($0, of: container) })
            } catch {
                log("\(error)")
            }
        }
        container.reservations = []
        for relay in container.relays { relay.stop() }
        container.relays = []
        container.listeners = []
    }

    func publish(_ container: Container) throws(Failure) {
        guard !container.status.ports.isEmpty, let networking else { return }
        try networking.publish(publishedPorts(of: container))
        try serveListeners(of: container)
    }

    /// What the firewall forwards to the container; what is published on IPv6 alone is relayed instead.
    func publishedPorts(of container: Container) -> [PublishedPort] {
        guard case .ipv4(let address) = networking?.publishTarget(of: container.name, container.request)
        else { return [] }
        return container.status.ports.compactMap { port in
            guard let host = IPv4Address(port.hostAddress) else { return nil }
            return PublishedPort(
                proto: port.proto, hostAddress: host, hostPort: port.hostPort,
                container: container.name, address: address, port: port.containerPort)
        }
    }
}

extension Container {
    /// The service its ports are published for.
    var portHolder: String { oneOff?.service ?? reference.service }
}

extension PortReservation {
    /// What was reserved for a port of a container; nil for one that is relayed.
    fileprivate init?(_ port: PublishedPortStatus, of container: Container) {
        guard let address = IPv4Address(port.hostAddress) else { return nil }
        self.init(
            proto: port.proto, address: address, ports: port.hostPort...port.hostPort,
            service: container.portHolder)
    }
}

extension PortRequest {
    fileprivate func status(_ held: ProjectNetworking.HeldPort, at address: String) -> PublishedPortStatus {
        PublishedPortStatus(
            hostAddress: address, hostPort: held.number, containerPort: target, proto: proto)
    }
}

extension PublishedPortStatus {
    /// What comes there is relayed, not forwarded.
    var isIPv6: Bool { hostAddress.contains(":") }

    /// By which the keeper knows its socket. Names there are short: a digest stands for whose it is, and where.
    func heldName(_ container: String) -> String {
        let place = Digest(of: Array("\(container) \(proto.rawValue) \(hostAddress)".utf8))
        return "port:\(place.hex.prefix(16)):\(hostPort)"
    }
}
