// SPDX-License-Identifier: Apache-2.0
//
// The event log: what is written is read back, and it stays within its bounds; how often the same repair is tried.

import Glibc
import Kernel
import Testing

@testable internal import Controller

/// A run directory; gone with the value.
private final class Directory {
    let path = "/tmp/covey-events-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    init() throws { try ensureDirectory(path) }
    deinit { try? removeTree(path) }
}

@Suite("the event log")
struct EventLogTests {
    @Test(
        "an event is one line, and comes back as it was",
        arguments: [
            ProjectEvent(time: 1, .container, "start", "shop-web-1", service: "web", ["image": "web:1"]),
            ProjectEvent(time: 2, .network, "create", "shop_front"),
            ProjectEvent(
                time: 3, .firewall, "drift", "a\tb\nc\\d",
                ["cause": "x=y\nz", "empty": "", "tab\t": "\\n"]),
        ])
    func roundTrip(event: ProjectEvent) {
        let line = EventLog.line(event)
        #expect(line.filter { $0 == UInt8(ascii: "\n") }.count == 1 && line.last == UInt8(ascii: "\n"))
        #expect(EventLog.event(line.dropLast()) == event)
    }

    @Test(
        "a line that was cut off is passed over",
        arguments: ["", "12", "12\tcontainer\tstart", "x\ty\tz\ta\tb"])
    func cutOff(line: String) { #expect(EventLog.event(line.utf8) == nil) }

    @Test("what happened since a moment, in order; the oldest goes when there is too much")
    func bounds() throws {
        let directory = try Directory()
        let log = EventLog(runDirectory: directory.path)
        let long = String(repeating: "x", count: 1000)
        for time in 1...2000 { try log.append(ProjectEvent(time: Int64(time), .volume, "create", long)) }
        let kept = log.events(since: 0)
        #expect(kept.last?.time == 2000)
        #expect(kept.count < 1200 && kept.count > 500)
        #expect(kept.map(\.time) == kept.map(\.time).sorted())
        #expect(EventLog(runDirectory: directory.path).events(since: 1990).map(\.time) == Array(1990...2000))
    }

    @Test("what is changed again and again is left alone for a while; a failure is told once")
    func insistence() {
        var history = RepairHistory()
        let second: Int64 = 1_000_000_000
        var answers: [Bool] = []
        for look in 0..<12 { answers.append(history.mayRepair("link", now: Int64(look) * second / 10)) }
        #expect(answers == Array(repeating: true, count: 8) + Array(repeating: false, count: 4))
        let another = history.mayRepair("another", now: 0)
        let later = history.mayRepair("link", now: 12 * second)
        #expect(another && later)
        var told: [Bool] = []
        for failure in ["no", "no", nil, nil, "no"] { told.append(history.isNews(failure, "link")) }
        #expect(told == [true, false, true, true, true])
    }
}
