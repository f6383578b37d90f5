// SPDX-License-Identifier: Apache-2.0
//
// The program that makes an OCI container out of a fresh clone (runtime.md, "Lifecycle"). It shares the interpreter and
// the orders of ContainerProgram; what differs is that a bundle says everything itself: namespaces, mounts, devices,
// masks, capabilities.
//
// Orders that matter beside those:
// - the cgroup namespace is unshared after the cgroup was entered, for its root is where the process is then;
// - a user namespace's maps come from outside before anything is mounted;
// - prestart and createRuntime hooks run outside, then createContainer hooks inside, before the root is entered;
// - the program is looked for before `created` is told, so that a missing one fails the creation;
// - the wait for `start` is the last thing before the filter of no_new_privs, startContainer hooks, which are under it, and
//   execve(2); a filter with a listener is loaded before the wait.

internal import CLaunch
public import OCIFormats

extension RuntimeConfig.NamespaceKind {
    /// CLONE_NEW* of clone(2).
    public var cloneFlag: UInt64 {
        switch self {
        case .mount: 0x2_0000
        case .cgroup: 0x200_0000
        case .uts: 0x400_0000
        case .ipc: 0x800_0000
        case .user: 0x1000_0000
        case .pid: 0x2000_0000
        case .network: 0x4000_0000
        case .time: 0x80
        }
    }
}

extension RuntimeConfig.Hook {
    /// Seconds it may take; what is beyond 68 years is no limit that anybody would see.
    public var timeLimitSeconds: Int? { timeout.map { min($0, Int(Int32.max)) } }
}

extension LaunchProgram {
    func given(_ name: String) -> Slot? {
        given.firstIndex(of: name).map { Slot(Int32($0)) }
    }
}

