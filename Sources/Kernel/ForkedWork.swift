// SPDX-License-Identifier: Apache-2.0
//
// ForkedWork: work that may hang in the kernel for ever, such as a mount whose server does not answer, done by a fork of
// this process, which may be killed. Only for a process of one thread: in a fork of it no lock is held, so the child may
// go on in Swift. It has none of its parent's descriptors, so that nothing is kept open by one that hangs, and ends with
// its parent.
//
//   parent ──one byte: begin──▶ child          until then it can't hang, and whatever fails meanwhile takes it back
//          ◀──a byte of news, not 0──          whenever it comes to something; may be lost, and is not waited for
//          ◀──0, its answer──                  once; without the 0 it did not come to its end

internal import CLinux

private let dontWait: Int32 = 0x40  // MSG_DONTWAIT

/// One such child, until it was reaped.
public final class ForkedWork {
    public let pid: Int32
    private let pidfd: SharedFD
    private let channel: SharedFD
    private var answer: [UInt8]?
    private static let longestAnswer = 64 << 10

    /// - Parameter work: done in the child once it is told to begin. What it is given sends a byte of news to the parent; the
    ///   bytes it returns are its answer, at most 64 KiB.
    public init(_ work: (_ tell: (UInt8) -> Void) -> [UInt8]) throws(SyscallError) {
        let pair = try streamSocketPair()
        // Before there is a child: nothing that could leave it unwaited for comes between.
        channel = SharedFD(try pair.first.duplicate())
        let child = try retrying("fork") { linux_fork_alone(pair.second.raw) }
        if child == 0 {
            var word: UInt8 = 0
            guard read(3, &word, 1) == 1 else { _exit(1) }
            let answer = work { news in
                var news = news
                _ = send(3, &news, 1, dontWait | 0x4000)  // MSG_NOSIGNAL
            }
            do throws(SyscallError) {
                try writeAll(3, [0] + answer.prefix(ForkedWork.longestAnswer))
            } catch {
                _exit(1)
            }
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
    public var end: Int32 { pidfd.raw }

    /// Readable when it has said something, or can't any more.
    public var news: Int32 { channel.raw }

    public func begin() throws(SyscallError) { try sendMessage(channel.raw, [1]) }

    /// Ends a child that was never told to begin.
    public func takeBack() { ForkedWork.takeBack(pid, channel) }

    private static func takeBack(_ pid: Int32, _ channel: SharedFD) {
        shutdown(channel.raw, Int32(SHUT_RDWR))
        var status: Int32 = 0
        _ = try? retrying("waitpid") { waitpid(pid, &status, 0) }
    }

    /// What it has told since this was asked last.
    /// - Returns: nil when nothing more will come.
    public func hear() throws(SyscallError) -> [UInt8]? {
        let bytes = try receiveMessage(channel.raw, capacity: 4096, flags: dontWait).bytes
        return bytes.isEmpty ? nil : take(bytes)
    }

    private func take(_ bytes: [UInt8]) -> [UInt8] {
        if answer != nil {
            answer? += bytes
            return []
        }
        guard let start = bytes.firstIndex(of: 0) else { return bytes }
        answer = Array(bytes[(start + 1)...])
        return Array(bytes[..<start])
    }

    public func signal(_ number: Int32) { _ = linux_pidfd_send_signal(pidfd.raw, number) }

    /// Asks for its end. One that waits in the kernel where no signal reaches it ends when that does.
    public func kill() { _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL) }

    /// Takes it away once it has ended.
    /// - Returns: its answer; nil when it ended before it had one.
    public func reap() throws(SyscallError) -> [UInt8]? {
        var status: Int32 = 0
        try retrying("waitpid") { waitpid(pid, &status, 0) }
        // After its answer nothing can go wrong but that it is killed: then nobody wanted the answer.
        guard status == 0 else { return nil }
        _ = take(try readAll(channel.raw, limit: 2 * ForkedWork.longestAnswer))
        return answer
    }
}
