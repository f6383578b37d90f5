// SPDX-License-Identifier: Apache-2.0
//
// NetlinkSocket: one netlink(7) socket, bound to the network namespace its maker was in. Many requests go in one
// send; the kernel has carried them all out and queued its answers when send returns (netlink_rcv_skb runs in the
// sender), so an answer that is not there is an error, never a wait. Dumps continue as they are read.

internal import CLinux
public import Kernel
public import Netlink

/// What the kernel refused, in its own words.
public struct NetlinkError: Error, Hashable, Sendable {
    /// The request's title, `create bridge cvy1a2b3c4d`.
    public let request: String
    public let errno: Errno
    /// The kernel's text (NETLINK_EXT_ACK), when it gave one.
    public let text: String?

    public init(_ request: String, _ errno: Errno, text: String? = nil) {
        self.request = request
        self.errno = errno
        self.text = text
    }
}

extension NetlinkError: CustomStringConvertible {
    public var description: String {
        "the kernel answered \(errno) to \"\(request)\" (\(text ?? errno.sentence))"
    }
}

/// A netlink socket; not for use by two threads.
public final class NetlinkSocket {
    public enum Family: Int32, Sendable {
        case route = 0
        case netfilter = 12
    }

    private let fd: OwnedFD
    private var nextSequence: UInt32 = 1
    private var buffer = [UInt8](repeating: 0, count: 65536)

    /// Opens a socket in the calling thread's network namespace.
    public init(_ family: Family) throws(SyscallError) {
        let socket = OwnedFD(
            taking: try retrying("socket", "netlink") {
                linux_socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | 0o2000000, family.rawValue)
            })
        let raw = socket.raw
        try retrying("connect", "netlink") { linux_connect_netlink(raw) }
        // NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK; Linux 4.20 has all.
        for option: Int32 in [10, 11, 12] {
            try retrying("setsockopt", "netlink") { linux_set_socket_int(raw, 270, option, 1) }
        }
        // Room for the answers to a full batch; without privilege the default stays, and batches are small then.
        _ = linux_set_socket_int(raw, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        _ = linux_set_socket_int(raw, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
        fd = socket
    }

    /// Carries out all requests; throws the first refusal after all answers are read.
    public func perform(_ requests: Requests) throws(NetlinkError) {
        for outcome in try outcomes(of: requests) {
            if let error = outcome { throw error }
        }
    }

    /// Carries out all requests and gives each one's refusal, nil where it succeeded.
    public func outcomes(of requests: Requests) throws(NetlinkError) -> [NetlinkError?] {
        guard !requests.isEmpty else { return [] }
        let first = try send(requests)
        var outcomes = [NetlinkError?](repeating: nil, count: requests.entries.count)
        var missing = requests.entries.count { $0.acknowledged }
        while missing > 0 {
            for message in try receive(requests.entries[0].title) {
                let index = Int(message.sequence &- first)
                // An answer to an earlier send that was given up is not ours.
                guard index < outcomes.count, let outcome = message.outcome else { continue }
                let entry = requests.entries[index]
                if outcome.errno != 0 {
                    outcomes[index] = NetlinkError(entry.title, Errno(outcome.errno), text: outcome.text)
                    // Batch as a whole refused: nothing else need follow.
                    if !entry.acknowledged { return outcomes }
                }
                if entry.acknowledged { missing -= 1 }
            }
        }
        return outcomes
    }

    /// The answers to one question or dump. A dump that changed while it ran is asked for again.
    public func ask(_ question: Requests) throws(NetlinkError) -> [Message] {
        precondition(question.entries.count == 1)
        let title = question.entries[0].title
        for _ in 0..<16 {
            let sequence = try send(question)
            var answers: [Message] = []
            var interrupted = false
            var ended = false
            while !ended {
                let received: [Message]
                do throws(NetlinkError) {
                    received = try receive(title)
                } catch {
                    guard error.errno.code == ENOBUFS else { throw error }
                    interrupted = true
                    try drain(title)
                    break
                }
                for message in received where message.sequence == sequence {
                    if message.dumpWasInterrupted { interrupted = true }
                    if let outcome = message.outcome {
                        if outcome.errno != 0 {
                            if outcome.errno == EINTR {
                                interrupted = true
                            } else {
                                throw NetlinkError(title, Errno(outcome.errno), text: outcome.text)
                            }
                        }
                        ended = true
                    } else {
                        answers.append(message)
                        // NLM_F_MULTI unset: a single answer, nothing follows.
                        if message.flags & 0x2 == 0 { ended = true }
                    }
                }
            }
            if !interrupted { return answers }
        }
        throw NetlinkError(title, .interrupted, text: "what is listed kept changing")
    }

    private func send(_ requests: Requests) throws(NetlinkError) -> UInt32 {
        var numbered = requests
        let first = nextSequence
        nextSequence &+= UInt32(requests.entries.count)
        numbered.number(from: first)
        let bytes = numbered.bytes
        do throws(SyscallError) {
            let raw = fd.raw
            let sent = try retrying("send", "netlink") {
                bytes.withUnsafeBytes { linux_send(raw, $0.baseAddress, $0.count, 0) }
            }
            precondition(sent == bytes.count, "netlink takes a datagram whole")
        } catch {
            throw NetlinkError(requests.entries[0].title, error.errno)
        }
        return first
    }

    private func receive(_ title: String) throws(NetlinkError) -> [Message] {
        do throws(SyscallError) {
            let raw = fd.raw
            let count = try retrying("recv", "netlink") {
                buffer.withUnsafeMutableBytes {
                    linux_receive(raw, $0.baseAddress, $0.count, receiveFlags)
                }
            }
            guard count <= buffer.count else {
                throw SyscallError("recv", Errno(EMSGSIZE))
            }
            return Message.all(in: ArraySlice(buffer[..<count]))
        } catch {
            throw NetlinkError(title, error.errno, text: error.errno == .again ? "no answer came" : nil)
        }
    }

    /// After ENOBUFS: reads away what still lies there of a dump that lost messages.
    private func drain(_ title: String) throws(NetlinkError) {
        while true {
            do throws(NetlinkError) {
                _ = try receive(title)
            } catch {
                if error.errno == .again { return }
                if error.errno.code != ENOBUFS { throw error }
            }
        }
    }
}

/// MSG_TRUNC gives a datagram's real length, MSG_DONTWAIT fails where nothing lies.
private let receiveFlags: Int32 = 0x20 | 0x40
