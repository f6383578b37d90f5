// SPDX-License-Identifier: Apache-2.0
//
// ForkedWork: work that may hang in the kernel for ever, such as a mount whose server does not answer, done by a fork of
// this process. Only for a process of one thread: in a fork of it no lock is held, so the child may go on in Swift. It has
// none of its parent's descriptors, so that nothing is kept open by one that hangs, and ends with its parent.

internal import CLinux

/// One such child, until it was reaped.
public final class ForkedWork {
    public let pid: Int32
    private let pidfd: SharedFD
    private let answer: SharedFD
    /// What a pipe takes at once: the child never waits for its parent (pipe(7), "Pipe capacity").
    private static let longestAnswer = 64 << 10

    /// - Parameter work: done in the child, which ends with it; the bytes are its answer, at most 64 KiB.
    public init(_ work: () -> [UInt8]) throws(SyscallError) {
        let pipe = try makePipe()
        let child = try retrying("fork") { linux_fork_alone(pipe.second.raw) }
        if child == 0 {
            try? writeAll(3, work().prefix(ForkedWork.longestAnswer))
            _exit(0)
        }
        pid = child
        // Nobody but us reaps it: the number is still its own.
        pidfd = SharedFD(OwnedFD(taking: try retrying("pidfd_open") { linux_pidfd_open(child, 0) }))
        answer = SharedFD(try pipe.first.duplicate())
    }

    /// Readable once it has ended.
    public var descriptor: Int32 { pidfd.raw }

    /// Asks for its end. One that waits in the kernel where no signal reaches it ends when that does.
    public func kill() { _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL) }

    /// Takes it away once it has ended.
    /// - Returns: its answer; nil when it ended before it had one.
    public func reap() throws(SyscallError) -> [UInt8]? {
        var status: Int32 = 0
        try retrying("waitpid") { waitpid(pid, &status, 0) }
        let bytes = try readAll(answer.raw, limit: ForkedWork.longestAnswer)
        return status == 0 ? bytes : nil
    }
}
