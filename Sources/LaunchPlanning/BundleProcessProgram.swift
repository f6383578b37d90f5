// SPDX-License-Identifier: Apache-2.0
//
// From inside a container's root to execve(2): the settings of a bundle's `process` (config.md, "Process"), the same for
// the first process and for an exec. And the program of an exec.

internal import CLaunch
public import OCIFormats
internal import SeccompCompiler

extension LaunchProgram {
    /// All but the wait and the execution; gives the stub's slot.
    mutating func addBundleProcess(
        _ settings: BundleProcess, id: String, label: Slot?, labelText: String?,
        second: SecondProcess = .early
    ) -> Slot? {
        let process = settings.process
        let user = process.user
        add(
            L_CHDIR, "entering the working directory \(process.workingDirectory)",
            texts: [process.workingDirectory])
        if !settings.scheduler.isEmpty {
            add(L_SCHEDULER, "setting the scheduler", blob: settings.scheduler)
        }
        if let priority = settings.ioPriority {
            add(L_IO_PRIORITY, "setting the I/O priority", numbers: [priority])
        }
        if !settings.affinity.isEmpty {
            add(L_AFFINITY, "setting the processors", blob: settings.affinity)
        }
        for limit in process.rlimits {
            guard let number = resourceLimits[limit.type.dropFirst(7).lowercased()] else { continue }
            add(
                L_RLIMIT, "setting \(limit.type) to \(limit.soft):\(limit.hard)",
                numbers: [number, limit.soft, limit.hard])
        }
        if let umask = user.umask { add(L_UMASK, "setting the umask", numbers: [UInt64(umask)]) }
        if let personality = settings.personality {
            add(L_PERSONALITY, "setting the personality", numbers: [personality])
        }
        if let label, let labelText {
            add(L_WRITE_SLOT, "setting the label", slots: [label], blob: Array(labelText.utf8))
        }
        // A label waits for the next execve(2), which would be the stub's; a filter that refuses execveat(2) refuses it too.
        var stub: Slot?
        if labelText == nil, settings.filter.allowsExecveat {
            let slot = newSlot()
            add(L_STUB, "preparing the execution", slots: [slot], numbers: [UInt64(second.flags)])
            stub = slot
        }
        // What a filter of old refuses (openat2, close_range) is done before it.
        if settings.isFilteredEarly {
            addSearch(process)
            addClosing(settings)
            addFilter(settings.filter)
        }
        let sets = settings.capabilities
        add(L_BOUNDING, "limiting capabilities", numbers: [sets.bounding])
        add(L_KEEP_CAPABILITIES, "keeping capabilities", numbers: [1])
        if !settings.keepsGroups {
            add(L_GROUPS, "setting groups", blob: user.additionalGroups.flatMap(nativeBytes))
        }
        add(
            L_IDENTITY, "becoming user \(user.uid):\(user.gid)",
            numbers: [UInt64(user.uid), UInt64(user.gid)])
        add(
            L_CAPABILITIES, "setting capabilities",
            numbers: [sets.effective, sets.permitted, sets.inheritable])
        if sets.ambient != 0 { add(L_AMBIENT, "setting ambient capabilities", numbers: [sets.ambient]) }
        if process.noNewPrivileges { add(L_NO_NEW_PRIVILEGES, "setting no_new_privs") }
        if !settings.isFilteredEarly { addSearch(process) }
        return stub
    }

    private mutating func addSearch(_ process: RuntimeConfig.Process) {
        let candidates = executables(process.arguments.first ?? "", environment: process.environment)
        add(
            L_FIND, "running \"\(process.arguments.first ?? "")\"", blob: nulTerminated(candidates),
            numbers: [UInt64(candidates.count)])
    }

    private mutating func addClosing(_ settings: BundleProcess) {
        add(L_CLOSE_ON_EXEC, "closing descriptors", numbers: [UInt64(3 + settings.preserved)])
    }

    /// The filter of no_new_privs, which needs no right to be loaded and so can wait.
    mutating func addLateFilter(_ settings: BundleProcess) {
        addClosing(settings)
        addFilter(settings.filter)
    }

    /// - Parameter isFiltered: the filter is loaded already.
    mutating func addExecution(
        _ settings: BundleProcess, stub: Slot?, isFiltered: Bool = false, second: SecondProcess = .early
    ) {
        let process = settings.process
        if !settings.isFilteredEarly, !isFiltered { addLateFilter(settings) }
        let name = process.arguments.first ?? ""
        let candidates = executables(name, environment: process.environment)
        let environment = process.environment
        add(
            L_EXEC, "running \"\(name)\"", slots: [stub],
            blob: nulTerminated(candidates + process.arguments + environment),
            flags: second.flags | lookingFlags(under: settings.filter.program),
            numbers: [UInt64(candidates.count), UInt64(process.arguments.count), UInt64(environment.count)])
    }

    private mutating func addFilter(_ filter: LoadedFilter) {
        if filter.program.isEmpty { return }
        add(
            L_SECCOMP, "loading the seccomp filter", slots: [filter.listens ? newSlot() : nil],
            blob: filter.program, flags: filterAllows(filter.program, .write) ? 1 : 0,
            numbers: [filter.flags, UInt64(LaunchTag.listener)])
    }
}

/// How far a program without a stub can be held against our binary (CLaunch/binary.c) under a filter.
func lookingFlags(under filter: [UInt8]) -> UInt32 {
    let calls: [Syscall] = [.openat, .fstat, .read, .close, .geteuid]
    if filter.isEmpty { return 0 }
    guard calls.allSatisfy({ filterAllows(filter, $0) }) else { return UInt32(LAUNCH_UNCHECKED) }
    return filterAllows(filter, .pread64) ? 0 : UInt32(LAUNCH_SHALLOW)
}

