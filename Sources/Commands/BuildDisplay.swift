// SPDX-License-Identifier: Apache-2.0
//
// What a builder says, as progress. On a terminal each step is a line below its image, with its time, and a step's own
// output stands above while it runs; elsewhere everything is a line of its own that names its step.

internal import Basics
internal import ImageBuild

/// One build's events. They come from several threads, one at a time.
final class BuildDisplay {
    private let service: String
    private let progress: Progress
    /// By the step's number.
    private var rows: [Int: Int] = [:]
    private var titles: [Int: String] = [:]

    init(_ service: String, _ progress: Progress) {
        self.service = service
        self.progress = progress
    }

    /// The build has failed: what was under way has not come to its end.
    func fail() {
        for row in rows.values where progress.state.tasks[row].state == .working {
            progress.update(row, .failed)
        }
    }

    func show(_ event: BuildEvent) {
        switch event {
        case .began(let number, let total, let stage, let text):
            let line = text.split(separator: "\n", maxSplits: 1).first.map(String.init) ?? ""
            let title = "[\(service) \(stage) \(number)/\(total)]"
            titles[number] = title
            if progress.isLive {
                rows[number] = progress.begin(title, line, doing: "", done: "", indent: 1)
            } else {
                progress.detail("\(title) \(line)")
            }
        case .output(let number, let line):
            progress.detail(progress.isLive ? "\(titles[number] ?? "") \(line)" : "  \(line)")
        case .ended(let number, let outcome):
            if let row = rows[number] {
                progress.settle(row, outcome == .cached ? "CACHED" : "")
            } else if case .done(let time) = outcome {
                progress.detail("\(titles[number] ?? "") done \(shortSeconds(nanoseconds: time.nanoseconds))")
            } else {
                progress.detail("\(titles[number] ?? "") cached")
            }
        case .notice(let text): progress.notice(text)
        case .alive: progress.tick()
        case .warning(let warning):
            let rule = warning.rule.map { " (\($0.rawValue))" } ?? ""
            progress.warning("\(warning.location): warning: \(warning.text)\(rule)")
        }
    }
}
