// SPDX-License-Identifier: Apache-2.0
//
// The name service asked from containers, with upstream servers on the private host's loopback.

import Basics
import CLinux
import ContainerModel
import FoundationEssentials
import Glibc
import Kernel
import Netlink
import Testing

@testable import Networking

/// `rcode answer,answer [tc]` of one question.
private let askScript = """
    import socket, struct, sys
    proto, name, kind = sys.argv[1:4]
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    q = struct.pack('>HHHHHH', 77, 0x100, 1, 0, 0, 1 if size else 0)
    for label in name.split('.'): q += bytes([len(label)]) + label.encode()
    q += b'\\0' + struct.pack('>HH', {'A':1,'AAAA':28,'PTR':12,'TXT':16,'MX':15}[kind], 1)
    if size: q += b'\\0' + struct.pack('>HHIH', 41, size, 0, 0)
    def skip(m, i):
        while True:
            if m[i] == 0: return i + 1
            if m[i] >= 192: return i + 2
            i += m[i] + 1
    def text(m, i):
        out = []
        while m[i]:
            if m[i] >= 192: i = (m[i] & 63) << 8 | m[i+1]; continue
            out.append(m[i+1:i+1+m[i]].decode()); i += m[i] + 1
        return '.'.join(out)
    if proto == 'udp':
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(8)
        s.connect(('127.0.0.11', 53)); s.send(q); m = s.recv(65535)
    else:
        s = socket.create_connection(('127.0.0.11', 53), 8)
        s.sendall(struct.pack('>H', len(q)) + q)
        f = s.makefile('rb'); n = struct.unpack('>H', f.read(2))[0]; m = f.read(n)
    ident, flags, qd, an, ns, ar = struct.unpack('>HHHHHH', m[:12])
    assert ident == 77 and flags & 0x8000
    i = 12
    for _ in range(qd): i = skip(m, i) + 4
    out = []
    for _ in range(an):
        i = skip(m, i); t, c, ttl, n = struct.unpack('>HHIH', m[i:i+10]); i += 10
        out.append(socket.inet_ntoa(m[i:i+n]) if t == 1 else text(m, i) if t == 12 else '%d bytes' % n); i += n
    print(flags & 15, ','.join(out) + (' tc' if flags & 0x200 else ''))
    """

/// An upstream server: answers by what the first label says and prints each name it was asked.
private let upstreamScript = """
    import socket, struct, sys, threading, time
    address, port, value = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    def answer(q, tcp):
        i, labels = 12, []
        while q[i]: labels.append(q[i+1:i+1+q[i]].decode()); i += q[i] + 1
        question = q[12:i+5]
        name = '.'.join(labels)
        print(('tcp ' if tcp else 'udp ') + name, flush=True)
        first = labels[0]
        if first == 'slow': return None
        head = lambda flags, n: q[:2] + struct.pack('>HHHHH', flags, 1, n, 0, 0) + question
        if first == 'fail': return head(0x8182, 0)
        if first == 'forged':
            return [b'\\xff\\xff' + head(0x8180, 0)[2:], head(0x8180, 1)[:12] + b'\\1x\\0\\0\\1\\0\\1', head(0x8180, 1) + record(value)]
        if first == 'big' and not tcp: return head(0x8380, 0)
        if first == 'big': return head(0x8180, 100) + b''.join(record('10.9.0.%d' % n) for n in range(100))
        if first == 'wide': return head(0x8180, 60) + b''.join(record('10.9.0.%d' % n) for n in range(60))
        return head(0x8180, 1) + record(value)
    def record(v): return b'\\xc0\\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton(v)
    def stream():
        while True:
            c, _ = t.accept()
            n = struct.unpack('>H', c.recv(2))[0]; a = answer(c.recv(n), True)
            data = struct.pack('>H', len(a)) + a
            for i in range(0, len(data), 500): c.sendall(data[i:i+500]); time.sleep(0.001)
            c.close()
    t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind((address, port)); t.listen(8)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind((address, port))
    threading.Thread(target=stream, daemon=True).start()
    print('ready', flush=True)
    while True:
        q, peer = u.recvfrom(65535)
        a = answer(q, False)
        for m in a if isinstance(a, list) else [a] if a else []: u.sendto(m, peer)
    """

