// SPDX-License-Identifier: Apache-2.0
//
// `--since` and `--until`: a moment as RFC 3339 writes it, in whole or in part, seconds since 1970, or how long ago.

internal import Basics
internal import CLinux
internal import Kernel

extension Arguments {
    /// A flag's moment in nanoseconds since 1970, nil when it isn't given.
    func moment(_ name: FlagName, now: Int64) throws(Failure) -> Int64? {
        guard let text = last(name) else { return nil }
        if let moment = readMoment(text, now: now) { return moment }
        throw Failure(
            "cannot understand --\(name.rawValue) \(text)", cause: "it is neither a time nor a duration",
            advice: "write a time such as 2026-01-02T03:04:05Z, seconds since 1970, or a duration such as 10m"
        )
    }
}

/// Nanoseconds since 1970; nil when the text is no moment.
///
/// A time without a zone is the local one, as for Docker.
func readMoment(_ text: String, now: Int64) -> Int64? {
    if let seconds = readSeconds(text) { return seconds }
    if let ago = Duration(compose: text) { return now - ago.nanoseconds }
    return readTimestamp(text)
}

/// `1136073600`, `1136073600.5`
private func readSeconds(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let seconds = Int64(parts[0]), seconds >= 0, seconds < 9_000_000_000 else { return nil }
    guard parts.count > 1 else { return seconds * 1_000_000_000 }
    return fraction(parts[1]).map { seconds * 1_000_000_000 + $0 }
}

/// Nanoseconds of the digits after a point.
private func fraction(_ digits: Substring) -> Int64? {
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int64((digits.prefix(9) + String(repeating: "0", count: max(0, 9 - digits.count))))
}

/// `2026-01-02`, `2026-01-02T03:04`, `2026-01-02T03:04:05.6`, each with `Z`, `+01:00` or no zone.
private func readTimestamp(_ text: String) -> Int64? {
    var rest = text[...]
    func number(_ count: Int, _ range: ClosedRange<Int>) -> Int? {
        let digits = rest.prefix(count)
        guard digits.count == count, digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let value = Int(digits),
            range.contains(value)
        else { return nil }
        rest = rest.dropFirst(count)
        return value
    }
    func take(_ character: Character) -> Bool {
        guard rest.first == character else { return false }
        rest = rest.dropFirst()
        return true
    }
    guard let year = number(4, 1970...9999), take("-"), let month = number(2, 1...12), take("-"),
        let day = number(2, 1...31)
    else { return nil }
    var parts = tm()
    parts.tm_year = Int32(year - 1900)
    parts.tm_mon = Int32(month - 1)
    parts.tm_mday = Int32(day)
    parts.tm_isdst = -1
    var nanoseconds: Int64 = 0
    if take("T") || take(" ") {
        guard let hour = number(2, 0...23), take(":"), let minute = number(2, 0...59) else { return nil }
        parts.tm_hour = Int32(hour)
        parts.tm_min = Int32(minute)
        if take(":") {
            guard let second = number(2, 0...60) else { return nil }
            parts.tm_sec = Int32(second)
            if take(".") {
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                guard let part = fraction(digits) else { return nil }
                nanoseconds = part
                rest = rest.dropFirst(digits.count)
            }
        }
    }
    if rest.isEmpty { return Int64(mktime(&parts)) * 1_000_000_000 + nanoseconds }
    var offset = 0
    if !take("Z"), !take("z") {
        let sign = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hours = number(2, 0...23), take(":"), let minutes = number(2, 0...59) else {
            return nil
        }
        offset = sign * (hours * 3600 + minutes * 60)
    }
    guard rest.isEmpty else { return nil }
    return (Int64(timegm(&parts)) - Int64(offset)) * 1_000_000_000 + nanoseconds
}
