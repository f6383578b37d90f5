// SPDX-License-Identifier: Apache-2.0

import Basics
import Controller
import Testing

@testable import Commands

private let second: Int64 = 1_000_000_000

@Suite struct TextTests {
    @Test("columns are as wide as their widest cell, no blank ends a line")
    func tables() {
        #expect(
            table(["NAME", "PORTS"], [["web", "80"], ["database", ""]]) == """
                NAME       PORTS
                web        80
                database

                """)
    }

    @Test(
        "durations in words",
        arguments: [
            (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
            (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (2 * 3600, "2 hours"),
            (3 * 86_400, "3 days"), (20 * 86_400, "2 weeks"), (100 * 86_400, "3 months"),
            (900 * 86_400, "2 years"), (-5, "Less than a second"),
        ] as [(Int64, String)])
    func durations(seconds: Int64, text: String) {
        #expect(humanDuration(nanoseconds: seconds * second) == text)
    }

    @Test(
        "sizes in three digits",
        arguments: [
            (0, "0B"), (999, "999B"), (1000, "1kB"), (4_260_000, "4.26MB"), (13_600_000, "13.6MB"),
            (254_000_000, "254MB"), (1_050_000_000, "1.05GB"),
        ] as [(Int64, String)])
    func sizes(bytes: Int64, text: String) { #expect(humanSize(bytes: bytes) == text) }

    @Test(
        "moments as RFC 3339",
        arguments: [
            (0, "1970-01-01T00:00:00.000000000Z"), (1, "1970-01-01T00:00:00.000000001Z"),
            (951_782_400 * second, "2000-02-29T00:00:00.000000000Z"),
            (1_767_225_599 * second + 123_456_789, "2025-12-31T23:59:59.123456789Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ] as [(Int64, String)])
    func moments(nanoseconds: Int64, text: String) { #expect(rfc3339(nanoseconds: nanoseconds) == text) }

    @Test("JSON keeps the keys' order and escapes what it must")
    func json() {
        let value = JSONText.object([
            ("b", .string("a\"b\\c\n\u{1}é")), ("a", .array([.null, .bool(true), .number(-3)])),
        ])
        #expect(value.compact == #"{"b":"a\"b\\c\n\u0001é","a":[null,true,-3]}"#)
    }

    @Test("a container's state in words")
    func states() {
        func text(_ change: (inout ContainerStatus) -> Void) -> String {
            var status = ContainerStatus(
                name: "p-web-1", service: "web", index: 1, image: "i", command: ["httpd"], state: .running,
                logDirectory: "/")
            status.startedAt = 0
            change(&status)
            return statusText(status, now: 5 * second)
        }
        #expect(text { _ in } == "Up 5 seconds")
        #expect(text { $0.health = .healthy } == "Up 5 seconds (healthy)")
        #expect(text { $0.health = .starting } == "Up 5 seconds (health: starting)")
        #expect(
            text {
                $0.state = .exited
                $0.exitCode = 137
                $0.finishedAt = 2 * second
                $0.oomKilled = true
            } == "Exited (137) 3 seconds ago, out of memory")
        #expect(
            text {
                $0.state = .exited
                $0.exitCodeKnown = false
            } == "Exited (unknown)")
        #expect(text { $0.state = .created } == "Created")
    }

    @Test("the table of ps")
    func ps() {
        var web = ContainerStatus(
            name: "p-web-1", service: "web", index: 1, image: "web:1",
            command: ["httpd", "-f", "-p", "8080", "-v"],
            state: .running, logDirectory: "/")
        web.createdAt = 0
        web.startedAt = 30 * second
        web.ports = [
            PublishedPortStatus(hostAddress: "0.0.0.0", hostPort: 8080, containerPort: 80, proto: .tcp),
            PublishedPortStatus(hostAddress: "::1", hostPort: 53, containerPort: 53, proto: .udp),
        ]
        let ports = "0.0.0.0:8080->80/tcp, [::1]:53->53/udp"
        #expect(
            containerTable([web], now: 60 * second) == """
                NAME      IMAGE   COMMAND                 SERVICE   CREATED              STATUS          PORTS
                p-web-1   web:1   "httpd -f -p 8080 -v"   web       About a minute ago   Up 30 seconds   \(ports)

                """)
        web.command = ["sh", "-c", "while :; do\n\tls\u{1b}[2J\ndone"]
        #expect(containerTable([web], now: 60 * second).contains("\"sh -c while :; do  …\"   web"))
        #expect(stateCounts([web, web]) == "running(2)")
        web.addresses = ["p_default": "10.0.0.2", "p_back": "10.0.1.2"]
        let json = containerJSON(web, project: "p", now: 60 * second).compact
        for part in [
            #""ID":"p-web-1","Names":"p-web-1","RunningFor":"About a minute ago","Networks":"p_back,p_default","#,
            #""Addresses":{"p_back":"10.0.1.2","p_default":"10.0.0.2"},"Ports":"\#(ports)","#,
        ] {
            #expect(json.contains(part), "\(json)")
        }
        #expect(json.hasPrefix(#"{"Name":"p-web-1","Project":"p","Service":"web","Index":1,"#))
        #expect(json.hasSuffix(#"{"URL":"::1","TargetPort":53,"PublishedPort":53,"Protocol":"udp"}]}"#))
    }

    @Test(
        "a cell of a table stays on its line",
        arguments: [
            ("plain ü 漢", "plain ü 漢"), ("a\nb\tc\r\nd", #"a\nb\tc\r\nd"#),
            ("\u{1b}[31mred", #"\x1b[31mred"#),
            ("\u{202e}turned\u{85}", #"\u202eturned\u0085"#), (#"a "b" \"#, #"a "b" \"#),
        ])
    func cells(text: String, shown: String) {
        #expect(table(["HEAD"], [[text, "end"]]).split(separator: "\n").dropFirst() == ["\(shown)   end"])
    }

    @Test(
        "an unchanged project is told with what runs and what has done its work",
        arguments: [
            (3, 0, "3 services running"), (1, 0, "1 service running"),
            (2, 1, "2 services running, 1 completed"),
            (0, 1, "1 service completed"), (0, 0, "0 services running"),
        ])
    func unchanged(running: Int, completed: Int, text: String) {
        #expect(
            unchangedText("p", running: running, completed: completed) == "project \"p\" unchanged, \(text)")
    }

    @Test("quotes and backslashes in a command are escaped, as in Docker's table")
    func quoting() {
        #expect(quoted("say \"hi\"\n\\") == #""say \"hi\"\n\\""#)
    }
}
