// SPDX-License-Identifier: Apache-2.0
//
// What each operation of a plan does. Most are done on return; starting, stopping and waiting end later, when the
// keeper, a child or a timer says so.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Planning
internal import Records
internal import Volumes

extension ProjectController {
    func perform(_ operation: Operation, _ index: Int, of run: PlanRun) {
        switch operation {
        case .createNetwork(let request):
            finish(index, run) { () throws(Failure) in
                try ensureNetworking().ensure(request)
                tell(.network, "create", request.name)
            }
        case .removeNetwork(let name):
            finish(index, run) { () throws(Failure) in
                // On the way down one delete takes all links: each by itself waits for RCU grace periods.
                let failures = takingDown ? networking?.removeAll() : networking?.remove(name)
                if let failure = Failure.collect(failures ?? []) { throw failure }
                tell(.network, "destroy", name)
            }
        case .createVolume(let request):
            networking?.beginAdmitting()
            finish(index, run) { () throws(Failure) in
                try volumes.ensure(request, project: place.project, durable: false)
                unsynced.append(volumes.recordPath(request.name))
                tell(.volume, "create", request.name)
            }
        case .removeVolume(let name):
            finish(index, run) { () throws(Failure) in
                try volumes.remove(name)
                tell(.volume, "destroy", name)
            }
        case .createContainer(let reference, _):
            networking?.beginAdmitting()
            finish(index, run) { () throws(Failure) in try create(reference, run) }
        case .startContainer(let reference):
            guard let container = containers[reference.name] else {
                return run.finish(
                    index, Failure("cannot start container \"\(reference.name)\"", cause: "it does not exist")
                )
            }
            container.status.stopRequested = false
            container.status.signalledToStop = nil
            container.status.startsAgain = nil
            container.restartStreak = 0
            container.status.restarts = 0
            run.whenCancelled { [weak self, weak container] in
                guard let self, let container else { return }
                endWait(of: container, cause: "the command was ended meanwhile")
            }
            startAfterSteps(container, run) { [unowned self] failure in
                if let failure, run.updates(reference.name) {
                    // Judged with its batch.
                    run.failedStarts[reference.name] = failure
                    return run.finish(index, nil)
                }
                if failure == nil, run.occasion == .restart { tell("restart", of: container) }
                run.finish(index, failure)
            }
        case .stopContainer(let reference, let timeout):
            guard let container = containers[reference.name] else { return run.finish(index, nil) }
            if run.occasion == .stop { rest(container, .stopped) }
            container.stopsAsked += 1
            if let unwritten = stop(container, timeout: timeout, { run.finish(index, $0) }) {
                run.say(unwritten.description)
            }
        case .removeContainer(let reference):
            finish(index, run) { () throws(Failure) in
                try carryVolumes(of: reference, run)
                try remove(reference.name)
            }
        case .killContainer(let reference, let signal):
            finish(index, run) { () throws(Failure) in try sendSignal(signal, to: reference.name) }
        case .awaitCondition:
            checkAwaited()
        case .settleUpdate(let batch): beginLook(batch, index, of: run)
        }
    }

    private func finish(_ index: Int, _ run: PlanRun, _ body: () throws(Failure) -> some Any) {
        do throws(Failure) {
            _ = try body()
            run.finish(index, nil)
        } catch {
            run.finish(index, error)
        }
    }

    // MARK: Containers

    private func create(_ reference: ContainerReference, _ run: PlanRun) throws(Failure) {
        guard let service = desired?.services[reference.service] ?? oneOffs[reference.service]?.service else {
            throw Failure(
                "cannot create container \"\(reference.name)\"", cause: "its service is not declared")
        }
        let container = try make(
            reference, service, oneOffs[reference.service]?.oneOff, renewsVolumes: run.renewsVolumes
        ) { () throws(Failure) in try assignAddresses(run) }
        if run.occasion == .creation { rest(container, .created) }
        oneOffs[reference.service]?.created(container)
    }