/// The program for a bundle's first process.
public func bundleProgram(for launch: BundleLaunch) -> LaunchProgram {
    let config = launch.config
    var flags: UInt64 = 0
    // A new time namespace is the launcher's own for children already; the cgroup's comes later.
    for namespace in config.linux.namespaces
    where namespace.path == nil && namespace.kind != .time && namespace.kind != .cgroup {
        flags |= namespace.kind.cloneFlag
    }
    let names = launch.givenSlots
    var program = LaunchProgram(
        cloneFlags: launch.joinsUser ? 0 : flags, given: names,
        cgroup: launch.intoCgroup ? names.firstIndex(of: "cgroup").map { Slot(Int32($0)) } : nil)
    // Others may live in a namespace that is joined: nothing of the launcher is theirs to look at (CVE-2016-9962).
    if config.linux.namespaces.contains(where: { $0.path != nil && ($0.kind == .pid || $0.kind == .user) }) {
        program.add(L_DUMPABLE, "becoming unreadable", numbers: [0])
    }
    program.add(L_RESET_SIGNALS, "resetting signals")
    for path in launch.cgroupTaskFiles {
        program.add(L_WRITE, "entering the cgroup", texts: [path], blob: [UInt8(ascii: "0")])
    }
    if let slot = program.given("pidns") {
        // Before the user namespace, in which the right to it may be lost.
        program.add(
            L_JOIN, "joining the pid namespace", slots: [slot],
            numbers: [RuntimeConfig.NamespaceKind.pid.cloneFlag])
    }
    if launch.joinsUser, let slot = program.given("userns") {
        program.add(
            L_JOIN, "joining the user namespace", slots: [slot],
            numbers: [RuntimeConfig.NamespaceKind.user.cloneFlag])
        program.add(L_CLONE, "making the namespaces", numbers: [flags])
        program.add(L_GROUPS, "becoming the namespace's root")
        program.add(L_IDENTITY, "becoming the namespace's root", numbers: [0, 0])
    } else if launch.isNew(.user) {
        program.add(
            L_AWAIT, "waiting for the identity maps", numbers: [UInt64(LaunchTag.mapsWritten)])
        program.add(L_GROUPS, "becoming the namespace's root")
        program.add(L_IDENTITY, "becoming the namespace's root", numbers: [0, 0])
    }
    program.add(L_SETSID, "starting a session")
    if launch.isNew(.cgroup) {
        program.add(
            L_UNSHARE, "making the cgroup namespace",
            numbers: [RuntimeConfig.NamespaceKind.cgroup.cloneFlag])
    }
    if let score = launch.process?.process.oomScoreAdjustment, !launch.has(.user) {
        program.add(
            L_WRITE, "setting the out-of-memory score to \(score)", texts: ["/proc/self/oom_score_adj"],
            blob: Array("\(score)".utf8))
    }
    if launch.sessionKeyring {
        program.add(L_KEYRING, "making a session keyring", texts: ["_ses.\(launch.id)"])
    }
    if launch.isNew(.network) {
        program.add(L_NETLINK, "bringing up lo", blob: loopbackUp, numbers: [0])
    }
    let root = program.addBundleRoot(launch)
    if let hostname = config.hostname, !hostname.isEmpty {
        program.add(L_HOSTNAME, "setting the hostname \"\(hostname)\"", texts: [hostname])
    }
    if let name = config.domainname, !name.isEmpty {
        program.add(L_HOSTNAME, "setting the domain name \"\(name)\"", texts: [name], flags: 1)
    }
    program.addSysctls(config.linux.sysctl, throughHost: launch.has(.user) && !launch.isNew(.pid))
    program.addHookPhase(launch)
    let label = program.addLabelFile(launch)
    program.enterBundleRoot(root, launch)
    guard let process = launch.process else {
        program.add(L_EXIT, "ending", numbers: [0])
        return program
    }
    let stub = program.addBundleProcess(process, id: launch.id, label: label, labelText: launch.label)
    // Whoever fetches the listener is there until `created` is told, not at the start.
    var isFiltered = process.isFilteredEarly
    if !isFiltered, process.filter.listens {
        program.addLateFilter(process)
        isFiltered = true
    }
    program.add(L_TELL, "telling that it is made", numbers: [UInt64(LaunchTag.ready)])
    if let fifo = program.given("fifo") {
        // What fails of the hooks `start` reads out of the fifo.
        program.add(
            L_WAIT_START, "waiting for start", slots: [fifo],
            flags: config.hooks.startContainer.isEmpty ? 0 : 1)
    }
    if let state = program.given("start-state") {
        // These are programs of the image: no more may be done by them than by its own.
        if !isFiltered { program.addLateFilter(process) }
        isFiltered = true
        program.addHooks(
            config.hooks.startContainer, "startContainer", state: state, inherited: launch.environment,
            flags: lookingFlags(under: process.filter.program))
    }
    program.addExecution(process, stub: stub, isFiltered: isFiltered)
    return program
}

/// Where a setting is below /proc/sys. As for sysctl(8): where the first separator is a dot, slashes stand for the dots within
/// a name, `net.ipv4.conf.eth0/1.forwarding`; where it is a slash, it is the path.
public func sysctlPath(_ name: String) -> String {
    guard name.first(where: { $0 == "." || $0 == "/" }) == "." else { return name }
    return String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
}

/// RTM_NEWLINK for link 1, which is lo in every network namespace, with IFF_UP; rtnetlink(7).
private let loopbackUp: [UInt8] =
    nativeBytes(UInt32(32)) + nativeBytes(UInt16(16)) + nativeBytes(UInt16(5)) + nativeBytes(UInt32(1))
    + nativeBytes(UInt32(0)) + nativeBytes(UInt32(0)) + nativeBytes(Int32(1)) + nativeBytes(UInt32(1))
    + nativeBytes(UInt32(1))

extension LaunchProgram {
    /// Through a procfs of our own, that nothing else is mounted in (CVE-2025-52881).
    /// - Parameter throughHost: in a user namespace a procfs can be made only of a pid namespace that is its own; before the
    ///   root is entered the host's is still there, and shows each process its own namespaces.
    fileprivate mutating func addSysctls(_ settings: [RuntimeConfig.StringPair], throughHost: Bool) {
        if settings.isEmpty { return }
        let proc = newSlot()
        if throughHost {
            add(
                L_OPEN, "preparing sysctls", slots: [proc], texts: ["/proc"],
                numbers: [0o1000_0000 | 0o200000, 0, 0])
        } else {
            add(
                L_FSMOUNT, "preparing sysctls", slots: [proc], texts: ["proc"],
                blob: options([("source", "proc")]))
        }
        for setting in settings {
            add(
                L_WRITE, "setting sysctl \(setting.name) to \(setting.value)", slots: [nil, proc],
                texts: ["sys/" + sysctlPath(setting.name)], blob: Array(setting.value.utf8))
        }
    }

