// SPDX-License-Identifier: Apache-2.0
//
// The other intents: start, stop, restart, kill, rm; `down` is in PlannerDown.swift. They look at what exists and at the requests
// it was made from; what the files say now does not matter to them.

public import Basics
import ContainerModel

/// The services, of all where none is named, and all that depend on them: whom it concerns when those are stopped.
public func concerned(by services: [String], in observed: Observation) -> Set<String> {
    let life = LifePlanner(observed)
    return services.isEmpty ? Set(life.startOrder) : life.withDependants(Set(services))
}

/// Stops the services' containers, dependants first; who depends on a named one is left running.
public func planStop(
    _ observed: Observation, services: [String] = [], timeout: Duration? = nil
) throws(Failure) -> Plan {
    var life = LifePlanner(observed)
    let targets = try life.targets(services)
    for service in life.stopOrder where targets.contains(service) {
        for container in (life.containers[service] ?? []).reversed() {
            _ = life.stop(container, because: "stop", timeout: timeout)
        }
    }
    return life.builder.plan
}

/// Starts what does not run of the services and of all they depend on.
///
/// What has completed by itself is run again only when it is named.
public func planStart(_ observed: Observation, services: [String] = []) throws(Failure) -> Plan {
    var life = LifePlanner(observed)
    let named = Set(services)
    let targets =
        services.isEmpty
        ? try life.targets([])
        : try selection(of: services, among: observed.requests, withDependencies: true)
    for service in life.startOrder where targets.contains(service) {
        let found = life.containers[service] ?? []
        if found.isEmpty, observed.requests[service].map({ $0.replicas > 0 }) ?? false {
            life.builder.notice("service \(quoted(service)) has no container; `covey up` makes one")
        }
        for container in found { try container.checkGoesOn("start") }
        life.start(
            found.filter { !$0.state.isLive && !life.isDone($0, named: named, among: targets) }, of: service,
            waitingFor: { targets.contains($0) }
        ) { $0.whyNotRunning }
    }
    return life.builder.plan
}

/// Stops and starts the services, and those that asked to be restarted with them.
public func planRestart(
    _ observed: Observation, services: [String] = [], noDependencies: Bool = false, timeout: Duration? = nil
) throws(Failure) -> Plan {
    var life = LifePlanner(observed)
    let named = Set(services)
    var reasons: [String: String] = [:]
    for service in try life.targets(services) { reasons[service] = "restart" }
    if !noDependencies {
        for service in life.startOrder where reasons[service] == nil {
            let cause = observed.requests[service]?.dependencies
                .filter { $0.value.restart && reasons[$0.key] != nil }.keys.min()
            if let cause { reasons[service] = "dependency \(quoted(cause)) is restarted" }
        }
    }
    var stops: [String: [Int]] = [:]
    for service in life.stopOrder {
        guard let reason = reasons[service] else { continue }
        for container in (life.containers[service] ?? []).reversed() {
            if let stop = life.stop(container, because: reason, timeout: timeout) {
                stops[container.name] = [stop]
            }
        }
    }
    for service in life.startOrder {
        guard let reason = reasons[service] else { continue }
        // A dependant that does not run was not asked for: it stays as it is.
        let isAsked = reason == "restart"
        life.start(
            (life.containers[service] ?? []).filter {
                $0.state.isLive || isAsked && !life.isDone($0, named: named, among: Set(reasons.keys))
            }, of: service, waitingFor: { reasons[$0] != nil }, after: stops
        ) { _ in reason }
    }
    return life.builder.plan
}

/// Removes containers that do not run; with `stop` those that run are stopped first, dependants before all.
///
/// - Throws: when a named service is unknown.
public func planRemove(
    _ observed: Observation, services: [String] = [], stop: Bool = false
) throws(Failure) -> Plan {
    var life = LifePlanner(observed)
    let targets = try life.targets(services)
    for service in life.stopOrder where targets.contains(service) {
        for container in (life.containers[service] ?? []).reversed() where stop || !container.state.isLive {
            let stopped = life.stop(container, because: "rm --stop", timeout: nil)
            _ = life.builder.add(
                .removeContainer(container.reference), because: "rm", after: stopped.map { [$0] } ?? [])
        }
    }
    return life.builder.plan
}

