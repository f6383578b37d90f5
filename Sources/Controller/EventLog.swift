// SPDX-License-Identifier: Apache-2.0
//
// EventLog: what happened to the project, kept in its run directory for `covey events --since`: a line for each event,
// in two files of bounded size. One write(2) for an event and nothing read back: it is on the path of every start.
//
// A line is fields between tabs: time, kind, action, name, service, then `key=value` for each attribute. In a field
// backslash, tab and newline stand escaped as \\, \t and \n.

internal import Basics
internal import CLinux
internal import Kernel

/// Bytes after which a new file is begun; the one before is kept: some thousand events in all.
private let fileSize = 512 << 10

final class EventLog {
    private let path: String
    private var file: SharedFD?
    private var size = 0

    init(runDirectory: String) { path = runDirectory + "/events.log" }

    func append(_ event: ProjectEvent) throws(SyscallError) {
        let line = EventLog.line(event)
        if size > fileSize {
            file = nil
            try retrying("rename", path) { rename(path, path + ".1") }
        }
        let file = try opened()
        try writeAll(file.raw, line)
        size += line.count
    }

    private func opened() throws(SyscallError) -> SharedFD {
        if let file { return file }
        let opened = SharedFD(
            try openFile(path, flags: O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600))
        size = Int(try fileStatus(of: opened.raw).st_size)
        file = opened
        return opened
    }

    /// Those kept from that moment on, oldest first.
    func events(since: Int64) -> [ProjectEvent] {
        var found: [ProjectEvent] = []
        for name in [path + ".1", path] {
            guard let bytes = try? readFile(name) else { continue }
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                if let event = EventLog.event(line), event.time >= since { found.append(event) }
            }
        }
        return found
    }

    static func line(_ event: ProjectEvent) -> [UInt8] {
        var line: [UInt8] = []
        func field(_ text: String) {
            for byte in text.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): line += [byte, byte]
                case UInt8(ascii: "\t"): line += Array("\\t".utf8)
                case UInt8(ascii: "\n"): line += Array("\\n".utf8)
                default: line.append(byte)
                }
            }
            line.append(UInt8(ascii: "\t"))
        }
        field(String(event.time))
        field(event.kind.rawValue)
        field(event.action)
        field(event.name)
        field(event.service ?? "")
        for (key, value) in event.attributes.sorted(by: { $0.key < $1.key }) { field("\(key)=\(value)") }
        line[line.count - 1] = UInt8(ascii: "\n")
        return line
    }

    /// nil for a line that was cut off.
    static func event(_ line: some Collection<UInt8>) -> ProjectEvent? {
        var fields: [[UInt8]] = [[]]
        var escaped = false
        for byte in line {
            if escaped {
                let plain: UInt8 =
                    switch byte {
                    case UInt8(ascii: "t"): UInt8(ascii: "\t")
                    case UInt8(ascii: "n"): UInt8(ascii: "\n")
                    default: byte
                    }
                fields[fields.count - 1].append(plain)
                escaped = false
            } else if byte == UInt8(ascii: "\\") {
                escaped = true
            } else if byte == UInt8(ascii: "\t") {
                fields.append([])
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        let texts = fields.map { String(decoding: $0, as: UTF8.self) }
        guard texts.count >= 5, let time = Int64(texts[0]), let kind = ProjectEvent.Kind(rawValue: texts[1])
        else { return nil }
        var event = ProjectEvent(
            time: time, kind, texts[2], texts[3], service: texts[4].isEmpty ? nil : texts[4])
        for text in texts.dropFirst(5) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { event.attributes[String(parts[0])] = String(parts[1]) }
        }
        return event
    }
}
