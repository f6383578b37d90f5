// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets, with descriptors beside the bytes (unix(7)). Paths longer than sun_path's 108 bytes are reached
// through /proc/self/fd/N of their directory.

internal import CLinux

/// The path, or a short spelling of it through its directory's descriptor when it does not fit sun_path.
private func withSocketPath<Result>(
    _ path: String, _ body: (String) throws(SyscallError) -> Result
) throws(SyscallError) -> Result {
    guard path.utf8.count > 107, let slash = path.lastIndex(of: "/") else { return try body(path) }
    let directory = try openFile(String(path[..<slash]), flags: O_PATH | O_DIRECTORY)
    return try body("/proc/self/fd/\(directory.raw)\(path[slash...])")
}

/// A unix socket of a kind, bound to a path and with that mode; a stale one there is replaced.
private func bindUnix(_ kind: Int32, _ path: String, mode: UInt32) throws(SyscallError) -> OwnedFD {
    let fd = OwnedFD(taking: try retrying("socket") { linux_socket(AF_UNIX, kind | O_CLOEXEC, 0) })
    try removeFile(path)
    let raw = fd.raw
    try withSocketPath(path) { (short) throws(SyscallError) in
        _ = try retrying("bind", path) { linux_unix_bind(raw, short) }
    }
    try retrying("chmod", path) { chmod(path, mode) }
    return fd
}

/// A listening unix stream socket at a path, mode 0600; a stale one there is replaced.
public func listenUnix(_ path: String, backlog: Int32 = 128) throws(SyscallError) -> OwnedFD {
    let fd = try bindUnix(streamSocket, path, mode: 0o600)
    let raw = fd.raw
    try retrying("listen", path) { listen(raw, backlog) }
    return fd
}

public enum UnixSocketKind: Sendable { case stream, datagram }

/// A connected unix socket. ENOENT and ECONNREFUSED mean that nobody serves the path; EAGAIN, of one that doesn't block, that
/// who serves it takes no connections at the moment.
public func connectUnix(_ path: String, _ kind: UnixSocketKind = .stream, isBlocking: Bool = true)
    throws(SyscallError) -> OwnedFD
{
    let type = (kind == .stream ? streamSocket : datagramSocket) | O_CLOEXEC | (isBlocking ? 0 : O_NONBLOCK)
    let fd = OwnedFD(taking: try retrying("socket") { linux_socket(AF_UNIX, type, 0) })
    let raw = fd.raw
    try withSocketPath(path) { (short) throws(SyscallError) in
        _ = try retrying("connect", path) { linux_unix_connect(raw, short) }
    }
    return fd
}

/// A unix datagram socket at a path, where whoever reaches it may write; a stale one there is replaced.
public func bindDatagrams(_ path: String) throws(SyscallError) -> OwnedFD {
    try bindUnix(datagramSocket, path, mode: 0o777)
}

/// Sends one datagram to the unix socket at a path; `@` at its beginning stands for an abstract name's NUL (unix(7)).
/// - Throws: EAGAIN when its queue is full; a reader that doesn't read is not waited for.
public func sendDatagram(_ bytes: [UInt8], to path: String) throws(SyscallError) {
    // SOCK_CLOEXEC and SOCK_NONBLOCK have the values of O_CLOEXEC and O_NONBLOCK (socket(2)).
    let fd = OwnedFD(
        taking: try retrying("socket") {
            linux_socket(AF_UNIX, datagramSocket | O_CLOEXEC | O_NONBLOCK, 0)
        })
    let raw = fd.raw
    if path.hasPrefix("@") {
        try retrying("connect", path) { linux_unix_connect_abstract(raw, String(path.dropFirst())) }
    } else {
        try withSocketPath(path) { (short) throws(SyscallError) in
            _ = try retrying("connect", path) { linux_unix_connect(raw, short) }
        }
    }
    try sendMessage(raw, bytes)
}

private let streamSocket = Int32(1)  // SOCK_STREAM
private let datagramSocket = Int32(2)  // SOCK_DGRAM
private let packetSocket = Int32(5)  // SOCK_SEQPACKET

/// A connected pair of close-on-exec sockets that keep message borders (SOCK_SEQPACKET).
public func packetSocketPair() throws(SyscallError) -> (OwnedFDPair) {
    var fds: [Int32] = [0, 0]
    try retrying("socketpair") { linux_socketpair(AF_UNIX, packetSocket | O_CLOEXEC, 0, &fds) }
    return OwnedFDPair(first: OwnedFD(taking: fds[0]), second: OwnedFD(taking: fds[1]))
}

/// A connected pair of close-on-exec sockets that carry bytes both ways (SOCK_STREAM).
public func streamSocketPair() throws(SyscallError) -> OwnedFDPair {
    var fds: [Int32] = [0, 0]
    try retrying("socketpair") { linux_socketpair(AF_UNIX, streamSocket | O_CLOEXEC, 0, &fds) }
    return OwnedFDPair(first: OwnedFD(taking: fds[0]), second: OwnedFD(taking: fds[1]))
}

/// Both ends of a pipe: first reads, second writes.
public func makePipe() throws(SyscallError) -> OwnedFDPair {
    var fds: [Int32] = [0, 0]
    try retrying("pipe2") { linux_pipe2(&fds, O_CLOEXEC) }
    return OwnedFDPair(first: OwnedFD(taking: fds[0]), second: OwnedFD(taking: fds[1]))
}

/// Two descriptors that belong together; a tuple can't carry noncopyable values.
public struct OwnedFDPair: ~Copyable {
    public let first: OwnedFD
    public let second: OwnedFD
    public init(first: consuming OwnedFD, second: consuming OwnedFD) {
        self.first = first
        self.second = second
    }
}

/// Sends all bytes on a stream socket; descriptors go with the first of them.
public func sendMessage(_ fd: Int32, _ bytes: [UInt8], descriptors: [Int32] = []) throws(SyscallError) {
    var done = 0
    while done < bytes.count {
        done += try retrying("sendmsg") {
            bytes.withUnsafeBytes {
                linux_send_fds(
                    fd, $0.baseAddress?.advanced(by: done), $0.count - done, done == 0 ? descriptors : [],
                    done == 0 ? Int32(descriptors.count) : 0, 0)
            }
        }
    }
}

/// What one recvmsg(2) gave: bytes (none at the end of a stream) and descriptors, now owned by the receiver.
public struct ReceivedMessage {
    public var bytes: [UInt8]
    public var descriptors: [SharedFD]
}

/// One recvmsg(2) of at most `capacity` bytes.
public func receiveMessage(_ fd: Int32, capacity: Int = 65536, flags: Int32 = 0) throws(SyscallError)
    -> ReceivedMessage
{
    var descriptors = [Int32](repeating: -1, count: 64)
    var count: Int32 = 64
    var received = 0
    var error: SyscallError?
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
        do throws(SyscallError) {
            received = try retrying("recvmsg") {
                count = 64
                return linux_receive_fds(fd, buffer.baseAddress, capacity, &descriptors, &count, flags, nil)
            }
        } catch let failure {
            error = failure
        }
        initialized = received
    }
    if let error { throw error }
    return ReceivedMessage(
        bytes: bytes, descriptors: descriptors[..<Int(count)].map { SharedFD(OwnedFD(taking: $0)) })
}
