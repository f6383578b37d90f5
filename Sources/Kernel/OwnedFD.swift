// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// A file descriptor with one owner; closed exactly once, when the owner goes.
public struct OwnedFD: ~Copyable, Sendable {
    /// For calls that borrow it; never closed by the borrower.
    public let raw: Int32

    /// Takes over a descriptor that nobody else closes.
    public init(taking raw: Int32) { self.raw = raw }

    deinit { close(raw) }

    /// Gives the descriptor away without closing it.
    public consuming func release() -> Int32 {
        let raw = raw
        discard self
        return raw
    }

    /// A second descriptor for the same open file, close-on-exec.
    public borrowing func duplicate() throws(SyscallError) -> OwnedFD {
        let raw = raw
        return OwnedFD(taking: try retrying("fcntl") { linux_fcntl_int(raw, F_DUPFD_CLOEXEC, 3) })
    }

    public borrowing func setNonBlocking() throws(SyscallError) {
        let raw = raw
        let flags = try retrying("fcntl") { linux_fcntl_int(raw, F_GETFL, 0) }
        try retrying("fcntl") { linux_fcntl_int(raw, F_SETFL, flags | O_NONBLOCK) }
    }
}

/// A descriptor several owners share (a dictionary can't hold a noncopyable value); closed with the last.
public final class SharedFD: Sendable {
    private let fd: OwnedFD
    public init(_ fd: consuming OwnedFD) { self.fd = fd }
    public var raw: Int32 { fd.raw }
    public func duplicate() throws(SyscallError) -> OwnedFD { try fd.duplicate() }
    /// Sets O_NONBLOCK, for all that hold this open file.
    public func setNonBlocking() throws(SyscallError) { try fd.setNonBlocking() }
}
