// SPDX-License-Identifier: Apache-2.0
//
// The keeper is lost while the controller lives: another is started, and the controller goes on with it. It is told all
// that the first one knew, so that either may die next. What was being started goes on when its process is known, else
// it is ended and started anew.

internal import Basics
internal import Cgroups
internal import CLinux
internal import ContainerRuntime
internal import Kernel

extension ProjectController {
    /// Hears what the keeper says, and of its end.
    func watchKeeper(_ pid: Int32) throws(SyscallError) {
        try loop.watch(keeper.descriptor) { [unowned self] _ in keeperSpoke() }
        // The channel alone does not tell: a child that has not exec'ed yet has the keeper's end of it as well, and may
        // wait for us.
        let raw = linux_pidfd_open(pid, 0)
        // Gone already, and with it all who could have the other end.
        guard raw >= 0 else { return }
        let process = SharedFD(OwnedFD(taking: raw))
        keeperProcess = process
        try loop.watch(process.raw) { [unowned self] _ in
            let lost = keeper
            while keeper === lost, hasWord(keeper.descriptor) { keeperSpoke() }
            if keeper === lost { keeperLost() }
        }
    }

    private func hasWord(_ fd: Int32) -> Bool {
        var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    func keeperLost() {
        loop.unwatch(keeper.descriptor)
        if let keeperProcess { loop.unwatch(keeperProcess.raw) }
        keeperProcess = nil
        // On the way out it has nothing more to do.
        guard !leaving else { return loop.stop() }
        log("the keeper is gone: starting another")
        do throws(SyscallError) {
            (keeper, keeperPID) = try startKeeperAgain(place, listener: listener)
            try watchKeeper(keeperPID)
            expectKeeper()
        } catch {
            log("cannot start another keeper: \(error); the next command does")
            return loop.stop()
        }
        handOverSessions()
        let children = launching
        launching = [:]
        let inOrder = children.values.sorted { $0.name < $1.name }
        for container in inOrder {
            if let pidfd = container.pidfd { keepOrphan(container, pidfd) }
        }
        startAnew(inOrder.filter { $0.pidfd == nil })
        for container in containers.values where container.isLive {
            if children[container.childID] !== container, container.isOrphan, let pidfd = container.pidfd {
                // Its second loss.
                loop.unwatch(pidfd.raw)
                keepOrphan(container, pidfd)
            }
            holdAgain(container)
        }
    }

    /// All that is held by name for a container that runs.
    private func holdAgain(_ container: Container) {
        do throws(SyscallError) {
            for (kind, socket) in zip(["dns-udp:", "dns-tcp:"], container.nameSockets) {
                try keeper.hold(socket.raw, as: kind + container.name)
            }
            if let terminal = container.terminal {
                try keeper.hold(terminal.raw, as: "tty:" + container.name)
            }
            // What is published on IPv6 has a listener, all else a reservation.
            let reserved = container.status.ports.filter { !$0.isIPv6 }
            for (port, socket) in zip(reserved, container.reservations) {
                try keeper.hold(socket.raw, as: port.heldName(container.name))
            }
            for (port, socket) in container.listeners {
                try keeper.hold(socket.raw, as: port.heldName(container.name))
            }
        } catch {
            log("the keeper does not hold what belongs to container \(container.name): \(error)")
        }
    }

    /// Processes of execs and probes are followed like orphans; of one whose pid is not known nobody can tell.
    private func handOverSessions() {
        var all: [ObjectIdentifier: ExecSession] = [:]
        for session in Array(sessions.values) + Array(sessionsByPID.values) {
            all[ObjectIdentifier(session)] = session
        }
        sessions = [:]
        sessionsByPID = [:]
        strayExits = [:]
        for session in all.values {
            guard let pid = session.pid else {
                session.lost()
                continue
            }
            let raw = linux_pidfd_open(pid, 0)
            guard raw >= 0 else {
                session.ended(nil)
                continue
            }
            do throws(SyscallError) {
                let pidfd = SharedFD(OwnedFD(taking: raw))
                try followEnd(of: pid, processStartTime(pid), pidfd) { session.ended($0) }
            } catch {
                session.ended(nil)
            }
        }
    }

    /// The keeper was asked for these and did not say whether there is a process of them.
    private func startAnew(_ stranded: [Container]) {
        if stranded.isEmpty { return }
        // One that waits for its links waits in vain. All of them first: a child that has not exec'ed yet keeps the
        // requests alive that the keeper did not come to, and with them the other ends of their sockets.
        for container in stranded { if let sync = container.sync { shutdown(sync.raw, Int32(SHUT_WR)) } }
        for _ in 0..<400 {
            let living = stranded.filter { !isOver($0) }
            if living.isEmpty { break }
            for container in living { try? cgroup.container(container.name).kill() }
            pauseBetweenLooks(.milliseconds(5))
        }
        for container in stranded { startAnew(container) }
    }

    /// No process of it is left that was being made: nobody has the other end of its socket, nobody is in its cgroup.
    private func isOver(_ container: Container) -> Bool {
        guard let sync = container.sync else { return cgroup.container(container.name).isEmpty }
        var entry = pollfd(fd: sync.raw, events: 0, revents: 0)
        return poll(&entry, 1, 0) > 0 && cgroup.container(container.name).isEmpty
    }

    private func startAnew(_ container: Container) {
        abandonLaunch(of: container)
        do throws(Failure) {
            try cgroup.container(container.name).remove()
        } catch {
            log("\(error)")
        }
        let told = container.onStarted
        container.onStarted = nil
        if container.status.stopRequested {
            told?(Failure("cannot start container \"\(container.name)\"", cause: "it was stopped meanwhile"))
            let waiting = container.onExited
            container.onExited = []
            for tell in waiting { tell() }
            return changed()
        }
        start(container, byPolicy: container.startedByPolicy, for: container.startingRun) { told?($0) }
    }
}
