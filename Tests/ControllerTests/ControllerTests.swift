// SPDX-License-Identifier: Apache-2.0
//
// The order in which a plan is carried out, what a failure and a cancellation leave undone, and the health monitor's
// verdicts on a real event loop.

import Basics
import ContainerModel
import Glibc
import Kernel
import Planning
import Testing

@testable private import Controller

/// Runs a loop until something is true, at most for ten seconds.
func turn(_ loop: EventLoop, until done: () -> Bool) throws {
    let deadline = monotonicNanoseconds() + 10_000_000_000
    while !done(), monotonicNanoseconds() < deadline { try loop.turn(waitingAtMost: .milliseconds(20)) }
}

/// A plan of volumes `0`, `1`… with these dependencies.
private func plan(_ dependencies: [[Int]], waiting: Set<Int> = []) -> Plan {
    Plan(
        project: "test",
        nodes: dependencies.enumerated().map { index, own in
            let operation: Planning.Operation =
                waiting.contains(index)
                ? .awaitCondition(service: "\(index)", condition: .healthy, required: true)
                : .removeVolume(name: "\(index)")
            return Plan.Node(operation: operation, reason: "test", dependencies: own)
        })
}

@Suite("a plan being carried out")
struct PlanRunTests {
    /// Carries a plan out; `failing` fail, `later` end only when nothing else can go on.
    private func carryOut(
        _ plan: Plan, goesOn: Bool, failing: Set<Int> = [], later: Set<Int> = []
    ) throws -> (order: [Int], failure: Failure?) {
        let loop = try EventLoop()
        var order: [Int] = []
        var ended = false
        var failure: Failure?
        let run = PlanRun(
            plan, goesOn: goesOn, loop: loop,
            execute: { run, index in
                order.append(index)
                let failure = failing.contains(index) ? Failure("step \(index)") : nil
                if later.contains(index) {
                    loop.after(.milliseconds(5)) { run.finish(index, failure) }
                } else {
                    run.finish(index, failure)
                }
            }, progress: { _, _ in },
            completion: {
                failure = $0
                ended = true
            })
        run.advance()
        try turn(loop) { ended }
        #expect(ended)
        return (order, failure)
    }

    @Test("nothing starts before what it depends on is done")
    func order() throws {
        let (order, failure) = try carryOut(
            plan([[], [], [0], [1, 2], []]), goesOn: false, later: [0, 2])
        #expect(failure == nil)
        #expect(order.sorted() == [0, 1, 2, 3, 4])
        #expect(order.filter { [0, 2, 3].contains($0) } == [0, 2, 3])
        #expect(order.last == 3)
    }

    @Test("what hangs on nothing starts while others are under way")
    func independent() throws {
        let (order, _) = try carryOut(plan([[], [], []]), goesOn: false, later: [0, 1, 2])
        #expect(order == [0, 1, 2])
    }

    @Test("a bring-up starts nothing after a failure, and tells it")
    func failure() throws {
        let (order, failure) = try carryOut(plan([[], [0], []]), goesOn: false, failing: [0], later: [])
        #expect(order == [0])
        #expect(failure?.doing == "step 0")
    }

    @Test("a teardown goes on after failures and tells all")
    func teardown() throws {
        let (order, failure) = try carryOut(plan([[], [0], [1]]), goesOn: true, failing: [0, 2])
        #expect(order == [0, 1, 2])
        #expect(failure?.flattened.map(\.doing) == ["step 0", "step 2"])
    }

    @Test("an empty plan ends")
    func empty() throws {
        #expect(try carryOut(plan([]), goesOn: false).failure == nil)
    }

    @Test("a cancelled run gives up its waits at once and lets effects come to their end")
    func cancelled() throws {
        let loop = try EventLoop()
        var ended = false
        var told: Failure?
        var begun: [Int] = []
        let run = PlanRun(
            plan([[], [], [0], [1]], waiting: [0]), goesOn: false, loop: loop,
            execute: { _, index in begun.append(index) }, progress: { _, _ in },
            completion: {
                told = $0
                ended = true
            })
        run.advance()
        try turn(loop) { begun.count == 2 }
        run.cancel(Failure("another came"))
        for _ in 0..<5 { try loop.turn(waitingAtMost: .zero) }
        #expect(!ended)
        run.finish(1, nil)
        try turn(loop) { ended }
        #expect(begun == [0, 1])
        #expect(told?.flattened.map(\.doing) == ["another came"])
    }
}

@Suite("the health of a container")
struct HealthMonitorTests {
    /// The states a monitor goes through while its probes end so.
    private func states(_ check: HealthcheckRequest, probes: [Bool]) throws -> [ContainerStatus.Health] {
        let loop = try EventLoop()
        var left = probes[...]
        var seen: [ContainerStatus.Health] = []
        var monitor: HealthMonitor?
        let own = HealthMonitor(
            check, startedAt: monotonicNanoseconds(), loop: loop,
            probe: { told in
                guard let next = left.popFirst() else { return }
                loop.soon { told(next, next ? "" : "no") }
            }, changed: { if let monitor { seen.append(monitor.state) } })
        monitor = own
        try turn(loop) { left.isEmpty }
        for _ in 0..<5 { try loop.turn(waitingAtMost: .milliseconds(5)) }
        own.stop()
        return seen
    }

    private func check(retries: Int, startPeriod: Duration = .zero) -> HealthcheckRequest {
        HealthcheckRequest(
            command: ["true"], interval: .milliseconds(1), timeout: .seconds(1), retries: retries,
            startPeriod: startPeriod, startInterval: .milliseconds(1))
    }

    @Test("one success is healthy, as many failures in a row as retries are unhealthy")
    func verdicts() throws {
        #expect(
            try states(check(retries: 2), probes: [true, false, true, false, false, true]) == [
                .healthy, .unhealthy, .healthy,
            ])
    }

    @Test("a failure in the start period does not count")
    func startPeriod() throws {
        #expect(
            try states(check(retries: 1, startPeriod: .seconds(100)), probes: [false, false, false]).isEmpty)
        #expect(
            try states(check(retries: 1, startPeriod: .seconds(100)), probes: [false, true, false])
                == [.healthy, .unhealthy])
    }

    @Test("a stopped monitor says nothing more")
    func stopped() throws {
        let loop = try EventLoop()
        var answers: [(Bool, String) -> Void] = []
        var changes = 0
        let monitor = HealthMonitor(
            check(retries: 1), startedAt: 0, atOnce: true, loop: loop, probe: { answers.append($0) },
            changed: { changes += 1 })
        try turn(loop) { !answers.isEmpty }
        monitor.stop()
        answers.first?(true, "")
        #expect(changes == 0 && monitor.state == .starting)
    }
}

@Suite("control socket")
struct ControlChannelTests {
    @Test("what a client decodes ahead is of the form events have")
    func rehearsed() { #expect(rehearsal?.count == 3) }

    @Test("descriptors come with the frame they were sent with, also when one read brings several frames")
    func descriptors() throws {
        var fds: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, 1, 0, &fds) == 0)  // SOCK_STREAM
        let (sender, receiver) = (
            ControlChannel(OwnedFD(taking: fds[0])), ControlChannel(OwnedFD(taking: fds[1]))
        )
        try sender.send(json: "first")
        try sender.send(json: "second", descriptors: [0, 1])
        try sender.send(json: "third")
        var counts: [Int] = []
        for _ in 0..<3 { counts.append(try receiver.next()?.descriptors.count ?? -1) }
        #expect(counts == [0, 2, 0])
    }
}
