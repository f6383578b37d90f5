// SPDX-License-Identifier: Apache-2.0

/// Cuts what a program writes into lines and remembers the last ones for the failure's message.
final class OutputLines {
    private var pending: [UInt8] = []
    private(set) var last: [String] = []
    private let report: (String) -> Void
    private static let kept = 20
    /// A line that never ends is cut rather than gathered.
    private static let longest = 64 << 10

    init(report: @escaping (String) -> Void) { self.report = report }

    func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            pending += rest[rest.startIndex..<newline]
            flush()
            rest = rest[(newline + 1)...]
        }
        pending += rest
        if pending.count > OutputLines.longest { flush() }
    }

    /// The end: a last line without a newline is one too.
    func finish() { if !pending.isEmpty { flush() } }

    private func flush() {
        if pending.last == UInt8(ascii: "\r") { pending.removeLast() }
        let line = String(decoding: pending, as: UTF8.self)
        pending.removeAll(keepingCapacity: true)
        last.append(line)
        if last.count > OutputLines.kept { last.removeFirst() }
        report(line)
    }
}
