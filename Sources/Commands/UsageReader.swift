// SPDX-License-Identifier: Apache-2.0
//
// What a container uses at this moment: by its cgroup where a controller counts it, else summed over its processes. On
// v1 a container has its own cgroup only where it has a limit, and block I/O is counted for none.

internal import Basics
internal import CLinux
internal import Cgroups
internal import Controller
internal import Kernel

/// One look at a running container.
struct Usage: Equatable {
    /// Processors' worth of time since the look before; 1 is one processor.
    var processorShare = 0.0
    /// Nanoseconds since its start.
    var processorTime: Int64 = 0
    /// Bytes, without file pages that are easily given up.
    var memory: Int64 = 0
    var memoryLimit: Int64 = 0
    var received: Int64 = 0
    var sent: Int64 = 0
    var read: Int64 = 0
    var written: Int64 = 0
    /// Processes and threads.
    var processes = 0

    var memoryShare: Double { memoryLimit > 0 ? Double(memory) / Double(memoryLimit) : 0 }
}

/// Looks at containers again and again.
struct UsageReader {
    private let cgroups: ProjectCgroup
    private let hostMemory: Int64
    private var before: [String: (time: Int64, processor: Int64)] = [:]

    init(cgroups: ProjectCgroup) {
        self.cgroups = cgroups
        let pages = Int64(sysconf(Int32(_SC_PHYS_PAGES)))
        hostMemory = pages * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// nil when it doesn't run.
    mutating func read(_ container: ContainerStatus) -> Usage? {
        guard container.state.isUp, let pid = container.pid else {
            before[container.name] = nil
            return nil
        }
        let own = cgroups.container(container.name)
        let counted = own.usage
        let processes = own.processes.compactMap { ProcessEntry($0) }
        var usage = Usage()
        let ticks = processes.reduce(0) { $0 + $1.ticks }
        usage.processorTime =
            counted.processorTime.map(\.nanoseconds) ?? ticks * (1_000_000_000 / ticksPerSecond)
        let pageSize = Int64(sysconf(Int32(_SC_PAGESIZE)))
        usage.memory =
            counted.memory.map { max(0, $0.bytes - (counted.inactiveFiles?.bytes ?? 0)) }
            ?? processes.reduce(0) { $0 + $1.pages * pageSize }
        usage.memoryLimit = min(counted.memoryLimit?.bytes ?? .max, hostMemory)
        usage.processes = counted.processes ?? processes.reduce(0) { $0 + $1.threads }
        if let bytes = linkBytes(of: pid) { (usage.received, usage.sent) = bytes }
        if let bytes = counted.storage {
            (usage.read, usage.written) = (bytes.read.bytes, bytes.written.bytes)
        } else {
            for bytes in processes.compactMap(\.storage) {
                usage.read += bytes.read
                usage.written += bytes.written
            }
        }
        let now = monotonicNanoseconds()
        if let last = before[container.name], now > last.time {
            usage.processorShare =
                Double(max(0, usage.processorTime - last.processor)) / Double(now - last.time)
        }
        before[container.name] = (now, usage.processorTime)
        return usage
    }
}
