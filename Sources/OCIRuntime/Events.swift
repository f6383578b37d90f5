// SPDX-License-Identifier: Apache-2.0
//
// `events`: what a container uses, once or again and again until its end, and when it has no memory left. One line of
// JSON for each, in the form runc has it (its types/events.go), which monitoring reads.

public import Basics
internal import CLinux
internal import Cgroups
internal import JSONFormat
internal import Kernel

/// What a container uses now.
public func containerUsage(_ id: String, _ settings: RuntimeSettings) throws(Failure) -> [UInt8] {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    _ = try living(store, record)
    return usageEvent(id, store.cgroup(record).usage)
}

/// Tells what a container uses each `interval`, and when its memory was short, until its first process has ended.
public func followContainer(
    _ id: String, each interval: Duration, _ settings: RuntimeSettings,
    tell: ([UInt8]) throws(Failure) -> Void
) throws(Failure) {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    let process = try living(store, record)
    let cgroup = store.cgroup(record)
    let memory = try cgroup.watchMemory()
    var next = monotonicNanoseconds() + interval.nanoseconds
    while true {
        let rest = max(0, next - monotonicNanoseconds())
        let ready = try naming("cannot wait for news of container \"\(id)\"") { () throws(SyscallError) in
            try waitReadable([process.raw, memory?.descriptor ?? -1], atMost: .nanoseconds(rest))
        }
        if ready[1], memory?.wasShort() == true { try tell(event("oom", id, nil)) }
        if ready[0] { return }
        if monotonicNanoseconds() >= next {
            try tell(usageEvent(id, cgroup.usage))
            next = max(next + interval.nanoseconds, monotonicNanoseconds())
        }
    }
}

/// - Throws: for a container that has stopped.
private func living(_ store: ContainerStore, _ record: ContainerRecord) throws(Failure) -> SharedFD {
    let process = try? retrying("pidfd_open") { linux_pidfd_open(record.pid, 0) }
    let isLiving = [.created, .running, .paused].contains(store.status(record))
    guard isLiving, let process else {
        if let process { _ = OwnedFD(taking: process) }
        throw containerFailure(
            record.id, "watch", "container with id \(record.id) is not running", advice: "start it first")
    }
    return SharedFD(OwnedFD(taking: process))
}

// MARK: text

private func event(_ type: String, _ id: String, _ data: JSONValue?) -> [UInt8] {
    var members = [JSONValue.Member("type", .string(type)), .init("id", .string(id))]
    if let data { members.append(.init("data", data)) }
    var bytes: [UInt8] = []
    JSONValue.object(members).write(to: &bytes)
    return bytes + [UInt8(ascii: "\n")]
}

private func usageEvent(_ id: String, _ usage: BundleUsage) -> [UInt8] {
    let processes = usage.processes
    let hugePages = usage.hugePages.map { size, amount in
        JSONValue.Member(
            size,
            .object(
                filled([("usage", amount.usage), ("max", amount.peak)]) + [number("failcnt", amount.failures)]
            ))
    }
    return event(
        "stats", id,
        .object([
            .init("cpu", processor(usage.processor)),
            .init("cpuset", sets(usage)),
            .init("memory", memory(usage.memory)),
            .init("pids", .object(filled([("current", processes.usage), ("limit", processes.limit ?? 0)]))),
            .init("blkio", transfers(usage)),
            .init("hugetlb", .object(hugePages)),
            // Not supported: a configuration that asks for it is refused.
            .init("intel_rdt", .object([])),
            // None are the runtime's: links are made by who calls it.
            .init("network_interfaces", .null),
        ]))
}

private func number(_ name: String, _ value: UInt64) -> JSONValue.Member {
    .init(name, Int64(exactly: value).map { .integer($0) } ?? .unsigned(value))
}

/// Those that say something.
private func filled(_ values: [(String, UInt64)]) -> [JSONValue.Member] {
    values.filter { $0.1 != 0 }.map { number($0.0, $0.1) }
}

private func list(_ values: [UInt64]) -> JSONValue {
    .array(values.map { Int64(exactly: $0).map { .integer($0) } ?? .unsigned($0) })
}

private func processor(_ used: BundleUsage.Processor) -> JSONValue {
    var usage = filled([("total", used.total)])
    if !used.each.isEmpty { usage.append(.init("percpu", list(used.each))) }
    usage += [number("kernel", used.kernel), number("user", used.user)]
    let throttling = filled([
        ("periods", used.periods), ("throttledPeriods", used.throttledPeriods),
        ("throttledTime", used.throttledTime),
    ])
    return .object([.init("usage", .object(usage)), .init("throttling", .object(throttling))])
}

private func sets(_ usage: BundleUsage) -> JSONValue {
    var members: [JSONValue.Member] = []
    if !usage.processors.isEmpty { members.append(.init("cpus", list(usage.processors))) }
    if !usage.memoryNodes.isEmpty { members.append(.init("mems", list(usage.memoryNodes))) }
    return .object(members)
}

private func memory(_ used: BundleUsage.Memory) -> JSONValue {
    func amount(_ amount: BundleUsage.Amount) -> JSONValue {
        .object(
            [number("limit", amount.limit ?? .max)]
                + filled([("usage", amount.usage), ("max", amount.peak)])
                + [number("failcnt", amount.failures)])
    }
    return .object(
        filled([("cache", used.cache)]) + [
            .init("usage", amount(used.usage)), .init("swap", amount(used.swap)),
            .init("kernel", amount(used.kernel)), .init("kernelTCP", amount(used.kernelTCP)),
            .init("raw", .object(used.raw.map { number($0.name, $0.value) })),
        ])
}

private func transfers(_ usage: BundleUsage) -> JSONValue {
    func entries(_ transfers: [BundleUsage.Transfer]) -> JSONValue {
        .array(
            transfers.map {
                .object(
                    filled([("major", $0.major), ("minor", $0.minor)])
                        + [.init("op", .string($0.operation))] + filled([("value", $0.value)]))
            })
    }
    var members: [JSONValue.Member] = []
    for (name, found) in [
        ("ioServiceBytesRecursive", usage.transferredBytes), ("ioServicedRecursive", usage.transfers),
    ] where !found.isEmpty {
        members.append(.init(name, entries(found)))
    }
    return .object(members)
}
