// SPDX-License-Identifier: Apache-2.0
//
// Whether two rules can both hold for one call: then their actions contradict each other, and which of them was meant nobody
// can tell. libseccomp refuses such rules too (EEXIST), where its tree of comparisons shows them to it.

/// Rules about different arguments are no contradiction: the first of them decides.
func meet(_ one: [ArgumentCondition], _ other: [ArgumentCondition]) -> Bool {
    guard Set(one.map(\.argument)) == Set(other.map(\.argument)) else { return false }
    return one.allSatisfy { first in
        other.allSatisfy { $0.argument != first.argument || first.meets($0) }
    }
}

extension ArgumentCondition {
    /// Some value of the argument satisfies both.
    fileprivate func meets(_ other: ArgumentCondition) -> Bool {
        guard width == other.width else { return true }
        if case .masked(let mask) = comparison, case .masked(let second) = other.comparison {
            return value & second == other.value & mask
        }
        // Without a mask each is one or two runs of numbers: what both have holds at an end of a run of one of them.
        return (ends + other.ends).contains { holds($0) && other.holds($0) }
    }

    private var most: UInt64 { width == .bits64 ? .max : 0xffff_ffff }

    /// Numbers at which its answer changes, on both sides; of a mask, numbers it asks for.
    private var ends: [UInt64] {
        if case .masked(let mask) = comparison { return [value, value | ~mask & most] }
        return [0, most, value & most, value & most &- 1, value & most &+ 1]
    }

    private func holds(_ number: UInt64) -> Bool {
        let bound = value & most
        guard number <= most else { return false }
        return switch comparison {
        case .equal: number == bound
        case .notEqual: number != bound
        case .less: number < bound
        case .lessOrEqual: number <= bound
        case .greater: number > bound
        case .greaterOrEqual: number >= bound
        case .masked(let mask): number & mask == bound
        }
    }
}
