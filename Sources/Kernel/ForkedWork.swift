// SPDX-License-Identifier: Apache-2.0
//
// ForkedWork: work that may hang in the kernel for ever, such as a mount whose server does not answer, done by a fork of
// this process, which may be killed. Only for a process of one thread: in a fork of it no lock is held, so the child may
// go on in Swift. It has none of its parent's descriptors, so that nothing is kept open by one that hangs, and ends with
// its parent.
//
// The child waits for a word before it works: until then it can't hang, and whatever fails meanwhile takes it back.

internal import CLinux

/// One such child, until it was reaped.
public final class ForkedWork {
    public let pid: Int32
    private let pidfd: SharedFD
    private let channel: SharedFD
    /// Less than a socket takes at once: the child never waits for its parent (unix(7), net.core.wmem_default).
    private static let longestAnswer = 64 << 10

    /// - Parameter work: done in the child once it is told to begin; the bytes are its answer, at most 64 KiB.
    public init(_ work: () -> [UInt8]) throws(SyscallError) {
        let pair = try streamSocketPair()
        // Before there is a child: nothing that could leave it unwaited for comes between.
        channel = SharedFD(try pair.first.duplicate())
        let child = try retrying("fork") { linux_fork_alone(pair.second.raw) }
        if child == 0 {
            var word: UInt8 = 0
            if read(3, &word, 1) == 1 { try? writeAll(3, work().prefix(ForkedWork.longestAnswer)) }
            _exit(0)
        }
        pid = child
        do throws(SyscallError) {
            // Nobody but us reaps it: the number is still its own.
            pidfd = SharedFD(OwnedFD(taking: try retrying("pidfd_open") { linux_pidfd_open(child, 0) }))
        } catch {
            ForkedWork.takeBack(child, channel)
            throw error
        }
    }

    /// Readable once it has ended.
    public var descriptor: Int32 { pidfd.raw }

    public func begin() throws(SyscallError) { try sendMessage(channel.raw, [1]) }

    /// Ends a child that was never told to begin.
    public func takeBack() { ForkedWork.takeBack(pid, channel) }

    private static func takeBack(_ pid: Int32, _ channel: SharedFD) {
        shutdown(channel.raw, Int32(SHUT_RDWR))
        var status: Int32 = 0
        _ = try? retrying("waitpid") { waitpid(pid, &status, 0) }
    }

    /// Asks for its end. One that waits in the kernel where no signal reaches it ends when that does.
    public func kill() { _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL) }

    /// Takes it away once it has ended.
    /// - Returns: its answer; nil when it ended before it had one.
    public func reap() throws(SyscallError) -> [UInt8]? {
        var status: Int32 = 0
        try retrying("waitpid") { waitpid(pid, &status, 0) }
        guard status == 0 else { return nil }
        return try readAll(channel.raw, limit: ForkedWork.longestAnswer)
    }
}
