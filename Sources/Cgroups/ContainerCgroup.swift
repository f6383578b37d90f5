// SPDX-License-Identifier: Apache-2.0
//
// One container's cgroup, in whatever hierarchies it has a directory: how its processes come in, how they are counted
// and killed, what they used, and its removal.

public import Basics
internal import CLinux
internal import Kernel

/// A container's cgroup. It may have vanished underneath: then it is empty, unused and already removed.
public struct ContainerCgroup: Sendable {
    public let name: String
    let place: ContainerPlace
    var child: String { place.child }
    let directories: [CgroupDirectory]

    /// The v2 directory to clone the container's processes into (clone3(2), CLONE_INTO_CGROUP), nil without v2.
    public var cloneInto: String? {
        unified.map { $0.path(of: place) }
    }

    /// v1 `tasks` files into which the child writes `0` itself. A parent that writes cgroup.procs pays an RCU grace
    /// period each time, 13–20 ms; a thread that moves itself doesn't (cgroup_procs_write_start, kernel/cgroup/cgroup.c).
    public var taskFiles: [String] {
        directories.filter { !$0.hierarchy.unified && $0.has(child) }.map {
            "\($0.path(of: place))/tasks"
        }
    }

    private var unified: CgroupDirectory? { directories.first { $0.hierarchy.unified && $0.has(child) } }

    /// Where all processes of the container are.
    private var membership: CgroupDirectory? {
        unified ?? directories.first { $0.hierarchy.controllers.contains("pids") && $0.has(child) }
            ?? directories.first { $0.has(child) }
    }

    /// Processes in the container, sub-cgroups included.
    public var processes: [Int32] { membership?.processes(child) ?? [] }

    /// True when no process is left; zombies don't count.
    public var isEmpty: Bool {
        if let unified, let populated = unified.value("populated", in: child + "/cgroup.events") {
            return populated == 0
        }
        return processes.isEmpty
    }

    /// Kills every process, sub-cgroups included, forking or frozen.
    ///
    /// v2 has one write for it (cgroup.kill, Linux 5.14). Else: no more forks, then SIGKILL to all until a look finds
    /// nobody new. Returns before they are gone.
    public func kill() throws(Failure) {
        do throws(SyscallError) {
            // A task frozen by v1's freezer doesn't die before it is thawed.
            try setThawed()
            if let unified {
                do throws(SyscallError) {
                    return try unified.write(child + "/cgroup.kill", "1")
                } catch {
                    if error.errno == .noDevice { return }
                    guard error.errno == .noEntry else { throw error }
                }
            }
            try killEach()
        } catch {
            throw Failure("cannot kill container \"\(name)\"", error)
        }
    }

    private func killEach() throws(SyscallError) {
        for directory in directories where directory.hierarchy.controllers.contains("pids") {
            try? directory.write(child + "/pids.max", "0")
        }
        var killed: Set<Int32> = []
        for _ in 0..<1000 {
            let fresh = processes.filter { !killed.contains($0) }
            if fresh.isEmpty { return }
            for process in fresh {
                do throws(SyscallError) {
                    try retrying("kill", "\(process)") { CLinux.kill(process, SIGKILL) }
                } catch {
                    if error.errno != .noProcess { throw error }
                }
                killed.insert(process)
            }
        }
    }

    /// Removes the container's directories in every hierarchy, sub-cgroups first. Missing ones are fine.
    /// - Throws: a failure when a process is still there after 0.3 s.
    public func remove() throws(Failure) {
        var failures: [Failure] = []
        var patience = RemovalPatience()
        for directory in directories {
            do throws(SyscallError) {
                try directory.remove(child, patience: &patience)
                try directory.removeEmpty(place.between)
            } catch {
                failures.append(Failure("cannot remove the cgroup of container \"\(name)\"", error))
            }
        }
        if let failure = Failure.collect(failures) { throw failure }
    }

    /// What it uses and used; each is nil where no controller counts it.
    public var usage: CgroupUsage {
        var usage = CgroupUsage()
        for directory in directories where directory.has(child) {
            func number(_ file: String) -> Int64? { directory.number("\(child)/\(file)") }
            if directory.hierarchy.unified {
                usage.processorTime = directory.value("usage_usec", in: child + "/cpu.stat").map {
                    .microseconds($0)
                }
                if let bytes = number("memory.current") { usage.memory = ByteSize(bytes: bytes) }
                if let bytes = number("memory.peak") { usage.memoryPeak = ByteSize(bytes: bytes) }
                if let bytes = number("memory.max") { usage.memoryLimit = ByteSize(bytes: bytes) }
                if let bytes = directory.value("inactive_file", in: child + "/memory.stat") {
                    usage.inactiveFiles = ByteSize(bytes: bytes)
                }
                if let text = try? directory.read("\(child)/io.stat") {
                    usage.storage = StorageUsage(parsing: text)
                }
            } else if directory.hierarchy.controllers.contains("memory") {
                if let bytes = number("memory.usage_in_bytes") { usage.memory = ByteSize(bytes: bytes) }
                if let bytes = number("memory.max_usage_in_bytes") {
                    usage.memoryPeak = ByteSize(bytes: bytes)
                }
                if let bytes = number("memory.limit_in_bytes") { usage.memoryLimit = ByteSize(bytes: bytes) }
                if let bytes = directory.value("total_inactive_file", in: child + "/memory.stat") {
                    usage.inactiveFiles = ByteSize(bytes: bytes)
                }
            }
            if let count = number("pids.current") { usage.processes = Int(count) }
            if usage.processorTime == nil, let time = number("cpuacct.usage") {
                usage.processorTime = .nanoseconds(time)
            }
        }
        return usage
    }

    /// Processes the kernel killed for want of memory in this cgroup; nil where memory isn't counted.
    public var memoryKills: Int? {
        for directory in directories {
            let file = directory.hierarchy.unified ? "memory.events" : "memory.oom_control"
            if let kills = directory.value("oom_kill", in: "\(child)/\(file)") { return Int(kills) }
        }
        return nil
    }

    /// Processes and threads the kernel refused because of this cgroup's limit, or since Linux 6.11 of one below, of
    /// which there are none; nil where they aren't counted.
    public var refusedForks: Int? {
        for directory in directories {
            if let refused = directory.value("max", in: "\(child)/pids.events") { return Int(refused) }
        }
        return nil
    }
}

/// Bytes read and written.
public struct StorageUsage: Hashable, Sendable {
    public var read: ByteSize
    public var written: ByteSize

    /// From v2's io.stat: `8:0 rbytes=4096 wbytes=0 rios=1 …` for each device.
    init(parsing text: String) {
        func sum(_ key: String) -> Int64 {
            text.split(whereSeparator: \.isWhitespace).reduce(0) { sum, word in
                word.hasPrefix(key) ? sum + (Int64(word.dropFirst(key.count)) ?? 0) : sum
            }
        }
        read = ByteSize(bytes: sum("rbytes="))
        written = ByteSize(bytes: sum("wbytes="))
    }
}

/// What a container uses.
public struct CgroupUsage: Hashable, Sendable {
    public var memory: ByteSize?
    /// The most it was; on v2 since Linux 5.19.
    public var memoryPeak: ByteSize?
    public var processorTime: Duration?
    public var processes: Int?
    /// File pages that were not used lately: the first to go when memory is short.
    public var inactiveFiles: ByteSize?
    /// What memory is limited to; nil is no limit.
    public var memoryLimit: ByteSize?
    /// Read from and written to block devices, where the io controller is switched on.
    public var storage: StorageUsage?
    public init() {}
}
