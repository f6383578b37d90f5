// SPDX-License-Identifier: Apache-2.0
//
// Kept as declared: what somebody else changes is repaired in place, soon, and told. Each wait is shorter than the slow
// look, so that it is the event that is seen to work.

import FoundationEssentials
import Glibc
import Kernel
import Testing

/// One thing that somebody does to the project, as a shell would do it on the host.
///
/// The script has $PID of the container of `web`, $LINK its host end on `front`, $BRIDGE of `front`, $GROUPS its cgroup
/// directories and $ROOTS the roots of their hierarchies, in the same order.
struct Disturbance: CustomTestStringConvertible, Sendable {
    var title: String
    var script: String
    /// In the event's cause.
    var cause: String
    var needsUnified = false
    var needsLegacyFreezer = false
    var testDescription: String { title }

    static let all = [
        Disturbance(title: "a link is deleted", script: "ip link delete $LINK", cause: "was deleted"),
        Disturbance(title: "a link is set down", script: "ip link set $LINK down", cause: "set down"),
        Disturbance(
            title: "a link is taken out of its bridge", script: "ip link set $LINK nomaster",
            cause: "taken out of the bridge"),
        Disturbance(
            title: "a container's link is deleted from within",
            script: "nsenter -t $PID -n ip link delete eth0",
            cause: "was deleted"),
        Disturbance(
            title: "a container's link is renamed",
            script:
                "nsenter -t $PID -n ip link set eth0 down && nsenter -t $PID -n ip link set eth0 name other",
            cause: "eth0 is not there any more"),
        Disturbance(
            title: "a container's link is set down", script: "nsenter -t $PID -n ip link set eth0 down",
            cause: "eth0 was set down"),
        Disturbance(
            title: "a container's address is deleted",
            script: "nsenter -t $PID -n ip -4 address flush dev eth0",
            cause: "the address of eth0 was deleted"),
        Disturbance(
            title: "a container's routes are deleted", script: "nsenter -t $PID -n ip route flush dev eth0",
            cause: "the route to the network of eth0 was deleted"),
        Disturbance(
            title: "a container's default route is deleted",
            script: "nsenter -t $PID -n ip route delete default", cause: "the default route was deleted"),
        Disturbance(
            title: "a container's default route is replaced",
            script: """
                gateway=$(nsenter -t $PID -n ip route show default | cut -d ' ' -f 3)
                nsenter -t $PID -n ip route replace default via ${gateway%.*}.250
                """, cause: "the default route was replaced"),
        Disturbance(
            title: "forwarding is switched off", script: "echo 0 >/proc/sys/net/ipv4/ip_forward",
            cause: "net.ipv4.ip_forward was set to 0"),
        Disturbance(
            title: "a container's lo is set down", script: "nsenter -t $PID -n ip link set lo down",
            cause: "lo was set down"),
        Disturbance(
            title: "a container's name rules are flushed", script: "nsenter -t $PID -n nft flush ruleset",
            cause: "the rules that lead name queries"),
        Disturbance(
            title: "a bridge is deleted", script: "ip link delete $BRIDGE", cause: "its bridge was deleted"),
        Disturbance(
            title: "a bridge is set down", script: "ip link set $BRIDGE down",
            cause: "its bridge was set down"),
        Disturbance(
            title: "a bridge's address is deleted", script: "ip -4 address flush dev $BRIDGE",
            cause: "its bridge's address was deleted"),
        Disturbance(
            title: "the host's route to a network is deleted", script: "ip route flush dev $BRIDGE",
            cause: "the host's route to it was deleted"),
        Disturbance(
            title: "the firewall is flushed", script: "nft flush ruleset", cause: "table inet covey is gone"),
        Disturbance(
            title: "a chain is flushed", script: "nft flush chain inet covey output",
            cause: "the rules of chain output were changed"),
        Disturbance(
            title: "a published port is taken out of the firewall",
            script: "nft flush map inet covey published", cause: "set published lacks an element"),
        Disturbance(
            title: "a network is taken out of the firewall", script: "nft flush set inet covey outbound",
            cause: "set outbound lacks an element"),
        Disturbance(
            title: "the limit of processes is changed",
            script: "for d in $GROUPS; do test ! -e $d/pids.max || echo 9 >$d/pids.max; done",
            cause: "pids.max was set to 9"),
        Disturbance(
            title: "the limit of memory is changed",
            script: """
                for d in $GROUPS; do for f in memory.max memory.limit_in_bytes; do
                test ! -e $d/$f || echo 33554432 >$d/$f; done; done
                """, cause: "was set to 33554432"),
        Disturbance(
            title: "the limit of processor time is changed",
            script: """
                for d in $GROUPS; do test ! -e $d/cpu.max || echo '30000 100000' >$d/cpu.max
                test ! -e $d/cpu.cfs_quota_us || echo 30000 >$d/cpu.cfs_quota_us; done
                """, cause: "was set to 30000"),
        Disturbance(
            title: "its processes are frozen",
            script: "for d in $GROUPS; do test ! -e $d/cgroup.freeze || echo 1 >$d/cgroup.freeze; done",
            cause: "its processes were frozen", needsUnified: true),
        Disturbance(
            title: "its first process is stopped", script: "kill -STOP $PID",
            cause: "its first process was stopped"),
        // Nothing tells of it: here a write to its cgroup is the reason for the look that the slow one would be.
        Disturbance(
            title: "its processes are frozen in another freezer",
            script: """
                other=/sys/fs/cgroup/freezer/covey-test-$PID; mkdir $other
                for p in $(cat ${GROUPS%% *}/cgroup.procs); do echo $p >$other/cgroup.procs; done
                echo FROZEN >$other/freezer.state
                for d in $GROUPS; do test ! -e $d/pids.max || cat $d/pids.max >$d/pids.max; done
                n=0; until rmdir $other 2>/dev/null; do n=$((n+1)); test $n -lt 100; sleep 0.1; done
                """, cause: "its processes were frozen in", needsLegacyFreezer: true),
        Disturbance(
            title: "its cgroups are removed",
            script: """
                set -- $ROOTS; for d in $GROUPS; do
                for p in $(cat $d/cgroup.procs); do echo $p >$1/cgroup.procs; done; rmdir $d; shift; done
                """, cause: "was removed"),
        Disturbance(
            title: "its processes are moved out of their cgroup",
            script: """
                set -- $ROOTS; for d in $GROUPS; do
                for p in $(cat $d/cgroup.procs); do echo $p >$1/cgroup.procs; done; shift; done
                """, cause: "its processes were moved out", needsUnified: true),
        Disturbance(
            title: "its resolv.conf is unmounted",
            script: "nsenter -t $PID -m /bin/busybox umount /etc/resolv.conf",
            cause: "/etc/resolv.conf was unmounted"),
        Disturbance(
            title: "hosts, hostname, volume, config and tmpfs are unmounted",
            script: """
                for m in /etc/hosts /etc/hostname /var/data /note /scratch; do
                nsenter -t $PID -m /bin/busybox umount $m; done
                """, cause: "/var/data was unmounted"),
    ]
}

