// SPDX-License-Identifier: Apache-2.0

import SeccompCompiler
import Testing

private let kernel = KernelVersion(6, 12)
private let edges: [UInt64] = [
    0, 1, 7, 8, 9, 0xff, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0008, 0x8000_0000, 0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000, .max,
]

private func arg(_ index: Int, _ comparison: ArgumentCondition.Comparison, _ value: UInt64)
    -> ArgumentCondition
{
    ArgumentCondition(index, comparison, value)
}

@Suite("policies become programs")
struct CompilerTests {
    @Test(
        "every comparison holds for whole 64-bit arguments",
        arguments: [
            ArgumentCondition.Comparison.equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual,
            .masked(0xff), .masked(0xff00_0000_0000_00ff), .masked(0xffff_ffff_0000_0000), .masked(.max),
        ])
    func comparisons(comparison: ArgumentCondition.Comparison) throws {
        for bound in edges {
            for argument in 0..<6 {
                let program = try policy(when: [ArgumentCondition(argument, comparison, bound)])
                for value in edges {
                    var arguments = [UInt64](repeating: 3, count: 6)
                    arguments[argument] = value
                    let verdict = try run(program, arch: AuditArch.x86_64, number: 1, arguments)
                    #expect(
                        (verdict == Verdicts.allow) == holds(comparison, value, bound),
                        "\(value) \(comparison) \(bound)")
                }
            }
        }
    }

    @Test("a 32-bit comparison is blind to the high half")
    func narrow() throws {
        for comparison: ArgumentCondition.Comparison in [.equal, .notEqual, .less, .greater, .masked(0xff)] {
            let program = try policy(when: [ArgumentCondition(2, comparison, 8, width: .bits32)])
            for value in edges {
                let verdict = try run(program, arch: AuditArch.x86_64, number: 1, [0, 0, value])
                #expect((verdict == Verdicts.allow) == holds(comparison, value & 0xffff_ffff, 8))
            }
        }
    }

    @Test(
        "all conditions of a rule must hold; of two that begin alike the first decides, one without conditions before all"
    )
    func order() throws {
        var policy = SeccompPolicy(
            defaultAction: .trap,
            rules: [
                SeccompRule(
                    .errno(5), [.write],
                    when: [ArgumentCondition(0, .equal, 1), ArgumentCondition(1, .greater, 10)]),
                SeccompRule(.trace(7), [.write], when: [ArgumentCondition(0, .equal, 1)]),
            ])
        func answers() throws -> [UInt32] {
            let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
            let calls: [(UInt32, [UInt64])] = [(1, [1, 11]), (1, [1, 10]), (1, [2, 11]), (0, [])]
            return try calls.map {
                try run(program, arch: AuditArch.x86_64, number: $0.0, $0.1)
            }
        }
        #expect(try answers() == [0x0005_0005, 0x7ff0_0007, 0x0003_0000, 0x0003_0000])
        policy.rules += [SeccompRule(.log, [.write]), SeccompRule(.killProcess, [.write])]
        #expect(try answers() == [0x7ffc_0000, 0x7ffc_0000, 0x7ffc_0000, 0x0003_0000])
    }

    /// As runc with libseccomp answered each of them.
    @Test("rules that are the default say nothing, and two actions for the same conditions are refused")
    func contradictions() throws {
        let all = [ArgumentCondition(0, .equal, 0o777)]
        func answer(
            _ rules: [(SeccompAction, [ArgumentCondition])], default action: SeccompAction = .allow
        ) throws -> UInt32? { try Self.answers(rules, to: [[0o777]], default: action).first }
        #expect(try answer([(.allow, []), (.errno(1), [])]) == Verdicts.notPermitted)
        #expect(try answer([(.errno(2), all), (.errno(1), [])]) == Verdicts.notPermitted)
        #expect(try answer([(.errno(2), all), (.errno(2), all)]) == 0x0005_0002)
        let both = [ArgumentCondition(1, .less, 3), ArgumentCondition(0, .masked(0o700), 0o777)]
        let same = [ArgumentCondition(0, .masked(0o700), 0o700), ArgumentCondition(1, .less, 3)]
        for rules in [
            [(SeccompAction.allow, all), (.errno(1), all)], [(.errno(2), both), (.errno(1), same)],
        ] {
            #expect(throws: SeccompError.contradiction(call: "mkdir")) {
                try answer(rules, default: .trap)
            }
        }
        // A mask of nothing is no condition, so the rule is for every call.
        let none = [ArgumentCondition(0, .masked(0), 7)]
        #expect(try answer([(.errno(1), none), (.errno(2), all)]) == Verdicts.notPermitted)
    }

    /// The answers are libseccomp 2.5.4's, of the programs it exports for the same rules; the first gives 101, the second 102.
    @Test(
        "of rules that hold together libseccomp's first decides, in whatever order they are written",
        arguments: [
            ([[arg(0, .equal, 16)], [arg(0, .greaterOrEqual, 2)]], [([16], 101), ([17], 102), ([1], 0)]),
            ([[arg(0, .lessOrEqual, 4)], [arg(0, .lessOrEqual, 7)]], [([3], 101), ([6], 102), ([8], 0)]),
            ([[arg(0, .greaterOrEqual, 1)], [arg(0, .greater, 5)]], [([6], 102), ([3], 101), ([0], 0)]),
            ([[arg(0, .greaterOrEqual, 3)], [arg(0, .less, 6)]], [([4], 102), ([6], 101), ([2], 102)]),
            ([[arg(0, .notEqual, 3)], [arg(0, .equal, 5)]], [([5], 102), ([3], 0), ([7], 101)]),
            ([[arg(0, .equal, 1)], [arg(0, .notEqual, 3)]], [([1], 102), ([3], 0), ([7], 102)]),
            ([[arg(0, .equal, 1)], [arg(1, .equal, 2)]], [([1, 2], 102), ([1, 3], 101), ([0, 2], 102)]),
            (
                [
                    [arg(0, .equal, 1), arg(1, .equal, 1)],
                    [arg(1, .equal, 2), arg(0, .greaterOrEqual, 1)],
                ], [([1, 1], 101), ([1, 2], 102), ([2, 2], 102), ([2, 1], 0)]
            ),
        ] as [([[ArgumentCondition]], [([UInt64], UInt32)])])
    func libseccompOrder(rules: [[ArgumentCondition]], answers: [([UInt64], UInt32)]) throws {
        let written = [(SeccompAction.errno(101), rules[0]), (.errno(102), rules[1])]
        for rules in [written, written.reversed()] {
            let found = try Self.answers(rules, to: answers.map(\.0))
            #expect(found.map { $0 & 0xffff } == answers.map(\.1))
        }
    }

    /// The first two as libseccomp 2.5.4; the third way round it refuses.
    @Test("where it has no order of its own, the written one stays")
    func writtenOrder() throws {
        let exact = (SeccompAction.errno(101), [arg(0, .equal, 0o777)])
        let masked = (SeccompAction.errno(102), [arg(0, .masked(0o700), 0o700)])
        #expect(try Self.answers([exact, masked], to: [[0o777], [0o755]]) == [0x5_0065, 0x5_0066])
        #expect(try Self.answers([masked, exact], to: [[0o777], [0o755]]) == [0x5_0066, 0x5_0066])
        let longer = (SeccompAction.errno(103), [arg(0, .equal, 0o777), arg(1, .equal, 2)])
        #expect(try Self.answers([exact, longer], to: [[0o777, 2], [0o777, 3]]) == [0x5_0065, 0x5_0065])
        #expect(try Self.answers([longer, exact], to: [[0o777, 2], [0o777, 3]]) == [0x5_0067, 0x5_0065])
    }

    private static func answers(
        _ rules: [(SeccompAction, [ArgumentCondition])], to arguments: [[UInt64]],
        default action: SeccompAction = .allow
    ) throws -> [UInt32] {
        let policy = SeccompPolicy(
            defaultAction: action, rules: rules.map { SeccompRule($0.0, [.mkdir], when: $0.1) })
        let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
        return try arguments.map { try run(program, arch: AuditArch.x86_64, number: 83, $0) }
    }

    @Test(
        "every action is the kernel's own value",
        arguments: [
            (SeccompAction.allow, UInt32(0x7fff_0000)), (.errno(38), 0x0005_0026),
            (.killProcess, 0x8000_0000),
            (.killThread, 0), (.trap, 0x0003_0000), (.log, 0x7ffc_0000), (.notify, 0x7fc0_0000),
            (.trace(1), 0x7ff0_0001),
        ])
    func actions(action: SeccompAction, value: UInt32) throws {
        let policy = SeccompPolicy(defaultAction: .errno(1), rules: [SeccompRule(action, [.read])])
        let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
        #expect(try run(program, arch: AuditArch.x86_64, number: 0) == value)
    }

    @Test("a policy that denies by name lets the unknown through, but not by way of x32")
    func denyList() throws {
        let policy = SeccompPolicy(defaultAction: .allow, rules: [SeccompRule(.errno(1), [.mount])])
        let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
        let arch = AuditArch.x86_64
        #expect(try run(program, arch: arch, number: 165) == Verdicts.notPermitted)
        #expect(try run(program, arch: arch, number: 9999) == Verdicts.allow)
        #expect(try run(program, arch: arch, number: 0x4000_0000 + 165) == Verdicts.noSystemCall)
        #expect(try run(program, arch: AuditArch.i386, number: 21) == Verdicts.notPermitted)
    }

    // Conditional jumps reach 255 instructions; here the tree's halves are far apart.
    @Test("jumps beyond 255 instructions arrive")
    func farJumps() throws {
        let names: [Syscall] = [.read, .write, .close, .fstat, .lseek, .munmap, .ioctl, .dup, .getpid, .exit]
        let numbers: [UInt32] = [0, 1, 3, 5, 8, 11, 16, 32, 39, 60]
        var rules: [SeccompRule] = []
        for (place, name) in names.enumerated() {
            for step in 0..<30 {
                let value = UInt64(place * 1000 + step) << 20
                rules.append(
                    SeccompRule(
                        .errno(UInt16(step + 100)), [name], when: [ArgumentCondition(5, .equal, value)]))
            }
        }
        let policy = SeccompPolicy(defaultAction: .errno(1), rules: rules)
        let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
        for (place, number) in numbers.enumerated() {
            for step in 0..<30 {
                let value = UInt64(place * 1000 + step) << 20
                let verdict = try run(
                    program, arch: AuditArch.x86_64, number: number, [0, 0, 0, 0, 0, value])
                #expect(verdict == 0x0005_0000 | UInt32(step + 100))
            }
            #expect(
                try run(program, arch: AuditArch.x86_64, number: number)
                    == (place == 0 ? 0x0005_0064 : 0x0005_0001))
        }
    }

    @Test("every call's name is the kernel's and every number stands once")
    func names() {
        #expect(Syscall.openat2.name == "openat2")
        #expect(Set(Syscall.allCases.map(\.name)).count == Syscall.allCases.count)
    }

    @Test("a policy beyond the kernel's limit is refused with its size")
    func tooLong() {
        let conditions = (0..<2000).map { ArgumentCondition(0, .notEqual, $0) }
        #expect(throws: SeccompError.self) { try policy(when: conditions) }
    }

    @Test(
        "a kernel's release gives its version",
        arguments: [("6.12.9-amd64", KernelVersion(6, 12)), ("5.14-rc1", KernelVersion(5, 14))])
    func release(text: String, version: KernelVersion) { #expect(KernelVersion(release: text) == version) }

    @Test("what is no release gives none", arguments: ["", "6", "x.y", "6.x"])
    func noRelease(text: String) { #expect(KernelVersion(release: text) == nil) }

    private func policy(when conditions: [ArgumentCondition]) throws(SeccompError) -> SeccompProgram {
        try SeccompPolicy(
            defaultAction: .errno(1), rules: [SeccompRule(.allow, [.write], when: conditions)]
        ).compile(capabilities: [], architecture: .x86_64, kernel: kernel)
    }

    private func holds(_ comparison: ArgumentCondition.Comparison, _ value: UInt64, _ bound: UInt64) -> Bool {
        switch comparison {
        case .equal: value == bound
        case .notEqual: value != bound
        case .less: value < bound
        case .lessOrEqual: value <= bound
        case .greater: value > bound
        case .greaterOrEqual: value >= bound
        case .masked(let mask): value & mask == bound & mask
        }
    }
}
