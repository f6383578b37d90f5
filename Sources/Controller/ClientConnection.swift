// SPDX-License-Identifier: Apache-2.0
//
// ClientConnection: one client and its one request. A client that is gone or does not read costs nothing: what can't be
// sent is dropped and the connection closed; what was begun for it goes on.

internal import Basics
internal import CLinux
internal import Kernel

final class ClientConnection {
    let channel: ControlChannel
    var head: RequestHead?
    var blobs: [[UInt8]] = []
    var descriptors: [SharedFD] = []
    /// The services that its request is about, with those they need; nil is all of them.
    var scope: Set<String>?
    /// Set once the last event was sent or the client was lost.
    private(set) var isClosed = false
    /// Told once, when the last event was sent or the client was lost.
    var onClosed: (() -> Void)?
    private let loop: EventLoop
    private let closed: (ClientConnection) -> Void
    /// Events that are sent together before the loop next waits: each message by itself wakes the client.
    private var unsent: [UInt8] = []

    init(_ fd: consuming OwnedFD, loop: EventLoop, closed: @escaping (ClientConnection) -> Void) {
        channel = ControlChannel(fd)
        self.loop = loop
        self.closed = closed
        var room: Int32 = 4 << 20
        _ = setsockopt(channel.fd.raw, 1, 32, &room, 4)  // SOL_SOCKET, SO_SNDBUFFORCE
    }

    var descriptor: Int32 { channel.fd.raw }

    func send(_ event: ControlEvent, descriptors: [Int32] = []) {
        if isClosed { return }
        do throws(Failure) {
            if descriptors.isEmpty {
                if unsent.isEmpty { loop.beforeWaiting { [weak self] in self?.flush() } }
                unsent += try Frame.bytes(json: event)
            } else {
                // Descriptors belong to the first frame of a message.
                flush()
                try channel.send(json: event, descriptors: descriptors)
            }
        } catch {
            close()
        }
    }

    private func flush() {
        if isClosed || unsent.isEmpty { return }
        let frames = unsent
        unsent = []
        do throws(Failure) {
            try channel.send(frames: frames)
        } catch {
            close()
        }
    }

    /// The last word.
    func finish(_ event: ControlEvent) {
        send(event)
        flush()
        close()
    }

    func close() {
        if isClosed { return }
        isClosed = true
        let told = onClosed
        onClosed = nil
        told?()
        closed(self)
    }

    /// Reads what came; true when the request is whole.
    func receive() throws(Failure) -> Bool {
        var alive = true
        do throws(SyscallError) {
            alive = try channel.fill()
        } catch {
            if error.errno == .again { return false }
            alive = false
        }
        while let frame = try channel.nextBuffered() {
            if head == nil {
                let head = try ControlChannel.decode(RequestHead.self, from: frame)
                guard head.version == controlVersion else {
                    throw Failure(
                        "cannot serve the command",
                        cause:
                            "it speaks version \(head.version), this project's controller \(controlVersion)",
                        advice: "take the project down with the covey that brought it up")
                }
                self.head = head
                descriptors = frame.descriptors
            } else {
                blobs.append(frame.payload)
            }
        }
        if let head, blobs.count >= head.blobs { return true }
        if !alive { close() }
        return false
    }
}
