// SPDX-License-Identifier: Apache-2.0
//
// Policy → program. Shape of what comes out, in the order it runs:
//
//     load architecture;  native → its tree;  32-bit sibling → its tree;  any other → kill the process
//     a tree: load number; binary search over runs of neighbouring numbers with one verdict
//     a leaf: return the verdict, or compare arguments and return
//
// Calls newer than the newest one the policy names answer ENOSYS, not the default action: programs probe for new
// calls and fall back on ENOSYS only (runc, libcontainer/seccomp/patchbpf). Actions that hang on nothing but the number
// are kept flat so that the kernel's cache of allowed calls (Linux 5.11, seccomp_cache_prepare) can prove them.

/// A compiled filter: one `struct sock_filter` per element, in the order the kernel wants them.
public struct SeccompProgram: Hashable, Sendable {
    public let instructions: [UInt64]

    /// The program as `sock_fprog.filter` wants it, 8 bytes an instruction, little-endian.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(instructions.count * 8)
        for instruction in instructions {
            withUnsafeBytes(of: instruction.littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }
}

public enum SeccompError: Error, Hashable, Sendable {
    /// More than BPF_MAXINSNS (4096) instructions.
    case tooLong(instructions: Int)
}

extension SeccompPolicy {
    /// The program for one container: 0.1 ms for Docker's profile, so cache by capabilities only where many start.
    ///
    /// On x86-64, i386 programs get the same policy with their own numbers and x32 calls ENOSYS (distributions build
    /// kernels without x32). On arm64, 32-bit ARM programs get ENOSYS for every call unless the policy is permissive.
    /// - Throws: `tooLong` for policies with a great many conditions; never for Docker's.
    public func compile(
        capabilities: CapabilitySet, architecture: SeccompArchitecture = .current, kernel: KernelVersion
    ) throws(SeccompError) -> SeccompProgram {
        let rules = rules.filter {
            $0.applies(capabilities: capabilities, architecture: architecture, kernel: kernel)
        }
        var code = FilterAssembler()
        var entry = code.verdict(.killProcess)
        for abi in architecture.abis.reversed() {
            var found: FilterAssembler.Label
            if let numbers = abi.numbers {
                found = code.tree(verdictRuns(rules, numbers)[...])
                found = code.loadWord(at: SeccompData.number, then: found)
            } else {
                found = code.verdict(defaultAction.isPermissive ? defaultAction : .errno(Self.noSystemCall))
            }
            // The kill verdict or the next comparison is beyond this tree by now; `branch` jumps as far as it takes.
            entry = code.branch(.equal, abi.audit, found, entry)
        }
        _ = code.loadWord(at: SeccompData.architecture, then: entry)
        let instructions = code.finish()
        if instructions.count > 4096 { throw .tooLong(instructions: instructions.count) }
        return SeccompProgram(instructions: instructions)
    }

    private static let noSystemCall: UInt16 = 38

    /// The whole range of numbers as runs with one verdict each, ascending, the first at 0.
    private func verdictRuns(_ rules: [SeccompRule], _ numbers: SyscallABI.Numbers) -> [VerdictRun] {
        let verdicts = verdictsByNumber(rules, numbers)
        var runs: [VerdictRun] = []
        func append(_ first: UInt32, _ verdict: Verdict) {
            if runs.last?.verdict != verdict { runs.append(VerdictRun(first: first, verdict: verdict)) }
        }
        for number in verdicts.indices {
            append(UInt32(number), verdicts[number] ?? Verdict(defaultAction))
        }
        let beyond: SeccompAction = defaultAction.isPermissive ? defaultAction : .errno(Self.noSystemCall)
        append(UInt32(verdicts.count), Verdict(beyond))
        // x32 calls carry bit 30. A permissive policy must not let them step around its rules.
        if numbers.hasX32 { append(0x4000_0000, Verdict(.errno(Self.noSystemCall))) }
        return runs
    }

    /// Indexed by number, up to the newest call the rules name; nil where none speaks.
    private func verdictsByNumber(_ rules: [SeccompRule], _ numbers: SyscallABI.Numbers) -> [Verdict?] {
        var verdicts: [Verdict?] = []
        for rule in rules {
            for name in rule.syscalls {
                guard let number = numbers[name] else { continue }
                if verdicts.count <= number {
                    verdicts += repeatElement(nil, count: number + 1 - verdicts.count)
                }
                var verdict = verdicts[number] ?? Verdict(conditional: [], otherwise: nil)
                if verdict.otherwise != nil { continue }
                if rule.conditions.isEmpty {
                    verdict.otherwise = rule.action
                } else {
                    verdict.conditional.append(.init(conditions: rule.conditions, action: rule.action))
                }
                verdicts[number] = verdict
            }
        }
        for number in verdicts.indices where verdicts[number]?.otherwise == nil {
            verdicts[number]?.otherwise = defaultAction
        }
        return verdicts
    }
}

extension SeccompRule {
    func applies(capabilities: CapabilitySet, architecture: SeccompArchitecture, kernel: KernelVersion)
        -> Bool
    {
        if let onlyIf {
            guard onlyIf.capabilities.isSubset(of: capabilities) else { return false }
            guard onlyIf.architectures.isEmpty || onlyIf.architectures.contains(architecture) else {
                return false
            }
            if let minimum = onlyIf.minimumKernel, kernel < minimum { return false }
        }
        if let unless {
            if !unless.capabilities.isDisjoint(with: capabilities) { return false }
            if unless.architectures.contains(architecture) { return false }
            if let minimum = unless.minimumKernel, kernel >= minimum { return false }
        }
        return true
    }
}

/// What is decided for a system call: conditional actions in order, then one without.
struct Verdict: Hashable {
    struct Conditional: Hashable {
        var conditions: [ArgumentCondition]
        var action: SeccompAction
    }
    var conditional: [Conditional]
    var otherwise: SeccompAction?

    init(conditional: [Conditional], otherwise: SeccompAction?) {
        self.conditional = conditional
        self.otherwise = otherwise
    }

    init(_ action: SeccompAction) { self.init(conditional: [], otherwise: action) }
}

/// Numbers from `first` up to the next run's.
struct VerdictRun {
    var first: UInt32
    var verdict: Verdict
}