    fileprivate mutating func addHookPhase(_ launch: BundleLaunch) {
        if launch.awaitsHooks {
            add(L_TELL, "asking for the hooks", numbers: [UInt64(LaunchTag.beforeRoot)])
            add(L_AWAIT, "waiting for the hooks", numbers: [UInt64(LaunchTag.hooksRan)])
        }
        if let state = given("state") {
            // As with runc they begin in the container's root, where it can be walked to.
            if !launch.rootIsGiven || launch.sharesMounts {
                add(L_CHDIR, "entering \(launch.root)", texts: [launch.root])
            }
            addHooks(
                launch.config.hooks.createContainer, "createContainer", state: state,
                inherited: launch.environment, flags: UInt32(LAUNCH_UNCHECKED))
        }
    }

    mutating func addHooks(
        _ hooks: [RuntimeConfig.Hook], _ kind: String, state: Slot, inherited: [String],
        flags: UInt32
    ) {
        for hook in hooks {
            let arguments = hook.arguments.isEmpty ? [hook.path] : hook.arguments
            let environment = hook.environment ?? inherited
            add(
                L_HOOK, "running \(kind) hook \(hook.path)", slots: [state],
                blob: nulTerminated([hook.path] + arguments + environment),
                flags: flags,
                numbers: [
                    UInt64(arguments.count), UInt64(environment.count),
                    UInt64((hook.timeLimitSeconds ?? 0) * 1000),
                ])
        }
    }

    /// Opened while the host's /proc is still there.
    fileprivate mutating func addLabelFile(_ launch: BundleLaunch) -> Slot? {
        guard let path = launch.labelFile else { return nil }
        let slot = newSlot()
        add(L_OPEN, "opening the label's file", slots: [slot], texts: [path], numbers: [1, 0, 0])
        return slot
    }

    /// Hides and protects, opens the terminal, and makes the root `/`.
    fileprivate mutating func enterBundleRoot(_ root: Slot, _ launch: BundleLaunch) {
        let config = launch.config
        if let process = launch.process {
            add(
                L_ENSURE_DIRECTORY, "making the working directory \(process.process.workingDirectory)",
                slots: [nil, root], texts: [process.process.workingDirectory], numbers: [0o755])
        }
        if let process = launch.process, process.process.terminal {
            addBundleTerminal(in: root, console: true, process)
        }
        addHiding(readOnly: config.linux.readonlyPaths, masked: config.linux.maskedPaths, in: root)
        for mount in launch.lateMounts { addBundleMount(mount, newSlot(), in: root) }
        if config.root?.readonly == true {
            add(L_MOUNT_ATTR, "making the root file system read-only", slots: [root], numbers: [1, 0, 0])
        }
        for point in launch.movedRoot?.unmounted ?? [] {
            add(L_UNMOUNT, "unmounting the host's \(point)", texts: [point])
        }
        add(
            L_PIVOT, "entering the root file system", slots: [root],
            flags: launch.sharesMounts ? 2 : launch.movedRoot == nil ? 0 : 1)
        if let name = config.linux.rootfsPropagation, let flag = propagationFlag(named: name) {
            add(L_PROPAGATION, "setting the root's propagation to \(name)", texts: ["/"], numbers: [flag])
        }
    }

    /// Its user's own terminal.
    mutating func addBundleTerminal(
        in root: Slot, console: Bool, controls: Bool = true, _ process: BundleProcess
    ) {
        let size = process.process.consoleSize
        addTerminal(
            in: root, console: console, controls: controls, rows: size?.height ?? 0,
            columns: size?.width ?? 0, owner: process.process.user.uid)
    }
}
