// SPDX-License-Identifier: Apache-2.0
//
// Moments as RFC 3339 writes them, in UTC: of logs, events, records and image documents. Which clock is asked is the caller's.

/// A moment with nanoseconds, always nine digits so that columns line up: `2026-01-02T03:04:05.000000006Z`.
public func rfc3339(nanoseconds: Int64) -> String {
    var text: [UInt8] = []
    appendRFC3339(nanoseconds, to: &text)
    return String(decoding: text, as: UTF8.self)
}

/// A moment to the second: `2026-01-02T03:04:05Z`.
/// - seconds: since 1970.
public func rfc3339(seconds: Int64) -> String {
    var text: [UInt8] = []
    appendSecond(seconds, to: &text)
    text.append(UInt8(ascii: "Z"))
    return String(decoding: text, as: UTF8.self)
}

/// The first of these, appended to bytes: a log with times has one per line.
public func appendRFC3339(_ nanoseconds: Int64, to text: inout [UInt8]) {
    let (seconds, fraction) = floorDivide(nanoseconds, 1_000_000_000)
    appendSecond(seconds, to: &text)
    text.append(UInt8(ascii: "."))
    appendDigits(fraction, 9, to: &text)
    text.append(UInt8(ascii: "Z"))
}

private func appendSecond(_ seconds: Int64, to text: inout [UInt8]) {
    let (days, time) = floorDivide(seconds, 86_400)
    // Days to a civil date, eras of 400 years from March on (H. Hinnant, "chrono-Compatible Low-Level Date
    // Algorithms").
    let shifted = days + 719_468
    let (era, dayOfEra) = floorDivide(shifted, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    appendDigits(year, 4, to: &text)
    text.append(UInt8(ascii: "-"))
    appendDigits(month, 2, to: &text)
    text.append(UInt8(ascii: "-"))
    appendDigits(day, 2, to: &text)
    text.append(UInt8(ascii: "T"))
    appendDigits(time / 3600, 2, to: &text)
    text.append(UInt8(ascii: ":"))
    appendDigits(time / 60 % 60, 2, to: &text)
    text.append(UInt8(ascii: ":"))
    appendDigits(time % 60, 2, to: &text)
}

private func floorDivide(_ a: Int64, _ b: Int64) -> (Int64, Int64) {
    let (quotient, rest) = a.quotientAndRemainder(dividingBy: b)
    return rest < 0 ? (quotient - 1, rest + b) : (quotient, rest)
}

private func appendDigits(_ value: Int64, _ count: Int, to text: inout [UInt8]) {
    var scale: Int64 = 1
    for _ in 1..<count { scale *= 10 }
    while scale > 0 {
        text.append(UInt8(48 + value / scale % 10))
        scale /= 10
    }
}