/// A line of `covey events --json`.
struct EventRow: Decodable, Sendable {
    var time: String
    var type: String
    var action: String
    var id: String
    var service: String?
    var attributes: [String: String]
}

extension Stage {
    /// What was told so far.
    func events(_ services: String...) throws -> [EventRow] {
        let outcome = try start(["events", "--json", "--since", "10m", "--until", "0s"] + services).wait()
        guard outcome.succeeded else { throw ScenarioError("\(outcome)") }
        return try outcome.lines.map { try JSONDecoder().decode(EventRow.self, from: Data($0.utf8)) }
    }

    fileprivate func disturb(_ script: String) throws {
        guard let pid = try container("web").Pid else { throw ScenarioError("web does not run") }
        let name = try container("web").Name
        let mounts = contents("/proc/self/mountinfo").split(separator: "\n").compactMap { line -> String? in
            let fields = line.split(separator: " ")
            let isCgroup = line.contains(" - cgroup ") || line.contains(" - cgroup2 ")
            return isCgroup && fields.count > 4 ? String(fields[4]) : nil
        }
        let roots = mounts.filter { exists("\($0)/covey/\(project)/ctr-\(name)") }
        let groups = roots.map { "\($0)/covey/\(project)/ctr-\(name)" }
        let links = try inHost(["ip", "-o", "-d", "link"]).lines
        let link = links.first { $0.contains("/\(name)/\(project)_front") }
        let bridge = links.first { $0.contains("//\(project)_front") }
        func linkName(_ line: String?) -> String {
            line?.split(separator: " ").dropFirst().first.map { String($0.prefix { $0 != "@" && $0 != ":" }) }
                ?? "none"
        }
        try inHost([
            "env", "PID=\(pid)", "LINK=\(linkName(link))", "BRIDGE=\(linkName(bridge))",
            "GROUPS=\(groups.joined(separator: " "))", "ROOTS=\(roots.joined(separator: " "))", "sh", "-ec",
            script,
        ]).orThrow()
    }

