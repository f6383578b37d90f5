// SPDX-License-Identifier: Apache-2.0
//
// ProgressText: a state of progress as text; pure, so that golden tests can hold it.

internal import Basics

/// One plain line: ` Container web-1  Creating`.
func plainLine(_ task: ProgressTask) -> String { " \(task.title)  \(task.word)\n" }

/// One line of JSON; `status` is one of `Working`, `Done`, `Error`.
func jsonLine(_ task: ProgressTask) -> String {
    let status: String
    switch task.state {
    case .waiting, .working: status = "Working"
    case .done: status = "Done"
    case .failed: status = "Error"
    }
    var members: [(String, JSONText)] = [
        ("id", .string(task.title)), ("status", .string(status)), ("text", .string(task.word)),
    ]
    if let started = task.started, let ended = task.ended {
        members.append(("ms", .number((ended - started) / 1_000_000)))
    }
    return JSONText.object(members).compact + "\n"
}

private let spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]

/// The live list: a head with a count, then a line per task with its time at the right. Tasks that wait are not
/// shown. When `rows` does not hold them all, what is being worked on comes first, then what ended last.
func listLines(_ state: ProgressState, now: Int64, columns: Int, rows: Int?, colours: Bool) -> [String] {
    var shown = Array(state.tasks.indices.filter { state.tasks[$0].state != .waiting })
    if let rows, shown.count > rows - 1 {
        let order = shown.sorted { a, b in
            let (first, second) = (state.tasks[a], state.tasks[b])
            if (first.ended == nil) != (second.ended == nil) { return first.ended == nil }
            return (first.ended ?? 0) > (second.ended ?? 0)
        }
        shown = order.prefix(rows - 1).sorted()
    }
    var lines = ["[+] \(state.title) \(state.finished)/\(state.tasks.count)"]
    if state.allEnded { lines[0] = Colour.blue.paint(lines[0], when: colours) }
    let titleWidth = shown.map { state.tasks[$0].title.count }.max() ?? 0
    let wordWidth = shown.map { state.tasks[$0].word.count }.max() ?? 0
    for index in shown {
        let task = state.tasks[index]
        let started = task.started ?? now
        let mark: String
        switch task.state {
        case .done: mark = Colour.green.paint("✔", when: colours)
        case .failed: mark = Colour.red.paint("✘", when: colours)
        case .working, .waiting:
            mark = Colour.blue.paint(
                spinner[Int((now - started) / 80_000_000) % spinner.count], when: colours)
        }
        let time = shortSeconds(nanoseconds: (task.ended ?? now) - started)
        // Mark and blanks take 6 columns; a title gives way before the rest does.
        let room = max(8, columns - 8 - wordWidth - time.count)
        let width = min(titleWidth, room)
        let title = shortened(task.title, to: width)
        let titlePad = String(repeating: " ", count: width - title.count)
        let wordPad = String(repeating: " ", count: wordWidth - task.word.count)
        let colour: Colour = task.state == .done ? .green : task.state == .failed ? .red : .blue
        lines.append(
            " \(mark) \(title)\(titlePad)  \(colour.paint(task.word, when: colours))\(wordPad)  \(time)")
    }
    return lines
}
