// SPDX-License-Identifier: Apache-2.0
//
// Terminals: is it one, how large is it, and raw mode that is undone on every path (termios(3), ioctl_tty(2)).

internal import CLinux

/// True when the descriptor is a terminal.
public func isTerminal(_ fd: Int32) -> Bool { isatty(fd) == 1 }

/// Rows and columns of a terminal.
public struct WindowSize: Equatable, Sendable {
    public var rows: UInt16
    public var columns: UInt16
    public init(rows: UInt16, columns: UInt16) {
        self.rows = rows
        self.columns = columns
    }
}

/// TIOCGWINSZ; nil when the descriptor is no terminal or does not know its size.
public func windowSize(of fd: Int32) -> WindowSize? {
    var size = winsize()
    guard linux_ioctl_ptr(fd, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return WindowSize(rows: size.ws_row, columns: size.ws_col)
}

/// TIOCSWINSZ; the foreground processes of the terminal get SIGWINCH.
public func setWindowSize(of fd: Int32, _ new: WindowSize) throws(SyscallError) {
    var size = winsize(ws_row: new.rows, ws_col: new.columns, ws_xpixel: 0, ws_ypixel: 0)
    try retrying("ioctl") { linux_ioctl_ptr(fd, UInt(TIOCSWINSZ), &size) }
}

/// Raw mode of a terminal as long as the value lives; the former mode comes back when it goes.
public struct RawMode: ~Copyable {
    private let fd: Int32
    private var saved: termios

    /// Every byte goes through as it is, `^C` too (cfmakeraw in termios(3)). The descriptor stays the caller's.
    public init(_ fd: Int32) throws(SyscallError) {
        var mode = termios()
        try retrying("tcgetattr") { tcgetattr(fd, &mode) }
        let former = mode
        cfmakeraw(&mode)
        try retrying("tcsetattr") { tcsetattr(fd, TCSADRAIN, &mode) }
        self.fd = fd
        saved = former
    }

    /// Gives the former mode back; as good as letting the value go, for a place that can be named.
    public consuming func end() {}

    deinit {
        var mode = saved
        _ = tcsetattr(fd, TCSADRAIN, &mode)
    }
}

/// A new pseudo-terminal: first is the master, second the terminal itself (pty(7)).
public func openTerminalPair() throws(SyscallError) -> OwnedFDPair {
    let master = try openFile("/dev/ptmx", flags: O_RDWR | O_NOCTTY)
    let raw = master.raw
    try retrying("unlockpt") { unlockpt(raw) }
    var name = [CChar](repeating: 0, count: 64)
    let code = ptsname_r(raw, &name, name.count)
    if code != 0 { throw SyscallError("ptsname_r", Errno(code)) }
    let path = name.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let terminal = try openFile(path, flags: O_RDWR | O_NOCTTY)
    return OwnedFDPair(first: master, second: terminal)
}
