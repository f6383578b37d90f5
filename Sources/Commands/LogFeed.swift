// SPDX-License-Identifier: Apache-2.0
//
// LogFeed: the logs of a project's containers on their way to the user; containers may join, leave and be made anew while
// it runs.

internal import Basics
internal import Controller
internal import Kernel

final class LogFeed {
    private let project: String
    private let choice: LogChoice
    /// For containers that are there at the beginning; of those that join later everything is shown.
    private let tail: Int?
    private let printer: LogPrinter
    private let merge = LogMerge()
    private var known: [String: Known] = [:]
    private var started = false
    private var watch: LogWatch?
    /// Only lines of this time, nanoseconds since 1970.
    private let period: ClosedRange<Int64>
    /// With an end in the past the last lines are counted back from there: by container, until that end.
    private let countsFromEnd: Bool
    private var held: [String: [MergedLine]] = [:]

    /// A container whose log is shown. One of the same name that was made later has another log.
    private struct Known {
        var createdAt: Int64
        var source: LogSource
    }

    /// How long to rely on inotify alone: before Linux 6.6 a splice(2) into a file told nobody.
    static let look = Duration.milliseconds(500)
    /// So much is printed at once, bytes and a few for each line: then its caller sees to signals and states, also when
    /// containers write faster than we.
    private static let portion = 1 << 20
    private static let costOfLine = 64
    /// More is there than was printed.
    private var isBehind = false

    /// How long its caller may wait for news.
    var patience: Duration { isBehind ? .zero : Self.look }

    init(
        project: String, choice: LogChoice, tail: Int?, printer: LogPrinter,
        period: ClosedRange<Int64> = Int64.min...Int64.max
    ) {
        self.period = period
        self.project = project
        self.choice = choice
        self.tail = tail
        self.printer = printer
        countsFromEnd = tail != nil && period.upperBound < realtimeNanoseconds()
    }

    var isEmpty: Bool { known.isEmpty }

    /// Readable when something was written; nil before `update`.
    var wakeup: LogWatch? { watch }

    /// Takes in those containers that are wanted and new. What is left of those that are gone, or were made anew, comes
    /// before.
    func update(to containers: [LogContainer]) throws(Failure) {
        let present = Dictionary(containers.map { ($0.name, $0.createdAt) }) { $1 }
        for (name, old) in known where present[name] != old.createdAt {
            known[name] = nil
            try merge.remove(old.source)
        }
        let new = containers.filter { choice.wants($0) && known[$0.name] == nil }
            .sorted { ($0.service, $0.index) < ($1.service, $1.index) }
        for container in new {
            // One that has no directory yet has written nothing; it is asked for again with the next status.
            guard exists(container.directory) else { continue }
            let isPrefixed = ["-", "_"].contains { container.name.hasPrefix(project + $0) }
            let label =
                isPrefixed ? String(container.name.dropFirst(project.count + 1)) : container.name
            printer.announce(label)
            let source = LogSource(label: label, directory: container.directory)
            known[container.name] = Known(createdAt: container.createdAt, source: source)
            try merge.add(source, tail: started || countsFromEnd ? nil : tail)
            if watch == nil { watch = try LogWatch() }
            try watch?.add(container.directory)
        }
        if !started, !known.isEmpty {
            merge.orderTails()
            started = true
        }
    }

    /// Prints what is there, or a portion of it. `last`: all that is there now, with lines without an end; what follows is
    /// not wanted.
    func printAvailable(last: Bool) throws(Failure) {
        watch?.drain()
        if last { merge.stopAtPresent() } else { merge.goOn() }
        var room = last ? Int.max : Self.portion
        while room > 0, let line = try merge.next() {
            show(line)
            room -= line.line.bytes.count + Self.costOfLine
        }
        isBehind = room <= 0
        if last {
            for line in merge.rest() { show(line) }
            for line in held.values.joined().sorted(by: { $0.line.time < $1.line.time }) {
                printer.print(line)
            }
            held = [:]
        }
        printer.flush()
    }

    private func show(_ line: MergedLine) {
        guard period.contains(line.line.time) else { return }
        guard let tail, countsFromEnd else { return printer.print(line) }
        held[line.label, default: []].append(line)
        if held[line.label]?.count ?? 0 > tail { held[line.label]?.removeFirst() }
    }

    /// Nothing that is still to come is wanted.
    var isOver: Bool { realtimeNanoseconds() > period.upperBound }

    func say(_ text: String) { printer.say(text) }

    /// The end of a feed that all containers have left.
    func finish() throws(Failure) -> Int32 {
        try printAvailable(last: true)
        return 0
    }
}

/// The directories' watch, with errors in the user's words.
final class LogWatch {
    private let directories: DirectoryWatch

    init() throws(Failure) {
        directories = try kernel("cannot follow the logs") { () throws(SyscallError) in try DirectoryWatch() }
    }

    var raw: Int32 { directories.raw }
    func drain() { directories.drain() }

    func add(_ path: String) throws(Failure) {
        do throws(SyscallError) {
            try directories.add(path)
        } catch {
            throw Failure("cannot follow the log in \(path)", error)
        }
    }
}
