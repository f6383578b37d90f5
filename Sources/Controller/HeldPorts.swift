// SPDX-License-Identifier: Apache-2.0
//
// Host ports as a project holds them: by a socket for IPv4 that the firewall leads past, by one for IPv6 that is relayed, or
// by both with one number. Which ports a container wants, and when, is Publishing.swift's.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Netlink
internal import Networking

extension ProjectNetworking {
    /// A host port with the sockets that hold it: over IPv4, over IPv6 where it has a listener, or both.
    struct HeldPort {
        var number: UInt16
        var reservation: SharedFD?
        var listener: (address: String, socket: SharedFD)?
    }

    /// Holds the host ports that `body` asks for; none of them is written down when it throws.
    func reservingPorts(_ body: (inout PortReserving) throws(Failure) -> Void) throws(Failure) {
        try host.reservingPorts(project: project, body)
    }

    /// Holds a host port; the error names who has it. Without an address it is held over IPv4 and, where the host has it,
    /// IPv6, with one number.
    ///
    /// - Parameter lacksIPv4: only a relay leads there, and that listens over IPv6.
    func reserve(
        _ port: PortRequest, service: String, lacksIPv4: Bool = false, by reserving: inout PortReserving
    ) throws(Failure) -> HeldPort {
        if lacksIPv4 {
            guard let address = port.hostAddress.map(ListenAddress.init) ?? .any else {
                throw Failure(
                    "cannot publish port \(port.target)/\(port.proto.rawValue) of service \"\(service)\"",
                    cause:
                        "its networks have IPv6 alone, and \"\(port.hostAddress ?? "")\" is no IPv6 address",
                    advice: "remove `enable_ipv4: false`, or publish on an IPv6 address")
            }
            return try listen(port, address, service: service)
        }
        guard let text = port.hostAddress else {
            return try reserveEverywhere(port, service: service, by: &reserving)
        }
        if let address = ListenAddress(text) { return try listen(port, address, service: service) }
        guard let address = IPv4Address(text) else {
            throw Failure(
                "cannot publish port \(port.target)/\(port.proto.rawValue) of service \"\(service)\"",
                cause: "\"\(text)\" is not an address")
        }
        let reserved = try reserving.reserve(
            PortReservation(proto: port.proto, address: address, ports: port.published, service: service))
        return HeldPort(number: reserved.port, reservation: reserved.socket)
    }

    private func reserveEverywhere(
        _ port: PortRequest, service: String, by reserving: inout PortReserving
    ) throws(Failure) -> HeldPort {
        var range = port.published
        for attempt in 1... {
            let request = PortReservation(proto: port.proto, address: .any, ports: range, service: service)
            let reserved = try reserving.reserve(request)
            do throws(ListenRefusal) {
                let listener = try listenIPv6(port.proto, .any, port: reserved.port)
                return HeldPort(
                    number: reserved.port, reservation: reserved.socket,
                    listener: (ListenAddress.any.description, listener.socket))
            } catch {
                switch error {
                case .unavailable: return HeldPort(number: reserved.port, reservation: reserved.socket)
                // Another number may be free over both.
                case .taken where range == nil && attempt < 64:
                    reserving.giveBack(reserved, of: request)
                    continue
                case .taken:
                    if let last = range?.upperBound, reserved.port < last {
                        reserving.giveBack(reserved, of: request)
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

    func releasePorts(_ ports: [PortReservation]) throws(Failure) {
        try host.releasePorts(ports, project: project)
    }
}
