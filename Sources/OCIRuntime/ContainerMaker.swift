// SPDX-License-Identifier: Apache-2.0
//
// One container in the making (runtime.md, "Create"):
//
//     claim the name ─▶ write the record ─▶ cgroup and limits ─▶ clone ─▶ maps ─▶ hooks ─▶ record with pid ─▶ pid file
//
// Whatever fails undoes what was made. Killed in between, the record names the cgroup, by which `delete --force` finds
// all there is.

internal import Basics
internal import CLinux
internal import Cgroups
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

struct ContainerMaker {
    private let creation: Creation
    private var bundle: Bundle
    private let settings: RuntimeSettings
    private let store: ContainerStore
    private let host: CgroupHost
    private var cgroup: BundleCgroup
    private(set) var record: ContainerRecord
    private var process: BundleProcess?
    /// Where the program tells that it is ready; nil where nobody asks.
    private let readinessPlace: ReadinessPlace?
    /// What listens there, once the program may run.
    private(set) var readiness: ReadinessRelay?
    private let network: NetworkBeside?

    init(
        _ creation: Creation, _ bundle: Bundle, _ settings: RuntimeSettings
    ) throws(Failure) {
        self.creation = creation
        self.bundle = bundle
        self.settings = settings
        store = try ContainerStore(settings, creation.id)
        if let given = bundle.config.process {
            var process = try BundleProcess(given, settings: settings, rootfs: bundle.rootfs)
            try process.take(bundle.config.linux, settings.manners)
            process.keepsGroups = bundle.config.annotations.contains {
                $0.name == "run.oci.keep_original_groups" && $0.value == "1"
            }
            self.process = process
        } else {
            process = nil
        }
        try sealBinary(
            for: process, label: bundle.config.process,
            hooksInside: !bundle.config.hooks.startContainer.isEmpty, settings)
        network = NetworkBeside(bundle.config)
        self.process?.grantCapabilities(warn: settings.warn)
        host = try CgroupHost.detect()
        let path =
            bundle.config.linux.cgroupsPath
            ?? BundleCgroup.defaultPath(id: creation.id, named: settings.manners.namesCgroup)
        cgroup = BundleCgroup(host: host, path: path)
        guard cgroup.path != "/" else {
            throw containerFailure(
                creation.id, "create", "linux.cgroupsPath \"\(path)\" is the cgroup of all processes",
                advice: "name one of the container's own, or leave it out")
        }
        let pid = getpid()
        record = ContainerRecord(
            id: creation.id, bundle: bundle.path, rootfs: bundle.rootfs, maker: pid,
            makerStart: processStat(pid)?.start ?? 0, created: creation.time, cgroupPath: cgroup.path,
            configuration: bundle.bytes, config: bundle.config)
        if let label = bundle.config.linux.mountLabel, !isSELinuxEnabled {
            settings.warn("linux.mountLabel \"\(label)\" has no effect: this kernel has not enabled SELinux")
        }
        readinessPlace = ReadinessPlace(settings, store, bundle.config)
        if let readinessPlace {
            self.bundle.config.mounts.append(readinessPlace.mount)
            self.process?.process.environment.append(readinessPlace.variable)
        }
    }

    /// Gives the child once it waits for `start`, or once its program runs.
    mutating func make(
        waits: Bool, terminal: (SharedFD) throws(Failure) -> Void
    ) throws(Failure) -> BundleChild {
        try store.claim()
        // One of ours by default that is empty was left by a creation that was cut off.
        let isLeft = bundle.config.linux.cgroupsPath == nil && cgroup.processes.isEmpty
        record.foundCgroups = isLeft ? [] : cgroup.directories
        var child: BundleChild?
        do throws(Failure) {
            try store.write(record)
            try readinessPlace?.ensure()
            if !waits { readiness = try ReadinessRelay(settings, store) }
            try checkFitness()
            settings.trace?("making the cgroup \(cgroup.path)")
            try cgroup.ensure()
            try cgroup.apply(bundle.config.linux.resources ?? RuntimeResources())
            try cgroup.setDevices(bundle.config.linux.resources?.devices ?? [])
            return try launch(waits: waits, &child, terminal: terminal)
        } catch {
            try? undo(child)
            throw Failure(
                "cannot create container \"\(creation.id)\"",
                cause: [error.doing, error.cause].compactMap { $0 }.joined(separator: ": "),
                advice: error.advice)
        }
    }

    /// A cgroup that is there already may be somebody's: one that is frozen would hold the new process for ever
    /// (config-linux.md, "Control groups").
    private func checkFitness() throws(Failure) {
        guard !record.foundCgroups.isEmpty else { return }
        if cgroup.isFrozen {
            throw Failure(
                "cannot use the cgroup \(cgroup.path)", cause: "container's cgroup unexpectedly frozen",
                advice: "thaw it, or give another linux.cgroupsPath")
        }
        let count = cgroup.processes.count
        if count > 0 { settings.warn("container's cgroup is not empty: \(count) process(es) found") }
    }

