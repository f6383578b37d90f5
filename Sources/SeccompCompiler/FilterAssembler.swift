// SPDX-License-Identifier: Apache-2.0
//
// Classic BPF (linux/filter.h), written from its end to its beginning: jumps only go forward, so every target's
// place is known when the jump is written. Conditional jumps reach 255 instructions; farther ones go through an
// unconditional jump, and verdicts are repeated where that is nearer.

/// Byte offsets in `struct seccomp_data`, linux/seccomp.h.
enum SeccompData {
    static let number: UInt32 = 0
    static let architecture: UInt32 = 4
    /// Both machines are little-endian: the low half comes first.
    static func low(_ argument: Int) -> UInt32 { UInt32(16 + 8 * argument) }
    static func high(_ argument: Int) -> UInt32 { UInt32(20 + 8 * argument) }
}

struct FilterAssembler {
    /// An instruction's place, counted from the end.
    typealias Label = Int

    enum Test: UInt16 {
        case equal = 0x15
        case greater = 0x25
        case greaterOrEqual = 0x35
    }

    /// Last instruction first.
    private var reversed: [UInt64] = []
    private var verdicts: [SeccompAction: Label] = [:]

    init() { reversed.reserveCapacity(600) }

    /// The instruction written last, the one that runs first.
    private var last: Label { reversed.count - 1 }

    consuming func finish() -> [UInt64] { Array(reversed.reversed()) }

    private mutating func emit(_ code: UInt16, jumpTrue: Int = 0, jumpFalse: Int = 0, _ k: UInt32 = 0)
        -> Label
    {
        precondition(jumpTrue <= 255 && jumpFalse <= 255)
        reversed.append(UInt64(code) | UInt64(jumpTrue) << 16 | UInt64(jumpFalse) << 24 | UInt64(k) << 32)
        return last
    }

    /// BPF_RET | BPF_K; an earlier one when a conditional jump reaches it.
    mutating func verdict(_ action: SeccompAction) -> Label {
        if let known = verdicts[action], reversed.count - known < 250 { return known }
        let label = emit(0x06, action.returnValue)
        verdicts[action] = label
        return label
    }

    /// BPF_JMP | test | BPF_K on the loaded word.
    mutating func branch(_ test: Test, _ value: UInt32, _ yes: Label, _ no: Label) -> Label {
        if yes == no { return yes }
        let yes = near(yes)
        let no = near(no)
        return emit(
            test.rawValue, jumpTrue: reversed.count - yes - 1, jumpFalse: reversed.count - no - 1, value)
    }

    /// The target itself, or an unconditional jump to it when it is out of reach. One instruction may still come between.
    private mutating func near(_ target: Label) -> Label {
        if reversed.count - target - 1 < 255 { return target }
        return emit(0x05, UInt32(reversed.count - target - 1))
    }

    /// BPF_LD | BPF_W | BPF_ABS, then goes on at `next`.
    mutating func loadWord(at offset: UInt32, then next: Label) -> Label {
        if next != last { _ = emit(0x05, UInt32(reversed.count - next - 1)) }
        return emit(0x20, offset)
    }

    /// Binary search for the run that has the loaded number.
    mutating func tree(_ runs: ArraySlice<VerdictRun>) -> Label {
        guard runs.count > 1 else { return leaf(runs[runs.startIndex].verdict) }
        let middle = runs.startIndex + runs.count / 2
        let upper = tree(runs[middle...])
        let lower = tree(runs[..<middle])
        return branch(.greaterOrEqual, runs[middle].first, upper, lower)
    }

    private mutating func leaf(_ decided: Verdict) -> Label {
        var label = verdict(decided.otherwise ?? .killProcess)
        for conditional in decided.conditional.reversed() {
            var success = verdict(conditional.action)
            for condition in conditional.conditions.reversed() {
                success = compare(condition, success, label)
            }
            label = success
        }
        return label
    }

    private mutating func compare(_ condition: ArgumentCondition, _ yes: Label, _ no: Label) -> Label {
        switch condition.comparison {
        case .equal: equal(condition, mask: nil, yes, no)
        case .notEqual: equal(condition, mask: nil, no, yes)
        case .masked(let mask): equal(condition, mask: mask, yes, no)
        case .greater: ordered(.greater, condition, yes, no)
        case .greaterOrEqual: ordered(.greaterOrEqual, condition, yes, no)
        case .less: ordered(.greaterOrEqual, condition, no, yes)
        case .lessOrEqual: ordered(.greater, condition, no, yes)
        }
    }

    private mutating func equal(_ condition: ArgumentCondition, mask: UInt64?, _ yes: Label, _ no: Label)
        -> Label
    {
        var label = branch(.equal, UInt32(truncatingIfNeeded: condition.value), yes, no)
        label = load(SeccompData.low(condition.argument), mask.map { UInt32(truncatingIfNeeded: $0) }, label)
        if condition.width == .bits32 || (mask.map { $0 >> 32 == 0 && condition.value >> 32 == 0 } ?? false) {
            return label
        }
        label = branch(.equal, UInt32(condition.value >> 32), label, no)
        return load(SeccompData.high(condition.argument), mask.map { UInt32($0 >> 32) }, label)
    }

    private mutating func ordered(
        _ test: Test, _ condition: ArgumentCondition, _ yes: Label, _ no: Label
    ) -> Label {
        var label = branch(test, UInt32(truncatingIfNeeded: condition.value), yes, no)
        label = loadWord(at: SeccompData.low(condition.argument), then: label)
        if condition.width == .bits32 { return label }
        let high = UInt32(condition.value >> 32)
        label = branch(.equal, high, label, no)
        label = branch(.greater, high, yes, label)
        return loadWord(at: SeccompData.high(condition.argument), then: label)
    }

    /// Loads a word and, where there is a mask, ands it (BPF_ALU | BPF_AND | BPF_K).
    private mutating func load(_ offset: UInt32, _ mask: UInt32?, _ next: Label) -> Label {
        guard let mask, mask != .max else { return loadWord(at: offset, then: next) }
        if next != last { _ = emit(0x05, UInt32(reversed.count - next - 1)) }
        let and = emit(0x54, mask)
        return loadWord(at: offset, then: and)
    }
}
