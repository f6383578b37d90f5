// SPDX-License-Identifier: Apache-2.0
//
// LogForwarder: a container's output, line by line, to the journal or a syslog receiver. What was kept in files is sent
// after; nothing is sent twice, and what a receiver does not take at once is dropped and counted: a container never waits
// for a receiver. The journal's protocol: systemd's "Native Journal Protocol"; syslog: RFC 3164, RFC 5424.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

final class LogForwarder {
    /// Docker's: a longer line goes in pieces.
    private static let longestLine = 16 << 10
    private static let patience = Int32(2000)
    /// Between two tries to reach a receiver that was lost.
    private static let pauseBetweenTries: Int64 = 1_000_000_000

    private let forwarding: LogForwarding
    private let container: String
    private let image: String
    private let tag: String
    private let journal: String
    private let hostname: String
    private var socket: SharedFD?
    private var isStream = false
    private var lastTry: Int64 = 0
    private var rests: [String: [UInt8]] = [:]
    /// Lines nobody took.
    private(set) var dropped = 0

    /// - Throws: when the receiver is not there: a container whose output would be lost is not started.
    init(
        _ forwarding: LogForwarding, container: String, image: ImageFacts,
        journal: String = "/run/systemd/journal/socket"
    ) throws(Failure) {
        self.forwarding = forwarding
        self.container = container
        self.image = image.reference
        self.journal = journal
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
            try connect()
        } catch {
            throw Failure(
                "cannot send the output of container \"\(container)\" to \(receiver)", error,
                advice: "start what receives it, or use another `logging.driver`")
        }
    }

    private var receiver: String {
        switch forwarding.receiver {
        case .journal: "the journal at \(journal)"
        case .syslog(let syslog):
            syslog.transport == .unix
                ? "syslog at \(syslog.address)"
                : "syslog at \(syslog.transport.rawValue)://\(syslog.address):\(syslog.port)"
        }
    }

    private func connect() throws(SyscallError) {
        lastTry = monotonicNanoseconds()
        socket = nil
        switch forwarding.receiver {
        case .journal: socket = try connectDatagram(journal)
        case .syslog(let syslog):
            switch syslog.transport {
            case .unix:
                do throws(SyscallError) {
                    socket = try connectDatagram(syslog.address)
                } catch {
                    // EPROTOTYPE: a stream is served there.
                    guard error.errno == Errno(EPROTOTYPE) else { throw error }
                    socket = SharedFD(try connectUnix(syslog.address))
                    isStream = true
                }
            case .udp, .tcp:
                let type: Int32 = syslog.transport == .udp ? 2 : 1  // SOCK_DGRAM, SOCK_STREAM
                let fd = SharedFD(
                    OwnedFD(
                        taking: try retrying("connect", syslog.address) {
                            linux_connect_numeric(syslog.address, syslog.port, type)
                        }))
                isStream = syslog.transport == .tcp
                if isStream { try awaitConnection(fd.raw, syslog.address) }
                socket = fd
            }
        }
    }

    private func connectDatagram(_ path: String) throws(SyscallError) -> SharedFD {
        let fd = SharedFD(
            OwnedFD(taking: try retrying("socket") { linux_socket(AF_UNIX, 2 | O_CLOEXEC, 0) }))
        try retrying("connect", path) { linux_unix_connect(fd.raw, path) }
        return fd
    }

    private func awaitConnection(_ fd: Int32, _ address: String) throws(SyscallError) {
        var entry = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, Self.patience) > 0 else {
            throw SyscallError("connect", Errno(ETIMEDOUT), address)
        }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        try retrying("getsockopt", address) { getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) }
        if code != 0 { throw SyscallError("connect", Errno(code), address) }
    }

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
        if !deliver(message) { dropped += 1 }
    }

    private func deliver(_ message: [UInt8]) -> Bool {
        for attempt in 0..<2 {
            if let socket {
                let sent = message.withUnsafeBytes {
                    CLinux.send(socket.raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
                }
                if sent == message.count { return true }
                // Half a message on a stream can't be taken back; the next one begins on a new connection.
                if sent < 0, [EAGAIN, EMSGSIZE, ENOBUFS].contains(linux_errno()) { return false }
                self.socket = nil
            }
            guard attempt == 0, monotonicNanoseconds() - lastTry > Self.pauseBetweenTries else {
                return false
            }
            try? connect()
        }
        return false
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
        let stamp = rfc3339(now / 1_000_000_000)
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
        return Array(head.utf8) + line + (isStream ? [UInt8(ascii: "\n")] : [])
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
