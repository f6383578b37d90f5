// SPDX-License-Identifier: Apache-2.0

/// The candidate that is most like `name`, for "did you mean"; nil when none is near: a third of the letters may differ.
///
/// Upper and lower case are alike; two letters that changed places are one difference. Among equals the first counts.
public func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
    let limit = max(1, name.unicodeScalars.count / 3)
    var distances = EditDistances(to: name)
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        // One that is no nearer than the best yet need not be measured to its end.
        let bound = best.map { $0.distance - 1 } ?? limit
        if bound < 0 { break }
        if let distance = distances.measure(candidate, atMost: bound) { best = (candidate, distance) }
    }
    return best?.candidate
}

/// Measures one word against many, with the same three rows of numbers.
private struct EditDistances {
    private let word: [UInt32]
    private var other: [UInt32] = []
    private var rows: (before: [Int], last: [Int], next: [Int]) = ([], [], [])

    init(to word: String) {
        var letters: [UInt32] = []
        EditDistances.fold(word, into: &letters)
        self.word = letters
    }

    private static func fold(_ text: String, into letters: inout [UInt32]) {
        letters.removeAll(keepingCapacity: true)
        if text.utf8.allSatisfy({ $0 < 0x80 }) {
            for byte in text.utf8 { letters.append(UInt32((65...90).contains(byte) ? byte | 32 : byte)) }
        } else {
            for scalar in text.lowercased().unicodeScalars { letters.append(scalar.value) }
        }
    }

    /// The optimal string alignment distance; nil when it is more than `bound`.
    mutating func measure(_ text: String, atMost bound: Int) -> Int? {
        // A scalar has one to four bytes: most words are too long or too short to be looked at.
        let bytes = text.utf8.count
        guard bytes >= word.count - bound, bytes <= 4 * (word.count + bound) else { return nil }
        EditDistances.fold(text, into: &other)
        guard abs(other.count - word.count) <= bound else { return nil }
        rows.last = Array(0...other.count)
        rows.before = rows.last
        rows.next = rows.last
        var lastLeast = 0
        for i in word.indices {
            rows.next[0] = i + 1
            var least = i + 1
            for j in other.indices {
                var cost = min(
                    rows.last[j + 1] + 1, rows.next[j] + 1, rows.last[j] + (word[i] == other[j] ? 0 : 1))
                if i > 0, j > 0, word[i] == other[j - 1], word[i - 1] == other[j] {
                    cost = min(cost, rows.before[j - 1] + 1)
                }
                rows.next[j + 1] = cost
                least = min(least, cost)
            }
            // Letters that change places reach over one row.
            if least > bound, lastLeast >= bound { return nil }
            lastLeast = least
            swap(&rows.before, &rows.last)
            swap(&rows.last, &rows.next)
        }
        let distance = rows.last[other.count]
        return distance <= bound ? distance : nil
    }
}
