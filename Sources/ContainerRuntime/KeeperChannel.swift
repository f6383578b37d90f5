// SPDX-License-Identifier: Apache-2.0
//
// KeeperChannel: the controller's end of the socket to its keeper, in Swift's words. The packets are CLaunch's.

internal import CLaunch
internal import CLinux
public import Kernel

/// What the keeper says.
public enum KeeperEvent {
    /// The child was cloned; it runs its program now. Without a pidfd when there was no room for one here.
    case launched(id: UInt32, pid: Int32, pidfd: SharedFD?)
    /// No child was made; the errno, and the operation when the program was wrong.
    case refused(id: UInt32, Errno, operation: Int)
    /// A child ended. `id` is 0 for the second process of an exec, known by its pid.
    case exited(id: UInt32, pid: Int32, ProcessEnd, name: String, at: Int64)
    /// After a new start: a child from before, with what is kept for it.
    case child(id: UInt32, pid: Int32, name: String, pidfd: SharedFD, held: [SharedFD])
    /// After a new start: a descriptor kept under a name.
    case held(name: String, SharedFD)
    /// Nothing more from before.
    case ready
    /// Wants to know whether we are there.
    case ping
    /// A child was stopped by a signal, or goes on after it.
    case stopped(id: UInt32)
}

/// How a process ended, as waitid(2) tells it.
public enum ProcessEnd: Hashable, Codable, Sendable {
    case exited(Int32)
    case signalled(Int32)

    /// As shells count: 128 + signal.
    public var code: Int {
        switch self {
        case .exited(let code): Int(code)
        case .signalled(let signal): 128 + Int(signal)
        }
    }
}

/// The socket to the keeper.
public final class KeeperChannel {
    private let fd: SharedFD

    /// Takes over the descriptor the controller was born with.
    public init(taking raw: Int32) { fd = SharedFD(OwnedFD(taking: raw)) }

    /// For the event loop.
    public var descriptor: Int32 { fd.raw }

    /// Asks for a child. `descriptors` fill the program's slots; `held` are kept by the keeper until `release`.
    public func launch(
        id: UInt32, name: String, program: [UInt8], descriptors: [Int32], record: Int32?, held: [Int32] = []
    ) throws(SyscallError) {
        var message = keeper_message()
        message.kind = K_LAUNCH.rawValue
        message.id = id
        message.flags = record == nil ? 0 : 1
        message.held = UInt32(held.count)
        try send(
            message, name: name, bytes: program, descriptors: descriptors + (record.map { [$0] } ?? []) + held
        )
    }

    /// Keeps a descriptor beyond this controller's life.
    public func hold(_ descriptor: Int32, as name: String) throws(SyscallError) {
        var message = keeper_message()
        message.kind = K_HOLD.rawValue
        try send(message, name: name, descriptors: [descriptor])
    }

    public func drop(_ name: String) throws(SyscallError) {
        var message = keeper_message()
        message.kind = K_DROP.rawValue
        try send(message, name: name)
    }

    /// The child's exit is dealt with.
    public func release(id: UInt32) throws(SyscallError) {
        var message = keeper_message()
        message.kind = K_RELEASE.rawValue
        message.id = id
        try send(message, name: "")
    }

    /// The answer to a ping.
    public func pong() throws(SyscallError) {
        var message = keeper_message()
        message.kind = K_PONG.rawValue
        try send(message, name: "")
    }

    /// The keeper leaves when this controller does.
    public func quit() throws(SyscallError) {
        var message = keeper_message()
        message.kind = K_QUIT.rawValue
        try send(message, name: "")
    }

    private func send(_ message: keeper_message, name: String, bytes: [UInt8] = [], descriptors: [Int32] = [])
        throws(SyscallError)
    {
        // Cut, it would be another's name to the next controller.
        guard name.utf8.count < Int(KEEPER_NAME) else { throw SyscallError("sendmsg", .nameTooLong, name) }
        var message = message
        withUnsafeMutableBytes(of: &message.name) {
            $0.copyBytes(from: name.utf8)
        }
        let packet = withUnsafeBytes(of: &message) { [UInt8]($0) } + bytes
        do throws(SyscallError) {
            try sendMessage(fd.raw, packet, descriptors: descriptors)
        } catch {
            // The keeper is gone. That is heard at this socket too, and what it had to know is told the next one.
            if error.errno != .brokenPipe && error.errno != .connectionReset { throw error }
        }
    }