    /// - Parameter assign: gives it its addresses, when its volumes are filled.
    func make(
        _ reference: ContainerReference, _ service: ServiceRequest, _ oneOff: OneOff?, renewsVolumes: Bool,
        _ assign: () throws(Failure) -> Void
    ) throws(Failure) -> Container {
        guard containers[reference.name] == nil else {
            throw Failure(
                "cannot create container \"\(reference.name)\"", cause: "there is one of that name",
                advice:
                    "remove the one `covey run` made with `covey rm -fs`, and choose another --name for it")
        }
        let directories = directories(of: reference.name)
        if exists(directories.state) || exists(directories.run) {
            if !renewsVolumes { try carryVolumes(ofLeftover: reference) }
            try setVolumesAside(of: reference.name)
            try removeLeftovers(of: reference.name)
        }
        cgroup.setParent(service.container.rare?.cgroupParent, of: reference.name)
        let container = Container(
            reference: reference, service: service, createdAt: realtimeNanoseconds(),
            directories: directories, bootID: bootID, oneOff: oneOff)
        do throws(SyscallError) {
            try ensureDirectory(directories.state, mode: 0o700)
            try ensureDirectory(directories.run, mode: 0o700)
        } catch {
            throw Failure("cannot create container \"\(reference.name)\"", error)
        }
        let record = ContainerRecord(
            name: reference.name, index: reference.index, service: service, createdAt: container.createdAt,
            oneOff: container.oneOff)
        let inherited = renewsVolumes ? [:] : try inheritedVolumes(of: container)
        try ensureAnonymousVolumes(of: container, besides: inherited)
        try fillVolumes(of: container, inherited)
        try assign()
        if renewsVolumes { try dropCarriedVolumes(of: reference) }
        // What it takes over comes after the record: without it the next controller would remove that with the rest.
        try claim(record, in: directories.record)
        if hasCarriedVolumes(reference) { try takeCarriedVolumes(container) }
        // With the record its directory's name; without them the next controller knows nothing of it.
        unsynced += [directories.record, directories.state]
        containers[reference.name] = container
        tell("create", of: container)
        return container
    }

    /// For all containers the run will create, at once: each write of leases costs a lock and a file.
    private func assignAddresses(_ run: PlanRun) throws(Failure) {
        var wanted: [(name: String, request: ContainerRequest)] = []
        for (index, node) in run.plan.nodes.enumerated() {
            guard run.states[index] == .waiting || run.states[index] == .running else { continue }
            guard case .createContainer(let reference, _) = node.operation else { continue }
            guard let service = desired?.services[reference.service] ?? oneOffs[reference.service]?.service
            else { continue }
            wanted.append((reference.name, service.container))
        }
        try ensureNetworking().assignAddresses(wanted, external: externalNetworks)
    }

    func remove(_ name: String) throws(Failure) {
        if let container = containers[name] {
            cancelRestart(container)
            guard !container.isLive else {
                throw Failure("cannot remove container \"\(name)\"", cause: "it runs")
            }
        }
        try removeLeftovers(of: name)
        if let container = containers.removeValue(forKey: name) { tell("destroy", of: container) }
        if !takingDown { try networking?.releaseAddresses(of: name) }
        changed()
    }

    /// Everything a container of that name may have left: cgroup, directories.
    func removeLeftovers(of name: String) throws(Failure) {
        let directories = directories(of: name)
        var failures: [Failure] = []
        do throws(Failure) {
            try cgroup.container(name).remove()
        } catch {
            failures.append(error)
        }
        if containers[name]?.request.rare?.storageSize != nil { releaseStorage(directories) }
        for path in [directories.run, directories.state] {
            do throws(SyscallError) {
                try removeTree(path)
            } catch {
                failures.append(Failure("cannot remove container \"\(name)\"", error))
            }
        }
        if let failure = Failure.collect(failures) { throw failure }
    }

    func sendSignal(_ signal: String, to name: String) throws(Failure) {
        guard let container = containers[name] else { return }
        guard let number = signalNumber(signal).map(Int32.init) else {
            throw Failure("there is no signal \"\(signal)\"")
        }
        let stops = signalNumber(container.request.stopSignal).map(Int32.init) ?? SIGTERM
        guard container.isLive else {
            // Between two starts there is nothing to signal, but the next one to be ended.
            if number == SIGKILL || number == stops { giveUpRestart(of: container) }
            return
        }
        guard let pidfd = container.pidfd else {
            guard number == SIGKILL || number == stops else {
                throw Failure(
                    "cannot send \(signal) to container \"\(name)\"", cause: "its program does not run yet",
                    advice: "wait until it does, or end its start with `covey kill` or `covey stop`")
            }
            return endLaunchBySignal(of: container)
        }
        // As Docker: a container killed by hand is not started again by its policy.
        if number == SIGKILL || number == stops {
            // A program may go on after its stop signal: then it runs, and only its policy is off.
            if number == SIGKILL {
                container.status.stopRequested = true
            } else {
                container.status.signalledToStop = true
            }
            try? container.saveStatus()
            rest(container, .stopped)
        }
        if number == SIGSTOP || number == SIGCONT {
            // Written down first: a stop that is asked for is no drift.
            container.status.halted = number == SIGSTOP
            try container.saveStatus()
        }
        do throws(SyscallError) {
            try retrying("pidfd_send_signal", name) { linux_pidfd_send_signal(pidfd.raw, number) }
            tell("kill", of: container, ["signal": "\(number)"])
            // v1's freezer keeps even the dying.
            if number == SIGKILL { thaw(container) }
        } catch {
            if error.errno != .noProcess {
                throw Failure("cannot send \(signal) to container \"\(name)\"", error)
            }
        }
    }

    /// It has no process that a signal could reach: it waits for a volume, or was cloned a moment ago.
    private func endLaunchBySignal(of container: Container) {
        // Whoever hears of its process kills it.
        container.status.stopRequested = true
        rest(container, .stopped)
        endWait(of: container, cause: "its container was killed meanwhile")
    }
}
