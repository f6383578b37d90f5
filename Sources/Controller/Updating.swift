// SPDX-License-Identifier: Apache-2.0
//
// A rolling update at work: after each batch the new containers are looked at, as long as `monitor` says; one that ends,
// is restarted or becomes unhealthy has failed. Too many failures end the update; with `failure_action: rollback` what
// was there before is brought up again, by `rollback_config`.

internal import Basics
internal import ContainerModel
internal import JSONFormat
internal import Kernel
internal import Planning

/// The look at one batch.
final class UpdateLook {
    let batch: UpdateBatch
    let index: Int
    /// `monitor` has passed.
    var isOver = false
    init(_ batch: UpdateBatch, _ index: Int) {
        self.batch = batch
        self.index = index
    }
}

extension ProjectController {
    func beginLook(_ batch: UpdateBatch, _ index: Int, of run: PlanRun) {
        let look = UpdateLook(batch, index)
        let policy = desired?.services[batch.service]?.update ?? UpdateRequest()
        run.looks.append(look)
        if policy.monitor > .zero {
            loop.after(policy.monitor) { [weak self] in
                look.isOver = true
                self?.checkLooks()
            }
        } else {
            look.isOver = true
        }
        checkLooks()
    }

    /// Ends the looks that are through.
    func checkLooks() {
        guard let run else { return }
        for look in run.looks {
            let found = look.batch.containers.compactMap { name in trouble(of: name, run).map { (name, $0) } }
            let failed = Set(found.map(\.0))
            let isSettled =
                look.isOver
                && look.batch.containers.allSatisfy {
                    failed.contains($0) || containers[$0].map(isWell) ?? true
                }
            // Fewer than end the update decide nothing: others may still be on their way.
            guard isSettled || isTooMany(failed, of: look.batch, run) else { continue }
            run.looks.removeAll { $0 === look }
            finish(look, found, run)
        }
    }

    /// Whether those that failed, with the ones of earlier batches, end the update.
    private func isTooMany(_ failed: Set<String>, of batch: UpdateBatch, _ run: PlanRun) -> Bool {
        let policy = desired?.services[batch.service]?.update ?? UpdateRequest()
        guard policy.failureAction != .continue, !failed.isEmpty else { return false }
        let all = failed.union(run.failedUpdates[batch.service] ?? [])
        return Double(all.count) / Double(max(1, batch.total)) > policy.maximumFailureRatio
    }

    private func isWell(_ container: Container) -> Bool {
        guard container.phase == .running else { return container.phase == .exited }
        return container.health.map { $0.state == .healthy } ?? true
    }

    private func trouble(of name: String, _ run: PlanRun) -> Failure? {
        if let failure = run.failedStarts[name] { return failure }
        guard let container = containers[name] else { return nil }
        if container.phase == .exited || container.status.restarts > 0 {
            return withLogs(Failure("container \"\(name)\" \(endText(container))"), container)
        }
        if container.health?.state == .unhealthy {
            return withLogs(
                Failure("container \"\(name)\" is unhealthy", cause: container.health?.lastWords), container)
        }
        return nil
    }

    private func finish(_ look: UpdateLook, _ found: [(String, Failure)], _ run: PlanRun) {
        let service = look.batch.service
        let policy = desired?.services[service]?.update ?? UpdateRequest()
        let failed = Set(found.map(\.0))
        let endsUpdate = isTooMany(failed, of: look.batch, run)
        run.failedUpdates[service, default: []].formUnion(failed)
        if let (_, failure) = found.first {
            if !endsUpdate {
                runOwner?.send(.notice("\(failure)"))
            } else {
                if policy.failureAction == .rollback { run.rollsBack.insert(service) }
                return run.finish(
                    look.index,
                    Failure(
                        "the update of service \"\(service)\" failed: \(failure.doing)", cause: failure.cause,
                        advice: policy.failureAction == .rollback
                            ? nil : "correct the service and run `covey up` again"))
            }
        }
        if look.batch.isLast || policy.delay <= .zero { return run.finish(look.index, nil) }
        loop.after(policy.delay) { run.finish(look.index, nil) }
    }

    /// The services of the plan as they were before, for those that want them back when their update fails.
    func formerServices(_ wanted: DesiredState) -> [String: ServiceRequest] {
        var former: [String: ServiceRequest] = [:]
        for container in containers.values where container.oneOff == nil {
            let name = container.reference.service
            guard let service = wanted.services[name], service.update?.failureAction == .rollback,
                container.service.configHash != service.configHash
            else { continue }
            former[name] = container.service
        }
        return former
    }

    /// Brings back what was there before, and what was stopped to be restarted with it; the closure hears what to tell of it.
    func rollBack(
        _ failed: PlanRun, to former: [String: ServiceRequest], for connection: ClientConnection,
        _ told: @escaping (String) -> Void
    ) {
        guard var wanted = desired else { return told("there is nothing to go back to") }
        let names = failed.rollsBack.filter { former[$0] != nil }.sorted()
        guard !names.isEmpty else { return told("there is nothing to go back to") }
        for name in names {
            guard var service = former[name] else { continue }
            service.update = wanted.services[name]?.rollback
            service.rollback = nil
            service.replicas = wanted.services[name]?.replicas ?? service.replicas
            wanted.services[name] = service
        }
        var options = Planning.UpOptions()
        options.services = names + failed.leftStopped.subtracting(names).sorted()
        options.noDependencies = true
        do throws(Failure) {
            let plan = try planUp(wanted, observed: try observe(for: wanted), options: options)
            let bytes: [UInt8]
            do {
                bytes = try encodeJSON(wanted)
            } catch {
                throw Failure("cannot write the desired state", cause: "\(error)")
            }
            try saveDesired(wanted, bytes)
            try adoptSettings(of: wanted)
            execute(plan, for: connection, goesOn: false) { failure in
                told(
                    failure.map { "going back failed as well: \($0.doing)" }
                        ?? "rolled back to what was there before")
            }
        } catch {
            told("going back failed as well: \(error.doing)")
        }
    }
}

extension PlanRun {
    /// Services of which it stopped a container that it did not come to start again.
    fileprivate var leftStopped: Set<String> {
        var stopped: Set<String> = []
        var unstarted: Set<String> = []
        for (node, state) in zip(plan.nodes, states) {
            switch node.operation {
            case .stopContainer(let container, _) where state == .done: stopped.insert(container.service)
            case .startContainer(let container) where state != .done: unstarted.insert(container.service)
            default: break
            }
        }
        return stopped.intersection(unstarted)
    }
}
