// SPDX-License-Identifier: Apache-2.0
//
// HealthMonitor: the health check of one running container, as Docker defines it: the first probe after the start
// interval while there is a start period, else after the interval; a failure within the start period doesn't count;
// `retries` failures in a row are unhealthy; one success is healthy.

internal import Basics
internal import ContainerModel
internal import Kernel

final class HealthMonitor {
    let check: HealthcheckRequest
    private(set) var state = ContainerStatus.Health.starting
    /// At most 4 KiB of the last failed probe's output.
    private(set) var lastOutput: String?
    /// The same as a cause; nil before a probe has failed.
    var lastWords: String? {
        lastOutput.map { $0.isEmpty ? "its check said nothing" : "its check said: \($0)" }
    }
    private var failures = 0
    private let startedAt: Int64
    private let loop: EventLoop
    private var timer: EventLoop.Timer?
    private var stopped = false
    /// Starts a probe; gives its success and output to the closure, once: nil when nobody can tell, and it is tried again.
    private let probe: (@escaping (Bool?, String) -> Void) -> Void
    private let changed: () -> Void
    /// True while the container is paused: it is not asked, and keeps the health it had.
    var isSuspended: () -> Bool = { false }

    init(
        _ check: HealthcheckRequest, startedAt: Int64, atOnce: Bool = false, loop: EventLoop,
        probe: @escaping (@escaping (Bool?, String) -> Void) -> Void, changed: @escaping () -> Void
    ) {
        self.check = check
        self.startedAt = startedAt
        self.loop = loop
        self.probe = probe
        self.changed = changed
        if atOnce {
            timer = loop.after(.zero) { [weak self] in self?.run() }
        } else {
            schedule()
        }
    }

    func stop() {
        stopped = true
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    private var inStartPeriod: Bool {
        state == .starting && monotonicNanoseconds() - startedAt < check.startPeriod.nanoseconds
    }

    private func schedule() {
        timer = loop.after(inStartPeriod ? check.startInterval : check.interval) { [weak self] in self?.run()
        }
    }

    private func run() {
        timer = nil
        if isSuspended() { return schedule() }
        probe { [weak self] success, output in
            guard let self, !self.stopped else { return }
            // Paused in the middle of it, it could not answer.
            if let success, !self.isSuspended() { self.note(success, output) }
            self.schedule()
        }
    }

    private func note(_ success: Bool, _ output: String) {
        let before = state
        if success {
            failures = 0
            lastOutput = nil
            state = .healthy
        } else {
            lastOutput = output
            if !inStartPeriod {
                failures += 1
                if failures >= max(1, check.retries) { state = .unhealthy }
            }
        }
        if state != before { changed() }
    }
}
