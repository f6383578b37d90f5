// SPDX-License-Identifier: Apache-2.0
//
// UserTerminal: a terminal with one program in it, as a person has it: it can be typed into, looked at, resized and
// closed. What the program shows waits until somebody looks, as in a terminal that is slow.

import CLinux
import Glibc
import Kernel

final class UserTerminal {
    let program: RunningProgram
    /// nil once the terminal was closed.
    private var master: SharedFD?
    /// Kept open, so that the mode outlives the program.
    private var slave: SharedFD?
    private var shown: [UInt8] = []

    init(_ command: [String], environment: [String], directory: String, scratch: String) throws {
        let pair = try openTerminalPair()
        try setWindowSize(of: pair.first.raw, WindowSize(rows: 24, columns: 80))
        try pair.first.setNonBlocking()
        let path = try readLink("/proc/self/fd/\(pair.second.raw)")
        program = try RunningProgram(
            command, environment: environment, directory: directory, scratch: scratch, terminal: path)
        (master, slave) = (SharedFD(try pair.first.duplicate()), SharedFD(try pair.second.duplicate()))
    }

    /// All that was shown so far.
    var screen: String {
        if let master {
            var buffer = [UInt8](repeating: 0, count: 65536)
            while case let count = read(master.raw, &buffer, buffer.count), count > 0 {
                shown += buffer[..<count]
            }
        }
        return String(decoding: shown, as: UTF8.self)
    }

    /// Every key goes to the program as it is: no line is edited, and Ctrl-C is no signal.
    var isRaw: Bool {
        var mode = termios()
        guard let slave, tcgetattr(slave.raw, &mode) == 0 else { return false }
        return mode.c_lflag & tcflag_t(ICANON | ISIG | ECHO) == 0
    }

    /// Types all at once, as a paste does, looking at the screen meanwhile.
    func type(_ text: String) throws {
        guard let master else { throw ScenarioError("the terminal is closed") }
        let bytes = Array(text.utf8)
        var done = 0
        var deadline = ContinuousClock.now + .seconds(10)
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(master.raw, $0.baseAddress?.advanced(by: done), bytes.count - done)
            }
            if count > 0 {
                done += count
                deadline = ContinuousClock.now + .seconds(10)
                continue
            }
            guard ContinuousClock.now < deadline else {
                throw ScenarioError("\(program.command) reads \(done) of \(bytes.count) bytes and no more")
            }
            _ = screen
            usleep(2000)
        }
    }

    func resize(rows: UInt16, columns: UInt16) throws {
        guard let master else { return }
        try setWindowSize(of: master.raw, WindowSize(rows: rows, columns: columns))
    }

    /// The window goes: whoever runs in it is hung up.
    func close() {
        _ = screen
        (master, slave) = (nil, nil)
    }
}
