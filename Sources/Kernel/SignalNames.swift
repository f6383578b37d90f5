// SPDX-License-Identifier: Apache-2.0

/// The number of a signal written as people write it: `SIGTERM`, `term`, `15`; nil when there is none such.
/// Numbers are those x86-64 and arm64 share (signal(7)).
public func signalNumber(named text: String) -> Int32? {
    if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
    var name = text.uppercased()
    if name.hasPrefix("SIG") { name.removeFirst(3) }
    if let at = signalNames.firstIndex(of: name) { return Int32(at + 1) }
    if name == "RTMIN" { return 34 }
    if name == "RTMAX" { return 64 }
    if name.hasPrefix("RTMIN+"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) { return 34 + offset }
    if name.hasPrefix("RTMAX-"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) { return 64 - offset }
    return ["IOT": 6, "CLD": 17, "POLL": 29][name]
}

private let signalNames = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
]
