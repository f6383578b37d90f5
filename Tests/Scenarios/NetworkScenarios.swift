// SPDX-License-Identifier: Apache-2.0
//
// Networks and names, seen from containers and from the host. Ports are PortScenarios.swift.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("networks")
    struct Networks {
        @Test("containers on one network reach each other by service, alias and container name")
        func names() throws {
            try Stage.play("networks") { stage in
                try stage.covey("up", "-d")
                for name in ["b", "the-b"] { try stage.exec("a", "ping -c 1 -w 5 \(name)") }
                for name in ["a", "alpha"] { try stage.exec("b", "ping -c 1 -w 5 \(name)") }
                try stage.exec("c", "ping -c 1 -w 5 b")
                let resolver = try stage.exec("a", "cat /etc/resolv.conf")
                try stage.require(resolver.contains("nameserver 127.0.0.11"), resolver)
            }
        }

        @Test("networks are isolated: no name and no packet crosses")
        func isolation() throws {
            try Stage.play("networks") { stage in
                try stage.covey("up", "-d")
                try stage.require(try !stage.execSucceeds("a", "ping -c 1 -w 2 c"), "a resolves c")
                let address = try stage.exec(
                    "c", "ip -4 -o addr show dev eth0 | awk '{print $4}' | cut -d/ -f1")
                try stage.require(try !stage.execSucceeds("a", "ping -c 1 -w 2 \(address)"), "a reaches c")
                try stage.require(
                    try stage.execSucceeds("b", "ping -c 1 -w 5 \(address)"), "b does not reach c")
            }
        }

        @Test("containers of two projects on a network know each other, and what one uses outlives the other")
        func shared() throws {
            try Stage.play("sharing-projects") { stage in
                let name = "sh-\(stage.project)"
                func covey(_ file: String, _ arguments: String...) throws -> Outcome {
                    let outcome = try stage.start(
                        ["-f", "\(file).yaml", "-p", "\(file)-\(stage.project)"] + arguments,
                        variables: ["SHARED=\(name)"]
                    ).wait()
                    return try outcome.orThrow()
                }
                let services = ["owner": "one", "guest": "two"]
                func exec(_ file: String, _ line: String) throws -> String {
                    try covey(file, "exec", "-T", services[file] ?? "", "sh", "-c", line).text
                }
                func meet() throws {
                    for name in ["two", "visitor"] { _ = try exec("owner", "ping -c 1 -w 5 \(name)") }
                    _ = try exec("guest", "ping -c 1 -w 5 one")
                }
                _ = try covey("owner", "up", "-d")
                _ = try covey("guest", "up", "-d")
                try meet()
                _ = try exec("guest", "echo mine > /data/file")
                let guest = try exec("guest", "hostname -i")
                let down = try covey("owner", "down", "-v", "--timeout", "1")
                for kind in ["network", "volume"] {
                    try stage.require("\(down)".contains("\(kind) \(name) stays"), "\(down)")
                }
                try stage.require(try exec("guest", "cat /data/file") == "mine", "the volume")
                // Back again it finds both, and its addresses are not the guest's.
                _ = try covey("owner", "up", "-d")
                try stage.require(try exec("owner", "hostname -i") != guest, "one address twice")
                try meet()
                _ = try covey("owner", "down", "--timeout", "1")
                _ = try covey("guest", "down", "--timeout", "1")
                let links = try stage.inHost(["ip", "-br", "link"])
                try stage.require(!links.output.contains("cvy"), links.output)
                _ = try covey("owner", "down", "-v")
            }
        }

        @Test("what a project made and declares external by now is no longer its own to take down")
        func external() throws {
            try Stage.play("external") { stage in
                let external = ["EXTERNAL=true"]
                let volume = "\(stage.directory)/root/volumes/\(stage.project)/data/file"
                func requireBoth(_ when: String) throws {
                    try stage.require(exists(volume), "the volume is gone \(when)")
                    let links = try stage.inHost(["ip", "-br", "link"]).output
                    try stage.require(links.contains("cvy"), "the network is gone \(when): \(links)")
                }
                let down = ["down", "-v", "--timeout", "1"]
                func covey(_ arguments: [String], _ variables: [String]) throws {
                    try stage.start(arguments, variables: variables).wait().orThrow()
                }
                try stage.covey("up", "-d")
                try stage.exec("app", "touch /data/file")
                try stage.covey("up", "-d", variables: external)
                let planned = try stage.covey("down", "-v", "--dry-run", variables: external)
                try stage.require(!planned.output.contains("remove network"), "\(planned)")
                // A file that doesn't say so any more does not undo what was brought up.
                try covey(down, [])
                try requireBoth("with a project that was up with them")
                // Nothing is up, and only the client's file speaks.
                try covey(down, external)
                try requireBoth("with nothing")
                let guest = external + ["COMPOSE_PROJECT_NAME=g-\(stage.project)", "NAME=\(stage.project)"]
                try covey(["up", "-d"], guest)
                try covey(down, guest)
                try requireBoth("with a guest")
                try stage.covey("up", "-d", variables: external)
                try stage.exec("app", "test -e /data/file")
                try covey(down, external)
                try requireBoth("the second time")
                // Its own again, and the client's newer file says otherwise.
                try stage.covey("up", "-d")
                try covey(down, external)
                try requireBoth("although the file says external")
                try stage.covey("up", "-d")
                try covey(down, [])
                try stage.require(!exists(volume), "the volume stays")
                let links = try stage.inHost(["ip", "-br", "link"]).output
                try stage.require(!links.contains("cvy"), "the network stays: \(links)")
            }
        }

        @Test("replicas answer with all their addresses")
        func replicas() throws {
            try Stage.play("networks") { stage in
                try stage.covey("up", "-d")
                let answer = try stage.exec("a", "nslookup replicated 127.0.0.11 2>/dev/null; true")
                var addresses: Set<String> = []
                for line in answer.split(separator: "\n")
                where line.hasPrefix("Address") && !line.contains("127.0.0.11") {
                    if let last = line.split(separator: " ").last { addresses.insert(String(last)) }
                }
                try stage.require(
                    addresses.filter { $0.contains(".") }.count == 3, "three addresses in:\n\(answer)")
            }
        }

        @Test("an internal network has no way out")
        func inside() throws {
            try Stage.play("networks") { stage in
                try stage.covey("up", "-d")
                _ = try stage.inNeighbour(["true"])
                try stage.require(try stage.execSucceeds("a", "ping -c 1 -w 5 192.0.2.2"), "a has no way out")
                try stage.require(
                    try !stage.execSucceeds("alone", "ping -c 1 -w 2 192.0.2.2"), "internal has one")
                try stage.dismissNeighbour()
            }
        }

        @Test("without networks there is one default network, with hostname and extra_hosts")
        func defaultNetwork() throws {
            try Stage.play("default-network") { stage in
                try stage.covey("up", "-d")
                try stage.exec("two", "ping -c 1 -w 5 one")
                try stage.require(try stage.exec("one", "hostname") == "first", "hostname")
                let hosts = try stage.exec("one", "cat /etc/hosts")
                try stage.require(hosts.contains("192.0.2.77") && hosts.contains("somewhere"), hosts)
                try stage.require(
                    try !stage.execSucceeds(
                        "one", "nslookup no-such-name-here 127.0.0.11 2>&1 | grep -q 'Address.*172'"),
                    "an unknown name has an address")
            }
        }

        @Test(
            "doctor names another firewall that drops what is forwarded, until that lets us through",
            arguments: ["ip", "inet"])
        func otherFirewall(family: String) throws {
            try Stage.play("one") { stage in
                func doctor() throws -> String { try stage.attempt("debug", "doctor").output }
                try stage.require(try !doctor().contains("other firewalls"), "it sees what is not there")
                let table =
                    "table \(family) strict { chain FORWARD { type filter hook forward priority 0; policy drop; ct state established accept; }; chain other { type filter hook input priority 0; policy accept; }; }"
                try stage.inHost(["nft", table]).orThrow()
                let found = try doctor()
                for text in [
                    "other firewalls", "chain FORWARD of table \(family) strict",
                    "nft insert rule \(family) strict FORWARD iifname",
                ] {
                    try stage.require(found.contains(text), "\(text) is not in \(found)")
                }
                for direction in ["iifname", "oifname"] {
                    try stage.inHost([
                        "nft", "insert rule \(family) strict FORWARD \(direction) \"cvy*\" accept",
                    ]).orThrow()
                }
                try stage.require(try !doctor().contains("other firewalls"), "its own advice does not help")
                try stage.inHost(["nft", "delete", "table", family, "strict"]).orThrow()
                // Ours is none.
                try stage.covey("up", "-d")
                try stage.require(try !doctor().contains("other firewalls"), "it complains of our own table")
            }
        }

        @Test("bridge and links have the MTU of the link the default route goes out by")
        func uplinkMTU() throws {
            try Stage.play("one") { stage in
                _ = try stage.inNeighbour(["true"])
                try stage.inHost(["ip", "link", "set", "up0", "mtu", "1380"]).orThrow()
                try stage.inHost(["ip", "route", "add", "default", "via", "192.0.2.2"]).orThrow()
                try stage.covey("up", "-d")
                try stage.require(try stage.exec("app", "cat /sys/class/net/eth0/mtu") == "1380", "inside")
                let links = try stage.inHost(["ip", "-o", "link"]).lines.filter { $0.contains(" cvy") }
                try stage.require(
                    links.count == 2 && links.allSatisfy { $0.contains("mtu 1380") }, "\(links)")
                try stage.covey("up", "-d", "--force-recreate")
                try stage.require(try stage.exec("app", "cat /sys/class/net/eth0/mtu") == "1380", "recreated")
                try stage.dismissNeighbour()
            }
        }

        @Test("a container may itself serve port 53 and still resolves names")
        func ownPort53() throws {
            try Stage.play("own-port-53") { stage in
                try stage.covey("up", "-d")
                try stage.exec("dns", "ping -c 1 -w 5 client")
                try stage.eventually("its own port 53 answers others") {
                    try stage.execSucceeds(
                        "client", "nc -w 2 dns 53 < /dev/null | grep -q 'from the container'")
                }
            }
        }
    }
}
