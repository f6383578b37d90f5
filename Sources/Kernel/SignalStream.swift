// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// Signals as a descriptor to poll (signalfd(2)); they stay blocked for the process's life, so that none is lost
/// between two reads.
public final class SignalStream {
    private let fd: OwnedFD

    /// Blocks the signals and delivers them here from now on.
    public init(_ signals: [Int32]) throws(SyscallError) {
        try retrying("sigprocmask") { linux_block_signals(signals, Int32(signals.count)) }
        fd = OwnedFD(
            taking: try retrying("signalfd") {
                linux_signalfd(signals, Int32(signals.count), Int32(0o2000000 | 0o4000))
            })
    }

    /// For poll(2).
    public var raw: Int32 { fd.raw }

    /// The next signal that waits; nil when none does.
    public func next() -> Int32? {
        var info = signalfd_siginfo()
        let raw = fd.raw
        let count = read(raw, &info, MemoryLayout<signalfd_siginfo>.size)
        return count == MemoryLayout<signalfd_siginfo>.size ? Int32(info.ssi_signo) : nil
    }
}
