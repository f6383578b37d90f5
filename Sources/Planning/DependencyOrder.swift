// SPDX-License-Identifier: Apache-2.0
//
// Services in an order in which each comes after all it depends on; equal ones by name, so that the same
// project always gives the same plan.

import ContainerModel

/// The services' order, by waves: first those without dependencies, then those whose dependencies are placed.
struct DependencyOrder {
    /// Dependencies first. Services in a circle come last, by name, so that teardown never fails for one.
    let names: [String]
    /// One circle, each depending on the next; nil when there is none.
    let cycle: [String]?
    /// Who depends on a service, by name.
    let dependants: [String: [String]]

    init(of services: [String: ServiceRequest]) {
        var waiting: [String: Int] = [:]
        var dependants: [String: [String]] = [:]
        var wave: [String] = []
        for (name, service) in services {
            var count = 0
            for target in service.dependencies.keys where services[target] != nil {
                dependants[target, default: []].append(name)
                count += 1
            }
            if count == 0 { wave.append(name) } else { waiting[name] = count }
        }
        var names: [String] = []
        names.reserveCapacity(services.count)
        while !wave.isEmpty {
            wave.sort()
            names += wave
            var next: [String] = []
            for placed in wave {
                for dependant in dependants[placed] ?? [] {
                    guard let count = waiting[dependant] else { continue }
                    if count == 1 {
                        waiting[dependant] = nil
                        next.append(dependant)
                    } else {
                        waiting[dependant] = count - 1
                    }
                }
            }
            wave = next
        }
        self.dependants = dependants.mapValues { $0.sorted() }
        self.names = names + waiting.keys.sorted()
        cycle = DependencyOrder.circle(among: waiting, of: services)
    }

    /// Every service left has a dependency that is left, so walking along them must come back to a place.
    private static func circle(
        among left: [String: Int], of services: [String: ServiceRequest]
    ) -> [String]? {
        guard var name = left.keys.min() else { return nil }
        var path: [String] = []
        var seen: [String: Int] = [:]
        while seen[name] == nil {
            seen[name] = path.count
            path.append(name)
            guard let next = services[name]?.dependencies.keys.filter({ left[$0] != nil }).min() else {
                return path
            }
            name = next
        }
        return Array(path[(seen[name] ?? 0)...])
    }
}
