// SPDX-License-Identifier: Apache-2.0
//
// `linux.seccomp` → a filter (config-linux.md, "Seccomp"). The policy and its compilation are SeccompCompiler's; here
// the specification's words become its values, and what this machine can't have is refused by name.

public import Basics
public import OCIFormats
internal import SeccompCompiler

extension LoadedFilter {
    /// - Parameters:
    ///   - kernel: uname(2)'s release.
    ///   - alwaysListens: the listener is made also where no call is asked about.
    /// - Throws: for an architecture the machine has not, a notification nobody listens for, a policy too long.
    public init(_ seccomp: RuntimeConfig.Seccomp, kernel: String, alwaysListens: Bool = false) throws(Failure)
    {
        self.init()
        let native = SeccompArchitecture.current
        var policy = SeccompPolicy(
            defaultAction: seccompAction(
                seccomp.defaultAction, seccomp.defaultErrno), rules: [])
        // Architectures of other machines say nothing here; the native one is always served, as libseccomp does.
        policy.siblings = SeccompArchitecture.withSibling(in: seccomp.architectures)
        var notifies = policy.defaultAction == .notify
        for call in seccomp.syscalls {
            let action = seccompAction(call.action, call.errno)
            // A name that no architecture here has is none of ours (a newer kernel's, another machine's).
            let calls = call.names.compactMap { Syscall(name: $0) }
            if calls.isEmpty { continue }
            if action == .notify {
                notifies = true
                // Under the filter the child tells of the listener by write(2), when nobody could answer yet; its read(2) of
                // the word that the agent has it is the first the agent is asked about.
                if call.names.contains("write") {
                    throw Failure(
                        "cannot use linux.seccomp",
                        cause:
                            "SCMP_ACT_NOTIFY cannot be used for the write syscall, which hands the listener over",
                        advice: "leave write out of linux.seccomp.syscalls")
                }
            }
            let conditions = call.arguments.map(condition)
            // Several conditions on one argument are alternatives (libcontainer/seccomp; libseccomp takes one each).
            let indices = call.arguments.map(\.index)
            if Set(indices).count == indices.count {
                policy.rules.append(SeccompRule(action, calls, when: conditions))
            } else {
                for one in conditions { policy.rules.append(SeccompRule(action, calls, when: [one])) }
            }
        }
        if policy.defaultAction == .notify {
            throw Failure(
                "cannot use linux.seccomp",
                cause: "SCMP_ACT_NOTIFY cannot be used as default action",
                advice: "name the system calls that are to be asked about")
        }
        if seccomp.listenerPath != nil {
            listens = notifies || alwaysListens
        } else if notifies {
            throw Failure(
                "cannot use linux.seccomp", cause: "SCMP_ACT_NOTIFY is used but listenerPath is not set",
                advice: "set linux.seccomp.listenerPath")
        }
        if seccomp.listenerMetadata != nil, seccomp.listenerPath == nil {
            throw Failure(
                "cannot use linux.seccomp", cause: "listenerMetadata is set but listenerPath is not set")
        }
        let bits: [String: UInt64] = [
            "SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 0x20,
        ]
        for flag in seccomp.flags {
            let bit = bits[flag] ?? 0
            // The child has one thread, and a listener excludes TSYNC (seccomp(2)); the other has no use without one.
            if bit == 1 || bit == 0x20 && !listens { continue }
            flags |= bit
        }
        do throws(SeccompError) {
            program = try policy.compile(
                capabilities: [], architecture: native,
                kernel: KernelVersion(release: kernel) ?? KernelVersion(5, 14)
            ).bytes
        } catch {
            throw Failure("cannot use linux.seccomp", cause: error.cause, advice: error.advice)
        }
        // Where it hangs on arguments nobody knows them yet.
        let isConditional = seccomp.syscalls.contains {
            $0.names.contains("execveat") && !$0.arguments.isEmpty
        }
        allowsExecveat = !isConditional && filterAllows(program, .execveat)
    }
}

private func seccompAction(_ word: String, _ errno: UInt32?) -> SeccompAction {
    let value = UInt16(clamping: errno ?? 1)  // EPERM; read with its bounds
    return switch word {
    case "SCMP_ACT_ALLOW": .allow
    case "SCMP_ACT_ERRNO": .errno(value)
    case "SCMP_ACT_KILL_PROCESS": .killProcess
    case "SCMP_ACT_TRAP": .trap
    case "SCMP_ACT_TRACE": .trace(value)
    case "SCMP_ACT_LOG": .log
    case "SCMP_ACT_NOTIFY": .notify
    default: .killThread  // SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD
    }
}

private func condition(_ argument: RuntimeConfig.SeccompArgument) -> ArgumentCondition {
    let comparison: ArgumentCondition.Comparison =
        switch argument.comparison {
        case "SCMP_CMP_NE": .notEqual
        case "SCMP_CMP_LT": .less
        case "SCMP_CMP_LE": .lessOrEqual
        case "SCMP_CMP_GE": .greaterOrEqual
        case "SCMP_CMP_GT": .greater
        case "SCMP_CMP_MASKED_EQ": .masked(argument.value)
        default: .equal
        }
    let value = argument.comparison == "SCMP_CMP_MASKED_EQ" ? argument.valueTwo : argument.value
    return ArgumentCondition(Int(argument.index), comparison, value)
}
