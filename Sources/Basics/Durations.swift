// SPDX-License-Identifier: Apache-2.0

/// Durations as Compose writes them: `us ms s m h`, combined (`1m30s`), fractions allowed (11-extension.md).
extension Duration {
    /// Parses a Compose duration; a bare number is refused except `0`. Nil when it is none or negative.
    /// - Parameter saturates: one that is too long to count is the longest; it is none otherwise.
    public init?(compose text: String, saturates: Bool = false) {
        if text == "0" {
            self = .zero
            return
        }
        var rest = text[...]
        var nanoseconds = 0.0
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0.isLetter || $0 == "µ" }
            rest = rest.dropFirst(unit.count)
            let scales: [String: Double] = [
                "ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "h": 3.6e12,
            ]
            guard let value = Double(number), let scale = scales[String(unit)] else { return nil }
            nanoseconds += value * scale
        }
        guard !text.isEmpty, saturates || nanoseconds < 9e18 else { return nil }
        self = .nanoseconds(nanoseconds < 9e18 ? Int64(nanoseconds) : .max)
    }

    /// Whole nanoseconds, saturating.
    public var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, isBehind) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return isBehind ? (seconds < 0 ? .min : .max) : sum
    }

    /// Compose's own spelling, `1m30s`.
    public var composeText: String {
        var rest = nanoseconds
        if rest == 0 { return "0s" }
        var text = ""
        for (unit, scale) in [
            ("h", Int64(3_600_000_000_000)), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
            ("us", 1000),
            ("ns", 1),
        ] where rest >= scale {
            text += "\(rest / scale)\(unit)"
            rest %= scale
        }
        return text
    }
}
