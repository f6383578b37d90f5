// SPDX-License-Identifier: Apache-2.0
//
// LogReceiver: the connection to the journal or to a syslog receiver. It never waits: a connection that is not made at
// once is made while the loop turns, what a full socket does not take is not sent, and a receiver that was lost is looked
// for again a second after the last attempt ended. What the messages say is LogForwarder's.
//
//   away ──connect──▶ connecting ──writable──▶ connected ──EPIPE and the like──▶ away
//     ▲                   └──refused, or silent for two seconds──▶ away

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

final class LogReceiver {
    private enum State {
        case away
        case connecting(SharedFD)
        case connected(SharedFD)
    }

    private static let patience = Duration.seconds(2)
    /// From the end of one attempt to the next.
    private static let pauseBetweenTries: Int64 = 1_000_000_000

    private let loop: EventLoop
    private let receiver: LogForwarding.Receiver
    private let journal: String
    private var state = State.away
    private var deadline: EventLoop.Timer?
    /// When the last attempt ended.
    private var lastTry: Int64 = 0
    /// Messages need an end of their own.
    private(set) var isStream = false
    /// Told once how the attempt that is under way ended.
    var onAnswer: ((SyscallError?) -> Void)?

    init(_ receiver: LogForwarding.Receiver, journal: String, loop: EventLoop) {
        self.receiver = receiver
        self.journal = journal
        self.loop = loop
    }

    deinit { close() }

    /// Where it is, for messages.
    var place: String {
        switch receiver {
        case .journal: "the journal at \(journal)"
        case .syslog(let syslog):
            syslog.transport == .unix
                ? "syslog at \(syslog.address)"
                : "syslog at \(syslog.transport.rawValue)://\(syslog.address):\(syslog.port)"
        }
    }

    var isConnecting: Bool { if case .connecting = state { true } else { false } }

    /// Begins a connection; it stands on return, or its answer is awaited by the loop.
    /// - Throws: EAGAIN when a unix stream's queue of connections is full (unix(7)).
    func connect() throws(SyscallError) {
        close()
        isStream = false
        defer { lastTry = monotonicNanoseconds() }
        switch receiver {
        case .journal: state = .connected(SharedFD(try connectUnix(journal, .datagram, isBlocking: false)))
        case .syslog(let syslog) where syslog.transport == .unix:
            do throws(SyscallError) {
                state = .connected(SharedFD(try connectUnix(syslog.address, .datagram, isBlocking: false)))
            } catch {
                // EPROTOTYPE: a stream is served there.
                guard error.errno == Errno(EPROTOTYPE) else { throw error }
                state = .connected(SharedFD(try connectUnix(syslog.address, .stream, isBlocking: false)))
                isStream = true
            }
        case .syslog(let syslog):
            isStream = syslog.transport == .tcp
            let type: Int32 = isStream ? 1 : 2  // SOCK_STREAM, SOCK_DGRAM
            let socket = SharedFD(
                OwnedFD(
                    taking: try retrying("connect", syslog.address) {
                        linux_connect_numeric(syslog.address, syslog.port, type)
                    }))
            if isStream { try awaitAnswer(socket) } else { state = .connected(socket) }
        }
    }

    /// A connection that is under way is writable once it stands or was refused (connect(2), EINPROGRESS); on this host
    /// that is mostly so at once.
    private func awaitAnswer(_ socket: SharedFD) throws(SyscallError) {
        var entry = pollfd(fd: socket.raw, events: Int16(POLLOUT), revents: 0)
        if poll(&entry, 1, 0) > 0 {
            if let failure = answer(of: socket) { throw failure }
            state = .connected(socket)
            return
        }
        try loop.watch(socket.raw, .writable) { [unowned self] _ in settle(answer(of: socket)) }
        state = .connecting(socket)
        deadline = loop.after(Self.patience) { [unowned self] in
            settle(SyscallError("connect", Errno(ETIMEDOUT), place))
        }
    }

    private func answer(of socket: SharedFD) -> SyscallError? {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        do throws(SyscallError) {
            try retrying("getsockopt", place) {
                getsockopt(socket.raw, SOL_SOCKET, SO_ERROR, &code, &size)
            }
        } catch {
            return error
        }
        return code == 0 ? nil : SyscallError("connect", Errno(code), place)
    }

    private func settle(_ failure: SyscallError?) {
        guard case .connecting(let socket) = state else { return }
        close()
        if failure == nil { state = .connected(socket) }
        lastTry = monotonicNanoseconds()
        let told = onAnswer
        onAnswer = nil
        told?(failure)
    }

    /// Whether the receiver took the whole message.
    func send(_ message: [UInt8]) -> Bool {
        for attempt in 0..<2 {
            if case .connected(let socket) = state {
                let sent = message.withUnsafeBytes {
                    CLinux.send(socket.raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
                }
                if sent == message.count { return true }
                if sent < 0, [EAGAIN, EMSGSIZE, ENOBUFS].contains(linux_errno()) { return false }
                // Half a message on a stream can't be taken back; the next one begins on a new connection.
                close()
            }
            guard attempt == 0, !isConnecting,
                monotonicNanoseconds() - lastTry > Self.pauseBetweenTries
            else { return false }
            try? connect()
        }
        return false
    }

    func close() {
        if case .connecting(let socket) = state { loop.unwatch(socket.raw) }
        if let deadline { loop.cancel(deadline) }
        deadline = nil
        state = .away
    }
}
