// SPDX-License-Identifier: Apache-2.0
//
// Decompressing and hashing on a second thread while the first one writes files: a layer then takes as long as the
// slower of the two, not both.
//
// Whose is what: the source and everything behind it belong to the thread from the first `next()` on until it was
// joined. The ring of buffers is shared under the mutex; a full buffer is the consumer's, an empty one the thread's.

internal import CLinux

/// Reads a stream ahead of its consumer, by up to `depth` chunks.
public final class ReadAhead: ByteSource {
    private let state: UnsafeMutablePointer<State>
    private var thread: pthread_t?
    /// The buffer the consumer holds, given back with the next call.
    private var holds = false

    fileprivate struct State {
        var mutex = pthread_mutex_t()
        var changed = pthread_cond_t()
        let source: any ByteSource
        let buffers: [UnsafeMutableRawBufferPointer]
        var counts: [Int]
        /// Chunks ready, and where the first of them is.
        var ready = 0
        var first = 0
        var ended = false
        var cancelled = false
        var failure: ArchiveError?
    }

    private static let depth = 8
    private static let chunk = 256 << 10

    /// - source: no chunk of it may be larger than 256 KiB, and nobody else may touch it before this was drained.
    public init(_ source: any ByteSource) {
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                source: source,
                buffers: (0..<ReadAhead.depth).map { _ in .allocate(byteCount: ReadAhead.chunk, alignment: 64)
                },
                counts: Array(repeating: 0, count: ReadAhead.depth)))
        pthread_mutex_init(&state.pointee.mutex, nil)
        pthread_cond_init(&state.pointee.changed, nil)
    }

    deinit {
        stop()
        pthread_cond_destroy(&state.pointee.changed)
        pthread_mutex_destroy(&state.pointee.mutex)
        for buffer in state.pointee.buffers { buffer.deallocate() }
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Ends and joins the thread; what it took from the source is then the caller's again.
    public func stop() {
        guard let running = thread else { return }
        pthread_mutex_lock(&state.pointee.mutex)
        state.pointee.cancelled = true
        pthread_cond_signal(&state.pointee.changed)
        pthread_mutex_unlock(&state.pointee.mutex)
        pthread_join(running, nil)
        thread = nil
    }

    public func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        if thread == nil, !state.pointee.ended { try start() }
        pthread_mutex_lock(&state.pointee.mutex)
        if holds {
            holds = false
            state.pointee.first = (state.pointee.first + 1) % ReadAhead.depth
            state.pointee.ready -= 1
            pthread_cond_signal(&state.pointee.changed)
        }
        while state.pointee.ready == 0, !state.pointee.ended {
            pthread_cond_wait(&state.pointee.changed, &state.pointee.mutex)
        }
        let (ready, failure) = (state.pointee.ready, state.pointee.failure)
        let (buffer, count) = (
            state.pointee.buffers[state.pointee.first], state.pointee.counts[state.pointee.first]
        )
        pthread_mutex_unlock(&state.pointee.mutex)
        if ready > 0 {
            holds = true
            return UnsafeRawBufferPointer(rebasing: buffer[..<count])
        }
        if let failure { throw failure }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func start() throws(ArchiveError) {
        var id = pthread_t()
        let result = pthread_create(&id, nil, readAhead, state)
        guard result == 0 else { throw .system(.init("pthread_create", .init(result))) }
        thread = id
    }
}

/// The thread: fills empty buffers until the stream ends, fails, or nobody wants more.
private func readAhead(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let state = argument?.assumingMemoryBound(to: ReadAhead.State.self) else { return nil }
    var slot = 0
    while true {
        pthread_mutex_lock(&state.pointee.mutex)
        while state.pointee.ready == state.pointee.buffers.count, !state.pointee.cancelled {
            pthread_cond_wait(&state.pointee.changed, &state.pointee.mutex)
        }
        let cancelled = state.pointee.cancelled
        pthread_mutex_unlock(&state.pointee.mutex)
        if cancelled { return nil }
        var count = 0
        var failure: ArchiveError?
        do throws(ArchiveError) {
            let chunk = try state.pointee.source.next()
            precondition(chunk.count <= state.pointee.buffers[slot].count)
            state.pointee.buffers[slot].copyMemory(from: chunk)
            count = chunk.count
        } catch {
            failure = error
        }
        pthread_mutex_lock(&state.pointee.mutex)
        if count > 0 {
            state.pointee.counts[slot] = count
            state.pointee.ready += 1
        } else {
            state.pointee.ended = true
            state.pointee.failure = failure
        }
        pthread_cond_signal(&state.pointee.changed)
        pthread_mutex_unlock(&state.pointee.mutex)
        if count == 0 { return nil }
        slot = (slot + 1) % state.pointee.buffers.count
    }
}
