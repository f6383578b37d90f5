// SPDX-License-Identifier: Apache-2.0
//
// NameService: answers what containers ask at 127.0.0.11. Its sockets stand in the containers' namespaces (the launch
// program opens them, containerNameServiceRules leads port 53 to them); it runs in the controller's loop and thread.
//
// Known names are answered from the Zone, with all replicas' addresses, rotated. Others go to the host's servers, or to
// the container's own; for a container whose networks are all internal only to those of its own that are on them, by the
// networks' bridges alone, or it gets NXDOMAIN: nothing leaves the host (CVE-2024-29018). What is under way is bounded per container and in all; beyond that the answer is SERVFAIL.

internal import Basics
internal import CLinux
internal import DNSFormat
public import Kernel
internal import Netlink

/// A container that asks.
public struct NameServiceClient: Hashable, Sendable {
    public var container: String
    /// The networks it is on, in the order in which names are looked up.
    public var networks: [String]
    /// All of them are internal: nothing may leave.
    public var isInternal: Bool
    /// Servers of its own instead of the host's; empty for the host's, or, where nothing may leave, for none. Then they are
    /// `serversWithin` its networks.
    public var servers: [ResolverAddress]
    /// Names only it has for others: lower-case alias to the name that is looked up in its place.
    public var links: [String: String] = [:]
    /// Names only it has for containers of other projects: lower-case alias to container.
    public var externalLinks: [String: String] = [:]

    public init(container: String, networks: [String], isInternal: Bool, servers: [ResolverAddress] = []) {
        self.container = container
        self.networks = networks
        self.isInternal = isInternal
        self.servers = servers
    }
}

/// Of name servers those that are on one of the networks, each to be asked over that one's bridge and no other link: should
/// that be gone, no route leads the question elsewhere. A gateway is the host itself, which asks others.
public func serversWithin(_ networks: [NetworkState], _ servers: [ResolverAddress]) -> [ResolverAddress] {
    servers.compactMap { server in
        let home = networks.first { network in
            switch server.address {
            case .ipv4(let address): network.hasIPv4 && network.mayGive(address)
            case .ipv6(let bytes):
                IPv6Address(bytes: bytes).map { network.ipv6?.mayGive($0) ?? false } ?? false
            }
        }
        return home.map { ResolverAddress(server.address, link: $0.bridge) }
    }
}

public final class NameService {
    /// Questions under way upstream, and tcp connections, per container and in all.
    public struct Limits: Sendable {
        public var perContainer = 64
        public var total = 512
        public var connections = 16
        public init() {}
    }

    private final class Member {
        var client: NameServiceClient
        var visible: [String]
        let udp: SharedFD
        let tcp: SharedFD
        var underWay = 0
        var connections: [ObjectIdentifier: Connection] = [:]
        /// Nothing is accepted until then.
        var pause: EventLoop.Timer?

        init(_ client: NameServiceClient, _ udp: SharedFD, _ tcp: SharedFD) {
            self.client = client
            visible = client.networks.map(lowercase)
            self.udp = udp
            self.tcp = tcp
        }
    }

    private final class Connection {
        let socket: SharedFD
        var received: [UInt8] = []
        var unsent: [UInt8] = []
        var timer: EventLoop.Timer?
        init(_ socket: SharedFD) { self.socket = socket }
    }

    /// Who is called what; set it whenever containers come or go.
    public var zone = Zone()
    /// Finds a container of another project on networks; asked each time, as nobody tells of its coming and going.
    public var locate: (_ container: String, _ networks: [String]) -> Zone.Host? = { _, _ in nil }

    /// Containers of other projects that are called so on the first of these networks where somebody is; asked for each name
    /// that the zone doesn't know.
    public var locateOthers: (_ name: String, _ networks: [String]) -> [Zone.Host] = { _, _ in [] }

    private let loop: EventLoop
    private let limits: Limits
    private let forwarder: Forwarder
    private let resolverFile: String
    private var resolvers: [ResolverAddress] = []
    private var resolversSeen: (checked: Int64, modified: Int64, inode: UInt64) = (.min, 0, 0)
    private var members: [String: Member] = [:]
    /// How often a question with several answers was answered, by the name that was looked up.
    private var turns: [DNSQuestion: Int] = [:]
    /// Made when first somebody asks.
    private lazy var buffer = [UInt8](repeating: 0, count: 65535)

