// SPDX-License-Identifier: Apache-2.0
//
// Watching: `watch` and `up --watch`: waits for changes of files, lets a burst of them pass, and has done for each service
// what its rules say (WatchActions).

internal import Basics
internal import Controller
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
    let watching = try Watching(WatchActions(session, project, place, signals), rules)
    if try watching.begin() { return interruptedCode }
    while true {
        let ready = try kernel("cannot wait for changes") { () throws(SyscallError) in
            try waitReadable([watching.descriptor, signals.raw], atMost: nil)
        }
        if ready[1], signals.next() != nil { return 0 }
        if ready[0], try watching.look() { return interruptedCode }
    }
}

final class Watching {
    private var actions: WatchActions
    private var rules: [WatchedRule]
    private let tree: TreeWatch

    /// Watches from now on.
    init(_ actions: WatchActions, _ given: [WatchedRule]) throws(Failure) {
        self.actions = actions
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
            actions.say("warning: \(root) does not exist; it is watched once it does")
        }
        actions.say("watching \(Set(all.map(\.service)).sorted().joined(separator: ", ")) for changes")
    }

    var descriptor: Int32 { tree.descriptor }

    /// Logs that go on being shown while a rule's command runs.
    func show(_ feed: LogFeed) { actions.feed = feed }

    /// Follows rules with `initial_sync`.
    /// - Returns: whether a signal cut it short, which is taken then.
    func begin() throws(Failure) -> Bool {
        var first: [String: WatchWork] = [:]
        for rule in rules where rule.rule.initialSync {
            for path in tree.everything(below: rule.rule.path) where rule.covers(path) {
                guard let copy = rule.copy(of: path) else { continue }
                first[rule.service, default: WatchWork()].syncs.append(copy)
            }
        }
        return carryOut(first)
    }

    /// Takes in what changed, and acts on it; returns at once when nothing did.
    /// - Returns: whether a signal cut it short, which is taken then.
    func look() throws(Failure) -> Bool {
        var changed = try news()
        if changed.paths.isEmpty { return false }
        let end = monotonicNanoseconds() + patience.nanoseconds
        var quiet = monotonicNanoseconds() + quietTime.nanoseconds
        while true {
            let left = min(quiet, end) - monotonicNanoseconds()
            let ready = try kernel("cannot wait for changes") { () throws(SyscallError) in
                try waitReadable([descriptor, actions.signals.raw], atMost: .nanoseconds(max(0, left)))
            }
            if ready[1], actions.signals.next() != nil { return true }
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
        return carryOut(work(for: changed, rules))
    }

    private func carryOut(_ work: [String: WatchWork]) -> Bool {
        for (service, own) in work.sorted(by: { $0.key < $1.key })
        where !actions.carryOut(own, service, hooks: own.execs.compactMap { rules[$0].rule.exec }) {
            return true
        }
        return false
    }

    /// What changed and is some rule's.
    private func news() throws(Failure) -> TreeWatch.Changes {
        var changed = try tree.changes()
        if changed.paths.isEmpty { return changed }
        for index in rules.indices { rules[index].look() }
        changed.paths = changed.paths.filter { path in rules.contains { $0.covers(path) } }
        return changed
    }
}
