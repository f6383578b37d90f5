// SPDX-License-Identifier: Apache-2.0
//
// `create` and `run` (runtime.md, "Create"):
//
//     claim the name ─▶ write the record ─▶ cgroup and limits ─▶ clone ─▶ maps ─▶ hooks ─▶ record with pid ─▶ pid file
//
// Whatever fails undoes what was made. Killed in between, the record names the cgroup, by which `delete --force` finds
// all there is.

public import Basics
internal import CLinux
internal import Cgroups
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

/// What one container is made with.
public struct Creation: Sendable {
    public var id: String
    /// Absolute.
    public var bundle: String
    /// Instead of config.json; relative to the bundle.
    public var configuration: String?
    public var consoleSocket: String?
    public var pidFile: String?
    /// Now, as RFC 3339 writes it.
    public var time: String
    public init(id: String, bundle: String, time: String) {
        self.id = id
        self.time = time
        self.bundle = bundle
    }
}

/// Makes a container that waits for `start`.
public func createContainer(
    _ creation: Creation, _ settings: RuntimeSettings, warn: (String) -> Void
) throws(Failure) {
    let bundle = try Bundle(creation.bundle, configuration: creation.configuration)
    try checkConsole(bundle.config.process?.terminal == true, creation.consoleSocket, detached: true)
    var maker = try ContainerMaker(creation, bundle, settings, warn: warn)
    let console = try maker.console(creation.consoleSocket)
    _ = try maker.make(waits: true, warn: warn) { (master) throws(Failure) in try console?.send(master) }
}

/// Makes and starts a container. In the foreground it waits for its end, deletes it and gives its exit code.
public func runContainer(
    _ creation: Creation, _ settings: RuntimeSettings, detached: Bool, keep: Bool = false,
    warn: (String) -> Void
) throws(Failure) -> Int32 {
    let bundle = try Bundle(creation.bundle, configuration: creation.configuration)
    let terminal = bundle.config.process?.terminal == true
    try checkConsole(terminal, creation.consoleSocket, detached: detached)
    guard bundle.config.process != nil else {
        throw containerFailure(creation.id, "run", "its configuration has no process")
    }
    var maker = try ContainerMaker(creation, bundle, settings, warn: warn)
    let console = try maker.console(creation.consoleSocket)
    var foreground = detached ? nil : try Foreground()
    let child = try maker.make(waits: false, warn: warn) { (master) throws(Failure) in
        if let console { try console.send(master) } else { foreground?.use(master) }
    }
    do throws(Failure) {
        try runHooks(
            bundle.config.hooks.poststart, "poststart", state: maker.record.hookState(.running))
    } catch {
        try? maker.undo(child)
        throw error
    }
    guard let foreground else { return 0 }
    let code = try foreground.wait(for: child)
    if !keep { try deleteContainer(creation.id, settings, force: true, warn: warn) }
    return code
}

func checkConsole(_ terminal: Bool, _ socket: String?, detached: Bool) throws(Failure) {
    if terminal, detached, socket == nil {
        throw Failure(
            "cannot make a terminal",
            cause: "cannot allocate tty if runc will detach without setting console socket",
            advice: "give --console-socket, or set process.terminal to false")
    }
    if !terminal || !detached, socket != nil {
        throw Failure(
            "cannot use the console socket",
            cause: "cannot use console socket if runc will not detach or allocate tty",
            advice: "leave --console-socket out, or set process.terminal to true")
    }
}

/// One container in the making.
private struct ContainerMaker {
    let creation: Creation
    let bundle: Bundle
    let settings: RuntimeSettings
    let store: ContainerStore
    let host: CgroupHost
    let cgroup: BundleCgroup
    var record: ContainerRecord
    private let process: BundleProcess?
    /// Then others' processes may be in it: a failed creation leaves it as it is.
    private var cgroupWasThere = false

