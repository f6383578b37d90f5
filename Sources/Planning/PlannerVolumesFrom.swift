// SPDX-License-Identifier: Apache-2.0
//
// `volumes_from` when the other container is made anew. Its anonymous volumes go over to the new one, and nobody need hear
// of it; where they do not, who has them runs on with directories that are gone. What is had of another is looked up at each
// start, so that a restart is enough: a new container would lose what it wrote itself, and with --renew-anon-volumes its
// own volumes, which nobody spoke of.

import ContainerModel

extension UpPlanner {
    /// Of those it has `volumes_from` the first whose anonymous volumes do not outlive what is decided.
    func renewedOwner(of service: ServiceRequest) -> ContainerOwner? {
        let known = observed.requests[service.name] ?? service
        for source in known.container.rare?.volumesFrom ?? [] {
            if let decision = decision(about: source.owner), endsVolumes(decision) { return source.owner }
        }
        return nil
    }

    private func decision(about owner: ContainerOwner) -> Decision? {
        switch owner {
        case .service(let name):
            // Of several containers the first is meant.
            func number(_ decision: Decision) -> Int { decision.old?.index ?? decision.target.index }
            return (decisionsOf[name] ?? []).map { decisions[$0] }.min { number($0) < number($1) }
        case .container(let name):
            return decisions.first { ($0.old?.name ?? $0.target.name) == name }
        }
    }

    private func endsVolumes(_ decision: Decision) -> Bool {
        let name = decision.target.service
        let new = desired.services[name]?.container.anonymousTargets ?? []
        switch decision.action {
        case .keep, .start, .restart, .remove: return false
        // There was one before whoever has its volumes.
        case .create: return !new.isEmpty
        case .recreate:
            let old =
                observed.requests[name].flatMap { request in
                    request.configHash == decision.old?.configHash ? request.container.anonymousTargets : nil
                } ?? new
            return options.renewsVolumes ? !old.isEmpty : !old.isSubset(of: new)
        }
    }
}