/// A host with the service running in this thread's loop while something is asked.
private final class NameHost {
    let stack: Stack
    let loop: EventLoop
    let service: NameService
    private var containers: [FakeContainer] = []

    init(
        _ host: PrivateHost, resolvConf: String = "nameserver 127.0.0.1\nnameserver 127.0.0.2\n",
        timeout: Duration
    ) throws {
        stack = try Stack(host)
        loop = try EventLoop()
        try writeFile("\(host.root)/resolv.conf", Array(resolvConf.utf8))
        var limits = NameService.Limits()
        limits.perContainer = 8
        service = NameService(
            loop: loop, resolverFile: "\(host.root)/resolv.conf", limits: limits, timeout: timeout,
            upstreamPort: 5300)
    }

    func container(
        _ name: String, networks: [String], isInternal: Bool = false, servers: [ResolverAddress] = []
    ) throws
        -> FakeContainer
    {
        let container = try FakeContainer(name)
        try container.send(containerRouteMessages(links: []))
        var udp: SharedFD?
        var tcp: SharedFD?
        var port: UInt16 = 0
        try container.inside {
            let datagrams = OwnedFD(taking: try retrying("socket") { linux_socket(2, 2 | 0o2000000, 0) })
            try retrying("bind") { linux_bind_inet(datagrams.raw, nameServiceAddress.value, 0) }
            var address: UInt32 = 0
            try retrying("getsockname") { linux_socket_name_inet(datagrams.raw, &address, &port) }
            let streams = OwnedFD(taking: try retrying("socket") { linux_socket(2, 1 | 0o2000000, 0) })
            try retrying("bind") { linux_bind_inet(streams.raw, nameServiceAddress.value, port) }
            try retrying("listen") { listen(streams.raw, 64) }
            udp = SharedFD(datagrams)
            tcp = SharedFD(streams)
        }
        try container.startNameRules(port: port)
        guard let udp, let tcp else { throw Broken("no sockets") }
        try service.add(
            NameServiceClient(container: name, networks: networks, isInternal: isInternal, servers: servers),
            udp: udp, tcp: tcp)
        containers.append(container)
        return container
    }

    func upstream(_ address: String, saying value: String) throws -> Child {
        let child = try Child(["python3", "-u", "-c", upstreamScript, address, "5300", value])
        try awaitReady(child)
        return child
    }

    /// Runs a program in a container while the service runs.
    func run(_ arguments: [String], in container: FakeContainer) throws -> String {
        let child = try Child(["nsenter", "-t", "\(container.pid)", "-n"] + arguments)
        var output: [UInt8] = []
        var ended = false
        try loop.watch(child.output.raw) { _ in
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(child.output.raw, &buffer, 4096)
            if count > 0 { output += buffer[..<count] } else { ended = true }
        }
        let end = monotonicNanoseconds() + 30_000_000_000
        while !ended {
            guard monotonicNanoseconds() < end else { throw Broken("no end of \(arguments)") }
            try loop.turn(waitingAtMost: .milliseconds(100))
        }
        loop.unwatch(child.output.raw)
        _ = child.wait()
        return String(decoding: output, as: UTF8.self).split(separator: "\n").joined(separator: "\n")
    }

    func ask(
        _ name: String, _ type: String = "A", _ proto: String = "udp", size: Int? = nil,
        from container: FakeContainer
    )
        throws -> String
    {
        try run(
            ["python3", "-c", askScript, proto, name, type] + (size.map { ["\($0)"] } ?? []), in: container)
    }

    func end() {
        service.removeAll()
        for container in containers { container.end() }
    }
}

