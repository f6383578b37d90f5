// SPDX-License-Identifier: Apache-2.0
//
// The program that starts another process in a running container.
//
// It closes every descriptor but its own before it joins the container's namespaces, so that nothing of ours can be
// reached from inside while it is on its way (CVE-2016-9962, CVE-2024-21626). A process enters a pid namespace only by
// birth (setns(2)), so there is a second one, with CLONE_PARENT a child of the keeper as well; SecondProcess says who makes
// it.

internal import CLaunch
public import ContainerModel

/// Slots an exec's program is given, in order.
public enum ExecSlots {
    public static let sync = Slot(0)
    public static let standardInput = Slot(1)
    public static let standardOutput = Slot(2)
    public static let standardError = Slot(3)
    /// The pidfd of the container's first process.
    public static let target = Slot(4)
    /// Only on v2.
    public static let cgroup = Slot(5)
}

/// A process to be started beside a container's first one.
public struct ExecRequest: Sendable {
    public var arguments: [String]
    /// Complete, in order.
    public var environment: [String]
    public var workingDirectory: String
    public var identity: ProcessIdentity
    public var terminal: Bool
    public var rows: Int
    public var columns: Int
    public var capabilities: UInt64
    public var seccomp: [UInt8]
    public var noNewPrivileges: Bool
    public var ulimits: [String: LimitPair]
    public var cgroupTaskFiles: [String]
    public var oomScoreAdjustment: Int?
    /// The container's own: what is started beside its first process is confined as that is.
    public var appArmorProfile: String?
    public var seLinuxContext: String?

    public init(arguments: [String], environment: [String], workingDirectory: String) {
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        identity = .root
        terminal = false
        rows = 24
        columns = 80
        capabilities = 0
        seccomp = []
        noNewPrivileges = false
        ulimits = [:]
        cgroupTaskFiles = []
    }
}

public func execProgram(for request: ExecRequest, intoCgroup: Bool) -> LaunchProgram {
    var program = LaunchProgram(
        cloneFlags: 0,
        given: ["sync", "stdin", "stdout", "stderr", "target"] + (intoCgroup ? ["cgroup"] : []),
        cgroup: intoCgroup ? ExecSlots.cgroup : nil)
    program.add(L_DUMPABLE, "becoming unreadable", numbers: [0])
    program.beginProcess(
        taskFiles: request.cgroupTaskFiles, endsWithParent: false,
        oomScoreAdjustment: request.oomScoreAdjustment)
    program.add(L_CLOSE_OTHERS, "closing descriptors")
    program.addLabels(appArmor: request.appArmorProfile, seLinux: request.seLinuxContext)
    let takesLabel = request.appArmorProfile != nil || request.seLinuxContext != nil
    let namespaces: UInt64 = 0x2_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x2000_0000 | 0x4000_0000
    program.add(L_JOIN, "joining the container", slots: [ExecSlots.target], numbers: [namespaces])
    let second = SecondProcess(
        filter: request.seccomp, takesLabel: takesLabel,
        countsProcesses: request.identity.uid != 0 && request.ulimits["nproc"] != nil, schedules: false,
        terminal: request.terminal)
    if second.isEarly {
        program.add(L_CLONE, "joining the container")
        program.add(L_SETSID, "starting a session")
    }
    if request.terminal {
        let root = program.newSlot()
        let directory: UInt64 = 0o200000 | 0o1000_0000  // O_DIRECTORY | O_PATH
        program.add(L_OPEN, "opening a terminal", slots: [root], texts: ["/"], numbers: [directory, 0, 0])
        program.addTerminal(
            in: root, console: false, controls: second.isEarly,
            rows: UInt64(clamping: request.rows), columns: UInt64(clamping: request.columns),
            owner: request.identity.uid)
    } else {
        for (number, slot) in [ExecSlots.standardInput, ExecSlots.standardOutput, ExecSlots.standardError]
            .enumerated()
        {
            program.add(
                L_DUPLICATE, "connecting the standard streams", slots: [slot], numbers: [UInt64(number)])
        }
    }
    program.addProcess(
        arguments: request.arguments, environment: request.environment,
        workingDirectory: request.workingDirectory,
        identity: request.identity, capabilities: request.capabilities, seccomp: request.seccomp,
        noNewPrivileges: request.noNewPrivileges, ulimits: request.ulimits, initProcess: false,
        takesLabel: takesLabel, second: second)
    return program
}
