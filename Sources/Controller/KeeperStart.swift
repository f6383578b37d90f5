// SPDX-License-Identifier: Apache-2.0
//
// The client's side of a project's beginning and end: it starts the keeper, which starts the controller, and after `down`
// it waits until both are gone and removes what only the last one could have removed.

public import Basics
internal import CLaunch
internal import CLinux
internal import Cgroups
internal import Kernel
internal import Records

/// Connects to the project's controller, starting keeper and controller when none runs.
/// - Throws: a chroot; a foreign network or mount namespace, unless COVEY_NAMESPACES=caller allows it; what keeps a keeper from
///   starting.
public func startController(_ place: ProjectPlace, environment: [String: String]) throws(Failure)
    -> ControlClient
{
    let doing = "cannot start project \"\(place.project)\""
    try refuseChroot(doing)
    try StateDirectory(root: place.root, run: place.run).ensure()
    let lock: FileLock
    do throws(SyscallError) {
        try ensureDirectory(place.runDirectory, mode: 0o700)
        // Two commands at once: the second finds the first one's controller.
        lock = try FileLock(place.runDirectory + "/start.lock")
    } catch {
        throw Failure(doing, error)
    }
    if let client = try ControlClient.connect(to: place) { return client }
    try refuseForeignNamespaces(environment, doing)
    try startKeeper(place, doing)
    guard let client = try ControlClient.connect(to: place) else {
        throw Failure(
            doing, cause: "nobody answers on \(place.controlSocket)",
            advice: "see \(place.runDirectory)/engine.log")
    }
    _ = consume lock
    return client
}

/// What is kept of the keeper, for who waits for its end.
private struct KeeperRecord: Codable {
    var pid: Int32
    var startTime: UInt64
}

private func startKeeper(_ place: ProjectPlace, _ doing: String) throws(Failure) {
    var cgroup = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
    try cgroup.ensure()
    let arguments =
        ["covey-keeper", "\(controlVersion)", place.project, place.root, place.run] + cgroup.engineTaskFiles
    do throws(SyscallError) {
        let listener = try listenUnix(place.controlSocket)
        let log = try openFile(
            place.runDirectory + "/engine.log", flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        let home = try openFile(cgroup.engineCloneInto ?? "/", flags: O_RDONLY | O_DIRECTORY)
        let pid = withCStrings(arguments) {
            covey_start_keeper($0, listener.raw, log.raw, cgroup.engineCloneInto == nil ? -1 : home.raw)
        }
        if pid < 0 { throw SyscallError("clone3", Errno(-pid)) }
        let record = "{\"pid\":\(pid),\"startTime\":\(processStartTime(pid) ?? 0)}\n"
        try replaceFile(place.runDirectory + "/keeper.json", record.utf8, mode: 0o600)
    } catch {
        throw Failure(doing, error)
    }
}

/// argv for C, NULL at the end.
private func withCStrings<Result>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result)
    -> Result
{
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}

/// A project must not hang on a namespace that ends with a shell or container step, unless that is asked for.
private func refuseForeignNamespaces(_ environment: [String: String], _ doing: String) throws(Failure) {
    if environment["COVEY_NAMESPACES"] == "caller" { return }
    for (name, title) in [("net", "network"), ("mnt", "mount")] {
        guard let own = try? readLink("/proc/self/ns/\(name)"),
            let first = try? readLink("/proc/1/ns/\(name)")
        else { continue }
        if own != first {
            throw Failure(
                doing,
                cause: "this shell is in a \(title) namespace of its own, which the project would keep alive",
                advice: "run covey outside of it, or set COVEY_NAMESPACES=caller if that is wanted")
        }
    }
}

private func refuseChroot(_ doing: String) throws(Failure) {
    guard isInChroot() else { return }
    throw Failure(
        doing, cause: "this shell is in a chroot, out of which containers could climb",
        advice:
            "run covey outside of it, or start the chroot as a container with a mount namespace of its own")
}

/// The keeper that serves a project, to be waited for.
public struct KeeperHandle {
    private let pidfd: SharedFD?
    private let place: ProjectPlace

    /// Before `down` is asked for: afterwards the record is gone.
    public init(of place: ProjectPlace) {
        self.place = place
        var found: SharedFD?
        if let record = (try? readRecord(KeeperRecord.self, place.runDirectory + "/keeper.json")) ?? nil {
            let raw = linux_pidfd_open(record.pid, 0)
            if raw >= 0, processStartTime(record.pid) == record.startTime {
                found = SharedFD(OwnedFD(taking: raw))
            }
        }
        pidfd = found
    }

    /// Waits for the keeper's end and removes its cgroup and the project's run directory.
    /// - Throws: when it does not end within ten seconds, and what could not be removed.
    public func finishDown() throws(Failure) {
        let doing = "cannot finish taking down project \"\(place.project)\""
        if let pidfd {
            var entry = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 10_000) == 0 {
                throw Failure(
                    doing, cause: "its keeper does not end", advice: "see \(place.runDirectory)/engine.log")
            }
        }
        var cgroup = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
        var failures: [Failure] = []
        do throws(Failure) {
            try cgroup.remove()
        } catch {
            failures.append(error)
        }
        do throws(SyscallError) {
            try removeTree(place.runDirectory)
        } catch {
            failures.append(Failure(doing, error))
        }
        if let failure = Failure.collect(failures) { throw failure }
    }
}
