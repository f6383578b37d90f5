// SPDX-License-Identifier: Apache-2.0
//
// Published ports, from wherever they are asked, and those that are taken.

import Glibc
import Kernel
import Testing

extension Scenarios.Networks {
    @Test("published ports: everywhere from everywhere, 127.0.0.1 from here alone")
    func ports() throws {
        try Stage.play("ports") { stage in
            try stage.covey("up", "-d")
            func page(_ url: String, fromNeighbour: Bool = false) throws -> String {
                let command = ["curl", "-s", "-m", "3", url]
                let outcome = try fromNeighbour ? stage.inNeighbour(command) : stage.inHost(command)
                return outcome.output
            }
            for port in ["18081", "18082", "18083"] {
                try stage.eventually("127.0.0.1:\(port) answers") {
                    try page("http://127.0.0.1:\(port)/").contains("served by")
                }
            }
            _ = try stage.inNeighbour(["true"])
            try stage.require(
                try page("http://192.0.2.1:18081/").contains("served by"),
                "the host's own address does not answer")
            try stage.require(
                try page("http://192.0.2.1:18081/", fromNeighbour: true).contains("served by"),
                "not reachable from the neighbour")
            for port in ["18082", "18083"] {
                try stage.require(
                    try page("http://192.0.2.1:\(port)/", fromNeighbour: true).isEmpty,
                    "\(port) on 127.0.0.1 is reachable from the neighbour")
            }
            // The route that once reached ports on 127.0.0.1 from another host (moby's 2025 advisory).
            _ = try stage.inNeighbour(["ip", "address", "flush", "dev", "lo"])
            _ = try stage.inNeighbour(["ip", "link", "set", "lo", "down"])
            _ = try stage.inNeighbour([
                "ip", "route", "add", "127.0.0.0/8", "via", "192.0.2.1", "table", "main",
            ])
            _ = try stage.inNeighbour(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"])
            try stage.require(
                try page("http://127.0.0.1:18082/", fromNeighbour: true).isEmpty,
                "a crafted route reaches 127.0.0.1")
            try stage.dismissNeighbour()
        }
    }

    @Test("containers reach a published port at the host's address and each other's service port")
    func hairpin() throws {
        try Stage.play("ports") { stage in
            try stage.covey("up", "-d")
            let gateway = try stage.exec("client", "ip route | awk '/default/ {print $3}'")
            for url in ["http://everywhere/", "http://\(gateway):18081/"] {
                try stage.eventually("\(url) answers in a container") {
                    try stage.execSucceeds(
                        "client", "timeout 3 wget -q -O - \(url) | grep -q 'served by'")
                }
            }
            // A container that reaches itself by the port the host publishes.
            try stage.eventually("hairpin") {
                try stage.execSucceeds(
                    "everywhere", "timeout 3 wget -q -O - http://\(gateway):18081/ | grep -q served")
            }
        }
    }

    @Test("udp ports are published too")
    func datagrams() throws {
        try Stage.play("ports") { stage in
            try stage.covey("up", "-d")
            let line = "exec 3<>/dev/udp/127.0.0.1/18084; echo hello >&3; timeout 1 head -n 1 <&3"
            try stage.eventually("the echo comes back") {
                try stage.inHost(["bash", "-c", line]).output.contains("hello")
            }
            // Clients that keep their ports, and with them their flows: one from before a stop, one that comes while it lasts.
            func answers(to port: Int) throws -> Bool {
                let client = """
                    import socket
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', \(port))); s.settimeout(0.5)
                    try: s.connect(('127.0.0.1', 18084)); s.send(b'hello'); print(s.recv(99).decode())
                    except OSError: print('nobody')
                    """
                return try stage.inHost(["python3", "-c", client]).output.contains("hello")
            }
            try stage.require(try answers(to: 17001), "no answer")
            try stage.covey("stop", "-t", "0", "datagrams")
            for port in [17001, 17002] {
                try stage.require(try !answers(to: port), "an answer of what is stopped")
            }
            try stage.covey("start", "datagrams")
            for port in [17001, 17002] {
                try stage.eventually("the flow of \(port) leads to the container") {
                    try answers(to: port)
                }
            }
        }
    }

    @Test(
        "ports published on [::1], on [::] and on no address answer over IPv6, each only where it shall")
    func overIPv6() throws {
        try Stage.play("ports6") { stage in
            try stage.covey("up", "-d")
            func page(_ url: String, fromNeighbour: Bool = false) throws -> String {
                let command = ["curl", "-g", "-s", "-m", "5", url]
                return try (fromNeighbour ? stage.inNeighbour(command) : stage.inHost(command)).output
            }
            for (port, name) in [
                (18091, "everywhere"), (18092, "loopback"), (18093, "long"), (18094, "any"),
            ] {
                try stage.eventually("[::1]:\(port) answers") {
                    try page("http://[::1]:\(port)/").contains("-\(name)-")
                }
                let overIPv4 = try page("http://127.0.0.1:\(port)/").contains("served by")
                try stage.require(overIPv4 == (port == 18091), "\(port) over IPv4: \(overIPv4)")
            }
            _ = try stage.inNeighbour(["ip", "-6", "address", "add", "fd12::2/64", "dev", "up0", "nodad"])
            try stage.inHost(["ip", "-6", "address", "add", "fd12::1/64", "dev", "up0", "nodad"])
                .orThrow()
            for port in [18091, 18092, 18093, 18094] {
                let answers = try page("http://[fd12::1]:\(port)/", fromNeighbour: true).contains(
                    "served by")
                try stage.require(
                    answers == [18091, 18094].contains(port), "\(port) for others: \(answers)")
            }
            try stage.dismissNeighbour()
            let ps = try stage.covey("ps").output
            for text in [
                "0.0.0.0:18091->80/tcp, [::]:18091->80/tcp", "[::1]:18092->80/tcp",
                "[::1]:18097->7000/udp",
            ] {
                try stage.require(ps.contains(text), "\(text) is not in \(ps)")
            }
            // A port of the system's choice has one number over both.
            let free = try stage.covey("ps", "free").output
            guard let number = free.split(separator: "0.0.0.0:").last?.prefix(while: \.isNumber) else {
                throw ScenarioError(free)
            }
            for host in ["127.0.0.1", "[::1]"] {
                try stage.require(
                    try page("http://\(host):\(number)/").contains("-free-"), "\(host):\(number)")
            }
            let line = "exec 3<>/dev/udp/::1/18097; echo hello >&3; timeout 1 head -n 1 <&3"
            try stage.eventually("the echo comes back") {
                try stage.inHost(["bash", "-c", line]).output.contains("hello")
            }
        }
    }

    @Test(
        "a relayed connection carries every byte, each direction ends by itself, and nobody there is a refusal"
    )
    func relayed() throws {
        try Stage.play("ports6") { stage in
            try stage.covey("up", "-d")
            // What goes in is counted once the sender has closed its half.
            let count = "head -c 5000000 /dev/zero | timeout 20 busybox nc ::1 18095"
            try stage.eventually("all of it arrives, and the answer comes after") {
                try stage.inHost(["sh", "-c", count]).text.hasSuffix("5000000")
            }
            // Wherever the end comes in the relay's turns, it is passed on.
            let sizes = """
                for n in $(seq 120); do c=$((n * 32768)); s=$(head -c $c /dev/zero | timeout 5 busybox nc ::1 18095)
                test "$s" = $c || echo "$c: $s"; done
                """
            let lost = try stage.inHost(["sh", "-c", sizes]).text
            try stage.require(lost.isEmpty, "no answer came after \(lost)")
            for port in [18091, 18092] {
                try stage.eventually("[::1]:\(port) answers") {
                    try stage.inHost(["curl", "-g", "-s", "-m", "5", "http://[::1]:\(port)/"]).output
                        .contains("served by")
                }
            }
            let sum = try stage.exec("loopback", "md5sum </www/big")
            let fetch = "curl -g -s -m 20 http://[::1]:18092/big | md5sum"
            try stage.require(try stage.inHost(["sh", "-c", fetch]).text == sum, "bytes were lost")
            // Many at once, one slow among them.
            let slow = "curl -g -s -m 20 --limit-rate 5M http://[::1]:18092/big | md5sum >slow & "
            let many = "for n in $(seq 40); do curl -g -s -m 20 http://[::1]:18092/ & done; wait"
            let pages = try stage.inHost(["sh", "-c", slow + many]).output
            try stage.require(pages.split(separator: "\n").count == 40, pages)
            try stage.require(contents("\(stage.files)/slow").hasPrefix(sum), "the slow one lost bytes")
            let refused = try stage.inHost(["curl", "-g", "-s", "-m", "5", "http://[::1]:18096/"])
            try stage.require(refused.code != 0 && refused.code != 28, "it hangs: \(refused)")
            // Idle again: no descriptor of a connection stays.
            try stage.eventually("connections are closed") {
                guard let controller = stage.engine().last else { return false }
                let held = (try? directoryEntries("/proc/\(controller)/fd")) ?? []
                return held.filter {
                    (try? readLink("/proc/\(controller)/fd/\($0)"))?.hasPrefix("pipe:") == true
                }.isEmpty
            }
            // The listening socket is the keeper's too: a new controller serves it.
            guard let controller = stage.engine().last else { throw ScenarioError("no controller") }
            kill(controller, SIGKILL)
            let after = try stage.inHost(["curl", "-g", "-s", "-m", "10", "http://[::1]:18092/"])
            try stage.require(
                after.output.contains("-loopback-"), "after the controller's death: \(after)")
            try stage.killEngine()
            try stage.covey("up", "-d")
            let adopted = try stage.inHost(["curl", "-g", "-s", "-m", "10", "http://[::1]:18091/"])
            try stage.require(
                adopted.output.contains("-everywhere-"), "after the keeper's death: \(adopted)")
            try stage.covey("restart", "-t", "0", "loopback")
            try stage.eventually("it is served after a restart") {
                try stage.inHost(["curl", "-g", "-s", "-m", "5", "http://[::1]:18092/"]).output.contains(
                    "-loopback-")
            }
        }
    }

    @Test("a port taken over IPv6 is an error that names its holder", arguments: ["[::1]", "[::]", ""])
    func portTakenOverIPv6(address: String) throws {
        try Stage.play("one") { stage in
            let holder = try RunningProgram(
                [
                    "nsenter", "--net=/run/netns/\(stage.host)", "busybox", "httpd", "-f", "-p",
                    "[::1]:18098", "-h",
                    "/usr/share/doc",
                ],
                environment: ["PATH=\(Host.path)"], directory: "/", scratch: stage.directory)
            defer {
                holder.signal(9)
                _ = try? holder.wait()
            }
            try stage.eventually("it listens") {
                try stage.inHost(["ss", "-ltnH"]).output.contains("[::1]:18098")
            }
            let prefix = address.isEmpty ? "" : "\(address):"
            try stage.write(
                "compose.yaml",
                "services:\n  app: {image: bb:1, command: [sleep, \"9\"], ports: [\"\(prefix)18098:80\"]}\n"
            )
            let up = try stage.covey("up", "-d", code: 1)
            for text in ["18098/tcp", "\"app\"", "EADDRINUSE", "pid \(holder.pid)", "try:"] {
                try stage.require(up.errors.contains(text), "\(text) is not in \(up)")
            }
            // An address that this host has not.
            try stage.write(
                "compose.yaml",
                "services:\n  app: {image: bb:1, command: [sleep, \"9\"], ports: [\"[fd99::9]:18098:80\"]}\n"
            )
            let absent = try stage.covey("up", "-d", code: 1)
            try stage.require(
                absent.errors.contains("fd99::9") && absent.errors.contains("EADDRNOTAVAIL"), "\(absent)")
        }
    }

    @Test("a taken port is an error that names its holder, and leaves nothing")
    func portTaken() throws {
        try Stage.play("port-taken") { stage in
            let holder = try RunningProgram(
                [
                    "nsenter", "--net=/run/netns/\(stage.host)", "busybox", "httpd", "-f", "-p",
                    "127.0.0.1:18085",
                    "-h", "/usr/share/doc",
                ], environment: ["PATH=\(Host.path)"], directory: "/", scratch: stage.directory)
            defer {
                holder.signal(9)
                _ = try? holder.wait()
            }
            try stage.eventually("the holder listens") {
                try stage.inHost(["ss", "-Hltn", "sport = :18085"]).output.contains("18085")
            }
            let up = try stage.covey("up", "-d", code: 1)
            try stage.require(up.errors.contains("18085"), "the port is not named:\n\(up)")
            try stage.require(
                up.errors.contains("\(holder.pid)") || up.errors.contains("busybox"),
                "the holder is not named:\n\(up)")
        }
    }

    @Test("a port another project of Covey's holds is an error that names the project")
    func portOfAnotherProject() throws {
        try Stage.play("port-taken") { stage in
            try stage.covey("up", "-d")
            let other = "\(stage.project)-other"
            let up = try stage.start(["-p", other, "up", "-d"]).wait()
            try stage.require(up.code == 1 && up.errors.contains(stage.project), "\(up)")
            // Of what was stopped nothing is written down: the next one that has it is named.
            try stage.covey("stop", "-t", "0")
            let leases = "\(stage.directory)/root/leases/ports.json"
            try stage.require(!exists(leases), contents(leases))
            try stage.start(["-p", other, "up", "-d"]).wait().orThrow()
            let start = try stage.attempt("start")
            try stage.require(
                start.code == 1 && start.errors.contains("project \"\(other)\""), "\(start)")
            let down = try stage.start(["-p", other, "down", "-v"]).wait()
            try stage.require(down.succeeded, "\(down)")
        }
    }
}
