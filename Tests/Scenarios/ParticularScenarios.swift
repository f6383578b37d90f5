// SPDX-License-Identifier: Apache-2.0
//
// Attributes few services have: each is looked for where the kernel keeps it.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("particulars")
    struct Particulars {
        @Test("weights, quotas, processors, swap, groups, scores, names and resolver settings hold")
        func held() throws {
            try Stage.play("particulars") { stage in
                try stage.covey("up", "-d", "held", "unbounded")
                let files: [(legacy: String, unified: String, expected: [String])] = [
                    ("cpu/cpu.shares", "cpu.weight", ["512", "20"]),
                    ("cpu/cpu.cfs_quota_us", "cpu.max", ["50000", "50000 200000"]),
                    ("cpu/cpu.cfs_period_us", "cpu.max", ["200000", "50000 200000"]),
                    ("cpuset/cpuset.cpus", "cpuset.cpus", ["0"]),
                    ("memory/memory.soft_limit_in_bytes", "memory.low", ["33554432"]),
                    ("memory/memory.memsw.limit_in_bytes", "memory.swap.max", ["67108864", "0"]),
                ]
                for (legacy, unified, expected) in files {
                    let value = stage.cgroupFile("held", stage.isUnified ? unified : legacy)
                    // Without swap accounting there is no file.
                    if legacy.contains("memsw"), value.isEmpty { continue }
                    try stage.require(
                        value == (stage.isUnified ? expected.last : expected.first), "\(legacy): \(value)")
                }
                let swap = stage.cgroupFile(
                    "unbounded", stage.isUnified ? "memory.swap.max" : "memory/memory.memsw.limit_in_bytes")
                try stage.require(
                    swap.isEmpty || swap == "max" || (Int64(swap) ?? 0) > 1 << 60, "swap is bounded: \(swap)")
                try stage.require(
                    try stage.exec("held", "grep Cpus_allowed_list /proc/1/status")
                        == "Cpus_allowed_list:\t0",
                    "processors")
                try stage.require(
                    try stage.exec("held", "cat /proc/1/oom_score_adj /proc/self/oom_score_adj")
                        == "500\n500",
                    "score")
                try stage.require(try stage.exec("held", "id -G") == "0 2000 4000", "groups")
                try stage.require(
                    try stage.exec("held", "hostname; cat /proc/sys/kernel/domainname")
                        == "box\nexample.test",
                    "names")
                try stage.require(
                    try stage.exec("held", "hostname -f") == "box.example.test", "the full name")
                let resolver = try stage.exec("held", "cat /etc/resolv.conf")
                try stage.require(
                    resolver.contains("\nsearch svc.example.test\noptions ndots:2 timeout:1"), resolver)
                let gateway = try stage.exec("held", "ip route | awk '/default/ { print $3 }'")
                try stage.require(
                    try stage.exec("held", "grep host.docker.internal /etc/hosts")
                        == "\(gateway)\thost.docker.internal", "host-gateway")
                try stage.require(
                    try stage.covey("up", "-d", "held", "unbounded").errors.contains("Started") == false,
                    "an unchanged up started something")
            }
        }

        @Test("uts and cgroup of the host are the host's; the others stay the container's")
        func hostNamespaces() throws {
            try Stage.play("particulars") { stage in
                try stage.covey("up", "-d", "hostly", "unbounded")
                for (service, isHost) in [("hostly", true), ("unbounded", false)] {
                    let pid = try stage.container(service).Pid ?? 0
                    for namespace in ["uts", "cgroup"] {
                        try stage.require(
                            (namespaceOf("\(pid)", namespace) == namespaceOf("self", namespace)) == isHost,
                            "\(namespace) of \(service)")
                    }
                    try stage.require(
                        namespaceOf("\(pid)", "pid") != namespaceOf("self", "pid"), "pid of \(service)")
                }
                let name = contents("/proc/sys/kernel/hostname").filter { $0 != "\n" }
                try stage.require(
                    try stage.exec("hostly", "hostname; echo $HOSTNAME") == "\(name)\n\(name)", name)
            }
        }

        @Test("what only cgroup v1 has holds there, and is refused by name on v2")
        func legacy() throws {
            try Stage.play("particulars") { stage in
                guard !stage.isUnified else {
                    let up = try stage.covey("up", "-d", "legacy", code: 1)
                    try stage.require(up.errors.contains("`mem_swappiness`"), "\(up)")
                    return
                }
                try stage.covey("up", "-d", "legacy")
                try stage.require(
                    stage.cgroupFile("legacy", "memory/memory.swappiness") == "10", "swappiness")
                try stage.require(
                    stage.cgroupFile("legacy", "memory/memory.oom_control").hasPrefix("oom_kill_disable 1"),
                    "oom_kill_disable")
            }
        }

        @Test("a link is an alias for one service alone")
        func links() throws {
            try Stage.play("links") { stage in
                try stage.covey("up", "-d", "app", "other")
                let address = try stage.exec("db", "hostname -i")
                for name in ["database", "db"] {
                    let found = try stage.exec("app", "ping -c 1 -w 5 \(name)")
                    try stage.require(found.contains("(\(address))"), found)
                }
                try stage.require(
                    try !stage.execSucceeds("other", "ping -c 1 -w 5 database"), "other sees the alias")
            }
        }

        @Test("an external link is a name for a running container of another project on a network of both")
        func externalLinks() throws {
            try Stage.play("links") { stage in
                let other = "other-\(stage.project)"
                let variables = ["OTHER=\(other)", "SHARED=\(other)-shared"]
                let file = ["-f", "other.yaml", "-p", other]
                func elsewhere(_ arguments: [String]) throws {
                    let outcome = try stage.start(file + arguments, variables: variables).wait()
                    try stage.require(outcome.succeeded, "\(outcome)")
                }
                try elsewhere(["up", "-d"])
                try stage.covey("up", "-d", "linked", "unlinked", variables: variables)
                for name in ["depot", "\(other)-store-1"] {
                    try stage.exec("linked", "ping -c 1 -w 5 \(name)")
                }
                try stage.require(
                    try !stage.execSucceeds("unlinked", "ping -c 1 -w 2 depot"), "unlinked sees the alias")
                try elsewhere(["stop", "-t", "1"])
                // The kernel takes a stopped container's link away in its own time.
                try stage.eventually("the name of one that is stopped goes") {
                    try !stage.execSucceeds("linked", "ping -c 1 -w 2 depot")
                }
                let up = try stage.covey(
                    "up", "-d", "--force-recreate", "linked", code: 1, variables: variables)
                try stage.require(
                    up.errors.contains("cannot link container") && up.errors.contains("\(other)-store-1"),
                    "\(up)")
                try stage.covey("down", "--timeout", "1", variables: variables)
                try elsewhere(["down", "-v", "--timeout", "1"])
            }
        }

        @Test("a hardware address is the interface's, also after its link was deleted")
        func hardwareAddress() throws {
            try Stage.play("links") { stage in
                try stage.covey("up", "-d", "app", "addressed")
                let first = "cat /sys/class/net/eth0/address"
                try stage.require(try stage.exec("app", first) == "02:42:ac:11:ab:cd", "of the service")
                try stage.require(
                    try stage.exec("addressed", "cat /sys/class/net/eth1/address") == "02:42:ac:11:00:99",
                    "of the network")
                try stage.exec("app", "ping -c 1 -w 5 db")
                let pid = try stage.container("app").Pid ?? 0
                try stage.inHost(["nsenter", "-t", "\(pid)", "-n", "ip", "link", "del", "eth0"]).orThrow()
                try stage.eventually("the link is made again") {
                    try stage.execSucceeds("app", "ping -c 1 -w 1 db")
                }
                try stage.require(try stage.exec("app", first) == "02:42:ac:11:ab:cd", "after its repair")
            }
        }

        @Test("logging keeps as much as it says, or nothing, and an unknown driver is refused")
        func logging() throws {
            try Stage.play("links") { stage in
                try stage.covey("up", "-d", "chatty", "mute")
                try stage.eventually("both have ended") {
                    try stage.container("chatty").State == "exited"
                        && stage.container("mute").State == "exited"
                }
                try stage.require(try stage.container("mute").ExitCode == 0, "mute was held up")
                let lines = try stage.logs("--no-log-prefix", "chatty").split(separator: "\n")
                try stage.require(lines.last == "line number 19999", "\(lines.suffix(2))")
                let size = lines.reduce(0) { $0 + $1.utf8.count + 1 }
                try stage.require((18_000...40_960).contains(size), "\(size) bytes are kept")
                try stage.require(try stage.logs("--no-log-prefix", "mute").isEmpty, "mute was kept")
                let up = try stage.covey("up", "-d", "elsewhere", code: 1)
                try stage.require(up.errors.contains("`logging.driver: gelf` is not supported"), "\(up)")
            }
        }

        @Test("output goes to syslog over unix, udp and tcp, and to no receiver that is not there")
        func syslog() throws {
            try Stage.play("links") { stage in
                let script = """
                    import socket, sys
                    d = sys.argv[1]
                    u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); u.bind(d + '/log')
                    i = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); i.bind(('127.0.0.1', 5140))
                    t = socket.socket(socket.AF_INET, socket.SOCK_STREAM); t.bind(('127.0.0.1', 5141)); t.listen(4)
                    open(d + '/ready', 'w').close()
                    for s in (u, i, t): s.settimeout(30)
                    out = [u.recv(4096), i.recv(4096)]
                    c, _ = t.accept(); c.settimeout(30); data = b''
                    while data.count(b'\\n') < 2: data += c.recv(4096)
                    out.append(data)
                    open(d + '/received', 'wb').write(b'\\n'.join(out)); open(d + '/done', 'w').close()
                    """
                let absent = try stage.covey("up", "-d", "local", code: 1)
                try stage.require(absent.errors.contains("cannot send the output"), "\(absent)")
                let receiver = try RunningProgram(
                    ["nsenter", "--net=/run/netns/\(stage.host)", "python3", "-c", script, stage.files],
                    environment: ["PATH=\(Host.path)"], directory: stage.files,
                    scratch: "\(stage.directory)/scratch")
                try stage.eventually("the receiver listens") { exists("\(stage.files)/ready") }
                try stage.covey(
                    "up", "-d", "local", "datagrams", "stream", variables: ["LOGS=\(stage.files)"])
                try stage.eventually("all was received") { exists("\(stage.files)/done") }
                _ = try receiver.wait()
                let lines = contents("\(stage.files)/received").split(separator: "\n").map(String.init)
                try stage.require(lines.count == 4, "\(lines)")
                try stage.require(lines[0].hasPrefix("<30>"), lines[0])
                try stage.require(
                    lines[0].contains(" \(stage.project)-local-1[") && lines[0].hasSuffix("]: to unix"),
                    lines[0])
                try stage.require(
                    lines[1].hasPrefix("<134>1 2") && lines[1].contains(" mine ")
                        && lines[1].hasSuffix(" - to udp"), lines[1])
                let both = Set(lines[2...].map { String($0.prefix(4)) })
                try stage.require(
                    both == ["<30>", "<27>"] && lines[2...].contains { $0.hasSuffix("first") }, "\(lines)")
                // What is sent away is kept as well.
                try stage.require(
                    try stage.logs("--no-log-prefix", "datagrams").contains("to udp"), "the log")
                if !exists("/run/systemd/journal/socket") {
                    let journal = try stage.covey("up", "-d", "journal", code: 1)
                    try stage.require(journal.errors.contains("to the journal at"), "\(journal)")
                }
            }
        }

        @Test("a group the image does not have is named, and nothing is left")
        func unknownGroup() throws {
            try Stage.play("particulars") { stage in
                let up = try stage.covey("up", "-d", "wrong", code: 1)
                try stage.require(up.errors.contains("cannot add group \"nobodys\""), "\(up)")
            }
        }

        @Test("attach: false is not shown by up, and its log is kept")
        func unattached() throws {
            try Stage.play("particulars") { stage in
                let up = try stage.covey("up", "quiet", "loud")
                try stage.require(up.output.contains("I am shown"), "\(up)")
                try stage.require(!up.output.contains("I am not shown"), "\(up)")
                try stage.require(try stage.logs("quiet").contains("I am not shown"), "the log")
            }
        }
    }
}

/// `uts:[4026531838]`
func namespaceOf(_ process: String, _ kind: String) -> String {
    var buffer = [CChar](repeating: 0, count: 64)
    let count = readlink("/proc/\(process)/ns/\(kind)", &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
