// SPDX-License-Identifier: Apache-2.0
//
// How a new controller finds what was there before it: children of the same keeper, told by it, and, when the keeper
// was lost too, processes known by their record alone. A start that was cut off is undone, so that the next `up` sees
// what is, not what was meant.

internal import Basics
internal import CLinux
internal import Cgroups
internal import ContainerModel
internal import ContainerRuntime
internal import JSONFormat
internal import Kernel
internal import Planning
internal import Records

/// What the keeper tells a new controller of the one before; empty at a first start.
struct Replay {
    struct Child {
        var id: UInt32
        var pid: Int32
        var pidfd: SharedFD
        var exit: (end: ProcessEnd, at: Int64)?
    }

    var held: [String: SharedFD] = [:]
    /// By name; of several the youngest.
    var children: [String: Child] = [:]
    /// Children nobody asks for any more.
    var outdated: [UInt32] = []
    var highestID: UInt32 = 0

    init(_ keeper: KeeperChannel) throws(SyscallError) {
        while let event = try keeper.receive() {
            switch event {
            case .ready: return
            case .held(let name, let fd): held[name] = fd
            case .child(let id, let pid, let name, let pidfd, _):
                highestID = max(highestID, id)
                let other = children[name]
                if let other, other.id > id {
                    outdated.append(id)
                } else {
                    if let other { outdated.append(other.id) }
                    children[name] = Child(id: id, pid: pid, pidfd: pidfd)
                }
            case .exited(let id, _, let end, let name, let at):
                if children[name]?.id == id { children[name]?.exit = (end, at) }
            case .launched, .refused, .ping, .stopped: break
            }
        }
        throw SyscallError("recvmsg", .brokenPipe, "the keeper's socket")
    }
}

extension ProjectController {
    /// Reads the records and joins them with what still runs.
    func adopt(_ replay: Replay) throws(Failure) {
        nextChild = replay.highestID + 1
        for id in replay.outdated { try? keeper.release(id: id) }
        if let bytes = try? readFile(place.directory + "/project.json") {
            desired = try? decodeJSON(DesiredState.self, from: bytes)
            // What can't be read is not what a client sends, whatever its bytes.
            desiredBytes = desired == nil ? [] : bytes
        }
        let names = (try? directoryEntries(place.directory + "/containers")) ?? []
        var taken: Set<String> = []
        if !names.isEmpty || desired != nil {
            contents.load()
            let networking = try ensureNetworking()
            for name in desired?.networks.keys.sorted() ?? [] {
                do throws(Failure) {
                    try networking.adopt(name)
                } catch {
                    log("\(error)")
                }
            }
            for name in names {
                do throws(Failure) {
                    taken.formUnion(try adoptContainer(name, networking, replay))
                } catch {
                    // One container in disorder must not keep the others from being looked after.
                    note(error, ofUntaken: name)
                }
            }
        }
        if !containers.isEmpty || desired != nil {
            adoptCarriedVolumes()
            adoptSetAside()
        }
        for (name, child) in replay.children where launching[child.id] == nil {
            // A probe or exec whose client went with the controller before, or a container without a record.
            if child.exit != nil {
                try? keeper.release(id: child.id)
            } else if name.hasPrefix("c:") {
                _ = linux_pidfd_send_signal(child.pidfd.raw, SIGKILL)
            }
        }
        for name in replay.held.keys where !taken.contains(name) {
            if name.hasPrefix("port:"), let port = name.split(separator: ":").last.flatMap({ UInt16($0) }) {
                portsGivenBack.insert(port)
            }
            try? keeper.drop(name)
        }
        restoreLostNetworks()
        do throws(Failure) {
            try networking?.admit()
        } catch {
            log("\(error)")
        }
        awaitHalfLaunched()
        discardOneOffs()
        startSharersAgain()
    }

