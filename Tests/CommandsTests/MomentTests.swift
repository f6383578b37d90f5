// SPDX-License-Identifier: Apache-2.0

import Controller
import Glibc
import Testing

@testable import Commands

private let second: Int64 = 1_000_000_000

@Suite struct MomentTests {
    @Test(
        "moments as Docker takes them",
        arguments: [
            ("0", 0), ("1136073845", 1_136_073_845 * second), ("1.5", 1_500_000_000), ("10m", 400 * second),
            ("0s", 1000 * second), ("1970-01-02T00:00:00Z", 86_400 * second),
            ("1970-01-01T02:00:00.25+02:00", second / 4), ("1970-01-01T01:00-01:00", 7200 * second),
            ("2026-01-02T15:04:05.000001Z", 1_767_366_245 * second + 1000),
            ("9999999h", 1000 * second - .max),
            ("2262-04-11T23:47:16.8Z", 9_223_372_036 * second + 800_000_000),
        ] as [(String, Int64)])
    func understood(text: String, nanoseconds: Int64) {
        #expect(parseMoment(text, now: 1000 * second) == nanoseconds)
    }

    @Test("without a zone it is the time of this place")
    func local() throws {
        let moment = try #require(parseMoment("2026-07-02 15:04:05", now: 0))
        #expect(localTime(moment) == "2026-07-02 15:04:05.000000")
        #expect(parseMoment("2026-07-02", now: 0).map(localTime) == "2026-07-02 00:00:00.000000")
    }

    @Test(
        "what is no moment is not taken for one",
        arguments: [
            "", "yesterday", "-5", "2026-13-01", "2026-01-02T25:00", "2026-01-02T10:00:00.", "1.", "1.x",
            "2026-1",
            "2262-04-11T23:47:16.9Z", "2026-01-02TZ", "99999999999999999999", "2026-01-02T10:00+2",
        ])
    func refused(text: String) { #expect(parseMoment(text, now: 0) == nil) }

    @Test("a duration of a flag is a century at most")
    func longest() throws {
        var arguments = Arguments()
        for text in ["9223372036854775807", "9999999h", "3153600000"] {
            arguments.add(.timeout, text)
            #expect(try arguments.duration(.timeout) == .seconds(3_153_600_000))
        }
    }

    @Test("an event on one line for people and for machines")
    func texts() {
        let event = ProjectEvent(
            time: parseMoment("2026-01-02 15:04:05.25", now: 0) ?? 0, .container, "die", "shop-web-1",
            service: "web",
            ["image": "web:1", "exitCode": "1"])
        #expect(
            eventText(event)
                == "2026-01-02 15:04:05.250000 container die shop-web-1 (exitCode=1, image=web:1, service=web)"
        )
        let json = eventJSON(ProjectEvent(time: 0, .network, "create", "n"), "shop")
        #expect(
            json
                == #"{"time":"1970-01-01T00:00:00.000000000Z","type":"network","action":"create","id":"n","#
                + #""service":null,"project":"shop","attributes":{}}"#)
    }
}
