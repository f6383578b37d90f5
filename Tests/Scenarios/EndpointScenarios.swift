// SPDX-License-Identifier: Apache-2.0
//
// What a service says of its interfaces beyond their networks, and networks that say what nobody is given.

import Glibc
import Testing

extension Scenarios {
    @Suite("endpoints")
    struct Endpoints {
        @Test(
            "an interface's name, settings and further addresses are as declared, after its link was deleted too"
        )
        func attributes() throws {
            try Stage.play("endpoints") { stage in
                try stage.covey("up", "-d", "app", "neighbour")
                func check(_ when: String) throws {
                    try stage.require(
                        try stage.exec("app", "ls /sys/class/net | sort | xargs") == "eth0 lan0 lo wan0", when
                    )
                    let route = try stage.exec("app", "ip route show default")
                    try stage.require(route.contains("dev wan0"), "\(when): \(route)")
                    let own = try stage.exec("app", "ip -o addr show dev lan0")
                    for address in ["10.78.0.3/29", "169.254.7.7/16", "fd00:77::7/64"] {
                        try stage.require(own.contains(" \(address) "), "\(when): \(own)")
                    }
                    let settings = try stage.exec(
                        "app",
                        "cd /proc/sys/net/ipv4; cat conf/wan0/log_martians conf/lan0/log_martians neigh/wan0/gc_stale_time"
                    )
                    try stage.require(settings == "1\n0\n77", "\(when): \(settings)")
                }
                try check("at first")
                // The addresses of others are given to nobody: .2 and .4 are theirs.
                try stage.require(
                    try stage.exec("neighbour", "hostname -i") == "10.78.0.5",
                    "an address of others was given")
                let greedy = try stage.covey("up", "-d", "greedy", code: 1)
                try stage.require(
                    greedy.errors.contains("the network's `aux_addresses` keeps it for \"printer\""),
                    "\(greedy)")
                let late = try stage.covey("up", "-d", "late", code: 1)
                try stage.require(late.errors.contains("all addresses of 10.78.0.0/29 are in use"), "\(late)")
                let pid = try stage.container("app").Pid ?? 0
                for link in ["lan0", "wan0"] {
                    try stage.inHost(["nsenter", "-t", "\(pid)", "-n", "ip", "link", "del", link]).orThrow()
                }
                try stage.eventually("the links are made again") {
                    try stage.execSucceeds(
                        "app",
                        "ip -o addr show dev lan0 | grep -q 77::7 && ip route | grep -q default.*wan0 "
                            + "&& grep -q 1 /proc/sys/net/ipv4/conf/wan0/log_martians")
                }
                try check("after the repair")
                try stage.inHost([
                    "nsenter", "-t", "\(pid)", "-n", "ip", "addr", "del", "169.254.7.7/16", "dev", "lan0",
                ]).orThrow()
                try stage.eventually("a further address comes back") {
                    try stage.execSucceeds("app", "ip -o addr show dev lan0 | grep -q 169.254.7.7/16")
                }
                try stage.require(
                    try stage.covey("up", "-d", "app").errors.contains("Started") == false, "unchanged")
            }
        }

        @Test("a network without IPv4 has IPv6 alone: addresses, names, routes, published ports, repair")
        func withoutIPv4() throws {
            try Stage.play("endpoints") { stage in
                try stage.covey("up", "-d", "six", "web")
                try stage.require(
                    try stage.exec("six", "ip -4 -o addr show dev eth0").isEmpty, "an IPv4 address")
                let further = try stage.exec("web", "ip -4 -o addr show dev eth0")
                try stage.require(further.contains("169.254.8.8/16") && !further.contains("\n"), further)
                let own = try stage.exec("six", "ip -6 -o addr show dev eth0 scope global")
                try stage.require(own.contains("fd00:c0:e2::800"), own)
                try stage.exec("six", "ping -6 -c 1 -w 5 web && wget -q -O /dev/null http://web/hostname")
                let answer = try stage.exec(
                    "six", "nslookup -type=a web 127.0.0.11 2>/dev/null; cat /etc/hosts")
                try stage.require(
                    !answer.split(separator: "\n").contains {
                        $0.hasPrefix("Address: 1") || $0.hasPrefix("10.")
                    },
                    answer)
                try stage.inHost(["curl", "-gsSf", "-m", "5", "http://[::1]:8087/hostname"]).orThrow()
                let published = try stage.covey("up", "-d", "published", code: 1)
                try stage.require(published.errors.contains("its networks have IPv6 alone"), "\(published)")
                // The next controller, and a link made again, know of no IPv4 either.
                guard stage.engine().count == 2, let controller = stage.engine().last else {
                    throw ScenarioError("no controller")
                }
                kill(controller, SIGKILL)
                try stage.eventually("the port is served again") {
                    try stage.inHost(["curl", "-gsSf", "-m", "5", "http://[::1]:8087/hostname"]).succeeded
                }
                let pid = try stage.container("six").Pid ?? 0
                try stage.inHost(["nsenter", "-t", "\(pid)", "-n", "ip", "link", "del", "eth0"]).orThrow()
                try stage.eventually("the link is made again") {
                    try stage.execSucceeds("six", "ping -6 -c 1 -w 1 web")
                }
                try stage.require(
                    try stage.exec("six", "ip -4 -o addr show dev eth0").isEmpty,
                    "an IPv4 address after repair")
                try stage.require(
                    try stage.covey("up", "-d", "six", "web").errors.contains("Started") == false, "unchanged"
                )
            }
        }
    }
}
