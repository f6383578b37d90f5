// SPDX-License-Identifier: Apache-2.0
//
// LogMerging: the streams of several containers as one row of lines, ordered by the time they came.

internal import Basics
internal import CLinux
internal import Kernel

/// One container's output.
final class LogSource {
    /// Before each line: `web-1`.
    let label: String
    let directory: String
    let standard: LogStream
    let errors: LogStream
    private let opened: SharedFD?

    init(label: String, directory: String) {
        self.label = label
        self.directory = directory
        // By its descriptor: a container that is made anew has another directory at this path. The dot ends the path with
        // no link, which `directoryEntries` would not follow (proc_pid_fd(5)).
        var path = directory
        if let file = try? openFile(directory, flags: O_RDONLY | O_DIRECTORY) {
            path = "/proc/self/fd/\(file.raw)/."
            opened = SharedFD(file)
        } else {
            opened = nil
        }
        standard = LogStream(directory: path, name: "stdout")
        errors = LogStream(directory: path, name: "stderr")
    }
}

/// A line and where it came from.
struct MergedLine: Equatable {
    var label: String
    var isError: Bool
    var line: LogLine
}

final class LogMerge {
    private(set) var sources: [LogSource] = []
    /// Lines of the tails, in front of what the streams still have.
    private var front: [MergedLine] = []

    /// Adds a container; `tail` lines of what it wrote so far, nil for all.
    func add(_ source: LogSource, tail: Int?) throws(Failure) {
        sources.append(source)
        guard let tail else { return }
        let streams = [source.standard, source.errors]
        for stream in streams { try stream.start(last: tail) }
        guard tail > 0 else { return }
        for stream in streams { stream.stopAtPresent() }
        // Each stream gives its last lines, and maybe one without an end; together they are more than wanted.
        var lines: [MergedLine] = []
        while let line = try next(among: [source]) { lines.append(line) }
        var unended: [(stream: LogStream, time: Int64)] = []
        for stream in streams {
            if let time = stream.restTime { unended.append((stream, time)) }
        }
        unended.sort { $0.time < $1.time }
        var surplus = max(0, lines.count + unended.count - tail)
        var first = 0
        while surplus > 0 {
            if first < lines.count, lines[first].line.time <= unended.first?.time ?? .max {
                first += 1
            } else if !unended.isEmpty {
                unended.removeFirst().stream.skipRest()
            }
            surplus -= 1
        }
        front += lines[first...]
    }

    /// Orders what the tails of several containers gave. Called once, when all are added.
    func orderTails() {
        // Stable by hand: equal times stay in the order they were added.
        front = front.enumerated().sorted {
            ($0.element.line.time, $0.offset) < ($1.element.line.time, $1.offset)
        }.map(\.element)
        front.reverse()
    }

    /// What is written from now on is left out; of a container with a tail, from its addition on.
    func stopAtPresent() {
        for stream in sources.flatMap({ [$0.standard, $0.errors] }) { stream.stopAtPresent() }
    }

    /// Ends that.
    func goOn() {
        for stream in sources.flatMap({ [$0.standard, $0.errors] }) { stream.goOn() }
    }

    /// The earliest line that is there and was not taken yet; nil when all was taken for now.
    func next() throws(Failure) -> MergedLine? {
        if let line = front.popLast() { return line }
        return try next(among: sources)
    }

    /// Takes a container out that writes no more; what is left of it comes first.
    func remove(_ source: LogSource) throws(Failure) {
        var lines: [MergedLine] = []
        for stream in [source.standard, source.errors] { stream.goOn() }
        while let line = try next(among: [source]) { lines.append(line) }
        lines += rest(of: [source])
        sources.removeAll { $0 === source }
        front += lines.reversed()
    }

    /// Last lines without a line feed, when nothing more will be written.
    func rest() -> [MergedLine] { rest(of: sources) }

    private func rest(of sources: [LogSource]) -> [MergedLine] {
        sources.flatMap { source in
            [(source.standard, false), (source.errors, true)].compactMap { stream, isError in
                stream.takeRest().map { MergedLine(label: source.label, isError: isError, line: $0) }
            }
        }
    }

    private func next(among sources: [LogSource]) throws(Failure) -> MergedLine? {
        var best: (source: LogSource, isError: Bool, line: LogLine)?
        for source in sources {
            if let line = try source.standard.peek(), line.time < best?.line.time ?? .max {
                best = (source, false, line)
            }
            if let line = try source.errors.peek(), line.time < best?.line.time ?? .max {
                best = (source, true, line)
            }
        }
        guard let best else { return nil }
        (best.isError ? best.source.errors : best.source.standard).advance()
        return MergedLine(label: best.source.label, isError: best.isError, line: best.line)
    }
}
