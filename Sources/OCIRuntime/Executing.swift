// SPDX-License-Identifier: Apache-2.0
//
// `exec`: a further process in a running container, with the settings of its first one where nothing else is said. It
// goes into the container's cgroup and namespaces; what it may is the container's configuration's.

public import Basics
internal import CLinux
internal import Cgroups
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

/// What is said beside the container's own settings.
public struct Execution: Sendable {
    public var id: String
    public var arguments: [String] = []
    public var environment: [String] = []
    public var workingDirectory: String?
    /// `uid[:gid]`.
    public var user: String?
    public var additionalGroups: [UInt32] = []
    public var terminal = false
    public var capabilities: [String] = []
    public var noNewPrivileges = false
    public var apparmorProfile: String?
    public var selinuxLabel: String?
    /// A `process` object: all of the above at once.
    public var processDocument: [UInt8]?
    public var consoleSocket: String?
    public var pidFile: String?
    public var detached = false
    /// Below the container's own cgroup: `PATH`, or `CONTROLLER:PATH` for hierarchies of v1.
    public var cgroups: [String] = []
    public var ignorePaused = false

    public init(id: String) { self.id = id }
}

/// Runs it; the exit code, or 0 at once when detached.
public func executeInContainer(
    _ execution: Execution, _ settings: RuntimeSettings
) throws(Failure) -> Int32 {
    let store = try ContainerStore(settings, execution.id)
    let record = try store.load()
    let status = store.status(record)
    switch status {
    case .creating:
        throw containerFailure(execution.id, "exec in", "it is still being created")
    case .stopped:
        throw containerFailure(execution.id, "exec in", "cannot exec in a stopped container")
    case .paused where !execution.ignorePaused:
        throw containerFailure(
            execution.id, "exec in", "cannot exec in a paused container (use --ignore-paused to override)")
    default: break
    }
    let given = try process(of: execution, record, settings.manners)
    try checkConsole(given.terminal, execution.consoleSocket, detached: execution.detached)
    let cgroup = try cgroup(of: execution, store, record)
    var exec = try bundleExec(given, record, cgroup, settings)
    try sealBinary(for: exec.process, label: given, hooksInside: false, settings)
    exec.process.grantCapabilities(warn: settings.warn)
    let console = try execution.consoleSocket.map { (path) throws(Failure) in try ConsoleSocket(path) }
    var foreground = execution.detached ? nil : try Foreground()
    var descriptors = [try processDescriptor(record)]
    if let path = cgroup.cloneInto { descriptors.append(try opened(path, O_RDONLY | O_DIRECTORY)) }
    if exec.rootIsGiven {
        descriptors.append(try opened("/proc/\(record.pid)/root", O_PATH | O_DIRECTORY))
    }
    // Between the look and the opens the number may have become another's.
    guard isAlive(record.pid, record.startTime) else {
        throw containerFailure(execution.id, "exec in", "cannot exec in a stopped container")
    }
    let program = bundleExecProgram(for: exec)
    let child = try BundleChild(
        program, descriptors: descriptors.map(\.raw), settings.stepTrace("setns_init"))
    do throws(Failure) {
        _ = try child.await(nil) { (report) throws(Failure) in
            guard case .tag(let tag, let detail, let received) = report else { return }
            if tag == LaunchTag.terminal, let master = received.first {
                if let console { try console.send(master) } else { foreground?.use(master) }
            }
            if tag == LaunchTag.listener {
                try handOverListener(detail, of: child, record, status, settings.manners)
            }
        }
        if let path = execution.pidFile { try writePidFile(path, child.pid) }
    } catch {
        child.killAndReap()
        throw Failure(
            "cannot exec in container \"\(execution.id)\"",
            cause: [error.doing, error.cause].compactMap { $0 }.joined(separator: ": "), advice: error.advice)
    }
    guard let foreground else { return 0 }
    return try foreground.wait(for: child)
}

/// What the child is to do, out of its process's settings and the container's.
private func bundleExec(
    _ given: RuntimeConfig.Process, _ record: ContainerRecord, _ cgroup: BundleCgroup,
    _ settings: RuntimeSettings
) throws(Failure) -> BundleExec {
    // LISTEN_FDS and its like are the first process's.
    var plain = settings
    plain.activation = RuntimeSettings.Activation()
    var process = try BundleProcess(given, settings: plain, rootfs: record.rootfs)
    try process.take(record.config.linux, settings.manners)
    if let final = given.execAffinity?.final, !final.isEmpty {
        process.affinity = try processorMask(final, "process.execCPUAffinity.final")
    }
    var exec = BundleExec(id: record.id, process: process, namespaces: try namespaces(record))
    if let initial = given.execAffinity?.initial, !initial.isEmpty {
        exec.initialAffinity = try processorMask(initial, "process.execCPUAffinity.initial")
    }
    exec.cgroupTaskFiles = cgroup.taskFiles
    exec.intoCgroup = cgroup.cloneInto != nil
    exec.rootIsGiven = !record.config.linux.namespaces.contains { $0.kind == .mount }
    exec.sessionKeyring = settings.sessionKeyring
    if let label = try securityLabel(given) {
        exec.label = label.text
        exec.labelFile = label.file
    }
    return exec
}

