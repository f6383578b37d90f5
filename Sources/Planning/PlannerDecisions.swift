// SPDX-License-Identifier: Apache-2.0
//
// What becomes of each container, and why. First each by itself; then what one decision does to others: a
// dependant that asked to be restarted with its dependency, and a name, port or address that must be given up
// before another container can take it.

import Basics
import ContainerModel

/// What `up` does with one container.
struct Decision {
    enum Action { case keep, create, start, restart, recreate, remove }

    var action: Action
    /// The container as it shall be; for `remove` as it is.
    var target: ContainerReference
    var old: ObservedContainer?
    var reason: String
    /// Stopped (and removed) before anything is made, not in its service's turn.
    var early: Bool
    /// Decisions that must have given up what this one takes, as indices.
    var waitsFor: [Int] = []

    init(
        _ action: Action, _ target: ContainerReference, old: ObservedContainer? = nil,
        because reason: String = "",
        early: Bool = false
    ) {
        self.action = action
        self.target = target
        self.old = old
        self.reason = reason
        self.early = early
    }
}

/// What only one container can have at a time.
private enum Claim: Hashable {
    case name(String)
    case port(UInt16, PortRequest.Proto)
    /// Of either family, as its own text has it; one that lies outside of the network's subnet too.
    case address(String, network: String)
}

extension UpPlanner {
    mutating func decide() {
        for name in order.names where selected.contains(name) {
            if let service = desired.services[name] { decide(service) }
        }
        defer {
            for name in order.names { if let service = desired.services[name] { renumber(service) } }
        }
        decideOrphans()
        restartDependants()
        handOver()
    }

    private mutating func note(_ decision: Decision) {
        var decision = decision
        // A network goes only when nobody is on it, whatever else a container is recreated for.
        if decision.action == .recreate, let old = decision.old {
            decision.early = decision.early || old.networks.contains { networks[$0]?.isChanged == true }
        }
        decisionsOf[decision.target.service, default: []].append(decisions.count)
        decisions.append(decision)
    }

    // MARK: Each by itself

    private mutating func decide(_ service: ServiceRequest) {
        let force =
            options.forceRecreate && (options.services.isEmpty || options.services.contains(service.name))
        let forceAsDependency =
            options.recreateDependencies && !options.services.isEmpty
            && !options.services.contains(service.name)
        let (present, surplus) = slots(of: service)
        var changes: String?
        for index in 0..<service.replicas {
            var target = ContainerReference(
                name: containerName(project: desired.project, service: service, index: index + 1),
                service: service.name, index: index + 1)
            guard let container = present[index + 1] else {
                note(Decision(.create, target, because: whyMissing(service, index: index + 1)))
                continue
            }
            if container.index > service.replicas { target = container.reference }
            if container.configHash != service.configHash, !options.noRecreate {
                let reason = changes ?? whyChanged(service, container)
                changes = reason
                note(Decision(.recreate, target, old: container, because: reason))
            } else if force {
                note(Decision(.recreate, target, old: container, because: "--force-recreate"))
            } else if forceAsDependency {
                note(Decision(.recreate, target, old: container, because: "--always-recreate-deps"))
            } else {
                // Its name stays, whatever new ones are called now.
                note(unchanged(container, target: container.reference, policy: service.restart))
            }
        }
        for (container, reason) in surplus.sorted(by: { $0.container.index < $1.container.index }) {
            note(Decision(.remove, container.reference, old: container, because: reason, early: true))
        }
    }

    /// Which container has which number, and those there is none for. What is already as it shall be comes first, whatever its
    /// number: after an update that was rolled back the one that does well may have the highest.
    private func slots(of service: ServiceRequest)
        -> (present: [Int: ObservedContainer], surplus: [(container: ObservedContainer, reason: String)])
    {
        let numbers = 1..<service.replicas + 1
        func rank(_ one: ObservedContainer) -> (Int, Int, Int, String) {
            let isCurrent = one.configHash == service.configHash
            return (isCurrent ? 0 : 1, numbers.contains(one.index) ? 0 : 1, one.index, one.name)
        }
        let ranked = (containers[service.name] ?? []).sorted { rank($0) < rank($1) }
        var present: [Int: ObservedContainer] = [:]
        // Came before its predecessor went, in an update that may be over and undeclared by now: as good as any.
        var above: [ObservedContainer] = []
        var surplus: [(container: ObservedContainer, reason: String)] = []
        for container in ranked {
            if present[container.index] != nil {
                surplus.append((container, "a second container with number \(container.index)"))
            } else if present.count + above.count >= service.replicas {
                surplus.append((container, "\(service.replicas) of \(quoted(service.name)) wanted"))
            } else if numbers.contains(container.index) {
                present[container.index] = container
            } else {
                above.append(container)
            }
        }
        for (number, container) in zip(numbers.filter { present[$0] == nil }, above) {
            present[number] = container
        }
        return (present, surplus)
    }

    private func unchanged(
        _ container: ObservedContainer, target: ContainerReference, policy: RestartPolicy
    ) -> Decision {
        var decision: Decision
        switch container.state {
        case .running, .restarting: decision = Decision(.keep, target, old: container)
        case .created: decision = Decision(.start, target, old: container, because: "not started yet")
        case .dead:
            return Decision(.recreate, target, old: container, because: "half made or half removed")
        case .exited where options.leaveEnded || isCompleted(container, policy):
            return Decision(.keep, target, old: container)
        case .exited:
            decision = Decision(.start, target, old: container, because: container.whyNotRunning)
        }
        for network in container.networks {
            switch networks[network] {
            case .changed(let how):
                return Decision(
                    .recreate, target, old: container, because: "network \(network): \(how)", early: true)
            case .missing where container.state.isLive:
                decision = Decision(
                    .restart, target, old: container, because: "network \(network) does not exist",
                    early: true
                )
            default: break
            }
        }
        return decision
    }

