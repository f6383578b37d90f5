// SPDX-License-Identifier: Apache-2.0
//
// A rolling update: changed containers of a service with `update_config` come in batches, each after the one before was
// looked at and the delay has passed. A failed look ends the plan, or does not: that is the service's `failure_action`.
//
//   stop-first:   stop old, remove old, create, start ▶ settle ▶ next batch
//   start-first:  create, start ▶ settle ▶ stop old, remove old ▶ next batch
//
// Anonymous volumes go over from the old container to the new one, which two at once can't have: a service with any is
// updated stop-first whatever it asks for, unless they are renewed all the same.
//
// A container that comes before the old one goes takes the lowest number nobody has. So a service's numbers may be others
// than 1 to its replicas; what counts is how many there are.

import Basics
import ContainerModel

/// A batch of an update that is looked at.
public struct UpdateBatch: Hashable, Codable, Sendable {
    public var service: String
    /// Names of the new containers.
    public var containers: [String]
    /// How many containers the whole update changes.
    public var total: Int
    public var isLast: Bool

    public init(service: String, containers: [String], total: Int, isLast: Bool) {
        self.service = service
        self.containers = containers
        self.total = total
        self.isLast = isLast
    }
}

extension UpPlanner {
    /// Whether changed containers come before the old ones go.
    func startsFirst(_ service: ServiceRequest) -> Bool {
        service.update?.startsFirst == true
            && (options.renewsVolumes || service.container.anonymousTargets.isEmpty)
    }

    /// Says so when the service's update goes another way than it asks for.
    mutating func noteOrder(of service: ServiceRequest) {
        guard service.update?.startsFirst == true, !startsFirst(service) else { return }
        let targets = service.container.anonymousTargets.sorted()
        builder.notice(
            "service \(quoted(service.name)) is updated stop-first: its anonymous "
                + "\(targets.count == 1 ? "volume" : "volumes") at \(targets.joined(separator: ", ")) can be only one "
                + "container's at a time; `start-first` needs named ones, or --renew-anon-volumes")
    }

    /// Numbers for containers that come before the old ones go.
    func freeNumbers(_ count: Int, of service: ServiceRequest) -> [Int] {
        var taken = Set((containers[service.name] ?? []).map(\.index))
        var free: [Int] = []
        var number = 1
        while free.count < count {
            if taken.insert(number).inserted { free.append(number) }
            number += 1
        }
        return free
    }

    /// Gives changed containers of a service that starts first their own numbers.
    mutating func renumber(_ service: ServiceRequest) {
        guard startsFirst(service) else { return }
        let changed = (decisionsOf[service.name] ?? []).filter {
            decisions[$0].action == .recreate && !decisions[$0].early
        }
        for (index, number) in zip(changed, freeNumbers(changed.count, of: service)) {
            decisions[index].target = ContainerReference(
                name: containerName(project: desired.project, service: service, index: number),
                service: service.name, index: number)
        }
    }
}

extension ContainerRequest {
    /// Where its anonymous volumes are.
    var anonymousTargets: Set<String> {
        Set(mounts.compactMap { if case .anonymous = $0.source { $0.target } else { nil } })
    }
}
