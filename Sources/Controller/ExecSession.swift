// SPDX-License-Identifier: Apache-2.0
//
// ExecSession: one more process in a running container, for `exec` and for health probes. Its first child joins the
// namespaces and clones the real one, whose exit the keeper tells by pid.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning

final class ExecSession {
    let sync: SharedFD
    let program: LaunchProgram
    private(set) var pid: Int32?
    /// nil and the terminal's master once the program runs; a failure when it never will.
    private var onStarted: ((Failure?, SharedFD?) -> Void)?
    /// nil when nobody can tell.
    private var onEnded: ((ProcessEnd?) -> Void)?
    private var terminal: SharedFD?
    /// Asks the controller which stray exit this pid had.
    private let born: (ExecSession, Int32) -> Void
    private let unwatch: (Int32) -> Void

    init(
        sync: SharedFD, program: LaunchProgram, born: @escaping (ExecSession, Int32) -> Void,
        unwatch: @escaping (Int32) -> Void, onStarted: @escaping (Failure?, SharedFD?) -> Void,
        onEnded: @escaping (ProcessEnd?) -> Void
    ) {
        self.sync = sync
        self.program = program
        self.born = born
        self.unwatch = unwatch
        self.onStarted = onStarted
        self.onEnded = onEnded
    }

    /// Reads what its children say.
    func spoke() {
        do throws(SyscallError) {
            switch try LaunchReport.receive(sync.raw) {
            case .born(let pid):
                self.pid = pid
                born(self, pid)
            case .failed(let operation, let errno):
                failed(
                    Failure("\(program.doing(at: operation)) failed", cause: "\(errno) (\(errno.sentence))"))
            case .tag(_, let descriptors): terminal = descriptors.first
            case nil:
                unwatch(sync.raw)
                if pid == nil { return failed(Failure("the process ended before it ran its program")) }
                let told = onStarted
                onStarted = nil
                told?(nil, terminal)
                // The client's alone from now on: when that is gone the program is hung up.
                terminal = nil
            }
        } catch {
            failed(Failure("cannot follow the process", error))
        }
    }

    func failed(_ failure: Failure) {
        unwatch(sync.raw)
        let told = onStarted
        onStarted = nil
        onEnded = nil
        told?(failure, nil)
    }

    /// The child that joined is gone; when it gave birth the real one lives on.
    func intermediateEnded(_ end: ProcessEnd) {
        while onStarted != nil, pid == nil, hasWord { spoke() }
        if pid == nil, onStarted != nil {
            failed(Failure("the process \(end.words) before it ran its program"))
        }
    }

    /// The keeper was lost before it said which process this is.
    func lost() {
        unwatch(sync.raw)
        onStarted = nil
        let told = onEnded
        onEnded = nil
        told?(nil)
    }

    func ended(_ end: ProcessEnd?) {
        while onStarted != nil, hasWord { spoke() }
        let told = onEnded
        onEnded = nil
        told?(end)
    }

    private var hasWord: Bool {
        var entry = pollfd(fd: sync.raw, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }
}

extension ProjectController {
    /// Starts a process in a running container. Without a terminal `streams` are its 0, 1 and 2.
    func startProcess(
        in container: Container, _ options: ExecOptions, streams: [Int32],
        onStarted: @escaping (Failure?, SharedFD?) -> Void,
        onEnded: @escaping (ProcessEnd?) -> Void
    ) throws(Failure) -> ExecSession {
        let doing = "cannot run \"\(options.arguments.first ?? "")\" in container \"\(container.name)\""
        guard container.phase == .running, let pidfd = container.pidfd else {
            throw Failure(
                doing, cause: "the container does not run",
                advice: "see `covey ps -a`; `covey start \(container.reference.service)` starts it")
        }
        guard !container.isPaused else {
            throw Failure(
                doing, cause: "the container is paused",
                advice: container.status.paused
                    ? "run `covey unpause \(container.reference.service)` first"
                    : "try again once `covey commit` has read its files")
        }
        guard !options.arguments.isEmpty else { throw Failure(doing, cause: "no command was given") }
        let request = container.request
        let context = try processContext(
            named: container.name, request, user: options.user, hostname: sharedHostname(of: container),
            terminal: options.terminal,
            roots: [container.directories.upper] + request.image.layers, host: host, filters: &filters)
        var exec = ExecRequest(
            arguments: options.arguments,
            environment: overlaying(context.environment, with: options.environment),
            workingDirectory: options.workingDirectory ?? request.workingDirectory)
        exec.identity = context.identity
        exec.capabilities = options.privileged ? host.boundingCapabilities : context.capabilities
        exec.seccomp = options.privileged ? [] : context.seccomp
        exec.noNewPrivileges = request.noNewPrivileges && !options.privileged
        exec.ulimits = request.ulimits
        exec.terminal = options.terminal
        exec.rows = options.rows
        exec.columns = options.columns
        let own = cgroup.container(container.name)
        exec.cgroupTaskFiles = own.taskFiles
        exec.oomScoreAdjustment = request.rare?.oomScoreAdjustment
        exec.appArmorProfile = request.rare?.appArmorProfile
        exec.seLinuxContext = request.rare?.seLinuxContext
        let program = execProgram(for: exec, intoCgroup: own.cloneInto != nil)
        do throws(SyscallError) {
            let pair = try packetSocketPair()
            let null = try openFile("/dev/null", flags: O_RDWR)
            let place = try openFile(own.cloneInto ?? "/", flags: O_RDONLY | O_DIRECTORY)
            let given = options.terminal ? [null.raw, null.raw, null.raw] : streams
            let id = nextChild
            nextChild += 1
            let sync = SharedFD(try pair.first.duplicate())
            let session = ExecSession(
                sync: sync, program: program,
                born: { [unowned self] session, pid in
                    if let end = strayExits.removeValue(forKey: pid) {
                        session.ended(end)
                    } else {
                        sessionsByPID[pid] = session
                    }
                }, unwatch: { [unowned self] in loop.unwatch($0) }, onStarted: onStarted, onEnded: onEnded)
            try keeper.launch(
                id: id, name: "x:\(id)", program: program.encoded(),
                descriptors: [pair.second.raw] + given + [pidfd.raw]
                    + (own.cloneInto == nil ? [] : [place.raw]), record: nil)
            sessions[id] = session
            _ = consume pair
            // Kept alive by this until its socket has ended: its end may be told before.
            try loop.watch(sync.raw) { _ in session.spoke() }
            return session
        } catch {
            throw Failure(doing, error)
        }
    }

