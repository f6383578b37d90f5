// SPDX-License-Identifier: Apache-2.0
//
// A container's state on disk: `ROOT/ID/state.json`, a copy of its configuration in it, and while it waits for `start`
// the fifo `exec.fifo`. The file says what was made; whether it still is is asked of the kernel each time, so that the
// answer is true after any death of ours.
//
//     directory, not made yet  creating, or cut off while it was
//     no such process          stopped
//     its cgroup is frozen     paused
//     process waits in fifo    created
//     process runs             running

internal import Basics
internal import CLinux
internal import Cgroups
internal import JSONFormat
internal import Kernel
internal import OCIFormats

public enum ContainerStatus: String, Sendable {
    case creating, created, running, paused, stopped
}

struct ContainerRecord {
    var id: String
    var bundle: String
    var rootfs: String
    var pid: Int32 = 0
    /// Clock ticks since boot, proc_pid_stat(5); a pid alone may be another process's by now.
    var startTime: UInt64 = 0
    /// All that comes before `created` is done, hooks too: from then on it can be started and joined.
    var isMade = false
    /// Directories of its cgroup that were there before: they aren't the container's, and others' processes may be in them.
    var foundCgroups: [String] = []
    /// Who makes it: while it lives and the container isn't made, that is being made.
    var maker: Int32 = 0
    var makerStart: UInt64 = 0
    /// RFC 3339.
    var created: String
    var cgroupPath: String
    /// Number of the mount over the root, of a container in our mount namespace.
    var rootMount: UInt64?
    /// config.json as it was.
    var configuration: [UInt8]
    var config: RuntimeConfig

    // MARK: writing

    /// The text of the record; the configuration goes in as it came.
    func text() -> [UInt8] {
        var members: [JSONValue.Member] = [
            .init("id", .string(id)), .init("bundle", .string(bundle)), .init("rootfs", .string(rootfs)),
            .init("pid", .integer(Int64(pid))), .init("startTime", .unsigned(startTime)),
            .init("maker", .integer(Int64(maker))), .init("makerStart", .unsigned(makerStart)),
            .init("created", .string(created)), .init("cgroupPath", .string(cgroupPath)),
            .init("isMade", .bool(isMade)), .init("foundCgroups", .array(foundCgroups.map { .string($0) })),
        ]
        if let rootMount { members.append(.init("rootMount", .unsigned(rootMount))) }
        var bytes: [UInt8] = []
        JSONValue.object(members).write(to: &bytes)
        bytes.removeLast()
        bytes += ",\"config\":".utf8
        bytes += configuration
        bytes += "}\n".utf8
        return bytes
    }

    /// The state as runtime.md, "State" and hooks have it.
    func state(_ status: ContainerStatus, pid shown: Int32? = nil) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = [
            .init("ociVersion", .string(ociVersion)), .init("id", .string(id)),
        ]
        if status != .stopped { members.append(.init("pid", .integer(Int64(shown ?? pid)))) }
        members.append(.init("status", .string(status.rawValue)))
        members.append(.init("bundle", .string(bundle)))
        if !config.annotations.isEmpty {
            members.append(
                .init("annotations", .object(config.annotations.map { .init($0.name, .string($0.value)) })))
        }
        return members
    }

    /// What a hook reads.
    func hookState(_ status: ContainerStatus, pid: Int32? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        JSONValue.object(state(status, pid: pid)).write(to: &bytes)
        return bytes
    }
}

/// The directory of one container's state.
struct ContainerStore {
    let root: String
    let id: String

    init(_ settings: RuntimeSettings, _ id: String) throws(Failure) {
        try checkIdentifier(id)
        root = settings.root
        self.id = id
    }

    var directory: String { "\(root)/\(id)" }
    var file: String { "\(directory)/state.json" }
    var fifo: String { "\(directory)/exec.fifo" }

    /// Claims the name.
    func claim() throws(Failure) {
        do throws(SyscallError) {
            try ensureDirectory(root, mode: 0o700)
            try makeDirectory(directory, mode: 0o700)
        } catch {
            if error.errno == .exists {
                throw containerFailure(
                    id, "create", "container with given ID already exists",
                    advice: "choose another name, or delete that one first")
            }
            throw Failure("cannot create container \"\(id)\"", error)
        }
    }

    func write(_ record: ContainerRecord) throws(Failure) { try write("state.json", record.text()) }

    func write(_ name: String, _ bytes: [UInt8]) throws(Failure) {
        do throws(SyscallError) { try replaceFile("\(directory)/\(name)", bytes, mode: 0o600) } catch {
            throw Failure("cannot write the state of container \"\(id)\"", error)
        }
    }

    func removeAll() throws(Failure) {
        // What is in it mostly; a tree is walked only where there is more.
        do throws(SyscallError) {
            try removeFile(file)
            try removeDirectory(directory)
            return
        } catch {}
        do throws(SyscallError) { try removeTree(directory) } catch {
            throw Failure("cannot remove the state of container \"\(id)\"", error)
        }
    }

    enum Found {
        case record(ContainerRecord)
        /// No such container, or one whose maker was cut off before it wrote anything.
        case nothing
        case damaged
    }

