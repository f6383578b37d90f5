// SPDX-License-Identifier: Apache-2.0
//
// "Start this container": wait for its volumes, prepare, and hand the launch program to the keeper. What is heard of it from
// then on is LaunchNews.swift's.

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
internal import Volumes

extension ProjectController {
    /// Starts a container that is created or has exited; the closure hears once how that went.
    /// - Parameter run: whose operation it is; none where nobody's command is.
    func start(
        _ container: Container, byPolicy: Bool = false, for run: PlanRun? = nil,
        _ told: @escaping (Failure?) -> Void
    ) {
        guard !container.isLive else { return told(nil) }
        cancelRestart(container)
        container.startedByPolicy = byPolicy
        container.startingRun = run
        container.runningSince = nil
        endRest(of: container)
        do throws(Failure) {
            try launchWhenPossible(container)
            container.onStarted = told
        } catch {
            abandonLaunch(of: container)
            told(inService(container, error))
        }
    }

    /// Once its volumes are there, which a reboot, or somebody, may have taken away, and who receives its output is.
    /// - Parameter done: what it has waited for.
    private func launchWhenPossible(_ container: Container, after done: VolumeWork? = nil) throws(Failure) {
        let others = try mountsOfOthers(container)
        guard let need = try need(of: container, container.request.mounts + others) else {
            try forgetUnfilled(container)
            if try awaitReceiver(of: container) { return }
            return try launch(container, others)
        }
        if let done, done.was(for: need) {
            throw Failure(
                VolumeProgress.mounting.doing(done.volume), cause: "it was mounted, and is not any more",
                advice: "see who unmounts it")
        }
        try beginWait(of: container, for: need)
    }

    /// It waited for a volume, or for who receives its output; more may be wanted still.
    func launchAfterWait(_ container: Container, _ work: VolumeWork? = nil) {
        container.phase = container.phaseWithoutProcess
        do throws(Failure) {
            try launchWhenPossible(container, after: work)
        } catch {
            endLaunch(of: container, error)
        }
    }

    private func launch(_ container: Container, _ others: [MountRequest]) throws(Failure) {
        let networking = try ensureNetworking()
        try networking.assignAddresses(
            [(container.name, container.request)], external: externalNetworks)
        // A restart policy tries again and again; whether the other is back is found when its name is asked for.
        if !container.startedByPolicy { try checkExternalLinks(of: container, networking) }
        try reservePorts(of: container, networking)
        let shared = try sharedNamespaces(of: container)
        let (program, own) = try planLaunch(of: container, shared, others)
        container.memoryKillsBefore = own.memoryKills ?? 0
        do throws(SyscallError) {
            try send(program, of: container, cloneInto: own.cloneInto, shared.descriptors)
        } catch {
            throw Failure("cannot start container \"\(container.name)\"", error)
        }
        container.program = program
        container.codeOfFailedStart = nil
        container.phase = .launching
        networking.beginAdmitting()
        changed()
    }

    /// Prepares directories, files and cgroup, and plans what the child shall do.
    /// - Parameter others: what it has of `volumes_from`, when that is known.
    func planLaunch(
        of container: Container, _ shared: SharedNamespaces, _ others: [MountRequest]? = nil
    ) throws(Failure) -> (program: LaunchProgram, cgroup: ContainerCgroup) {
        let request = container.request
        let networking = try ensureNetworking()
        var setup = try setup(of: container, others)
        setup.hostsText = hostsFile(of: container, networking)
        setup.resolvText = resolvFile(of: container)
        if let owner = shared.network { try takeNames(of: owner, &setup) }
        setup.goesOn = container.isLive || container.status.startedAt != nil
        var prepared = try prepareContainer(setup, host: host, filters: &filters)
        let base = "\(place.root)/base"
        try naming("cannot make the base layer") { () throws(SyscallError) in try ensureBaseLayer(base) }
        prepared.lowers.append(base)
        // A cgroup that was once killed as a whole kills whatever is cloned into it: kill_seq is compared with the
        // parent's cgroup's (cgroup_css_set_fork, seen in Linux 6.18). A new start gets a new cgroup, also one of which no
        // record says that it was started before: what a controller that was killed could not write down was killed
        // there too. One that runs keeps its own: here its program is only shown.
        if !container.isLive {
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
    func setup(of container: Container, _ others: [MountRequest]? = nil) throws(Failure) -> ContainerSetup {
        var setup = ContainerSetup(
            name: container.name, request: container.request, directories: container.directories)
        setup.contents = contents.byDigest
        if let others {
            setup.request.mounts += others
        } else {
            setup.request.mounts += try mountsOfOthers(container)
        }
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
        openStreams(of: container, beginsRun: true)
        // The keeper has its copies; end of file on ours must mean the child's exec.
        _ = consume pair
        try loop.watch(sync.raw) { [unowned self, unowned container] _ in childSpoke(container) }
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
