// SPDX-License-Identifier: Apache-2.0
//
// Times and sizes for people and machines: pure functions of numbers.

/// How long something lasted, in Docker's words: `Less than a second`, `42 seconds`, `About a minute`, `3 hours`.
func humanDuration(nanoseconds: Int64) -> String {
    let seconds = max(0, nanoseconds) / 1_000_000_000
    let minutes = seconds / 60
    // Rounded to whole hours, as Docker does.
    let hours = (seconds + 1800) / 3600
    switch seconds {
    case 0: return "Less than a second"
    case 1: return "1 second"
    case ..<60: return "\(seconds) seconds"
    default: break
    }
    if minutes == 1 { return "About a minute" }
    if minutes < 60 { return "\(minutes) minutes" }
    if hours == 1 { return "About an hour" }
    if hours < 48 { return "\(hours) hours" }
    if hours < 24 * 7 * 2 { return "\(hours / 24) days" }
    if hours < 24 * 30 * 2 { return "\(hours / 24 / 7) weeks" }
    if hours < 24 * 365 * 2 { return "\(hours / 24 / 30) months" }
    return "\(hours / 24 / 365) years"
}

/// Seconds with one decimal, as beside a line of progress: `0.3s`.
func shortSeconds(nanoseconds: Int64) -> String {
    let tenths = (max(0, nanoseconds) + 50_000_000) / 100_000_000
    return "\(tenths / 10).\(tenths % 10)s"
}

/// A size in Docker's decimal units with three significant digits: `4.26MB`.
func humanSize(bytes: Int64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"]
    var value = Double(max(0, bytes))
    var unit = 0
    while value >= 1000, unit < units.count - 1 {
        value /= 1000
        unit += 1
    }
    if unit == 0 { return "\(bytes)B" }
    let decimals = value < 10 ? 100.0 : value < 100 ? 10.0 : 1.0
    let scaled = Int64((value * decimals).rounded())
    if decimals == 1 { return "\(scaled)\(units[unit])" }
    let fraction = scaled % Int64(decimals)
    let width = decimals == 100 ? 2 : 1
    var digits = String(fraction)
    while digits.count < width { digits = "0" + digits }
    while digits.last == "0" { digits.removeLast() }
    return "\(scaled / Int64(decimals))\(digits.isEmpty ? "" : ".\(digits)")\(units[unit])"
}

/// A moment as RFC 3339 in UTC with nanoseconds, always nine digits so that columns line up:
/// `2026-01-02T03:04:05.000000006Z`.
func rfc3339(nanoseconds: Int64) -> String {
    var text: [UInt8] = []
    appendRFC3339(nanoseconds, to: &text)
    return String(decoding: text, as: UTF8.self)
}

/// The same, appended to bytes: a log with times has one per line.
func appendRFC3339(_ nanoseconds: Int64, to text: inout [UInt8]) {
    func floorDivide(_ a: Int64, _ b: Int64) -> (Int64, Int64) {
        let (quotient, rest) = a.quotientAndRemainder(dividingBy: b)
        return rest < 0 ? (quotient - 1, rest + b) : (quotient, rest)
    }
    func digits(_ value: Int64, _ count: Int) {
        var scale: Int64 = 1
        for _ in 1..<count { scale *= 10 }
        while scale > 0 {
            text.append(UInt8(48 + value / scale % 10))
            scale /= 10
        }
    }
    let (seconds, fraction) = floorDivide(nanoseconds, 1_000_000_000)
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
    digits(year, 4)
    text.append(UInt8(ascii: "-"))
    digits(month, 2)
    text.append(UInt8(ascii: "-"))
    digits(day, 2)
    text.append(UInt8(ascii: "T"))
    digits(time / 3600, 2)
    text.append(UInt8(ascii: ":"))
    digits(time / 60 % 60, 2)
    text.append(UInt8(ascii: ":"))
    digits(time % 60, 2)
    text.append(UInt8(ascii: "."))
    digits(fraction, 9)
    text.append(UInt8(ascii: "Z"))
}
