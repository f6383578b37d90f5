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