    /// - Throws: when it can't be told; a file that can't be opened just now is not a missing one.
    func find() throws(Failure) -> Found {
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(file) } catch {
            if error.errno == .noEntry { return .nothing }
            throw Failure("cannot read the state of container \"\(id)\"", error)
        }
        guard let tree = try? parseJSON(bytes), let record = ContainerRecord(tree, id: id) else {
            return .damaged
        }
        return .record(record)
    }

    /// - Throws: for a container that is not there, and for a record that can't be read.
    func load() throws(Failure) -> ContainerRecord {
        switch try find() {
        case .record(let record): return record
        case .nothing:
            throw containerFailure(
                id, "find", "container does not exist", advice: "`list` shows which there are")
        case .damaged:
            throw Failure(
                "cannot read the state of container \"\(id)\"", cause: "\(file) is damaged",
                advice: "delete it with --force")
        }
    }

    /// What the kernel says.
    func status(_ record: ContainerRecord) -> ContainerStatus {
        guard record.isMade else {
            return isAlive(record.maker, record.makerStart) ? .creating : .stopped
        }
        guard isAlive(record.pid, record.startTime) else { return .stopped }
        // The freezer first: one that waits for its start may be paused as well.
        if cgroup(record).isFrozen { return .paused }
        return waitsForStart ? .created : .running
    }

    /// Opening it for writing fails with ENXIO once nobody has it open for reading (fifo(7)): the process exec'ed.
    private var waitsForStart: Bool { (try? openFile(fifo, flags: O_WRONLY | O_NONBLOCK)) != nil }

    /// What of the cgroup the container has to itself: all in there ends with it, and goes.
    func ownCgroup(_ record: ContainerRecord) -> BundleCgroup {
        cgroup(record).without(record.foundCgroups)
    }

    func cgroup(_ record: ContainerRecord) -> BundleCgroup {
        BundleCgroup(
            host: (try? CgroupHost.detect()) ?? CgroupHost.none, path: record.cgroupPath)
    }
}

extension ContainerRecord {
    fileprivate init?(_ tree: JSONValue, id: String) {
        guard case .string(let bundle) = tree["bundle"], case .string(let rootfs) = tree["rootfs"],
            case .string(let created) = tree["created"], case .string(let path) = tree["cgroupPath"],
            let configTree = tree["config"], let config = try? RuntimeConfig.read(configTree)
        else { return nil }
        self.id = id
        self.bundle = bundle
        self.rootfs = rootfs
        self.created = created
        cgroupPath = path
        pid = Int32(truncatingIfNeeded: whole(tree["pid"]))
        startTime = UInt64(bitPattern: whole(tree["startTime"]))
        maker = Int32(truncatingIfNeeded: whole(tree["maker"]))
        makerStart = UInt64(bitPattern: whole(tree["makerStart"]))
        // Without these words it is of an earlier version, which wrote the pid of what it had made.
        isMade = tree["isMade"].map { $0 == .bool(true) } ?? (pid > 0)
        if case .array(let found) = tree["foundCgroups"] {
            foundCgroups = found.compactMap { if case .string(let path) = $0 { path } else { nil } }
        }
        rootMount = tree["rootMount"].map { UInt64(bitPattern: whole($0)) }
        configuration = []
        configTree.write(to: &configuration)
        self.config = config
    }
}

private func whole(_ value: JSONValue?) -> Int64 {
    switch value {
    case .integer(let number): number
    case .unsigned(let number): Int64(bitPattern: number)
    default: 0
    }
}

/// The state letter and start time of a process; nil when there is none.
func processStat(_ pid: Int32) -> (state: Character, start: UInt64)? {
    guard pid > 0, let text = try? readFile("/proc/\(pid)/stat") else { return nil }
    return processStat(text)
}

/// Fields 3 and 22 of proc_pid_stat(5); the second is a name that may hold blanks and parentheses.
private func processStat(_ text: [UInt8]) -> (state: Character, start: UInt64)? {
    guard let close = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    var field = 2
    var state: Character?
    var start: UInt64 = 0
    for byte in text[(close + 1)...] {
        if byte == UInt8(ascii: " ") {
            field += 1
        } else if field == 3 {
            state = Character(Unicode.Scalar(byte))
        } else if field == 22 {
            guard (48...57).contains(byte) else { return nil }
            start = start &* 10 &+ UInt64(byte - 48)
        } else if field > 22 {
            break
        }
    }
    guard let state, field > 22 else { return nil }
    return (state, start)
}

/// By which just this process is signalled and its end is seen.
func processDescriptor(_ record: ContainerRecord) throws(Failure) -> SharedFD {
    try naming("cannot open the process of container \"\(record.id)\"") { () throws(SyscallError) in
        SharedFD(OwnedFD(taking: try retrying("pidfd_open") { linux_pidfd_open(record.pid, 0) }))
    }
}

/// Its number in its own pid namespace; NSpid of proc_pid_status(5).
func innermostPid(_ pid: Int32) -> Int32 {
    let line = ((try? readText("/proc/\(pid)/status")) ?? "").split(separator: "\n").first {
        $0.hasPrefix("NSpid:")
    }
    return line?.split(whereSeparator: \.isWhitespace).last.flatMap { Int32($0) } ?? pid
}

/// Where it can't be told it counts as alive: what is done to the dead can't be undone.
func isAlive(_ pid: Int32, _ start: UInt64) -> Bool {
    guard pid > 0 else { return false }
    let text: [UInt8]
    do throws(SyscallError) { text = try readFile("/proc/\(pid)/stat") } catch {
        return error.errno != .noEntry && error.errno != Errno(ESRCH)
    }
    guard let found = processStat(text) else { return false }
    return found.start == start && found.state != "Z" && found.state != "X"
}