private func process(
    of execution: Execution, _ record: ContainerRecord, _ manners: Manners
) throws(Failure) -> RuntimeConfig.Process {
    let doing = "cannot exec in container \"\(execution.id)\""
    var process: RuntimeConfig.Process
    if let document = execution.processDocument {
        do throws(RuntimeConfigError) { process = try RuntimeConfig.readProcess(document) } catch {
            throw Failure(doing, cause: "process file: \(error)")
        }
    } else {
        guard var own = record.config.process else {
            throw Failure(doing, cause: "its configuration has no process", advice: "give --process")
        }
        own.arguments = execution.arguments
        own.environment = overlaid(own.environment, with: execution.environment)
        own.terminal = execution.terminal
        own.consoleSize = nil
        if let directory = execution.workingDirectory { own.workingDirectory = directory }
        if let user = execution.user {
            own.user = try parseUser(user, own.user)
            own.user.additionalGroups = []
        }
        if !execution.additionalGroups.isEmpty { own.user.additionalGroups += execution.additionalGroups }
        if execution.noNewPrivileges || manners.execsWithOwnPrivileges {
            own.noNewPrivileges = execution.noNewPrivileges
        }
        if let profile = execution.apparmorProfile { own.apparmorProfile = profile }
        if let label = execution.selinuxLabel { own.selinuxLabel = label }
        process = own
    }
    if !execution.capabilities.isEmpty {
        var sets = process.capabilities ?? RuntimeConfig.Capabilities()
        sets.bounding += execution.capabilities
        sets.effective += execution.capabilities
        sets.permitted += execution.capabilities
        process.capabilities = sets
    }
    guard let first = process.arguments.first, !first.isEmpty else {
        throw Failure(doing, cause: "process args cannot be empty", advice: "say what to run")
    }
    try checkProcess(process, "the process")
    return process
}

/// `environment` with some variables set anew: one name is there once, as getenv(3) finds the first.
private func overlaid(_ environment: [String], with added: [String]) -> [String] {
    func name(_ variable: String) -> Substring { variable.prefix { $0 != "=" } }
    let names = Set(added.map(name))
    return environment.filter { !names.contains(name($0)) }
        + added.enumerated().filter { index, variable in
            !added[(index + 1)...].contains { name($0) == name(variable) }
        }.map(\.element)
}

/// Numbers in full or nothing: a text that is read halfway is another user (CVE-2026-30892).
private func parseUser(_ text: String, _ before: RuntimeConfig.User) throws(Failure) -> RuntimeConfig.User {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    func number(_ part: Substring) throws(Failure) -> UInt32 {
        guard !part.isEmpty, part.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt32(part),
            value != .max
        else {
            throw Failure(
                "cannot use user \"\(text)\"", cause: "\"\(part)\" is no number from 0 to 4294967294",
                advice: "write UID[:GID]")
        }
        return value
    }
    var user = before
    guard (1...2).contains(parts.count) else {
        throw Failure(
            "cannot use user \"\(text)\"", cause: "it has more than two parts", advice: "write UID[:GID]")
    }
    user.uid = try number(parts[0])
    user.gid = parts.count > 1 ? try number(parts[1]) : before.gid
    return user
}

/// The container's own cgroup, or ones below it that are there already.
private func cgroup(
    of execution: Execution, _ store: ContainerStore, _ record: ContainerRecord
) throws(Failure) -> BundleCgroup {
    var cgroup = store.cgroup(record)
    if execution.cgroups.isEmpty { return cgroup.forExec(beside: record.pid) }
    for text in execution.cgroups { cgroup = try cgroup.narrowed(to: text) }
    return cgroup
}

/// All the configuration names; the user namespace only where it is not ours already, as setns(2) refuses that.
private func namespaces(_ record: ContainerRecord) throws(Failure) -> UInt64 {
    var flags: UInt64 = 0
    for namespace in record.config.linux.namespaces {
        if namespace.kind == .user,
            (try? readLink("/proc/self/ns/user")) == (try? readLink("/proc/\(record.pid)/ns/user"))
        {
            continue
        }
        flags |= namespace.kind.cloneFlag
    }
    return flags
}