    /// Seconds an answer of ours may be kept: containers come and go.
    private static let ttl: UInt32 = 5
    private static let idle = Duration.seconds(10)

    /// - Parameters:
    ///   - resolverFile: the host's resolv.conf, read again when it changes.
    ///   - timeout: how long one upstream server is waited for.
    ///   - upstreamPort: 53 but in tests.
    public init(
        loop: EventLoop, resolverFile: String = "/etc/resolv.conf", limits: Limits = Limits(),
        timeout: Duration = .seconds(2), upstreamPort: UInt16 = 53
    ) {
        self.loop = loop
        self.resolverFile = resolverFile
        self.limits = limits
        forwarder = Forwarder(loop: loop, timeout: timeout, port: upstreamPort)
    }

    /// Serves a container on its two sockets: udp bound, tcp listening. Replaces what it had under that name.
    public func add(_ client: NameServiceClient, udp: SharedFD, tcp: SharedFD) throws(SyscallError) {
        remove(container: client.container)
        for socket in [udp, tcp] {
            let raw = socket.raw
            let flags = try retrying("fcntl") { linux_fcntl_int(raw, F_GETFL, 0) }
            try retrying("fcntl") { linux_fcntl_int(raw, F_SETFL, flags | O_NONBLOCK) }
        }
        let member = Member(client, udp, tcp)
        let name = client.container
        try loop.watch(udp.raw) { [weak self] _ in self?.datagrams(name) }
        do throws(SyscallError) {
            try watchConnections(of: member)
        } catch {
            loop.unwatch(udp.raw)
            throw error
        }
        members[name] = member
    }

    private func watchConnections(of member: Member) throws(SyscallError) {
        let name = member.client.container
        try loop.watch(member.tcp.raw) { [weak self] _ in self?.accept(name) }
    }

    /// Changes what a container sees, without touching its sockets.
    public func update(_ client: NameServiceClient) {
        guard let member = members[client.container] else { return }
        member.client = client
        member.visible = client.networks.map(lowercase)
    }

    /// Stops serving a container; its sockets are closed with their last owner.
    public func remove(container: String) {
        guard let member = members.removeValue(forKey: container) else { return }
        loop.unwatch(member.udp.raw)
        loop.unwatch(member.tcp.raw)
        if let pause = member.pause { loop.cancel(pause) }
        for connection in member.connections.values { close(connection, of: member) }
    }

    public func removeAll() {
        for name in members.keys { remove(container: name) }
        forwarder.cancelAll()
    }

    // MARK: Asking

    private func datagrams(_ name: String) {
        // Some at a time: a flood must not keep the loop from its other work.
        for _ in 0..<32 {
            guard let member = members[name] else { return }
            var address: UInt32 = 0
            var port: UInt16 = 0
            let raw = member.udp.raw
            let count = buffer.withUnsafeMutableBytes {
                // It stays in the socket until it is answered: the socket outlives this process, and whoever comes
                // after a kill in between answers it.
                linux_receive_from_inet(
                    raw, $0.baseAddress, $0.count, &address, &port, Int32(MSG_PEEK))
            }
            if count < 0 {
                if linux_errno() == EINTR { continue }
                return
            }
            defer { _ = linux_receive_from_inet(raw, nil, 0, &address, &port, 0) }
            if count == 0 { continue }
            let (peer, peerPort, socket) = (address, port, member.udp)
            handle(Array(buffer[..<count]), member, tcp: false) { answer in
                _ = answer.withUnsafeBytes {
                    // A full buffer loses the answer, as a network would; the asker asks again.
                    linux_send_to_inet(socket.raw, $0.baseAddress, $0.count, peer, peerPort, 0x40)
                }
            }
        }
    }

