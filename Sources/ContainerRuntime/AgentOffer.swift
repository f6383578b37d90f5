// SPDX-License-Identifier: Apache-2.0
//
// An SSH agent's socket offered to a build step under a mode and an owner of its own: the agent's own socket stays the
// user's, and what goes through it ends with the step. Bytes go both ways as they come; nothing of them is understood.

internal import CLinux
internal import Kernel

public struct StepAgent: Sendable {
    /// The agent's own socket.
    public var socket: String
    /// Where it is offered; a mount leads there.
    public var path: String
    public var mode: UInt32
    public var uid: UInt32
    public var gid: UInt32

    public init(socket: String, path: String, mode: UInt32, uid: UInt32, gid: UInt32) {
        (self.socket, self.path, self.mode, self.uid, self.gid) = (socket, path, mode, uid, gid)
    }
}

/// A listening socket whose connections lead to the agent, for as long as it lives and the loop turns.
final class AgentOffer {
    private let agent: StepAgent
    private let loop: EventLoop
    private let listener: SharedFD
    /// By either end's descriptor.
    private var ends: [Int32: (from: SharedFD, to: SharedFD)] = [:]

    init(_ agent: StepAgent, _ loop: EventLoop) throws(SyscallError) {
        self.agent = agent
        self.loop = loop
        listener = SharedFD(try listenUnix(agent.path))
        try retrying("chown", agent.path) { chown(agent.path, agent.uid, agent.gid) }
        try retrying("chmod", agent.path) { chmod(agent.path, agent.mode) }
        try loop.watch(listener.raw) { [weak self] _ in self?.accept() }
    }

    deinit {
        loop.unwatch(listener.raw)
        for (fd, _) in ends { loop.unwatch(fd) }
        try? removeFile(agent.path)
    }

    private func accept() {
        let raw = linux_accept4(listener.raw, 0o2000000 /* SOCK_CLOEXEC */)
        guard raw >= 0 else { return }
        let inside = SharedFD(OwnedFD(taking: raw))
        // An agent that is gone is an end of file to the step.
        guard let outside = try? SharedFD(connectUnix(agent.socket)) else { return }
        ends[inside.raw] = (inside, outside)
        ends[outside.raw] = (outside, inside)
        for end in [inside, outside] {
            try? loop.watch(end.raw) { [weak self] _ in self?.pass(from: end.raw) }
        }
    }

    private func pass(from fd: Int32) {
        guard let (from, to) = ends[fd] else { return }
        var buffer = [UInt8](repeating: 0, count: 16384)
        let count = recv(from.raw, &buffer, buffer.count, 0x40 /* MSG_DONTWAIT */)
        // MSG_NOSIGNAL: an end that was closed is an error here and no signal. Messages are small; one that has no room
        // ends the connection.
        if count > 0, send(to.raw, buffer, count, 0x4000 | 0x40) == count { return }
        for end in [from, to] {
            loop.unwatch(end.raw)
            ends[end.raw] = nil
        }
    }
}
