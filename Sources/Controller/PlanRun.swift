// SPDX-License-Identifier: Apache-2.0
//
// PlanRun: one plan being executed. It decides nothing but the order: an operation starts when all it depends on is
// done; independent ones run side by side, because their effects happen in children of the keeper and in the kernel.
// One operation is started per turn of the loop, so that news of earlier ones are served in between.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import Planning

final class PlanRun {
    enum State {
        case waiting
        case running
        case done
        case failed
        case skipped
    }

    /// What was asked for, where its operations alone do not tell.
    enum Occasion {
        case other
        /// Nothing is started: `create`, `up --no-start`.
        case creation
        /// What starts was restarted.
        case restart
        /// What stops was told to by somebody, and rests (RestingContainers.swift).
        case stop
    }

    let plan: Plan
    /// Teardown goes on after a failure and reports all; a bring-up starts nothing more.
    let goesOn: Bool
    /// A container that is recreated begins with new anonymous volumes.
    var renewsVolumes = false
    /// Batches of updates that are being looked at.
    var looks: [UpdateLook] = []
    /// Of updates: containers that did not start, and why.
    var failedStarts: [String: Failure] = [:]
    /// Containers that failed, by service.
    var failedUpdates: [String: Set<String>] = [:]
    /// Services whose update failed and shall be undone.
    var rollsBack: Set<String> = []
    var occasion = Occasion.other
    /// Tells who asked for it something beside its progress.
    var say: (String) -> Void = { _ in }
    private(set) var states: [State]
    private(set) var failures: [Failure] = []
    private var cancelled: Failure?
    private var onCancel: [() -> Void] = []
    private var dependants: [[Int]]
    private var missing: [Int]
    private var ready: [Int]
    private let loop: EventLoop
    private var scheduled = false
    private(set) var isFinished = false
    private let execute: (PlanRun, Int) -> Void
    private let progress: (Int, OperationState) -> Void
    private let completion: (Failure?) -> Void

    init(
        _ plan: Plan, goesOn: Bool, loop: EventLoop, execute: @escaping (PlanRun, Int) -> Void,
        progress: @escaping (Int, OperationState) -> Void, completion: @escaping (Failure?) -> Void
    ) {
        self.plan = plan
        self.goesOn = goesOn
        self.loop = loop
        self.execute = execute
        self.progress = progress
        self.completion = completion
        states = Array(repeating: .waiting, count: plan.nodes.count)
        dependants = Array(repeating: [], count: plan.nodes.count)
        missing = plan.nodes.map(\.dependencies.count)
        ready = plan.nodes.indices.filter { plan.nodes[$0].dependencies.isEmpty }
        for (index, node) in plan.nodes.enumerated() {
            for dependency in node.dependencies { dependants[dependency].append(index) }
        }
        // Taken from the end.
        ready.reverse()
    }

    /// Goes on; called after whatever may have changed something.
    func advance() {
        guard !scheduled, !isFinished else { return }
        scheduled = true
        loop.soon { [weak self] in self?.step() }
    }

    private func step() {
        scheduled = false
        guard !isFinished else { return }
        if let index = ready.popLast() {
            states[index] = .running
            linux_fault_operation()
            progress(index, .started)
            execute(self, index)
            advance()
        } else if !states.contains(.running) {
            finish()
        }
    }

    private func finish() {
        isFinished = true
        if let cancelled { failures.append(cancelled) }
        completion(Failure.collect(failures))
    }

    /// An operation has come to its end.
    func finish(_ index: Int, _ failure: Failure?) {
        guard states[index] == .running else { return }
        states[index] = failure == nil ? .done : .failed
        linux_fault_operation()
        progress(index, failure == nil ? .finished : .failed)
        if let failure { failures.append(failure) }
        if failure != nil && !goesOn {
            stopStarting()
        } else {
            for next in dependants[index] where states[next] == .waiting { release(next) }
        }
        advance()
    }

    /// It came to nothing, and nobody depends on that it did: what waits for it goes on, and who looks on is not told that
    /// it is as was hoped.
    func giveUp(_ index: Int) {
        guard states[index] == .running else { return }
        states[index] = .failed
        progress(index, .failed)
        for next in dependants[index] where states[next] == .waiting { release(next) }
        advance()
    }

    private func release(_ index: Int) {
        missing[index] -= 1
        // Depth first: a container that was created is started next, so that its child works while others are created.
        if missing[index] == 0 { ready.append(index) }
    }

    var isCancelled: Bool { cancelled != nil }

    /// Ends what only this run waits for, when it is cancelled, or at once when it was.
    func whenCancelled(_ end: @escaping () -> Void) {
        if cancelled == nil { onCancel.append(end) } else { end() }
    }

    /// Starts nothing more; what runs comes to its end.
    func cancel(_ reason: Failure) {
        guard !isFinished, cancelled == nil else { return }
        cancelled = reason
        stopStarting()
        let ends = onCancel
        onCancel = []
        for end in ends { end() }
        advance()
    }

    private func stopStarting() {
        ready = []
        for index in states.indices where states[index] == .waiting { states[index] = .skipped }
        // Waiting for a condition is no effect; it ends with the run.
        for (index, node) in plan.nodes.enumerated() where states[index] == .running {
            if !node.operation.changesSomething { states[index] = .skipped }
        }
    }

    /// Whether another operation waits for this one.
    func isWaitedFor(_ index: Int) -> Bool { !dependants[index].isEmpty }

    /// Whether the container is one of an update's new ones.
    func updates(_ name: String) -> Bool {
        plan.nodes.contains { node in
            if case .settleUpdate(let batch) = node.operation { return batch.containers.contains(name) }
            return false
        }
    }

    /// Whether the container is still to go.
    func removes(_ name: String) -> Bool {
        plan.nodes.enumerated().contains { index, node in
            guard states[index] == .waiting || states[index] == .running,
                case .removeContainer(let container) = node.operation
            else { return false }
            return container.name == name
        }
    }

    /// The conditions that are being waited for.
    var awaited: [(index: Int, service: String, condition: DependencyRequest.Condition, required: Bool)] {
        plan.nodes.enumerated().compactMap { index, node in
            guard states[index] == .running,
                case .awaitCondition(let service, let condition, let required) = node.operation
            else { return nil }
            return (index, service, condition, required)
        }
    }
}
