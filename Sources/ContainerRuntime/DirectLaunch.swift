// SPDX-License-Identifier: Apache-2.0
//
// Launching without a keeper: a process of ours clones the child itself and waits for it. Build steps run so; the
// child asks to end with its parent, so nothing stays when the builder dies.

public import Basics
internal import CLinux
public import Kernel
public import LaunchPlanning

/// A child that runs a launch program, with the one who launched it as parent.
public final class DirectChild {
    public let pid: Int32
    public let pidfd: SharedFD
    private let sync: SharedFD
    private let program: LaunchProgram

    /// Clones and lets the program run. Slot 0 is made here; `descriptors` fill the slots after it.
    public init(_ program: LaunchProgram, descriptors: [Int32]) throws(Failure) {
        let clone = try LaunchClone(program, descriptors: descriptors)
        pid = clone.pid
        pidfd = clone.pidfd
        sync = clone.sync
        self.program = program
    }

    /// Waits until the child runs its program proper, or says what failed on the way there.
    /// - tag: what it hands up meanwhile.
    public func waitForExec(_ tag: (Int32, [SharedFD]) -> Void = { _, _ in }) throws(Failure) {
        do throws(SyscallError) {
            while let report = try LaunchReport.receive(sync.raw) {
                switch report {
                case .failed(let operation, let errno):
                    _ = try? wait()
                    throw SyscallError(program.doing(at: operation), errno)
                case .tag(let number, let descriptors): tag(number, descriptors)
                case .born: break
                }
            }
        } catch {
            if let step = program.steps.first(where: { $0.doing == error.call }) {
                throw Failure(step.doing + " failed", cause: "\(error.errno) (\(error.errno.sentence))")
            }
            throw Failure("cannot start a process", error)
        }
    }

    /// Lets it go on that waits for this.
    public func send(_ tag: Int32) throws(SyscallError) { try sendTag(tag, to: sync.raw) }

    /// Ends it before it runs its program, and says what it had failed at, if it had. It is not reaped before, so the pid
    /// is its own.
    public func end() -> Failure? {
        kill(pid, SIGKILL)
        do throws(Failure) { try waitForExec() } catch { return error }
        _ = try? wait()
        return nil
    }

    /// Waits for its end.
    public func wait() throws(SyscallError) -> ProcessEnd {
        var status: Int32 = 0
        let pid = pid
        try retrying("waitpid") { waitpid(pid, &status, 0) }
        return linux_wifexited(status) != 0
            ? .exited(linux_wexitstatus(status)) : .signalled(linux_wtermsig(status))
    }
}