    /// nil where it is its own.
    private func sharedHostname(of container: Container) -> String? {
        guard container.request.rare?.joined.contains(where: { $0.namespace == .network }) == true else {
            return nil
        }
        return (try? readText(container.directories.hostname)).map { String($0.prefix { $0 != "\n" }) }
    }

    private func overlaying(_ base: [String], with more: [String]) -> [String] {
        let names = Set(more.map { $0.prefix { $0 != "=" } })
        return base.filter { !names.contains($0.prefix { $0 != "=" }) } + more
    }

    // MARK: exec

    func exec(_ options: ExecOptions, _ connection: ClientConnection) {
        do throws(Failure) {
            let container = try self.container(of: options.service, index: options.index)
            let streams = connection.descriptors.map(\.raw)
            guard options.terminal || streams.count == 3 else {
                throw Failure(
                    "cannot run a command in \"\(options.service)\"",
                    cause: "its standard streams were not sent")
            }
            _ = try startProcess(
                in: container, options, streams: streams,
                onStarted: { failure, terminal in
                    connection.descriptors = []
                    if let failure {
                        guard let code = failure.commandCode else {
                            return connection.finish(.failed(failure))
                        }
                        connection.send(.notice(failure.description))
                        connection.send(.exited(code: code))
                        return connection.finish(.done(changed: false))
                    }
                    connection.send(.execStarted, descriptors: terminal.map { [$0.raw] } ?? [])
                },
                onEnded: { end in
                    guard let end else {
                        let doing = "cannot tell how \"\(options.arguments.first ?? "")\" ended"
                        return connection.finish(
                            .failed(Failure(doing, cause: "the project's keeper was lost while it ran")))
                    }
                    connection.send(.exited(code: end.code))
                    connection.finish(.done(changed: false))
                })
        } catch {
            connection.finish(.failed(error))
        }
    }

    func container(of service: String, index: Int) throws(Failure) -> Container {
        let own = containers.values.filter { $0.reference.service == service }
        if index == 1, !own.contains(where: { $0.reference.index == 1 && $0.isLive }),
            let oneOff = containers.values.filter({ $0.oneOff?.service == service && $0.isLive })
                .min(by: { $0.createdAt < $1.createdAt })
        {
            // As Docker Compose: what `run` started serves where the service itself does not run.
            return oneOff
        }
        if own.isEmpty {
            let near = nearest(to: service, among: Set(containers.values.map(\.reference.service)))
            throw Failure(
                "service \"\(service)\" has no container",
                advice: near.map { "did you mean \"\($0)\"?" } ?? "bring it up with `covey up`")
        }
        // Numbers move on when updates start first: number 1, which is asked for when nothing is said, is the first there is.
        let first = index == 1 ? own.min { $0.reference.index < $1.reference.index } : nil
        guard let container = own.first(where: { $0.reference.index == index }) ?? first else {
            throw Failure(
                "service \"\(service)\" has no container number \(index)", cause: "it has \(own.count)")
        }
        return container
    }

    func showProgram(of service: String, _ connection: ClientConnection) {
        do throws(Failure) {
            let container = try self.container(of: service, index: 1)
            connection.send(
                .text(try planLaunch(of: container, sharedNamespaces(of: container)).program.description))
            connection.finish(.done(changed: false))
        } catch {
            connection.finish(.failed(error))
        }
    }
}
