// SPDX-License-Identifier: Apache-2.0
//
// What connection tracking remembers of udp ports, with a client that keeps its source port: each of its datagrams belongs to
// the flow that the first one began.

import ContainerModel
import Netlink
import Testing

@testable import Networking

/// One exchange from a port of its own.
private let sameSource = """
    import socket, sys
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', 7001)); s.settimeout(float(sys.argv[2]))
    try:
        s.connect((sys.argv[1], 5000)); s.send(b'hello'); print(s.recv(99).decode().split()[0])
    except OSError: print('nobody')
    """

@Suite struct StaleFlowTests {
    @Test("a udp client reaches whoever has the port now, wherever its flow went before")
    func movedPort() throws {
        try inPrivateHost { host in
            let outside = try FakeContainer("outside")
            try host.shell(
                """
                ip link add up0 type veth peer name eth0 netns \(outside.pid)
                ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up
                """)
            try outside.shell("ip addr add 192.0.2.9/24 dev eth0; ip link set eth0 up; ip link set lo up")
            let stack = try Stack(host)
            let networks = stack.networks
            let network = try stack.network("shop_default")
            let (one, oneAddress) = try stack.container("one", on: [network])
            let (two, twoAddress) = try stack.container("two", on: [network])
            let servers = try [one, two].map { try $0.serve("udp", port: 53, saying: $0.name) }
            let beyond = try outside.serve("udp", port: 5000, saying: "beyond")
            func publish(_ name: String?, _ address: IPv4Address, on hostAddress: IPv4Address = .any) throws {
                let ports = name.map {
                    PublishedPort(
                        proto: .udp, hostAddress: hostAddress, hostPort: 5000, container: $0,
                        address: address, port: 53)
                }
                try networks.publish([ports].compactMap(\.self), networks: [network], project: "shop")
            }
            func askedFromOutside(_ patience: Double = 3) throws -> String {
                let client = ["python3", "-c", sameSource, "192.0.2.1", "\(patience)"]
                let answer = try run(["nsenter", "-t", "\(outside.pid)", "-n"] + client).output
                return String(answer.prefix { $0 != "\n" })
            }
            func askedFromHere() throws -> String {
                String(
                    try run(["python3", "-c", sameSource, "127.0.0.1", "3"]).output.prefix { $0 != "\n" })
            }
            func flows() throws -> [TrackedFlow] {
                var question = Requests()
                question.dumpUDPFlows()
                return try networks.netfilter.ask(question, roughly: true).compactMap(TrackedFlow.init)
            }
            // Only the networks are admitted: the flow of its first datagram is one to this host itself.
            try publish(nil, .any)
            #expect(try askedFromOutside() == "nobody")
            #expect(try askedFromHere() == "nobody")
            // A flow that is forwarded to somebody else's port of that number.
            #expect(try exchange("udp", "192.0.2.9", 5000, from: one).hasPrefix("beyond"))
            let forwarded = try flows().filter { $0.destination == IPv4Address(192, 0, 2, 9) }
            try publish("one", oneAddress[0])
            #expect(try askedFromOutside() == "one")
            #expect(try askedFromHere() == "one")
            // It moves: to another container, and to another address of this host.
            try networks.unpublish(container: "one", project: "shop")
            try publish("two", twoAddress[0])
            #expect(try askedFromOutside() == "two")
            #expect(try askedFromHere() == "two")
            try networks.unpublish(project: "shop")
            #expect(try askedFromOutside(0.5) == "nobody")
            try publish("one", oneAddress[0], on: IPv4Address(192, 0, 2, 1))
            #expect(try askedFromOutside() == "one")
            // Published again it goes on as it is.
            let led = try flows().filter { $0.answerer == oneAddress[0] }
            #expect(led.count == 1)
            try publish("one", oneAddress[0], on: IPv4Address(192, 0, 2, 1))
            #expect(try flows().filter { $0.answerer == oneAddress[0] } == led)
            // One that is not ours is nobody's business.
            #expect(forwarded.count == 1)
            #expect(try flows().filter { $0.destination == IPv4Address(192, 0, 2, 9) } == forwarded)
            for server in servers + [beyond] { server.end() }
            for container in [one, two, outside] { container.end() }
            #expect(networks.removeProject("shop", group: stack.group) == [])
            #expect(try flows().filter { $0.answerer == oneAddress[0] } == [])
        }
    }

    @Test("the kernel lists udp flows alone")
    func filter() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default")
            try stack.networks.publish([], networks: [network], project: "shop")
            for proto in ["tcp", "udp"] {
                let server = try Child([
                    "python3", "-u", "-c", serverScript, proto, "127.0.0.1", "9999", "here",
                ])
                try awaitReady(server)
                #expect(try exchange(proto, "127.0.0.1", 9999).hasPrefix("here"))
                server.end()
            }
            var question = Requests()
            question.dumpUDPFlows()
            let answers = try stack.networks.netfilter.ask(question, roughly: true).filter {
                $0.outcome == nil
            }
            let flows = answers.compactMap(TrackedFlow.init)
            #expect(answers.count == 1)
            #expect(flows.map(\.destinationPort) == [9999])
            #expect(flows.map(\.answerer) == [.loopback])
        }
    }

    @Test("of udp ports what goes elsewhere is stale, and of tcp ports nothing")
    func decision() throws {
        let port = PublishedPort(
            proto: .tcp, hostPort: 5000, container: "one", address: IPv4Address(10, 1, 1, 2), port: 53)
        #expect(LedPort(port) == nil)
        let tcp = SetElement(
            key: [6, 0, 0, 0, 0x13, 0x88, 0, 0], value: [10, 1, 1, 2, 0, 53, 0, 0], comment: "")
        let udp = SetElement(
            key: [17, 0, 0, 0, 192, 0, 2, 1, 0x13, 0x88, 0, 0], value: [10, 1, 1, 2, 0, 53, 0, 0], comment: ""
        )
        #expect(LedPort(tcp, of: FirewallTable.everywhere) == nil)
        #expect(LedPort(udp, of: FirewallTable.hairpin) == nil)
        let led = try #require(LedPort(udp, of: FirewallTable.published))
        #expect(led.hostAddress == IPv4Address(192, 0, 2, 1))
        #expect(led.hostPort == 5000)
        #expect(led.address == port.address)
        #expect(led.port == 53)
    }
}
