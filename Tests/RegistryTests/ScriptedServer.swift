// SPDX-License-Identifier: Apache-2.0
//
// ScriptedServer: HTTP on a port of the loopback that answers what a test tells it to, right or wrong: it breaks off,
// trickles, never answers, never ends. One thread listens, one serves each connection.

import Basics
import CLinux
import Synchronization

/// One request as it came.
struct SeenRequest: Sendable {
    var method: String
    /// With its query.
    var path: String
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]
}

struct Reply: Sendable {
    enum Manner: Sendable {
        case whole
        /// Breaks off after so many bytes of the body.
        case cut(Int)
        /// A byte now and then, without end.
        case trickle
        /// Nothing, not even a head.
        case silent
        /// Chunks (RFC 9112, 7.1) without end.
        case endless
    }
    var status = 200
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    var manner = Manner.whole
    /// What Content-Length says, when that is a lie.
    var claimedLength: Int?

    static func status(_ status: Int, _ headers: [String: String] = [:], _ text: String = "") -> Reply {
        Reply(status: status, headers: headers, body: Array(text.utf8))
    }
}

final class ScriptedServer: Sendable {
    let port: UInt16
    var host: String { "127.0.0.1:\(port)" }
    private let listener: Int32
    private let state: ServerState
    private let thread: Mutex<pthread_t?>

    init(_ answer: @escaping @Sendable (SeenRequest) -> Reply) throws {
        listener = linux_socket(AF_INET, 1 | O_CLOEXEC, 0)  // SOCK_STREAM
        let fd = listener
        var (address, number): (UInt32, UInt16) = (0, 0)
        guard linux_bind_inet(fd, 0x7f00_0001, 0) == 0, listen(fd, 64) == 0,
            linux_socket_name_inet(fd, &address, &number) == 0
        else { throw Failure("cannot listen: errno \(linux_errno())") }
        port = number
        state = ServerState(fd, answer)
        var id = pthread_t()
        pthread_create(&id, nil, serve, Unmanaged.passRetained(state).toOpaque())
        thread = Mutex(id)
    }

    deinit {
        // accept(2) returns when its socket is shut down; threads of connections end with their peers.
        shutdown(listener, 2)
        thread.withLock { if let id = $0 { pthread_join(id, nil) } }
        close(listener)
    }

    var requests: [SeenRequest] { state.seen.withLock { $0 } }
    func requests(_ path: String) -> [SeenRequest] { requests.filter { $0.path.hasPrefix(path) } }
}

private final class ServerState: Sendable {
    let listener: Int32
    let answer: @Sendable (SeenRequest) -> Reply
    let seen = Mutex<[SeenRequest]>([])

    init(_ listener: Int32, _ answer: @escaping @Sendable (SeenRequest) -> Reply) {
        self.listener = listener
        self.answer = answer
    }
}

private final class Connection: Sendable {
    let fd: Int32
    let state: ServerState
    init(_ fd: Int32, _ state: ServerState) {
        self.fd = fd
        self.state = state
    }
}

private func serve(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    let state = Unmanaged<ServerState>.fromOpaque(context).takeRetainedValue()
    while true {
        let fd = linux_accept4(state.listener, O_CLOEXEC)
        if fd < 0 { return nil }
        var id = pthread_t()
        pthread_create(&id, nil, serveOne, Unmanaged.passRetained(Connection(fd, state)).toOpaque())
        pthread_detach(id)
    }
}

private func serveOne(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    let connection = Unmanaged<Connection>.fromOpaque(context).takeRetainedValue()
    defer { close(connection.fd) }
    while let request = receive(connection.fd) {
        connection.state.seen.withLock { $0.append(request) }
        if !respond(connection.fd, request, connection.state.answer(request)) { break }
    }
    return nil
}

/// 0x4000 is MSG_NOSIGNAL.
private func put(_ fd: Int32, _ bytes: some Sequence<UInt8>) -> Bool {
    let bytes = Array(bytes)
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes {
            linux_send(fd, $0.baseAddress?.advanced(by: done), $0.count - done, 0x4000)
        }
        if count <= 0 { return false }
        done += count
    }
    return true
}

/// True when the peer went away within so many milliseconds.
private func goneWithin(_ milliseconds: Int32, _ fd: Int32) -> Bool {
    var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, milliseconds) != 0
}

private func receive(_ fd: Int32) -> SeenRequest? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    let end = Array("\r\n\r\n".utf8)
    func more() -> Bool {
        let count = recv(fd, &buffer, buffer.count, 0)
        if count > 0 { bytes += buffer[..<count] }
        return count > 0
    }
    while true {
        // A TLS ClientHello: this is no TLS server, and says so as others do.
        if bytes.first == 0x16 {
            _ = put(fd, "HTTP/1.0 400 Bad Request\r\n\r\n".utf8)
            return nil
        }
        if let at = bytes.firstRange(of: end) {
            let lines = String(decoding: bytes[..<at.lowerBound], as: UTF8.self).split(separator: "\r\n")
            let words = lines.first?.split(separator: " ") ?? []
            guard words.count >= 2 else { return nil }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                headers[parts[0].lowercased()] = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
            }
            let length = headers["content-length"].flatMap { Int($0) } ?? 0
            while bytes.count < at.upperBound + length { if !more() { return nil } }
            return SeenRequest(
                method: String(words[0]), path: String(words[1]), headers: headers,
                body: Array(bytes[at.upperBound..<(at.upperBound + length)]))
        }
        if !more() { return nil }
    }
}

/// False when the connection is over.
private func respond(_ fd: Int32, _ request: SeenRequest, _ reply: Reply) -> Bool {
    if case .silent = reply.manner {
        while !goneWithin(1000, fd) {}
        return false
    }
    var head = "HTTP/1.1 \(reply.status) Scripted\r\n"
    for (name, value) in reply.headers { head += "\(name): \(value)\r\n" }
    if case .endless = reply.manner {
        guard put(fd, (head + "Transfer-Encoding: chunked\r\n\r\n").utf8) else { return false }
        let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 0x20, count: 65536) + Array("\r\n".utf8)
        while put(fd, chunk) {}
        return false
    }
    if case .trickle = reply.manner {
        guard put(fd, (head + "Content-Length: \(reply.claimedLength ?? 1_000_000)\r\n\r\n").utf8) else {
            return false
        }
        while !goneWithin(200, fd) { if !put(fd, [0x20]) { break } }
        return false
    }
    head += "Content-Length: \(reply.claimedLength ?? reply.body.count)\r\n\r\n"
    guard put(fd, head.utf8) else { return false }
    if request.method == "HEAD" { return true }
    if case .cut(let count) = reply.manner {
        _ = put(fd, reply.body.prefix(count))
        return false
    }
    return put(fd, reply.body) && reply.claimedLength == nil
}
