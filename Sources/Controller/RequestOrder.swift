// SPDX-License-Identifier: Apache-2.0
//
// Which request begins when. Those that change the project run one after another, as they came. What stops or takes down does
// not wait for a bring-up it concerns: it ends it, and those that wait. A stop that does not concern the bring-up at work is
// carried out beside it, for their plans have no container in common.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import Planning

/// A request that waits for the run before it.
struct PendingRequest {
    let connection: ClientConnection
    let isDown: Bool
    /// What stops or takes down ends it like a bring-up at work.
    let isBringUp: Bool
    let begin: () -> Void
}

/// What a request ends of those that came before it.
enum Superseding {
    case nothing
    /// Bring-ups that are about one of these services.
    case bringUps(of: Set<String>)
    /// Every bring-up, and a stop: it goes further.
    case everything

    /// - Parameter scope: the services a bring-up is about; nil is all of them.
    func ends(bringUpOf scope: Set<String>?) -> Bool {
        switch self {
        case .nothing: false
        case .bringUps(let services): scope.map { !$0.isDisjoint(with: services) } ?? true
        case .everything: true
        }
    }

    var endsSomething: Bool { if case .nothing = self { false } else { true } }

    func ends(_ run: PlanRun, of scope: Set<String>?) -> Bool {
        // A stop has nothing against another.
        if case .bringUps = self, run.occasion == .stop { return false }
        return ends(bringUpOf: scope)
    }
}

private let endedByAnother = Failure(
    "the command was ended by another", cause: "what it is about is being stopped or taken down")

extension ProjectController {
    private var isBusy: Bool { run != nil || !stopsBeside.isEmpty }

    func enqueue(
        _ connection: ClientConnection, ending superseded: Superseding = .nothing, isDown: Bool = false,
        isBringUp: Bool = false, _ begin: @escaping () -> Void
    ) {
        // The client asks whoever comes after us.
        guard !leaving else { return connection.close() }
        // Of those that wait, too: a bring-up that began after this one's would be in its way.
        endWaiting(superseded)
        guard isBusy else { return begin() }
        let pending = PendingRequest(
            connection: connection, isDown: isDown, isBringUp: isBringUp, begin: begin)
        // What stops something waits for no bring-up, not for one that it does not concern either.
        let before = superseded.endsSomething ? waitingRequests.firstIndex(where: \.isBringUp) : nil
        waitingRequests.insert(pending, at: before ?? waitingRequests.count)
        connection.send(.queued)
        guard let run else { return }
        if !takingDown, superseded.ends(run, of: runOwner?.scope) {
            endRun(run, endedByAnother)
        } else if runOwner?.isClosed ?? true {
            endAbandonedRun()
        }
    }

    private func endWaiting(_ superseded: Superseding) {
        let isEnded = { (pending: PendingRequest) in
            pending.isBringUp && superseded.ends(bringUpOf: pending.connection.scope)
        }
        let ended = waitingRequests.filter(isEnded)
        waitingRequests.removeAll(where: isEnded)
        for pending in ended { pending.connection.finish(.failed(endedByAnother)) }
    }

    /// Others wait for a run nobody waits for.
    func endAbandonedRun() {
        guard let run, !takingDown else { return }
        endRun(run, Failure("the command's client is gone"))
    }

    func endRun(_ run: PlanRun, _ reason: Failure) {
        // Its plan may be done and only readiness waited for.
        if let readyEnd { readyEnd(reason) } else { run.cancel(reason) }
    }

    /// What is to run is decided when stops that were cut off have ended: until then such a container still runs.
    /// - Parameter services: those that were named; none is all.
    func enqueueBringUp(
        _ connection: ClientConnection, of services: [String], _ begin: @escaping () -> Void
    ) {
        connection.scope = scope(of: services)
        enqueue(connection, isBringUp: true) { [self] in
            guard let stopping = containers.values.first(where: { $0.stopWasCutOff && $0.isLive }) else {
                return begin()
            }
            connection.send(.queued)
            waitingRequests.insert(
                PendingRequest(connection: connection, isDown: false, isBringUp: true) { [self] in
                    enqueueBringUp(connection, of: services, begin)
                }, at: 0)
            stopping.onExited.append { [self] in
                loop.soon { [unowned self] in beginNext() }
            }
        }
    }

    /// The services and all they need, as far as is known; nil is all there are, also where one is not known yet.
    func scope(of services: [String]) -> Set<String>? {
        if services.isEmpty { return nil }
        return try? selection(of: services, among: observe().requests, withDependencies: true)
    }

    func enqueueStop(
        of services: [String], _ connection: ClientConnection,
        _ plan: @escaping () throws(Failure) -> Plan
    ) {
        let ended = Superseding.bringUps(of: concerned(by: services, in: observe()))
        if let run, run.occasion != .stop, !takingDown, !leaving, !ended.ends(run, of: runOwner?.scope) {
            endWaiting(ended)
            return stopBeside(connection, plan)
        }
        enqueue(connection, ending: ended) { [self] in begin(connection, goesOn: true, .stop, plan) }
    }

    private func stopBeside(_ connection: ClientConnection, _ make: () throws(Failure) -> Plan) {
        do throws(Failure) {
            let plan = try make()
            let run = makeRun(plan, for: connection, goesOn: true, .stop) { [unowned self] failure in
                stopsBeside.removeAll(where: \.isFinished)
                connection.finish(failure.map { .failed($0) } ?? .done(changed: plan.changesSomething))
                goOn()
            }
            stopsBeside.append(run)
            run.advance()
        } catch {
            connection.finish(.failed(error))
        }
    }

    func runEnded() {
        run = nil
        runOwner = nil
        goOn()
    }

    private func goOn() {
        scheduleRest()
        guard !leaving else { return }
        loop.soon { [unowned self] in synchronizeRecords() }
        beginNext()
    }

    private func beginNext() {
        while !leaving, !isBusy, !waitingRequests.isEmpty {
            let next = waitingRequests.removeFirst()
            // Nobody wants it any more, and nothing of it was begun.
            if !next.connection.isClosed { return next.begin() }
        }
    }

    /// Records are made durable after the answer: nobody waits for the disk, and a power cut in between costs a project
    /// that `up` makes again. Before it, an fsync of two files and their directories was a tenth of an `up`. One in each turn
    /// of the loop: who asks something meanwhile waits for one of them and not for all.
    private func synchronizeRecords() {
        // What is taken down need not outlive anything.
        guard !takingDown, !unsynced.isEmpty else { return }
        let path = unsynced.removeFirst()
        do throws(SyscallError) {
            try synchronize(path)
        } catch {
            // Taken down again meanwhile.
            if error.errno != .noEntry { log("cannot make \(path) durable: \(error)") }
        }
        if !unsynced.isEmpty { loop.soon { [unowned self] in synchronizeRecords() } }
    }

    /// After a while without work, the pages it took go back: what an idle project costs is what it keeps.
    func scheduleRest() {
        if let restTimer { loop.cancel(restTimer) }
        restTimer = loop.after(.seconds(1)) { [unowned self] in
            restTimer = nil
            malloc_trim(0)
            linux_release_text()
        }
    }
}
