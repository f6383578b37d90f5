// SPDX-License-Identifier: Apache-2.0
//
// Decisions → operations. The order of writing is the order argued in PlannerUp.swift; every edge is one that
// somebody would miss. Early operations wait for early operations only, so no circle can arise.

import ContainerModel

extension UpPlanner {
    mutating func write() {
        var page = Page()
        writeDepartures(on: &page)
        writeNetworks(on: &page)
        writeVolumes(on: &page)
        writeArrivals(on: &page)
        if options.removeOrphans { writeForgottenNetworks(on: &page) }
    }

    /// Where things stand in the plan, as indices of its nodes.
    private struct Page {
        var stops: [String: [Int]] = [:]
        /// A decision's last early operation.
        var departed: [Int: Int] = [:]
        /// The same by the networks the containers were on.
        var departedFrom: [String: [Int]] = [:]
        var networks: [String: Int] = [:]
        var volumes: [String: Int] = [:]
    }

    // MARK: What goes first

    /// Dependants before those they depend on, the highest number first.
    private mutating func writeDepartures(on page: inout Page) {
        let known = Set(order.names)
        let unknown = decisionsOf.keys.filter { !known.contains($0) }.sorted()
        for service in unknown + order.names.reversed() {
            for index in (decisionsOf[service] ?? []).reversed() where decisions[index].early {
                guard let node = writeDeparture(decisions[index], after: [], on: &page) else { continue }
                page.departed[index] = node
                for network in decisions[index].old?.networks ?? [] {
                    page.departedFrom[network, default: []].append(node)
                }
            }
        }
    }

    /// Stops the container after its dependants, removes it unless it comes back as it is; the last operation.
    private mutating func writeDeparture(_ decision: Decision, after: [Int], on page: inout Page) -> Int? {
        guard let old = decision.old else { return nil }
        var last: Int?
        if old.state.isLive {
            let dependants = (order.dependants[old.service] ?? []).flatMap { page.stops[$0] ?? [] }
            let stop = builder.add(
                .stopContainer(
                    old.reference, timeout: observed.stopTimeout(of: old.service, asked: options.timeout)),
                because: decision.reason, after: after + dependants)
            page.stops[old.service, default: []].append(stop)
            last = stop
        }
        if decision.action == .recreate || decision.action == .remove {
            last = builder.add(
                .removeContainer(old.reference), because: decision.reason, after: last.map { [$0] } ?? after)
        }
        return last
    }

    // MARK: Networks and volumes

    private mutating func writeNetworks(on page: inout Page) {
        for (name, verdict) in networks.sorted(by: { $0.key < $1.key }) {
            guard let request = desired.networks[name] else { continue }
            switch verdict {
            case .present: break
            case .missing:
                page.networks[name] = builder.add(
                    .createNetwork(request), because: "it does not exist",
                    after: page.departedFrom[name] ?? [])
            case .changed(let how):
                let removed = builder.add(
                    .removeNetwork(name: name), because: how, after: page.departedFrom[name] ?? [])
                page.networks[name] = builder.add(.createNetwork(request), because: how, after: [removed])
            }
        }
    }

    private mutating func writeVolumes(on page: inout Page) {
        for name in volumesInUse.sorted() where observed.volumes[name] == nil {
            guard let request = desired.volumes[name] else { continue }
            page.volumes[name] = builder.add(.createVolume(request), because: "it does not exist")
        }
    }

    /// Networks the project made and no longer declares, once nothing is left on them.
    private mutating func writeForgottenNetworks(on page: inout Page) {
        let external = desired.external?.networks ?? []
        let forgotten = observed.networks.filter {
            $0.value.project == desired.project && desired.networks[$0.key] == nil
                && !external.contains($0.key)
                && $0.value.foreignContainers.isEmpty
        }
        if forgotten.isEmpty { return }
        var removals: [String: Int] = [:]
        for (index, node) in builder.plan.nodes.enumerated() {
            if case .removeContainer(let container) = node.operation { removals[container.name] = index }
        }
        var leaving: [String: [Int]] = [:]
        var inUse: Set<String> = []
        for container in observed.containers {
            for network in container.networks {
                if let node = removals[container.name] {
                    leaving[network, default: []].append(node)
                } else {
                    inUse.insert(network)
                }
            }
        }
        for name in forgotten.keys.sorted() where !inUse.contains(name) {
            _ = builder.add(
                .removeNetwork(name: name), because: "it is not declared", after: leaving[name] ?? [])
        }
    }

    // MARK: What comes

