// SPDX-License-Identifier: Apache-2.0
//
// A child that runs a launch program, as its launcher sees it: what it tells on the way, what failed, how it ended.

internal import Basics
internal import CLaunch
internal import CLinux
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning

enum ChildReport {
    /// `hookStatus` is a hook's wait status.
    case failed(operation: Int, Errno, hookStatus: Int32)
    /// The second process of a program that clones again.
    case born(pid: Int32)
    /// `detail`: the descriptor in the child the tag is about.
    case tag(Int32, detail: Int32, [SharedFD])
}

/// What is told of a child as it comes to each of its steps. The phrases in front are those people look for in runc's log.
struct StepTrace {
    /// `init` of a container's first process, `setns_init` of a further one.
    var role: String
    var tell: @Sendable (String) -> Void

    func begin() {
        tell("nsexec container setup: a new process, in namespaces of its own where it is to have them")
    }

    func step(_ program: LaunchProgram, _ index: Int, pid: Int32) {
        if index == 0 { tell("child process in init(): process \(pid)") }
        let isExecution =
            program.steps.indices.contains(index) && program.steps[index].code == L_EXEC.rawValue
        tell("\(role): \(isExecution ? "about to exec: " : "")\(program.doing(at: index))")
    }

    /// The other end was closed: by its execve(2), or with its end.
    func end() { tell("\(role): closing the pipe to signal completion") }
}

extension RuntimeSettings {
    func stepTrace(_ role: String) -> StepTrace? { trace.map { StepTrace(role: role, tell: $0) } }
}

final class BundleChild {
    private(set) var pid: Int32
    private(set) var pidfd: SharedFD
    private let sync: SharedFD
    private let program: LaunchProgram
    private let trace: StepTrace?
    private var reaped = false

    /// Clones and lets the program run. Slot 0 is made here; `descriptors` fill the slots after it.
    init(
        _ program: LaunchProgram, descriptors: [Int32], network: SharedFD? = nil, _ trace: StepTrace? = nil
    ) throws(Failure) {
        var program = program
        program.isTraced = trace != nil
        trace?.begin()
        let clone = try LaunchClone(program, descriptors: descriptors, network: network)
        pid = clone.pid
        pidfd = clone.pidfd
        sync = clone.sync
        self.program = program
        self.trace = trace
    }

    /// The next report; nil when the child exec'ed, closed its end or is gone.
    func next() throws(Failure) -> ChildReport? {
        var packet: ReceivedMessage
        var report: launch_report
        repeat {
            packet = try naming("cannot hear the new process") { () throws(SyscallError) in
                try lastWords(sync.raw)
            }
            guard packet.bytes.count >= MemoryLayout<launch_report>.size else {
                trace?.end()
                return nil
            }
            report = packet.bytes.withUnsafeBytes { $0.loadUnaligned(as: launch_report.self) }
            if report.kind == REPORT_STEP { trace?.step(program, Int(report.operation), pid: pid) }
        } while report.kind == REPORT_STEP
        switch report.kind {
        case REPORT_FAILED:
            return .failed(
                operation: Int(report.operation), Errno(report.error), hookStatus: report.value)
        case REPORT_BORN: return .born(pid: report.value)
        default: return .tag(report.value, detail: report.detail, packet.descriptors)
        }
    }

    /// Reports until one satisfies; tags and births in between are handed to `other`. nil at the end of the reports.
    /// - Throws: what failed in the child, in the program's words.
    func await(
        _ wanted: Int32?, _ other: (ChildReport) throws(Failure) -> Void = { _ throws(Failure) in }
    ) throws(Failure) -> Bool {
        while let report = try next() {
            switch report {
            case .failed(let operation, let errno, let hookStatus):
                throw failure(operation, errno, hookStatus)
            case .born(let pid): try follow(pid)
            case .tag(let tag, _, _) where tag == wanted: return true
            case .tag: try other(report)
            }
        }
        return false
    }

    /// The first process has handed over to a second, a child of ours as well.
    private func follow(_ second: Int32) throws(Failure) {
        var status: Int32 = 0
        var info = siginfo_t()
        let first = pid
        try naming("cannot follow the new process") { () throws(SyscallError) in
            try retrying("waitpid") { waitpid(first, &status, 0) }
            // ECHILD: a number of another pid namespace. What is not our child is never signalled.
            try retrying("waitpid", "\(second)") {
                waitid(P_PID, id_t(second), &info, WEXITED | WNOHANG | WNOWAIT)
            }
            pid = second
            pidfd = SharedFD(
                OwnedFD(taking: try retrying("pidfd_open") { linux_pidfd_open(second, 0) }))
        }
    }

    func send(_ tag: Int32) throws(Failure) {
        try naming("cannot let the new process go on") { () throws(SyscallError) in
            try sendMessage(sync.raw, withUnsafeBytes(of: tag) { [UInt8]($0) })
        }
    }

    private func failure(_ operation: Int, _ errno: Errno, _ hookStatus: Int32) -> Failure {
        let doing = program.doing(at: operation)
        if hookStatus != 0 { return Failure(doing + " failed", cause: hookFailure(hookStatus)) }
        let step = program.steps.indices.contains(operation) ? program.steps[operation] : nil
        let isProgram = doing.hasPrefix("running \"")
        let name = doing.dropFirst("running \"".count).dropLast()
        if isProgram, step?.code == L_FIND.rawValue {
            // The words engines look for to tell a missing program (Podman's 127) from one that may not be run (126).
            let cause =
                errno != .noEntry
                ? errno.sentence.lowercased()
                : name.contains("/")
                    ? "stat \(name): no such file or directory"
                    : "executable file not found in $PATH: no such file or directory"
            return Failure("cannot run \"\(name)\"", cause: "exec: \"\(name)\": \(cause)")
        }
        if isProgram, step?.code == L_EXEC.rawValue {
            return Failure("cannot run \"\(name)\"", cause: "exec \(name): \(errno.sentence.lowercased())")
        }
        let isLink =
            errno == Errno(ELOOP) && ["mounting proc", "mounting sysfs"].contains { doing.hasPrefix($0) }
        return Failure(
            doing + " failed",
            cause: "\(errno) (\(errno.sentence))"
                + (isLink ? ": it must be mounted on ordinary directory, and the image has a link there" : "")
        )
    }

    /// Waits for its end: the exit code as shells count it.
    func wait() throws(Failure) -> Int32 {
        var status: Int32 = 0
        let pid = pid
        _ = try naming("cannot wait for the container's process") { () throws(SyscallError) in
            try retrying("waitpid") { waitpid(pid, &status, 0) }
        }
        reaped = true
        return linux_wifexited(status) != 0 ? linux_wexitstatus(status) : 128 + linux_wtermsig(status)
    }

    func signal(_ signal: Int32) { _ = linux_pidfd_send_signal(pidfd.raw, signal) }

    /// Ends it where it stands.
    func killAndReap() {
        if reaped { return }
        signal(SIGKILL)
        _ = try? wait()
    }
}

/// How a hook ended, in the words engines know from runc.
func hookFailure(_ status: Int32) -> String {
    linux_wifexited(status) != 0
        ? hookFailure(code: linux_wexitstatus(status)) : hookFailure(code: 128 + linux_wtermsig(status))
}

func hookFailure(code: Int32) -> String {
    guard code > 128 else { return "error running hook: exit status \(code)" }
    let name = strsignal(code - 128).map { " (\(String(cString: $0).lowercased()))" } ?? ""
    return "error running hook: it was ended by signal \(code - 128)\(name)"
}
