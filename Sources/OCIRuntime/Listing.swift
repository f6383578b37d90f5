// SPDX-License-Identifier: Apache-2.0
//
// What can be asked about containers: state, list, processes.

public import Basics
internal import Cgroups
internal import JSONFormat
internal import Kernel

public struct ContainerSummary: Sendable {
    public var id: String
    /// 0 once it has stopped.
    public var pid: Int32
    public var status: ContainerStatus
    public var bundle: String
    public var created: String
    /// The whole state, as `state` prints it.
    public var json: [UInt8]
    fileprivate var tree: JSONValue
}

private func summary(_ store: ContainerStore, _ record: ContainerRecord) -> ContainerSummary {
    let status = store.status(record)
    let pid = status == .stopped || status == .creating ? 0 : record.pid
    var members: [JSONValue.Member] = [
        .init("ociVersion", .string(ociVersion)), .init("id", .string(record.id)),
        .init("pid", .integer(Int64(pid))), .init("status", .string(status.rawValue)),
        .init("bundle", .string(record.bundle)), .init("rootfs", .string(record.rootfs)),
        .init("created", .string(record.created)),
    ]
    if !record.config.annotations.isEmpty {
        members.append(
            .init(
                "annotations", .object(record.config.annotations.map { .init($0.name, .string($0.value)) })))
    }
    members.append(.init("owner", .string("root")))
    let tree = JSONValue.object(members)
    var bytes: [UInt8] = []
    tree.write(to: &bytes, indentation: 0)
    return ContainerSummary(
        id: record.id, pid: pid, status: status, bundle: record.bundle, created: record.created, json: bytes,
        tree: tree)
}

/// One container as it is now.
public func containerState(_ id: String, _ settings: RuntimeSettings) throws(Failure) -> ContainerSummary {
    let store = try ContainerStore(settings, id)
    return summary(store, try store.load())
}

/// What has state below the root, damaged or not.
func containerNames(_ settings: RuntimeSettings) -> [String] {
    ((try? directoryEntries(settings.root)) ?? []).filter { (try? checkIdentifier($0)) != nil }.sorted()
}

/// All containers, by name; one whose record can't be read is told, not hidden.
public func listContainers(_ settings: RuntimeSettings) -> [ContainerSummary] {
    var found: [ContainerSummary] = []
    for id in containerNames(settings) {
        guard let store = try? ContainerStore(settings, id) else { continue }
        do throws(Failure) {
            found.append(summary(store, try store.load()))
        } catch {
            if exists(store.file) { settings.warn("\(error.doing): \(error.cause ?? "")") }
        }
    }
    return found
}

/// The list as JSON.
public func containerListJSON(_ list: [ContainerSummary]) -> [UInt8] {
    var bytes: [UInt8] = []
    JSONValue.array(list.map(\.tree)).write(to: &bytes)
    return bytes
}

/// Host pids of the container's processes.
public func containerProcesses(_ id: String, _ settings: RuntimeSettings) throws(Failure) -> [Int32] {
    let store = try ContainerStore(settings, id)
    let record = try store.load()
    return store.cgroup(record).processes.sorted()
}
