// SPDX-License-Identifier: Apache-2.0
//
// PortRelay: leads connections to a port published over IPv6 on to the container's address. Destination NAT leads
// from IPv4 to IPv4 only, and from [::1] nowhere. Bytes go by splice(2) through a pipe for each direction and never come into
// this process; a pipe is filled again when it is empty, so a slow reader slows its writer. Nobody connected, nothing costs.
//
// The listening socket outlives the relay: the keeper holds it, and what connects while no controller runs waits in its
// queue. Connections under way end with the controller.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import Netlink

/// Where a relay leads: the container's IPv4 address, or the IPv6 one of a container that has no other.
enum RelayTarget: Hashable, CustomStringConvertible {
    case ipv4(IPv4Address)
    case ipv6(IPv6Address)

    var family: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        }
    }

    var description: String {
        switch self {
        case .ipv4(let address): address.description
        case .ipv6(let address): "[\(address)]"
        }
    }
}

/// One published port; everything belongs to the loop's thread.
final class PortRelay {
    private let loop: EventLoop
    private let listener: SharedFD
    private let target: RelayTarget
    private let port: UInt16
    private let proto: PortRequest.Proto
    private let room: RelayRoom
    private var connections: [ObjectIdentifier: RelayedConnection] = [:]
    private var flows: [[UInt8]: RelayedFlow] = [:]
    private var pause: EventLoop.Timer?
    private var sweep: EventLoop.Timer?

    /// Of a relay, at a time, if there is room; more wait in the listener's queue.
    private static let mostConnections = 1024
    private static let mostFlows = 512
    /// A datagram flow is forgotten when nothing came or went for so long, as nf_conntrack does with unanswered ones.
    private static let flowLife = Duration.seconds(30)

    init(
        loop: EventLoop, listener: SharedFD, target: RelayTarget, port: UInt16, proto: PortRequest.Proto,
        room: RelayRoom
    ) {
        self.loop = loop
        self.listener = listener
        self.target = target
        self.port = port
        self.proto = proto
        self.room = room
    }

    func start() throws(SyscallError) {
        try loop.watch(listener.raw) { [unowned self] _ in
            if proto == .tcp { accept() } else { receive() }
        }
    }

    /// Ends what is under way; the listening socket stays.
    func stop() {
        loop.unwatch(listener.raw)
        for timer in [pause, sweep] { if let timer { loop.cancel(timer) } }
        for connection in connections.values { connection.close() }
        room.giveBack(connections.count * RelayRoom.ofConnection + flows.count * RelayRoom.ofFlow)
        connections = [:]
        for flow in flows.values { loop.unwatch(flow.socket.raw) }
        flows = [:]
    }

    // MARK: Connections

    private func accept() {
        // A few at a time: other descriptors have a turn between.
        for _ in 0..<16 {
            guard connections.count < PortRelay.mostConnections, room.take(RelayRoom.ofConnection) else {
                return rest()
            }
            let raw = linux_accept4(listener.raw, O_CLOEXEC | O_NONBLOCK)
            if raw < 0 {
                room.giveBack(RelayRoom.ofConnection)
                let errno = Errno(linux_errno())
                // Gone again before it was taken; out of descriptors, the queue has to wait.
                if errno != .again && errno != .interrupted && errno.code != ECONNABORTED { rest() }
                return
            }
            let client = SharedFD(OwnedFD(taking: raw))
            do throws(SyscallError) {
                try relay(client)
            } catch {
                room.giveBack(RelayRoom.ofConnection)
                log("cannot relay a connection to \(target):\(port): \(error)")
            }
        }
    }

    /// - Throws: when nothing was begun.
    private func relay(_ client: SharedFD) throws(SyscallError) {
        let connection = try RelayedConnection(client, try connectedSocket(.tcp), loop)
        let id = ObjectIdentifier(connection)
        try connection.start { [unowned self] in
            connections[id] = nil
            room.giveBack(RelayRoom.ofConnection)
        }
        connections[id] = connection
    }

    /// Level-triggered: a queue that can't be served now would be told of without end.
    private func rest() {
        loop.unwatch(listener.raw)
        pause = loop.after(.milliseconds(100)) { [unowned self] in
            pause = nil
            do throws(SyscallError) { try start() } catch { log("a published port is not served: \(error)") }
        }
    }

    private func connectedSocket(_ proto: PortRequest.Proto) throws(SyscallError) -> SharedFD {
        let kind: Int32 = (proto == .tcp ? 1 : 2) | O_CLOEXEC | O_NONBLOCK
        let raw = try retrying("socket") { linux_socket(target.family, kind, 0) }
        let socket = SharedFD(OwnedFD(taking: raw))
        do throws(SyscallError) {
            switch target {
            case .ipv4(let address):
                try retrying("connect") { linux_connect_inet(raw, address.value, port) }
            case .ipv6(let address):
                try retrying("connect") { linux_connect_inet6(raw, address.bytes, port) }
            }
        } catch {
            if error.errno.code != EINPROGRESS { throw error }
        }
        return socket
    }

    // MARK: Datagrams

    private func receive() {
        var buffer = [UInt8](repeating: 0, count: 65536)
        for _ in 0..<64 {
            var way = [UInt8](repeating: 0, count: Int(linux_inet6_way_size()))
            let count = linux_receive_from_inet6(listener.raw, &buffer, buffer.count, &way, 0)
            guard count >= 0 else { return }
            guard let flow = flow(of: way) else { continue }
            flow.lastUsed = monotonicNanoseconds()
            // Lost as any datagram may be, when the container takes none.
            _ = linux_send(flow.socket.raw, buffer, count, 0)
        }
    }

