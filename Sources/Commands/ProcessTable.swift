// SPDX-License-Identifier: Apache-2.0
//
// What /proc says of a process of a container, seen from the host (proc_pid_stat(5), proc_pid_io(5)); for `top`, and for
// `stats` where no controller counts for a cgroup.

internal import Basics
internal import CLinux
internal import Kernel

/// One process at one moment.
struct ProcessEntry {
    var pid: Int32
    var parent: Int32
    var uid: UInt32
    /// Ticks since boot.
    var startTicks: Int64
    /// Ticks it used, its reaped children included.
    var ticks: Int64
    var threads: Int
    /// Resident pages.
    var pages: Int64
    var virtualBytes: Int64
    /// As ps(1) has it: what it does, and what it is (`Ss+`).
    var states: String
    /// comm, at most 15 bytes.
    var name: String
    /// Device number of its terminal, 0 for none.
    var terminal: Int
    var command: String

    /// nil when it is gone.
    init?(_ pid: Int32) {
        guard let text = try? readText("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")"),
            let open = text.firstIndex(of: "("), let status = try? fileStatus("/proc/\(pid)", follow: true)
        else { return nil }
        // From field 3 on.
        let fields = text[text.index(after: close)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 21 else { return nil }
        func number(_ field: Int) -> Int64 { Int64(fields[field - 3]) ?? 0 }
        self.pid = pid
        parent = Int32(clamping: number(4))
        uid = status.st_uid
        terminal = Int(number(7))
        ticks = number(14) + number(15) + number(16) + number(17)
        threads = Int(number(20))
        startTicks = number(22)
        virtualBytes = number(23)
        pages = number(24)
        var states = String(fields[0])
        if number(19) != 0 { states += number(19) < 0 ? "<" : "N" }
        if number(6) == Int64(pid) { states += "s" }
        if threads > 1 { states += "l" }
        if number(8) == number(5) { states += "+" }
        self.states = states
        name = String(text[text.index(after: open)..<close])
        let line = ((try? readFile("/proc/\(pid)/cmdline")) ?? []).split(separator: 0)
            .map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        command = line.isEmpty ? "[\(name)]" : line
    }

    /// Bytes read from and written to storage; nil where they may not be known.
    var storage: (read: Int64, written: Int64)? {
        guard let text = try? readText("/proc/\(pid)/io") else { return nil }
        var found: [Substring: Int64] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":")
            if parts.count == 2 { found[parts[0]] = Int64(parts[1].drop { $0 == " " }) }
        }
        return (found["read_bytes"] ?? 0, found["write_bytes"] ?? 0)
    }

    /// As ps(1) names it: `pts/3`, `?` for none.
    var terminalName: String {
        let major = terminal >> 8 & 0xfff
        let minor = terminal & 0xff | terminal >> 12 & 0xfff00
        if (136...143).contains(major) { return "pts/\((major - 136) << 8 | minor)" }
        return terminal == 0 ? "?" : "\(major):\(minor)"
    }
}

/// USER_HZ: what /proc counts ticks in.
let ticksPerSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))

/// Bytes received and sent on all links but `lo` of the network namespace a process is in.
func linkBytes(of pid: Int) -> (received: Int64, sent: Int64)? {
    guard let text = try? readText("/proc/\(pid)/net/dev") else { return nil }
    var total: (received: Int64, sent: Int64) = (0, 0)
    for line in text.split(separator: "\n") {
        guard let colon = line.lastIndex(of: ":") else { continue }
        let name = line[..<colon].drop { $0 == " " }
        let fields = line[line.index(after: colon)...].split(separator: " ")
        guard name != "lo", fields.count >= 9 else { continue }
        total.received += Int64(fields[0]) ?? 0
        total.sent += Int64(fields[8]) ?? 0
    }
    return total
}
