// SPDX-License-Identifier: Apache-2.0
//
// The table `inet covey` with real traffic: an outside host on a link of the private host, containers behind bridges.

import Basics
import FoundationEssentials
import ContainerModel
import Kernel
import Netlink
import Testing

@testable import Networking

/// A private host with an outside neighbour at 192.0.2.9, itself at 192.0.2.1 and 192.0.2.2.
private func withOutside(bridgeNetfilter: Bool = false, _ body: (PrivateHost, FakeContainer) throws -> Void)
    throws
{
    try inPrivateHost { host in
        let outside = try FakeContainer("outside")
        try host.shell(
            """
            ip link add up0 type veth peer name eth0 netns \(outside.pid)
            ip addr add 192.0.2.1/24 dev up0 && ip addr add 192.0.2.2/24 dev up0 && ip link set up0 up
            """)
        try outside.shell("ip addr add 192.0.2.9/24 dev eth0; ip link set eth0 up; ip link set lo up")
        // Belongs to the namespace since Linux 5.4; absent where br_netfilter is.
        if exists("/proc/sys/net/bridge/bridge-nf-call-iptables") {
            try host.shell("echo \(bridgeNetfilter ? 1 : 0) > /proc/sys/net/bridge/bridge-nf-call-iptables")
        }
        try body(host, outside)
        outside.end()
    }
}

/// Two networks with a web container on the first, another beside it, and one on the second.
private struct Scene {
    let stack: Stack
    let front: NetworkState
    let back: NetworkState
    let web: FakeContainer
    let webAddress: IPv4Address
    let beside: FakeContainer
    let other: FakeContainer
    let otherAddress: IPv4Address

    init(_ host: PrivateHost) throws {
        stack = try Stack(host)
        front = try stack.network("shop_front")
        back = try stack.network("shop_back")
        let first = try stack.container("web", on: [front])
        let third = try stack.container("other", on: [back])
        web = first.0
        webAddress = first.1[0]
        beside = try stack.container("beside", on: [front]).0
        other = third.0
        otherAddress = third.1[0]
    }

    func publish(_ ports: [PublishedPort]) throws {
        try stack.networks.publish(ports, networks: [front, back], project: "shop")
    }

    func port(
        _ hostPort: UInt16, to port: UInt16, on address: IPv4Address = .any, _ proto: PortRequest.Proto = .tcp
    )
        -> PublishedPort
    {
        PublishedPort(
            proto: proto, hostAddress: address, hostPort: hostPort, container: "web", address: webAddress,
            port: port)
    }

    func end() {
        for container in [web, beside, other] { container.end() }
        #expect(stack.networks.removeProject("shop", group: stack.group) == [])
    }
}

