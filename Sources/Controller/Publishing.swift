// SPDX-License-Identifier: Apache-2.0
//
// A container's published ports: held before it starts, forwarded and relayed once it runs, given back at its end.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import Netlink
internal import Networking

extension ProjectController {
    func reservePorts(of container: Container, _ networking: ProjectNetworking) throws(Failure) {
        releasePorts(of: container)
        var shown: [PublishedPortStatus] = []
        let isInternal = networking.isInternal(container.request)
        let lacksIPv4 = networking.lacksIPv4(container.request)
        for port in container.request.ports {
            var looks = port.published.map { !portsGivenBack.isDisjoint(with: $0) } ?? false ? 50 : 0
            let reserved: ProjectNetworking.HeldPort
            while true {
                do throws(Failure) {
                    reserved = try networking.reserve(
                        port, service: container.reference.service, isInternal: isInternal,
                        lacksIPv4: lacksIPv4)
                    break
                } catch {
                    guard looks > 0 else { throw error }
                    looks -= 1
                    pauseBetweenLooks(.milliseconds(1))
                }
            }
            portsGivenBack.remove(reserved.number)
            var status = PublishedPortStatus(
                hostAddress: port.hostAddress ?? "0.0.0.0", hostPort: reserved.number,
                containerPort: port.target, proto: port.proto)
            if reserved.reservation != nil { shown.append(status) }
            if let listener = reserved.listener {
                status.hostAddress = listener.address
                shown.append(status)
            }
            hold(reserved, status, for: container)
        }
        container.status.ports = shown
    }

    /// The sockets of a published port, here and with the keeper.
    func hold(_ held: ProjectNetworking.HeldPort, _ port: PublishedPortStatus, for container: Container) {
        if let socket = held.reservation {
            container.reservations.append(socket)
            try? keeper.hold(socket.raw, as: "port:\(container.name):\(held.number)")
        }
        if let listener = held.listener {
            container.listeners.append((port, listener.socket))
            try? keeper.hold(listener.socket.raw, as: port.listenerName(container.name))
        }
    }

    /// Leads on what comes in over IPv6.
    func serveListeners(of container: Container) throws(Failure) {
        guard !container.listeners.isEmpty,
            let target = networking?.publishTarget(of: container.name, container.request)
        else { return }
        for (port, socket) in container.listeners {
            let relay = PortRelay(
                loop: loop, listener: socket, target: target, port: port.containerPort, proto: port.proto)
            try naming("cannot serve port [\(port.hostAddress)]:\(port.hostPort)") {
                () throws(SyscallError) in
                try relay.start()
            }
            container.relays.append(relay)
        }
    }

    func releasePorts(of container: Container) {
        for port in container.status.ports {
            portsGivenBack.insert(port.hostPort)
            let isListener = port.hostAddress.contains(":")
            try? keeper.drop(
                isListener ? port.listenerName(container.name) : "port:\(container.name):\(port.hostPort)")
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

extension PublishedPortStatus {
    /// By which the keeper knows a listening socket.
    func listenerName(_ container: String) -> String { "\(proto.rawValue)6:\(container):\(hostPort)" }
}
