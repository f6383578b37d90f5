// SPDX-License-Identifier: Apache-2.0
//
// Which of a call's rules with conditions is asked first. Profiles are written for libseccomp, which keeps the rules of a call
// as a tree of comparisons of 32-bit halves, in an order of its own whatever order they come in (libseccomp 2.5, src/db.c,
// _db_chain_lt and _db_tree_add): of one argument equality, inequality and masks are asked before `<` and `<=`, these before
// `>` and `>=`, of bounds the narrowest first; and what begins with a later argument before what begins with an earlier one.
//
// We do so too, for whole values: libseccomp joins equal halves of several rules' ranges, and gets numbers wrong where the other
// halves differ or a condition on another argument follows. A rule whose conditions begin another rule's and that came later is
// refused there; here both stay in the order they came.

/// A comparison of half an argument, as libseccomp has it.
struct ComparedWord: Hashable {
    /// The second half, which is asked first, is the greater one.
    private let place: Int
    private let kind: Kind
    private let value: UInt32
    private let test: Test
    private let mask: UInt32

    /// In the order they are asked, last first.
    private enum Kind: Int, Comparable {
        case floor, ceiling, equality
        static func < (a: Kind, b: Kind) -> Bool { a.rawValue < b.rawValue }
    }

    /// `<` and `<=` are the other way out of `>=` and `>`, `!=` is that of `==`.
    private enum Test { case equal, masked, greater, greaterOrEqual }

    fileprivate init(_ condition: ArgumentCondition, high: Bool) {
        var mask = UInt64.max
        var test: Test
        switch condition.comparison {
        case .equal, .notEqual: (kind, test) = (.equality, .equal)
        case .masked(let bits): (kind, test, mask) = (.equality, .masked, bits)
        case .less: (kind, test) = (.ceiling, .greaterOrEqual)
        case .lessOrEqual: (kind, test) = (.ceiling, .greater)
        case .greater: (kind, test) = (.floor, .greater)
        case .greaterOrEqual: (kind, test) = (.floor, .greaterOrEqual)
        }
        if high, kind != .equality { test = .greater }
        self.test = test
        self.mask = UInt32(truncatingIfNeeded: high ? mask >> 32 : mask)
        value = UInt32(truncatingIfNeeded: high ? condition.value >> 32 : condition.value)
        place = condition.argument * 2 + (high ? 1 : 0)
    }

    private func isSame(as other: ComparedWord) -> Bool {
        place == other.place && value == other.value && test == other.test && mask == other.mask
    }

    fileprivate static func precedes(_ one: [ComparedWord], _ other: [ComparedWord]) -> Bool {
        guard let (mine, others) = zip(one, other).first(where: { !$0.isSame(as: $1) }) else { return false }
        if mine.place != others.place { return mine.place > others.place }
        if mine.kind != others.kind { return mine.kind > others.kind }
        return mine.kind == .ceiling ? mine.value < others.value : mine.value > others.value
    }
}

extension Verdict {
    /// A rule's conditions, in an order that makes equal ones equal, without those that hold for every number.
    static func normal(_ conditions: [ArgumentCondition]) -> [ArgumentCondition] {
        conditions.filter { $0.comparison != .masked(0) }.sorted { $0.argument < $1.argument }
    }

    /// Puts a rule where it is asked.
    /// - Returns: false where its conditions have another action already: which of the two was meant nobody can tell.
    mutating func take(_ conditions: [ArgumentCondition], _ action: SeccompAction) -> Bool {
        let words = conditions.flatMap { condition in
            (condition.width == .bits64 ? [true, false] : [false]).map { ComparedWord(condition, high: $0) }
        }
        if conditional.contains(where: { $0.conditions == conditions && $0.action != action }) {
            return false
        }
        let place = conditional.firstIndex { ComparedWord.precedes(words, $0.words) }
        conditional.insert(
            Conditional(conditions: conditions, action: action, words: words), at: place ?? conditional.count)
        return true
    }
}
