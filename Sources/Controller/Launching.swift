// SPDX-License-Identifier: Apache-2.0
//
// From "start this container" to its program running: prepare, hand the launch program to the keeper, make its links
// when it was cloned, let it go on, and hear of its exec or of the operation that failed.

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
    /// Starts a container that is created or has exited; the closure hears once how that went.
    func start(_ container: Container, byPolicy: Bool = false, _ told: @escaping (Failure?) -> Void) {
        guard !container.isLive else { return told(nil) }
        cancelRestart(container)
        container.startedByPolicy = byPolicy
        endRest(of: container)
        do throws(Failure) {
            try launchWithVolumes(container)
            container.onStarted = told
        } catch {
            abandonLaunch(of: container)
            told(inService(container, error))
        }
    }

    /// Once its volumes are there; a reboot, or somebody, may have taken them away.
    private func launchWithVolumes(_ container: Container) throws(Failure) {
        if let need = try need(of: container) {
            try wait(container, for: need)
        } else {
            try launch(container)
        }
    }

    /// It waited for a volume; another may be wanted still.
    func launchAfterVolume(_ container: Container) {
        container.phase = container.phaseWithoutProcess
        do throws(Failure) {
            try launchWithVolumes(container)
        } catch {
            endLaunch(of: container, error)
        }
    }

    private func inService(_ container: Container, _ failure: Failure) -> Failure {
        if failure.doing.contains("\"\(container.name)\"") { return failure }
        return Failure(
            "cannot start container \"\(container.name)\": \(failure.doing)", cause: failure.cause,
            advice: failure.advice,
            at: failure.location, others: failure.others)
    }

    private func launch(_ container: Container) throws(Failure) {
        let networking = try ensureNetworking()
        try networking.assignAddresses(
            [(container.name, container.request)], external: externalNetworks)
        // A restart policy tries again and again; whether the other is back is found when its name is asked for.
        if !container.startedByPolicy { try checkExternalLinks(of: container, networking) }
        try reservePorts(of: container, networking)
        let shared = try sharedNamespaces(of: container)
        try ensureForwarder(of: container)
        let (program, own) = try planLaunch(of: container, shared)
        container.memoryKillsBefore = own.memoryKills ?? 0
        do throws(SyscallError) {
            try send(program, of: container, cloneInto: own.cloneInto, shared.descriptors)
        } catch {
            throw Failure("cannot start container \"\(container.name)\"", error)
        }
        container.program = program
        container.phase = .launching
        networking.beginAdmitting()
        changed()
    }

    /// Prepares directories, files and cgroup, and plans what the child shall do.
    func planLaunch(of container: Container, _ shared: SharedNamespaces) throws(Failure) -> (
        program: LaunchProgram, cgroup: ContainerCgroup
    ) {
        let request = container.request
        let networking = try ensureNetworking()
        var setup = try setup(of: container)
        setup.hostsText = hostsFile(of: container, networking)
        setup.resolvText = resolvFile(of: container)
        if let owner = shared.network { try takeNames(of: owner, &setup) }
        setup.goesOn = container.isLive || container.status.startedAt != nil
        var prepared = try prepareContainer(setup, host: host, filters: &filters)
        let base = "\(place.root)/base"
        try naming("cannot make the base layer") { () throws(SyscallError) in try ensureBaseLayer(base) }
        prepared.lowers.append(base)
        // A cgroup that was once killed as a whole kills whatever is cloned into it: kill_seq is compared with the
        // parent's cgroup's (cgroup_css_set_fork, seen in Linux 6.18). A new start gets a new cgroup. One that runs keeps
        // it: here its program is only shown.
        if !container.isLive && (container.status.startedAt != nil || container.status.end != nil) {
            try cgroup.container(container.name).remove()
        }
        let devices = try grantedDevices(of: request)
        prepared.devices = devices.nodes
        prepared.joins = shared.joins
        prepared.sharesMemory = shared.sharesMemory
        let own = try cgroup.ensureContainer(
            container.name, limits: request.limits, devices: devices.policy)
        prepared.cgroupTaskFiles = own.taskFiles
        if let size = container.window {
            // Set by the child itself: a program looks at it in its first moment.
            (prepared.rows, prepared.columns) = (Int(size.rows), Int(size.columns))
        }
        let hasOwnNetwork = shared.network == nil && request.rare?.hostNamespaces.contains(.network) != true
        if hasOwnNetwork { prepared.links = networking.links(of: container.name, request) }
        prepared.awaitsLinks = !request.networks.isEmpty
        if !request.networks.isEmpty {
            prepared.nameServiceRules = containerNameServiceRules(port: nameServicePort)
            prepared.nameServicePort = nameServicePort
        }
        return (
            containerProgram(for: request, prepared: prepared, host: host, intoCgroup: own.cloneInto != nil),
            own
        )
    }

    /// Who shares a network is called as its owner, and knows who that one knows.
    private func takeNames(of owner: ContainerDirectories, _ setup: inout ContainerSetup) throws(Failure) {
        do throws(SyscallError) {
            setup.hostsText = try readText(owner.hosts)
            setup.resolvText = try readText(owner.resolvConf)
            setup.hostname = String(try readText(owner.hostname).prefix { $0 != "\n" })
        } catch {
            throw Failure("cannot read the names of the network of container \"\(setup.name)\"", error)
        }
    }

    /// All of it but the generated files' texts.
    func setup(of container: Container) throws(Failure) -> ContainerSetup {
        var setup = ContainerSetup(
            name: container.name, request: container.request, directories: container.directories)
        setup.contents = contents
        setup.request.mounts += try mountsOfOthers(container)
        for mount in setup.request.mounts {
            guard case .volume(let name) = mount.source else { continue }
            setup.volumes[name] = volumes.dataDirectory(name)
            // What asks its file system is the container's child, which may wait.
            if mount.subpath != nil, try volumes.mount(of: name) != nil { setup.mountedVolumes.insert(name) }
        }
        return setup
    }

    private func send(
        _ program: LaunchProgram, of container: Container, cloneInto: String?, _ shared: [SharedFD]
    ) throws(SyscallError) {
        let directories = container.directories
        let pair = try packetSocketPair()
        let null = try openFile("/dev/null", flags: O_RDWR)
        // Read and write: the stream stays open whoever else dies.
        let output = try openFile(directories.standardOutput, flags: O_RDWR)
        let errors = try openFile(directories.standardError, flags: O_RDWR)
        for stream in [output.raw, errors.raw] { _ = linux_fcntl_int(stream, F_SETPIPE_SZ, 1 << 20) }
        let takesInput = container.request.stdinOpen && !container.request.tty
        let input = try openFile(takesInput ? directories.standardInput : "/dev/null", flags: O_RDWR)
        let record = try openFile(directories.run, flags: O_RDONLY | O_DIRECTORY)
        try removeFile("exit.json", at: record.raw)
        let place = try openFile(cloneInto ?? "/", flags: O_RDONLY | O_DIRECTORY)
        let streams =
            container.request.tty
            ? [null.raw, null.raw, null.raw]
            : container.givenStreams.count == 3
                ? container.givenStreams.map(\.raw) : [input.raw, output.raw, errors.raw]
        container.childID = nextChild
        nextChild += 1
        try keeper.launch(
            id: container.childID, name: "c:" + container.name, program: program.encoded(),
            descriptors: [pair.second.raw] + streams + (cloneInto == nil ? [] : [place.raw])
                + shared.map(\.raw),
            record: record.raw,
            held: [output.raw, errors.raw])
        container.givenStreams = []
        launching[container.childID] = container
        let sync = SharedFD(try pair.first.duplicate())
        container.sync = sync
        openStreams(of: container)
        // The keeper has its copies; end of file on ours must mean the child's exec.
        _ = consume pair
        try loop.watch(sync.raw) { [unowned self, unowned container] _ in childSpoke(container) }
    }

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

    private func launched(_ id: UInt32, _ pid: Int32, _ pidfd: SharedFD) {
        // Of an exec this is the child that joins; the one that counts reports its own pid.
        if sessions[id] != nil { return }
        guard let container = launching[id] else { return }
        container.pid = pid
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
            // Without its links it must not run; its end follows and finds the failure told.
            failStart(of: container, error)
            _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL)
        }
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
                openStreams(of: container)
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

    // MARK: Files

    private func hostsFile(of container: Container, _ networking: ProjectNetworking) -> String {
        let request = container.request
        let gateway = networking.gateway(of: container.name, request)
        let own = request.networks.compactMap {
            networking.ipv4Address(of: container.name, on: $0.network)
        }
        if request.rare?.hostNamespaces.contains(.network) == true {
            return hostsText(ofHost: (try? readText("/etc/hosts")) ?? "", extraHosts: request.extraHosts)
        }
        var hostname = request.hostname ?? String(container.name.prefix(63))
        if let domain = request.rare?.domainName, !hostname.contains(".") { hostname += "." + domain }
        return hostsText(
            hostname: hostname, addresses: own,
            ipv6Addresses: request.networks.compactMap {
                networking.ipv6Addresses[container.name]?[$0.network]
            },
            extraHosts: request.extraHosts,
            hostGateway: gateway)
    }

    private func resolvFile(of container: Container) -> String {
        let own = (try? readText("/etc/resolv.conf")) ?? ""
        if container.request.networks.isEmpty { return own }
        let rare = container.request.rare
        return resolvConfText(
            host: ResolvConf(parsing: own),
            search: rare.flatMap { $0.dnsSearch.isEmpty ? nil : $0.dnsSearch },
            options: rare.flatMap { $0.dnsOptions.isEmpty ? nil : $0.dnsOptions })
    }
}
