// SPDX-License-Identifier: Apache-2.0
//
// Orphans: containers whose keeper was lost while they ran. Their process has another parent, so its exit is heard of
// through its pidfd; what the keeper had of them, the next one holds by name, so that a controller may still die.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning
internal import Networking

extension ProjectController {
    private func heldPidfd(_ container: Container) -> String {
        "pidfd:\(container.name):\(container.status.pid ?? 0)"
    }

    private func heldStreams(_ container: Container) -> [(name: String, path: String)] {
        container.request.tty
            ? []
            : [
                ("stdout:" + container.name, container.directories.standardOutput),
                ("stderr:" + container.name, container.directories.standardError),
            ]
    }

    /// A container known by its record alone: its process may live on with another parent.
    /// - Returns: names of the descriptors taken over.
    func adoptOrphan(_ container: Container, held: [String: SharedFD]) -> [String] {
        if let pidfd = held[heldPidfd(container)] ?? openPidfd(container) {
            container.pid = container.status.pid
            container.pidfd = pidfd
            var entry = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 0) == 0 { return superviseOrphan(container, pidfd, held: held) }
        }
        killUnknown(in: container)
        container.isOrphan = true
        openStreams(of: container)
        let known =
            endOfZombie(container.status.pid, container.status.startTime)
            ?? container.pidfd.flatMap(endOfReaped)
        let written = endInRecord(container.directories.run, container.status.pid)
        finishExit(container, known ?? written?.end, written?.at ?? realtimeNanoseconds())
        return []
    }

    private func openPidfd(_ container: Container) -> SharedFD? {
        guard let pid = container.status.pid, let start = container.status.startTime else { return nil }
        let raw = linux_pidfd_open(pid, 0)
        guard raw >= 0 else { return nil }
        let pidfd = SharedFD(OwnedFD(taking: raw))
        // After the open: the pid can't be another's from here on.
        return processStartTime(pid) == start ? pidfd : nil
    }

    private func superviseOrphan(_ container: Container, _ pidfd: SharedFD, held: [String: SharedFD])
        -> [String]
    {
        let taken = adoptRunning(container, held: held)
        if container.reservations.isEmpty && container.listeners.isEmpty { reservePortsAgain(of: container) }
        if !container.request.networks.isEmpty, container.nameSockets.isEmpty {
            reopenNameSockets(of: container, pidfd)
        }
        keepOrphan(container, pidfd, held: held)
        log("container \(container.name), process \(container.status.pid ?? 0), runs on with another parent")
        return taken + heldStreams(container).map(\.name) + [heldPidfd(container)]
    }

    /// Hears of its end by its pidfd and lets the keeper hold what a next controller needs.
    func keepOrphan(_ container: Container, _ pidfd: SharedFD, held: [String: SharedFD] = [:]) {
        container.isOrphan = true
        do throws(SyscallError) {
            let pid = container.pid
            try followEnd(of: pid, pid.flatMap(processStartTime), pidfd) {
                [unowned self, unowned container] end in
                // A failed start's last word comes before its end.
                drainSync(of: container)
                let written = endInRecord(container.directories.run, pid)
                finishExit(container, end ?? written?.end, written?.at ?? realtimeNanoseconds())
            }
            if held[heldPidfd(container)] == nil { try keeper.hold(pidfd.raw, as: heldPidfd(container)) }
            for (name, path) in heldStreams(container) where held[name] == nil {
                // Both ways, so that what is in the pipe outlives its last writer.
                let stream = try openFile(path, flags: O_RDWR)
                try keeper.hold(stream.raw, as: name)
            }
        } catch {
            log("cannot follow container \(container.name): \(error)")
        }
    }

    /// Its end is known: nothing of it is held any more.
    func forgetOrphan(_ container: Container) {
        container.isOrphan = false
        for name in [heldPidfd(container)] + heldStreams(container).map(\.name) { try? keeper.drop(name) }
    }

    private func reservePortsAgain(of container: Container) {
        do throws(Failure) {
            let networking = try ensureNetworking()
            let lacksIPv4 = networking.lacksIPv4(container.request)
            try networking.reservingPorts { (reserving) throws(Failure) in
                for port in container.status.ports {
                    let wanted = PortRequest(
                        target: port.containerPort, published: port.hostPort...port.hostPort,
                        hostAddress: port.hostAddress, proto: port.proto)
                    do throws(Failure) {
                        let held = try networking.reserve(
                            wanted, service: container.reference.service, lacksIPv4: lacksIPv4,
                            by: &reserving)
                        hold(held, [port], for: container)
                    } catch {
                        log("\(error)")
                    }
                }
            }
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
}
