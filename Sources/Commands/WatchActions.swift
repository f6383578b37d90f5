// SPDX-License-Identifier: Apache-2.0
//
// WatchActions: what follows for a service when files of its watch rules changed: it is built again, or files are written
// into its containers, commands are run in them, they are restarted. Each of it may take its time, and a signal ends the
// wait. What fails is told and keeps nothing else from being done: the next save may mend it.

internal import Basics
internal import CLinux
internal import ComposeModel
internal import ContainerRuntime
internal import Controller
internal import Images
internal import Kernel

/// How many paths of one container are told by name when they can't be written.
private let mostTold = 10

struct WatchActions {
    /// Listened to meanwhile.
    let signals: SignalStream
    /// What containers write while a command runs is shown by it. While an image is built the terminal is the build's.
    var feed: LogFeed?
    private let session: Session
    private let project: Project
    private let place: ProjectPlace

    init(_ session: Session, _ project: Project, _ place: ProjectPlace, _ signals: SignalStream) {
        self.session = session
        self.project = project
        self.place = place
        self.signals = signals
        // A rebuild is a fork, and shall have no seed to look after.
        forgoKeeper(waits: true)
    }

    func say(_ text: String) { session.errors.line(text) }

    /// - Returns: false when a signal came before all was done; it is taken then.
    func carryOut(_ work: WatchWork, _ service: String, hooks: [Service.Hook]) -> Bool {
        if work.rebuilds { return attempt { () throws(Failure) in try rebuild(service) } }
        if !work.syncs.isEmpty {
            guard attempt({ () throws(Failure) in try synchronize(work.syncs, service) }) else {
                return false
            }
        }
        for hook in hooks {
            guard attempt({ () throws(Failure) in try execute(hook, service) }) else { return false }
        }
        return !work.restarts || attempt { () throws(Failure) in try restart(service) }
    }

    private func attempt(_ step: () throws(Failure) -> Bool) -> Bool {
        do throws(Failure) {
            return try step()
        } catch {
            say(error.description)
            return true
        }
    }

    // MARK: - Building

    /// By a child: nothing but its end stops a build under way, and services are still to be stopped by this process then.
    private func rebuild(_ service: String) throws(Failure) -> Bool {
        say("building service \"\(service)\" again")
        let doing = "cannot build service \"\(service)\" again"
        let child = try kernel(doing) { () throws(SyscallError) in
            try ForkedWork { _ in
                // As in every other build they end the process.
                unblockSignals([SIGINT, SIGTERM])
                do throws(Failure) {
                    try bringUpAgain(service)
                } catch {
                    say(error.description)
                }
                return []
            }
        }
        var isInterrupted = false
        let answer = try kernel(doing) { () throws(SyscallError) in
            do throws(SyscallError) {
                try child.begin()
            } catch {
                child.takeBack()
                throw error
            }
            while true {
                let ready = try waitReadable([child.end, signals.raw], atMost: nil)
                if let signal = signals.next() {
                    // The second time nobody waits for what it takes back.
                    if isInterrupted { child.kill() } else { child.signal(signal) }
                    isInterrupted = true
                }
                // A terminal's Ctrl-C may have ended it already.
                if ready[0] { return try child.reap() }
            }
        }
        if isInterrupted { return false }
        if answer == nil { throw Failure(doing, cause: "the process that does it was killed") }
        return true
    }

    private func bringUpAgain(_ service: String) throws(Failure) {
        var options = UpOptions()
        options.services = [service]
        options.noDependencies = true
        var bringUp = try BringUp(session, project, options, title: "watch")
        bringUp.builds = true
        bringUp.hidesBuilds = session.arguments.has(.quiet)
        _ = try bringUp.prepare().carryOut(nil)
        if session.arguments.isOff(.prune) { return }
        // What had the image's name before has none now.
        let used = try imagesInUse(root: session.root)
        _ = try session.imageStore().prune(keeping: used.layers, unless: nil, cache: false)
    }

    // MARK: - Files

