// SPDX-License-Identifier: Apache-2.0
//
// One-off containers: `run` brings up what the service depends on and starts one container more, as a service of its own
// that no other plan sees. In the foreground the client's own descriptors are the program's, or its terminal's master
// is handed over: no byte passes through here. Its client may go; the container goes on.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Planning

/// A one-off container from its request to its end, as long as a client waits for it.
final class OneOffStart {
    let service: ServiceRequest
    let oneOff: OneOff
    private let options: RunOptions
    private let connection: ClientConnection
    /// Set once it was created.
    private(set) var container: Container?
    private var isStarted = false
    private var end: Int?

    init(_ options: RunOptions, _ connection: ClientConnection) {
        service = options.service
        oneOff = options.oneOff
        self.options = options
        self.connection = connection
    }

    func created(_ container: Container) {
        self.container = container
        if !options.detached {
            container.isTerminalTaken = container.request.tty
            container.givenStreams = connection.descriptors
        }
        connection.descriptors = []
        container.window = WindowSize(
            rows: UInt16(clamping: options.rows), columns: UInt16(clamping: options.columns))
        container.onExited.append { [weak container] in
            self.end = container.map { $0.status.end?.code ?? 1 }
            self.tellEnd()
        }
    }

    /// Its program runs, or has ended already.
    func started() {
        isStarted = true
        if options.detached { return connection.finish(.done(changed: true)) }
        let terminal = container?.terminal
        connection.send(.execStarted, descriptors: terminal.map { [$0.raw] } ?? [])
        tellEnd()
    }

    private func tellEnd() {
        guard isStarted, !options.detached, let end else { return }
        connection.send(.exited(code: end))
        connection.finish(.done(changed: true))
    }
}

extension ProjectController {
    func beginRun(_ options: RunOptions, _ connection: ClientConnection) {
        let key = options.service.name
        do throws(Failure) {
            let plan = try planRun(options, connection)
            oneOffs[key] = OneOffStart(options, connection)
            connection.onClosed = { [unowned self] in
                // Nothing runs yet: without its client it is not wanted. One that is being started goes on.
                guard let start = oneOffs[key], let run else { return }
                if let container = start.container, container.isLive, !container.isBeforeProcess {
                    return
                }
                endRun(run, Failure("the command's client is gone"))
            }
            execute(plan, for: connection, goesOn: false) { [self] failure in
                runBegun(options, connection, failure)
            }
        } catch {
            let leaves = nothingWasMade
            if leaves { leave() }
            connection.finish(.failed(error))
            if !leaves { runEnded() }
        }
    }

    private func planRun(_ options: RunOptions, _ connection: ClientConnection) throws(Failure) -> Plan {
        let name = options.service.containerName ?? options.service.name
        guard let bytes = connection.blobs.first else {
            throw Failure("cannot run \"\(options.oneOff.service)\"", cause: "no project was sent")
        }
        guard containers[name] == nil else {
            throw Failure(
                "cannot make container \"\(name)\"", cause: "there is one of that name",
                advice: "remove it with `covey rm`, or choose another --name")
        }
        guard options.detached || options.service.container.tty || connection.descriptors.count == 3 else {
            throw Failure(
                "cannot run \"\(options.oneOff.service)\"", cause: "its standard streams were not sent")
        }
        let declared: DesiredState
        if bytes == desiredBytes, let desired {
            declared = desired
        } else {
            declared = try decodeDesired(bytes)
        }
        var wanted = declared
        wanted.services[options.service.name] = options.service
        wanted.volumes.merge(options.volumes) { declared, _ in declared }
        var planned = Planning.UpOptions()
        planned.services = [options.service.name]
        planned.noDependencies = options.noDependencies
        planned.removeOrphans = options.removeOrphans
        planned.ignoresOrphans = options.ignoresOrphans ?? false
        let plan = try planUp(wanted, observed: try observe(for: wanted), options: planned)
        try checkNames(of: plan, wanted.services)
        try saveContents(Array(connection.blobs.dropFirst()))
        if bytes != desiredBytes { try saveDesired(declared, bytes) }
        try adoptSettings(of: declared)
        return plan
    }

    /// The plan has come to its end: the program runs, or something on the way to it failed.
    private func runBegun(_ options: RunOptions, _ connection: ClientConnection, _ failure: Failure?) {
        let start = oneOffs.removeValue(forKey: options.service.name)
        guard let failure else {
            if let container = start?.container, container.isTerminalTaken {
                connection.onClosed = { [unowned self, weak container] in
                    if let container { giveTerminalBack(container) }
                }
            }
            start?.started()
            return runEnded()
        }
        // It never ran, or runs since a moment ago for a client that is gone: nobody has a use for it.
        if let container = start?.container {
            if container.phase == .running { stop(container, timeout: .zero) { _ in } }
            discard(container)
        }
        if let code = failure.commandCode {
            connection.send(.text(failure.description))
            connection.send(.exited(code: code))
            connection.finish(.done(changed: true))
        } else {
            connection.finish(.failed(failure))
        }
        runEnded()
    }

    /// Removes a one-off container, now or when its process has ended.
    func discard(_ container: Container) {
        guard !container.isLive else {
            container.onExited.append { [unowned self, unowned container] in discard(container) }
            return
        }
        guard containers[container.name] === container, !takingDown else { return }
        do throws(Failure) {
            try remove(container.name)
        } catch {
            log("\(error)")
        }
    }

    /// A one-off container has ended, whoever started it.
    func oneOffEnded(_ container: Container) {
        if endedOneOffs.count > 256 { endedOneOffs.removeAll() }
        endedOneOffs[container.name] = container.status.end?.code ?? 1
        if container.oneOff?.removeAtEnd == true { discard(container) }
    }

    /// After another controller: one-offs that ended without it, and those it did not come to start.
    func discardOneOffs() {
        for container in containers.values where container.oneOff != nil && !container.isLive {
            if container.status.end != nil { oneOffEnded(container) } else { discard(container) }
        }
    }

    // MARK: Clients that come later

    func followOneOff(_ name: String, takesTerminal: Bool, _ connection: ClientConnection) {
        func told(_ code: Int) {
            connection.send(.exited(code: code))
            connection.finish(.done(changed: false))
        }
        guard let container = containers[name], container.isLive else {
            let end = containers[name]?.status.end?.code ?? endedOneOffs[name]
            if let end { return told(end) }
            return connection.finish(.failed(Failure("container \"\(name)\" is gone")))
        }
        let terminal = takesTerminal ? container.terminal : nil
        if takesTerminal, container.request.tty { takeTerminal(of: container, for: connection) }
        connection.send(.execStarted, descriptors: terminal.map { [$0.raw] } ?? [])
        container.onExited.append { [weak container] in told(container?.status.end?.code ?? 1) }
    }

    private func takeTerminal(of container: Container, for connection: ClientConnection) {
        container.isTerminalTaken = true
        for pump in container.pumps { loop.unwatch(pump.descriptor) }
        container.pumps = []
        connection.onClosed = { [unowned self, weak container] in
            if let container { giveTerminalBack(container) }
        }
    }

    /// What a terminal shows without a client goes to the log: a program must not wait for a reader for ever.
    private func giveTerminalBack(_ container: Container) {
        guard container.isTerminalTaken else { return }
        container.isTerminalTaken = false
        if container.isLive { openStreams(of: container) }
    }

    func liveOneOffs(on network: String) -> [String] {
        containers.values.filter { container in
            container.oneOff != nil && container.isLive
                && container.request.networks.contains { $0.network == network }
        }.map(\.name).sorted()
    }
}
