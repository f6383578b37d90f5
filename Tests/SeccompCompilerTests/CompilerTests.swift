// SPDX-License-Identifier: Apache-2.0

import SeccompCompiler
import Testing

private let kernel = KernelVersion(6, 12)
private let edges: [UInt64] = [
    0, 1, 7, 8, 9, 0xff, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0008, 0x8000_0000, 0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000, .max,
]

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
        "all conditions of a rule must hold; the first rule that holds decides, one without conditions before all"
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
    @Test("rules that are the default say nothing, and two actions for the same arguments are refused")
    func contradictions() throws {
        func answer(
            _ rules: [(SeccompAction, [ArgumentCondition])], mode: UInt64 = 0o777,
            default action: SeccompAction = .allow
        ) throws(SeccompError) -> UInt32? {
            let policy = SeccompPolicy(
                defaultAction: action, rules: rules.map { SeccompRule($0.0, [.mkdir], when: $0.1) })
            let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
            return try? run(program, arch: AuditArch.x86_64, number: 83, [0, mode])
        }
        let all = [ArgumentCondition(1, .equal, 0o777)]
        #expect(try answer([(.allow, []), (.errno(1), [])]) == Verdicts.notPermitted)
        #expect(try answer([(.errno(2), all), (.errno(1), [])]) == Verdicts.notPermitted)
        for other: (ArgumentCondition.Comparison, UInt64, Bool) in [
            (.greaterOrEqual, 100, true), (.equal, 0o777, true), (.notEqual, 0o777, false),
            (.less, 0o777, false),
            (.lessOrEqual, 0o777, true), (.masked(0o700), 0o700, true), (.masked(0o700), 0o100, false),
            (.equal, 0, false), (.notEqual, 3, true),
        ] {
            let rules: [(SeccompAction, [ArgumentCondition])] = [
                (.allow, all), (.errno(1), [ArgumentCondition(1, other.0, other.1)]),
            ]
            if other.2 {
                #expect(throws: SeccompError.contradiction(call: "mkdir")) {
                    try answer(rules, default: .trap)
                }
            } else {
                #expect(try answer(rules, default: .trap) == Verdicts.allow)
            }
        }
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
        case .masked(let mask): value & mask == bound
        }
    }
}
