// SPDX-License-Identifier: Apache-2.0
//
// When a server that can't answer now wants to be asked again (RFC 9110, 10.2.3, Retry-After).

internal import Kernel

/// Seconds; who is asked for more patience says so and gives up.
let longestWait: Int64 = 60

extension HTTPResponse {
    /// Seconds from now, whether it says so many or a date; nil where it says nothing that is understood.
    var secondsToWait: Int64? {
        guard let text = self["retry-after"] else { return nil }
        if let seconds = Int64(text) { return seconds >= 0 ? seconds : nil }
        // A date that has come is no wait.
        return parseHTTPDate(text).map { max(0, $0 - realtimeNanoseconds() / 1_000_000_000) }
    }
}

/// An HTTP date in the one form that is sent today (RFC 9110, 5.6.7, IMF-fixdate), in seconds since 1970; nil for others.
func parseHTTPDate(_ text: String) -> Int64? {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let words = text.split(separator: " ")
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    guard words.count == 6, words[5] == "GMT", let day = Int64(words[1]), (1...31).contains(day),
        let month = months.firstIndex(of: String(words[2])), let year = Int64(words[3]),
        (1970...9999).contains(year)
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int64($0) }
    guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]),
        (0...60).contains(clock[2])
    else { return nil }
    // Days by the civil calendar, years beginning in March so that the leap day is the last.
    let shifted = month < 2 ? year - 1 : year
    let (era, place) = (shifted / 400, Int64((month + 10) % 12))
    let ofEra = shifted - era * 400
    let ofYear = (153 * place + 2) / 5 + day - 1
    let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    return days * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
}
