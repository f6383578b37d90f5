// SPDX-License-Identifier: Apache-2.0

import Kernel
import Testing

@testable import Commands

private func task(_ name: String, _ state: ProgressTask.State, started: Int64? = nil, ended: Int64? = nil)
    -> ProgressTask
{
    ProgressTask(
        kind: "Container", name: name, doing: "Starting", done: "Started", state: state, started: started,
        ended: ended)
}

/// What a Progress writes, driven by a clock that is told.
private func written(_ mode: ProgressMode, _ steps: (Progress, (Int64) -> Void) -> Void) throws -> String {
    try withScratch { directory in
        let path = "\(directory)/output"
        try writeFile(path, [])
        let file = try openFile(path, flags: 1)
        let clock = Clock()
        let progress = Progress(
            "up", mode: mode, output: Output(fd: file.raw, colours: false, isTerminal: false),
            clock: { clock.now })
        steps(progress) { clock.now = $0 * 1_000_000 }
        progress.end()
        return try readText(path)
    }
}

private final class Clock {
    var now: Int64 = 0
}

@Suite struct ProgressTests {
    @Test("plain progress is a line per change")
    func plain() throws {
        let text = try written(.plain) { progress, at in
            let first = progress.add([task("web-1", .waiting), task("db-1", .waiting)])
            progress.update(first + 1, .working)
            progress.update(first + 1, .working)
            at(30)
            progress.update(first + 1, .done)
            progress.notice("a word")
            progress.update(first, .failed)
        }
        #expect(
            text == """
                 Container db-1  Starting
                 Container db-1  Started
                a word
                 Container web-1  Error

                """)
    }

    @Test("JSON progress is an object per line")
    func json() throws {
        let text = try written(.json) { progress, at in
            let image = progress.begin("Image", "web", doing: "Building", done: "Built")
            progress.detail("step 1")
            at(1500)
            progress.update(image, .done)
            progress.notice("a \"word\"")
        }
        #expect(
            text == """
                {"id":"Image web","status":"Working","text":"Building"}
                {"level":"output","text":"step 1"}
                {"id":"Image web","status":"Done","text":"Built","ms":1500}
                {"level":"notice","text":"a \\"word\\""}

                """)
    }

    @Test(
        "a layer on its way shows its bytes, the rate of the last looks and the time left; no rate before there is a span"
    )
    func transfer() {
        var rate = TransferRate(0)
        rate.add(1_000_000, at: 100_000_000)
        #expect(transferText(1_000_000, of: 45_600_000, rate) == "1MB/45.6MB")
        rate.add(5_000_000, at: 1_000_000_000)
        #expect(transferText(5_000_000, of: 45_600_000, rate) == "5MB/45.6MB  5MB/s  9s left")
        // Slower since: what was long ago does not count.
        for look in 1...30 { rate.add(5_000_000 + Int64(look) * 10_000, at: Int64(look + 1) * 1_000_000_000) }
        #expect(transferText(5_300_000, of: 5_400_000, rate) == "5.3MB/5.4MB  10kB/s  10s left")
        #expect(transferText(0, of: 7, nil) == "0B/7B")
    }

    @Test("quiet progress says nothing")
    func quiet() throws {
        let text = try written(.quiet) { progress, _ in
            progress.update(progress.begin("Image", "web", doing: "Building", done: "Built"), .done)
            progress.notice("a word")
        }
        #expect(text.isEmpty)
    }

    @Test("a command that is over at once draws its list once")
    func shortList() throws {
        let text = try written(.tty) { progress, at in
            let first = progress.add([task("web-1", .waiting), task("db-1", .waiting)])
            at(20)
            progress.update(first, .working)
            progress.update(first + 1, .working)
            at(99)
            progress.update(first, .done)
            progress.update(first + 1, .done)
        }
        #expect(
            text == """
                [+] up 2/2
                 ✔ Container web-1  Started  0.1s
                 ✔ Container db-1   Started  0.1s

                """)
    }

    @Test("a live list is drawn at most twenty times a second, over itself")
    func liveList() throws {
        let text = try written(.tty) { progress, at in
            let first = progress.add([task("web-1", .waiting)])
            progress.update(first, .working)
            for moment in stride(from: Int64(0), through: 300, by: 5) {
                at(moment)
                progress.tick()
            }
            progress.update(first, .done)
        }
        // Drawn at 100, 150, 200, 250, 300 ms and at the end.
        #expect(text.split(separator: "\u{1b}[2F\u{1b}[J").count == 6)
        #expect(text.hasSuffix("\u{1b}[2F\u{1b}[J[+] up 1/1\n ✔ Container web-1  Started  0.3s\n"))
    }

    @Test("a list longer than the terminal shows what is being worked on")
    func longList() {
        var state = ProgressState(title: "up", began: 0)
        state.tasks = (0..<10).map { task("done-\($0)", .done, started: 0, ended: Int64($0)) }
        state.tasks += [task("busy", .working, started: 0), task("later", .waiting)]
        let lines = listLines(state, now: 160_000_000, columns: 80, rows: 4, colours: false)
        #expect(
            lines == [
                "[+] up 10/12", " ✔ Container done-8  Started   0.0s", " ✔ Container done-9  Started   0.0s",
                " ⠹ Container busy    Starting  0.2s",
            ])
    }

    @Test("what takes several steps is one line")
    func steps() {
        var state = ProgressState(title: "up", began: 0)
        var create = task("web", .done, started: 0, ended: 100_000_000)
        create.done = "Created"
        state.tasks = [create, task("web", .waiting)]
        func lines() -> [String] {
            listLines(state, now: 500_000_000, columns: 80, rows: nil, colours: false)
        }
        #expect(lines() == ["[+] up 0/1", " ✔ Container web  Created  0.5s"])
        state.tasks[1] = task("web", .done, started: 200_000_000, ended: 400_000_000)
        #expect(lines() == ["[+] up 1/1", " ✔ Container web  Started  0.4s"])
    }

    @Test("a narrow terminal cuts names, not states")
    func narrow() {
        var state = ProgressState(title: "up", began: 0)
        state.tasks = [task("a-very-long-name-of-a-container", .done, started: 0, ended: 0)]
        let lines = listLines(state, now: 0, columns: 40, rows: nil, colours: false)
        #expect(lines[1] == " ✔ Container a-very-lon…  Started  0.0s")
        #expect(lines.allSatisfy { $0.count <= 40 })
    }

    @Test("colours only where they are wanted")
    func colours() {
        var state = ProgressState(title: "up", began: 0)
        state.tasks = [task("web", .failed, started: 0, ended: 0)]
        #expect(
            listLines(state, now: 0, columns: 80, rows: nil, colours: true)[1]
                == " \u{1b}[31m✘\u{1b}[0m Container web  \u{1b}[31mError\u{1b}[0m  0.0s")
    }
}
