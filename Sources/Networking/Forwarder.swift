// SPDX-License-Identifier: Apache-2.0
//
// Forwarder: asks the host's name servers on behalf of containers. Sockets live in the caller's namespace. Each
// attempt has its own socket (so the kernel picks a random source port) and a random id, and only a response from the
// server asked, with that id and that question, is believed (RFC 5452).
//
//   ask ─udp─▶ server 1 ── answer ──────────────▶ reply        2 s without one, an ICMP refusal, SERVFAIL or REFUSED:
//                       └─ truncated and the asker came by tcp ─tcp─▶ reply          the next server, twice round
//
// Everything belongs to the loop's thread.

internal import CLinux
internal import DNSFormat
internal import Glibc
internal import Kernel
internal import Netlink

final class Forwarder {
    private final class Exchange {
        let query: DNSQuery
        var bytes: [UInt8]
        let servers: [ResolverAddress]
        let port: UInt16
        let whole: Bool
        let reply: ([UInt8]) -> Void
        var id: UInt16 = 0
        var attempts = 0
        var socket: SharedFD?
        var timer: EventLoop.Timer?
        var received: [UInt8] = []
        var unsent: [UInt8] = []
        /// What to say when no server does better.
        var fallback: [UInt8]?

        init(
            _ query: DNSQuery, _ bytes: [UInt8], _ servers: [ResolverAddress], _ port: UInt16, _ whole: Bool,
            _ reply: @escaping ([UInt8]) -> Void
        ) {
            self.query = query
            self.bytes = bytes
            self.servers = servers
            self.port = port
            self.whole = whole
            self.reply = reply
        }
    }

    static let rounds = 2

    private let loop: EventLoop
    private let timeout: Duration
    private let port: UInt16
    private var exchanges: [ObjectIdentifier: Exchange] = [:]
    /// Made when first somebody asks.
    private lazy var buffer = [UInt8](repeating: 0, count: 65535)

    init(loop: EventLoop, timeout: Duration, port: UInt16) {
        self.loop = loop
        self.timeout = timeout
        self.port = port
    }

    var count: Int { exchanges.count }

    /// Asks the servers in turn and replies once: with an answer, or SERVFAIL. `whole`: no truncated answer is wanted.
    func ask(
        _ query: DNSQuery, _ bytes: [UInt8], servers: [ResolverAddress], whole: Bool,
        reply: @escaping ([UInt8]) -> Void
    ) {
        let exchange = Exchange(query, bytes, servers, port, whole, reply)
        exchanges[ObjectIdentifier(exchange)] = exchange
        next(exchange)
    }

    /// Gives up everything under way, without replies.
    func cancelAll() {
        for exchange in exchanges.values { close(exchange) }
        exchanges = [:]
    }

    private func close(_ exchange: Exchange) {
        if let socket = exchange.socket { loop.unwatch(socket.raw) }
        exchange.socket = nil
        if let timer = exchange.timer { loop.cancel(timer) }
        exchange.timer = nil
        exchange.received = []
        exchange.unsent = []
    }

    private func finish(_ exchange: Exchange, _ answer: [UInt8]?) {
        close(exchange)
        guard exchanges.removeValue(forKey: ObjectIdentifier(exchange)) != nil else { return }
        guard var answer = answer ?? exchange.fallback, answer.count >= 12 else {
            exchange.reply(exchange.query.response(.serverFailure, limit: 512))
            return
        }
        answer[0] = UInt8(exchange.query.header.id >> 8)
        answer[1] = UInt8(exchange.query.header.id & 255)
        exchange.reply(answer)
    }

    private func next(_ exchange: Exchange) {
        close(exchange)
        while exchange.attempts < exchange.servers.count * Forwarder.rounds {
            exchange.attempts += 1
            if start(exchange, tcp: false) { return }
        }
        finish(exchange, nil)
    }

    private func server(_ exchange: Exchange) -> ResolverAddress {
        exchange.servers[(exchange.attempts - 1) % exchange.servers.count]
    }

