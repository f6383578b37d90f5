// SPDX-License-Identifier: Apache-2.0
//
// A few pieces of work side by side, for clients that build and unpack. The controller has no threads.

internal import CLinux

/// A lock between threads of this process, not recursive.
public final class ThreadLock {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    public init() {
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        changed.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    public func held<Result, E: Error>(_ body: () throws(E) -> Result) throws(E) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Wakes all that wait. Call it with the lock held.
    public func announce() { pthread_cond_broadcast(changed) }

    /// Gives the lock up until something was announced. Call it with the lock held.
    public func awaitNews() { pthread_cond_wait(changed, mutex) }
}

/// Runs `body` on `count` threads, this one among them, with their numbers, and returns when all have ended.
///
/// What the threads share is theirs to guard by a `ThreadLock`. Where no further thread can be made there are fewer.
public func runOnThreads(_ count: Int, _ body: @escaping (_ number: Int) -> Void) {
    var threads: [pthread_t] = []
    for number in 1..<max(1, count) {
        let start = Unmanaged.passRetained(ThreadStart(number, body))
        var id = pthread_t()
        if pthread_create(&id, nil, threadMain, start.toOpaque()) == 0 {
            threads.append(id)
        } else {
            start.release()
        }
    }
    body(0)
    for thread in threads { pthread_join(thread, nil) }
}

/// Carries out the jobs 0 to `count` - 1 in that order on at most `width` threads, this one among them. Once a job has
/// thrown no other is begun; those under way end first.
///
/// What the jobs share is theirs to guard by a `ThreadLock`.
/// - Throws: what the first of the jobs that threw did.
public func runJobs<Problem: Error>(
    _ count: Int, width: Int, _ job: @escaping (_ number: Int) throws(Problem) -> Void
) throws(Problem) {
    let lock = ThreadLock()
    var next = 0
    var problems: [(number: Int, problem: Problem)] = []
    func nextJob() -> Int? {
        lock.held {
            guard next < count, problems.isEmpty else { return nil }
            next += 1
            return next - 1
        }
    }
    runOnThreads(min(count, width)) { _ in
        while let number = nextJob() {
            do throws(Problem) { try job(number) } catch {
                lock.held { problems.append((number, error)) }
            }
        }
    }
    if let first = problems.min(by: { $0.number < $1.number }) { throw first.problem }
}

/// A thread that runs to its end and is waited for.
public final class JoinableThread {
    private var id = pthread_t()

    /// nil when no thread can be made.
    public init?(_ body: @escaping () -> Void) {
        let start = Unmanaged.passRetained(ThreadStart(0) { _ in body() })
        if pthread_create(&id, nil, threadMain, start.toOpaque()) != 0 {
            start.release()
            return nil
        }
    }

    public func join() { pthread_join(id, nil) }
}

private final class ThreadStart {
    let number: Int
    let body: (Int) -> Void
    init(_ number: Int, _ body: @escaping (Int) -> Void) { (self.number, self.body) = (number, body) }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
    start.body(start.number)
    return nil
}

/// Processors that are switched on; sysconf(3).
public func availableProcessors() -> Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
