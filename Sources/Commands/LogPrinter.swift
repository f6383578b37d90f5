// SPDX-License-Identifier: Apache-2.0
//
// LogPrinter: merged lines to the user: prefix, time, text; what a container wrote to its error output goes to ours.
// Lines are gathered and written in large pieces.

internal import Basics

final class LogPrinter {
    struct Style {
        var prefix = true
        var times = false
    }
    private let out: Output
    private let errors: Output
    private let style: Style
    private var width = 0
    private var prefixes: [String: (out: [UInt8], errors: [UInt8])] = [:]
    private var labels: [String] = []
    private var pending: [UInt8] = []
    private var pendingIsError = false

    private static let colours: [Colour] = [
        .cyan, .yellow, .green, .magenta, .blue, .brightCyan, .brightYellow, .brightGreen, .brightMagenta,
        .brightBlue,
    ]

    init(out: Output, errors: Output, style: Style) {
        self.out = out
        self.errors = errors
        self.style = style
    }

    /// Makes room for a container's name; colours are given in the order of this.
    func announce(_ label: String) {
        guard style.prefix, !labels.contains(label) else { return }
        labels.append(label)
        width = max(width, label.count)
        for (position, label) in labels.enumerated() {
            let colour = Self.colours[position % Self.colours.count]
            let text = label + String(repeating: " ", count: width - label.count + 2) + "| "
            prefixes[label] = (
                Array(colour.paint(text, when: out.colours).utf8),
                Array(colour.paint(text, when: errors.colours).utf8)
            )
        }
    }

    func print(_ line: MergedLine) {
        if line.isError != pendingIsError || pending.count > 64 << 10 { flush() }
        pendingIsError = line.isError
        if style.prefix, let prefix = prefixes[line.label] {
            pending += line.isError ? prefix.errors : prefix.out
        }
        if style.times {
            appendRFC3339(line.line.time, to: &pending)
            pending.append(UInt8(ascii: " "))
        }
        pending += line.line.bytes
        pending.append(10)
    }

    /// A word of our own between the lines: `web-1 exited with code 0`.
    func say(_ text: String) {
        flush()
        errors.line(text)
    }

    func flush() {
        guard !pending.isEmpty else { return }
        (pendingIsError ? errors : out).write(pending)
        pending.removeAll(keepingCapacity: true)
    }
}
