// SPDX-License-Identifier: Apache-2.0

import CLinux
import Kernel
import Testing

@Suite struct PendingInputTests {
    @Test("what a program does not read now is kept up to the bound, and goes on in its order")
    func order() throws {
        let from = try makePipe()
        let to = try makePipe()
        try from.second.setNonBlocking()
        try to.first.setNonBlocking()
        try to.second.setNonBlocking()
        var pending = PendingInput()
        var (sent, got) = (0, [UInt8]())
        // Numbered, four bytes each, more than the pipes and the bound together hold.
        let all = (UInt32(0)..<100_000).flatMap { number in
            (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
        }
        while got.count < all.count {
            while sent < all.count {
                let count = all.withUnsafeBytes {
                    write(from.second.raw, $0.baseAddress?.advanced(by: sent), min(4096, $0.count - sent))
                }
                if count <= 0 { break }
                sent += count
            }
            while !pending.isFull, sent > 0, try waitReadable([from.first.raw], atMost: .zero)[0] {
                let isOpen = pending.read(from: from.first.raw)
                #expect(isOpen)
                pending.write(to: to.second.raw)
            }
            got += readAvailable(to.first.raw) ?? []
            pending.write(to: to.second.raw)
        }
        #expect(got == all && pending.isEmpty)
    }

    @Test("a wait ends when there is room for what is pending")
    func room() throws {
        let to = try makePipe()
        try to.second.setNonBlocking()
        var pending = PendingInput()
        pending.append([UInt8](repeating: 7, count: 100_000))
        #expect(pending.isFull)
        pending.write(to: to.second.raw)
        #expect(!pending.isEmpty && !pending.isFull)
        let before = monotonicNanoseconds()
        _ = try waitReadable([], orWritable: to.second.raw, atMost: .milliseconds(20))
        #expect(monotonicNanoseconds() - before >= 20_000_000)
        while !pending.isEmpty {
            _ = readAvailable(to.first.raw)
            _ = try waitReadable([], orWritable: to.second.raw, atMost: nil)
            pending.write(to: to.second.raw)
        }
    }

    @Test("where nobody is left to read it is forgotten, and the input's end is told")
    func forgotten() throws {
        let end: SharedFD
        do {
            let pair = try openTerminalPair()
            end = SharedFD(try pair.first.duplicate())
        }
        try end.setNonBlocking()
        var pending = PendingInput()
        // More than a terminal takes for who comes later.
        pending.append([UInt8](repeating: 10, count: 100_000))
        pending.write(to: end.raw)
        #expect(pending.isEmpty)
        // Not the terminal's own end: the echo of what it took may still come.
        let input: SharedFD
        do {
            let pipe = try makePipe()
            input = SharedFD(try pipe.first.duplicate())
        }
        let isOpen = pending.read(from: input.raw)
        #expect(!isOpen)
    }
}