    /// Everything the project is for works: from the host, between containers, by name, with its files and limits.
    fileprivate func works() throws -> Bool {
        let page = try inHost(["curl", "-s", "-m", "2", "http://127.0.0.1:18091/"])
        guard page.output.contains("served") else { return false }
        guard try execSucceeds("client", "ping -c 1 -w 2 web >/dev/null") else {
            return false
        }
        return try execSucceeds(
            "web",
            """
            ping -c 1 -w 2 client >/dev/null && ip route | grep -q default && grep -q 127.0.0.11 /etc/resolv.conf \
            && grep -q "$(hostname)" /etc/hosts && grep -q 'a note' /note && test "$(cat /var/data/mark)" = kept \
            && grep -q ' /scratch ' /proc/mounts
            """)
    }
}

extension Scenarios {
    @Suite("kept as declared")
    struct Drift {
        static let hasUnified = contents("/proc/self/mountinfo").contains(" - cgroup2 ")
        static let hasLegacyFreezer = exists("/sys/fs/cgroup/freezer/tasks")

        @Test(
            "repaired in place and told",
            arguments: Disturbance.all.filter {
                (!$0.needsUnified || hasUnified) && (!$0.needsLegacyFreezer || hasLegacyFreezer)
            }
        )
        func repaired(_ disturbance: Disturbance) throws {
            try Stage.play("drift") { stage in
                try stage.covey("up", "-d")
                try stage.exec("web", "echo kept >/var/data/mark")
                try stage.eventually("it works at first") { try stage.works() }
                let before = try stage.processes()
                try stage.disturb(disturbance.script)
                try stage.eventually(within: .seconds(10), "it is told: \(disturbance.cause)") {
                    try stage.events().contains {
                        $0.action == "drift" && $0.attributes["cause"]?.contains(disturbance.cause) == true
                            && $0.attributes["result"] == "repaired"
                    }
                } orSay: {
                    "\(try stage.events().filter { $0.action == "drift" })"
                }
                try stage.eventually(within: .seconds(10), "it works again") { try stage.works() }
                try stage.require(try stage.processes() == before, "a container was touched")
                let failed = try stage.events().filter {
                    $0.action == "drift" && $0.attributes["result"] != "repaired"
                }
                try stage.require(failed.isEmpty, "\(failed)")
                // What is repaired is what `up` would make.
                let again = try stage.covey("up", "-d")
                try stage.require(try stage.processes() == before, "up touched a container: \(again)")
            }
        }

        @Test("a container killed from outside is started again by its policy, and both are told")
        func killed() throws {
            try Stage.play("drift") { stage in
                try stage.covey("up", "-d")
                guard let pid = try stage.container("web").Pid else { throw ScenarioError("no pid") }
                kill(pid_t(pid), SIGKILL)
                try stage.eventually(within: .seconds(10), "it runs again") {
                    let row = try stage.container("web")
                    return row.State == "running" && row.Pid != pid
                }
                let told = try stage.events("web").filter { $0.action == "die" || $0.action == "start" }
                try stage.require(told.map(\.action) == ["start", "die", "start"], "\(told)")
                try stage.require(
                    told[1].attributes["exitCode"] == "137" && told[2].attributes["by"] == "restart policy",
                    "\(told)")
                // What listens to it listens to the new one.
                try stage.exec("web", "echo kept >/var/data/mark")
                try stage.eventually("it works") { try stage.works() }
                try stage.disturb("nsenter -t $PID -m /bin/busybox umount /etc/resolv.conf")
                try stage.eventually(within: .seconds(10), "its drift is repaired") { try stage.works() }
            }
        }

        @Test("what `kill -s STOP` stopped is no drift; CONT lets it go on")
        func halted() throws {
            try Stage.play("drift") { stage in
                try stage.covey("up", "-d")
                guard let pid = try stage.container("web").Pid else { throw ScenarioError("no pid") }
                func letter() -> Character? { statFields(Int32(pid)).first?.first }
                try stage.covey("kill", "-s", "STOP", "web")
                try stage.eventually("it is stopped") { letter() == "T" }
                // A look at it, which a write to its cgroup asks for, and at what is known to be repaired.
                try stage.disturb(
                    """
                    for d in $GROUPS; do test ! -e $d/pids.max || echo 9 >$d/pids.max; done
                    """)
                try stage.eventually(within: .seconds(10), "the look was had") {
                    try stage.events("web").contains { $0.attributes["cause"]?.contains("pids.max") == true }
                }
                try stage.require(letter() == "T", "it goes on: \(try stage.events("web"))")
                try stage.covey("kill", "-s", "CONT", "web")
                try stage.eventually("it goes on") { letter() != "T" }
            }
        }