    /// Takes back whatever there is.
    func undo(_ child: BundleChild?) throws(Failure) {
        let own = cgroup.without(record.foundCgroups)
        try? own.signalAll(SIGKILL)
        child?.killAndReap()
        // A cgroup that can't be removed keeps the record: by that `delete --force` finds it.
        try own.remove()
        try record.detachHostRoot()
        try store.removeAll()
        // What failed is told already; a poststop hook that fails as well would hide it.
        runPoststopHooks(bundle.config.hooks.poststop, state: record.hookState(.stopped)) { _ in }
    }

    /// `delete` for one whose first process was waited for, without asking again for what is known.
    func removeEnded() throws(Failure) {
        // Somebody may have deleted it meanwhile, and made another of its name.
        guard (try? readFile(store.file)) == record.text() else {
            return try deleteContainer(record.id, settings, force: true)
        }
        let own = cgroup.without(record.foundCgroups)
        // Others that are in it outlived the first process, and keep it from going.
        let left = own.removeIdle()
        if left != nil { try? own.signalAll(SIGKILL) }
        try remove(record, store, left, settings)
    }

    private mutating func launch(
        waits: Bool, _ made: inout BundleChild?, terminal: (SharedFD) throws(Failure) -> Void
    ) throws(Failure) -> BundleChild {
        let prepared = try prepareMounts(bundle, cgroup: cgroup, host: host, warn: settings.warn)
        var descriptors = prepared.given
        let launch = try plan(waits: waits, prepared, &descriptors)
        try addRoot(launch, &descriptors)
        if let directory = cgroup.cloneInto {
            descriptors["cgroup"] = try opened(directory, O_RDONLY | O_DIRECTORY)
        }
        if launch.waitsForStart { descriptors["fifo"] = try startFIFO() }
        let hooks = bundle.config.hooks
        if !hooks.createContainer.isEmpty { descriptors["state"] = try stateFile([]) }
        if !hooks.startContainer.isEmpty { descriptors["start-state"] = try stateFile([]) }

        let program = bundleProgram(for: launch)
        let given = launch.givenSlots.dropFirst().map { name in
            guard let descriptor = descriptors[name] else {
                preconditionFailure("no descriptor \(name) for the launch program")
            }
            return descriptor.raw
        }
        let network = network?.take()
        let child = try inNamespaces(of: bundle.config) { () throws(Failure) in
            try BundleChild(program, descriptors: given, network: network, settings.stepTrace("init"))
        }
        made = child
        try finish(child, launch, descriptors, terminal)
        return child
    }

    /// What the child is to do, with the namespaces it joins itself among the descriptors.
    private func plan(
        waits: Bool, _ prepared: PreparedMounts, _ descriptors: inout [String: SharedFD]
    ) throws(Failure) -> BundleLaunch {
        let config = bundle.config
        var launch = BundleLaunch(id: creation.id, config: config, root: bundle.rootfs)
        launch.process = process
        launch.mounts = prepared.mounts
        launch.lateMounts = prepared.late
        launch.mountedDevices = prepared.devices
        launch.cgroupTaskFiles = cgroup.taskFiles
        launch.intoCgroup = cgroup.cloneInto != nil
        launch.waitsForStart = waits && process != nil
        launch.awaitsHooks =
            !config.hooks.prestart.isEmpty || !config.hooks.createRuntime.isEmpty
            || !config.hooks.createContainer.isEmpty || !config.hooks.startContainer.isEmpty
        launch.movedRoot = settings.noPivot ? try movedRoot(outside: bundle) : nil
        launch.sessionKeyring = settings.sessionKeyring
        if !config.hooks.createContainer.isEmpty || !config.hooks.startContainer.isEmpty {
            launch.environment = processEnvironment().map { "\($0.key)=\($0.value)" }
            guard launch.environment.count <= mostHookStrings else {
                throw Failure(
                    "cannot run hooks with the variables of this command",
                    cause: "there are \(launch.environment.count), and \(mostHookStrings) can be handed on",
                    advice: "give the hooks an `env` of their own, or call with fewer")
            }
        }
        if let given = config.process, let label = try securityLabel(given) {
            launch.label = label.text
            launch.labelFile = "/proc/\(label.file)"
        }
        if let users = try openNamespace(.user, config) {
            launch.joinsUser = true
            descriptors["userns"] = users
            if let pids = try openNamespace(.pid, config) {
                launch.joinsPid = true
                descriptors["pidns"] = pids
            }
        }
        launch.rootIsGiven = config.linux.namespaces.contains { $0.kind == .user } || launch.sharesMounts
        return launch
    }

