// SPDX-License-Identifier: Apache-2.0
//
// The client's side of a project's beginning and end: it starts the keeper, which starts the controller, and after `down`
// it waits until both are gone and removes what only the last one could have removed.

public import Basics
internal import CLaunch
internal import CLinux
internal import Cgroups
internal import ContainerRuntime
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
    try requireCapabilities(doing)
    try refuseForeignNamespaces(environment, doing)
    try StateDirectory(root: place.root, run: place.run).ensure()
    // Two commands at once: the second finds the first one's controller.
    let lock: OwnedFD
    do throws(SyscallError) {
        lock = try lockRunDirectory(place, making: true)
    } catch {
        throw Failure(doing, error)
    }
    if let client = try ControlClient.connect(to: place) { return client }
    try startKeeper(place, environment, doing)
    guard let client = try ControlClient.connect(to: place) else {
        throw Failure(
            doing, cause: "nobody answers on \(place.controlSocket)",
            advice: "see \(place.runDirectory)/engine.log")
    }
    _ = consume lock
    return client
}

/// Said by a command that found a controller: what was made ready for another is ended, beside what the command does.
/// - Parameter waits: until it is gone, as a command that goes on for long should.
public func forgoKeeper(waits: Bool = false) { covey_end_seed(waits) }

/// Waits for the right to start a keeper or to remove what one left. `down` removes the lock with its directory, so what
/// was waited for may be gone by then.
private func lockRunDirectory(_ place: ProjectPlace, making: Bool) throws(SyscallError) -> OwnedFD {
    let path = place.runDirectory + "/start.lock"
    while true {
        do throws(SyscallError) {
            if making { try ensureDirectory(place.runDirectory, mode: 0o700) }
            let file = try openFile(path, flags: O_RDWR | O_CREAT, mode: 0o600)
            let raw = file.raw
            try retrying("flock", path) { linux_flock(raw, LOCK_EX) }
            let named = try openFile(path)
            if try fileStatus(of: raw).st_ino == fileStatus(of: named.raw).st_ino { return file }
        } catch {
            guard making, error.errno == .noEntry else { throw error }
        }
    }
}

/// What is kept of the keeper, for who waits for its end.
private struct KeeperRecord: Codable, Equatable {
    var pid: Int32
    var startTime: UInt64
    /// Of a keeper that took the place of one that was lost: the first of the line, `PID:START TIME`.
    var origin: String?

    /// What all keepers of one life of the project share.
    var line: String { origin ?? "\(pid):\(startTime)" }

    static func path(_ place: ProjectPlace) -> String { place.runDirectory + "/keeper.json" }

    init?(running pid: Int32) {
        guard let startTime = processStartTime(pid) else { return nil }
        self.pid = pid
        self.startTime = startTime
    }

    static func read(_ place: ProjectPlace) -> KeeperRecord? {
        (try? readRecord(KeeperRecord.self, path(place))) ?? nil
    }

    func write(_ place: ProjectPlace) throws(SyscallError) {
        let first = origin.map { ",\"origin\":\"\($0)\"" } ?? ""
        let text = "{\"pid\":\(pid),\"startTime\":\(startTime)\(first)}\n"
        try replaceFile(KeeperRecord.path(place), text.utf8, mode: 0o600)
    }

    var isRunning: Bool { processStartTime(pid) == startTime }
}

/// The controller writes down its keeper when the client that started it could not any more.
func recordKeeper(_ place: ProjectPlace, _ keeper: Int32) {
    let written = KeeperRecord.read(place)
    guard let own = KeeperRecord(running: keeper),
        written?.pid != own.pid || written?.startTime != own.startTime
    else { return }
    do throws(SyscallError) {
        try own.write(place)
    } catch {
        log("cannot write \(KeeperRecord.path(place)): \(error)")
    }
}

/// The keeper's pid while it is there.
func runningKeeper(of place: ProjectPlace) -> Int32? {
    guard let record = KeeperRecord.read(place), record.isRunning else { return nil }
    return record.pid
}

