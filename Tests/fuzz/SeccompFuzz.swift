// SPDX-License-Identifier: Apache-2.0
//
// The entry libFuzzer calls: bytes become a seccomp profile of JSON, or, when they begin with a NUL, a policy. What compiles
// must answer every call its rules speak of as the rules read one after the other do. `Tests/fuzz/seccomp` builds and runs
// this.

import Basics
import SeccompCompiler

private struct Bytes {
    var rest: ArraySlice<UInt8>
    mutating func next() -> UInt8 { rest.popFirst() ?? 0 }
    mutating func wide() -> UInt64 {
        // Numbers near powers of two are where comparisons of halves go wrong.
        let kind = next()
        let base: UInt64 = kind & 0x40 == 0 ? UInt64(next()) : 1 << UInt64(next() & 63)
        return kind & 1 == 0 ? base : kind & 2 == 0 ? base &- 1 : ~base
    }
}

private let actions: [SeccompAction] = [
    .allow, .errno(1), .killProcess, .killThread, .trap, .trace(7), .log, .errno(38), .notify,
]

private func policy(_ bytes: inout Bytes) -> SeccompPolicy {
    var policy = SeccompPolicy(defaultAction: actions[Int(bytes.next()) % actions.count], rules: [])
    policy.siblings = bytes.next() & 1 == 0 ? [.current] : []
    while !bytes.rest.isEmpty, policy.rules.count < 40 {
        let calls = (0...bytes.next() % 3).map { _ in
            Syscall.allCases[(Int(bytes.next()) << 8 | Int(bytes.next())) % Syscall.allCases.count]
        }
        let conditions = (0..<bytes.next() % 4).map { _ in
            let kind = bytes.next()
            let comparison: ArgumentCondition.Comparison =
                switch kind % 7 {
                case 0: .equal
                case 1: .notEqual
                case 2: .less
                case 3: .lessOrEqual
                case 4: .greater
                case 5: .greaterOrEqual
                default: .masked(bytes.wide())
                }
            return ArgumentCondition(
                Int(kind >> 4) % 6, comparison, bytes.wide(), width: kind & 8 == 0 ? .bits64 : .bits32)
        }
        policy.rules.append(SeccompRule(actions[Int(bytes.next()) % actions.count], calls, when: conditions))
    }
    return policy
}

private func holds(_ condition: ArgumentCondition, _ arguments: [UInt64]) -> Bool {
    func cut(_ number: UInt64) -> UInt64 { condition.width == .bits64 ? number : number & 0xffff_ffff }
    let (given, value) = (cut(arguments[condition.argument]), cut(condition.value))
    return switch condition.comparison {
    case .equal: given == value
    case .notEqual: given != value
    case .less: given < value
    case .lessOrEqual: given <= value
    case .greater: given > value
    case .greaterOrEqual: given >= value
    case .masked(let mask): given & cut(mask) == value
    }
}

/// The first rule without conditions that names the call decides, else one whose conditions hold; what is the default says
/// nothing. Which of several, where their actions differ, is RuleOrder's and tested beside it.
private func expected(_ policy: SeccompPolicy, _ call: Syscall, _ arguments: [UInt64]) -> [SeccompAction] {
    let rules = policy.rules.filter { $0.syscalls.contains(call) && $0.action != policy.defaultAction }
    // A mask of nothing is no condition.
    let isOpen = { (rule: SeccompRule) in rule.conditions.allSatisfy { $0.comparison == .masked(0) } }
    if let rule = rules.first(where: isOpen) { return [rule.action] }
    let held = rules.filter { rule in rule.conditions.allSatisfy { holds($0, arguments) } }
    return held.isEmpty ? [policy.defaultAction] : held.map(\.action)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let kernel = KernelVersion(6, 1)
    guard input.first == 0 else {
        do throws(Failure) {
            let read = try SeccompPolicy(json: input, profile: "profile \"p\"")
            for architecture in SeccompArchitecture.allCases {
                _ = try? read.compile(capabilities: [], architecture: architecture, kernel: kernel)
            }
        } catch {
            precondition(!error.description.isEmpty)
        }
        return 0
    }
    var bytes = Bytes(rest: input.dropFirst())
    let seeds = [bytes.wide(), bytes.wide()]
    let policy = policy(&bytes)
    let program: SeccompProgram
    do throws(SeccompError) {
        program = try policy.compile(capabilities: [], kernel: kernel)
    } catch {
        return 0
    }
    precondition(program.instructions.count <= 4096)
    let filter = program.bytes
    let values =
        seeds
        + policy.rules.flatMap {
            $0.conditions.flatMap { [$0.value, $0.value &- 1, $0.value &+ 1, ~$0.value] }
        }
        .prefix(24) + [0, .max, 0xffff_ffff, 1 << 32]
    for call in Set(policy.rules.flatMap(\.syscalls)) {
        for (index, value) in values.enumerated() {
            var arguments = [UInt64](repeating: value, count: 6)
            arguments[index % 6] = values[(index + 1) % values.count]
            // nil: this architecture has no such call.
            guard let answer = filterAnswer(filter, call, arguments) else { continue }
            let wanted = expected(policy, call, arguments)
            if !wanted.contains(where: { $0.returnValue == answer }) {
                fatalError("\(call.name) \(arguments): \(String(answer, radix: 16)), not \(wanted)")
            }
        }
    }
    return 0
}
