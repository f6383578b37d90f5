// SPDX-License-Identifier: Apache-2.0
//
// What this process may do, capabilities(7), and on which kernel: asked by system calls, which cost a fiftieth of reading the
// same out of /proc. What the bits are called is SeccompCompiler's.

internal import CLinux

/// The capabilities this process can use; bit n is capability n of linux/capability.h.
public func effectiveCapabilitySet() throws(SyscallError) -> UInt64 {
    var set: UInt64 = 0
    guard linux_effective_capabilities(&set) == 0 else { throw SyscallError("capget", Errno(linux_errno())) }
    return set
}

/// The capabilities an execve(2) of this process can gain.
public func boundingCapabilitySet() -> UInt64 { linux_bounding_capabilities() }

/// The running kernel's release, `6.12.9-amd64`; uname(2).
public func kernelRelease() -> String {
    var text = [CChar](repeating: 0, count: 65)
    linux_release(&text, text.count)
    return text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
