// SPDX-License-Identifier: Apache-2.0

import CLinux
import Kernel
import Testing

private func mode(_ fd: Int32) throws -> [UInt32] {
    var mode = termios()
    try retrying("tcgetattr") { tcgetattr(fd, &mode) }
    return [mode.c_iflag, mode.c_oflag, mode.c_cflag, mode.c_lflag]
}

@Suite struct TerminalTests {
    @Test("raw mode is undone, however its scope is left")
    func rawMode() throws {
        struct Trouble: Error {}
        let pair = try openTerminalPair()
        let terminal = pair.second.raw
        let before = try mode(terminal)
        func work(failing: Bool) throws {
            let raw = try RawMode(terminal)
            #expect(try mode(terminal) != before)
            if failing { throw Trouble() }
            raw.end()
        }
        try work(failing: false)
        #expect(try mode(terminal) == before)
        #expect(throws: Trouble.self) { try work(failing: true) }
        #expect(try mode(terminal) == before)
    }

    @Test("a terminal's size is what was set")
    func sizes() throws {
        let pair = try openTerminalPair()
        try setWindowSize(of: pair.first.raw, WindowSize(rows: 33, columns: 101))
        #expect(windowSize(of: pair.second.raw) == WindowSize(rows: 33, columns: 101))
        #expect(isTerminal(pair.second.raw))
        let pipe = try makePipe()
        #expect(!isTerminal(pipe.first.raw))
        #expect(windowSize(of: pipe.first.raw) == nil)
    }
}
