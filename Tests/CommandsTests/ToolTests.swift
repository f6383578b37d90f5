// SPDX-License-Identifier: Apache-2.0

import Basics
import Controller
import Testing

@testable import Commands

private let second: Int64 = 1_000_000_000

@Suite struct ToolTests {
    @Test(
        "a moment is RFC 3339, seconds since 1970, or how long ago",
        arguments: [
            ("2026-01-02T03:04:05Z", 1_767_323_045 * second),
            ("2026-01-02T04:04:05+01:00", 1_767_323_045 * second),
            ("2026-01-02T03:04:05.000000006Z", 1_767_323_045 * second + 6),
            ("2026-01-01T22:34:05.5-04:30", 1_767_323_045 * second + second / 2),
            ("2026-01-02T03:04Z", 1_767_323_040 * second),
            ("1767323045", 1_767_323_045 * second), ("1767323045.25", 1_767_323_045 * second + second / 4),
            ("0", 0), ("10m", 5_000 * second - 600 * second), ("1h30s", 5_000 * second - 3_630 * second),
        ] as [(String, Int64)])
    func moments(text: String, nanoseconds: Int64) {
        #expect(parseMoment(text, now: 5_000 * second) == nanoseconds)
    }

    @Test(
        "what is no moment is none",
        arguments: [
            "", "yesterday", "2026-13-01", "2026-01-32", "2026-01-02T25:00:00Z", "2026-01-02T03:04:05X",
            "2026-01-02T03:04:05+1", "12.x", "-5", "10 m", "2026-01-02T03:04:05Zz",
        ])
    func noMoments(text: String) { #expect(parseMoment(text, now: 0) == nil) }

    @Test("detach keys end it wherever they are typed; what only began like them goes on")
    func detachKeys() throws {
        var keys = try DetachKeys("ctrl-p,ctrl-q")
        #expect(keys.pass([97, 98]) == [97, 98])
        #expect(keys.pass([97, 16]) == [97])
        #expect(keys.pass([98]) == [16, 98])
        #expect(keys.pass([16, 16, 17]) == nil)
        var other = try DetachKeys("q")
        #expect(other.pass([113]) == nil)
        var none = try DetachKeys("")
        #expect(none.pass([16, 17]) == [16, 17])
        for text in ["ctrl-", "ctrl-pq", "ab", "a,,b", ","] {
            #expect(throws: Failure.self) { try DetachKeys(text) }
        }
    }

    private func container(_ service: String, _ code: Int?, at time: Int64 = 0) -> ContainerStatus {
        var status = ContainerStatus(
            name: "p-\(service)-1", service: service, index: 1, image: "", command: [],
            state: code == nil ? .running : .exited, logDirectory: "")
        status.exitCode = code
        status.finishedAt = code == nil ? nil : time
        return status
    }

    @Test("the first container that ended aborts; one that others wait for only when it failed")
    func abort() {
        let exit = AbortPolicy(trigger: .exit, codeFrom: nil, awaited: ["job"])
        #expect(exit.cause(among: [container("web", nil), container("job", 0)]) == nil)
        #expect(exit.cause(among: [container("job", 1)])?.service == "job")
        let all = [container("web", 0, at: 2), container("db", 3, at: 1)]
        #expect(exit.cause(among: all)?.service == "db")
        #expect(exit.code(cause: all[1], all) == 3)
        let failure = AbortPolicy(trigger: .failure, codeFrom: nil, awaited: [])
        #expect(failure.cause(among: [container("web", 0)]) == nil)
        #expect(failure.cause(among: all)?.service == "db")
        let from = AbortPolicy(trigger: .exit, codeFrom: "test", awaited: ["test"])
        #expect(from.cause(among: [container("test", 0)])?.service == "test")
        #expect(from.code(cause: all[1], all + [container("test", 42)]) == 42)
        #expect(AbortPolicy.none.cause(among: all) == nil)
    }

    @Test(
        "sizes in binary units",
        arguments: [
            (0, "0B"), (1023, "1023B"), (1024, "1.00KiB"), (1536, "1.50KiB"), (64 << 20, "64.0MiB"),
            (200 << 20, "200MiB"), (3 << 30, "3.00GiB"),
        ] as [(Int64, String)])
    func sizes(bytes: Int64, text: String) { #expect(binarySize(bytes) == text) }

    @Test("a switch may be given false, long and short")
    func switches() throws {
        for words in [["run", "-i=false", "x"], ["run", "--interactive=false", "x"]] {
            guard case .run(_, let arguments) = try parse(words, commands: commandTable, globals: globalFlags)
            else {
                Issue.record("\(words)")
                continue
            }
            #expect(arguments.isOff(.interactive) && arguments.operands == ["x"])
        }
        #expect(throws: Failure.self) {
            try parse(["run", "-i=maybe", "x"], commands: commandTable, globals: globalFlags)
        }
    }

    @Test("what stands behind run's service is the program's")
    func runWords() throws {
        let words = ["run", "--rm", "-e", "A=1", "app", "ls", "-l", "--rm", "-e"]
        guard case .run(_, let arguments) = try parse(words, commands: commandTable, globals: globalFlags)
        else {
            return
        }
        #expect(arguments.operands == ["app", "ls", "-l", "--rm", "-e"])
        #expect(arguments.all(.env) == ["A=1"])
    }
}