@Suite struct NameServiceTests {
    private static func zone() -> Zone {
        var zone = Zone()
        zone.set(
            "shop_front",
            hosts: [
                Zone.Host(container: "shop-web-1", names: ["web", "WWW"], address: IPv4Address(10, 0, 0, 2)),
                Zone.Host(container: "shop-web-2", names: ["web"], address: IPv4Address(10, 0, 0, 3)),
            ])
        zone.set(
            "shop_back",
            hosts: [Zone.Host(container: "shop-db-1", names: ["db"], address: IPv4Address(10, 0, 1, 2))])
        return zone
    }

    @Test(
        "services, aliases, containers, replicas and addresses are answered on their networks",
        arguments: ["udp", "tcp"])
    func known(proto: String) throws {
        try inPrivateHost { host in
            let names = try NameHost(host, timeout: .milliseconds(200))
            names.service.zone = NameServiceTests.zone()
            let upstream = try names.upstream("127.0.0.1", saying: "192.0.2.7")
            let client = try names.container("a", networks: ["shop_front"])
            var both: Set<String> = []
            for _ in 0..<2 {
                both.insert(try names.ask("web", "A", proto, from: client))
                // Many ask for both kinds in turn: each question's answers turn by themselves.
                _ = try names.ask("web", "AAAA", proto, from: client)
            }
            #expect(both == ["0 10.0.0.2,10.0.0.3", "0 10.0.0.3,10.0.0.2"])
            #expect(try names.ask("WeB.Shop_Front", "A", proto, from: client).hasPrefix("0 10.0.0."))
            #expect(try names.ask("www", "A", proto, from: client) == "0 10.0.0.2")
            #expect(try names.ask("shop-web-2", "A", proto, from: client) == "0 10.0.0.3")
            #expect(try names.ask("web", "AAAA", proto, from: client) == "0 ")
            #expect(try names.ask("web", "MX", proto, from: client) == "0 ")
            #expect(try names.ask("localhost", "A", proto, from: client) == "0 127.0.0.1")
            #expect(
                try names.ask("2.0.0.10.in-addr.arpa", "PTR", proto, from: client)
                    == "0 shop-web-1.shop_front")
            // What is on another network is nobody here: the host's server is asked.
            #expect(try names.ask("db", "A", proto, from: client) == "0 192.0.2.7")
            let other = try names.container("b", networks: ["shop_back", "shop_front"])
            #expect(try names.ask("db", "A", proto, from: other) == "0 10.0.1.2")
            #expect(try names.ask("www", "A", proto, from: other) == "0 10.0.0.2")
            upstream.end()
            names.end()
        }
    }

    @Test("other names go to the host's servers; truncated, failing and silent ones are handled")
    func forwarded() throws {
        try inPrivateHost { host in
            let names = try NameHost(host, timeout: .milliseconds(200))
            let first = try names.upstream("127.0.0.1", saying: "192.0.2.7")
            let client = try names.container("a", networks: ["n"])
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.7")
            #expect(try names.ask("example.org", "A", "tcp", from: client) == "0 192.0.2.7")
            // Too big for udp: TC over udp, everything over tcp.
            #expect(try names.ask("big.example.org", from: client) == "0  tc")
            let whole = try names.ask("big.example.org", "A", "tcp", from: client)
            #expect(whole.split(separator: ",").count == 100)
            // An upstream that sends more than this asker takes.
            #expect(try names.ask("wide.example.org", from: client) == "0  tc")
            #expect(
                try names.ask("wide.example.org", size: 4096, from: client).split(separator: ",").count == 60)
            // A wrong id and a wrong question before the right answer.
            #expect(try names.ask("forged.example.org", from: client) == "0 192.0.2.7")
            // The second server does not exist: the first's word stands. Silence ends in SERVFAIL.
            #expect(try names.ask("fail.example.org", from: client) == "2 ")
            #expect(try names.ask("slow.example.org", from: client) == "2 ")
            first.end()
            // The first is gone, the second answers.
            let second = try names.upstream("127.0.0.2", saying: "192.0.2.8")
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.8")
            second.end()
            #expect(try names.ask("example.org", from: client) == "2 ")
            names.end()
        }
    }

    @Test("a container on internal networks alone gets NXDOMAIN, and nothing leaves")
    func isolated() throws {
        try inPrivateHost { host in
            let names = try NameHost(host, timeout: .milliseconds(200))
            names.service.zone = NameServiceTests.zone()
            let upstream = try names.upstream("127.0.0.1", saying: "192.0.2.7")
            let client = try names.container("a", networks: ["shop_back"], isInternal: true)
            #expect(try names.ask("db", from: client) == "0 10.0.1.2")
            #expect(try names.ask("example.org", from: client) == "3 ")
            #expect(try names.ask("example.org", "A", "tcp", from: client) == "3 ")
            #expect(try names.ask("9.9.9.9.in-addr.arpa", "PTR", from: client) == "3 ")
            // A later question arrives; none of the earlier ones did.
            let free = try names.container("b", networks: ["shop_front"])
            #expect(try names.ask("later.example.org", from: free) == "0 192.0.2.7")
            upstream.end()
            #expect(
                String(decoding: try readAll(upstream.output.raw), as: UTF8.self) == "udp later.example.org\n"
            )
            names.end()
        }
    }

    @Test("a service's own servers are asked instead of the host's")
    func ownServers() throws {
        try inPrivateHost { host in
            let names = try NameHost(host, timeout: .milliseconds(200))
            let hosts = try names.upstream("127.0.0.1", saying: "192.0.2.7")
            let own = try names.upstream("127.0.0.3", saying: "192.0.2.9")
            let client = try names.container(
                "a", networks: ["n"], servers: [.ipv4(IPv4Address(127, 0, 0, 3))])
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.9")
            hosts.end()
            own.end()
            names.end()
        }
    }

    @Test(
        "on internal networks alone a service's own servers are asked that are on them, and by no other way")
    func serversWithinNetworks() throws {
        try inPrivateHost { host in
            let names = try NameHost(host, timeout: .milliseconds(200))
            let network = try names.stack.network("shop_back") { $0.isInternal = true }
            let (server, addresses) = try names.stack.container("dns", on: [network])
            let upstream = ["nsenter", "-t", "\(server.pid)", "-n", "python3", "-u", "-c", upstreamScript]
            let inside = try Child(upstream + ["\(addresses[0])", "5300", "192.0.2.9"])
            try awaitReady(inside)
            let hosts = try names.upstream("127.0.0.1", saying: "192.0.2.7")
            let given = [.loopback, network.gateway, IPv4Address(9, 9, 9, 9), addresses[0]]
            let servers = serversWithin([network], given.map { .ipv4($0) })
            #expect(servers == [ResolverAddress(.ipv4(addresses[0]), link: network.bridge)])
            let client = try names.container(
                "a", networks: ["shop_back"], isInternal: true, servers: servers)
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.9")
            #expect(try names.ask("example.org", "A", "tcp", from: client) == "0 192.0.2.9")
            // The bridge is gone, and the address leads elsewhere: nothing is asked there.
            try host.shell("ip link delete \(network.bridge); ip addr add \(addresses[0])/32 dev lo")
            let elsewhere = try names.upstream("\(addresses[0])", saying: "192.0.2.8")
            #expect(try names.ask("example.org", from: client) == "2 ")
            elsewhere.end()
            hosts.end()
            for upstream in [elsewhere, hosts] {
                #expect(String(decoding: try readAll(upstream.output.raw), as: UTF8.self) == "")
            }
            inside.end()
            server.end()
            names.end()
        }
    }

    @Test(
        "a server's link-local address is asked over the link that its zone names",
        arguments: ["up0", "index"])
    func zonedServer(zone: String) throws {
        try inPrivateHost { host in
            try host.shell(
                """
                ip link add other0 type bridge && ip link set other0 up && ip link add up0 type veth peer name up1
                ip link set up1 up && ip link set up0 up && ip -6 addr add fe80::53/64 dev up0 nodad
                """)
            let index = if_nametoindex("up0")
            let names = try NameHost(
                host, resolvConf: "nameserver fe80::53%\(zone == "index" ? "\(index)" : zone)\n",
                timeout: .milliseconds(500))
            let script = """
                import socket, struct
                s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('fe80::53', 5300, 0, \(index)))
                print('ready', flush=True)
                while True:
                    q, peer = s.recvfrom(999); end = q.index(0, 12) + 5
                    answer = struct.pack('>HHHHHH', 0xc00c, 1, 1, 0, 60, 4) + bytes([192, 0, 2, 6])
                    s.sendto(q[:2] + struct.pack('>HHHHH', 0x8180, 1, 1, 0, 0) + q[12:end] + answer, peer)
                """
            let server = try Child(["python3", "-u", "-c", script])
            try awaitReady(server)
            let client = try names.container("a", networks: ["n"])
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.6")
            server.end()
            names.end()
        }
    }

    @Test("a changed resolv.conf is noticed, and zones may change under a running service")
    func changes() throws {
        try inPrivateHost { host in
            let names = try NameHost(host, resolvConf: "nameserver 127.0.0.1\n", timeout: .milliseconds(200))
            let one = try names.upstream("127.0.0.1", saying: "192.0.2.1")
            let two = try names.upstream("127.0.0.2", saying: "192.0.2.2")
            let client = try names.container("a", networks: ["n"])
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.1")
            try replaceFile("\(host.root)/resolv.conf", Array("nameserver 127.0.0.2\n".utf8))
            try eventually("the new server is asked") {
                try names.ask("example.org", from: client) == "0 192.0.2.2"
            }
            names.service.zone.set(
                "n",
                hosts: [Zone.Host(container: "c", names: ["example.org"], address: IPv4Address(10, 0, 0, 9))])
            #expect(try names.ask("example.org", from: client) == "0 10.0.0.9")
            names.service.zone.remove(network: "n")
            #expect(try names.ask("example.org", from: client) == "0 192.0.2.2")
            one.end()
            two.end()
            names.end()
        }
    }

    @Test("a flood stays bounded and garbage is survived")
    func flood() throws {
        try inPrivateHost { host in
            let names = try NameHost(host, timeout: .seconds(1))
            names.service.zone = NameServiceTests.zone()
            let upstream = try names.upstream("127.0.0.1", saying: "192.0.2.7")
            let client = try names.container("a", networks: ["shop_front"])
            let flood = """
                import os, socket, struct
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.11', 53)); s.settimeout(8)
                for n in range(200): s.send(os.urandom(n % 64))
                got = {}
                for n in range(40):
                    s.send(struct.pack('>HHHHHH', 1000 + n, 0x100, 1, 0, 0, 0) + b'\\4slow\\1x\\0\\0\\1\\0\\1')
                while len(got) < 40:
                    m = s.recv(4096)
                    if 1000 <= m[0] << 8 | m[1] < 1040: got[m[:2]] = m[3] & 15
                conns = [socket.create_connection(('127.0.0.11', 53), 8) for _ in range(40)]
                closed = 0
                for c in conns:
                    c.settimeout(0.3)
                    try: closed += c.recv(1) == b''
                    except (TimeoutError, ConnectionResetError) as e: closed += isinstance(e, ConnectionResetError)
                print(set(got.values()), closed)
                """
            #expect(try names.run(["python3", "-c", flood], in: client) == "{2} 24")
            #expect(try names.ask("www", from: client) == "0 10.0.0.2")
            upstream.end()
            let asked = String(decoding: try readAll(upstream.output.raw), as: UTF8.self)
            // Eight at a time, twice round.
            #expect(asked.split(separator: "\n").count { $0 == "udp slow.x" } <= 16)
            names.end()
        }
    }
}
