// SPDX-License-Identifier: Apache-2.0
//
// LogFeed: the logs of a project's containers on their way to the user; containers may join while it runs.

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
    private var known: Set<String> = []
    private var started = false
    private var watch: LogWatch?
    /// Only lines of this time, nanoseconds since 1970.
    private let period: ClosedRange<Int64>
    /// With an end in time the last lines are counted back from there: by container, until that end.
    private var held: [String: [MergedLine]] = [:]

    /// How long to rely on inotify alone: before Linux 6.6 a splice(2) into a file told nobody, and an index record
    /// may come after its bytes.
    static let look = Duration.milliseconds(500)

    init(
        project: String, choice: LogChoice, tail: Int?, printer: LogPrinter,
        period: ClosedRange<Int64> = Int64.min...Int64.max
    ) {
        self.period = period
        self.project = project
        self.choice = choice
        self.tail = tail
        self.printer = printer
    }

    var isEmpty: Bool { known.isEmpty }

    /// Readable when something was written; -1 before `add`.
    var wakeup: LogWatch? { watch }

    /// Takes in those containers that are wanted and new.
    func add(_ containers: [LogContainer]) throws(Failure) {
        let new = containers.filter { choice.wants($0) && !known.contains($0.name) }
            .sorted { ($0.service, $0.index) < ($1.service, $1.index) }
        for container in new {
            // One that has no directory yet has written nothing; it is asked for again with the next status.
            guard exists(container.directory) else { continue }
            known.insert(container.name)
            let isPrefixed = ["-", "_"].contains { container.name.hasPrefix(project + $0) }
            let label =
                isPrefixed ? String(container.name.dropFirst(project.count + 1)) : container.name
            printer.announce(label)
            try merge.add(
                LogSource(label: label, directory: container.directory),
                tail: started || period.upperBound < .max ? nil : tail)
            if watch == nil { watch = try LogWatch() }
            try watch?.add(container.directory)
        }
        if !started, !known.isEmpty {
            merge.orderTails()
            started = true
        }
    }

    /// Prints what is there. `last`: nothing will follow, so lines without an end are printed too.
    func printAvailable(last: Bool) throws(Failure) {
        watch?.drain()
        while let line = try merge.next() { show(line) }
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
        guard let tail, period.upperBound < .max else { return printer.print(line) }
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

/// The controller's `watch`: the containers' states as they change.
final class StatusWatch {
    private let client: ControlClient
    private let choice: LogChoice
    private var containers: [ContainerStatus]?

    struct News {
        /// The states, when they changed.
        var containers: [ContainerStatus]?
        var signal: Int32?
        /// The controller left: the project is down.
        var ended = false
    }

    init(_ client: ControlClient, _ choice: LogChoice) throws(Failure) {
        self.client = client
        self.choice = choice
        try client.send(.watch)
    }

    /// Every container that is wanted has ended and none will start again; false while there is none.
    var everyoneEnded: Bool {
        let wanted = (containers ?? []).filter { choice.wants(LogContainer($0)) }
        return !wanted.isEmpty && wanted.allSatisfy { $0.state == .exited || $0.state == .dead }
    }

    /// Waits for a state, a signal, bytes in the logs or another descriptor, or the time.
    func wait(signals: SignalStream, logs: LogWatch?, also other: Int32 = -1, atMost limit: Duration)
        throws(Failure)
        -> News
    {
        let isUnread = client.hasBuffered
        let ready = try kernel("cannot wait for the controller") { () throws(SyscallError) in
            try waitReadable(
                [client.descriptor, signals.raw, logs?.raw ?? -1, other], atMost: isUnread ? .zero : limit)
        }
        var news = News()
        if ready[1] { news.signal = signals.next() }
        if ready[0] || isUnread {
            if ready[0] { news.ended = try !client.fill() }
            while let (event, _) = try client.nextBuffered() {
                switch event {
                case .status(let states):
                    news.containers = states
                    containers = states
                case .failed(let failure): throw failure
                case .done: news.ended = true
                default: break
                }
            }
        }
        return news
    }
}
