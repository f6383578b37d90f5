// SPDX-License-Identifier: Apache-2.0
//
// The calling conventions a kernel serves side by side: the native one and its 32-bit sibling.

/// One convention: the value the kernel reports as architecture, and its numbers.
struct SyscallABI {
    /// AUDIT_ARCH_*, linux/audit.h.
    let audit: UInt32
    /// nil: known, but not served.
    let numbers: Numbers?

    struct Numbers {
        fileprivate let own: [String: UInt16]
        fileprivate let common: [String: UInt16]
        let hasX32: Bool

        subscript(name: String) -> Int? {
            (own[name] ?? common[name]).map(Int.init)
        }
    }
}

extension SeccompArchitecture {
    /// The native one first: it is asked first.
    var abis: [SyscallABI] {
        let common = SyscallNumbers.common
        switch self {
        case .x86_64:
            return [
                SyscallABI(
                    audit: 0xc000_003e,
                    numbers: .init(own: SyscallNumbers.x86_64, common: common, hasX32: true)),
                SyscallABI(
                    audit: 0x4000_0003,
                    numbers: .init(own: SyscallNumbers.i386, common: common, hasX32: false)),
            ]
        case .aarch64:
            return [
                SyscallABI(
                    audit: 0xc000_00b7,
                    numbers: .init(own: SyscallNumbers.aarch64, common: common, hasX32: false)),
                SyscallABI(audit: 0x4000_0028, numbers: nil),
            ]
        }
    }
}