/// Starts a keeper for a controller whose own was lost; it serves that one as if it had been its child.
/// - Returns: the controller's end of the channel, and the pid.
func startKeeperAgain(_ place: ProjectPlace, listener: SharedFD) throws(SyscallError)
    -> (channel: KeeperChannel, pid: Int32)
{
    let pair = try packetSocketPair()
    // As the keeper makes one for a controller it forks: launch programs are large.
    var room: Int32 = 1 << 20
    for end in [pair.first.raw, pair.second.raw] {
        _ = setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &room, socklen_t(MemoryLayout<Int32>.size))
    }
    let arguments = ["covey-keeper", "\(controlVersion)", place.project, place.root, place.run]
    // It is born where this controller is: in the cgroups of the engine.
    let pid = withCStrings(arguments + faultArguments(linux_fault_path().map { String(cString: $0) })) {
        covey_start_keeper($0, listener.raw, 2, -1, pair.second.raw)
    }
    if pid < 0 { throw SyscallError("clone3", Errno(-pid)) }
    let before = KeeperRecord.read(place)
    if var own = KeeperRecord(running: pid) {
        own.origin = before?.line
        try own.write(place)
    }
    return (KeeperChannel(taking: try pair.first.duplicate().release()), pid)
}

private func faultArguments(_ path: String?) -> [String] { path.map { ["fault=" + $0] } ?? [] }

private func startKeeper(_ place: ProjectPlace, _ environment: [String: String], _ doing: String)
    throws(Failure)
{
    var cgroup = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
    try cgroup.ensure()
    let arguments =
        ["covey-keeper", "\(controlVersion)", place.project, place.root, place.run]
        + faultArguments(environment["COVEY_FAULT"]) + cgroup.engineTaskFiles
    do throws(SyscallError) {
        let listener = try listenUnix(place.controlSocket)
        let log = try openFile(
            place.runDirectory + "/engine.log", flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        let home = try openFile(cgroup.engineCloneInto ?? "/", flags: O_RDONLY | O_DIRECTORY)
        let pid = withCStrings(arguments) {
            covey_start_keeper($0, listener.raw, log.raw, cgroup.engineCloneInto == nil ? -1 : home.raw, -1)
        }
        if pid < 0 { throw SyscallError("clone3", Errno(-pid)) }
        try KeeperRecord(running: pid)?.write(place)
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

/// Said before anything is tried: inside a container of another tool, root alone is not enough.
private func requireCapabilities(_ doing: String) throws(Failure) {
    guard let effective = try? effectiveCapabilitySet() else { return }
    let needed: [(bit: UInt64, name: String)] = [(21, "CAP_SYS_ADMIN"), (12, "CAP_NET_ADMIN")]
    let missing = needed.filter { effective >> $0.bit & 1 == 0 }.map(\.name)
    if !missing.isEmpty {
        throw Failure(
            doing, cause: "this process lacks \(missing.joined(separator: " and "))",
            advice: "run covey as root; inside a CI container, start that one with --privileged or --cap-add")
    }
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
    private let record: KeeperRecord?
    private let place: ProjectPlace

    /// After the controller answered: by then the record is written.
    public init(of place: ProjectPlace) {
        self.place = place
        record = KeeperRecord.read(place)
    }

    /// Waits for the keeper's end and removes its cgroup and the project's run directory, unless the project is up again.
    /// - Throws: when it does not end within ten seconds, and what could not be removed.
    public func finishDown() throws(Failure) {
        let doing = "cannot finish taking down project \"\(place.project)\""
        var last = record
        while true {
            try awaitEnd(of: last, doing)
            let lock: OwnedFD
            do throws(SyscallError) {
                lock = try lockRunDirectory(place, making: false)
            } catch {
                // Another `down` was first.
                if error.errno == .noEntry { return }
                throw Failure(doing, error)
            }
            guard let now = KeeperRecord.read(place), now != last, now.isRunning else {
                return try removeLeft(doing, lock)
            }
            // Up again, by a keeper of another line.
            if now.line != record?.line { return }
            last = now
        }
    }

    private func removeLeft(_ doing: String, _ lock: consuming OwnedFD) throws(Failure) {
        var failures: [Failure] = []
        do throws(Failure) {
            var cgroup = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
            try cgroup.remove()
        } catch {
            failures.append(error)
        }
        do throws(SyscallError) {
            try removeTree(place.runDirectory)
        } catch {
            failures.append(Failure(doing, error))
        }
        _ = consume lock
        if let failure = Failure.collect(failures) { throw failure }
    }

    private func awaitEnd(of record: KeeperRecord?, _ doing: String) throws(Failure) {
        guard let record else { return }
        let raw = linux_pidfd_open(record.pid, 0)
        guard raw >= 0 else { return }
        let pidfd = OwnedFD(taking: raw)
        guard record.isRunning else { return }
        var entry = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
        if poll(&entry, 1, 10_000) == 0 {
            throw Failure(
                doing, cause: "its keeper does not end", advice: "see \(place.runDirectory)/engine.log")
        }
    }
}
