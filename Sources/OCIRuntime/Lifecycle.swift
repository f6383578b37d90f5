// SPDX-License-Identifier: Apache-2.0
//
// What is done to a container that exists: start, kill, pause, resume, update, delete. Each looks first whether its state
// allows it (runtime.md, "Lifecycle"); an error changes nothing.

public import Basics
internal import CLaunch
internal import CLinux
internal import Cgroups
internal import ContainerModel
internal import Kernel
internal import OCIFormats

/// Lets a created container's program run.
public func startContainer(_ id: String, _ settings: RuntimeSettings) throws(Failure) {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    let status = store.status(record)
    guard record.config.process != nil else {
        throw containerFailure(id, "start", "its configuration has no process")
    }
    guard status == .created else {
        let cause =
            switch status {
            case .creating: "it is still being created"
            case .paused: "cannot start a paused container"
            case .running: "cannot start an already running container"
            default: "cannot start a container that has stopped"
            }
        throw containerFailure(id, "start", cause, advice: status == .paused ? "`resume` it first" : nil)
    }
    let readiness = try ReadinessRelay(settings, store)
    let pidfd = readiness == nil ? nil : try processDescriptor(record)
    let hooks = record.config.hooks
    let report = try naming("cannot start container \"\(id)\"") { () throws(SyscallError) -> StartReport? in
        let fifo = try openFile(store.fifo, flags: O_WRONLY | O_NONBLOCK)
        let raw = fifo.raw
        try retrying("write", store.fifo) { write(raw, "0", 1) }
        try removeFile(store.fifo)
        if hooks.startContainer.isEmpty, hooks.poststart.isEmpty { return nil }
        // startContainer hooks come before the program and poststart hooks after it began: its execve(2), or the end, closes
        // the last reader.
        try waitForReaders(fifo.raw)
        return try hooks.startContainer.isEmpty ? nil : StartReport(in: fifo.raw)
    }
    do throws(Failure) {
        if let report { throw report.failure(hooks.startContainer) }
        try runHooks(record.config.hooks.poststart, "poststart", state: record.hookState(.running))
    } catch {
        try? deleteContainer(id, settings, force: true)
        throw error
    }
    if let pidfd { try readiness?.wait(for: record.pid, pidfd) }
}

/// What the child told that failed after `start` let it go: a startContainer hook, or the program's execution.
private struct StartReport {
    let error: Errno
    let hookStatus: Int32

    /// nil where it told nothing. What was written stays in the fifo as long as we have it open.
    init?(in fifo: Int32) throws(SyscallError) {
        let reader = try openFile("/proc/self/fd/\(fifo)", flags: O_RDONLY | O_NONBLOCK)
        var bytes = [UInt8](repeating: 0, count: 256)
        let raw = reader.raw
        let count: Int
        do throws(SyscallError) {
            count = try retrying("read") {
                bytes.withUnsafeMutableBytes { read(raw, $0.baseAddress, $0.count) }
            }
        } catch {
            if error.errno == .again { return nil }
            throw error
        }
        // Another `start`, that came at the same time, may have written its byte too.
        let told = bytes[..<count].drop { $0 == UInt8(ascii: "0") }
        guard told.count >= MemoryLayout<launch_report>.size else { return nil }
        let report = told.withUnsafeBytes { $0.loadUnaligned(as: launch_report.self) }
        guard report.kind == REPORT_FAILED else { return nil }
        error = Errno(report.error)
        hookStatus = report.value
    }

    func failure(_ hooks: [RuntimeConfig.Hook]) -> Failure {
        let names = hooks.map(\.path).joined(separator: ", ")
        return Failure(
            "running startContainer hook\(hooks.count > 1 ? "s" : "") \(names) failed",
            cause: hookStatus != 0
                ? hookFailure(hookStatus)
                : "\(error) (\(error.sentence)): a hook, or the program after them, can't be run")
    }
}

/// Until nobody has the fifo open for reading any more: POLLERR of its writing end (poll(2)).
private func waitForReaders(_ fifo: Int32) throws(SyscallError) {
    var entry = pollfd(fd: fifo, events: 0, revents: 0)
    try retrying("poll") { poll(&entry, 1, -1) }
}

/// Sends a signal to the container's first process, or to all.
public func killContainer(_ id: String, signal text: String, all: Bool, _ settings: RuntimeSettings)
    throws(Failure)
{
    guard let signal = text == "0" ? 0 : signalNumber(text) else {
        throw Failure(
            "cannot signal container \"\(id)\"", cause: "unknown signal \"\(text)\"",
            advice: "give a name or a number of signal(7)")
    }
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    let status = store.status(record)
    let cgroup = store.cgroup(record)
    let sharesPids = !record.config.linux.namespaces.contains { $0.kind == .pid && $0.path == nil }
    // Without a cgroup of its own only the first process, and with it its pid namespace, is known for the container's.
    let own = store.ownCgroup(record)
    guard [.created, .running, .paused].contains(status) else {
        // Its first process is gone; others of a pid namespace that is not its own may live on.
        if sharesPids || all, status == .stopped, all || !own.processes.isEmpty {
            return try own.signalAll(Int32(signal))
        }
        throw containerFailure(id, "signal", "container not running")
    }
    if own.exists, all || sharesPids && signal == Int(SIGKILL) {
        try own.signalAll(Int32(signal))
        return
    }
    try naming("cannot signal container \"\(id)\"") { () throws(SyscallError) in
        let pidfd = OwnedFD(taking: try retrying("pidfd_open") { linux_pidfd_open(record.pid, 0) })
        // Between the look and the open the number may have become another's.
        guard isAlive(record.pid, record.startTime) else { throw SyscallError("kill", Errno(ESRCH)) }
        let raw = pidfd.raw
        try retrying("pidfd_send_signal") { linux_pidfd_send_signal(raw, Int32(signal)) }
    }
    // A process that v1's freezer holds dies only once it is thawed. It is asked anew: it may have been frozen since.
    if signal == Int(SIGKILL), cgroup.isFrozen { try? cgroup.setFrozen(false) }
}

