// SPDX-License-Identifier: Apache-2.0
//
// PortReservation: holds published ports with bound sockets, so that other programs see them taken, and says who
// has one that is taken already. The socket never listens: traffic is led past it by the firewall. SO_REUSEADDR is off
// on a held socket, so another program's bind or listen fails whatever it sets (inet_csk_bind_conflict).

public import Basics
internal import CLinux
public import ContainerModel
public import Kernel
public import Netlink

/// A host port to hold.
public struct PortReservation: Hashable, Sendable {
    public var proto: PortRequest.Proto
    /// 0.0.0.0 for every address.
    public var address: IPv4Address
    /// nil: any free port; several: the first free one.
    public var ports: ClosedRange<UInt16>?
    public var service: String

    public init(
        proto: PortRequest.Proto = .tcp, address: IPv4Address = .any, ports: ClosedRange<UInt16>?,
        service: String
    ) {
        self.proto = proto
        self.address = address
        self.ports = ports
        self.service = service
    }
}

/// A port held as long as the socket is open.
public struct ReservedPort: Sendable {
    public let port: UInt16
    public let socket: SharedFD
}

extension HostNetworks {
    /// Holds the host ports that `body` asks for, with one look at the records and one write for all of them. When it throws,
    /// none of them is written down.
    public func reservingPorts(
        project: String, _ body: (inout PortReserving) throws(Failure) -> Void
    ) throws(Failure) {
        try locked("cannot reserve ports for project \"\(project)\"") { () throws(Failure) in
            var reserving = PortReserving(project: project, before: try records.ports())
            try body(&reserving)
            if reserving.changesSomething { try records.save(ports: reserving.result) }
        }
    }

    /// Forgets that a project holds ports; the sockets are their owner's to close.
    public func releasePorts(_ ports: [PortReservation], project: String) throws(Failure) {
        try locked("cannot release the ports of project \"\(project)\"") { () throws(Failure) in
            let leases = try records.ports()
            let kept = leases.filter { lease in
                lease.project != project
                    || !ports.contains {
                        $0.proto.rawValue == lease.proto && $0.address == lease.address
                            && $0.ports == lease.port...lease.port
                    }
            }
            if kept.count != leases.count { try records.save(ports: kept) }
        }
    }
}

/// Ports of a project as they are held, one after the other, beside those that others hold.
public struct PortReserving {
    private struct Place: Hashable {
        var address: IPv4Address
        var port: UInt16
        var proto: String

        init(_ lease: PortLease) { (address, port, proto) = (lease.address, lease.port, lease.proto) }
        init(_ request: PortReservation, _ reserved: ReservedPort) {
            (address, port, proto) = (request.address, reserved.port, request.proto.rawValue)
        }
    }

    private let project: String
    private let before: [PortLease]
    private var own: [Place: PortLease] = [:]

    init(project: String, before: [PortLease]) {
        self.project = project
        self.before = before
    }

    var changesSomething: Bool { !own.isEmpty }

    /// All that is held now.
    var result: [PortLease] {
        // We hold ours, so whoever stands there no longer does.
        before.filter { own[Place($0)] == nil }
            + own.values.sorted {
                ($0.proto, $0.port, $0.address.value) < ($1.proto, $1.port, $1.address.value)
            }
    }

    /// Holds a host port. Errors name it and who has it.
    public mutating func reserve(_ request: PortReservation) throws(Failure) -> ReservedPort {
        let reserved = try hold(request)
        own[Place(request, reserved)] = PortLease(
            address: request.address, port: reserved.port, proto: request.proto.rawValue, project: project,
            service: request.service)
        return reserved
    }

    /// Of one that turned out not to do: it is not written down. Its socket closes with its last owner.
    public mutating func giveBack(_ reserved: ReservedPort, of request: PortReservation) {
        own[Place(request, reserved)] = nil
    }

    private func hold(_ request: PortReservation) throws(Failure) -> ReservedPort {
        let range = request.ports ?? 0...0
        var last: SyscallError?
        for port in range {
            do throws(SyscallError) {
                return try bind(request.proto, request.address, port)
            } catch {
                last = error
                if error.errno != .addressInUse && error.errno != .access { break }
            }
        }
        let address = request.address == .any ? "" : "\(request.address):"
        let ports = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        let doing =
            "cannot publish port \(address)\(ports)/\(request.proto.rawValue) of service \"\(request.service)\""
        guard let last else { throw Failure(doing) }
        switch last.errno {
        case .addressInUse:
            let holder =
                portHolder(request.proto, request.address, range.lowerBound, leases: result)
                ?? "another program, which holds it without listening"
            throw Failure(
                doing,
                cause: range.count == 1
                    ? "the port is taken (EADDRINUSE) by \(holder)"
                    : "all of them are taken (EADDRINUSE), the first by \(holder)",
                advice: "stop that program, or publish another port")
        case .addressNotAvailable:
            throw Failure(
                doing, cause: "this host has no address \(request.address) (EADDRNOTAVAIL)",
                advice: "use an address that `ip addr` lists, or none for all of them")
        default: throw Failure(doing, last)
        }
    }

