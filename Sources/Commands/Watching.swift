// SPDX-License-Identifier: Apache-2.0
//
// Watching: `watch` and `up --watch`: waits for changes of files, lets a burst of them pass, and does for each service
// what its rules say: build it again, or write the files into its containers, restart it, run a command in it.

internal import Basics
internal import ComposeModel
internal import Controller
internal import ContainerRuntime
internal import Images
internal import Kernel

/// An editor's save and a checkout are many changes; what follows waits until none came for so long, and no longer than
/// this: something may change all the time.
private let quietTime = Duration.milliseconds(100)
private let patience = Duration.seconds(1)

func runWatch(_ session: Session) throws(Failure) -> Int32 {
    let project = try session.project()
    let services = session.arguments.operands
    try checkServices(services, project)
    let place = session.place(project.name)
    // What is wrong with them is told before anything is started.
    let rules = try watchedRules(of: project, services)
    var prepared: PreparedUp?
    if !session.arguments.has(.noUp) {
        var options = UpOptions()
        options.services = services
        var bringUp = try BringUp(session, project, options, title: "up")
        bringUp.builds = true
        bringUp.hidesBuilds = session.arguments.has(.quiet)
        prepared = try bringUp.prepare()
    }
    let signals = try interruptSignals()
    if try prepared?.carryOut(signals).interrupted == true { return interruptedCode }
    let watching = try Watching(session, project, place, rules)
    while true {
        let ready = try kernel("cannot wait for changes") { () throws(SyscallError) in
            try waitReadable([watching.descriptor, signals.raw], atMost: nil)
        }
        if ready[1], signals.next() != nil { return 0 }
        if ready[0] { try watching.look(unless: signals) }
    }
}

final class Watching {
    private let session: Session
    private let project: Project
    private let place: ProjectPlace
    private var rules: [WatchedRule]
    private let tree: TreeWatch

    /// Watches from now on; rules with `initial_sync` are followed once at the beginning.
    init(_ session: Session, _ project: Project, _ place: ProjectPlace, _ given: [WatchedRule])
        throws(Failure)
    {
        self.session = session
        self.project = project
        self.place = place
        var rules = given
        // Where services were brought up since, directories may have been made.
        for index in rules.indices { rules[index].look() }
        let all = rules
        self.rules = all
        let roots = Set(all.map(\.rule.path)).sorted()
        tree = try TreeWatch(
            roots,
            // Ignored by every rule that reaches so far.
            isIgnored: { path in all.allSatisfy { $0.ignores(path) } },
            enters: { directory in all.contains { $0.mayReach(below: directory) } })
        for root in roots where (try? fileStatus(root, follow: true)) == nil {
            say("warning: \(root) does not exist; it is watched once it does")
        }
        say("watching \(Set(all.map(\.service)).sorted().joined(separator: ", ")) for changes")
        var first: [String: WatchWork] = [:]
        for rule in all where rule.rule.initialSync {
            for path in tree.everything(below: rule.rule.path) where rule.covers(path) {
                guard let copy = rule.copy(of: path) else { continue }
                first[rule.service, default: WatchWork()].syncs.append(copy)
            }
        }
        for (service, work) in first.sorted(by: { $0.key < $1.key }) { perform(work, service) }
    }

    var descriptor: Int32 { tree.descriptor }

    /// Takes in what changed, and acts on it, unless a signal comes meanwhile; returns at once when nothing did.
    func look(unless signals: SignalStream) throws(Failure) {
        var changed = try news()
        if changed.paths.isEmpty { return }
        let end = monotonicNanoseconds() + patience.nanoseconds
        var quiet = monotonicNanoseconds() + quietTime.nanoseconds
        while true {
            let left = min(quiet, end) - monotonicNanoseconds()
            let ready = try kernel("cannot wait for changes") { () throws(SyscallError) in
                try waitReadable([descriptor, signals.raw], atMost: .nanoseconds(max(0, left)))
            }
            if ready[1] { return }
            if !ready[0] { break }
            let more = try news()
            // What is no rule's may be written without end and puts nothing off.
            if more.paths.isEmpty {
                if left <= 0 { break }
                continue
            }
            changed.paths.formUnion(more.paths)
            changed.directories.formUnion(more.directories)
            quiet = monotonicNanoseconds() + quietTime.nanoseconds
            if monotonicNanoseconds() >= end { break }
        }
        for (service, work) in work(for: changed, rules).sorted(by: { $0.key < $1.key }) {
            perform(work, service)
        }
    }

    /// What changed and is some rule's.
    private func news() throws(Failure) -> TreeWatch.Changes {
        var changed = try tree.changes()
        if changed.paths.isEmpty { return changed }
        for index in rules.indices { rules[index].look() }
        changed.paths = changed.paths.filter { path in rules.contains { $0.covers(path) } }
        return changed
    }

    private func say(_ text: String) { session.errors.line(text) }

    /// What goes wrong is told; watching goes on: the next save may mend it.
    private func perform(_ work: WatchWork, _ service: String) {
        do throws(Failure) {
            if work.rebuilds { return try rebuild(service) }
            if !work.syncs.isEmpty { try synchronize(work.syncs, service) }
            for position in work.execs {
                if let hook = rules[position].rule.exec { try execute(hook, service) }
            }
            if work.restarts {
                say("restarting service \"\(service)\"")
                try ask(.restart(services: [service], timeout: nil, noDependencies: nil), "restart")
            }
        } catch {
            say(error.description)
        }
    }

    private func rebuild(_ service: String) throws(Failure) {
        say("building service \"\(service)\" again")
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

    private func containers(of service: String) throws(Failure) -> [ContainerStatus] {
        try session.containers(place).filter {
            $0.service == service && !$0.oneOff && $0.state == .running && $0.pid != nil
        }
    }

    private func synchronize(_ copies: [WatchWork.Copy], _ service: String) throws(Failure) {
        // What is gone first, the deepest of it before the rest: a file may be now where a directory was.
        let ordered = copies.filter { !exists($0.source) }.reversed() + copies.filter { exists($0.source) }
        for container in try containers(of: service) {
            var count = 0
            for copy in ordered {
                var target = copy.target
                do throws(SyscallError) {
                    let root = try ContainerRoot(pid: container.pid ?? 0)
                    // As cp(1) has it.
                    if copy.isWholeRule, root.isDirectory(target) {
                        target += "/" + lastName(of: copy.source)
                    }
                    let isNew = try root.synchronize(
                        copy.source, to: target, removesDirectories: copy.wasDirectory)
                    if isNew { count += 1 }
                } catch {
                    throw Failure(
                        "cannot write \(target) in container \"\(container.name)\"", error,
                        advice: error.errno == .notEmpty
                            ? "a directory with something in it is there: remove it, or give another `target`"
                            : nil)
                }
            }
            if count > 0 {
                say("synchronized \(count) path\(count == 1 ? "" : "s") into container \"\(container.name)\"")
            }
        }
    }

    private func execute(_ hook: Service.Hook, _ service: String) throws(Failure) {
        for container in try containers(of: service) {
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
            while let (event, _) = try client.next() {
                if case .failed(let failure) = event { throw failure }
                if case .notice(let text) = event { say(text) }
                if case .exited(let code) = event, code != 0 {
                    say("the command of a watch rule ended with \(code) in container \"\(container.name)\"")
                }
                if case .done = event { break }
            }
        }
    }

    private func ask(_ request: ControlRequest, _ title: String) throws(Failure) {
        let client = try session.runningController()
        try client.send(request)
        _ = try follow(client, place, try session.progress(title))
    }
}
