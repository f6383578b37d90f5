// SPDX-License-Identifier: Apache-2.0
//
// Bridges, links and addresses on the real kernel, in a namespace of the test's own.

import Basics
import ContainerModel
import Kernel
import Netlink
import Synchronization
import Testing

@testable import Networking

@Suite struct LinkTests {
    @Test("a network is a bridge with its gateway's address, and ensuring it again changes nothing")
    func bridge() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let first = try stack.network("shop_default")
            let link = try host.shell("ip -d link show \(first.bridge)")
            #expect(link.contains("bridge"))
            #expect(link.contains("group \(stack.group)"))
            #expect(link.contains("alias covey/shop@"))
            #expect(link.contains("/shop_default"))
            #expect(try host.shell("ip -4 addr show \(first.bridge)").contains("\(first.gateway)/24"))
            #expect(try host.shell("ip -6 addr show \(first.bridge)") == "")
            #expect(
                try host.shell("cat /proc/sys/net/ipv4/conf/\(first.bridge)/route_localnet") == "1\n")
            #expect(try stack.network("shop_default") == first)
            #expect(stack.networks.removeProject("shop", group: stack.group) == [])
            #expect(try host.shell("ip -br link").split(separator: "\n").count == 1)
            #expect(try directoryEntries("\(host.root)/networks") == [])
            #expect(try directoryEntries("\(host.root)/leases") == ["lock"])
        }
    }

    @Test("containers on a network reach one another, and on two networks they do not share a bridge")
    func traffic() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default")
            let (web, _) = try stack.container("web", on: [network])
            let (db, addresses) = try stack.container("db", on: [network])
            let server = try db.serve(port: 5432, saying: "rows")
            #expect(try exchange("tcp", "\(addresses[0])", 5432, from: web).hasPrefix("rows to "))
            #expect(try web.shell("ip route").output.contains("default via \(network.gateway) dev eth0"))
            #expect(try web.shell("ip link show eth0").output.contains("02:42:"))
            server.end()
            web.end()
            db.end()
            #expect(stack.networks.removeProject("shop", group: stack.group) == [])
        }
    }

    @Test("an internal network gives its containers no default route")
    func internalNetwork() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_back") { $0.isInternal = true }
            let (db, _) = try stack.container("db", on: [network])
            #expect(!(try db.shell("ip route").output.contains("default")))
        }
    }

    @Test("fifty links are made over one socket and go with one delete by group")
    func group() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default")
            let container = try FakeContainer("many")
            let names = (0..<50).map { "c\($0)" }
            let addresses = try stack.networks.assignAddresses(
                names.map { AddressRequest(container: $0) }, network: network, project: "shop")
            #expect(Set(addresses.values).count == 50)
            for (i, name) in names.enumerated() {
                try stack.networks.attach(
                    EndpointAttachment(
                        container: name, network: network, address: addresses[name] ?? .any,
                        namespace: .pid(container.pid), linkName: "eth\(i)"),
                    project: "shop", group: stack.group)
            }
            #expect(try stack.networks.projectLinks("shop").count == 51)
            let failures = stack.networks.removeProjectLinks(project: "shop", group: stack.group)
            #expect(failures == [])
            #expect(try host.shell("ip -br link").split(separator: "\n").count == 1)
        }
    }

    @Test("a stranger in the project's group is named and left alone")
    func stranger() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            _ = try stack.network("shop_default")
            try host.shell("ip link add mine type bridge; ip link set mine group \(stack.group)")
            let failures = stack.networks.removeProjectLinks(project: "shop", group: stack.group)
            #expect(failures.count == 1)
            #expect(failures.first?.cause?.contains("link mine is in the project's group") == true)
            #expect(try host.shell("ip -br link").contains("mine"))
            #expect(!(try host.shell("ip -br link").contains("cvy")))
        }
    }

    @Test("two roots with a project of the same name do not touch each other")
    func twoRoots() throws {
        try inPrivateHost { host in
            let one = try Stack(host, root: "\(host.root)/one")
            let two = try Stack(host, root: "\(host.root)/two")
            let first = try one.network("shop_default")
            let second = try two.network("shop_default")
            #expect(first.bridge != second.bridge)
            #expect(one.group != two.group)
            #expect(!first.subnet.overlaps(second.subnet))
            #expect(one.networks.removeProject("shop", group: one.group) == [])
            #expect(try host.shell("ip -br link").contains(second.bridge))
        }
    }

    @Test("a link for a process that is gone says so")
    func gone() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default")
            let container = try FakeContainer("web")
            let pid = container.pid
            container.end()
            #expect {
                try stack.networks.attach(
                    EndpointAttachment(
                        container: "web", network: network, address: network.gateway, namespace: .pid(pid)),
                    project: "shop", group: stack.group)
            } throws: { error in
                "\(error)".contains("cannot connect container \"web\" to network \"shop_default\"")
                    && "\(error)".contains("ESRCH")
            }
            #expect(try host.shell("ip -br link").split(separator: "\n").count == 2)
        }
    }

    @Test(
        "a subnet that is wrong or taken is refused with the reason",
        arguments: [
            ("10.1.2.3/24", "write 10.1.2.0/24"), ("10.1.2.0", "is not an IPv4 network"),
            ("fd00::/64", "is not an IPv4 network"), ("10.1.2.0/31", "no room"),
            ("192.0.2.0/24", "overlaps 192.0.2.1/24 of this host's out0"),
            ("192.0.2.128/25", "overlaps 192.0.2.1/24 of this host's out0"),
            ("198.51.100.0/24", "overlaps the route to 198.51.100.0/24 through out0"),
            ("198.51.0.0/16", "overlaps the route to 198.51.100.0/24 through out0"),
            ("10.77.0.0/16", "overlaps 10.77.5.0/24 of network \"shop_other\" (project \"shop\")"),
        ])
    func badSubnet(subnet: String, message: String) throws {
        try inPrivateHost { host in
            try host.shell(
                "ip link add out0 type bridge; ip addr add 192.0.2.1/24 dev out0; ip link set out0 up")
            try host.shell("ip route add 198.51.100.0/24 dev out0")
            let stack = try Stack(host)
            _ = try stack.network("shop_other") { $0.subnet = "10.77.5.0/24" }
            #expect {
                try stack.network("shop_default") { $0.subnet = subnet }
            } throws: { error in
                "\(error)".contains(message)
                    && "\(error)".contains("cannot create network \"shop_default\"")
            }
            #expect(try directoryEntries("\(host.root)/networks") == ["shop_other.json"])
        }
    }

    // A VPN that takes all private addresses has such a route (WireGuard's AllowedIPs).
    @Test("a subnet that is named may lie in a wider route, with or without a gateway")
    func withinRoute() throws {
        try inPrivateHost { host in
            try host.shell(
                """
                ip link add wg0 type bridge && ip addr add 10.200.0.2/32 dev wg0 && ip link set wg0 up
                ip route add 10.0.0.0/8 dev wg0 && ip route add 172.16.0.0/12 via 10.200.0.1 onlink dev wg0
                """)
            let stack = try Stack(host)
            for (name, subnet) in [("one", "10.55.0.0/24"), ("two", "172.20.0.0/16")] {
                #expect(try stack.network(name) { $0.subnet = subnet }.subnet.description == subnet)
            }
            #expect(try host.shell("ip route get 10.55.0.7").contains("cvy"))
        }
    }

    // Owner and guest are two projects: the one changes its subnet while the other's containers are stopped.
    @Test("addresses of a network as it was before are given to nobody and forgotten")
    func outdatedLeases() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let ipv6 = try #require(IPv6Subnet("fd00:71::/64"))
            func network(_ subnet: String, _ ipv6: IPv6Subnet, gateway: String? = nil) throws -> NetworkState
            {
                try stack.network("shared") {
                    $0.subnet = subnet
                    $0.gateway = gateway
                    var request = IPv6Request()
                    request.subnet = ipv6
                    $0.ipv6 = request
                }
            }
            func lease(_ network: NetworkState, _ name: String) throws -> (IPv4Address, IPv6Address?) {
                let own = try stack.networks.assignAddress(
                    network: network, project: "guest", container: name)
                let other = try stack.networks.assignIPv6Addresses(
                    [IPv6AddressRequest(container: name)], network: network, project: "guest")
                return (own, other[name])
            }
            let before = try network("10.71.0.0/24", ipv6)
            #expect(try lease(before, "a").0 == IPv4Address(10, 71, 0, 2))
            _ = try lease(before, "b")
            let after = try network("10.72.0.0/24", try #require(IPv6Subnet("fd00:72::/64")))
            let (own, other) = try lease(after, "a")
            #expect(own == IPv4Address(10, 72, 0, 2))
            #expect(other?.description == "fd00:72::2")
            #expect(
                try stack.networks.records.addresses("shared").keys.sorted() == ["10.72.0.2", "fd00:72::2"])
            // It is the gateway's now.
            let last = try network(
                "10.72.0.0/24", try #require(IPv6Subnet("fd00:72::/64")), gateway: "10.72.0.2")
            #expect(try lease(last, "a").0 == IPv4Address(10, 72, 0, 1))
        }
    }

    @Test("a subnet, gateway and range that are given are used")
    func given() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default") {
                $0.subnet = "10.9.0.0/16"
                $0.gateway = "10.9.255.254"
                $0.ipRange = "10.9.4.0/30"
            }
            #expect(network.gateway == IPv4Address(10, 9, 255, 254))
            let one = try stack.networks.assignAddress(network: network, project: "shop", container: "a")
            #expect(one == IPv4Address(10, 9, 4, 0))
            let fixed = try stack.networks.assignAddress(
                network: network, project: "shop", container: "b", fixed: "10.9.200.7")
            #expect(fixed == IPv4Address(10, 9, 200, 7))
            for name in ["c", "d", "e"] {
                _ = try stack.networks.assignAddress(network: network, project: "shop", container: name)
            }
            #expect {
                try stack.networks.assignAddress(network: network, project: "shop", container: "f")
            } throws: {
                "\($0)".contains("all addresses of 10.9.4.0/30 are in use")
            }
            #expect {
                try stack.networks.assignAddress(
                    network: network, project: "shop", container: "g", fixed: "10.9.200.7")
            } throws: {
                "\($0)".contains("container \"b\" of project \"shop\" has it")
            }
            try stack.networks.releaseAddresses(project: "shop", container: "c")
            #expect(
                try stack.networks.assignAddress(network: network, project: "shop", container: "f")
                    == IPv4Address(10, 9, 4, 1))
            // A changed subnet makes the bridge anew.
            let other = try stack.network("shop_default") { $0.subnet = "10.10.0.0/24" }
            #expect(other.index != network.index)
        }
    }

    @Test("a host whose routes cover the first pool gets a subnet of the next")
    func wideRoute() throws {
        try inPrivateHost { host in
            try host.shell(
                "ip link add out0 type bridge; ip addr add 192.0.2.1/24 dev out0; ip link set out0 up")
            try host.shell("ip route add 10.0.0.0/8 via 192.0.2.9")
            let network = try Stack(host).network("shop_default")
            #expect("\(network.subnet)".hasPrefix("172."))
        }
    }

    @Test(
        "where a VPN routes everything, or all private networks, there is a subnet all the same",
        arguments: [
            ["0.0.0.0/1 dev out0", "128.0.0.0/1 dev out0"],
            ["10.0.0.0/8 dev out0", "172.16.0.0/12 via 192.0.2.9", "192.168.0.0/16 via 192.0.2.9"],
        ])
    func widestRoutes(routes: [String]) throws {
        try inPrivateHost { host in
            try host.shell(
                "ip link add out0 type bridge; ip addr add 192.0.2.1/24 dev out0; ip link set out0 up")
            for route in routes { try host.shell("ip route add \(route)") }
            let network = try Stack(host).network("shop_default")
            #expect("\(network.subnet)".hasPrefix("10.") && network.subnet.prefix == 24)
        }
    }

    @Test("an external network that is not there says what to do")
    func external() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            #expect {
                try stack.network("shared") { $0.external = true }
            } throws: {
                "\($0)".contains("cannot use external network \"shared\"")
            }
            let owner = try Stack(host, "infra")
            let made = try owner.network("shared")
            #expect(try stack.network("shared") { $0.external = true } == made)
        }
    }

    @Test("a record that cannot be read is named, never skipped")
    func brokenRecord() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            try writeFile("\(host.root)/networks/shop_default.json", Array("{".utf8))
            #expect {
                try stack.network("shop_default")
            } throws: {
                "\($0)".contains("cannot read \(host.root)/networks/shop_default.json")
            }
        }
    }

    @Test("projects brought up and down at the same time do not disturb one another")
    func parallel() throws {
        try inPrivateHost { host in
            // Four under one root, four under roots of their own.
            try together(
                (0..<8).map { i in
                    {
                        let project = "p\(i)"
                        let stack = try Stack(
                            host, project, root: i < 4 ? host.root : "\(host.root)/root\(i)")
                        for round in 0..<5 {
                            let group = try stack.networks.reserveGroup(project: project)
                            let network = try stack.networks.ensureNetwork(
                                NetworkRequest(name: "\(project)_default"), project: project, group: group)
                            let port = PublishedPort(
                                hostPort: UInt16(8000 + i * 10 + round), container: "web",
                                address: IPv4Address(network.gateway.value + 1), port: 80)
                            try stack.networks.publish([port], networks: [network], project: project)
                            let drift = try stack.networks.verifyTable(
                                [port], networks: [network], project: project)
                            if drift != [] { throw Broken("\(drift)") }
                            let failures = stack.networks.removeProject(project, group: group)
                            if failures != [] { throw Broken("\(failures)") }
                        }
                    }
                })
            #expect(try host.shell("nft list ruleset") == "")
            #expect(try host.shell("ip -br link").split(separator: "\n").count == 1)
        }
    }

    @Test("batches that are refused meanwhile do not make the rules look changed")
    func refusedMeanwhile() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default")
            try stack.networks.publish([], networks: [network], project: "shop")
            let looking = Mutex(true)
            try together(
                [
                    {
                        defer { looking.withLock { $0 = false } }
                        let mine = try Stack(host)
                        for _ in 0..<800 {
                            let drift = try mine.networks.verifyTable(
                                [], networks: [network], project: "shop")
                            if drift != [] { throw Broken("\(drift)") }
                        }
                    }
                ]
                    + (0..<3).map { _ in
                        {
                            let socket = try NetlinkSocket(.netfilter)
                            while looking.withLock({ $0 }) {
                                // As a project does that saw no table where another one made it meanwhile.
                                var batch = Requests()
                                batch.beginBatch()
                                FirewallTable.build(into: &batch, fresh: true)
                                batch.endBatch()
                                #expect(throws: NetlinkError.self) { try socket.perform(batch) }
                            }
                        }
                    })
            #expect(stack.networks.removeProject("shop", group: stack.group) == [])
        }
    }

    @Test("a network that becomes internal is so in the firewall too")
    func becomesInternal() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let open = try stack.network("shop_default")
            try stack.networks.publish([], networks: [open], project: "shop")
            let closed = try stack.network("shop_default") { $0.isInternal = true }
            try stack.networks.publish([], networks: [closed], project: "shop")
            #expect(!(try host.shell("nft list set inet covey outbound").contains("cvy")))
            #expect(try host.shell("nft list set inet covey internal").contains(closed.bridge))
            #expect(closed.subnet == open.subnet)
        }
    }
}
