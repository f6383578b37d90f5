// SPDX-License-Identifier: Apache-2.0
//
// resolv.conf and hosts as containers find them.

import Basics
import CLinux
import ContainerModel
import FoundationEssentials
import Glibc
import Kernel
import Netlink
import Testing

@testable import Networking

@Suite struct ResolverFileTests {
    @Test("a resolv.conf is read as the C library reads it")
    func read() {
        let conf = ResolvConf(
            parsing: """
                # comment
                ; too
                domain old.example
                search a.example b.example
                nameserver 10.0.0.1
                nameserver fe80::1%eth0
                nameserver 2001:db8::1
                nameserver nonsense
                nameserver 10.0.0.2
                nameserver 10.0.0.3
                options ndots:2 edns0
                """)
        #expect(conf.servers.count == 3)
        #expect(conf.servers.first == .ipv4(IPv4Address(10, 0, 0, 1)))
        #expect(conf.search == ["a.example", "b.example"])
        #expect(
            resolvConfText(host: conf).split(separator: "\n").dropFirst().joined(separator: "\n") == """
                nameserver 127.0.0.11
                search a.example b.example
                options edns0 ndots:0
                """)
        #expect(ResolvConf(parsing: "").servers == [.ipv4(.loopback)])
        #expect(resolvConfText(host: ResolvConf()).contains("options ndots:0\n"))
    }

    @Test("hosts names the container on its addresses, and the host by host-gateway")
    func hosts() {
        let text = hostsText(
            hostname: "web.example.org", addresses: [IPv4Address(10, 0, 0, 2)],
            extraHosts: [
                HostEntry(name: "host.docker.internal", address: "host-gateway"),
                HostEntry(name: "other", address: "192.0.2.5"),
            ], hostGateway: "10.0.0.1")
        #expect(
            text.split(separator: "\n").suffix(3) == [
                "10.0.0.1\thost.docker.internal", "192.0.2.5\tother", "10.0.0.2\tweb.example.org web",
            ])
        #expect(text.hasPrefix("127.0.0.1\tlocalhost\n"))
    }
}
