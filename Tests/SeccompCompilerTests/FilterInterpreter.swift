// SPDX-License-Identifier: Apache-2.0
//
// Runs a compiled filter as the kernel would: an independent reading of linux/filter.h for the tests.

import SeccompCompiler

/// AUDIT_ARCH_* of linux/audit.h.
enum AuditArch {
    static let x86_64: UInt32 = 0xc000_003e
    static let i386: UInt32 = 0x4000_0003
    static let aarch64: UInt32 = 0xc000_00b7
    static let arm: UInt32 = 0x4000_0028
    static let s390x: UInt32 = 0x8000_0016
}

struct FilterFault: Error {
    var text: String
}

/// The filter's return value for one system call.
func run(
    _ program: SeccompProgram, arch: UInt32, number: UInt32, _ arguments: [UInt64] = []
) throws -> UInt32 {
    var data = [UInt32](repeating: 0, count: 16)
    data[0] = number
    data[1] = arch
    for (index, argument) in arguments.enumerated() {
        data[4 + 2 * index] = UInt32(truncatingIfNeeded: argument)
        data[5 + 2 * index] = UInt32(argument >> 32)
    }
    var accumulator: UInt32 = 0
    var counter = 0
    for _ in 0..<10_000 {
        guard program.instructions.indices.contains(counter) else { throw FilterFault(text: "ran off") }
        let instruction = program.instructions[counter]
        let k = UInt32(instruction >> 32)
        let yes = Int(instruction >> 16 & 0xff)
        let no = Int(instruction >> 24 & 0xff)
        counter += 1
        switch instruction & 0xffff {
        case 0x20:
            guard k % 4 == 0, k < 64 else { throw FilterFault(text: "loads at \(k)") }
            accumulator = data[Int(k / 4)]
        case 0x54: accumulator &= k
        case 0x05: counter += Int(k)
        case 0x15: counter += accumulator == k ? yes : no
        case 0x25: counter += accumulator > k ? yes : no
        case 0x35: counter += accumulator >= k ? yes : no
        case 0x06: return k
        default: throw FilterFault(text: "unknown instruction \(instruction & 0xffff)")
        }
    }
    throw FilterFault(text: "does not end")
}

enum Verdicts {
    static let allow: UInt32 = 0x7fff_0000
    static let killProcess: UInt32 = 0x8000_0000
    static let notPermitted: UInt32 = 0x0005_0001
    static let noSystemCall: UInt32 = 0x0005_0026
}