    /// The next event; nil when the keeper is gone.
    /// - Throws: EMFILE when a descriptor that it is about found no room here (recvmsg(2), MSG_CTRUNC).
    public func receive() throws(SyscallError) -> KeeperEvent? {
        let packet = try receiveMessage(fd.raw, capacity: 4096)
        if packet.bytes.isEmpty { return nil }
        guard packet.bytes.count >= MemoryLayout<keeper_message>.size else {
            throw SyscallError("recvmsg", .invalid, "the keeper's socket")
        }
        let message = packet.bytes.withUnsafeBytes { $0.loadUnaligned(as: keeper_message.self) }
        let name = withUnsafeBytes(of: message.name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        let descriptors = packet.descriptors
        switch keeper_kind(message.kind) {
        case K_LAUNCHED:
            return .launched(id: message.id, pid: message.pid, pidfd: descriptors.first)
        case K_REFUSED:
            return .refused(id: message.id, Errno(message.value), operation: Int(message.status))
        case K_EXITED:
            // CLD_EXITED is 1; CLD_KILLED and CLD_DUMPED carry a signal (waitid(2)).
            let end: ProcessEnd = message.value == 1 ? .exited(message.status) : .signalled(message.status)
            return .exited(id: message.id, pid: message.pid, end, name: name, at: message.time)
        case K_CHILD:
            guard let pidfd = descriptors.first else { throw SyscallError("recvmsg", .tooManyFiles, name) }
            return .child(
                id: message.id, pid: message.pid, name: name, pidfd: pidfd,
                held: Array(descriptors.dropFirst()))
        case K_HELD:
            guard let held = descriptors.first else { throw SyscallError("recvmsg", .tooManyFiles, name) }
            return .held(name: name, held)
        case K_PING: return .ping
        case K_STOPPED: return .stopped(id: message.id)
        default:
            return .ready
        }
    }
}

/// What a launched child reports on its sync socket.
public enum LaunchReport {
    case failed(operation: Int, Errno)
    /// The second process of an exec, by its host pid.
    case born(pid: Int32)
    case tag(Int32, [SharedFD])

    /// Reads one report; nil when the child has exec'ed or is gone.
    public static func receive(_ sync: Int32) throws(SyscallError) -> LaunchReport? {
        let packet = try lastWords(sync)
        guard packet.bytes.count >= MemoryLayout<launch_report>.size else { return nil }
        let report = packet.bytes.withUnsafeBytes { $0.loadUnaligned(as: launch_report.self) }
        switch report.kind {
        case REPORT_FAILED: return .failed(operation: Int(report.operation), Errno(report.error))
        case REPORT_BORN: return .born(pid: report.value)
        default: return .tag(report.value, packet.descriptors)
        }
    }
}

/// The next packet from a child. One that ended before it had read what was sent to it resets the connection, and that is told
/// before what it said itself (unix_release_sock and __skb_try_recv_datagram, Linux): told once, so asking again gives the
/// words.
public func lastWords(_ sync: Int32) throws(SyscallError) -> ReceivedMessage {
    do throws(SyscallError) { return try receiveMessage(sync, capacity: 64) } catch {
        guard error.errno == .connectionReset else { throw error }
        let words = try receiveMessage(sync, capacity: 64)
        // Nothing: it was ended, and did not run its program.
        if words.bytes.isEmpty { throw error }
        return words
    }
}

/// Lets a waiting child go on.
public func sendTag(_ tag: Int32, to sync: Int32) throws(SyscallError) {
    try sendMessage(sync, withUnsafeBytes(of: tag) { [UInt8]($0) })
}
