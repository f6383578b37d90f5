// SPDX-License-Identifier: Apache-2.0
//
// Signals by name, as `stop_signal` and `covey kill -s` take them. The numbers are those of signal(7) for
// x86-64 and arm64, which agree; no C header is asked, so that requests can be checked anywhere.

/// A signal's canonical name, `SIGTERM`, from `SIGTERM`, `TERM`, `term`, `15` or `SIGRTMIN+3`; nil when there is none.
public func signalName(_ text: String) -> String? {
    guard let number = signalNumber(text) else { return nil }
    if number < signalNames.count { return "SIG\(signalNames[number])" }
    // Real-time signals: glibc keeps 32 and 33 for its threads, SIGRTMIN is 34 for everybody else (signal(7)).
    guard number >= firstRealTime else { return nil }
    return number == firstRealTime ? "SIGRTMIN" : "SIGRTMIN+\(number - firstRealTime)"
}

/// A signal's number on x86-64 and arm64, from any of its spellings; nil when there is none.
public func signalNumber(_ text: String) -> Int? {
    if let number = Int(text) {
        return (1..<signalNames.count).contains(number) || (firstRealTime...lastRealTime).contains(number)
            ? number : nil
    }
    var name = text.uppercased()
    if name.hasPrefix("SIG") { name.removeFirst(3) }
    if let index = signalNames.dropFirst().firstIndex(of: name) { return index }
    switch name {
    case "RTMIN": return firstRealTime
    case "RTMAX": return lastRealTime
    case "IOT": return 6
    case "CLD": return 17
    case "POLL": return 29
    default: break
    }
    let number: Int?
    if name.hasPrefix("RTMIN+") {
        number = Int(name.dropFirst(6)).map { firstRealTime + $0 }
    } else if name.hasPrefix("RTMAX-") {
        number = Int(name.dropFirst(6)).map { lastRealTime - $0 }
    } else {
        number = nil
    }
    return number.flatMap { (firstRealTime...lastRealTime).contains($0) ? $0 : nil }
}

private let firstRealTime = 34
private let lastRealTime = 64

/// Position is number; 0 is no signal.
private let signalNames = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM",
    "PROF", "WINCH", "IO", "PWR", "SYS",
]
