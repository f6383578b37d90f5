// SPDX-License-Identifier: Apache-2.0
//
// `pre_start`: containers that come to their end, well, before a service's container is started. What has ended well is
// not run again for a container that is only started again; a container that is made anew, or of another definition,
// has it all before it. Steps that are not `per_replica` count for all containers of one definition.
//
// The containers of one service take turns, so that each finds what the one before has done. A step outlives the controller
// that began it, as every container does: the next command that wants it done waits for its end.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Planning
internal import Records

/// `pre_start.json` in the container's run directory: gone with the container, and after a reboot.
private struct StepRecord: Codable {
    var done: [Int]
    var bootID: String
}

extension ProjectController {
    /// Starts a container for a plan, after the steps that it still has before it.
    func startAfterSteps(_ container: Container, _ run: PlanRun, _ told: @escaping (Failure?) -> Void) {
        let service = container.reference.service
        guard container.service.hooks?.preStart.isEmpty == false, !container.isLive else {
            return start(container, for: run, told)
        }
        let turn = { [unowned self] in
            runStep(0, before: container, run) { [unowned self] failure in
                preStartTurns[service]?.removeFirst()
                if let next = preStartTurns[service]?.first { next() } else { preStartTurns[service] = nil }
                if let failure { return told(failure) }
                start(container, for: run, told)
            }
        }
        preStartTurns[service, default: []].append(turn)
        if preStartTurns[service]?.count == 1 { turn() }
    }

    private func runStep(
        _ index: Int, before container: Container, _ run: PlanRun, _ told: @escaping (Failure?) -> Void
    ) {
        if run.isCancelled {
            return told(
                Failure(
                    "cannot start container \"\(container.name)\"",
                    cause: "the command was ended meanwhile"))
        }
        let steps = container.service.hooks?.preStart ?? []
        guard index < steps.count else { return told(nil) }
        if isDone(index, perReplica: steps[index].perReplica, for: container, run) {
            return runStep(index + 1, before: container, run, told)
        }
        let name = "\(container.name)-pre-start-\(index + 1)"
        // No service is called so: a colon is in no service's name.
        var service = ServiceRequest(
            name: "pre_start:\(name)", container: steps[index].container,
            configHash: container.service.configHash)
        service.containerName = name
        let reference = ContainerReference(name: name, service: service.name, index: 1)
        let oneOff = OneOff(
            service: container.reference.service, removeAtEnd: true,
            step: OneOff.Step(before: container.name, index: index))
        do throws(Failure) {
            if let other = containers[name], other.reference == reference {
                if other.isLive, other.request == service.container, !other.status.stopRequested {
                    return follow(other, index, before: container, run, told)
                }
                return clear(other) { [unowned self] failure in
                    if let failure { return told(failure) }
                    runStep(index, before: container, run, told)
                }
            }
            let step = try make(reference, service, oneOff, renewsVolumes: true) { () throws(Failure) in
                try ensureNetworking().assignAddresses(
                    [(name, service.container)], external: externalNetworks)
            }
            follow(step, index, before: container, run, told)
            start(step) { [unowned self, unowned step] failure in
                guard let failure else { return }
                discard(step)
                told(failure)
            }
        } catch {
            told(error)
        }
    }

    /// Goes on when the step has ended well.
    private func follow(
        _ step: Container, _ index: Int, before container: Container, _ run: PlanRun,
        _ told: @escaping (Failure?) -> Void
    ) {
        step.onExited.append { [unowned self, unowned step] in
            // One that was never started is told of by its start.
            guard step.status.startedAt != nil else { return }
            guard step.status.end == .exited(0) else {
                return told(
                    withLogs(
                        Failure(
                            "cannot start container \"\(container.name)\": \(step.name) \(endText(step))",
                            advice: "it is `pre_start` of service \"\(container.reference.service)\""),
                        step))
            }
            runStep(index + 1, before: container, run, told)
        }
        run.whenCancelled { [weak self, weak step] in
            if let step { self?.stop(step, timeout: .zero) { _ in } }
        }
    }

    /// Takes a step away that is of another definition, or is being ended.
    private func clear(_ step: Container, _ told: @escaping (Failure?) -> Void) {
        guard step.isLive else {
            do throws(Failure) {
                try remove(step.name)
                told(nil)
            } catch {
                told(error)
            }
            return
        }
        // It is removed when all have heard of its end.
        step.onExited.append { [unowned self] in loop.soon { told(nil) } }
        if !step.status.stopRequested { stop(step, timeout: .zero) { _ in } }
    }

    private func isDone(_ index: Int, perReplica: Bool, for container: Container, _ run: PlanRun) -> Bool {
        if stepsDone(of: container).contains(index) { return true }
        if perReplica { return false }
        return containers.values.contains { other in
            other.reference.service == container.reference.service
                && other.service.configHash == container.service.configHash
                && stepsDone(of: other).contains(index) && !run.removes(other.name)
        }
    }

    private func stepsDone(of container: Container) -> [Int] { stepsDone(container.directories.run) }

    private func stepsDone(_ runDirectory: String) -> [Int] {
        guard let record = try? readRecord(StepRecord.self, runDirectory + "/pre_start.json"),
            record.bootID == bootID
        else { return [] }
        return record.done
    }

    /// A step that has ended well is done, whether or not a command waits for it still.
    func noteStep(_ container: Container) {
        guard let step = container.oneOff?.step, container.status.end == .exited(0),
            container.status.startedAt != nil
        else { return }
        // What came in its place meanwhile has its steps before it again.
        if let own = containers[step.container], own.service.configHash != container.service.configHash {
            return
        }
        let run = directories(of: step.container).run
        guard exists(run) else { return }
        let done = stepsDone(run)
        do throws(Failure) {
            try writeRecord(
                StepRecord(done: done + [step.index], bootID: bootID), run + "/pre_start.json")
        } catch {
            // It is run once more, when the container is started again.
            log("\(error)")
        }
    }
}
