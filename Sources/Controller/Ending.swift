// SPDX-License-Identifier: Apache-2.0
//
// From a container's exit, wanted or not, to what follows: the last of its output, its status, its ports and names taken
// back, and a new start if its policy says so.

internal import Basics
internal import Cgroups
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel

/// Docker's: 100 ms, doubled each time, at most a minute, from the start again after ten seconds of running.
private let firstRestartDelay = Duration.milliseconds(100)
private let longestRestartDelay = Duration.seconds(60)
private let goodRun = Duration.seconds(10)

extension ProjectController {
    /// Sends the stop signal; after `timeout` everything in the container is killed.
    /// - Parameter startsAgain: it is nobody's wish, and whoever asks starts it again when it has ended.
    /// - Returns: what kept it from being written down.
    @discardableResult
    func stop(
        _ container: Container, timeout: Duration, startsAgain: Bool = false,
        _ told: @escaping (Failure?) -> Void
    ) -> Failure? {
        if startsAgain {
            container.status.startsAgain = true
        } else {
            container.status.stopRequested = true
            container.status.startsAgain = nil
        }
        let waited = container.restartTimer != nil
        cancelRestart(container)
        let unwritten = container.phase == .created ? nil : writeStop(of: container)
        end(container, timeout: timeout, waited: waited, told)
        return unwritten
    }

    /// Known to the next controller, should this one die before the end is written down: no policy starts it then, and no
    /// `up` takes it for one that stays.
    private func writeStop(of container: Container) -> Failure? {
        do throws(Failure) {
            try container.saveStatus()
            return nil
        } catch {
            log("container \(container.name) is stopped, which is not written down: \(error)")
            return Failure(
                "container \"\(container.name)\" is stopped, and that cannot be written down",
                cause: error.cause,
                advice: "make room in \(place.run), or it may run again should its controller be lost")
        }
    }

    private func end(
        _ container: Container, timeout: Duration, waited: Bool, _ told: @escaping (Failure?) -> Void
    ) {
        guard container.isLive else {
            if waited { changed() }
            return told(nil)
        }
        if container.isBeforeProcess {
            return endWait(of: container, cause: "its container was stopped meanwhile", told)
        }
        container.onExited.append { told(nil) }
        changed()
        // Cloned a moment ago, its pid not told yet: it is killed when it is.
        guard let pidfd = container.pidfd else { return }
        // Before its program runs nothing in it answers to a signal.
        let isKill = timeout <= .zero || container.phase == .launching
        if isKill { return signalStop(container, pidfd, within: .zero) }
        if container.isPreparingStop { return }
        prepareStop(of: container, within: timeout) { [unowned self] in
            signalStop(container, pidfd, within: timeout)
        }
    }

    private func signalStop(_ container: Container, _ pidfd: SharedFD, within timeout: Duration) {
        let isKill = timeout <= .zero
        let signal = signalNumber(container.request.stopSignal).map(Int32.init) ?? SIGTERM
        _ = linux_pidfd_send_signal(pidfd.raw, isKill ? SIGKILL : signal)
        tell("kill", of: container, ["signal": "\(isKill ? SIGKILL : signal)"])
        thaw(container)
        guard !isKill else { return }
        killLater(container, after: timeout)
    }

    /// What is being stopped gets no more time than this: of two wishes the less patient one counts.
    /// - Parameters:
    ///   - services: none is all.
    ///   - timeout: nil is each container's own.
    func shortenStops(of services: [String], to timeout: Duration?) {
        for container in containers.values
        where services.isEmpty || services.contains(container.reference.service) {
            guard container.killTimer != nil || container.isPreparingStop, let pidfd = container.pidfd else {
                continue
            }
            let patience = timeout ?? container.request.stopGracePeriod
            if patience <= .zero {
                signalStop(container, pidfd, within: .zero)
            } else {
                killLater(container, after: patience)
            }
        }
    }

