// SPDX-License-Identifier: Apache-2.0
//
// `up`: the shortest way from what is to what shall be.
//
//   select services → judge networks → decide per container (PlannerDecisions.swift) → write the plan
//
// The plan's parts, in order: what must go before anything else can come (removals, and stops of all that hold a
// name, a port, an address or a network somebody else needs), dependants first; networks and volumes; then each
// service after its dependencies. A container that is only replaced by itself goes and comes back in its
// service's turn, when its dependencies are ready, so that it is away as short as can be.
//
// An unchanged project plans nothing: a container that ended by itself with 0 and has no policy to restart it
// has done its work and is left alone.

public import Basics
public import ContainerModel

public struct UpOptions: Hashable, Codable, Sendable {
    /// Services named by the user, with all they depend on; empty is all of them.
    public var services: [String] = []
    /// Leave the dependencies of the named services alone.
    public var noDependencies = false
    /// Recreate the named services (or all) although nothing changed.
    public var forceRecreate = false
    /// Remove containers of services that are no longer declared, and networks nothing declares any more.
    public var removeOrphans = false
    /// Say nothing of such containers that stay.
    public var ignoresOrphans = false
    /// Wait for the health of every service that has a check.
    public var wait = false
    /// Create and recreate, start nothing.
    public var noStart = false
    /// Leave containers as they are although their services changed.
    public var noRecreate = false
    /// Recreate what the named services depend on although nothing changed.
    public var recreateDependencies = false
    /// What is recreated begins with new anonymous volumes.
    public var renewsVolumes = false
    /// Leave alone what has ended: for repairing drift, where restart policies and `stop` decide what runs.
    public var leaveEnded = false
    /// Start again also what ended well.
    public var rerunsCompleted = false
    /// How long containers may take to stop; nil is each service's own grace period.
    public var timeout: Duration?

    public init() {}
}

/// What `up` has to do.
///
/// - Throws: when a named service is not declared, when something external does not exist, when a name is taken by another
///   project, or when a container that would be kept is paused.
public func planUp(
    _ desired: DesiredState, observed: Observation, options: UpOptions = UpOptions()
) throws(Failure) -> Plan {
    var planner = UpPlanner(desired: desired, observed: observed, options: options)
    return try planner.plan()
}

struct UpPlanner {
    enum NetworkVerdict: Equatable {
        case present
        case missing
        /// Its settings changed, how.
        case changed(String)

        var isChanged: Bool { if case .changed = self { true } else { false } }
    }

    let desired: DesiredState
    let observed: Observation
    let options: UpOptions
    /// Of the declared services and of orphans as they were.
    let order: DependencyOrder
    let containers: [String: [ObservedContainer]]
    var builder: PlanBuilder
    var selected: Set<String> = []
    var networks: [String: NetworkVerdict] = [:]
    /// Volumes that containers of selected services mount.
    var volumesInUse: Set<String> = []
    var decisions: [Decision] = []
    /// Indices into `decisions`, by service, by rising container index.
    var decisionsOf: [String: [Int]] = [:]

    init(desired: DesiredState, observed: Observation, options: UpOptions) {
        self.desired = desired
        self.observed = observed
        self.options = options
        containers = observed.containersByService()
        order = DependencyOrder(of: desired.services.merging(observed.requests) { declared, _ in declared })
        builder = PlanBuilder(project: desired.project)
    }

    mutating func plan() throws(Failure) -> Plan {
        if order.cycle != nil, let cycle = DependencyOrder(of: desired.services).cycle {
            throw cycleFailure(cycle, in: nil)
        }
        selected = try selection(
            of: options.services, among: desired.services, disabled: desired.disabledServices,
            withDependencies: !options.noDependencies)
        try judgeNetworks()
        for service in selected {
            for mount in desired.services[service]?.container.mounts ?? [] {
                if case .volume(let name) = mount.source { volumesInUse.insert(name) }
            }
        }
        try judgeUnused()
        try judgeVolumes()
        decide()
        if !options.leaveEnded && !options.noStart {
            for decision in decisions
            where decision.action == .keep && selected.contains(decision.target.service) {
                try decision.old?.checkGoesOn("bring up")
            }
        }
        write()
        return builder.plan
    }

    // MARK: Resources

    /// Judges each network of a selected service; a changed one pulls in every service that is on it.
    private mutating func judgeNetworks() throws(Failure) {
        var pending = selected.sorted(by: >)
        while let name = pending.popLast() {
            for endpoint in desired.services[name]?.container.networks ?? []
            where networks[endpoint.network] == nil {
                let verdict = try judge(endpoint.network)
                networks[endpoint.network] = verdict
                guard case .changed = verdict else { continue }
                for container in observed.containers where container.networks.contains(endpoint.network) {
                    if desired.services[container.service] != nil {
                        if selected.insert(container.service).inserted { pending.append(container.service) }
                    } else if container.state.isLive, !willRemove(container) {
                        throw Failure(
                            "cannot change network \(quoted(endpoint.network))",
                            cause: "container \(container.name) runs on it, "
                                + "but service \(quoted(container.service)) is not declared",
                            advice: "use --remove-orphans, or declare the service again")
                    }
                }
            }
        }
    }

