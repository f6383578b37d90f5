// SPDX-License-Identifier: Apache-2.0
//
// A key ring at a socket, for as long as the value lives, on a thread of its own: who made it is busy with the build that
// asks. The socket is for who may enter its directory; the server looks at nobody's name.

internal import CLinux
public import Kernel

public final class AgentServer {
    /// Where it is to be found.
    public let path: String
    private let stopping: SharedFD
    private let thread: JoinableThread

    /// - directory: one of the caller's own, which nobody else may enter.
    public init(_ keys: KeyRing, in directory: String) throws(SyscallError) {
        path = "\(directory)/agent.sock"
        let listener = SharedFD(try listenUnix(path))
        let pipe = try makePipe()
        let stopped = SharedFD(try pipe.first.duplicate())
        stopping = SharedFD(try pipe.second.duplicate())
        let service = AgentService(keys, listener)
        guard let thread = JoinableThread({ service.serve(until: stopped) }) else {
            throw SyscallError("pthread_create", .again)
        }
        self.thread = thread
    }

    deinit {
        _ = try? writeAll(stopping.raw, [0])
        thread.join()
        try? removeFile(path)
    }
}

/// The thread's: one turn of poll(2) after the other.
private final class AgentService {
    private let keys: KeyRing
    private let listener: SharedFD
    private var connections: [(end: SharedFD, received: [UInt8])] = []

    /// As OpenSSH's agent has it (authfd.h, AGENT_MAX_LEN). Connections above the number are closed at once, so that nobody waits.
    private static let (mostBytes, mostConnections) = (256 << 10, 64)

    init(_ keys: KeyRing, _ listener: SharedFD) {
        self.keys = keys
        self.listener = listener
    }

    func serve(until stopped: SharedFD) {
        // Signals are for the threads that wait for them.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        while true {
            let ends = connections.map(\.end.raw)
            guard
                let ready = try? waitReadable([stopped.raw, listener.raw] + ends, atMost: nil), !ready[0]
            else { return }
            for index in connections.indices.reversed() where ready[2 + index] {
                if !hear(index) { connections.remove(at: index) }
            }
            if ready[1] { accept() }
        }
    }

    private func accept() {
        let raw = linux_accept4(listener.raw, 0o2000000 /* SOCK_CLOEXEC */)
        guard raw >= 0 else { return }
        let end = SharedFD(OwnedFD(taking: raw))
        if connections.count < AgentService.mostConnections { connections.append((end, [])) }
    }

    /// False when the connection is over: at its end, or for a message too long to be one.
    private func hear(_ index: Int) -> Bool {
        let end = connections[index].end
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = recv(end.raw, &buffer, buffer.count, 0x40 /* MSG_DONTWAIT */)
        guard count > 0 else { return false }
        connections[index].received += buffer[..<count]
        while true {
            var reader = WireReader(connections[index].received)
            guard let length = reader.number() else { return true }
            guard length > 0, length <= AgentService.mostBytes else { return false }
            guard let message = reader.bytes(Int(length)) else { return true }
            connections[index].received.removeFirst(4 + message.count)
            var answer = WireWriter()
            answer.string(keys.answer(message))
            // MSG_NOSIGNAL: an end that was closed is no signal here. Who doesn't read its answers gets no more.
            let sent = send(end.raw, answer.bytes, answer.bytes.count, 0x4000 | 0x40)
            if sent != answer.bytes.count { return false }
        }
    }
}