    private func killLater(_ container: Container, after timeout: Duration) {
        let end = monotonicNanoseconds().addingReportingOverflow(timeout.nanoseconds)
        let killsAt = end.overflow ? Int64.max : end.partialValue
        if let timer = container.killTimer {
            guard killsAt < container.killsAt else { return }
            loop.cancel(timer)
        }
        container.killsAt = killsAt
        container.killTimer = loop.after(timeout) { [unowned self, unowned container] in
            container.killTimer = nil
            tell("kill", of: container, ["signal": "\(SIGKILL)"])
            do throws(Failure) {
                try cgroup.container(container.name).kill()
            } catch {
                log("\(error)")
            }
            if let pidfd = container.pidfd { _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL) }
        }
    }

    /// The keeper reaped a child.
    func exited(_ id: UInt32, _ pid: Int32, _ end: ProcessEnd, _ at: Int64) {
        if id == 0 {
            if let session = sessionsByPID.removeValue(forKey: pid) {
                session.ended(end)
            } else {
                strayExits[pid] = end
            }
            if strayExits.count > 256 { strayExits.removeAll() }
            return
        }
        defer { try? keeper.release(id: id) }
        if let session = sessions.removeValue(forKey: id) { return session.intermediateEnded(end) }
        guard let container = launching.removeValue(forKey: id) else { return }
        // The child may have said something last: a failed operation must be told as such.
        drainSync(of: container)
        // What could not run its program ends in one way (stub.c); which it was is known from what it said.
        let code = end == .exited(127) ? container.codeOfFailedStart : nil
        finishExit(container, code.map { .exited($0) } ?? end, at)
    }

    func drainSync(of container: Container) {
        while let sync = container.sync {
            var entry = pollfd(fd: sync.raw, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 0) > 0 else { break }
            childSpoke(container)
        }
        closeSync(of: container)
    }

    /// - Parameter end: nil when nobody can tell.
    func finishExit(_ container: Container, _ end: ProcessEnd?, _ at: Int64) {
        if let timer = container.killTimer { loop.cancel(timer) }
        container.killTimer = nil
        drift.forget(container.name)
        container.status.paused = false
        container.holders = []
        container.health?.stop()
        container.health = nil
        closeStreams(of: container)
        stopServingNames(of: container)
        if container.request.tty { try? keeper.drop("tty:" + container.name) }
        if container.isOrphan { forgetOrphan(container) }
        if !container.request.ports.isEmpty {
            releasePorts(of: container)
            if !takingDown { try? networking?.unpublish(container.name) }
        }
        if container.standardInput != nil { container.standardInput = nil }
        let own = cgroup.container(container.name)
        let outOfMemory = (own.memoryKills ?? 0) > container.memoryKillsBefore
        container.status.oomKilled = outOfMemory && end == .signalled(SIGKILL)
        if !container.request.hasOwnProcesses { endProcesses(of: container, own) }
        container.pid = nil
        container.pidfd = nil
        container.phase = .exited
        container.stopWasCutOff = false
        container.isPreparingStop = false
        container.status.pid = nil
        container.status.end = end
        container.status.endKnown = end != nil
        container.status.finishedAt = at
        failStart(
            of: container,
            Failure(
                "cannot start container \"\(container.name)\"",
                cause: "its first process \(end?.words ?? "ended") before it ran its program"))
        if !takingDown {
            do throws(Failure) {
                try container.saveStatus()
            } catch {
                log("\(error)")
            }
        }
        if outOfMemory, (own.memoryKills ?? 0) > container.memoryKillsTold { tell("oom", of: container) }
        tellEnd(of: container)
        noteStep(container)
        let waiting = container.onExited
        container.onExited = []
        superviseExit(container)
        for told in waiting { told() }
        if container.oneOff != nil {
            // It may be removed at once: who waits for its end sees it before.
            changed()
            oneOffEnded(container)
        }
        changed()
    }

    /// Those it left in a pid namespace that lives on.
    private func endProcesses(of container: Container, _ cgroup: ContainerCgroup) {
        do throws(Failure) {
            if !cgroup.isEmpty { try cgroup.kill() }
        } catch {
            log("\(error)")
        }
    }

    private func tellEnd(of container: Container) {
        // A first process that ended before it ran its program was never started.
        guard container.status.startedAt != nil else { return }
        var attributes = ["exitCode": container.status.end.map { "\($0.code)" } ?? "unknown"]
        if case .signalled(let signal) = container.status.end { attributes["signal"] = "\(signal)" }
        tell("die", of: container, attributes)
        if container.status.endIsWanted { tell("stop", of: container) }
    }

    // MARK: Restart policies

    func superviseExit(_ container: Container) {
        guard !container.status.endIsWanted, !leaving, !takingDown, container.restartTimer == nil,
            restarts(container)
        else { return }
        let pace = container.service.pace
        // A start that failed, however long it took, is no run.
        if let lived = container.lived, lived >= pace?.window ?? goodRun { container.restartStreak = 0 }
        guard isAllowedAttempt(container) else { return }
        let delay =
            pace?.delay
            ?? min(longestRestartDelay, firstRestartDelay * (1 << min(container.restartStreak, 10)))
        container.restartStreak += 1
        container.restartTimer = loop.after(delay) { [unowned self, unowned container] in
            container.restartTimer = nil
            container.status.restarts += 1
            start(container, byPolicy: true) { [unowned self] failure in
                guard let failure else { return }
                log("\(failure)")
                guard !container.isLive else { return }
                // A start that fails counts as an exit: the policy goes on, more slowly each time.
                superviseExit(container)
                try? container.saveStatus()
            }
        }
        changed()
    }

    private func restarts(_ container: Container) -> Bool {
        switch container.service.restart {
        case .no: false
        case .always, .unlessStopped: true
        case .onFailure(let maximum):
            (container.status.end?.code != 0 || !container.status.endKnown)
                && container.status.restarts < maximum ?? .max
        }
    }

    /// `max_attempts` counts those in a row that did not outlive the window (deploy.md, restart_policy).
    private func isAllowedAttempt(_ container: Container) -> Bool {
        guard let maximum = container.service.pace?.maximumAttempts else { return true }
        return container.restartStreak < maximum
    }

    /// A policy's next start is not wanted any more. One that is not waited for changes nothing.
    func giveUpRestart(of container: Container) {
        guard container.restartTimer != nil else { return }
        cancelRestart(container)
        container.status.stopRequested = true
        _ = writeStop(of: container)
        rest(container, .stopped)
        changed()
    }

    func cancelRestart(_ container: Container) {
        if let timer = container.restartTimer { loop.cancel(timer) }
        container.restartTimer = nil
    }
}
