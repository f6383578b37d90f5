// SPDX-License-Identifier: Apache-2.0
//
// `down`: what exists of the whole project goes; or of named services, with all that depend on them, the containers, and what
// they alone had.

public import Basics
public import ContainerModel

public struct DownOptions: Hashable, Codable, Sendable {
    /// Services named by the user, with all that depend on them; empty is the whole project.
    public var services: [String] = []
    /// Remove the project's volumes too.
    public var removeVolumes = false
    /// Real names of the volumes that may go, as far as the project made them; nil is all. What a file declares no longer may
    /// hold what somebody wants back.
    public var declaredVolumes: Set<String>?
    /// Stays, although the project may have made it.
    public var external = ExternalNames()
    /// How long containers may take to stop; nil is each service's own grace period.
    public var timeout: Duration?

    public init() {}
}

/// Takes the project away, orphans included: dependants stop before those they depend on.
///
/// Of named services the networks and, with `removeVolumes`, the volumes go that no other container has.
///
/// - Throws: when a named service is unknown.
public func planDown(
    _ observed: Observation, options: DownOptions = DownOptions()
) throws(Failure) -> Plan {
    var planner = try DownPlanner(observed, options)
    planner.removeContainers()
    planner.removeNetworks()
    if options.removeVolumes { planner.removeVolumes() }
    return planner.life.builder.plan
}

/// Why a volume is there after `down --volumes`.
public func undeclaredVolumeNotice(_ name: String, of project: String) -> String {
    "volume \(name) stays: the file no longer declares it; `covey -p \(project) down -v` removes all of the project's"
}

private struct DownPlanner {
    var life: LifePlanner
    private let observed: Observation
    private let options: DownOptions
    private let targets: Set<String>
    /// Removals of containers, by the network and the volume that they free.
    private var leaving: [String: [Int]] = [:]
    private var unmounting: [String: [Int]] = [:]

    init(_ observed: Observation, _ options: DownOptions) throws(Failure) {
        life = LifePlanner(observed)
        self.observed = observed
        self.options = options
        targets = life.withDependants(try life.targets(options.services))
    }

    private var isWhole: Bool { options.services.isEmpty }
    private var others: [ObservedContainer] { observed.containers.filter { !targets.contains($0.service) } }

    mutating func removeContainers() {
        for service in life.stopOrder where targets.contains(service) {
            for container in (life.containers[service] ?? []).reversed() {
                let stop = life.stop(container, because: "down", timeout: options.timeout)
                let node = life.builder.add(
                    .removeContainer(container.reference), because: "down", after: stop.map { [$0] } ?? [])
                for network in container.networks { leaving[network, default: []].append(node) }
                for volume in life.mayMount(container) { unmounting[volume, default: []].append(node) }
            }
        }
    }

    mutating func removeNetworks() {
        let used = Set(others.flatMap(\.networks))
        for (name, network) in observed.networks.sorted(by: { $0.key < $1.key })
        where network.project == observed.project && !options.external.networks.contains(name) {
            guard isWhole || leaving[name] != nil && !used.contains(name) else { continue }
            guard network.foreignContainers.isEmpty else {
                life.builder.notice(
                    "network \(name) stays: containers of other projects are on it: "
                        + network.foreignContainers.sorted().joined(separator: ", "))
                continue
            }
            _ = life.builder.add(.removeNetwork(name: name), because: "down", after: leaving[name] ?? [])
        }
    }

    mutating func removeVolumes() {
        // What may be another's stays, and what is not known to be theirs.
        let used = Set(others.flatMap { life.mayMount($0) })
        let own = Set(
            observed.containers.filter { targets.contains($0.service) }.flatMap { life.mounted(by: $0) ?? [] }
        )
        for (name, volume) in observed.volumes.sorted(by: { $0.key < $1.key })
        where volume.project == observed.project && !options.external.volumes.contains(name) {
            guard isWhole || own.contains(name) && !used.contains(name) else { continue }
            guard options.declaredVolumes?.contains(name) != false else {
                life.builder.notice(undeclaredVolumeNotice(name, of: observed.project))
                continue
            }
            guard volume.foreignContainers.isEmpty else {
                life.builder.notice(
                    "volume \(name) stays: containers of other projects use it: "
                        + volume.foreignContainers.sorted().joined(separator: ", "))
                continue
            }
            _ = life.builder.add(
                .removeVolume(name: name), because: "down --volumes", after: unmounting[name] ?? [])
        }
    }
}