    private func handle(_ bytes: [UInt8], _ member: Member, tcp: Bool, reply: @escaping ([UInt8]) -> Void) {
        let query: DNSQuery
        do throws(DNSFormatError) {
            guard let read = try DNSQuery(bytes) else { return }
            query = read
        } catch {
            if let answer = dnsFormatErrorResponse(to: bytes) { reply(answer) }
            return
        }
        let limit = tcp ? 65535 : query.udpLimit
        guard query.header.opcode == 0, query.question.recordClass == 1 else {
            return reply(query.response(.notImplemented, limit: limit))
        }
        if let answers = localAnswers(query.question, member) {
            return reply(query.response(.noError, answers: answers, ttl: NameService.ttl, limit: limit))
        }
        if member.client.isInternal, member.client.servers.isEmpty {
            return reply(query.response(.nameError, limit: limit))
        }
        guard member.underWay < limits.perContainer, forwarder.count < limits.total else {
            return reply(query.response(.serverFailure, limit: limit))
        }
        member.underWay += 1
        let servers = member.client.servers.isEmpty ? hostResolvers() : member.client.servers
        forwarder.ask(query, bytes, servers: servers, whole: tcp) { answer in
            member.underWay -= 1
            reply(answer.count > limit ? query.truncatedResponse(from: answer) : answer)
        }
    }

    /// The answers to a question about something of ours, none for a type it has not; nil for what is not ours.
    private func localAnswers(_ question: DNSQuestion, _ member: Member) -> [DNSAnswer]? {
        let name = question.name
        // RFC 6761, 6.3: localhost never leaves.
        if name == "localhost" || name.hasSuffix(".localhost") {
            return chosen([IPv4Address.loopback.bytes], [IPv6Address.loopback.bytes], question)
        }
        if let container = member.client.externalLinks[name] {
            let host = locate(container, member.client.networks)
            return chosen(
                [host?.address?.bytes].compactMap { $0 }, [host?.ipv6Address?.bytes].compactMap { $0 },
                question)
        }
        let called = member.client.links[name] ?? name
        let hosts =
            zone.hosts(named: called, on: member.visible) ?? locateOthers(called, member.client.networks)
        if !hosts.isEmpty {
            return turned(
                chosen(hosts.compactMap(\.address?.bytes), hosts.compactMap(\.ipv6Address?.bytes), question),
                question)
        }
        if let address = reverseAddress(name), let name = zone.name(of: address, on: member.visible) {
            return question.type == .ptr || question.type == .any ? [.pointer(name)] : []
        }
        return nil
    }

    /// Each time another answer is the first. Of every question by itself: who asks for A and AAAA in turn would otherwise
    /// see every other turn alone.
    private func turned(_ answers: [DNSAnswer], _ question: DNSQuestion) -> [DNSAnswer] {
        guard answers.count > 1 else { return answers }
        // Names come and go with what is asked; a turn that is forgotten begins again.
        if turns.count >= 1024 { turns = [:] }
        let turn = turns[question, default: 0]
        turns[question] = turn &+ 1
        let start = Int(UInt(bitPattern: turn) % UInt(answers.count))
        return Array(answers[start...] + answers[..<start])
    }

    private func chosen(_ ipv4: [[UInt8]], _ ipv6: [[UInt8]], _ question: DNSQuestion) -> [DNSAnswer] {
        switch question.type {
        case .a: ipv4.map { .address($0) }
        case .aaaa: ipv6.map { .address($0) }
        case .any: (ipv4 + ipv6).map { .address($0) }
        default: []
        }
    }

    /// The host's servers; the file is looked at again at most once a second.
    private func hostResolvers() -> [ResolverAddress] {
        let now = monotonicNanoseconds()
        guard resolvers.isEmpty || now - resolversSeen.checked > 1_000_000_000 else { return resolvers }
        let status = try? fileStatus(resolverFile, follow: true)
        let modified =
            status.map { Int64($0.st_mtim.tv_sec) * 1_000_000_000 + Int64($0.st_mtim.tv_nsec) } ?? 0
        let inode = status.map { UInt64($0.st_ino) } ?? 0
        if resolvers.isEmpty || modified != resolversSeen.modified || inode != resolversSeen.inode {
            // An unreadable file means the server on this machine, resolv.conf(5).
            resolvers = ResolvConf(parsing: (try? readText(resolverFile)) ?? "").servers
        }
        resolversSeen = (now, modified, inode)
        return resolvers
    }

