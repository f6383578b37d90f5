// SPDX-License-Identifier: Apache-2.0
//
// What a container's start waits for: its service's `depends_on`, as operations of the plan. A dependency that is
// already as asked and is left alone costs nothing; `service_started` is plain order; the other conditions are one
// await operation, shared by all who wait for the same.

import ContainerModel

struct Readiness {
    private struct Key: Hashable {
        var service: String
        var condition: DependencyRequest.Condition
        var required: Bool
    }

    private let services: [String: ServiceRequest]
    private let observed: [String: [ObservedContainer]]
    /// Start operations planned so far.
    private(set) var starts: [String: [Int]] = [:]
    private var awaits: [Key: Int] = [:]

    init(services: [String: ServiceRequest], observed: [String: [ObservedContainer]]) {
        self.services = services
        self.observed = observed
    }

    mutating func note(start node: Int, of service: String) { starts[service, default: []].append(node) }

    /// The operations a start of `service` has to wait for. The starts of its dependencies are noted already.
    mutating func before(
        _ service: ServiceRequest, in builder: inout PlanBuilder, where counts: (String) -> Bool
    ) -> [Int] {
        var nodes: [Int] = []
        for (name, dependency) in service.dependencies.sorted(by: { $0.key < $1.key }) where counts(name) {
            if isMet(dependency.condition, of: name) { continue }
            if dependency.condition == .started, dependency.required {
                nodes += starts[name] ?? []
            } else {
                nodes.append(
                    awaitOnce(
                        name, dependency.condition, required: dependency.required, for: service.name,
                        in: &builder))
            }
        }
        return nodes
    }

    /// Awaits the health of a service that has a check, for `up --wait`.
    mutating func awaitHealth(of service: ServiceRequest, in builder: inout PlanBuilder) {
        guard service.healthcheck != nil, !isMet(.healthy, of: service.name) else { return }
        let key = Key(service: service.name, condition: .healthy, required: true)
        if awaits[key] == nil {
            awaits[key] = builder.add(
                .awaitCondition(service: key.service, condition: key.condition, required: true),
                because: "--wait", after: starts[service.name] ?? [])
        }
    }

    private mutating func awaitOnce(
        _ name: String, _ condition: DependencyRequest.Condition, required: Bool, for dependant: String,
        in builder: inout PlanBuilder
    ) -> Int {
        let key = Key(service: name, condition: condition, required: required)
        if let node = awaits[key] {
            builder.extendReason(of: node, by: ", \(dependant)")
            return node
        }
        let node = builder.add(
            .awaitCondition(service: name, condition: condition, required: required),
            because: "for \(dependant)", after: starts[name] ?? [])
        awaits[key] = node
        return node
    }

    /// True when the dependency is left alone and is as asked, or when none of it shall run.
    private func isMet(_ condition: DependencyRequest.Condition, of name: String) -> Bool {
        guard services[name] != nil else { return true }
        guard starts[name] == nil else { return false }
        return (observed[name] ?? []).allSatisfy { container in
            switch condition {
            case .started: return true
            case .healthy: return container.state == .running && container.health == .healthy
            case .completed: return container.state == .exited(code: 0, onRequest: false)
            }
        }
    }
}
