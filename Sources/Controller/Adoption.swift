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
            case .launched, .refused, .ping: break
            }
        }
        throw SyscallError("recvmsg", .brokenPipe, "the keeper's socket")
    }
}

/// What the keeper wrote beside the container's status when it reaped it.
private struct ExitRecord: Codable {
    var pid: Int32
    /// CLD_*, as waitid(2) says it.
    var kind: Int32
    var status: Int32
    var time: Int64
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
            loadContents()
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
                    log("container \(name) is not taken over: \(error)")
                }
            }
        }
        if !containers.isEmpty || desired != nil { adoptCarriedVolumes() }
        for (name, child) in replay.children where launching[child.id] == nil {
            // A probe or exec whose client went with the controller before, or a container without a record.
            if child.exit != nil {
                try? keeper.release(id: child.id)
            } else if name.hasPrefix("c:") {
                _ = linux_pidfd_send_signal(child.pidfd.raw, SIGKILL)
            }
        }
        for name in replay.held.keys where !taken.contains(name) { try? keeper.drop(name) }
        restoreLostNetworks()
        do throws(Failure) {
            try networking?.admit()
        } catch {
            log("\(error)")
        }
        awaitHalfLaunched()
        discardOneOffs()
    }

    /// Gives the names of the descriptors it took over.
    private func adoptContainer(_ name: String, _ networking: ProjectNetworking, _ replay: Replay)
        throws(Failure) -> [String]
    {
        let directories = directories(of: name)
        guard let record = try readRecord(ContainerRecord.self, directories.record) else {
            // Its creation was interrupted before it had a record: nothing of it is anybody's.
            try removeLeftovers(of: name)
            return []
        }
        let reference = ContainerReference(name: name, service: record.service.name, index: record.index)
        let container = Container(
            reference: reference, service: record.service, createdAt: record.createdAt,
            directories: directories, bootID: bootID, oneOff: record.oneOff)
        containers[name] = container
        if let status = try readRecord(ContainerStatusRecord.self, directories.run + "/status.json"),
            status.bootID == bootID
        {
            container.status = status
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

    private func adoptRunning(_ container: Container, held: [String: SharedFD]) -> [String] {
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
        for (name, fd) in held {
            if name == "tty:" + container.name {
                container.terminal = fd
            } else if name.hasPrefix("port:\(container.name):") {
                container.reservations.append(fd)
            } else {
                continue
            }
            taken.append(name)
        }
        for port in container.status.ports where port.hostAddress.contains(":") {
            let name = port.listenerName(container.name)
            guard let fd = held[name] else { continue }
            container.listeners.append((port, fd))
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
        return taken
    }

    /// Launches that were cut off are dead in a moment; until then nobody may be told that they run.
    private func awaitHalfLaunched() {
        for _ in 0..<100 where launching.values.contains(where: { $0.phase == .launching }) {
            var entry = pollfd(fd: keeper.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 1000) > 0 { keeperSpoke() }
        }
    }

    // MARK: Without the keeper

    /// A container whose keeper was lost: its process may live on with another parent.
    private func adoptOrphan(_ container: Container, held: [String: SharedFD]) -> [String] {
        if let pid = container.status.pid, let start = container.status.startTime {
            let raw = linux_pidfd_open(pid, 0)
            if raw >= 0 {
                let pidfd = SharedFD(OwnedFD(taking: raw))
                // After the open: the pid can't be another's from here on.
                if processStartTime(pid) == start {
                    container.pid = pid
                    container.pidfd = pidfd
                    return superviseOrphan(container, pidfd, held: held)
                }
            }
        }
        killUnknown(in: container)
        openStreams(of: container)
        let record = (try? readRecord(ExitRecord.self, container.directories.run + "/exit.json")) ?? nil
        if let record, record.pid == container.status.pid {
            // CLD_EXITED is 1.
            let end: ProcessEnd = record.kind == 1 ? .exited(record.status) : .signalled(record.status)
            finishExit(container, end, record.time)
        } else {
            finishExit(container, nil, realtimeNanoseconds())
        }
        return []
    }

    private func superviseOrphan(_ container: Container, _ pidfd: SharedFD, held: [String: SharedFD])
        -> [String]
    {
        let taken = adoptRunning(container, held: held)
        if container.reservations.isEmpty && container.listeners.isEmpty { reservePortsAgain(of: container) }
        if !container.request.networks.isEmpty, container.nameSockets.isEmpty {
            reopenNameSockets(of: container, pidfd)
        }
        do throws(SyscallError) {
            // Readable once the process has ended (pidfd_open(2)); its parent may still have to reap it.
            try loop.watch(pidfd.raw) { [unowned self, unowned container] _ in
                loop.unwatch(pidfd.raw)
                orphanEnded(container, pidfd, looks: 100)
            }
        } catch {
            log("cannot follow container \(container.name): \(error)")
        }
        log("container \(container.name), process \(container.status.pid ?? 0), runs on with another parent")
        return taken
    }

    private func orphanEnded(_ container: Container, _ pidfd: SharedFD, looks: Int) {
        let end = endOfZombie(container.status.pid, container.status.startTime) ?? endOfReaped(pidfd)
        if let end { return finishExit(container, end, realtimeNanoseconds()) }
        if looks == 0 { return finishExit(container, nil, realtimeNanoseconds()) }
        loop.after(.milliseconds(10)) { [unowned self] in orphanEnded(container, pidfd, looks: looks - 1) }
    }

    private func reservePortsAgain(of container: Container) {
        for port in container.status.ports {
            let wanted = PortRequest(
                target: port.containerPort, published: port.hostPort...port.hostPort,
                hostAddress: port.hostAddress, proto: port.proto)
            do throws(Failure) {
                let reserved = try ensureNetworking().reserve(wanted, service: container.reference.service)
                hold(reserved, port, for: container)
            } catch {
                log("\(error)")
            }
        }
        do throws(Failure) {
            try serveListeners(of: container)
        } catch {
            log("\(error)")
        }
    }

    /// The sockets of the name service went with the keeper: others, opened in the container's network namespace.
    private func reopenNameSockets(of container: Container, _ pidfd: SharedFD) {
        do throws(SyscallError) {
            container.nameSockets = try inNetworkNamespace(of: pidfd.raw) { () throws(SyscallError) in
                try openNameSockets()
            }
            for (kind, socket) in zip(["dns-udp:", "dns-tcp:"], container.nameSockets) {
                try keeper.hold(socket.raw, as: kind + container.name)
            }
            serveNames(of: container)
        } catch {
            log("cannot answer the name queries of container \(container.name): \(error)")
        }
    }

    private func openNameSockets() throws(SyscallError) -> [SharedFD] {
        var sockets: [SharedFD] = []
        for type: Int32 in [2, 1] {  // SOCK_DGRAM, SOCK_STREAM
            let raw = try retrying("socket") { linux_socket(AF_INET, type | O_CLOEXEC | O_NONBLOCK, 0) }
            let socket = SharedFD(OwnedFD(taking: raw))
            try retrying("bind") { linux_bind_inet(raw, 0x7f00_000b, nameServicePort) }
            if type == 1 { try retrying("listen") { listen(raw, 64) } }
            sockets.append(socket)
        }
        return sockets
    }

    /// What runs in the cgroup of a container that is not known to run was launched by a controller that could not
    /// write it down any more.
    private func killUnknown(in container: Container) {
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

/// How a process ended that its parent has not reaped yet: the last field of /proc/PID/stat, proc_pid_stat(5).
func endOfZombie(_ pid: Int32?, _ startTime: UInt64?) -> ProcessEnd? {
    guard let pid, let text = try? readText("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
        return nil
    }
    let fields = text[close...].split(whereSeparator: \.isWhitespace)
    guard fields.count == 51, fields[1] == "Z", UInt64(fields[20]) == startTime,
        let status = Int32(fields[50])
    else { return nil }
    return processEnd(status)
}

/// From a status as waitpid(2) gives it.
private func processEnd(_ status: Int32) -> ProcessEnd {
    linux_wifexited(status) != 0
        ? .exited(linux_wexitstatus(status)) : .signalled(linux_wtermsig(status))
}

/// `struct pidfd_info` of linux/pidfd.h in its first form, 64 bytes: mask, cgroup, eleven ids, exit code.
private let pidfdInfoSize = 64
/// PIDFD_INFO_EXIT, Linux 6.15: known once the process was reaped.
private let pidfdInfoExit: UInt64 = 1 << 3

/// How a process that is no child of ours ended; nil while it is not reaped, or when the kernel can't tell.
func endOfReaped(_ pidfd: SharedFD) -> ProcessEnd? {
    var words = [UInt32](repeating: 0, count: pidfdInfoSize / 4)
    words[0] = UInt32(pidfdInfoExit)
    // PIDFD_GET_INFO: _IOWR(0xFF, 11, struct pidfd_info).
    let request: UInt = 3 << 30 | UInt(pidfdInfoSize) << 16 | 0xff << 8 | 11
    let result = words.withUnsafeMutableBytes { linux_ioctl_ptr(pidfd.raw, request, $0.baseAddress) }
    guard result == 0, words[0] & UInt32(pidfdInfoExit) != 0 else { return nil }
    return processEnd(Int32(bitPattern: words[15]))
}
