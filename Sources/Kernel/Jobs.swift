// SPDX-License-Identifier: Apache-2.0
//
// Jobs on a few threads, for what waits for the network or the disk in the client: layers that come at once. The engine
// has none of it (docs/decisions/001).
//
// Whose is what: a job belongs to the thread that took its number; what jobs share is theirs to guard. The caller's
// thread runs `meanwhile` only, and outlives all others.

internal import CLinux
internal import Synchronization

/// What the threads share. A thread owns the job whose number it took from `next`.
private final class JobBoard: Sendable {
    let next = Atomic<Int>(0)
    let count: Int
    let job: @Sendable (Int) -> Void
    /// A thread writes a byte when it ends.
    let ended: SharedFD

    init(_ count: Int, _ ended: SharedFD, _ job: @escaping @Sendable (Int) -> Void) {
        self.count = count
        self.ended = ended
        self.job = job
    }
}

/// Runs the jobs 0 to `count` - 1 in that order on at most `width` threads and returns when all have ended. Until then the
/// caller's thread runs `meanwhile` again and again, `interval` apart.
public func runJobs(
    _ count: Int, width: Int, every interval: Duration, _ job: @escaping @Sendable (Int) -> Void,
    meanwhile: () -> Void
) throws(SyscallError) {
    if count == 0 { return }
    let pipe = try makePipe()
    let (reader, writer) = (SharedFD(pipe.first), SharedFD(pipe.second))
    let board = JobBoard(count, writer, job)
    var threads: [pthread_t] = []
    var failure: SyscallError?
    for _ in 0..<min(count, max(1, width)) {
        var id = pthread_t()
        let context = Unmanaged.passRetained(board)
        let result = pthread_create(&id, nil, runBoard, context.toOpaque())
        if result != 0 {
            context.release()
            failure = SyscallError("pthread_create", Errno(result))
            break
        }
        threads.append(id)
    }
    var left = threads.count
    while left > 0 {
        if (try? waitReadable([reader.raw], atMost: interval)) == [true] {
            var byte: UInt8 = 0
            if (try? retrying("read") { read(reader.raw, &byte, 1) }) == 1 { left -= 1 }
        }
        meanwhile()
    }
    for thread in threads { pthread_join(thread, nil) }
    // Fewer threads do the same work; none do nothing.
    if threads.isEmpty, let failure { throw failure }
}

private func runBoard(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    let board = Unmanaged<JobBoard>.fromOpaque(context).takeRetainedValue()
    while true {
        let number = board.next.add(1, ordering: .relaxed).oldValue
        if number >= board.count { break }
        board.job(number)
    }
    try? writeAll(board.ended.raw, [1])
    return nil
}
