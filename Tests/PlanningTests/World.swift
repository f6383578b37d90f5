// SPDX-License-Identifier: Apache-2.0
//
// A pure world plans are carried out in: what the controller and the kernel would do, with their refusals. A plan
// that asks for something impossible (a name taken, a port taken, a network removed under a running container)
// is the planner's mistake, and is recorded as a broken rule.

import Basics
import ContainerModel
import Planning

struct World {
    var seen = Observation(project: "demo")
    var broken: [String] = []

    /// Carries out the plan, or its first operations only, one by one.
    mutating func apply(_ plan: Plan, for desired: DesiredState, first count: Int? = nil) {
        for node in plan.nodes.prefix(count ?? plan.nodes.count) { apply(node.operation, desired) }
        if count == nil { seen.requests = desired.services }
    }

    /// Makes the world as the stack says.
    static func running(_ desired: DesiredState, otherThan changes: (inout World) -> Void = { _ in }) throws
        -> World
    {
        var world = World()
        for request in desired.networks.values where request.external {
            world.seen.networks[request.name] = ObservedNetwork(
                name: request.name, project: nil, request: nil)
        }
        for request in desired.volumes.values where request.external {
            world.seen.volumes[request.name] = ObservedVolume(name: request.name, project: nil, request: nil)
        }
        world.apply(try planUp(desired, observed: world.seen), for: desired)
        changes(&world)
        return world
    }

    mutating func change(_ name: String, _ change: (inout ObservedContainer) -> Void) {
        guard let index = index(of: name) else { return broken.append("no container \(name)") }
        change(&seen.containers[index])
    }

    mutating func remove(_ name: String) { seen.containers.removeAll { $0.name == name } }

    private func index(of name: String) -> Int? { seen.containers.firstIndex { $0.name == name } }

    private mutating func check(_ holds: Bool, _ rule: String) { if !holds { broken.append(rule) } }

    private mutating func apply(_ operation: Operation, _ desired: DesiredState) {
        switch operation {
        case .createNetwork(let request):
            seen.networks[request.name] = ObservedNetwork(
                name: request.name, project: "demo", request: request)
        case .removeNetwork(let name):
            check(
                !seen.containers.contains { $0.networks.contains(name) && $0.state.isLive },
                "network \(name) removed while in use")
            seen.networks[name] = nil
        case .createVolume(let request):
            check(!request.external, "external volume \(request.name) made")
            seen.volumes[request.name] = ObservedVolume(name: request.name, project: "demo", request: request)
        case .removeVolume(let name):
            check(seen.volumes[name]?.project == "demo", "volume \(name) is not ours")
            seen.volumes[name] = nil
        case .createContainer(let reference, let hash): create(reference, hash, desired)
        case .startContainer(let reference): start(reference, desired)
        case .stopContainer(let reference, _), .killContainer(let reference, _):
            change(reference.name) {
                if $0.state.isLive { $0.state = .exited(code: 143, onRequest: true) }
                $0.health = .none
            }
        case .removeContainer(let reference):
            check(
                !seen.containers.contains { $0.name == reference.name && $0.state.isLive },
                "container \(reference.name) removed while it runs")
            remove(reference.name)
        case .settleUpdate(let batch):
            for name in batch.containers {
                check(
                    seen.containers.contains { $0.name == name && $0.state.isLive }, "\(name) did not start")
            }
        case .awaitCondition(let service, let condition, let required):
            for index in seen.containers.indices
            where seen.containers[index].service == service && seen.containers[index].health == .starting {
                seen.containers[index].health = .healthy
            }
            let wanted = 1...max(1, desired.services[service]?.replicas ?? 1)
            for container in seen.containers
            where container.service == service && required && wanted.contains(container.index) {
                switch condition {
                case .started: check(container.state != .created, "\(service) is not started")
                case .healthy: check(container.health == .healthy, "\(service) is not healthy")
                case .completed:
                    check(
                        container.state == .exited(code: 0, onRequest: false), "\(service) has not completed")
                }
            }
        }
    }

    private mutating func create(
        _ reference: ContainerReference, _ hash: Digest, _ desired: DesiredState
    ) {
        guard let service = desired.services[reference.service] else {
            return broken.append("no request for \(reference.service)")
        }
        check(index(of: reference.name) == nil, "name \(reference.name) is taken")
        for case .volume(let name) in service.container.mounts.map(\.source) {
            check(seen.volumes[name] != nil, "volume \(name) is missing")
        }
        let networks = service.container.networks.map(\.network)
        for network in networks { check(seen.networks[network] != nil, "network \(network) is missing") }
        seen.containers.append(
            ObservedContainer(
                name: reference.name, service: reference.service, index: reference.index, configHash: hash,
                image: service.container.image.id, state: .created, networks: networks))
    }

    private mutating func start(_ reference: ContainerReference, _ desired: DesiredState) {
        guard let own = index(of: reference.name) else {
            return broken.append("\(reference.name) is missing")
        }
        let service = desired.services[reference.service] ?? seen.requests[reference.service]
        for network in seen.containers[own].networks {
            check(seen.networks[network] != nil, "network \(network) is missing")
        }
        let ports = Set((service?.container.ports ?? []).map(\.published))
        for other in seen.containers where other.state.isLive && other.name != reference.name {
            let request =
                seen.requests[other.service]?.configHash == other.configHash
                ? seen.requests[other.service] : desired.services[other.service]
            check(
                ports.isDisjoint(with: (request?.container.ports ?? []).map(\.published)),
                "\(reference.name) and \(other.name) publish the same port")
        }
        let code = service?.container.labels["once"].flatMap { Int32($0) }
        seen.containers[own].state = code.map { .exited(code: $0, onRequest: false) } ?? .running
        seen.containers[own].health = service?.healthcheck == nil || code != nil ? .none : .healthy
    }
}
