// SPDX-License-Identifier: Apache-2.0
//
// What each request leads to: an answer, a signal at once, or a plan that is carried out in its turn (RequestOrder.swift).

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import Planning

extension ProjectController {
    func acceptClient() {
        while true {
            let raw = linux_accept4(listener.raw, O_CLOEXEC | O_NONBLOCK)
            if raw < 0 { return acceptFailed(Errno(linux_errno())) }
            clientsWait = false
            let connection = ClientConnection(OwnedFD(taking: raw), loop: loop) { [unowned self] in forget($0)
            }
            connections[raw] = connection
            do throws(SyscallError) {
                try loop.watch(raw) { [unowned self, unowned connection] _ in heard(connection) }
            } catch {
                connection.close()
            }
        }
    }

    private func acceptFailed(_ errno: Errno) {
        // All were taken; or it was gone again before (accept(2)).
        if errno == .again || errno == .interrupted || errno.code == ECONNABORTED { return }
        // No descriptor is free. The socket stays readable, so without a pause the loop would do nothing else.
        if !clientsWait { log("clients wait: accept(2): \(errno) (\(errno.sentence))") }
        clientsWait = true
        loop.unwatch(listener.raw)
        loop.after(.milliseconds(100)) { [unowned self] in
            do throws(SyscallError) {
                try watchListener()
            } catch {
                log("no client is heard any more: \(error)")
            }
        }
    }

    func watchListener() throws(SyscallError) {
        try loop.watch(listener.raw) { [unowned self] _ in acceptClient() }
    }

    private func forget(_ connection: ClientConnection) {
        loop.unwatch(connection.descriptor)
        watchers.remove(connection.descriptor)
        eventFollowers[connection.descriptor] = nil
        endHold(of: connection)
        scheduleRest()
        // Nothing of it was begun, and what it brought along, descriptors above all, is the client's own again.
        waitingRequests.removeAll { $0.connection === connection }
        if connection === runOwner, !waitingRequests.isEmpty { endAbandonedRun() }
        // Kept alive until the handlers of this round are through.
        loop.soon { [self] in
            connections[connection.descriptor] = nil
        }
    }

    private func heard(_ connection: ClientConnection) {
        do throws(Failure) {
            let wasWhole = connection.head.map { connection.blobs.count >= $0.blobs } ?? false
            let isWhole = try connection.receive()
            if wasWhole {
                // Nothing more is expected of a client but its end.
                connection.close()
            } else if isWhole, let head = connection.head {
                dispatch(head.request, connection)
            }
        } catch {
            connection.finish(.failed(error))
        }
    }

