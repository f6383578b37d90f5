// SPDX-License-Identifier: Apache-2.0
//
// `up` in the controller: what was declared is kept, observed against, planned and executed.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Planning

extension ProjectController {
    func beginUp(_ options: UpOptions, _ connection: ClientConnection) {
        do throws(Failure) {
            guard let bytes = connection.blobs.first else {
                throw Failure("cannot bring up", cause: "no project was sent")
            }
            let wanted: DesiredState
            if bytes == desiredBytes, let desired {
                wanted = desired
            } else {
                wanted = try decodeDesired(bytes)
            }
            let plan = try planUp(wanted, observed: try observe(for: wanted), options: planning(options))
            try checkNames(of: plan, wanted.services)
            let former = formerServices(wanted)
            try saveContents(Array(connection.blobs.dropFirst()))
            if bytes != desiredBytes { try saveDesired(wanted, bytes) }
            try adoptSettings(of: wanted)
            connection.scope = scope(of: options.services)
            for text in toldDisorders() { connection.send(.notice(text)) }
            execute(
                plan, for: connection, goesOn: false, renewsVolumes: options.renewsVolumes,
                options.noStart ? .creation : .other
            ) { [self] failure in
                if failure == nil {
                    dropCarriedVolumes(after: options)
                    forgetContents()
                }
                if let failure, let run, !run.rollsBack.isEmpty {
                    return rollBack(run, to: former, for: connection) { [self] outcome in
                        var told = failure
                        told.advice = outcome
                        connection.finish(.failed(told))
                        runEnded()
                    }
                }
                if failure == nil, options.wait != nil {
                    awaitReady(of: options.services, connection) { [self] in endOfUp(plan, options) }
                } else {
                    let end = failure.map { ControlEvent.failed($0) } ?? endOfUp(plan, options)
                    connection.finish(end)
                    runEnded()
                }
            }
            limitReadiness(options.wait)
        } catch {
            let leaves = nothingWasMade
            if leaves { leave() }
            connection.finish(.failed(error))
            if !leaves { runEnded() }
        }
    }

    /// What an `up` that went well has to say last.
    func endOfUp(_ plan: Plan, _ options: UpOptions) -> ControlEvent {
        guard !plan.changesSomething, let desired else { return .done(changed: plan.changesSomething) }
        let asked =
            (try? selection(of: options.services, among: desired.services, withDependencies: true))
            ?? Set(desired.services.keys)
        var running: Set<String> = []
        var completed: Set<String> = []
        for container in containers.values where asked.contains(container.reference.service) {
            if container.isLive || container.restartTimer != nil {
                running.insert(container.reference.service)
            } else if container.status.end?.code == 0 {
                completed.insert(container.reference.service)
            }
        }
        return .unchanged(running: running.count, completed: completed.subtracting(running).count)
    }

    /// Nothing is looked after, and nobody waits for this to change.
    var nothingWasMade: Bool {
        desired == nil && containers.isEmpty && run == nil && stopsBeside.isEmpty && waitingRequests.isEmpty
            && !exists(place.directory + "/project.json")
    }

    /// Ends controller and keeper with all they made only to be there; the client removes the run directory.
    func leave() {
        drift.stop()
        for failure in networking?.removeAll() ?? [] { log("\(failure)") }
        networking = nil
        do throws(SyscallError) {
            try removeTree(place.directory)
        } catch {
            log("cannot remove \(place.directory): \(error)")
        }
        leaving = true
        try? keeper.quit()
        loop.stop()
    }

    func saveDesired(_ wanted: DesiredState, _ bytes: [UInt8]) throws(Failure) {
        do throws(SyscallError) {
            try ensureDirectory(place.directory + "/containers", mode: 0o700)
            try replaceFile(place.directory + "/project.json", bytes, mode: 0o600)
            unsynced.append(place.directory + "/project.json")
        } catch {
            throw Failure("cannot keep the project's description", error)
        }
        desired = wanted
        desiredBytes = bytes
    }

    /// What changes without a new container or volume: restart policy, dependencies, number of replicas, a mount's patience.
    func adoptSettings(of wanted: DesiredState) throws(Failure) {
        for request in wanted.volumes.values { try volumes.adopt(request, project: place.project) }
        for container in containers.values {
            if let service = wanted.services[container.reference.service],
                service.configHash == container.service.configHash
            {
                container.service = service
            }
        }
    }

    /// The observation with those networks and volumes the desired state names.
    func observe(for wanted: DesiredState) throws(Failure) -> Observation {
        var observation = observe()
        let networking = try ensureNetworking()
        for (name, request) in wanted.networks where observation.networks[name] == nil {
            // One of our own that we don't have was left to its guests, or its making was cut off: it is made again, as far as it
            // is not there. As an external one it has to be there.
            if let owner = networking.owner(of: name), owner != place.project || request.external {
                observation.networks[name] = ObservedNetwork(name: name, project: owner, request: nil)
            }
        }
        try volumes.observe(for: wanted, into: &observation)
        return observation
    }
}