public func pauseContainer(_ id: String, _ settings: RuntimeSettings) throws(Failure) {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    let status = store.status(record)
    guard status == .running || status == .created else {
        throw containerFailure(id, "pause", "container not running or created: \(status.rawValue)")
    }
    try store.cgroup(record).setFrozen(true)
}

public func resumeContainer(_ id: String, _ settings: RuntimeSettings) throws(Failure) {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    let status = store.status(record)
    guard status == .paused else {
        throw containerFailure(id, "resume", "container not paused: \(status.rawValue)")
    }
    try store.cgroup(record).setFrozen(false)
}

/// Changes a container's limits; `document` is a `linux.resources` object.
public func updateContainer(
    _ id: String, document: [UInt8], _ settings: RuntimeSettings
) throws(Failure) {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    guard [.created, .running, .paused].contains(store.status(record)) else {
        throw containerFailure(id, "update", "container not running")
    }
    let resources: RuntimeResources
    do throws(RuntimeConfigError) { resources = try RuntimeConfig.readResources(document) } catch {
        throw Failure("cannot update container \"\(id)\"", cause: "\(error)")
    }
    let cgroup = store.cgroup(record)
    try cgroup.apply(resources)
    if !resources.devices.isEmpty { try cgroup.setDevices(resources.devices) }
}

/// Removes what there is of a container that has stopped; with `force` of any, a missing one included.
public func deleteContainer(
    _ id: String, _ settings: RuntimeSettings, force: Bool
) throws(Failure) {
    let store = try ContainerStore(settings, id)
    // What can't be told ends it here: without the record nobody would find what is left.
    let host = try CgroupHost.detect()
    let found = try store.find()
    guard case .record(let record) = found else {
        guard force else { _ = try store.load(); return }
        // Cut off before the record was written, or damaged: the cgroup it would have had by default goes as well.
        let cgroup = BundleCgroup(
            host: host, path: BundleCgroup.defaultPath(id: id, named: settings.manners.namesCgroup))
        if exists(store.directory), cgroup.exists {
            try? cgroup.signalAll(SIGKILL)
            try cgroup.remove()
        }
        return try store.removeAll()
    }
    let status = store.status(record)
    let endsCreated = settings.manners.deletesCreated && status == .created
    guard force || endsCreated || status == .stopped else {
        throw containerFailure(
            id, "delete", "cannot delete container \(id) that is not stopped: \(status.rawValue)",
            advice: "kill it first, or use --force")
    }
    let cgroup = BundleCgroup(host: host, path: record.cgroupPath)
    let own = cgroup.without(record.foundCgroups)
    // One that was cut off in its making may have left a process that waits for a hook, or for its start.
    if force || endsCreated || !record.isMade {
        try end(record, cgroup)
    } else if !own.processes.isEmpty {
        // Without a pid namespace of its own others outlive the first process; they are the container's all the same.
        try? own.signalAll(SIGKILL)
    }
    try remove(record, store, own, settings)
}

/// Kills all there is of a container, and waits until its first process has ended.
private func end(_ record: ContainerRecord, _ cgroup: BundleCgroup) throws(Failure) {
    // The pidfd first: it tells the end of just this process.
    let pidfd = isAlive(record.pid, record.startTime) ? try? processDescriptor(record) : nil
    try? cgroup.without(record.foundCgroups).signalAll(SIGKILL)
    guard let pidfd else { return }
    if isAlive(record.pid, record.startTime) { _ = linux_pidfd_send_signal(pidfd.raw, SIGKILL) }
    var ended = (try? waitReadable([pidfd.raw], atMost: .seconds(1))[0]) ?? false
    if !ended {
        // On v1 somebody may have frozen it in a cgroup of his own; it ends only once it is thawed.
        cgroup.thaw(process: record.pid)
        ended = (try? waitReadable([pidfd.raw], atMost: .seconds(9))[0]) ?? false
    }
    if !ended {
        throw containerFailure(
            record.id, "delete", "its process \(record.pid) does not end (a system call holds it)")
    }
}

/// Takes off what a container leaves whose processes have ended: mounts, state, and `cgroup`, which is its own.
func remove(
    _ record: ContainerRecord, _ store: ContainerStore, _ cgroup: BundleCgroup?, _ settings: RuntimeSettings
) throws(Failure) {
    try cgroup?.remove()
    try record.detachHostRoot()
    try store.removeAll()
    runPoststopHooks(record.config.hooks.poststop, state: record.hookState(.stopped), warn: settings.warn)
}

/// Removes all containers whose names have a part that `text`, a regular expression of regex(7), fits. One that can't be
/// removed keeps none of the others.
public func deleteContainers(
    matching text: String, _ settings: RuntimeSettings, force: Bool
) throws(Failure) {
    guard let pattern = TextPattern(text) else {
        throw Failure(
            "cannot delete containers by \"\(text)\"", cause: "it is no regular expression",
            advice: "see regex(7), or leave --regex out for a name")
    }
    var failures: [Failure] = []
    for id in containerNames(settings) where pattern.matches(id) {
        do throws(Failure) { try deleteContainer(id, settings, force: force) } catch {
            failures.append(error)
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
}
