// SPDX-License-Identifier: Apache-2.0
//
// Networks with `enable_ipv6`: addresses, names, the way out, repair.

import Testing

extension Scenarios {
    @Suite("IPv6 networks")
    struct IPv6Networks {
        @Test("containers have addresses, reach each other by name over IPv6, and keep what was declared")
        func addresses() throws {
            try Stage.play("ipv6") { stage in
                try stage.covey("up", "-d")
                try stage.exec("a", "ping -6 -c 1 -w 5 web")
                try stage.exec("web", "ping -6 -c 1 -w 5 alpha")
                let own = try stage.exec("web", "ip -6 -o addr show scope global")
                try stage.require(own.contains("fd00:c0:e1::80/64"), own)
                let route = try stage.exec("web", "ip -6 route show default")
                try stage.require(route.contains("via fd00:c0:e1::fe"), route)
                let hosts = try stage.exec("web", "cat /etc/hosts")
                try stage.require(hosts.contains("fd00:c0:e1::80"), hosts)
                let answer = try stage.exec("a", "nslookup -type=aaaa web 127.0.0.11 2>/dev/null; true")
                try stage.require(answer.contains("Address: fd"), answer)
                try stage.require(
                    try stage.exec("a", "cat /sys/class/net/eth0/mtu") == "1400", "the mtu that was given")
                try stage.require(
                    try stage.covey("up", "-d").errors.contains("unchanged"), "a second up changes nothing")
                // Beside the container that has the address.
                try stage.covey("run", "--rm", "-T", "web", "true")
                // CVE-2020-13401: neither the host nor a neighbour takes a container for a router.
                let accepted = try stage.inHost([
                    "sh", "-ec",
                    "for link in $(ip -o link show type bridge | cut -d: -f2); do cat /proc/sys/net/ipv6/conf/$link/accept_ra; done | sort -u",
                ])
                try stage.require(accepted.text == "0", "router advertisements: \(accepted)")
                for service in ["a", "web"] {
                    try stage.require(
                        try stage.exec(service, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra") == "0", service)
                }
                // Fixed addresses are swapped: who has one gives it up before the other is made.
                try stage.edit(
                    "networks: {six: {aliases: [alpha]}}",
                    "depends_on: [web]\n    networks: {named: {ipv6_address: \"fd00:c0:e1::81\"}}")
                try stage.covey("up", "-d", "-t", "1")
                for (old, new) in [("::81", "::82"), ("::80", "::81"), ("::82", "::80")] {
                    try stage.edit(old, new)
                }
                try stage.covey("up", "-d", "-t", "1")
                for (service, address) in [("a", "::80"), ("web", "::81")] {
                    let own = try stage.exec(service, "ip -6 -o addr show scope global")
                    try stage.require(own.contains("fd00:c0:e1\(address)/64"), own)
                }
            }
        }

        @Test("the way out is masqueraded, an internal network has none, published ports answer on [::1]")
        func outside() throws {
            try Stage.play("ipv6") { stage in
                _ = try stage.inNeighbour(["true"])
                try stage.inHost(["ip", "address", "add", "2001:db8::1/64", "dev", "up0", "nodad"]).orThrow()
                try stage.inNeighbour(["ip", "address", "add", "2001:db8::2/64", "dev", "up0", "nodad"])
                    .orThrow()
                try stage.inHost(["sysctl", "-qw", "net.ipv6.conf.up0.accept_ra=1"]).orThrow()
                try stage.covey("up", "-d")
                // The neighbour has no route to any network of ours: it answers because the host's address asks.
                try stage.exec("a", "ping -6 -c 1 -w 5 2001:db8::2")
                try stage.exec("web", "ping -6 -c 1 -w 5 2001:db8::2")
                try stage.require(
                    try !stage.execSucceeds("closed", "ping -6 -c 1 -w 2 2001:db8::2"), "internal has a way")
                let accepts = try stage.inHost(["cat", "/proc/sys/net/ipv6/conf/up0/accept_ra"]).text
                try stage.require(accepts == "2", "the host still takes advertisements: \(accepts)")
                for address in ["[::1]", "127.0.0.1", "[2001:db8::1]"] {
                    try stage.inHost(["curl", "-gsSf", "-m", "5", "http://\(address):8086/hostname"])
                        .orThrow()
                }
                try stage.inNeighbour(["curl", "-gsSf", "-m", "5", "http://[2001:db8::1]:8086/hostname"])
                    .orThrow()
                try stage.dismissNeighbour()
            }
        }

        @Test(
            "an address or a route that is taken away comes back, and the address is the same after a restart"
        )
        func repair() throws {
            try Stage.play("ipv6") { stage in
                try stage.covey("up", "-d")
                let before = try stage.exec(
                    "a", "ip -6 -o addr show scope global dev eth0 | awk '{print $4}'")
                guard let pid = try stage.container("a").Pid else { throw ScenarioError("a does not run") }
                try Host.run([
                    "nsenter", "-t", "\(pid)", "-n", "ip", "address", "delete", before, "dev", "eth0",
                ])
                .orThrow()
                try stage.eventually("the address comes back") {
                    try stage.execSucceeds("a", "ip -6 -o addr show dev eth0 | grep -q \(before)")
                }
                try stage.exec("a", "ping -6 -c 1 -w 5 web")
                let inside = ["nsenter", "-t", "\(pid)", "-n"]
                let connected = "ip -6 route show proto kernel | awk '!/^fe80/ {print $1; exit}'"
                let subnet = try stage.inHost(inside + ["sh", "-c", connected]).orThrow().text
                for (place, route) in [(inside, "default"), (inside, subnet), ([], subnet)] {
                    try stage.inHost(place + ["ip", "-6", "route", "delete", route]).orThrow()
                    try stage.eventually("the route to \(route) comes back") {
                        try stage.inHost(place + ["ip", "-6", "route", "show", route]).text.contains("dev")
                    }
                }
                try stage.exec("a", "ping -6 -c 1 -w 5 web")
                try stage.covey("restart", "a")
                let after = try stage.exec("a", "ip -6 -o addr show scope global dev eth0 | awk '{print $4}'")
                try stage.require(after == before, "\(before) became \(after)")
            }
        }
    }
}