        @Test("a container that may route as it likes keeps the default routes it has, or none")
        func ownRoutes() throws {
            try Stage.play("own-routes") { stage in
                try stage.covey("up", "-d")
                let services = ["granted", "privileged"]
                for service in services {
                    try stage.exec(service, "ip route delete default && ip -6 route delete default")
                }
                // Another drift of theirs, twice: by the second repair the looks that follow the first one were had.
                for times in 1...2 {
                    for service in services { try stage.exec(service, "ip link set lo down") }
                    try stage.eventually(within: .seconds(10), "lo is set up again") {
                        let told = try stage.events().filter { $0.attributes["cause"] == "lo was set down" }
                        return services.allSatisfy { name in told.count { $0.service == name } >= times }
                    } orSay: {
                        "\(try stage.events())"
                    }
                }
                for service in services {
                    let routes = try stage.exec(service, "ip route; ip -6 route")
                    try stage.require(!routes.contains("default"), "\(service): \(routes)")
                }
                guard let pid = try stage.container("plain").Pid else { throw ScenarioError("no pid") }
                for family in ["-4", "-6"] {
                    try stage.inHost(
                        ["nsenter", "-t", "\(pid)", "-n", "ip", family, "route", "delete", "default"]
                    ).orThrow()
                    try stage.eventually(within: .seconds(10), "others get theirs back") {
                        try stage.exec("plain", "ip \(family) route").contains("default")
                    }
                }
            }
        }

        @Test("what changed while no controller was there is repaired by the next one")
        func afterController() throws {
            try Stage.play("drift") { stage in
                try stage.covey("up", "-d")
                try stage.exec("web", "echo kept >/var/data/mark")
                try stage.eventually("it works at first") { try stage.works() }
                let before = try stage.processes()
                try stage.killEngine()
                try stage.inHost(["nft", "flush", "ruleset"]).orThrow()
                for line in try stage.inHost(["ip", "-o", "link", "show", "type", "bridge"]).lines {
                    let name = line.split(separator: " ")[1].dropLast()
                    try stage.inHost(["ip", "link", "delete", String(name)]).orThrow()
                }
                try stage.covey("ps")
                try stage.eventually(within: .seconds(10), "it works again") { try stage.works() }
                try stage.require(try stage.processes() == before, "a container was touched")
            }
        }
    }

    @Suite("events")
    struct Events {
        @Test(
            "a life in events: created, started, stopped, removed; services are chosen, Ctrl-C ends with 130")
        func life() throws {
            try Stage.play("drift") { stage in
                try stage.covey("up", "-d")
                let follower = try stage.start(["events", "client"])
                try stage.eventually("it follows") {
                    _ = try stage.covey("restart", "-t", "1", "client")
                    return follower.soFar.output.contains("container start")
                }
                follower.signal(SIGINT)
                let outcome = try follower.wait()
                try stage.require(outcome.code == 130, "\(outcome)")
                try stage.require(
                    outcome.lines.allSatisfy { $0.contains("service=client") },
                    "another service's: \(outcome)")
                let line = outcome.lines.first { $0.contains("container start") } ?? ""
                let words = line.split(separator: " ")
                try stage.require(
                    words.count > 4 && words[0].count == 10 && words[1].count == 15
                        && words[4] == "\(stage.project)-client-1", line)
                let all = try stage.events().map { "\($0.type) \($0.action)" }
                for expected in [
                    "network create", "volume create", "container create", "container start",
                    "container restart",
                ] {
                    try stage.require(all.contains(expected), "no \(expected) in \(all)")
                }
                let down = try stage.start(["events"])
                try stage.eventually("it follows") {
                    _ = try stage.covey("restart", "-t", "1", "client")
                    return down.soFar.output.contains("container start")
                }
                try stage.covey("down", "-v", "--timeout", "1")
                let last = try down.wait()
                try stage.require(last.succeeded, "\(last)")
                for expected in ["container stop", "container destroy", "network destroy", "volume destroy"] {
                    try stage.require(last.output.contains(expected), "no \(expected) in \(last)")
                }
            }
        }

        @Test(
            "what can't be understood is said",
            arguments: [
                (["--since", "yesterday"], "neither a date"), (["--until", "-5"], "neither a date"),
                (["nobody"], "no service \"nobody\""),
            ])
        func badInput(arguments: [String], complaint: String) throws {
            try Stage.play("drift") { stage in
                try stage.covey("up", "-d")
                let outcome = try stage.start(["events"] + arguments).wait()
                try stage.require(outcome.code == 1 && outcome.errors.contains(complaint), "\(outcome)")
            }
        }

        @Test("without a project there is nothing to follow")
        func notUp() throws {
            try Stage.play("drift") { stage in
                let outcome = try stage.covey("events", code: 1)
                try stage.require(outcome.errors.contains("is not up"), "\(outcome)")
            }
        }
    }
}
