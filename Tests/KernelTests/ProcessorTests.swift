// SPDX-License-Identifier: Apache-2.0
//
// A task sent to another processor (docs/decisions/013-another-processor.md), on the machine's own.

import CLinux
import Testing

@Suite("processors", .serialized)
struct ProcessorTests {
    /// Those that the calling thread may use.
    private func allowed() -> [UInt] {
        var mask = cpu_set_t()
        sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &mask)
        return withUnsafeBytes(of: mask) { Array($0.bindMemory(to: UInt.self)) }
    }

    private func confine(to mask: [UInt]) {
        var set = cpu_set_t()
        withUnsafeMutableBytes(of: &set) {
            $0.copyBytes(from: mask.flatMap { withUnsafeBytes(of: $0, Array.init) })
        }
        sched_setaffinity(0, MemoryLayout<cpu_set_t>.size, &set)
    }

    @Test("a task is sent away from where we run, and may use all processors again")
    func sentAway() {
        let before = allowed()
        defer { confine(to: before) }
        var others = linux_processors()
        guard linux_find_others(&others) else {
            #expect(before.reduce(0) { $0 + $1.nonzeroBitCount } == 1)
            return
        }
        // It may come back at once; not each time.
        var left = false
        for _ in 0..<100 where !left {
            _ = linux_find_others(&others)
            let here = sched_getcpu()
            linux_send_away(0, &others)
            left = sched_getcpu() != here
        }
        #expect(left)
        #expect(allowed() == before)
    }

    @Test("with one processor there is no other")
    func alone() {
        let before = allowed()
        defer { confine(to: before) }
        var one = [UInt](repeating: 0, count: before.count)
        if let word = before.firstIndex(where: { $0 != 0 }) {
            one[word] = 1 << UInt(before[word].trailingZeroBitCount)
        }
        confine(to: one)
        var others = linux_processors()
        #expect(!linux_find_others(&others))
    }
}