    private mutating func writeArrivals(on page: inout Page) {
        // What is only on its way out does not count.
        let leaving = Set(decisions.filter { $0.action == .remove }.compactMap { $0.old?.name })
        var readiness = Readiness(
            services: desired.services,
            observed: containers.mapValues { $0.filter { !leaving.contains($0.name) } })
        for name in order.names {
            guard let service = desired.services[name], let indices = decisionsOf[name] else { continue }
            let arrivals = indices.filter {
                decisions[$0].action != .keep && decisions[$0].action != .remove
            }
            if arrivals.isEmpty { continue }
            if options.noStart {
                writeCreations(arrivals, of: service, on: &page)
                continue
            }
            let ready = readiness.before(service, in: &builder) {
                !options.noDependencies || selected.contains($0)
            }
            let resources = resources(of: service, page)
            let changed = arrivals.filter { decisions[$0].action == .recreate && !decisions[$0].early }
            if let update = service.update, !changed.isEmpty {
                for node in writeUpdate(changed, of: service, update, ready, resources, on: &page) {
                    readiness.note(start: node, of: name)
                }
            }
            for index in arrivals where service.update == nil || !changed.contains(index) {
                let start = writeArrival(
                    index, of: service, ready: ready, resources: resources, on: &page)
                readiness.note(start: start, of: name)
            }
        }
        if options.wait, !options.noStart {
            for name in order.names where selected.contains(name) {
                if let service = desired.services[name], service.replicas > 0 {
                    readiness.awaitHealth(of: service, in: &builder)
                }
            }
        }
    }

    /// What `create` does: nothing is started, and what runs and has not changed is left running.
    private mutating func writeCreations(_ arrivals: [Int], of service: ServiceRequest, on page: inout Page) {
        let resources = resources(of: service, page)
        for index in arrivals {
            let decision = decisions[index]
            guard decision.action == .create || decision.action == .recreate else { continue }
            var free = resources + decision.waitsFor.compactMap { page.departed[$0] }
            if let departed = page.departed[index] ?? writeDeparture(decision, after: [], on: &page) {
                free.append(departed)
            }
            _ = builder.add(
                .createContainer(decision.target, configHash: service.configHash), because: decision.reason,
                after: free)
        }
    }

    private func resources(of service: ServiceRequest, _ page: Page) -> [Int] {
        var nodes = service.container.networks.compactMap { page.networks[$0.network] }
        for mount in service.container.mounts {
            if case .volume(let name) = mount.source, let node = page.volumes[name] { nodes.append(node) }
        }
        return nodes
    }

    /// Changed containers in batches (PlannerUpdate.swift); the operations after which each batch is well.
    private mutating func writeUpdate(
        _ changed: [Int], of service: ServiceRequest, _ update: UpdateRequest, _ ready: [Int],
        _ resources: [Int], on page: inout Page
    ) -> [Int] {
        let startsFirst = startsFirst(service)
        noteOrder(of: service)
        let size = update.parallelism == 0 ? changed.count : update.parallelism
        var settled: [Int] = []
        var before: [Int] = []
        for first in stride(from: 0, to: changed.count, by: size) {
            let batch = changed[first..<min(first + size, changed.count)]
            var starts: [Int] = []
            for index in batch {
                if startsFirst {
                    let created = builder.add(
                        .createContainer(decisions[index].target, configHash: service.configHash),
                        because: decisions[index].reason, after: resources + before)
                    starts.append(
                        builder.add(
                            .startContainer(decisions[index].target), because: decisions[index].reason,
                            after: ready + before + [created]))
                } else {
                    starts.append(
                        writeArrival(
                            index, of: service, ready: ready + before, resources: resources, on: &page))
                }
            }
            let look = builder.add(
                .settleUpdate(
                    UpdateBatch(
                        service: service.name, containers: batch.map { decisions[$0].target.name },
                        total: changed.count, isLast: first + size >= changed.count)),
                because: decisions[batch[batch.startIndex]].reason, after: starts)
            settled.append(look)
            before = [look]
            if startsFirst {
                for index in batch {
                    if let gone = writeDeparture(decisions[index], after: [look], on: &page) {
                        before.append(gone)
                    }
                }
            }
        }
        return settled
    }

    /// The operations that make the container run; gives its start.
    private mutating func writeArrival(
        _ index: Int, of service: ServiceRequest, ready: [Int], resources: [Int], on page: inout Page
    ) -> Int {
        let decision = decisions[index]
        var free = resources + decision.waitsFor.compactMap { page.departed[$0] }
        var ready = ready
        if let departed = page.departed[index] {
            free.append(departed)
        } else if let departed = writeDeparture(decision, after: ready, on: &page) {
            // In its turn: it went when its dependencies were ready, so they need not be awaited again.
            free.append(departed)
            ready = []
        }
        switch decision.action {
        case .create, .recreate:
            let created = builder.add(
                .createContainer(decision.target, configHash: service.configHash), because: decision.reason,
                after: free)
            return builder.add(
                .startContainer(decision.target), because: decision.reason, after: ready + [created])
        case .start, .restart, .keep, .remove:
            return builder.add(
                .startContainer(decision.target), because: decision.reason, after: ready + free)
        }
    }
}
