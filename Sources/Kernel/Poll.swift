// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// Which of the descriptors can be read, or have ended: poll(2) for readability. Negative ones are skipped.
/// - Parameters:
///   - target: the wait is over as well when this takes bytes, or has ended; a write that doesn't wait tells.
///   - limit: how long to wait; nil waits for ever. Nothing is ready when it passed.
public func waitReadable(
    _ descriptors: [Int32], orWritable target: Int32 = -1, atMost limit: Duration?
) throws(SyscallError) -> [Bool] {
    var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    entries.append(pollfd(fd: target, events: Int16(POLLOUT), revents: 0))
    let deadline = limit.map {
        let (moment, overflow) = monotonicNanoseconds().addingReportingOverflow(max(0, $0.nanoseconds))
        return overflow ? Int64.max : moment
    }
    while true {
        // Rounded up: a wait must not end early and spin.
        let milliseconds = deadline.map {
            Int32(clamping: (min(max(0, $0 - monotonicNanoseconds()), .max - 999_999) + 999_999) / 1_000_000)
        }
        let count = poll(&entries, UInt(entries.count), milliseconds ?? -1)
        if count >= 0 { return entries.dropLast().map { $0.revents != 0 } }
        let code = linux_errno()
        if code != EINTR { throw SyscallError("poll", Errno(code)) }
    }
}

/// Waits until the descriptor takes bytes.
public func waitWritable(_ fd: Int32) throws(SyscallError) {
    var entry = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
    try retrying("poll") { poll(&entry, 1, -1) }
}