    private func flow(of way: [UInt8]) -> RelayedFlow? {
        if let known = flows[way] { return known }
        if flows.count >= PortRelay.mostFlows,
            let oldest = flows.min(by: { $0.value.lastUsed < $1.value.lastUsed })
        {
            forget(oldest.key)
        }
        guard room.take(RelayRoom.ofFlow) else { return nil }
        do throws(SyscallError) {
            let flow = RelayedFlow(try connectedSocket(.udp))
            try loop.watch(flow.socket.raw) { [unowned self, unowned flow] _ in answer(flow, way) }
            flows[way] = flow
            scheduleSweep()
            return flow
        } catch {
            room.giveBack(RelayRoom.ofFlow)
            log("cannot relay a datagram to \(target):\(port): \(error)")
            return nil
        }
    }

    private func answer(_ flow: RelayedFlow, _ way: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        for _ in 0..<64 {
            let count = linux_receive(flow.socket.raw, &buffer, buffer.count, 0)
            if count < 0 {
                // Nobody listens there (ECONNREFUSED, by icmp): the sender hears nothing, as from any silent port.
                return
            }
            flow.lastUsed = monotonicNanoseconds()
            _ = linux_send_to_inet6(listener.raw, buffer, count, way, 0)
        }
    }

    private func forget(_ way: [UInt8]) {
        guard let flow = flows.removeValue(forKey: way) else { return }
        loop.unwatch(flow.socket.raw)
        room.giveBack(RelayRoom.ofFlow)
    }

    private func scheduleSweep() {
        guard sweep == nil, !flows.isEmpty else { return }
        sweep = loop.after(PortRelay.flowLife) { [unowned self] in
            sweep = nil
            let limit = monotonicNanoseconds() - PortRelay.flowLife.nanoseconds
            for (way, flow) in flows where flow.lastUsed <= limit { forget(way) }
            scheduleSweep()
        }
    }
}

/// What one sender's datagrams go through, and the answers back.
private final class RelayedFlow {
    let socket: SharedFD
    var lastUsed: Int64 = 0
    init(_ socket: SharedFD) { self.socket = socket }
}

/// A client's connection and its other half. Each direction ends by itself: an end of file is passed on as a shutdown.
private final class RelayedConnection {
    private let client: SharedFD
    private let server: SharedFD
    private let loop: EventLoop
    private var up: Direction
    private var down: Direction
    private var isConnected = false
    private var ended: (() -> Void)?

    /// From one socket through a pipe into the other.
    private struct Direction {
        let reader: SharedFD
        let writer: SharedFD
        var waiting = 0
        /// The source's end of file was seen and passed on.
        var isEnded = false

        init() throws(SyscallError) {
            let pipe = try makePipe()
            reader = SharedFD(try pipe.first.duplicate())
            writer = SharedFD(try pipe.second.duplicate())
        }

        /// Moves what can be moved now.
        mutating func move(from source: Int32, to target: Int32) throws(SyscallError) {
            for _ in 0..<8 {
                if waiting > 0 {
                    do throws(SyscallError) {
                        waiting -= try splice(reader.raw, to: target, waiting)
                    } catch {
                        if error.errno == .again { return }
                        throw error
                    }
                    if waiting > 0 { return }
                }
                if isEnded { return }
                do throws(SyscallError) {
                    // Into an empty pipe: EAGAIN means that the source has nothing.
                    waiting = try splice(source, to: writer.raw, 65536)
                } catch {
                    if error.errno == .again { return }
                    throw error
                }
                // The end of file, with the pipe empty. Passed on at once: nothing more is heard of this source.
                if waiting == 0 {
                    isEnded = true
                    _ = shutdown(target, 1)  // SHUT_WR
                    return
                }
            }
        }

        private func splice(_ source: Int32, to target: Int32, _ count: Int) throws(SyscallError) -> Int {
            // SPLICE_F_MOVE | SPLICE_F_NONBLOCK
            try retrying("splice") { linux_splice(source, nil, target, nil, count, 0x03) }
        }
    }

    init(_ client: SharedFD, _ server: SharedFD, _ loop: EventLoop) throws(SyscallError) {
        self.client = client
        self.server = server
        self.loop = loop
        up = try Direction()
        down = try Direction()
    }

    /// - Parameter ended: told once of its end, unless it is closed before.
    func start(_ ended: @escaping () -> Void) throws(SyscallError) {
        try loop.watch(server.raw, .writable) { [unowned self] _ in ready() }
        self.ended = ended
    }

    private func ready() {
        do throws(SyscallError) {
            if !isConnected {
                let error = linux_socket_error(server.raw)
                guard error == 0 else { return end() }
                isConnected = true
            }
            try up.move(from: client.raw, to: server.raw)
            try down.move(from: server.raw, to: client.raw)
            if up.isEnded && down.isEnded { return end() }
            try listen(client.raw, reads: up, writes: down)
            try listen(server.raw, reads: down, writes: up)
        } catch {
            // One side is gone: the other hears it by the close.
            end()
        }
    }

    /// Waits for what makes progress and for nothing else: an error that can't be dealt with yet must not be told of again
    /// and again.
    private func listen(_ socket: Int32, reads: Direction, writes: Direction) throws(SyscallError) {
        var events: EventLoop.Events = []
        if !reads.isEnded && reads.waiting == 0 { events.insert(.readable) }
        if writes.waiting > 0 { events.insert(.writable) }
        if events.isEmpty {
            loop.unwatch(socket)
        } else {
            try loop.watch(socket, events) { [unowned self] _ in ready() }
        }
    }

    func close() {
        loop.unwatch(client.raw)
        loop.unwatch(server.raw)
        ended = nil
    }

    private func end() {
        let ended = ended
        close()
        ended?()
    }
}