    /// The root where the child can't make its own: it has no right to walk to it, or shares our mounts.
    private mutating func addRoot(
        _ launch: BundleLaunch, _ descriptors: inout [String: SharedFD]
    ) throws(Failure) {
        guard launch.rootIsGiven else { return }
        let doing = "cannot mount the root file system \(bundle.rootfs)"
        guard launch.sharesMounts else {
            descriptors["root"] = try naming(doing) { () throws(SyscallError) in
                try openDetachedTree(bundle.rootfs, recursive: true)
            }
            return
        }
        let root = try naming(doing) { () throws(SyscallError) in try HostRoot(bundle.rootfs) }
        record.rootMount = root.number
        try store.write(record)
        try naming(doing) { () throws(SyscallError) in try root.attach() }
        descriptors["root"] = root.tree
    }

    /// What the child waits at for `start`.
    private func startFIFO() throws(Failure) -> SharedFD {
        _ = try naming("cannot make \(store.fifo)") { () throws(SyscallError) in
            try retrying("mkfifo", store.fifo) { mkfifo(store.fifo, 0o600) }
        }
        let fifo = try opened(store.fifo, O_RDWR | O_NONBLOCK)
        // For reading it must wait; opened for both it never did.
        _ = linux_fcntl_int(fifo.raw, F_SETFL, O_RDWR)
        return fifo
    }

    private mutating func finish(
        _ child: BundleChild, _ launch: BundleLaunch, _ descriptors: [String: SharedFD],
        _ terminal: (SharedFD) throws(Failure) -> Void
    ) throws(Failure) {
        let hooks = bundle.config.hooks
        let linux = bundle.config.linux
        let ownUsers = linux.namespaces.contains { $0.kind == .user }
        if ownUsers, let score = process?.process.oomScoreAdjustment {
            try naming("cannot set the out-of-memory score to \(score)") { () throws(SyscallError) in
                try writeControl("/proc/\(child.pid)/oom_score_adj", "\(score)")
            }
        }
        if ownUsers, !launch.joinsUser {
            try writeMaps(of: child.pid, uids: linux.uidMappings, gids: linux.gidMappings)
            try child.send(LaunchTag.mapsWritten)
        }
        let other = { [record, settings] (report: ChildReport) throws(Failure) in
            guard case .tag(let tag, let detail, let received) = report else { return }
            if tag == LaunchTag.terminal, let master = received.first { try terminal(master) }
            if tag == LaunchTag.listener {
                try handOverListener(detail, of: child, record, .creating, settings.manners)
            }
        }
        if launch.awaitsHooks {
            guard try child.await(LaunchTag.beforeRoot, other) else {
                throw Failure("the container's process ended early")
            }
            try keep(child)
            // Hooks in the container's namespaces are told the pid as it is there (runtime.md, "State").
            let inside = innermostPid(child.pid)
            try fill(descriptors["state"], record.hookState(.creating, pid: inside))
            try fill(descriptors["start-state"], record.hookState(.created, pid: inside))
            // Deprecated, and of a time when this state was called so; validation tools still ask for it.
            try runHooks(hooks.prestart, "prestart", state: record.hookState(.created))
            try runHooks(hooks.createRuntime, "createRuntime", state: record.hookState(.creating))
            try child.send(LaunchTag.hooksRan)
        }
        // Recorded while the child is at work. The end of its reports is its exec, or its end without a process.
        if process != nil, !launch.joinsUser { try keep(child) }
        let isReady = try child.await(launch.waitsForStart ? LaunchTag.ready : nil, other)
        if launch.waitsForStart, !isReady { throw Failure("the container's process ended early") }
        try keep(child, made: true)
        if settings.manners.writesStatus {
            try store.write("status", record.crunStatus(detached: creation.isDetached))
        }
        if let path = creation.pidFile { try writePidFile(path, child.pid) }
    }

    /// Its process may be looked for from then on; joined it may be only once it is `made`: before, its root is the host's.
    private mutating func keep(_ child: BundleChild, made: Bool = false) throws(Failure) {
        if record.pid != child.pid {
            record.pid = child.pid
            record.startTime = processStat(child.pid)?.start ?? 0
        } else if record.isMade == made {
            return
        }
        record.isMade = made
        try store.write(record)
    }

    private func fill(_ file: SharedFD?, _ bytes: [UInt8]) throws(Failure) {
        guard let file else { return }
        try naming("cannot hand the state to hooks") { () throws(SyscallError) in
            try writeAll(file.raw, bytes)
        }
    }
}
