// SPDX-License-Identifier: Apache-2.0
//
// PortListening: sockets that take what comes for a published port over IPv6. There containers have no addresses, and
// no destination NAT leads from [::1] into a network, so a relay serves these sockets (Controller/PortRelay.swift).

public import Basics
internal import CLinux
public import ContainerModel
public import Kernel

/// An IPv6 address of the host to listen on, as it was written.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    public let description: String
    let bytes: [UInt8]

    /// nil for what is no IPv6 address.
    public init?(_ text: String) {
        var bytes = [UInt8](repeating: 0, count: 16)
        guard linux_parse_inet6(text, &bytes) == 1 else { return nil }
        description = text
        self.bytes = bytes
    }

    private init(any: Void) {
        description = "::"
        bytes = [UInt8](repeating: 0, count: 16)
    }

    /// Every address of the host.
    public static let any = ListenAddress(any: ())
}

/// Why a socket is not there.
public enum ListenRefusal: Error, Sendable {
    /// This host has no IPv6, or not this address.
    case unavailable(SyscallError)
    /// Another one has the port; who, where that can be found out.
    case taken(holder: String?)
    case other(SyscallError)
}

/// A socket for IPv6 alone, listening where it is tcp; it doesn't block.
public func listenIPv6(_ proto: PortRequest.Proto, _ address: ListenAddress, port: UInt16)
    throws(ListenRefusal)
    -> ReservedPort
{
    let subject = "[\(address)]:\(port)"
    do throws(SyscallError) {
        // SOCK_STREAM or SOCK_DGRAM, with SOCK_CLOEXEC and SOCK_NONBLOCK.
        let kind: Int32 = (proto == .tcp ? 1 : 2) | 0o2000000 | 0o4000
        let socket = OwnedFD(taking: try retrying("socket", subject) { linux_socket(AF_INET6, kind, 0) })
        let raw = socket.raw
        try retrying("setsockopt", subject) { linux_set_socket_int(raw, ipv6Level, ipv6Only, 1) }
        if proto == .tcp {
            // Past connections in TIME_WAIT; another listener is refused all the same.
            try retrying("setsockopt", subject) { linux_set_socket_int(raw, SOL_SOCKET, SO_REUSEADDR, 1) }
        } else {
            try retrying("setsockopt", subject) { linux_set_socket_int(raw, ipv6Level, ipv6ReceiveInfo, 1) }
        }
        try retrying("bind", subject) { linux_bind_inet6(raw, address.bytes, port) }
        if proto == .tcp { try retrying("listen", subject) { listen(raw, 128) } }
        let bound = try retrying("getsockname", subject) { linux_socket_port_inet6(raw) }
        return ReservedPort(port: UInt16(bound), socket: SharedFD(socket))
    } catch {
        switch error.errno {
        case .addressInUse: throw .taken(holder: portHolder(proto, port))
        case .addressNotAvailable, Errno(EAFNOSUPPORT): throw .unavailable(error)
        default: throw .other(error)
        }
    }
}

// linux/in6.h
private let ipv6Level: Int32 = 41
private let ipv6Only: Int32 = 26
private let ipv6ReceiveInfo: Int32 = 49

extension Failure {
    /// A refusal in the user's words.
    public init(_ refusal: ListenRefusal, port: String, _ proto: PortRequest.Proto, service: String) {
        let doing = "cannot publish port \(port)/\(proto.rawValue) of service \"\(service)\""
        switch refusal {
        case .taken(let holder):
            self.init(
                doing,
                cause:
                    "the port is taken (EADDRINUSE) by \(holder ?? "another program, which holds it without listening")",
                advice: "stop that program, or publish another port")
        case .unavailable(let error):
            self.init(
                doing, cause: "this host has no such IPv6 address (\(error.errno))",
                advice: "use an address that `ip -6 addr` lists")
        case .other(let error): self.init(doing, error)
        }
    }
}
