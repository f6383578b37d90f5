// SPDX-License-Identifier: Apache-2.0
//
// EventLoop: one thread, one epoll, handlers and timers. Level-triggered, so a handler that leaves data unread is
// called again. Everything of a loop belongs to the thread that runs it; the class is not Sendable on purpose.

internal import CLinux

/// An epoll(7) loop with monotonic timers.
public final class EventLoop {
    public struct Events: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Events(rawValue: 0x001)
        public static let priority = Events(rawValue: 0x002)
        public static let writable = Events(rawValue: 0x004)
        /// Always reported, never asked for.
        public static let error = Events(rawValue: 0x008)
        public static let hangup = Events(rawValue: 0x010)
    }

    public struct Timer: Hashable, Sendable { fileprivate let number: UInt64 }

    private struct Watch {
        let generation: UInt32
        let handler: (Events) -> Void
    }

    private let epoll: OwnedFD
    private var watches: [Int32: Watch] = [:]
    private var nextGeneration: UInt32 = 0
    private var timers: [UInt64: (due: Int64, action: () -> Void)] = [:]
    private var nextTimer: UInt64 = 0
    private var deferred: [() -> Void] = []
    private var idle: [() -> Void] = []
    private var stopped = false
    private var readyEvents = [UInt32](repeating: 0, count: 64)
    private var readyData = [UInt64](repeating: 0, count: 64)

    public init() throws(SyscallError) {
        epoll = OwnedFD(taking: try retrying("epoll_create1") { linux_epoll_create1(0o2000000) })
    }

    /// Calls `handler` whenever the descriptor is ready; replaces an earlier watch. The descriptor stays the caller's
    /// and must be unwatched before it is closed.
    public func watch(_ fd: Int32, _ events: Events = .readable, _ handler: @escaping (Events) -> Void)
        throws(SyscallError)
    {
        nextGeneration &+= 1
        let operation = watches[fd] == nil ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
        let data = UInt64(nextGeneration) << 32 | UInt64(UInt32(bitPattern: fd))
        try retrying("epoll_ctl") { linux_epoll_ctl(epoll.raw, operation, fd, events.rawValue, data) }
        watches[fd] = Watch(generation: nextGeneration, handler: handler)
    }

    public func unwatch(_ fd: Int32) {
        guard watches.removeValue(forKey: fd) != nil else { return }
        _ = linux_epoll_ctl(epoll.raw, EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Runs `action` once after `delay` of monotonic time; one that is longer than the clock can say never comes.
    @discardableResult
    public func after(_ delay: Duration, _ action: @escaping () -> Void) -> Timer {
        nextTimer += 1
        let (due, isBeyond) = monotonicNanoseconds().addingReportingOverflow(max(0, delay.nanoseconds))
        timers[nextTimer] = (isBeyond ? .max : due, action)
        return Timer(number: nextTimer)
    }

    public func cancel(_ timer: Timer) { timers.removeValue(forKey: timer.number) }

    /// Runs `action` when the current round of handlers is through.
    public func soon(_ action: @escaping () -> Void) { deferred.append(action) }

    /// Runs `action` once when nothing is left to do at once, before the loop waits.
    public func beforeWaiting(_ action: @escaping () -> Void) { idle.append(action) }

    public func stop() { stopped = true }

    /// Runs handlers until `stop`.
    public func run() throws(SyscallError) {
        while !stopped { try turn(waitingAtMost: nil) }
        for action in idle { action() }
        idle = []
    }

    /// One round: waits for the first readiness or timer, at most for `limit`, and runs what is due.
    public func turn(waitingAtMost limit: Duration?) throws(SyscallError) {
        if deferred.isEmpty, !idle.isEmpty {
            let actions = idle
            idle = []
            for action in actions { action() }
        }
        var wait = limit.map { $0.nanoseconds }
        if let due = timers.values.map(\.due).min() {
            wait = min(wait ?? .max, max(0, due - monotonicNanoseconds()))
        }
        if !deferred.isEmpty { wait = 0 }
        // Rounded up: a timer must not find itself early and spin.
        let milliseconds = wait.map { Int32(clamping: $0 / 1_000_000 + ($0 % 1_000_000).signum()) } ?? -1
        let count = try retrying("epoll_wait") {
            linux_epoll_wait(epoll.raw, &readyEvents, &readyData, 64, milliseconds)
        }
        let found = (0..<Int(count)).map { i in
            (
                Int32(bitPattern: UInt32(truncatingIfNeeded: readyData[i])),
                UInt32(truncatingIfNeeded: readyData[i] >> 32), Events(rawValue: readyEvents[i])
            )
        }
        for (fd, generation, events) in found {
            // A handler before may have closed the descriptor, and its number may be another's by now.
            if let watch = watches[fd], watch.generation == generation { watch.handler(events) }
        }
        let now = monotonicNanoseconds()
        for (number, timer) in timers.filter({ $0.value.due <= now }).sorted(by: {
            $0.value.due < $1.value.due
        })
        where timers.removeValue(forKey: number) != nil {
            timer.action()
        }
        let actions = deferred
        deferred = []
        for action in actions { action() }
    }
}