/// Sends a signal to everything of the services that runs. What would end it also ends the waiting of one for its restart
/// policy's next start.
///
/// - Throws: when the signal or a named service is unknown.
public func planKill(
    _ observed: Observation, services: [String] = [], signal: String = "SIGKILL"
) throws(Failure) -> Plan {
    guard let name = signalName(signal) else {
        throw Failure(
            "there is no signal \(quoted(signal))",
            advice: "write a name such as SIGTERM, or a number from signal(7)")
    }
    var life = LifePlanner(observed)
    let targets = try life.targets(services)
    for service in life.stopOrder where targets.contains(service) {
        let stopSignal = observed.requests[service].flatMap { signalName($0.container.stopSignal) }
        let ends = name == "SIGKILL" || name == stopSignal ?? "SIGTERM"
        for container in life.containers[service] ?? []
        where container.state == .running || ends && container.state == .restarting {
            _ = life.builder.add(.killContainer(container.reference, signal: name), because: "kill")
        }
    }
    return life.builder.plan
}

struct LifePlanner {
    let observed: Observation
    let containers: [String: [ObservedContainer]]
    /// Dependencies first; services nothing is known of come last.
    let startOrder: [String]
    let dependants: [String: [String]]
    var builder: PlanBuilder
    private var readiness: Readiness
    private var stops: [String: [Int]] = [:]

    init(_ observed: Observation) {
        self.observed = observed
        containers = observed.containersByService()
        let order = DependencyOrder(of: observed.requests)
        startOrder = order.names + containers.keys.filter { observed.requests[$0] == nil }.sorted()
        dependants = order.dependants
        builder = PlanBuilder(project: observed.project)
        readiness = Readiness(services: observed.requests, observed: containers)
    }

    var stopOrder: ReversedCollection<[String]> { startOrder.reversed() }

    func targets(_ named: [String]) throws(Failure) -> Set<String> {
        if named.isEmpty { return Set(startOrder) }
        for name in named where observed.requests[name] == nil && containers[name] == nil {
            throw Failure(
                "there is no service \(quoted(name))",
                advice: nearest(to: name, among: startOrder).map { "did you mean \(quoted($0))?" })
        }
        return Set(named)
    }

    /// Completed by itself, and not named: running it again was not asked for, unless one of those that are started wants it
    /// alive and well.
    func isDone(_ container: ObservedContainer, named: Set<String>, among chosen: Set<String>) -> Bool {
        !named.contains(container.service)
            && !chosen.contains {
                observed.requests[$0]?.dependencies[container.service]?.condition == .healthy
            }
            && container.hasCompleted(under: observed.requests[container.service]?.restart ?? .no)
    }

    /// The services, and all that depend on them.
    func withDependants(_ services: Set<String>) -> Set<String> {
        var found = services
        var pending = Array(services)
        while let service = pending.popLast() {
            for dependant in dependants[service] ?? [] where found.insert(dependant).inserted {
                pending.append(dependant)
            }
        }
        return found
    }

    /// Names of volumes; nil for a container whose own request is not known.
    func mounted(by container: ObservedContainer) -> [String]? {
        guard let request = observed.requests[container.service],
            request.configHash == container.configHash
        else { return nil }
        return request.container.mounts.compactMap { mount in
            if case .volume(let name) = mount.source { name } else { nil }
        }
    }

    /// Names of volumes; a container whose own request is not known may mount any of them.
    func mayMount(_ container: ObservedContainer) -> [String] {
        mounted(by: container) ?? Array(observed.volumes.keys)
    }

    mutating func stop(_ container: ObservedContainer, because reason: String, timeout: Duration?) -> Int? {
        guard container.state.isLive else { return nil }
        let before = (dependants[container.service] ?? []).flatMap { stops[$0] ?? [] }
        let node = builder.add(
            .stopContainer(
                container.reference, timeout: observed.stopTimeout(of: container.service, asked: timeout)),
            because: reason, after: before)
        stops[container.service, default: []].append(node)
        return node
    }

    mutating func start(
        _ startable: [ObservedContainer], of service: String, waitingFor counts: (String) -> Bool,
        after own: [String: [Int]] = [:], because reason: (ObservedContainer) -> String
    ) {
        let startable = startable.filter { container in
            if container.state == .dead {
                builder.notice(
                    "container \(container.name) is half made or half removed; `covey up` repairs it")
            }
            return container.state != .dead
        }
        if startable.isEmpty { return }
        var ready: [Int] = []
        if let request = observed.requests[service] {
            ready = readiness.before(request, in: &builder, where: counts)
        }
        for container in startable {
            let node = builder.add(
                .startContainer(container.reference), because: reason(container),
                after: ready + (own[container.name] ?? []))
            readiness.note(start: node, of: service)
        }
    }
}