    private func dispatch(_ request: ControlRequest, _ connection: ClientConnection) {
        switch request {
        case .status:
            for text in toldDisorders() { connection.send(.notice(text)) }
            connection.send(.status(shownContainers()))
            connection.finish(.done(changed: false))
        case .watch:
            watchers.insert(connection.descriptor)
            connection.send(.status(shownContainers()))
        case .events(let options): showEvents(options, connection)
        case .exec(let options): exec(options, connection)
        case .launchProgram(let service): showProgram(of: service, connection)
        case .plan(let options):
            answer(connection) { () throws(Failure) in try showPlan(options, connection) }
        case .up(let options):
            enqueueBringUp(connection, of: options.services) { [self] in beginUp(options, connection) }
        case .down(let options):
            shortenStops(of: options.services ?? [], to: options.timeout)
            if let services = options.services {
                let ended = Superseding.bringUps(of: concerned(by: services, in: observe()))
                enqueue(connection, ending: ended) { [self] in
                    begin(connection, goesOn: true) { () throws(Failure) in try downPlan(options) }
                }
            } else {
                // A second `down` has nothing against the first.
                enqueue(connection, ending: takingDown ? .nothing : .everything, isDown: true) { [self] in
                    beginDown(options, connection)
                }
            }
        case .resume:
            enqueueBringUp(connection, of: []) { [self] in beginResume(connection) }
        case .rehearse(let request):
            answer(connection) { () throws(Failure) in
                try show(try rehearsed(request), connection)
            }
        case .start(let services, let wait):
            enqueueBringUp(connection, of: services) { [self] in beginStart(services, wait, connection) }
        case .stop(let services, let timeout):
            shortenStops(of: services, to: timeout)
            enqueueStop(of: services, connection) { [self] () throws(Failure) in
                try planStop(observe(), services: services, timeout: timeout)
            }
        case .restart(let services, let timeout, let noDependencies):
            enqueueBringUp(connection, of: services) { [self] in
                begin(connection, .restart) { () throws(Failure) in
                    try planRestart(
                        observe(), services: services, noDependencies: noDependencies ?? false,
                        timeout: timeout)
                }
            }
        case .kill(let services, let signal):
            do throws(Failure) {
                try killNow(services, signal, connection)
            } catch {
                connection.finish(.failed(error))
            }
        case .run(let options):
            connection.scope = scope(of: [options.oneOff.service])
            enqueue(connection) { [self] in beginRun(options, connection) }
        case .follow(let name, let leavesTerminal):
            followOneOff(name, takesTerminal: leavesTerminal != true, connection)
        case .signal(let name, let signal):
            answer(connection) { () throws(Failure) in try sendSignal(signal, to: name) }
        case .pause(let services):
            pause(true, services, connection)
        case .hold(let name): hold(name, connection)
        case .unpause(let services):
            pause(false, services, connection)
        case .remove(let services, let stop):
            enqueue(connection) { [self] in
                begin(connection, goesOn: true) { () throws(Failure) in
                    try planRemove(observe(oneOffs: true), services: withOneOffs(services), stop: stop)
                }
            }
        case .input(let service, let index):
            answer(connection) { () throws(Failure) in try giveInput(service, index, connection) }
        }
    }

    /// Signals wait for nobody: what is at work finds its containers ended.
    private func killNow(_ services: [String], _ signal: String, _ connection: ClientConnection)
        throws(Failure)
    {
        let plan = try planKill(
            observe(oneOffs: true), services: withOneOffs(services), signal: signal)
        connection.send(.planned(plan.nodes.map { plannedOperation($0) }))
        var failures: [Failure] = []
        for (index, node) in plan.nodes.enumerated() {
            guard case .killContainer(let reference, let signal) = node.operation else { continue }
            do throws(Failure) {
                try sendSignal(signal, to: reference.name)
                connection.send(.operation(index: index, .finished))
            } catch {
                failures.append(error)
                connection.send(.operation(index: index, .failed))
            }
        }
        connection.finish(
            Failure.collect(failures).map { .failed($0) } ?? .done(changed: plan.changesSomething))
    }

    func answer(_ connection: ClientConnection, _ body: () throws(Failure) -> Void) {
        do throws(Failure) {
            try body()
            connection.finish(.done(changed: false))
        } catch {
            connection.finish(.failed(error))
        }
    }

    func shownContainers() -> [ContainerStatus] {
        containers.values.map(\.shown).sorted {
            ($0.service, $0.index, $0.name) < ($1.service, $1.index, $1.name)
        }
    }

    /// A container changed: who watches is told, who waits for a condition looks again.
    func changed() {
        checkAwaited()
        guard !watchers.isEmpty else { return }
        let shown = shownContainers()
        for descriptor in watchers { connections[descriptor]?.send(.status(shown)) }
    }

    // MARK: Plans

    func begin(
        _ connection: ClientConnection, goesOn: Bool = false, _ occasion: PlanRun.Occasion = .other,
        _ make: () throws(Failure) -> Plan
    ) {
        do throws(Failure) {
            let plan = try make()
            execute(plan, for: connection, goesOn: goesOn, occasion) { [self] failure in
                runEndedTelling(connection, failure, changed: plan.changesSomething)
            }
        } catch {
            connection.finish(.failed(error))
            runEnded()
        }
    }