    private func bind(_ proto: PortRequest.Proto, _ address: IPv4Address, _ port: UInt16) throws(SyscallError)
        -> ReservedPort
    {
        let subject = "\(address):\(port)"
        let kind: Int32 = proto == .tcp ? 1 : 2
        let socket = OwnedFD(
            taking: try retrying("socket", subject) { linux_socket(AF_INET, kind | 0o2000000, 0) })
        let raw = socket.raw
        do throws(SyscallError) {
            try retrying("bind", subject) { linux_bind_inet(raw, address.value, port) }
        } catch {
            guard proto == .tcp, error.errno == .addressInUse else { throw error }
            // Connections in TIME_WAIT hold a port for a minute; SO_REUSEADDR passes them, and a listener still
            // refuses. Taken back after, so that nobody passes us.
            try retrying("setsockopt", subject) { linux_set_socket_int(raw, SOL_SOCKET, SO_REUSEADDR, 1) }
            try retrying("bind", subject) { linux_bind_inet(raw, address.value, port) }
            try retrying("setsockopt", subject) { linux_set_socket_int(raw, SOL_SOCKET, SO_REUSEADDR, 0) }
        }
        var found: UInt32 = 0
        var number: UInt16 = 0
        try retrying("getsockname", subject) { linux_socket_name_inet(raw, &found, &number) }
        return ReservedPort(port: number, socket: SharedFD(socket))
    }
}

/// Who holds a port, for a message: a project's service, or a program with its pid. nil when nobody can be found.
func portHolder(_ proto: PortRequest.Proto, _ address: IPv4Address, _ port: UInt16, leases: [PortLease])
    -> String?
{
    func clash(_ other: IPv4Address) -> Bool { other == address || other == .any || address == .any }
    let lease = leases.first { $0.proto == proto.rawValue && $0.port == port && clash($0.address) }
    if let inode = listeningInode(proto, port, clash), let pid = process(holding: inode) {
        // A bound udp socket of Covey's own is better told by what it is held for.
        let ours = (try? readLink("/proc/\(pid)/exe")) == (try? readLink("/proc/self/exe"))
        if lease == nil || !ours {
            let name = (try? readText("/proc/\(pid)/comm"))?.split(separator: "\n").first.map(String.init)
            return "\(name ?? "a program") (pid \(pid))"
        }
    }
    return lease.map { "service \"\($0.service)\" of project \"\($0.project)\"" }
}

/// Who holds a port over IPv6; nil when nobody can be found.
func portHolder(_ proto: PortRequest.Proto, _ port: UInt16) -> String? {
    guard let text = try? readText("/proc/thread-self/net/\(proto.rawValue)6") else { return nil }
    for line in text.split(separator: "\n").dropFirst() {
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count > 9, proto == .udp || fields[3] == "0A", let inode = UInt64(fields[9]), inode != 0,
            UInt16(fields[1].split(separator: ":").last ?? "", radix: 16) == port,
            let pid = process(holding: inode)
        else { continue }
        let name = (try? readText("/proc/\(pid)/comm"))?.split(separator: "\n").first.map(String.init)
        return "\(name ?? "a program") (pid \(pid))"
    }
    return nil
}

/// proc_net(5): /proc/net shows the namespace of the thread that looks when it is asked for by thread-self.
private func listeningInode(_ proto: PortRequest.Proto, _ port: UInt16, _ clash: (IPv4Address) -> Bool)
    -> UInt64?
{
    for file in [proto.rawValue, proto.rawValue + "6"] {
        guard let text = try? readText("/proc/thread-self/net/\(file)") else { continue }
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count > 9 else { continue }
            // TCP_LISTEN is 0A; a bound udp socket is 07.
            if proto == .tcp && fields[3] != "0A" { continue }
            let parts = fields[1].split(separator: ":")
            guard parts.count == 2, UInt16(parts[1], radix: 16) == port else { continue }
            if parts[0].count == 8, let value = UInt32(parts[0], radix: 16) {
                guard clash(IPv4Address(value.byteSwapped)) else { continue }
            } else if parts[0].contains(where: { $0 != "0" }) {
                // An IPv6 address of its own does not stand in our way, an IPv4 one in IPv6's form does.
                guard parts[0].hasPrefix("0000000000000000FFFF0000"),
                    let value = UInt32(parts[0].suffix(8), radix: 16), clash(IPv4Address(value.byteSwapped))
                else { continue }
            }
            if let inode = UInt64(fields[9]), inode != 0 { return inode }
        }
    }
    return nil
}

private func process(holding inode: UInt64) -> Int32? {
    let wanted = "socket:[\(inode)]"
    guard let pids = try? directoryEntries("/proc") else { return nil }
    for pid in pids.compactMap({ Int32($0) }) {
        guard let descriptors = try? directoryEntries("/proc/\(pid)/fd") else { continue }
        if descriptors.contains(where: { (try? readLink("/proc/\(pid)/fd/\($0)")) == wanted }) { return pid }
    }
    return nil
}
