// SPDX-License-Identifier: Apache-2.0
//
// A rolling update: changed containers of a service with `update_config` come in batches, each after the one before was
// looked at and the delay has passed. A failed look ends the plan, or does not: that is the service's `failure_action`.
//
//   stop-first:   stop old, remove old, create, start ▶ settle ▶ next batch
//   start-first:  create, start ▶ settle ▶ stop old, remove old ▶ next batch
//
// A container that comes before the old one goes takes the lowest number nobody has. So a service's numbers may be others
// than 1 to its replicas; what counts is how many there are.

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
        guard service.update?.startsFirst == true else { return }
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