    /// Opens a socket to the current server and asks; false when that fails at once.
    private func start(_ exchange: Exchange, tcp: Bool) -> Bool {
        close(exchange)
        var id: UInt16 = 0
        _ = linux_getrandom(&id, 2)
        exchange.id = id
        exchange.bytes[0] = UInt8(id >> 8)
        exchange.bytes[1] = UInt8(id & 255)
        let server = server(exchange)
        let port = exchange.port
        do throws(SyscallError) {
            let (family, kind): (Int32, Int32) =
                switch server.address {
                case .ipv4: (AF_INET, tcp ? 1 : 2)
                case .ipv6: (AF_INET6, tcp ? 1 : 2)
                }
            // SOCK_NONBLOCK and SOCK_CLOEXEC.
            let socket = SharedFD(
                OwnedFD(taking: try retrying("socket") { linux_socket(family, kind | 0o2004000, 0) }))
            let raw = socket.raw
            if let link = server.link { try bind(raw, to: link) }
            do throws(SyscallError) {
                try retrying("connect") {
                    switch server.address {
                    case .ipv4(let address): linux_connect_inet(raw, address.value, port)
                    case .ipv6(let address): linux_connect_inet6(raw, address, port)
                    }
                }
            } catch {
                guard tcp, error.errno == .inProgress else { throw error }
            }
            let key = ObjectIdentifier(exchange)
            if tcp {
                let length = exchange.bytes.count
                exchange.unsent = [UInt8(length >> 8), UInt8(length & 255)] + exchange.bytes
                try loop.watch(raw, .writable) { [weak self] _ in self?.stream(key) }
            } else {
                try retrying("send") {
                    exchange.bytes.withUnsafeBytes { linux_send(raw, $0.baseAddress, $0.count, 0) }
                }
                try loop.watch(raw) { [weak self] _ in self?.datagram(key) }
            }
            exchange.socket = socket
            exchange.timer = loop.after(timeout) { [weak self] in
                if let self, let exchange = self.exchanges[key] { self.next(exchange) }
            }
            return true
        } catch {
            return false
        }
    }

    /// Nothing goes out of it by another link, wherever routes lead; a link-local address needs no zone then (ipv6(7)).
    private func bind(_ socket: Int32, to link: String) throws(SyscallError) {
        let named = if_nametoindex(link)
        guard let index = named == 0 ? Int32(link) : Int32(named), index > 0 else {
            throw SyscallError("if_nametoindex", .noDevice, link)
        }
        // SO_BINDTOIFINDEX, Linux 5.1.
        try retrying("setsockopt", link) { linux_set_socket_int(socket, SOL_SOCKET, 62, index) }
    }

    private func datagram(_ key: ObjectIdentifier) {
        guard let exchange = exchanges[key], let socket = exchange.socket else { return }
        let count = buffer.withUnsafeMutableBytes { linux_receive(socket.raw, $0.baseAddress, $0.count, 0) }
        if count < 0 {
            let errno = linux_errno()
            if errno == EAGAIN || errno == EINTR { return }
            // ECONNREFUSED: nobody serves names there.
            return next(exchange)
        }
        let answer = Array(buffer[..<count])
        // A stray or forged datagram: the right one may still come.
        guard exchange.query.isAnswered(by: answer, id: exchange.id), let header = DNSHeader(answer) else {
            return
        }
        if header.isTruncated && exchange.whole {
            if !start(exchange, tcp: true) { next(exchange) }
            return
        }
        judge(exchange, answer, header)
    }

    private func judge(_ exchange: Exchange, _ answer: [UInt8], _ header: DNSHeader) {
        let failures: [DNSResponseCode] = [.serverFailure, .notImplemented, .refused]
        if failures.contains(where: { $0.rawValue == header.responseCode }) {
            exchange.fallback = answer
            // A refusal is not asked for again: only servers not yet asked remain.
            if exchange.attempts < exchange.servers.count { return next(exchange) }
        }
        finish(exchange, answer)
    }

    private func stream(_ key: ObjectIdentifier) {
        guard let exchange = exchanges[key], let socket = exchange.socket else { return }
        let raw = socket.raw
        if !exchange.unsent.isEmpty {
            let count = exchange.unsent.withUnsafeBytes { linux_send(raw, $0.baseAddress, $0.count, 0) }
            if count < 0 {
                let errno = linux_errno()
                if errno == EAGAIN || errno == EINTR { return }
                return next(exchange)
            }
            exchange.unsent.removeFirst(count)
            if exchange.unsent.isEmpty {
                do throws(SyscallError) {
                    try loop.watch(raw) { [weak self] _ in self?.stream(key) }
                } catch {
                    next(exchange)
                }
            }
            return
        }
        let count = buffer.withUnsafeMutableBytes { linux_receive(raw, $0.baseAddress, $0.count, 0) }
        if count < 0 && (linux_errno() == EAGAIN || linux_errno() == EINTR) { return }
        guard count > 0 else { return next(exchange) }
        exchange.received += buffer[..<count]
        guard exchange.received.count >= 2 else { return }
        let length = Int(exchange.received[0]) << 8 | Int(exchange.received[1])
        guard exchange.received.count >= length + 2 else { return }
        let answer = Array(exchange.received[2..<(length + 2)])
        guard exchange.query.isAnswered(by: answer, id: exchange.id), let header = DNSHeader(answer) else {
            return next(exchange)
        }
        judge(exchange, answer, header)
    }
}