    init(
        _ creation: Creation, _ bundle: Bundle, _ settings: RuntimeSettings, warn: (String) -> Void
    ) throws(Failure) {
        self.creation = creation
        self.bundle = bundle
        self.settings = settings
        store = try ContainerStore(settings, creation.id)
        host = try CgroupHost.detect()
        let path = bundle.config.linux.cgroupsPath ?? BundleCgroup.defaultPath(id: creation.id)
        cgroup = BundleCgroup(host: host, path: path)
        if let given = bundle.config.process {
            var process = try BundleProcess(given, settings: settings, rootfs: bundle.rootfs, warn: warn)
            try process.take(bundle.config.linux)
            process.keepsGroups = bundle.config.annotations.contains {
                $0.name == "run.oci.keep_original_groups" && $0.value == "1"
            }
            self.process = process
        } else {
            process = nil
        }
        let pid = getpid()
        record = ContainerRecord(
            id: creation.id, bundle: bundle.path, rootfs: bundle.rootfs, maker: pid,
            makerStart: processStat(pid)?.start ?? 0, created: creation.time, cgroupPath: cgroup.path,
            configuration: bundle.bytes, config: bundle.config)
    }

    func console(_ path: String?) throws(Failure) -> ConsoleSocket? {
        guard let path else { return nil }
        return try ConsoleSocket(path)
    }

