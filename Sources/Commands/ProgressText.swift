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

/// One line of the list: what is done to one thing, however many steps that takes.
private struct ListRow {
    /// The step that tells the state: the last one that has begun.
    var task: ProgressTask
    var started: Int64
    /// nil while a step is under way or still to come.
    var ended: Int64?
}

/// The rows in the order of their first steps; things nothing has begun for are left out.
private func rows(of state: ProgressState, now: Int64) -> [ListRow] {
    var rows: [ListRow] = []
    var positions: [String: Int] = [:]
    for task in state.tasks {
        let title = task.title
        guard let position = positions[title] else {
            positions[title] = rows.count
            rows.append(ListRow(task: task, started: task.started ?? now, ended: task.ended))
            continue
        }
        rows[position].ended = task.ended
        if task.state != .waiting || rows[position].task.state == .waiting {
            rows[position].started = min(rows[position].started, task.started ?? now)
            rows[position].task = task
        }
    }
    return rows
}

/// The live list: a head with a count, then a line per thing with its time at the right. What waits is not shown.
/// When `rows` does not hold them all, what is being worked on comes first, then what ended last.
func listLines(_ state: ProgressState, now: Int64, columns: Int, rows limit: Int?, colours: Bool) -> [String]
{
    let all = rows(of: state, now: now)
    var shown = Array(all.indices.filter { all[$0].task.state != .waiting })
    if let limit, shown.count > limit - 1 {
        let order = shown.sorted { a, b in
            let (first, second) = (all[a].ended, all[b].ended)
            if (first == nil) != (second == nil) { return first == nil }
            return (first ?? 0) > (second ?? 0)
        }
        shown = order.prefix(limit - 1).sorted()
    }
    let finished = all.count { $0.task.state == .done && $0.ended != nil }
    var lines = ["[+] \(state.title) \(finished)/\(all.count)"]
    if finished == all.count { lines[0] = Colour.blue.paint(lines[0], when: colours) }
    let titleWidth = shown.map { all[$0].task.title.count + 2 * all[$0].task.indent }.max() ?? 0
    let wordWidth = shown.map { all[$0].task.word.count }.max() ?? 0
    for index in shown {
        let (task, started) = (all[index].task, all[index].started)
        let mark: String
        switch task.state {
        case .done: mark = Colour.green.paint("✔", when: colours)
        case .failed: mark = Colour.red.paint("✘", when: colours)
        case .working, .waiting:
            mark = Colour.blue.paint(
                spinner[Int((now - started) / 80_000_000) % spinner.count], when: colours)
        }
        let time = shortSeconds(nanoseconds: (all[index].ended ?? now) - started)
        // Mark and blanks take 6 columns; a title gives way before the rest does.
        let room = max(8, columns - 8 - wordWidth - time.count)
        let width = min(titleWidth, room)
        let title = shortened(String(repeating: "  ", count: task.indent) + task.title, to: width)
        let titlePad = String(repeating: " ", count: width - title.count)
        let wordPad = String(repeating: " ", count: wordWidth - task.word.count)
        let colour: Colour = task.state == .done ? .green : task.state == .failed ? .red : .blue
        lines.append(
            " \(mark) \(title)\(titlePad)  \(colour.paint(task.word, when: colours))\(wordPad)  \(time)")
    }
    return lines
}