    /// Declared without a service that uses them they are wanted for themselves (`--all-resources`).
    private mutating func judgeUnused() throws(Failure) {
        var (usedNetworks, usedVolumes): (Set<String>, Set<String>) = ([], [])
        for service in desired.services.values {
            usedNetworks.formUnion(service.container.networks.map(\.network))
            for mount in service.container.mounts {
                if case .volume(let name) = mount.source { usedVolumes.insert(name) }
            }
        }
        for name in desired.networks.keys.sorted() where !usedNetworks.contains(name) {
            let verdict = try judge(name)
            networks[name] = verdict
        }
        volumesInUse.formUnion(desired.volumes.keys.filter { !usedVolumes.contains($0) })
    }

    private func judge(_ name: String) throws(Failure) -> NetworkVerdict {
        let found = observed.networks[name]
        guard let request = desired.networks[name] else {
            throw Failure("network \(quoted(name)) is used but not declared")
        }
        if request.external {
            guard found != nil else {
                throw Failure(
                    "external network \(quoted(name)) does not exist",
                    advice: "start the project that makes it, or remove `external: true`")
            }
            return .present
        }
        guard let found else { return .missing }
        guard found.project == desired.project else {
            throw Failure(
                "network \(quoted(name)) exists already",
                cause: found.project.map { "it belongs to project \(quoted($0))" }
                    ?? "it belongs to no project",
                advice: "write `external: true` to use it, or give yours another `name`")
        }
        // While it was external nothing was said of how it is made.
        guard let old = found.request, !old.external else { return .present }
        let changes = differences(from: old, to: request)
        if changes.isEmpty { return .present }
        guard found.foreignContainers.isEmpty else {
            throw Failure(
                "cannot change network \(quoted(name)): \(changes.joined(separator: ", "))",
                cause: "containers of other projects are on it: "
                    + found.foreignContainers.sorted().joined(separator: ", "),
                advice: "stop them first, or undo the change")
        }
        return .changed(changes.joined(separator: ", "))
    }

    private mutating func judgeVolumes() throws(Failure) {
        for (name, request) in desired.volumes.sorted(by: { $0.key < $1.key }) {
            guard let found = observed.volumes[name] else {
                if request.external, volumesInUse.contains(name) {
                    throw Failure(
                        "external volume \(quoted(name)) does not exist",
                        advice: "check its name, or remove `external: true` to have it made")
                }
                continue
            }
            if request.external { continue }
            if found.project != desired.project {
                builder.notice(
                    "volume \(name) is used although "
                        + (found.project.map { "project \(quoted($0)) made it" } ?? "no project made it")
                        + "; write `external: true` if that is meant")
            } else if let old = found.request, !isSame(old.mounted, request.mounted) {
                throw Failure(
                    "cannot change the `driver_opts` of volume \(quoted(name))",
                    cause:
                        "it was made \(old.mounted.map { "of \($0.device)" } ?? "without any"), and keeps what is there",
                    advice: "remove it with `covey down --volumes`, or give the new one another `name`")
            } else if let old = found.request, old.labels != request.labels {
                // Its data is worth more than its labels: a volume is never made anew.
                builder.notice("volume \(name) keeps the labels it was made with")
            }
        }
    }

    private func isSame(_ old: VolumeMount?, _ new: VolumeMount?) -> Bool {
        guard let old, let new else { return old == new }
        return old.isSame(as: new)
    }

    func isOrphan(_ service: String) -> Bool {
        desired.services[service] == nil && !desired.disabledServices.contains(service)
    }

    func willRemove(_ container: ObservedContainer) -> Bool {
        options.removeOrphans && isOrphan(container.service)
    }
}

/// The services named, or all, with what they depend on.
/// - Throws: when a named service is not declared.
public func selection(
    of named: [String], among services: [String: ServiceRequest], disabled: [String] = [],
    withDependencies: Bool
) throws(Failure) -> Set<String> {
    if named.isEmpty { return Set(services.keys) }
    var selected: Set<String> = []
    var pending: [String] = []
    for name in named {
        guard services[name] != nil else {
            throw Failure(
                "there is no service \(quoted(name))",
                cause: disabled.contains(name) ? "it is switched off by its profiles" : nil,
                advice: disabled.contains(name)
                    ? "switch on one of its profiles"
                    : nearest(to: name, among: services.keys.sorted()).map { "did you mean \(quoted($0))?" })
        }
        if selected.insert(name).inserted { pending.append(name) }
    }
    while withDependencies, let name = pending.popLast() {
        for dependency in services[name]?.dependencies.keys.sorted() ?? []
        where services[dependency] != nil && selected.insert(dependency).inserted {
            pending.append(dependency)
        }
    }
    return selected
}
