// SPDX-License-Identifier: Apache-2.0
//
// Progress: what the user sees while a command works. `ProgressState` is what is known, a pure value; renderers
// turn it into text; `Progress` decides when text is written. Four faces: a live list on a terminal, plain lines,
// JSON lines, nothing.

internal import Basics
internal import Controller
internal import Kernel

/// One thing that is done, and how far it is.
struct ProgressTask: Equatable {
    enum State: Equatable { case waiting, working, done, failed }
    var kind: String
    var name: String
    var doing: String
    var done: String
    /// Part of what stands above it in the list.
    var indent = 0
    var state = State.waiting
    /// Monotonic nanoseconds.
    var started: Int64?
    var ended: Int64?

    /// How far it is, beside the word: `3.1MB/28MB  9MB/s  3s left`.
    var note: String?
    /// When `note` was last written as a line.
    var noted: Int64?

    /// `Container web-1`
    var title: String { "\(kind) \(name)" }
    /// `Creating`, `Created`, `Error`
    var word: String {
        switch state {
        case .waiting: return "Waiting"
        case .working: return note.map { "\(doing)  \($0)" } ?? doing
        case .done: return done
        case .failed: return "Error"
        }
    }
}

/// All that a command is doing.
struct ProgressState: Equatable {
    /// The command, for the head of the list.
    var title: String
    var tasks: [ProgressTask] = []
    /// When the command began, monotonic nanoseconds.
    var began: Int64

    /// Notes a task's new state; false when that is no news.
    mutating func set(_ index: Int, _ state: ProgressTask.State, at now: Int64) -> Bool {
        guard tasks.indices.contains(index), tasks[index].state != state else { return false }
        tasks[index].state = state
        if tasks[index].started == nil { tasks[index].started = now }
        if state == .done || state == .failed { tasks[index].ended = now }
        return true
    }
}

enum ProgressMode: String { case auto, tty, plain, json, quiet }

/// Shows a command's progress on the error output, so that the standard output stays for results.
final class Progress {
    private let output: Output
    private let mode: ProgressMode
    private(set) var state: ProgressState
    private let clock: () -> Int64
    private var drawnLines = 0
    private var lastDrawn: Int64?
    private var stale = false
    private var ended = false
    /// False: lines of a step's own output are left out.
    var showsDetails = true
    /// False: layers that come or go are left out, their image stays.
    var showsLayers = true
    /// How many warnings were shown.
    private(set) var warnings = 0
    /// True for the list on a terminal.
    var isLive: Bool { mode == .tty }

    /// Nothing is drawn before: most commands are over by then, and a list that flickers by helps nobody.
    static let quietStart: Int64 = 100_000_000
    /// At most twenty times a second.
    static let interval: Int64 = 50_000_000

    init(
        _ title: String, mode: ProgressMode, output: Output,
        clock: @escaping () -> Int64 = monotonicNanoseconds
    ) {
        self.output = output
        self.clock = clock
        self.mode = mode == .auto ? (output.isTerminal ? .tty : .plain) : mode
        state = ProgressState(title: title, began: clock())
    }

    /// Adds tasks that wait; the first one's index is returned.
    @discardableResult
    func add(_ tasks: [ProgressTask]) -> Int {
        state.tasks += tasks
        stale = true
        return state.tasks.count - tasks.count
    }

    /// Adds one task that is being worked on.
    func begin(_ kind: String, _ name: String, doing: String, done: String, indent: Int = 0) -> Int {
        let index = add([ProgressTask(kind: kind, name: name, doing: doing, done: done, indent: indent)])
        update(index, .working)
        return index
    }

    func update(_ index: Int, _ new: ProgressTask.State) {
        guard state.set(index, new, at: clock()) else { return }
        let task = state.tasks[index]
        switch mode {
        case .plain: output.write(plainLine(task))
        case .json: output.write(jsonLine(task))
        case .tty:
            stale = true
            tick()
        case .auto, .quiet: break
        }
    }

    /// How far a task is; a line twice a second for machines, part of the list on a terminal, nothing in plain text.
    func note(_ index: Int, _ text: String, moved: Int64, of size: Int64) {
        guard state.tasks.indices.contains(index) else { return }
        state.tasks[index].note = text
        stale = true
        let now = clock()
        guard mode == .json, now - (state.tasks[index].noted ?? 0) > 500_000_000 else { return }
        state.tasks[index].noted = now
        output.line(
            JSONText.object([
                ("id", .string(state.tasks[index].title)), ("status", .string("Working")),
                ("text", .string(state.tasks[index].doing)), ("current", .number(moved)),
                ("total", .number(size)),
            ]).compact)
    }

    /// Ends a task with a word of its own.
    func settle(_ index: Int, _ word: String) {
        state.tasks[index].done = word
        update(index, .done)
    }

    /// Something in the user's files that is legal and rarely meant.
    func warning(_ text: String) {
        warnings += 1
        notice(text)
    }

    /// Something the user should know.
    func notice(_ text: String) {
        switch mode {
        case .quiet: break
        case .json:
            output.line(JSONText.object([("level", .string("notice")), ("text", .string(text))]).compact)
        case .tty: above("\(text)\n")
        case .auto, .plain: output.line(text)
        }
    }

    /// A line of a step's own output (a build's), above the list.
    func detail(_ text: String) {
        if !showsDetails { return }
        switch mode {
        case .quiet: break
        case .json:
            output.line(JSONText.object([("level", .string("output")), ("text", .string(text))]).compact)
        case .tty: above("\(text)\n")
        case .auto, .plain: output.line(" \(text)")
        }
    }

    /// How long a wait for events may last before `tick` is due; nil when nothing moves by itself.
    var untilTick: Duration? {
        guard mode == .tty, !ended, !state.tasks.isEmpty else { return nil }
        let due = max(state.began + Self.quietStart, (lastDrawn ?? 0) + Self.interval)
        return .nanoseconds(max(0, due - clock()))
    }

    /// Redraws when it is time to.
    func tick() {
        let now = clock()
        guard mode == .tty, !ended, now - state.began >= Self.quietStart, !state.tasks.isEmpty else { return }
        if let lastDrawn, now - lastDrawn < Self.interval { return }
        draw(now)
    }

    /// Draws the final list, once; nothing is shown afterwards.
    func end() {
        guard !ended else { return }
        if mode == .tty, !state.tasks.isEmpty, stale || drawnLines > 0 { draw(clock(), final: true) }
        ended = true
    }

    private func above(_ text: String) {
        var bytes: [UInt8] = []
        eraseDrawn(&bytes)
        output.write(bytes + Array(text.utf8))
        if lastDrawn != nil, !ended { draw(clock()) }
    }

    private func eraseDrawn(_ bytes: inout [UInt8]) {
        // Up to the list's head, then clear to the screen's end (ECMA-48: CPL, ED).
        if drawnLines > 0 { bytes += Array("\u{1b}[\(drawnLines)F\u{1b}[J".utf8) }
        drawnLines = 0
    }

    private func draw(_ now: Int64, final: Bool = false) {
        let size = windowSize(of: output.fd) ?? WindowSize(rows: 24, columns: 80)
        let lines = listLines(
            state, now: now, columns: Int(size.columns), rows: final ? nil : max(2, Int(size.rows) - 1),
            colours: output.colours)
        var bytes: [UInt8] = []
        eraseDrawn(&bytes)
        for line in lines { bytes += Array("\(line)\n".utf8) }
        output.write(bytes)
        drawnLines = lines.count
        lastDrawn = now
        stale = false
    }
}
