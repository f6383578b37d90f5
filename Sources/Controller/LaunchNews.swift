// SPDX-License-Identifier: Apache-2.0
//
// A launch from the clone to the program running: make its links when it was cloned, let it go on, and hear of its exec or of
// the operation that failed, from the keeper and from the child itself.

internal import Basics
internal import Cgroups
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning
internal import Netlink
internal import Networking
internal import Planning

extension ProjectController {
    // MARK: What the keeper says

    func keeperSpoke() {
        do throws(SyscallError) {
            guard let event = try keeper.receive() else { return keeperLost() }
            switch event {
            case .launched(let id, let pid, let pidfd): launched(id, pid, pidfd)
            case .refused(let id, let errno, let operation): refused(id, errno, operation)
            case .exited(let id, let pid, let end, _, let at): exited(id, pid, end, at)
            case .ping: keeperAsks()
            case .stopped(let id):
                if let container = launching[id], container.phase == .running {
                    drift.mark(.cgroup(container.name))
                }
            case .child, .held, .ready: break
            }
        } catch {
            if error.errno != .again { log("the keeper's socket failed: \(error)") }
        }
    }

    private func launched(_ id: UInt32, _ pid: Int32, _ told: SharedFD?) {
        // Of an exec this is the child that joins; the one that counts reports its own pid.
        if sessions[id] != nil { return }
        guard let container = launching[id] else { return }
        container.pid = pid
        guard let pidfd = told ?? openPidfd(ofChild: pid) else {
            // No signal could be sent it later, and so no stop. Its end has not been told yet: the number is its own, or was a
            // moment ago.
            container.wasExecutedEarly = false
            failStart(
                of: container,
                Failure(
                    "cannot start container \"\(container.name)\"",
                    SyscallError("recvmsg", .tooManyFiles, "the keeper's socket"),
                    advice:
                        "the controller has \(descriptorLimit()) descriptors: raise the limit (ulimit -Hn) and bring the "
                        + "project up anew"))
            kill(pid, SIGKILL)
            return
        }
        container.pidfd = pidfd
        if container.wasExecutedEarly {
            container.wasExecutedEarly = false
            executed(container)
        }
        if container.status.stopRequested {
            _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL)
            return
        }
        guard !container.request.networks.isEmpty, let sync = container.sync else { return }
        do throws(Failure) {
            try networking?.attach(container.name, container.request, pid: pid)
            do throws(SyscallError) {
                try sendTag(LaunchTag.linksReady, to: sync.raw)
            } catch {
                // It ended meanwhile; its own report says why.
                if error.errno != .brokenPipe && error.errno != .connectionReset {
                    throw Failure("cannot start container \"\(container.name)\"", error)
                }
            }
        } catch {
            // What the child itself says comes first: that it is gone may be why it could not be connected.
            drainSync(of: container)
            // Without its links it must not run; its end follows and finds the failure told, or, where there is nobody to
            // connect any more, tells of itself.
            if !hasEnded(pidfd) { failStart(of: container, error) }
            _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL)
        }
    }

    private func openPidfd(ofChild pid: Int32) -> SharedFD? {
        let raw = linux_pidfd_open(pid, 0)
        return raw < 0 ? nil : SharedFD(OwnedFD(taking: raw))
    }

    /// A pidfd is readable once its process has ended (pidfd_open(2)).
    private func hasEnded(_ pidfd: SharedFD) -> Bool {
        var entry = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    private func refused(_ id: UInt32, _ errno: Errno, _ operation: Int) {
        if let session = sessions.removeValue(forKey: id) {
            return session.failed(Failure("cannot start a process", SyscallError("clone3", errno)))
        }
        guard let container = launching.removeValue(forKey: id) else { return }
        let what = operation >= 0 ? container.program?.doing(at: operation) : nil
        endLaunch(
            of: container,
            Failure("cannot start container \"\(container.name)\"", SyscallError("clone3", errno, what)))
    }

    /// No process comes of it: whoever waits for its start, or for its end, is told.
    func endLaunch(of container: Container, _ failure: Failure) {
        abandonLaunch(of: container)
        failStart(of: container, failure)
        let waiting = container.onExited
        container.onExited = []
        for told in waiting { told() }
        changed()
    }

    // MARK: What the child says

    func childSpoke(_ container: Container) {
        guard let sync = container.sync else { return }
        do throws(SyscallError) {
            switch try LaunchReport.receive(sync.raw) {
            case .failed(let operation, let errno):
                let doing = container.program?.doing(at: operation) ?? "starting"
                if doing.hasPrefix("running ") { container.codeOfFailedStart = commandCode(of: errno) }
                failStart(
                    of: container,
                    Failure(
                        "cannot start container \"\(container.name)\": \(doing) failed",
                        cause: "\(errno) (\(errno.sentence))",
                        advice: advice(doing, errno)))
            case .tag(LaunchTag.nameServiceSockets, let sockets):
                container.nameSockets = sockets
                for (kind, socket) in zip(["dns-udp:", "dns-tcp:"], sockets) {
                    try keeper.hold(socket.raw, as: kind + container.name)
                }
                serveNames(of: container)
            case .tag(LaunchTag.terminal, let descriptors):
                container.terminal = descriptors.first
                if let master = descriptors.first { try keeper.hold(master.raw, as: "tty:" + container.name) }
                openStreams(of: container, beginsRun: true)
            case .tag, .born: break
            case nil:
                closeSync(of: container)
                hearOfClone(of: container)
                executed(container)
            }
        } catch {
            log("the socket of container \(container.name) failed: \(error)")
            closeSync(of: container)
        }
    }

    /// The end of its socket means that its program runs, unless it was never cloned: what the keeper said of that came
    /// before.
    private func hearOfClone(of container: Container) {
        while container.pid == nil, launching[container.childID] === container {
            var entry = pollfd(fd: keeper.descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 0) > 0 else { return }
            keeperSpoke()
        }
    }

    private func advice(_ doing: String, _ errno: Errno) -> String? {
        if doing.hasPrefix("running"), errno == .noEntry {
            return "see which programs the image has; set `command` or `entrypoint`"
        }
        if doing.hasPrefix("running"), errno == .access { return "make the program executable in the image" }
        // mount(2) and move_mount(2): a file goes on a file, a directory on a directory.
        if doing.hasPrefix("mounting"), errno == .invalid || errno == .notDirectory {
            return
                "one of the two may be a file and the other a directory; a source that was not there was made a directory"
        }
        if doing.contains("root file system"), errno == .invalid {
            return "the state directory must not lie on overlayfs: give it a volume or tmpfs with --root"
        }
        return nil
    }

    func closeSync(of container: Container) {
        if let sync = container.sync { loop.unwatch(sync.raw) }
        container.sync = nil
    }

    /// The program runs, unless a failure was told before.
    private func executed(_ container: Container) {
        guard let told = container.onStarted else { return }
        // One without networks waits for nobody, and its word may come before the keeper's, who says which process it is.
        // By that it is known to the next controller, so it is not called started before.
        guard container.pid != nil else {
            container.wasExecutedEarly = true
            return
        }
        container.onStarted = nil
        container.program = nil
        container.phase = .running
        container.runningSince = monotonicNanoseconds()
        let before = container.status
        container.status = statusOfStart(container)
        container.status.stopRequested = before.stopRequested
        container.status.signalledToStop = before.signalledToStop
        do throws(Failure) {
            try publish(container)
            try container.saveStatus()
            startHealth(of: container)
            watchForDriftSoon()
            tell("start", of: container, container.startedByPolicy ? ["by": "restart policy"] : [:])
            restartSharers(of: container)
            finishStart(of: container, told)
        } catch {
            if !container.startedByPolicy { container.status.stopRequested = true }
            if let pidfd = container.pidfd { _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL) }
            told(error)
        }
        changed()
    }

    private func statusOfStart(_ container: Container) -> ContainerStatusRecord {
        var status = ContainerStatusRecord(bootID: bootID)
        status.pid = container.pid
        status.startTime = container.pid.flatMap(processStartTime)
        status.startedAt = realtimeNanoseconds()
        status.restarts = container.status.restarts
        status.restartStreak = container.status.restartStreak
        status.addresses = networking?.shownAddresses(of: container.name) ?? [:]
        status.ports = container.status.ports
        return status
    }

    /// Tells whoever waits; the process itself is dealt with when its exit comes.
    func failStart(of container: Container, _ failure: Failure) {
        guard let told = container.onStarted else { return }
        container.onStarted = nil
        // A start that was asked for and failed is reported, not tried again.
        if !container.startedByPolicy { container.status.stopRequested = true }
        told(inService(container, failure))
    }

    /// Undoes what was begun for a child that never came to be.
    func abandonLaunch(of container: Container) {
        closeSync(of: container)
        closeStreams(of: container)
        releasePorts(of: container)
        launching[container.childID] = nil
        container.program = nil
        container.phase = container.phaseWithoutProcess
    }

    /// Said of the container, where it is not already.
    func inService(_ container: Container, _ failure: Failure) -> Failure {
        if failure.doing.contains("\"\(container.name)\"") { return failure }
        return Failure(
            "cannot start container \"\(container.name)\": \(failure.doing)", cause: failure.cause,
            advice: failure.advice,
            at: failure.location, others: failure.others)
    }
}
