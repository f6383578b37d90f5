// SPDX-License-Identifier: Apache-2.0
//
// What a run waits for: the conditions of `depends_on`, and, with `--wait`, that all is ready. Looked at whenever a container
// has changed.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Planning

/// As long as Docker Compose takes before it looks for the first time: a program that ends at once, for want of a setting
/// say, was never ready. Who has a health check is ready when that says so.
private let settling = Duration.milliseconds(500)

extension ProjectController {
    enum Verdict {
        case met
        case unmet
        case never(Failure)
    }

    /// Ends those waits of the run whose condition is met, or can't be any more.
    func checkAwaited() {
        guard let run else { return checkReady() }
        checkLooks()
        for wait in run.awaited {
            // What no operation waits for is `--wait`'s alone: who has completed well is as ready as can be.
            let isAsked = run.isWaitedFor(wait.index)
            switch isAsked ? verdict(on: wait.service, wait.condition) : readiness(of: wait.service) {
            case .met: run.finish(wait.index, nil)
            case .unmet: break
            case .never(let failure):
                if wait.required {
                    run.finish(wait.index, failure)
                } else {
                    runOwner?.send(.notice("optional \(failure.doing)"))
                    run.giveUp(wait.index)
                }
            }
        }
        checkReady()
    }

    func verdict(on service: String, _ condition: DependencyRequest.Condition) -> Verdict {
        verdict(on: service) { verdict(on: $0, condition) }
    }

    private func readiness(of service: String) -> Verdict { verdict(on: service) { readiness(of: $0) } }

    private func verdict(on service: String, by judge: (Container) -> Verdict) -> Verdict {
        // An old one that an update is about to remove says nothing of the service any more.
        let own = containers.values
            .filter { $0.reference.service == service && run?.removes($0.name) != true }
            .sorted { $0.name < $1.name }
        var all = !own.isEmpty
        for container in own {
            switch judge(container) {
            case .met: continue
            case .unmet: all = false
            case .never(let failure): return .never(failure)
            }
        }
        return all ? .met : .unmet
    }

    private func verdict(on container: Container, _ condition: DependencyRequest.Condition) -> Verdict {
        let doing =
            "dependency \"\(container.reference.service)\" failed: container \"\(container.name)\""
        let hasEnded = container.phase == .exited && container.restartTimer == nil
        switch condition {
        case .started:
            return container.phase == .running || container.status.startedAt != nil ? .met : .unmet
        case .healthy:
            if hasEnded {
                return .never(
                    withLogs(Failure("\(doing) \(endText(container)) before it was healthy"), container))
            }
            guard container.phase == .running, let health = container.health else { return .unmet }
            if health.state == .unhealthy {
                return .never(withLogs(Failure("\(doing) is unhealthy", cause: health.lastWords), container))
            }
            return health.state == .healthy ? .met : whilePaused(container, doing)
        case .completed:
            guard hasEnded else { return whilePaused(container, doing) }
            if container.status.end?.code == 0, container.status.endKnown { return .met }
            return .never(withLogs(Failure("\(doing) \(endText(container))"), container))
        }
    }

    /// What stands still by somebody's wish becomes nothing it is not.
    private func whilePaused(_ container: Container, _ doing: String) -> Verdict {
        guard container.phase == .running, container.status.paused else { return .unmet }
        return .never(
            Failure(
                "\(doing) is paused",
                advice: "`covey unpause \(container.reference.service)` lets it go on"))
    }

    func endText(_ container: Container) -> String {
        guard container.status.endKnown, let end = container.status.end else {
            return "ended, nobody knows how"
        }
        if container.status.oomKilled { return "was killed: out of memory" }
        return end.words
    }

    /// Adds what the container said last.
    func withLogs(_ failure: Failure, _ container: Container) -> Failure {
        let lines = lastLines(10, in: container.directories.log)
        guard !lines.isEmpty else { return failure }
        var told = failure
        let said = "it said last:\n" + lines.map { "           \($0)" }.joined(separator: "\n")
        told.cause = [failure.cause, said].compactMap { $0 }.joined(separator: "\n         ")
        return told
    }

    // MARK: up --wait, start --wait

    /// Answers with `end` once every one of the services, of all where none is named, runs and is healthy, or has
    /// completed well.
    func awaitReady(
        of names: [String], _ connection: ClientConnection, _ end: @escaping () -> ControlEvent
    ) {
        let isAsked = { [self] (service: String) in
            names.isEmpty ? desired?.services[service] != nil : names.contains(service)
        }
        readiness = { [self] in
            var all = true
            for container in containers.values.sorted(by: { $0.name < $1.name })
            where isAsked(container.reference.service) {
                switch readiness(of: container) {
                case .met: continue
                case .unmet: all = false
                case .never(let failure): return .never(failure)
                }
            }
            return all ? .met : .unmet
        }
        readyEnd = { [self] failure in
            readiness = nil
            readyEnd = nil
            connection.finish(failure.map { .failed($0) } ?? end())
            runEnded()
        }
        checkReady()
    }

    private func readiness(of container: Container) -> Verdict {
        let doing = "container \"\(container.name)\""
        if container.phase == .exited, container.restartTimer == nil {
            if container.status.end?.code == 0 { return .met }
            return .never(withLogs(Failure("\(doing) \(endText(container))"), container))
        }
        guard container.phase == .running else { return .unmet }
        guard let health = container.health else { return hasSettled(container) ? .met : .unmet }
        switch health.state {
        case .healthy: return .met
        case .starting: return whilePaused(container, doing)
        case .unhealthy:
            return .never(withLogs(Failure("\(doing) is unhealthy", cause: health.lastWords), container))
        }
    }

    /// Whether it has run for long enough; if not, all is looked at again when it has.
    private func hasSettled(_ container: Container) -> Bool {
        let lived = container.lived ?? .zero
        if lived >= settling { return true }
        if settleTimer == nil {
            settleTimer = loop.after(settling - lived) { [unowned self] in
                settleTimer = nil
                checkReady()
            }
        }
        return false
    }

    /// What `--wait-timeout` gives the run just begun: for its dependencies' conditions as for being ready.
    func limitReadiness(_ wait: ReadyWait?) {
        // As with Docker Compose 0 is no limit.
        guard let limit = wait?.timeout, limit > .zero, let run else { return }
        _ = loop.after(limit) { [unowned self, weak run] in
            guard let run, self.run === run else { return }
            endRun(
                run,
                Failure(
                    "the project is not ready after \(limit.composeText)",
                    advice: "see `covey ps` and `covey logs`"))
        }
    }

    func checkReady() {
        guard let readiness, let readyEnd else { return }
        switch readiness() {
        case .met: readyEnd(nil)
        case .unmet: break
        case .never(let failure): readyEnd(failure)
        }
    }
}
