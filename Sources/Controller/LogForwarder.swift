// SPDX-License-Identifier: Apache-2.0
//
// LogForwarder: a container's output, line by line, to the journal or a syslog receiver. What was kept in files is sent
// after; nothing is sent twice, and what a receiver does not take at once is dropped and counted: a container never waits
// for a receiver (LogReceiver.swift). The journal's protocol: systemd's "Native Journal Protocol"; syslog: RFC 3164, RFC 5424.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

final class LogForwarder {
    /// Docker's: a longer line goes in pieces.
    private static let longestLine = 16 << 10

    private let forwarding: LogForwarding
    private let container: String
    private let image: String
    private let tag: String
    private let hostname: String
    private let receiver: LogReceiver
    private var rests: [String: [UInt8]] = [:]
    /// Lines nobody took.
    private(set) var dropped = 0

    /// - Throws: when the receiver is not there: a container whose output would be lost is not started.
    init(
        _ forwarding: LogForwarding, container: String, image: ImageFacts, loop: EventLoop,
        journal: String = "/run/systemd/journal/socket"
    ) throws(Failure) {
        self.forwarding = forwarding
        self.container = container
        self.image = image.reference
        receiver = LogReceiver(forwarding.receiver, journal: journal, loop: loop)
        var tag = forwarding.tag
        for (placeholder, value) in zip(
            LogForwarding.placeholders,
            [container, container, container, image.reference, String(image.id.hex.prefix(12)), image.id.hex])
        {
            tag = tag.split(separator: placeholder, omittingEmptySubsequences: false).joined(separator: value)
        }
        self.tag = tag
        hostname = (try? readText("/proc/sys/kernel/hostname"))?.filter { $0 != "\n" } ?? "-"
        do throws(SyscallError) {
            try receiver.connect()
        } catch {
            throw absence(error)
        }
    }

    private func absence(_ error: SyscallError) -> Failure {
        Failure(
            "cannot send the output of container \"\(container)\" to \(receiver.place)", error,
            advice: "start what receives it, or use another `logging.driver`")
    }

    /// The receiver has not answered yet; lines are dropped until it has.
    var isConnecting: Bool { receiver.isConnecting }

    /// Tells once whether the receiver, which is connecting, is there.
    func whenAnswered(_ told: @escaping (Failure?) -> Void) {
        receiver.onAnswer = { [unowned self] error in told(error.map(absence)) }
    }

    func close() { receiver.close() }

    // MARK: Lines

    /// Takes what came on a stream, `stdout` or `stderr`.
    func take(_ bytes: UnsafeRawBufferPointer, from stream: String) {
        var rest = rests[stream] ?? []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") || rest.count >= Self.longestLine {
                send(rest, from: stream, isWhole: byte == UInt8(ascii: "\n"))
                rest.removeAll(keepingCapacity: true)
                if byte == UInt8(ascii: "\n") { continue }
            }
            rest.append(byte)
        }
        rests[stream] = rest
    }

    /// The container has ended: a last line without an end is one.
    func finish() {
        for (stream, rest) in rests where !rest.isEmpty { send(rest, from: stream, isWhole: true) }
        rests = [:]
    }

    private func send(_ line: [UInt8], from stream: String, isWhole: Bool) {
        // The receivers' own: 3 is an error, 6 is information (syslog(3)).
        let severity = stream == "stderr" ? 3 : 6
        let message: [UInt8] =
            switch forwarding.receiver {
            case .journal: journalEntry(line, severity, isWhole)
            case .syslog(let syslog): syslogMessage(line, severity, syslog)
            }
        if !receiver.send(message) { dropped += 1 }
    }

    // MARK: Forms

    private func journalEntry(_ line: [UInt8], _ severity: Int, _ isWhole: Bool) -> [UInt8] {
        var entry: [UInt8] = []
        func field(_ name: String, _ value: [UInt8]) {
            entry += name.utf8
            if value.contains(UInt8(ascii: "\n")) {
                entry.append(UInt8(ascii: "\n"))
                withUnsafeBytes(of: UInt64(value.count).littleEndian) { entry += $0 }
            } else {
                entry.append(UInt8(ascii: "="))
            }
            entry += value
            entry.append(UInt8(ascii: "\n"))
        }
        field("MESSAGE", line)
        field("PRIORITY", Array("\(severity)".utf8))
        for (name, value) in [
            ("CONTAINER_NAME", container), ("CONTAINER_ID", container), ("CONTAINER_ID_FULL", container),
            ("CONTAINER_TAG", tag), ("SYSLOG_IDENTIFIER", tag), ("IMAGE_NAME", image),
        ] { field(name, Array(value.utf8)) }
        if !isWhole { field("CONTAINER_PARTIAL_MESSAGE", Array("true".utf8)) }
        for (name, value) in forwarding.fields.sorted(by: { $0.key < $1.key }) {
            field(name, Array(value.utf8))
        }
        return entry
    }

    private func syslogMessage(_ line: [UInt8], _ severity: Int, _ syslog: SyslogReceiver) -> [UInt8] {
        let now = realtimeNanoseconds()
        let stamp = rfc3339(seconds: now / 1_000_000_000)
        let priority = "<\(syslog.facility * 8 + severity)>"
        let pid = getpid()
        let head: String
        switch syslog.format {
        case .local: head = "\(priority)\(shortStamp(stamp)) \(tag)[\(pid)]: "
        case .rfc3164: head = "\(priority)\(shortStamp(stamp)) \(hostname) \(tag)[\(pid)]: "
        case .rfc5424: head = "\(priority)1 \(stamp) \(hostname) \(tag) \(pid) \(tag) - "
        case .rfc5424micro:
            let part = String(now % 1_000_000_000 / 1000)
            let fraction = String(repeating: "0", count: 6 - part.count) + part
            head = "\(priority)1 \(stamp.dropLast()).\(fraction)Z \(hostname) \(tag) \(pid) \(tag) - "
        }
        return Array(head.utf8) + line + (receiver.isStream ? [UInt8(ascii: "\n")] : [])
    }

    /// `Nov  9 08:07:06`, from `2026-11-09T08:07:06Z`.
    private func shortStamp(_ stamp: String) -> String {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let date = stamp.prefix(10).split(separator: "-")
        let month = Int(date[1]).map { months[$0 - 1] } ?? "Jan"
        let day = Int(date[2]) ?? 1
        return "\(month) \(day < 10 ? " " : "")\(day) \(stamp.dropFirst(11).prefix(8))"
    }
}