    // MARK: Over tcp (RFC 7766): length and message, again and again

    private func accept(_ name: String) {
        guard let member = members[name] else { return }
        let raw = member.tcp.raw
        // SOCK_NONBLOCK and SOCK_CLOEXEC.
        let accepted = linux_accept4(raw, 0o2004000)
        guard accepted >= 0 else {
            let errno = Errno(linux_errno())
            if errno != .again && errno != .interrupted && errno.code != ECONNABORTED { rest(member) }
            return
        }
        let connection = Connection(SharedFD(OwnedFD(taking: accepted)))
        guard member.connections.count < limits.connections else { return }
        let key = ObjectIdentifier(connection)
        member.connections[key] = connection
        watch(connection, key, member)
        touch(connection, member)
    }

    /// Out of descriptors its queue has to wait: level-triggered, it would be told of without end.
    private func rest(_ member: Member) {
        loop.unwatch(member.tcp.raw)
        member.pause = loop.after(.milliseconds(100)) { [weak self, weak member] in
            guard let self, let member else { return }
            member.pause = nil
            try? self.watchConnections(of: member)
        }
    }

    private func watch(_ connection: Connection, _ key: ObjectIdentifier, _ member: Member) {
        let events: EventLoop.Events = connection.unsent.isEmpty ? .readable : .writable
        do throws(SyscallError) {
            try loop.watch(connection.socket.raw, events) { [weak self, weak member, weak connection] _ in
                guard let self, let member, let connection, member.connections[key] != nil else { return }
                if connection.unsent.isEmpty {
                    self.read(connection, member)
                } else {
                    self.flush(connection, member)
                }
            }
        } catch {
            close(connection, of: member)
        }
    }

    private func touch(_ connection: Connection, _ member: Member) {
        if let timer = connection.timer { loop.cancel(timer) }
        connection.timer = loop.after(NameService.idle) { [weak self, weak member, weak connection] in
            if let self, let member, let connection { self.close(connection, of: member) }
        }
    }

    private func close(_ connection: Connection, of member: Member) {
        guard member.connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        if let timer = connection.timer { loop.cancel(timer) }
        loop.unwatch(connection.socket.raw)
    }

    private func read(_ connection: Connection, _ member: Member) {
        let raw = connection.socket.raw
        let count = buffer.withUnsafeMutableBytes {
            linux_receive(raw, $0.baseAddress, min($0.count, 4096), 0)
        }
        if count < 0 && (linux_errno() == EAGAIN || linux_errno() == EINTR) { return }
        guard count > 0 else { return close(connection, of: member) }
        touch(connection, member)
        connection.received += buffer[..<count]
        while connection.received.count >= 2 {
            let length = Int(connection.received[0]) << 8 | Int(connection.received[1])
            guard length >= 12 else { return close(connection, of: member) }
            guard connection.received.count >= length + 2 else { break }
            let message = Array(connection.received[2..<(length + 2)])
            connection.received.removeFirst(length + 2)
            handle(message, member, tcp: true) { [weak self, weak member, weak connection] answer in
                guard let self, let member, let connection else { return }
                self.send(answer, connection, member)
            }
        }
    }

    private func send(_ answer: [UInt8], _ connection: Connection, _ member: Member) {
        let key = ObjectIdentifier(connection)
        guard member.connections[key] != nil else { return }
        // Whoever does not read its answers loses the connection.
        guard connection.unsent.count < 65536 else { return close(connection, of: member) }
        connection.unsent += [UInt8(answer.count >> 8), UInt8(answer.count & 255)] + answer
        flush(connection, member)
    }

    private func flush(_ connection: Connection, _ member: Member) {
        let raw = connection.socket.raw
        let count = connection.unsent.withUnsafeBytes { linux_send(raw, $0.baseAddress, $0.count, 0x40) }
        if count < 0 {
            guard linux_errno() == EAGAIN || linux_errno() == EINTR else {
                return close(connection, of: member)
            }
        } else {
            connection.unsent.removeFirst(count)
        }
        watch(connection, ObjectIdentifier(connection), member)
    }
}