/// What an exec's program needs beside the process.
public struct BundleExec: Sendable {
    public var id: String
    public var process: BundleProcess
    /// CLONE_NEW* of the namespaces that are not the launcher's own.
    public var namespaces: UInt64
    public var cgroupTaskFiles: [String] = []
    public var intoCgroup = false
    /// The mount namespace is the launcher's: the container's root comes in the slot "root".
    public var rootIsGiven = false
    public var sessionKeyring = true
    /// Processors while it joins; a mask for sched_setaffinity(2).
    public var initialAffinity: [UInt8] = []
    /// Below /proc: `self/attr/exec`.
    public var labelFile: String?
    public var label: String?

    public init(id: String, process: BundleProcess, namespaces: UInt64) {
        self.id = id
        self.process = process
        self.namespaces = namespaces
    }

    public var givenSlots: [String] {
        ["sync", "target"] + (intoCgroup ? ["cgroup"] : []) + (rootIsGiven ? ["root"] : [])
    }
}

/// The program that starts a further process in a bundle's container; ExecProgram's head says why it is so.
public func bundleExecProgram(for exec: BundleExec) -> LaunchProgram {
    let target = Slot(1)
    var program = LaunchProgram(
        cloneFlags: 0, given: exec.givenSlots, cgroup: exec.intoCgroup ? Slot(2) : nil)
    program.add(L_DUMPABLE, "becoming unreadable", numbers: [0])
    program.add(L_RESET_SIGNALS, "resetting signals")
    if !exec.initialAffinity.isEmpty {
        program.add(L_AFFINITY, "setting the first processors", blob: exec.initialAffinity)
    }
    for path in exec.cgroupTaskFiles {
        program.add(L_WRITE, "entering the cgroup", texts: [path], blob: [UInt8(ascii: "0")])
    }
    if let score = exec.process.process.oomScoreAdjustment {
        program.add(
            L_WRITE, "setting the out-of-memory score to \(score)", texts: ["/proc/self/oom_score_adj"],
            blob: Array("\(score)".utf8))
    }
    program.add(L_CLOSE_OTHERS, "closing descriptors", numbers: [UInt64(3 + exec.process.preserved)])
    var proc: Slot?
    if exec.labelFile != nil {
        let slot = program.newSlot()
        program.add(L_OPEN, "opening /proc", slots: [slot], texts: ["/proc"], numbers: [0o1000_0000, 0, 0])
        proc = slot
    }
    if exec.namespaces != 0 {
        program.add(L_JOIN, "joining the container", slots: [target], numbers: [exec.namespaces])
    }
    if let root = program.given("root") {
        program.add(L_PIVOT, "entering the root file system", slots: [root], flags: 2)
    }
    let process = exec.process.process
    let second = SecondProcess(
        filter: exec.process.filter.program, takesLabel: exec.label != nil || exec.process.filter.listens,
        countsProcesses: process.user.uid != 0 && process.rlimits.contains { $0.type == "RLIMIT_NPROC" },
        schedules: !exec.process.scheduler.isEmpty,
        terminal: process.terminal)
    if second.isEarly {
        program.add(L_CLONE, "joining the container")
        program.add(L_SETSID, "starting a session")
    }
    if exec.sessionKeyring {
        program.add(L_KEYRING, "making a session keyring", texts: ["_ses.\(exec.id)"])
    }
    var label: Slot?
    if let proc, let file = exec.labelFile {
        let slot = program.newSlot()
        program.add(
            L_OPEN, "opening the label's file", slots: [slot, proc], texts: [file], numbers: [1, 0, 0])
        label = slot
    }
    if process.terminal {
        let root = program.newSlot()
        let directory: UInt64 = 0o200000 | 0o1000_0000  // O_DIRECTORY | O_PATH
        program.add(L_OPEN, "opening a terminal", slots: [root], texts: ["/"], numbers: [directory, 0, 0])
        program.addBundleTerminal(in: root, console: false, controls: second.isEarly, exec.process)
    }
    let stub = program.addBundleProcess(
        exec.process, id: exec.id, label: label, labelText: exec.label, second: second)
    program.addExecution(exec.process, stub: stub, second: second)
    return program
}

/// A hook of the runtime's own side: slot 1 is its input.
public func hookProgram(_ hook: RuntimeConfig.Hook, inherited: [String]) -> LaunchProgram {
    var program = LaunchProgram(cloneFlags: 0, given: ["sync", "state"])
    program.add(L_RESET_SIGNALS, "resetting signals")
    program.add(L_DUPLICATE, "connecting its input", slots: [Slot(1)], numbers: [0])
    program.add(L_CLOSE_ON_EXEC, "closing descriptors", numbers: [3])
    let arguments = hook.arguments.isEmpty ? [hook.path] : hook.arguments
    let environment = hook.environment ?? inherited
    program.add(
        L_EXEC, "running hook \(hook.path)",
        blob: nulTerminated([hook.path] + arguments + environment), flags: UInt32(LAUNCH_UNCHECKED),
        numbers: [1, UInt64(arguments.count), UInt64(environment.count)])
    return program
}

/// A process that only holds a user namespace, until the one who launched it lets it go.
public func namespaceHolderProgram() -> LaunchProgram {
    var program = LaunchProgram(
        cloneFlags: RuntimeConfig.NamespaceKind.user.cloneFlag, given: ["sync"])
    program.add(L_PARENT_DEATH, "asking to end with the parent", numbers: [9])
    program.add(L_AWAIT, "waiting for the identity maps", numbers: [UInt64(LaunchTag.mapsWritten)])
    program.add(L_EXIT, "ending", numbers: [0])
    return program
}
