// SPDX-License-Identifier: Apache-2.0
//
// NetlinkSocket: one netlink(7) socket, bound to the network namespace its maker was in. Many requests go in one
// send; the kernel has carried them all out and queued its answers when send returns (netlink_rcv_skb runs in the
// sender), so an answer that is not there is an error, never a wait. Dumps continue as they are read. One send can be
// begun aside, on a thread that does nothing else; whatever is asked next waits for it first.

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

    private let family: Family
    private let fd: OwnedFD
    private var nextSequence: UInt32 = 1
    private var buffer = [UInt8](repeating: 0, count: 65536)
    private var aside: Aside?
    /// Of what was begun aside; `finish` tells it.
    private var refusal: NetlinkError?

    private struct Aside {
        let requests: Requests
        let first: UInt32
        let bytes: UnsafeMutableRawBufferPointer
        let send: UnsafeMutablePointer<linux_aside>
    }

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
        self.family = family
    }

    deinit { _ = joined() }

    /// Begins to carry out all requests, on a thread of their own that ends with it: for what the kernel takes long over
    /// while the caller has other things to do. `finish` says how it went.
    /// - Throws: what was begun before was refused, or no thread can be made; then nothing was sent.
    public func begin(_ requests: Requests) throws(NetlinkError) {
        try finish()
        let first = number(requests.entries.count)
        var numbered = requests
        numbered.number(from: first)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: numbered.bytes.count, alignment: 8)
        bytes.copyBytes(from: numbered.bytes)
        let send = UnsafeMutablePointer<linux_aside>.allocate(capacity: 1)
        send.initialize(to: linux_aside())
        send.pointee.fd = fd.raw
        send.pointee.bytes = UnsafeRawPointer(bytes.baseAddress)
        send.pointee.length = bytes.count
        let error = linux_aside_begin(send)
        guard error == 0 else {
            bytes.deallocate()
            send.deallocate()
            throw NetlinkError(requests.entries[0].title, Errno(error))
        }
        aside = Aside(requests: requests, first: first, bytes: bytes, send: send)
    }

    /// Waits for what `begin` began and throws its first refusal; nothing was begun, nothing is done.
    public func finish() throws(NetlinkError) {
        settle()
        defer { refusal = nil }
        if let refusal { throw refusal }
    }

    /// Reads the answers to what was begun, before they are taken for another's.
    private func settle() {
        guard let (requests, first, error) = joined() else { return }
        let title = requests.entries[0].title
        do throws(NetlinkError) {
            if error != 0 { throw NetlinkError(title, Errno(error)) }
            refusal = try outcomes(of: requests, first: first).lazy.compactMap(\.self).first
        } catch {
            refusal = error
        }
    }

    private func joined() -> (requests: Requests, first: UInt32, error: Int32)? {
        guard let aside else { return nil }
        self.aside = nil
        linux_aside_join(aside.send)
        let error = aside.send.pointee.error
        aside.bytes.deallocate()
        aside.send.deallocate()
        return (aside.requests, aside.first, error)
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
        return try outcomes(of: requests, first: try send(requests))
    }

    private func outcomes(of requests: Requests, first: UInt32) throws(NetlinkError) -> [NetlinkError?] {
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
    ///
    /// nf_tables does not always tell: between two pieces of a dump it remembers a number, which counts what a batch
    /// under way has added; when that batch is refused, the next piece leaves out as many, without a new generation
    /// (`nf_tables_dump_rules`, `nft_hash_walk`; seen on Linux 6.18). Of it a dump in pieces counts when the next one says
    /// the same.
    /// - Parameter roughly: one that nothing interrupted will do; rules that count never say the same twice.
    public func ask(_ question: Requests, roughly: Bool = false) throws(NetlinkError) -> [Message] {
        precondition(question.entries.count == 1)
        let title = question.entries[0].title
        var before: [Message]?
        for _ in 0..<64 {
            let sequence = try send(question)
            var answers: [Message] = []
            var pieces = 0
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
                if received.contains(where: { $0.outcome == nil }) { pieces += 1 }
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
            if interrupted { continue }
            if family == .route || pieces < 2 || roughly { return answers }
            if let before, before.map(\.payload) == answers.map(\.payload) { return answers }
            before = answers
        }
        throw NetlinkError(title, .interrupted, text: "what is listed kept changing")
    }

    private func send(_ requests: Requests) throws(NetlinkError) -> UInt32 {
        settle()
        let first = number(requests.entries.count)
        var numbered = requests
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

    private func number(_ count: Int) -> UInt32 {
        defer { nextSequence &+= UInt32(count) }
        return nextSequence
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
