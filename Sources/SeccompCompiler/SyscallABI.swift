// SPDX-License-Identifier: Apache-2.0
//
// The calling conventions a kernel serves side by side: the native one and its 32-bit sibling.

/// One convention: the value the kernel reports as architecture, and its numbers.
struct SyscallABI {
    /// AUDIT_ARCH_*, linux/audit.h.
    let audit: UInt32
    /// Numbers ascend through all of them.
    let tables: [SyscallNumbers.Table]
    let hasX32: Bool

    /// From here on numbers are an architecture's own and say nothing about age; asm/unistd.h, __ARM_NR_BASE.
    static let firstPrivate: UInt32 = 0x0f_0000

    init(audit: UInt32, _ tables: [SyscallNumbers.Table], hasX32: Bool = false) {
        self.audit = audit
        self.tables = tables
        self.hasX32 = hasX32
    }
}

extension SeccompArchitecture {
    /// The native one first: it is asked first.
    var abis: [SyscallABI] {
        let common = SyscallNumbers.common
        switch self {
        case .x86_64:
            return [
                SyscallABI(audit: 0xc000_003e, [SyscallNumbers.x86_64, common], hasX32: true),
                SyscallABI(audit: 0x4000_0003, [SyscallNumbers.i386, common]),
            ]
        case .aarch64:
            return [
                SyscallABI(audit: 0xc000_00b7, [SyscallNumbers.aarch64, common]),
                SyscallABI(audit: 0x4000_0028, [SyscallNumbers.arm, common, SyscallNumbers.armPrivate]),
            ]
        }
    }
}