    /// Gives the child once it waits for `start`, or once its program runs.
    mutating func make(
        waits: Bool, warn: (String) -> Void, terminal: (SharedFD) throws(Failure) -> Void
    ) throws(Failure) -> BundleChild {
        try store.claim()
        cgroupWasThere = cgroup.exists
        var child: BundleChild?
        do throws(Failure) {
            try store.write(record)
            try checkFitness(warn)
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
    private func checkFitness(_ warn: (String) -> Void) throws(Failure) {
        guard cgroupWasThere else { return }
        if cgroup.isFrozen {
            throw Failure(
                "cannot use the cgroup \(cgroup.path)", cause: "container's cgroup unexpectedly frozen",
                advice: "thaw it, or give another linux.cgroupsPath")
        }
        let count = cgroup.processes.count
        if count > 0 { warn("container's cgroup is not empty: \(count) process(es) found") }
    }

    /// Takes back whatever there is.
    func undo(_ child: BundleChild?) throws(Failure) {
        if !cgroupWasThere { try? cgroup.signalAll(SIGKILL) }
        child?.killAndReap()
        // A cgroup that can't be removed keeps the record: by that `delete --force` finds it.
        if !cgroupWasThere { try cgroup.remove() }
        try store.removeAll()
        // What failed is told already; a poststop hook that fails as well would hide it.
        runPoststopHooks(bundle.config.hooks.poststop, state: record.hookState(.stopped)) { _ in }
    }

    private mutating func launch(
        waits: Bool, _ made: inout BundleChild?, terminal: (SharedFD) throws(Failure) -> Void
    ) throws(Failure) -> BundleChild {
        let hooks = bundle.config.hooks
        var launch = BundleLaunch(id: creation.id, config: bundle.config, root: bundle.rootfs)
        launch.process = process
        let prepared = try prepareMounts(bundle, cgroup: cgroup, host: host)
        launch.mounts = prepared.mounts
        launch.lateMounts = prepared.late
        launch.mountedDevices = prepared.devices
        launch.cgroupTaskFiles = cgroup.taskFiles
        launch.intoCgroup = cgroup.cloneInto != nil
        let userNamespace = try openNamespace(.user, bundle.config)
        launch.joinsUser = userNamespace != nil
        launch.waitsForStart = waits && process != nil
        launch.awaitsHooks =
            !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty || !hooks.createContainer.isEmpty
            || !hooks.startContainer.isEmpty
        launch.movedRoot = settings.noPivot ? try movedRoot(outside: bundle) : nil
        launch.sessionKeyring = settings.sessionKeyring
        launch.environment = settings.environment.map { "\($0.key)=\($0.value)" }
        if let given = bundle.config.process, let label = try securityLabel(given) {
            launch.label = label.text
            launch.labelFile = "/proc/\(label.file)"
        }

        var descriptors = prepared.given
        if bundle.config.linux.namespaces.contains(where: { $0.kind == .user }) {
            launch.rootIsGiven = true
            descriptors["root"] = try naming("cannot mount the root file system \(bundle.rootfs)") {
                () throws(SyscallError) in try openDetachedTree(bundle.rootfs, recursive: true)
            }
        }
        descriptors["userns"] = userNamespace
        if userNamespace != nil, let namespace = try openNamespace(.pid, bundle.config) {
            launch.joinsPid = true
            descriptors["pidns"] = namespace
        }
        if let directory = cgroup.cloneInto {
            descriptors["cgroup"] = try opened(directory, O_RDONLY | O_DIRECTORY)
        }
        if launch.waitsForStart {
            _ = try naming("cannot make \(store.fifo)") { () throws(SyscallError) in
                try retrying("mkfifo", store.fifo) { mkfifo(store.fifo, 0o600) }
            }
            descriptors["fifo"] = try opened(store.fifo, O_RDWR | O_NONBLOCK)
            // For reading it must wait; opened for both it never did.
            _ = descriptors["fifo"].map { linux_fcntl_int($0.raw, F_SETFL, O_RDWR) }
        }
        if !hooks.createContainer.isEmpty { descriptors["state"] = try stateFile([]) }
        if !hooks.startContainer.isEmpty { descriptors["start-state"] = try stateFile([]) }

        let program = bundleProgram(for: launch)
        var given: [Int32] = []
        for name in launch.givenSlots.dropFirst() {
            guard let descriptor = descriptors[name] else {
                preconditionFailure("no descriptor \(name) for the launch program")
            }
            given.append(descriptor.raw)
        }
        let child = try inNamespaces(of: bundle.config) { () throws(Failure) in
            try BundleChild(program, descriptors: given)
        }
        made = child
        try finish(child, launch, descriptors, terminal)
        return child
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
        let other = { [record] (report: ChildReport) throws(Failure) in
            guard case .tag(let tag, let detail, let received) = report else { return }
            if tag == LaunchTag.terminal, let master = received.first { try terminal(master) }
            if tag == LaunchTag.listener { try handOverListener(detail, of: child, record) }
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
        if process == nil {
            _ = try child.await(nil, other)
            try keep(child)
        } else if launch.waitsForStart {
            guard try child.await(LaunchTag.ready, other) else {
                throw Failure("the container's process ended early")
            }
            try keep(child)
        } else {
            // Recorded while the child is at work; the end of its reports is its exec.
            if !launch.joinsUser { try keep(child) }
            _ = try child.await(nil, other)
            if launch.joinsUser { try keep(child) }
        }
        if let path = creation.pidFile { try writePidFile(path, child.pid) }
    }

    private mutating func keep(_ child: BundleChild) throws(Failure) {
        if record.pid == child.pid { return }
        record.pid = child.pid
        record.startTime = processStat(child.pid)?.start ?? 0
        try store.write(record)
    }

    private func fill(_ file: SharedFD?, _ bytes: [UInt8]) throws(Failure) {
        guard let file else { return }
        try naming("cannot hand the state to hooks") { () throws(SyscallError) in
            try writeAll(file.raw, bytes)
        }
    }
}

func opened(_ path: String, _ flags: Int32) throws(Failure) -> SharedFD {
    try naming("cannot open \(path)") { () throws(SyscallError) in
        SharedFD(try openFile(path, flags: flags))
    }
}

/// Whole, by rename: whoever waits for it never reads half of a number.
func writePidFile(_ path: String, _ pid: Int32) throws(Failure) {
    try naming("cannot write the pid file \(path)") { () throws(SyscallError) in
        try replaceFile(path, "\(pid)".utf8)
    }
}

/// uname(2)'s release.
func kernelRelease() -> String {
    (try? readText("/proc/sys/kernel/osrelease")) ?? ""
}
