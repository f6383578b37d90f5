// SPDX-License-Identifier: Apache-2.0
//
// `down` in the controller: everything goes, then the project, then controller and keeper; or what named services had.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Planning

extension ProjectController {
    func beginDown(_ options: DownOptions, _ connection: ClientConnection) {
        recordKeeper(place, keeperPID)
        do throws(Failure) {
            // Nobody's once the project's description is gone.
            for (name, request) in desired?.volumes ?? [:]
            where !request.external && volumes.isUnfinished(name) {
                try volumes.remove(name)
            }
            let plan = try downPlan(options)
            try networking?.keep(external(options).networks)
            takingDown = true
            drift.stop()
            execute(plan, for: connection, goesOn: true) { [self] failure in
                finishDown(connection, failure, changed: plan.changesSomething)
            }
        } catch {
            connection.finish(.failed(error))
            runEnded()
        }
    }

    func downPlan(_ options: DownOptions) throws(Failure) -> Plan {
        var observation = observe(oneOffs: true)
        let users = options.volumes ? place.usersOfVolumes() : [:]
        for volume in try volumes.list() where volume.project == place.project {
            observation.volumes[volume.name] = ObservedVolume(
                name: volume.name, project: volume.project, request: nil,
                foreignContainers: users[volume.name] ?? [])
        }
        var planned = Planning.DownOptions()
        planned.removeVolumes = options.volumes
        planned.declaredVolumes = options.declaredVolumes.map { Set($0) }
        planned.timeout = options.timeout
        planned.external = external(options)
        planned.services = withOneOffs(options.services ?? [])
        return try planDown(observation, options: planned)
    }

    /// By what was brought up, and by the client's files, which may be newer.
    private func external(_ options: DownOptions) -> ExternalNames {
        (desired?.external ?? ExternalNames()).union(options.external)
    }

    private func finishDown(_ connection: ClientConnection, _ failure: Failure?, changed: Bool) {
        takingDown = false
        if let failure {
            connection.finish(.failed(failure))
            watchForDriftSoon()
            return runEnded()
        }
        var failures = networking?.removeAll() ?? []
        networking = nil
        do throws(SyscallError) {
            try removeTree(place.directory)
            try removeTree(place.runDirectory + "/containers")
        } catch {
            failures.append(Failure("cannot remove the project's files", error))
        }
        // Only now: of two projects that go at once the later one sees that the other is no user any more.
        failures += unmountVolumes()
        if let failure = Failure.collect(failures) {
            connection.finish(.failed(failure))
            return runEnded()
        }
        desired = nil
        desiredBytes = []
        leaving = true
        for pending in waitingRequests {
            // A `down` has what it wants; others are asked of the next controller by their clients.
            if pending.isDown { pending.connection.finish(.done(changed: false)) }
        }
        waitingRequests = []
        try? keeper.quit()
        connection.finish(.done(changed: changed))
        loop.stop()
    }

    /// Volumes that are file systems of their own. What another project made stays for as long as that is up, what containers
    /// of others have for as long as they have it: the last to go takes it away.
    private func unmountVolumes() -> [Failure] {
        var failures: [Failure] = []
        do throws(Failure) {
            for volume in try volumes.list()
            where volume.mounted != nil {
                if let owner = volume.project {
                    if owner != place.project, exists("\(place.root)/projects/\(owner)") { continue }
                } else if desired?.volumes[volume.name] == nil {
                    continue
                }
                do throws(Failure) {
                    try volumes.unmount(volume.name) { place.usersOfVolumes()[volume.name] != nil }
                } catch {
                    failures.append(error)
                }
            }
        } catch {
            failures.append(error)
        }
        return failures
    }
}