@Suite struct FirewallTests {
    @Test("published everywhere: reachable from all sides", arguments: [false, true])
    func everywhere(bridgeNetfilter: Bool) throws {
        try withOutside(bridgeNetfilter: bridgeNetfilter) { host, outside in
            let scene = try Scene(host)
            try scene.publish([scene.port(8080, to: 80), scene.port(5353, to: 53, .udp)])
            let tcp = try scene.web.serve(port: 80, saying: "web")
            let udp = try scene.web.serve("udp", port: 53, saying: "names")
            // From another host, which is seen as itself.
            #expect(try exchange("tcp", "192.0.2.1", 8080, from: outside) == "web to 192.0.2.9")
            #expect(try exchange("tcp", "192.0.2.2", 8080, from: outside) == "web to 192.0.2.9")
            #expect(try exchange("udp", "192.0.2.1", 5353, from: outside) == "names to 192.0.2.9")
            // From this host.
            #expect(try exchange("tcp", "127.0.0.1", 8080) == "web to \(scene.front.gateway)")
            #expect(try exchange("udp", "127.0.0.1", 5353) == "names to \(scene.front.gateway)")
            #expect(try exchange("tcp", "192.0.2.1", 8080) == "web to 192.0.2.1")
            #expect(try exchange("tcp", "\(scene.webAddress)", 80).hasPrefix("web to "))
            // From containers: another network, the same one, itself.
            #expect(
                try exchange("tcp", "192.0.2.1", 8080, from: scene.other) == "web to \(scene.front.gateway)")
            #expect(
                try exchange("tcp", "\(scene.back.gateway)", 8080, from: scene.other)
                    == "web to \(scene.front.gateway)")
            #expect(try exchange("tcp", "192.0.2.1", 8080, from: scene.beside).hasPrefix("web to "))
            #expect(try exchange("tcp", "192.0.2.1", 8080, from: scene.web).hasPrefix("web to "))
            #expect(try exchange("udp", "192.0.2.1", 5353, from: scene.web).hasPrefix("names to "))
            // Within the network, directly.
            #expect(try exchange("tcp", "\(scene.webAddress)", 80, from: scene.beside).hasPrefix("web to "))
            tcp.end()
            udp.end()
            scene.end()
        }
    }

    @Test("not published: no way in from outside or from another network", arguments: [false, true])
    func isolated(bridgeNetfilter: Bool) throws {
        try withOutside(bridgeNetfilter: bridgeNetfilter) { host, outside in
            let scene = try Scene(host)
            try scene.publish([scene.port(8080, to: 80, on: IPv4Address(192, 0, 2, 2))])
            let tcp = try scene.web.serve(port: 80, saying: "web")
            // A neighbour that routes to the containers itself.
            try outside.shell("ip route add \(scene.front.subnet) via 192.0.2.1")
            #expect(
                try exchange("tcp", "\(scene.webAddress)", 80, from: outside, patience: 0.5).hasPrefix(
                    "error"))
            #expect(
                try exchange("tcp", "\(scene.webAddress)", 80, from: scene.other, patience: 0.5).hasPrefix(
                    "error"))
            // Only the address it was published on.
            #expect(try exchange("tcp", "192.0.2.2", 8080, from: outside) == "web to 192.0.2.9")
            #expect(try exchange("tcp", "192.0.2.1", 8080, from: outside, patience: 0.5).hasPrefix("error"))
            #expect(try exchange("tcp", "127.0.0.1", 8080, patience: 0.5).hasPrefix("error"))
            // The control: without our rules the neighbours' routes do lead in.
            try host.shell("nft flush chain inet covey forward")
            for intruder in [outside, scene.other] {
                #expect(try exchange("tcp", "\(scene.webAddress)", 80, from: intruder).hasPrefix("web to "))
            }
            tcp.end()
            scene.end()
        }
    }

    @Test("published on 127.0.0.1: reachable from this host alone, whatever route an attacker makes")
    func loopbackOnly() throws {
        try withOutside { host, outside in
            let scene = try Scene(host)
            try scene.publish([scene.port(8080, to: 80, on: .loopback)])
            let tcp = try scene.web.serve(port: 80, saying: "web")
            let mine = try Child(["python3", "-u", "-c", serverScript, "tcp", "127.0.0.1", "9999", "host"])
            try awaitReady(mine)
            #expect(try exchange("tcp", "127.0.0.1", 8080) == "web to \(scene.front.gateway)")
            for attacker in [outside, scene.other] {
                let way = attacker === outside ? "192.0.2.1" : "\(scene.back.gateway)"
                #expect(try exchange("tcp", way, 8080, from: attacker, patience: 0.5).hasPrefix("error"))
                // The crafted route: 127.0.0.0/8 out of the link to us, accepted back.
                try attacker.shell(
                    """
                    echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
                    echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
                    ip addr del 127.0.0.1/8 dev lo
                    ip route del local 127.0.0.0/8 table local 2>/dev/null
                    ip route add 127.0.0.0/8 via \(way)
                    """)
                #expect(
                    try exchange("tcp", "127.0.0.1", 8080, from: attacker, patience: 0.5).hasPrefix("error"))
                #expect(
                    try exchange("tcp", "127.0.0.1", 9999, from: attacker, patience: 0.5).hasPrefix("error"))
            }
            // The control: the attack works where nothing stops it.
            try host.shell("nft flush chain inet covey raw")
            #expect(try exchange("tcp", "127.0.0.1", 9999, from: scene.other).hasPrefix("host to "))
            mine.end()
            tcp.end()
            scene.end()
        }
    }

    @Test("containers reach the outside as this host; internal networks reach nothing and are not reached")
    func outbound() throws {
        try withOutside { host, outside in
            let scene = try Scene(host)
            let closed = try scene.stack.network("shop_closed") { $0.isInternal = true }
            let (vault, addresses) = try scene.stack.container("vault", on: [closed])
            let (friend, _) = try scene.stack.container("friend", on: [closed])
            try scene.stack.networks.publish(
                [scene.port(8080, to: 80)], networks: [scene.front, scene.back, closed], project: "shop")
            let server = try outside.serve(port: 7000, saying: "world")
            let secret = try vault.serve(port: 80, saying: "secret")
            let web = try scene.web.serve(port: 80, saying: "web")
            #expect(try exchange("tcp", "192.0.2.9", 7000, from: scene.web) == "world to 192.0.2.1")
            #expect(try exchange("tcp", "\(addresses[0])", 80, from: friend).hasPrefix("secret to "))
            // Even with a route of its own making.
            try vault.shell("ip route add default via \(closed.gateway)")
            #expect(try exchange("tcp", "192.0.2.9", 7000, from: vault, patience: 0.5).hasPrefix("error"))
            #expect(try exchange("tcp", "192.0.2.1", 8080, from: vault, patience: 0.5).hasPrefix("error"))
            #expect(
                try exchange("tcp", "\(scene.webAddress)", 80, from: vault, patience: 0.5).hasPrefix("error"))
            #expect(
                try exchange("tcp", "\(addresses[0])", 80, from: scene.web, patience: 0.5).hasPrefix("error"))
            try outside.shell("ip route add \(closed.subnet) via 192.0.2.1")
            #expect(
                try exchange("tcp", "\(addresses[0])", 80, from: outside, patience: 0.5).hasPrefix("error"))
            server.end()
            secret.end()
            web.end()
            vault.end()
            friend.end()
            scene.end()
        }
    }

    @Test("nft lists what we meant, two projects share the table, and the last one takes it along")
    func shared() throws {
        try inPrivateHost { host in
            let shop = try Stack(host, "shop", root: NetworkOwnerRoot.path(host))
            let blog = try Stack(host, "blog", root: NetworkOwnerRoot.path(host))
            let one = try shop.network("shop_default")
            let two = try blog.network("blog_default") { $0.isInternal = true }
            let three = try blog.network("blog_front")
            try shop.networks.publish(
                [
                    PublishedPort(
                        hostPort: 8080, container: "shop-web-1", address: IPv4Address(10, 1, 1, 2), port: 80),
                    PublishedPort(
                        proto: .udp, hostAddress: .loopback, hostPort: 53, container: "shop-dns-1",
                        address: IPv4Address(10, 1, 1, 3), port: 5353),
                ], networks: [one], project: "shop")
            try blog.networks.publish([], networks: [two, three], project: "blog")
            let tag = "@" + shortHash(NetworkOwnerRoot.path(host), digits: 8)
            let listed = try host.shell("nft list table inet covey")
                .replacing(one.bridge, with: "cvyONE").replacing(two.bridge, with: "cvyTWO")
                .replacing(three.bridge, with: "cvyTHREE").replacing(tag, with: "")
            #expect(
                lines(listed)
                    == lines(
                        """
                        table inet covey {
                            comment "covey layout 1"
                            set bridges {
                                type ifname
                                elements = { "cvyONE" comment "covey/shop//shop_default",
                                "cvyTWO" comment "covey/blog//blog_default",
                                "cvyTHREE" comment "covey/blog//blog_front" }
                            }
                            set outbound {
                                type ifname
                                elements = { "cvyONE" comment "covey/shop//shop_default",
                                "cvyTHREE" comment "covey/blog//blog_front" }
                            }
                            set internal {
                                type ifname
                                elements = { "cvyTWO" comment "covey/blog//blog_default" }
                            }
                            set pairs {
                                type ifname . ifname
                                elements = { "cvyONE" . "cvyONE" comment "covey/shop//shop_default",
                                "cvyTWO" . "cvyTWO" comment "covey/blog//blog_default",
                                "cvyTHREE" . "cvyTHREE" comment "covey/blog//blog_front" }
                            }
                            map published {
                                type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service
                                elements = { udp . 127.0.0.1 . 53 comment "covey/shop/shop-dns-1/" : 10.1.1.3 . 5353 }
                            }
                            map everywhere {
                                type inet_proto . inet_service : ipv4_addr . inet_service
                                elements = { tcp . 8080 comment "covey/shop/shop-web-1/" : 10.1.1.2 . 80 }
                            }
                            set hairpin {
                                type ipv4_addr . ipv4_addr
                                elements = { 10.1.1.2 . 10.1.1.2 comment "covey/shop/shop-web-1/",
                                10.1.1.3 . 10.1.1.3 comment "covey/shop/shop-dns-1/" }
                            }
                            chain raw {
                                type filter hook prerouting priority raw; policy accept;
                                iifname != "lo" ip daddr 127.0.0.0/8 drop
                                iifname != "lo" ip saddr 127.0.0.0/8 drop
                            }
                            chain prerouting {
                                type nat hook prerouting priority dstnat; policy accept;
                                ip daddr != 127.0.0.0/8 fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map @published
                                ip daddr != 127.0.0.0/8 fib daddr type local dnat ip to meta l4proto . th dport map @everywhere
                            }
                            chain output {
                                type nat hook output priority -100; policy accept;
                                fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map @published
                                meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @everywhere
                            }
                            chain postrouting {
                                type nat hook postrouting priority srcnat; policy accept;
                                iifname @outbound oifname != @bridges masquerade
                                iifname @bridges ct status dnat masquerade
                                oifname @bridges ip saddr 127.0.0.0/8 masquerade
                                ip saddr . ip daddr @hairpin masquerade
                            }
                            chain forward {
                                type filter hook forward priority filter; policy accept;
                                ct state established,related accept
                                iifname . oifname @pairs accept
                                iifname @internal drop
                                oifname @internal drop
                                ct status dnat accept
                                oifname @bridges drop
                            }
                        }
                        """))
            #expect(shop.networks.removeProject("shop", group: shop.group) == [])
            let rest = try host.shell("nft list ruleset")
            #expect(!rest.contains("covey/shop"))
            #expect(rest.contains("covey/blog"))
            #expect(blog.networks.removeProject("blog", group: blog.group) == [])
            #expect(try host.shell("nft list ruleset") == "")
        }
    }

    @Test(
        "publishing again changes nothing; a container's new address replaces the old; another's port is named"
    )
    func republish() throws {
        try inPrivateHost { host in
            let shop = try Stack(host, "shop")
            let blog = try Stack(host, "blog")
            let first = PublishedPort(
                hostPort: 80, container: "web", address: IPv4Address(10, 1, 1, 2), port: 80)
            var moved = first
            moved.address = IPv4Address(10, 1, 1, 9)
            try shop.networks.publish([first], networks: [], project: "shop")
            let before = try host.shell("nft list ruleset")
            try shop.networks.publish([first], networks: [], project: "shop")
            #expect(try host.shell("nft list ruleset") == before)
            try shop.networks.publish([moved], networks: [], project: "shop")
            #expect(try host.shell("nft list map inet covey everywhere").contains("10.1.1.9 . 80"))
            #expect {
                try blog.networks.publish([first], networks: [], project: "blog")
            } throws: {
                "\($0)".contains("port 80/tcp is published by container \"web\" of project \"shop\"")
            }
            try shop.networks.unpublish(container: "web", project: "shop")
            #expect(try host.shell("nft list ruleset") == "")
        }
    }

    @Test("many ports are one transaction")
    func many() throws {
        try inPrivateHost { host in
            let shop = try Stack(host)
            let network = try shop.network("shop_default")
            let ports = (0..<1000).map { i in
                PublishedPort(
                    hostPort: UInt16(20000 + i), container: "c\(i)",
                    address: IPv4Address(network.subnet.base.value + 2 + UInt32(i % 200)), port: 80)
            }
            try shop.networks.publish(ports, networks: [network], project: "shop")
            #expect(try shop.networks.verifyTable(ports, networks: [network], project: "shop") == [])
            try shop.networks.unpublish(project: "shop")
            #expect(try host.shell("nft list ruleset") == "")
        }
    }

    @Test("drift is told and repaired: a flushed chain, a lost element, a lost table")
    func drift() throws {
        try inPrivateHost { host in
            let shop = try Stack(host)
            let network = try shop.network("shop_default")
            let port = PublishedPort(
                hostPort: 80, container: "web", address: IPv4Address(10, 1, 1, 2), port: 80)
            let networks = shop.networks
            try networks.publish([port], networks: [network], project: "shop")
            func look() throws -> [String] {
                try networks.verifyTable([port], networks: [network], project: "shop").map(\.description)
            }
            #expect(try look() == [])
            try host.shell("nft flush chain inet covey forward")
            #expect(try look() == ["the rules of chain forward were changed"])
            try networks.repairTable([port], networks: [network], project: "shop")
            #expect(try look() == [])
            try host.shell("nft flush map inet covey everywhere")
            #expect(try look().count == 1)
            try networks.publish([port], networks: [network], project: "shop")
            #expect(try look() == [])
            try host.shell("nft flush ruleset")
            #expect(try look() == ["table inet covey is gone"])
            try networks.publish([port], networks: [network], project: "shop")
            #expect(try look() == [])
        }
    }

    @Test(
        "a container's names go to the name service while it serves port 53 itself",
        arguments: ["udp", "tcp"])
    func ownPort53(proto: String) throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let network = try stack.network("shop_default")
            let (dns, addresses) = try stack.container("dns", on: [network])
            let (client, _) = try stack.container("client", on: [network])
            let ours = try dns.serve(proto, port: 34567, saying: "covey", on: "127.0.0.11")
            try dns.startNameRules(port: 34567)
            let own = try dns.serve(proto, port: 53, saying: "own")
            #expect(try exchange(proto, "127.0.0.11", 53, from: dns).hasPrefix("covey to "))
            #expect(try exchange(proto, "127.0.0.1", 53, from: dns).hasPrefix("own to "))
            #expect(try exchange(proto, "\(addresses[0])", 53, from: client).hasPrefix("own to "))
            #expect(
                try dns.shell("nft list table ip covey").output.contains(
                    "ip daddr 127.0.0.11 meta l4proto \(proto) th dport 53 dnat to 127.0.0.11:34567")
                    || (try dns.shell("nft list table ip covey").output.contains(
                        "ip daddr 127.0.0.11 \(proto) dport 53 dnat to 127.0.0.11:34567"))
            )
            ours.end()
            own.end()
        }
    }
}

private enum NetworkOwnerRoot {
    static func path(_ host: PrivateHost) -> String { "\(host.root)/shared" }
}

/// Lines without indentation and empty ones; sets' elements in any order, one a line.
private func lines(_ text: String) -> [String] {
    var result: [String] = []
    var elements: [String]?
    for raw in text.split(separator: "\n") {
        let line = raw.drop { $0 == " " || $0 == "\t" }
        if line.isEmpty { continue }
        var rest = String(line)
        if rest.hasPrefix("elements = { ") {
            elements = []
            rest = String(rest.dropFirst(13))
        }
        guard elements != nil else {
            result.append(rest)
            continue
        }
        let last = rest.hasSuffix(" }")
        if last { rest = String(rest.dropLast(2)) }
        for part in rest.split(separator: ",") {
            let element = String(part.drop { $0 == " " })
            if !element.isEmpty { elements?.append(element) }
        }
        if last {
            result.append("elements " + (elements ?? []).sorted().joined(separator: "; "))
            elements = nil
        }
    }
    return result
}
