// SPDX-License-Identifier: Apache-2.0
//
// PendingInput: what a user typed or pasted, on its way to a program that need not read it now, or ever. It is written
// without waiting: a program may read no more input until somebody reads its output, and who waits for the one does not do
// the other. What the program does not take stays here up to a bound; then the user's input is to be read no further.
//
// Relies on the target being non-blocking. Whose the target is, and what its end means, is left to the caller.

internal import CLinux

public struct PendingInput {
    /// More than anybody types: keys that are looked for in the input count though the program reads nothing.
    public static let bound = 64 << 10

    private var bytes: [UInt8] = []
    /// How many of them were written.
    private var done = 0

    public init() {}

    public var isEmpty: Bool { done == bytes.count }
    /// Nothing more is to be read until some was written.
    public var isFull: Bool { bytes.count - done >= Self.bound }

    public mutating func append(_ more: some Sequence<UInt8>) { bytes += more }

    /// Takes what can be read of the source at once; false at its end.
    public mutating func read(from source: Int32) -> Bool {
        guard let more = readAvailable(source) else { return false }
        append(more)
        return true
    }

    /// Writes what the target takes now. What nobody is left to read is forgotten.
    public mutating func write(to target: Int32) {
        while !isEmpty {
            let count = bytes.withUnsafeBytes {
                CLinux.write(target, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            if count > 0 {
                done += count
            } else if count == 0 || linux_errno() == EAGAIN {
                // A terminal that the program has closed takes some all the same, and poll(2) would call it ready for ever.
                if !isHungUp(target) { break }
                done = bytes.count
            } else if linux_errno() != EINTR {
                done = bytes.count
            }
        }
        // Not each time: a terminal takes small pieces, and every one would move all that follow it.
        if isEmpty || done >= Self.bound {
            bytes.removeFirst(done)
            done = 0
        }
    }
}

/// Nobody holds the other side (poll(2), POLLHUP).
private func isHungUp(_ fd: Int32) -> Bool {
    var entry = pollfd(fd: fd, events: 0, revents: 0)
    return poll(&entry, 1, 0) > 0 && Int32(entry.revents) & POLLHUP != 0
}

/// What can be read at once, up to 32 KiB; nil at the end. A terminal's master ends with EIO when nobody holds the other
/// side, a terminal when its master is gone.
public func readAvailable(_ source: Int32) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 32 << 10)
    let count = read(source, &buffer, buffer.count)
    if count < 0 { return [EINTR, EAGAIN].contains(linux_errno()) ? [] : nil }
    return count == 0 ? nil : Array(buffer[..<count])
}
