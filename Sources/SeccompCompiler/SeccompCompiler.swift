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
    /// Two rules answer the same call with the same arguments differently.
    case contradiction(call: String)
}

extension SeccompError {
    /// Why there is no program, for a message.
    public var cause: String {
        switch self {
        case .tooLong(let count): "the filter is too long: \(count) instructions, and the kernel takes 4096"
        case .contradiction(let call): "two rules give \(call) different actions for the same arguments"
        }
    }

    /// What to do about it.
    public var advice: String {
        switch self {
        case .tooLong: "let fewer rules look at arguments"
        case .contradiction: "let one rule speak of them"
        }
    }
}

extension SeccompPolicy {
    /// The program for one container; 234 instructions for Docker's profile and default capabilities on x86-64.
    ///
    /// 32-bit programs (i386, ARM) get the same policy with their own numbers; x32 calls get ENOSYS, as on the
    /// kernels distributions build, which are without x32. Programs of any other architecture are killed.
    /// - Throws: `tooLong` for policies with a great many conditions, `contradiction`; never for Docker's.
    public func compile(
        capabilities: CapabilitySet, architecture: SeccompArchitecture = .current, kernel: KernelVersion
    ) throws(SeccompError) -> SeccompProgram {
        let verdicts = try verdicts(capabilities, architecture, kernel)
        var code = FilterAssembler()
        var entry = code.verdict(.killProcess)
        for abi in architecture.abis.prefix(siblings.contains(architecture) ? 2 : 1).reversed() {
            var found = code.tree(verdictRuns(abi, verdicts)[...])
            found = code.loadWord(at: SeccompData.number, then: found)
            // The next comparison is beyond this tree by now; `branch` goes as far as it takes.
            entry = code.branch(.equal, abi.audit, found, entry)
        }
        _ = code.loadWord(at: SeccompData.architecture, then: entry)
        let instructions = code.finish()
        if instructions.count > 4096 { throw .tooLong(instructions: instructions.count) }
        return SeccompProgram(instructions: instructions)
    }

    /// What the rules decide, by system call; nil where none speaks. As libseccomp has it, for which profiles are written
    /// (seccomp_rule_add(3); runc leaves out what is the default anyway): the first rule without conditions decides alone, the
    /// others in the order of RuleOrder.swift.
    private func verdicts(
        _ capabilities: CapabilitySet, _ architecture: SeccompArchitecture, _ kernel: KernelVersion
    ) throws(SeccompError) -> [Verdict?] {
        var verdicts = [Verdict?](repeating: nil, count: Syscall.allCases.count)
        for rule in rules
        where rule.applies(capabilities: capabilities, architecture: architecture, kernel: kernel) {
            let conditions = Verdict.normal(rule.conditions)
            for call in rule.syscalls {
                let place = Int(call.rawValue)
                if verdicts[place]?.otherwise != nil { continue }
                // One whose action is the default says nothing but that the policy knows the call.
                if rule.action != defaultAction, conditions.isEmpty {
                    verdicts[place] = Verdict(rule.action)
                    continue
                }
                var verdict = verdicts[place] ?? Verdict(conditional: [], otherwise: nil)
                if rule.action != defaultAction, !verdict.take(conditions, rule.action) {
                    throw .contradiction(call: call.name)
                }
                verdicts[place] = verdict
            }
        }
        for place in verdicts.indices where verdicts[place] != nil && verdicts[place]?.otherwise == nil {
            verdicts[place]?.otherwise = defaultAction
        }
        return verdicts
    }

    /// The whole range of numbers as runs with one verdict each, ascending, the first at 0.
    private func verdictRuns(_ abi: SyscallABI, _ verdicts: [Verdict?]) -> [VerdictRun] {
        let otherwise = Verdict(defaultAction)
        let noSystemCall = Verdict(.errno(38))
        let beyond = defaultAction.isPermissive ? otherwise : noSystemCall
        let newest = newestNumber(abi, verdicts)
        var runs: [VerdictRun] = []
        var next: UInt32 = 0
        func append(_ first: UInt32, _ verdict: Verdict) {
            if runs.last?.verdict != verdict { runs.append(VerdictRun(first: first, verdict: verdict)) }
            next = first + 1
        }
        for table in abi.tables {
            for (call, number) in table where number <= newest || number >= SyscallABI.firstPrivate {
                if number > next || runs.isEmpty {
                    append(next, next > newest ? beyond : otherwise)
                }
                append(number, verdicts[Int(call.rawValue)] ?? otherwise)
            }
        }
        append(next, beyond)
        // x32 calls carry bit 30. A permissive policy must not let them step around its rules.
        if abi.hasX32 { append(0x4000_0000, noSystemCall) }
        return runs
    }

    /// The highest number of a call the rules speak of.
    private func newestNumber(_ abi: SyscallABI, _ verdicts: [Verdict?]) -> UInt32 {
        for table in abi.tables.reversed() {
            for (call, number) in table.reversed()
            where number < SyscallABI.firstPrivate && verdicts[Int(call.rawValue)] != nil {
                return number
            }
        }
        return 0
    }
}

extension SeccompRule {
    func applies(capabilities: CapabilitySet, architecture: SeccompArchitecture, kernel: KernelVersion)
        -> Bool
    {
        if let onlyIf {
            guard onlyIf.capabilities.isSubset(of: capabilities) else { return false }
            let isAny = onlyIf.architectures.isEmpty && !onlyIf.namesOtherArchitectures
            guard isAny || onlyIf.architectures.contains(architecture) else { return false }
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
        /// What its place among the others hangs on.
        var words: [ComparedWord]
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
