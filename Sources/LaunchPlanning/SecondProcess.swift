// SPDX-License-Identifier: Apache-2.0
//
// Who makes the second process of an exec, the one that is born in the container's pid namespace. From then on the
// container's processes see it, and one with CAP_SYS_PTRACE may open its /proc/PID/exe and /proc/PID/mem. So it is the
// stub that makes it (CLaunch/stub.c), last of all: what is seen is a program of some hundred bytes in sealed memory
// without a right or descriptor that the exec'ed program has not too (CVE-2016-9962, CVE-2019-5736).
//
// Where the stub can't, the interpreter makes it before the settings of the process are applied, as the order was.

internal import CLaunch
internal import SeccompCompiler

enum SecondProcess {
    /// The interpreter, at once.
    case early
    /// The stub. `terminal`: descriptor 0 becomes the controlling one.
    case byStub(terminal: Bool)

    /// - Parameters:
    ///   - filter: what the stub's calls are under.
    ///   - takesLabel: a security label is taken by the next execve(2), which would be the stub's.
    ///   - countsProcesses: the user's processes are limited, and the first one would count too.
    ///   - schedules: it has a scheduler of its own. A process of SCHED_DEADLINE makes no other, and of one with
    ///     SCHED_FLAG_RESET_ON_FORK the other has nothing of it (sched_setattr(2); sched(7)): so the other sets it itself.
    init(filter: [UInt8], takesLabel: Bool, countsProcesses: Bool, schedules: Bool, terminal: Bool) {
        let isPossible =
            !takesLabel && !countsProcesses && !schedules
            && (filter.isEmpty || stubCalls.allSatisfy { filterAllows(filter, $0.call, $0.arguments) })
        self = isPossible ? .byStub(terminal: terminal) : .early
    }

    var isEarly: Bool {
        if case .early = self { return true }
        return false
    }

    /// LAUNCH_SECOND and LAUNCH_TERMINAL of L_STUB and L_EXEC.
    var flags: UInt32 {
        switch self {
        case .early: 0
        case .byStub(let terminal): UInt32(LAUNCH_SECOND | (terminal ? LAUNCH_TERMINAL : 0))
        }
    }
}

/// Those of stub.c, with what filters look at.
private let stubCalls: [(call: Syscall, arguments: [UInt64])] = [
    (.execveat, []), (.fcntl, [0, 2, 1]), (.clone, [0x8000]), (.setsid, []), (.ioctl, [0, 0x540e]),
    (.write, []), (.exit_group, []), (.execve, []),
]