    private func beginStart(_ services: [String], _ wait: ReadyWait?, _ connection: ClientConnection) {
        do throws(Failure) {
            let plan = try planStart(observe(), services: services)
            execute(plan, for: connection, goesOn: false) { [self] failure in
                guard failure == nil, wait != nil else {
                    return runEndedTelling(connection, failure, changed: plan.changesSomething)
                }
                awaitReady(of: services, connection) { .done(changed: plan.changesSomething) }
            }
            limitReadiness(wait)
        } catch {
            connection.finish(.failed(error))
            runEnded()
        }
    }

    func runEndedTelling(_ connection: ClientConnection, _ failure: Failure?, changed: Bool) {
        connection.finish(failure.map { .failed($0) } ?? .done(changed: changed))
        runEnded()
    }

    func execute(
        _ plan: Plan, for connection: ClientConnection, goesOn: Bool, renewsVolumes: Bool = false,
        _ occasion: PlanRun.Occasion = .other, completion: @escaping (Failure?) -> Void
    ) {
        let run = makeRun(plan, for: connection, goesOn: goesOn, occasion) { [unowned self] failure in
            completion(failure ?? admitNetworks())
        }
        run.renewsVolumes = renewsVolumes
        filledVolumes = []
        self.run = run
        runOwner = connection
        // A changed network takes others along.
        connection.scope?.formUnion(plan.services)
        run.advance()
    }

    func makeRun(
        _ plan: Plan, for connection: ClientConnection, goesOn: Bool, _ occasion: PlanRun.Occasion,
        completion: @escaping (Failure?) -> Void
    ) -> PlanRun {
        connection.send(.planned(plan.nodes.map { plannedOperation($0) }))
        for notice in plan.notices { connection.send(.notice(notice)) }
        let run = PlanRun(
            plan, goesOn: goesOn, loop: loop,
            execute: { [unowned self] run, index in perform(plan.nodes[index].operation, index, of: run) },
            progress: { index, state in connection.send(.operation(index: index, state)) },
            completion: completion)
        run.occasion = occasion
        run.say = { connection.send(.notice($0)) }
        return run
    }

    /// Networks no container was attached to; those of containers are admitted with the first of them.
    private func admitNetworks() -> Failure? {
        do throws(Failure) {
            try networking?.admit()
            return nil
        } catch {
            return error
        }
    }

    /// The plan a request would be carried out by.
    private func rehearsed(_ request: ControlRequest) throws(Failure) -> Plan {
        switch request {
        case .down(let options): return try downPlan(options)
        case .start(let services, _): return try planStart(observe(), services: services)
        case .stop(let services, let timeout):
            return try planStop(observe(), services: services, timeout: timeout)
        case .restart(let services, let timeout, let noDependencies):
            return try planRestart(
                observe(), services: services, noDependencies: noDependencies ?? false, timeout: timeout)
        case .kill(let services, let signal):
            return try planKill(
                observe(oneOffs: true), services: withOneOffs(services), signal: signal)
        case .remove(let services, let stop):
            return try planRemove(observe(oneOffs: true), services: withOneOffs(services), stop: stop)
        default:
            throw Failure("cannot say beforehand what this would do", cause: "it is done without a plan")
        }
    }

    private func showPlan(_ options: UpOptions, _ connection: ClientConnection) throws(Failure) {
        guard let bytes = connection.blobs.first else {
            throw Failure("cannot plan", cause: "no project was sent")
        }
        let wanted: DesiredState
        if bytes == desiredBytes, let desired { wanted = desired } else { wanted = try decodeDesired(bytes) }
        let plan = try planUp(wanted, observed: try observe(for: wanted), options: planning(options))
        try checkNames(of: plan, wanted.services)
        try show(plan, connection)
    }

    private func show(_ plan: Plan, _ connection: ClientConnection) throws(Failure) {
        let shown = ShownPlan(plan)
        connection.send(.plan(text: shown.text, json: shown.json, operations: shown.operations))
    }
}