    private func synchronize(_ copies: [WatchWork.Copy], _ service: String) throws(Failure) -> Bool {
        // What is gone first, the deepest of it before the rest: a file may be now where a directory was.
        let ordered = copies.filter { !exists($0.source) }.reversed() + copies.filter { exists($0.source) }
        var failures: [Failure] = []
        var isInterrupted = false
        for container in try containers(of: service) where !isInterrupted {
            let title = "container \"\(container.name)\""
            var (written, failed) = (0, 0)
            do throws(SyscallError) {
                let root = try ContainerRoot(pid: container.pid ?? 0)
                for copy in ordered {
                    isInterrupted = signals.next() != nil
                    if isInterrupted { break }
                    var target = copy.target
                    // As cp(1) has it.
                    if copy.isWholeRule, root.isDirectory(target) {
                        target += "/" + lastName(of: copy.source)
                    }
                    do throws(SyscallError) {
                        let isNew = try root.synchronize(
                            copy.source, to: target, removesDirectories: copy.wasDirectory)
                        if isNew { written += 1 }
                    } catch {
                        failed += 1
                        if failed > mostTold { continue }
                        failures.append(
                            Failure(
                                "cannot write \(target) in \(title)", error,
                                advice: error.errno == .notEmpty
                                    ? "a directory with something in it is there: remove it, or give another `target`"
                                    : nil))
                    }
                }
            } catch {
                failures.append(Failure("cannot write into \(title)", error))
            }
            if written > 0 { say("synchronized \(written) path\(written == 1 ? "" : "s") into \(title)") }
            if failed > mostTold {
                failures.append(Failure("cannot write \(failed - mostTold) more paths in \(title)"))
            }
        }
        if let failure = Failure.collect(failures) { say(failure.description) }
        return !isInterrupted
    }

    // MARK: - Containers

    private func containers(of service: String) throws(Failure) -> [ContainerStatus] {
        try session.containers(place).filter {
            $0.service == service && !$0.oneOff && $0.state == .running && $0.pid != nil
        }
    }

    /// Runs a command in each of the service's containers, one after the other.
    private func execute(_ hook: Service.Hook, _ service: String) throws(Failure) -> Bool {
        for container in try containers(of: service) {
            guard attempt({ () throws(Failure) in try execute(hook, service, container) }) else {
                return false
            }
        }
        return true
    }

    private func execute(_ hook: Service.Hook, _ service: String, _ container: ContainerStatus)
        throws(Failure) -> Bool
    {
        var options = ExecOptions(service: service, arguments: hook.command ?? [])
        options.index = container.index
        options.user = hook.user
        options.privileged = hook.privileged
        options.workingDirectory = hook.workingDirectory
        options.environment = hook.environment.sorted { $0.key < $1.key }.compactMap { name, value in
            value.map { "\(name)=\($0)" }
        }
        let client = try session.runningController()
        let null = try kernel("cannot open /dev/null") { () throws(SyscallError) in
            try openFile("/dev/null", flags: 2)
        }
        try client.send(
            .exec(options),
            descriptors: [null.raw, session.invocation.output, session.invocation.errors])
        while true {
            while let (event, _) = try client.nextBuffered() {
                switch event {
                case .failed(let failure): throw failure
                case .notice(let text): say(text)
                case .exited(let code):
                    if code != 0 {
                        say(
                            "the command of a watch rule ended with \(code) in container \"\(container.name)\""
                        )
                    }
                    return true
                case .done: return true
                default: break
                }
            }
            let ready = try kernel("cannot wait for the command of a watch rule") {
                () throws(SyscallError) in
                try waitReadable(
                    [client.descriptor, signals.raw, feed?.wakeup?.raw ?? -1], atMost: feed?.patience)
            }
            try feed?.printAvailable(last: false)
            if ready[1], signals.next() != nil { return false }
            if ready[0], try !client.fill() { throw session.hangup(place) }
        }
    }

    private func restart(_ service: String) throws(Failure) -> Bool {
        say("restarting service \"\(service)\"")
        let client = try session.runningController()
        try client.send(.restart(services: [service], timeout: nil, noDependencies: nil))
        return try !follow(client, place, try session.progress("restart"), signals: signals).interrupted
    }
}
