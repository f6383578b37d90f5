// SPDX-License-Identifier: Apache-2.0

/// A size in bytes, written as Compose writes it: `{n}{b|k|kb|m|mb|g|gb}`, binary units (Compose spec, 11-extension.md).
public struct ByteSize: Hashable, Sendable, Codable, Comparable {
    public var bytes: Int64

    public init(bytes: Int64) { self.bytes = bytes }

    /// Parses a Compose byte value; a bare number is bytes, a fraction is allowed before a unit. Nil when it is none.
    public init?(_ text: String) {
        let text = text.lowercased().filter { $0 != " " }
        let number = text.prefix { $0.isNumber || $0 == "." }
        let unit = text.dropFirst(number.count)
        let factors: [String: Double] = [
            "": 1, "b": 1, "k": 1024, "kb": 1024, "kib": 1024, "m": 1_048_576, "mb": 1_048_576,
            "mib": 1_048_576,
            "g": 1_073_741_824, "gb": 1_073_741_824, "gib": 1_073_741_824, "t": 1_099_511_627_776,
            "tb": 1_099_511_627_776, "tib": 1_099_511_627_776,
        ]
        guard let factor = factors[String(unit)], !number.isEmpty, let value = Double(number) else {
            return nil
        }
        let bytes = value * factor
        guard bytes.isFinite, bytes < 9.2e18 else { return nil }
        self.bytes = Int64(bytes)
    }

    public static func < (a: ByteSize, b: ByteSize) -> Bool { a.bytes < b.bytes }
}

extension ByteSize: CustomStringConvertible {
    /// The largest unit that divides it, `256 MiB`; bytes otherwise.
    public var description: String {
        for (unit, factor) in [("GiB", Int64(1) << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes >= factor && bytes % factor == 0 {
            return "\(bytes / factor) \(unit)"
        }
        return "\(bytes) B"
    }
}
