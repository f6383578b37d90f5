// SPDX-License-Identifier: Apache-2.0
//
// `--chmod`: an octal number, or clauses such as `u=rwX,go=rX` that change what a file has (chmod(1)). Pure.

/// How modes of copied files are decided.
struct FileMode: Hashable {
    private struct Clause: Hashable {
        var who: UInt32
        var operation: Character
        var bits: UInt32
        /// `X`: execute where it is a directory or somebody may execute it.
        var conditional: UInt32
        /// `u`, `g` or `o` as permissions: a copy of theirs.
        var copiesFrom: UInt32?
    }
    private var absolute: UInt32?
    private var clauses: [Clause] = []
    /// As it was written, for keys.
    let text: String

    /// nil when the text is no mode.
    init?(_ text: String) {
        self.text = text
        if let number = UInt32(text, radix: 8), number <= 0o7777, !text.hasPrefix("+") {
            absolute = number
            return
        }
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard parse(part) else { return nil }
        }
    }

    private mutating func parse(_ text: Substring) -> Bool {
        var rest = text
        var who: UInt32 = 0
        while let letter = rest.first, let bits = FileMode.people[letter] {
            who |= bits
            rest.removeFirst()
        }
        if who == 0 { who = 0o7777 }
        guard !rest.isEmpty else { return false }
        while let operation = rest.first {
            guard "+-=".contains(operation) else { return false }
            rest.removeFirst()
            var clause = Clause(who: who, operation: operation, bits: 0, conditional: 0)
            while let letter = rest.first, !"+-=".contains(letter) {
                rest.removeFirst()
                switch letter {
                case "r": clause.bits |= 0o444 & who
                case "w": clause.bits |= 0o222 & who
                case "x": clause.bits |= 0o111 & who
                case "X": clause.conditional |= 0o111 & who
                case "s": clause.bits |= 0o6000 & who
                case "t": clause.bits |= 0o1000 & who
                case "u": clause.copiesFrom = 6
                case "g": clause.copiesFrom = 3
                case "o": clause.copiesFrom = 0
                default: return false
                }
            }
            clauses.append(clause)
        }
        return true
    }

    private static let people: [Character: UInt32] = [
        "u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777,
    ]

    /// The mode of a file that had `mode`.
    func applied(to mode: UInt32, isDirectory: Bool) -> UInt32 {
        if let absolute { return absolute }
        var mode = mode & 0o7777
        for clause in clauses {
            var bits = clause.bits
            if isDirectory || mode & 0o111 != 0 { bits |= clause.conditional }
            if let shift = clause.copiesFrom {
                let own = mode >> shift & 7
                bits |= (own << 6 | own << 3 | own) & clause.who
            }
            switch clause.operation {
            case "+": mode |= bits
            case "-": mode &= ~bits
            default:
                // `=` leaves a directory's set-id bits alone, as chmod(1) does.
                let cleared = isDirectory ? clause.who & 0o1777 : clause.who
                mode = mode & ~cleared | bits
            }
        }
        return mode
    }
}
