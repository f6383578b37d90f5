// SPDX-License-Identifier: Apache-2.0
//
// What a log forwarder does with receivers that take no connection: it waits for none of them.

import Basics
import CLinux
import ContainerModel
import Glibc
import Kernel
import Testing

@testable private import Controller

private let loopback: UInt32 = 0x7f00_0001

/// A tcp socket of 127.0.0.1 that listens for a few connections at a time.
private final class SilentReceiver {
    let listener: SharedFD
    let port: UInt16
    private var waiting: [SharedFD] = []

    init() throws {
        let raw = linux_socket(AF_INET, 1 | O_CLOEXEC, 0)  // SOCK_STREAM
        listener = SharedFD(OwnedFD(taking: raw))
        try #require(linux_bind_inet(raw, loopback, 0) == 0 && listen(raw, 1) == 0)
        var address: UInt32 = 0
        var port: UInt16 = 0
        try #require(linux_socket_name_inet(raw, &address, &port) == 0)
        self.port = port
    }

    /// From here on nobody's connection stands until one is taken: their first packets are dropped (tcp_conn_request).
    func fill() {
        for _ in 0..<16 {
            let raw = linux_socket(AF_INET, 1 | O_CLOEXEC | O_NONBLOCK, 0)
            waiting.append(SharedFD(OwnedFD(taking: raw)))
            _ = linux_connect_inet(raw, loopback, port)
            var entry = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
            if poll(&entry, 1, 20) == 0 { return }
        }
    }

    func take() -> SharedFD { SharedFD(OwnedFD(taking: linux_accept4(listener.raw, O_CLOEXEC))) }
}

private func makeForwarder(_ syslog: SyslogReceiver, _ loop: EventLoop) throws -> LogForwarder {
    let image = ImageFacts(reference: "bb:1", id: Digest(of: [1]), layers: [])
    return try LogForwarder(LogForwarding(.syslog(syslog)), container: "p-a-1", image: image, loop: loop)
}

private func say(_ text: String, _ forwarder: LogForwarder) {
    Array(text.utf8).withUnsafeBytes { forwarder.take($0, from: "stdout") }
}

@Suite("a log's receiver")
struct LogForwarderTests {
    // Each line waited two seconds for it, and nothing else was done meanwhile.
    @Test("lines for a receiver that does not answer are dropped and counted; those after its answer arrive")
    func silent() throws {
        let receiver = try SilentReceiver()
        receiver.fill()
        let loop = try EventLoop()
        let forwarder = try makeForwarder(SyslogReceiver(.tcp, "127.0.0.1", port: receiver.port), loop)
        try #require(forwarder.isConnecting)
        say("one\ntwo\nthree\n", forwarder)
        #expect(forwarder.dropped == 3 && forwarder.isConnecting)
        var answers: [Failure?] = []
        forwarder.whenAnswered { answers.append($0) }
        // Its queue has room again; the kernel repeats its request within two seconds or gives up.
        var taken: [SharedFD] = []
        while answers.isEmpty {
            var entry = pollfd(fd: receiver.listener.raw, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 0) > 0 { taken.append(receiver.take()) }
            try loop.turn(waitingAtMost: .milliseconds(20))
        }
        say("four\n", forwarder)
        #expect(forwarder.dropped == (answers[0] == nil ? 3 : 4))
        forwarder.close()
    }

    // It waited for ever: connect(2) on a unix stream waits while the queue of connections is full.
    @Test("a unix stream whose queue of connections is full is refused, and a lost one is not waited for")
    func fullQueue() throws {
        let path = "/tmp/covey-syslog-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        let listener = SharedFD(try listenUnix(path, backlog: 0))
        defer { unlink(path) }
        let loop = try EventLoop()
        let forwarder = try makeForwarder(SyslogReceiver(.unix, path), loop)
        say("one\n", forwarder)
        #expect(forwarder.dropped == 0)
        do {
            let connection = SharedFD(OwnedFD(taking: linux_accept4(listener.raw, O_CLOEXEC)))
            #expect(try receiveMessage(connection.raw).bytes.last == 10)
        }
        var waiting: [SharedFD] = []
        #expect(throws: SyscallError.self) {
            while true { waiting.append(SharedFD(try connectUnix(path, isBlocking: false))) }
        }
        say("two\nthree\n", forwarder)
        #expect(forwarder.dropped == 2)
        #expect {
            _ = try makeForwarder(SyslogReceiver(.unix, path), loop)
        } throws: {
            "\($0)".contains("cannot send the output of container \"p-a-1\"") && "\($0)".contains("EAGAIN")
        }
    }
}