    /// It has done what it was made for: not when somebody wants it alive and well.
    private func isCompleted(_ container: ObservedContainer, _ policy: RestartPolicy) -> Bool {
        container.hasCompleted(under: policy) && !options.rerunsCompleted
            && !selected.contains {
                desired.services[$0]?.dependencies[container.service]?.condition == .healthy
            }
    }

    private func whyMissing(_ service: ServiceRequest, index: Int) -> String {
        guard let old = observed.requests[service.name] else {
            return "service \(quoted(service.name)) is new"
        }
        return old.replicas < index ? "scale \(old.replicas) → \(service.replicas)" : "it is missing"
    }

    /// The stored request tells only when the container was made from it.
    private func whyChanged(_ service: ServiceRequest, _ container: ObservedContainer) -> String {
        if let old = observed.requests[service.name], old.configHash == container.configHash {
            let changes = differences(from: old, to: service)
            if !changes.isEmpty { return changes.joined(separator: ", ") }
        }
        return container.image != service.container.image.id ? "image changed" : "configuration changed"
    }

    private mutating func decideOrphans() {
        let orphans = containers.keys.filter(isOrphan).sorted().flatMap { containers[$0] ?? [] }
        if options.removeOrphans {
            for orphan in orphans {
                note(
                    Decision(
                        .remove, orphan.reference, old: orphan,
                        because: "service \(quoted(orphan.service)) is not declared", early: true))
            }
        } else if !orphans.isEmpty, !options.ignoresOrphans {
            builder.notice(
                "orphans: \(orphans.map(\.name).joined(separator: ", ")) "
                    + "(their services are not declared; --remove-orphans removes them)")
        }
    }

    // MARK: One and the other

    /// `depends_on: {restart: true}`: stopped before its dependency goes, started after it is back.
    private mutating func restartDependants() {
        // Services with a container that goes away and comes back.
        var touched: [String: String] = [:]
        for name in order.names {
            if let service = desired.services[name] {
                let cause = service.dependencies.filter { $0.value.restart && touched[$0.key] != nil }.keys
                    .min()
                if let cause, selected.contains(name) || !options.noDependencies {
                    bringDown(
                        service, because: "dependency \(quoted(cause)) is \(touched[cause] ?? "restarted")")
                }
                if let owner = renewedOwner(of: service) {
                    bringDown(
                        service,
                        because: "the anonymous volumes of \(owner.text), its `volumes_from`, are new ones")
                }
            }
            for index in decisionsOf[name] ?? [] {
                switch decisions[index].action {
                case .recreate: touched[name] = "recreated"
                case .restart: touched[name] = touched[name] ?? "restarted"
                case .keep, .create, .start, .remove: break
                }
            }
        }
    }

    private mutating func bringDown(_ service: ServiceRequest, because reason: String) {
        if decisionsOf[service.name] == nil {
            for container in containers[service.name] ?? [] {
                note(Decision(.keep, container.reference, old: container))
            }
        }
        for index in decisionsOf[service.name] ?? [] {
            switch decisions[index].action {
            case .keep where decisions[index].old?.state.isLive == true:
                decisions[index].action = .restart
                decisions[index].reason = reason
                decisions[index].early = true
            case .recreate, .restart: decisions[index].early = true
            case .keep, .create, .start, .remove: break
            }
        }
    }

    private mutating func handOver() {
        var holders: [Claim: Int] = [:]
        for (index, decision) in decisions.enumerated() {
            guard decision.action == .recreate || decision.action == .remove, let old = decision.old else {
                continue
            }
            for claim in claims(name: old.name, request: observed.requests[old.service]) {
                holders[claim] = index
            }
        }
        if holders.isEmpty { return }
        for (index, decision) in decisions.enumerated() {
            switch decision.action {
            case .keep, .remove: continue
            case .create, .start, .restart, .recreate: break
            }
            for claim in claims(
                name: decision.target.name, request: desired.services[decision.target.service])
            {
                guard let holder = holders[claim], holder != index else { continue }
                // Replicas that share one fixed port cannot all have it, whatever the order.
                if case .name = claim {
                } else if decisions[holder].target.service == decision.target.service {
                    continue
                }
                decisions[holder].early = true
                decisions[index].waitsFor.append(holder)
            }
        }
    }

    private func claims(name: String, request: ServiceRequest?) -> [Claim] {
        var claims = [Claim.name(name)]
        for port in request?.container.ports ?? [] {
            if let published = port.published, published.count == 1 {
                claims.append(.port(published.lowerBound, port.proto))
            }
        }
        for endpoint in request?.container.networks ?? [] {
            let ipv6 = endpoint.ipv6Address.map { "\($0)" }
            let further = endpoint.settings?.linkLocalAddresses ?? []
            for address in [endpoint.ipv4Address, ipv6].compactMap(\.self) + further {
                let text = IPv6Address(address).map { "\($0)" } ?? address
                claims.append(.address(text, network: endpoint.network))
            }
        }
        return claims
    }
}

extension ObservedContainer {
    /// It ended by itself, well, and its policy does not want it back.
    func hasCompleted(under policy: RestartPolicy) -> Bool {
        guard state == .exited(code: 0, onRequest: false) else { return false }
        switch policy {
        case .no, .onFailure: return true
        case .always, .unlessStopped: return false
        }
    }

    var whyNotRunning: String {
        switch state {
        case .exited(_, onRequest: true): "not running (stopped)"
        case .exited(let code, _): "not running (exited \(code.map { "\($0)" } ?? "with unknown code"))"
        case .created: "not started yet"
        case .running: "running"
        case .restarting: "restarting"
        case .dead: "half made or half removed"
        }
    }
}