    /// Gives the names of the descriptors it took over.
    private func adoptContainer(_ name: String, _ networking: ProjectNetworking, _ replay: Replay)
        throws(Failure) -> [String]
    {
        let directories = directories(of: name)
        guard let record = try readRecord(ContainerRecord.self, directories.record) else {
            // Its creation was interrupted before it had a record: nothing of it is anybody's, unless it was lost since.
            try setVolumesAside(of: name)
            try removeLeftovers(of: name)
            return []
        }
        let reference = ContainerReference(name: name, service: record.service.name, index: record.index)
        cgroup.setParent(record.service.container.rare?.cgroupParent, of: name)
        // Its restart policy and what else changes without a new container is the project's, not of the day it was made.
        var service = record.service
        if let declared = desired?.services[service.name], declared.configHash == service.configHash {
            service = declared
        }
        let container = Container(
            reference: reference, service: service, createdAt: record.createdAt,
            directories: directories, bootID: bootID, oneOff: record.oneOff)
        containers[name] = container
        container.rest = Rest(in: directories.state)
        try adoptUnfilled(container)
        if let status = try readRecord(ContainerStatusRecord.self, directories.run + "/status.json"),
            status.bootID == bootID
        {
            container.status = status
            // Whose wish to stop it could not be written there is known by this; one that was sent a signal may go on.
            if container.rest == .stopped, status.signalledToStop != true {
                container.status.stopRequested = true
                container.status.startsAgain = nil
            }
            if status.startedAt != nil { container.phase = .exited }
        }
        networking.remember(name, addresses: container.status.addresses)
        if let child = replay.children["c:" + name] {
            container.childID = child.id
            container.pid = child.pid
            container.pidfd = child.pidfd
            launching[child.id] = container
            if let exit = child.exit {
                openStreams(of: container)
                exited(child.id, child.pid, exit.end, exit.at)
            } else if container.status.pid == child.pid {
                return adoptRunning(container, held: replay.held)
            } else {
                // Its start was cut off: nobody made its links or heard of its exec. Its end is awaited below.
                container.phase = .launching
                _ = linux_pidfd_send_signal(child.pidfd.raw, SIGKILL)
            }
        } else if container.phase == .exited, container.status.end == nil, container.status.endKnown {
            return adoptOrphan(container, held: replay.held)
        } else {
            killUnknown(in: container)
            if container.phase == .exited { superviseExit(container) }
        }
        return []
    }

    func adoptRunning(_ container: Container, held: [String: SharedFD]) -> [String] {
        container.phase = .running
        let age = realtimeNanoseconds() - (container.status.startedAt ?? 0)
        container.runningSince = monotonicNanoseconds() - max(0, age)
        var taken: [String] = []
        // In this order: the datagram socket is the first.
        for name in ["dns-udp:" + container.name, "dns-tcp:" + container.name] {
            guard let fd = held[name] else { continue }
            container.nameSockets.append(fd)
            taken.append(name)
        }
        if let fd = held["tty:" + container.name] {
            container.terminal = fd
            taken.append("tty:" + container.name)
        }
        for port in container.status.ports {
            let name = port.heldName(container.name)
            guard let fd = held[name] else { continue }
            take(fd, port, for: container)
            taken.append(name)
        }
        openStreams(of: container)
        serveNames(of: container)
        do throws(Failure) {
            try serveListeners(of: container)
        } catch {
            log("\(error)")
        }
        startHealth(of: container, atOnce: true)
        container.memoryKillsTold = cgroup.container(container.name).memoryKills ?? 0
        watchForDriftSoon()
        if container.status.stopRequested {
            container.stopWasCutOff = true
            stop(container, timeout: container.request.stopGracePeriod) { failure in
                if let failure { log("\(failure)") }
            }
        }
        return taken
    }

    /// Launches that were cut off are dead in a moment; until then nobody may be told that they run.
    private func awaitHalfLaunched() {
        for _ in 0..<100 where launching.values.contains(where: { $0.phase == .launching }) {
            var entry = pollfd(fd: keeper.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 1000) > 0 { keeperSpoke() }
        }
    }

    /// What runs in the cgroup of a container that is not known to run was launched by a controller that could not
    /// write it down any more.
    func killUnknown(in container: Container) {
        let own = cgroup.container(container.name)
        guard !own.isEmpty else { return }
        log("container \(container.name): what is left of a start that was cut off is killed")
        do throws(Failure) {
            try own.kill()
        } catch {
            log("\(error)")
        }
        for _ in 0..<200 where !own.isEmpty { pauseBetweenLooks(.milliseconds(5)) }
    }
}
