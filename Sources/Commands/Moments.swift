// SPDX-License-Identifier: Apache-2.0
//
// Moments as Docker takes them for --since and --until: seconds since 1970 (`1136073845.5`), how long ago (`10m`), or a
// date in ISO 8601 with as much of it as is wanted, without a zone in the time of this place.

internal import Basics
internal import CLinux

extension Arguments {
    /// Nanoseconds since 1970, nil when the flag isn't given.
    func moment(_ name: FlagName, now: Int64) throws(Failure) -> Int64? {
        guard let text = last(name) else { return nil }
        if let moment = parseMoment(text, now: now) { return moment }
        throw Failure(
            "cannot understand --\(name.rawValue) \(text)",
            cause: "it is neither a date, nor seconds since 1970, nor a duration",
            advice: "write 2026-01-02T15:04:05, 1136073845 or 10m")
    }
}

func parseMoment(_ text: String, now: Int64) -> Int64? {
    if let seconds = decimalSeconds(text) { return seconds }
    if let ago = Duration(compose: text, saturates: true), ago >= .zero {
        let (moment, overflow) = now.subtractingReportingOverflow(ago.nanoseconds)
        return overflow ? .min : moment
    }
    return calendarMoment(text)
}

/// `12` or `12.5` as nanoseconds.
private func decimalSeconds(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let seconds = digits(first), seconds <= Int64.max / 1_000_000_000 - 1
    else { return nil }
    guard parts.count == 2 else { return seconds * 1_000_000_000 }
    return fraction(parts[1]).map { seconds * 1_000_000_000 + $0 }
}

private func digits(_ text: some StringProtocol) -> Int64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int64(text)
}

/// The digits after a point, as nanoseconds.
private func fraction(_ text: some StringProtocol) -> Int64? {
    guard text.utf8.count <= 9, let value = digits(text) else { return nil }
    return (text.utf8.count..<9).reduce(value) { value, _ in value * 10 }
}

/// `2026-01-02`, `2026-01-02T15:04`, `…:05`, `…:05.5`, each with `Z`, `+02:00` or nothing after it.
private func calendarMoment(_ text: String) -> Int64? {
    let halves = text.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 == "T" || $0 == " " }
    guard let date = halves.first.flatMap({ numbers($0, by: "-", count: 3...3) }), (1...12).contains(date[1]),
        (1...31).contains(date[2])
    else { return nil }
    var clock: [Int64] = [0, 0, 0]
    var rest: Int64 = 0
    var zone: Int64?
    if halves.count == 2 {
        var part = halves[1]
        if part.hasSuffix("Z") {
            part = part.dropLast()
            zone = 0
        } else if let sign = part.lastIndex(where: { $0 == "+" || $0 == "-" }) {
            guard let offset = numbers(part[part.index(after: sign)...], by: ":", count: 2...2) else {
                return nil
            }
            zone = (offset[0] * 3600 + offset[1] * 60) * (part[sign] == "-" ? -1 : 1)
            part = part[..<sign]
        }
        let pieces = part.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = pieces.first, let found = numbers(first, by: ":", count: 2...3), found[0] < 24,
            found[1] < 60, found.count < 3 || found[2] < 61
        else { return nil }
        clock = found + [Int64](repeating: 0, count: 3 - found.count)
        if pieces.count == 2 {
            guard found.count == 3, let value = fraction(pieces[1]) else { return nil }
            rest = value
        }
    }
    var parts = tm()
    parts.tm_year = Int32(date[0] - 1900)
    parts.tm_mon = Int32(date[1] - 1)
    parts.tm_mday = Int32(date[2])
    parts.tm_hour = Int32(clock[0])
    parts.tm_min = Int32(clock[1])
    parts.tm_sec = Int32(clock[2])
    parts.tm_isdst = -1
    let seconds = zone == nil ? Int64(mktime(&parts)) : Int64(timegm(&parts)) - (zone ?? 0)
    let (product, isTooFar) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (moment, isBehind) = product.addingReportingOverflow(rest)
    return isTooFar || isBehind ? nil : moment
}

private func numbers(_ text: Substring, by separator: Character, count: ClosedRange<Int>) -> [Int64]? {
    let found = text.split(separator: separator, omittingEmptySubsequences: false).compactMap { digits($0) }
    guard count.contains(found.count), found.allSatisfy({ $0 < 10_000 }),
        found.count == text.count(where: { $0 == separator }) + 1
    else { return nil }
    return found
}
