// SPDX-License-Identifier: Apache-2.0
//
// Kept as declared: what somebody else changed is repaired in place and told as a `drift` event. A container is not
// restarted for what can be repaired beneath it. Whether one that ended is started again is its restart policy's.

internal import Basics
internal import Cgroups
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Networking

/// How often the same thing is repaired in ten seconds before it is left to the slow look: two that each insist on
/// their own way would otherwise keep each other busy for ever.
private let insistence = 8
/// How many times in a row a part is looked at: what hangs on something repaired is found by the next look.
private let looksInARow = 5

/// What is remembered of repairs.
struct RepairHistory {
    private var times: [String: [Int64]] = [:]
    /// The last failure of each, so that it is told once and not with every look.
    private var failures: [String: String] = [:]
    /// Containers and networks whose link or bridge was repaired in this look: what else is wrong with their network
    /// followed from that, and is repaired without being told as something that somebody did.
    var consequences: Set<String> = []

    mutating func mayRepair(_ key: String, now: Int64) -> Bool {
        let recent = (times[key] ?? []).filter { now - $0 < 10_000_000_000 }
        times[key] = recent + (recent.count < insistence ? [now] : [])
        if times.count > 1000 { times.removeAll() }
        return recent.count < insistence
    }

    /// True when this failure was not told yet.
    mutating func isNews(_ failure: String?, _ key: String) -> Bool {
        let before = failures[key]
        failures[key] = failure
        return failure != before || failure == nil
    }
}

extension ProjectController {
    /// A while after containers started or were taken over, when whoever asked has the answer.
    func watchForDriftSoon() {
        guard driftTimer == nil else { return }
        driftTimer = loop.after(.milliseconds(150)) { [unowned self] in
            driftTimer = nil
            guard !takingDown, !leaving else { return }
            // Behind a long-running command what runs is looked after all the same.
            if run != nil, driftDelays < 5 {
                driftDelays += 1
                return watchForDriftSoon()
            }
            driftDelays = 0
            watchForDrift()
        }
    }

    private func watchForDrift() {
        drift.isAtWork = { [unowned self] in run != nil }
        drift.look = { [unowned self] in look(at: $0) }
        drift.lookAtAll = { [unowned self] in look(at: allSubjects) }
        drift.memoryEvent = { [unowned self] in countMemoryKills($0) }
        var fresh: Set<DriftSubject> = []
        do throws(SyscallError) {
            if let networking { try drift.watchHost(networking.monitored) }
            try drift.watchProject(cgroups: cgroup.watchedDirectories)
            for container in containers.values where container.phase == .running {
                guard !drift.watches(container.name), let pidfd = container.pidfd, let pid = container.pid
                else { continue }
                fresh.formUnion(subjects(of: container))
                try drift.watch(
                    container.name, pidfd: pidfd, pid: pid,
                    networked: !container.request.networks.isEmpty,
                    cgroups: cgroup.container(container.name).watchedDirectories)
            }
        } catch {
            // One that ended meanwhile is no news; all else is left to the slow look.
            if error.errno != .noProcess && error.errno != .noEntry {
                log("cannot listen for changes by others: \(error)")
            }
        }
        drift.beginSlowLooks()
        // What happened before anybody listened.
        if !fresh.isEmpty { look(at: fresh.union([.links, .firewall])) }
    }

    private func subjects(of container: Container) -> Set<DriftSubject> {
        let name = container.name
        let own: Set<DriftSubject> = [.mounts(name), .cgroup(name)]
        return container.request.networks.isEmpty ? own : own.union([.inside(name)])
    }

    private var allSubjects: Set<DriftSubject> {
        containers.values.filter { $0.phase == .running }.reduce(into: [.links, .firewall]) {
            $0.formUnion(subjects(of: $1))
        }
    }

    /// Looks and repairs until a look finds nothing.
    private func look(at subjects: Set<DriftSubject>) {
        var subjects = subjects
        repairs.consequences = []
        for _ in 0..<looksInARow {
            guard !takingDown, !leaving, !subjects.isEmpty else { return }
            var again: Set<DriftSubject> = []
            // In this order: what is inside hangs on the links, the links on the bridges.
            if subjects.contains(.links) { again.formUnion(lookAtLinks()) }
            for container in containers.values.sorted(by: { $0.name < $1.name })
            where container.phase == .running {
                if subjects.contains(.inside(container.name)) { again.formUnion(lookInside(container)) }
                if subjects.contains(.mounts(container.name)) { lookAtMounts(container) }
                if subjects.contains(.cgroup(container.name)) { lookAtCgroup(container) }
            }
            if subjects.contains(.firewall) { lookAtFirewall() }
            subjects = again
        }
    }

    /// Repairs one thing and tells what was found, done, and came of it. False when nothing was repaired.
    func repair(
        _ kind: ProjectEvent.Kind, _ name: String, service: String? = nil, cause: String, action: String,
        consequenceOf: String? = nil,
        _ body: () throws(Failure) -> Void
    ) -> Bool {
        let key = "\(kind.rawValue) \(name) \(cause)"
        guard repairs.mayRepair(key, now: monotonicNanoseconds()) else {
            let left = "left until the next look: it is changed again and again"
            if repairs.isNews(left, key) {
                tell(kind, "drift", name, service: service, ["cause": cause, "action": left])
                log("\(key): \(left)")
            }
            return false
        }
        var failure: Failure?
        do throws(Failure) {
            try body()
        } catch {
            failure = error
        }
        let result = failure.map { [$0.doing, $0.cause].compactMap { $0 }.joined(separator: ": ") }
        let follows = failure == nil && repairs.consequences.contains(consequenceOf ?? "")
        if repairs.isNews(result, key), !follows {
            tell(
                kind, "drift", name, service: service,
                ["cause": cause, "action": action, "result": result ?? "repaired"])
            log("\(kind.rawValue) \(name): \(cause); \(action): \(result ?? "repaired")")
        }
        return failure == nil
    }

    // MARK: Networks

    /// Bridges that went while no controller was there, under containers that run on.
    func restoreLostNetworks() {
        guard let networking else { return }
        for name in networking.lost.keys.sorted()
        where containers.values.contains(where: { container in
            container.phase == .running && container.request.networks.contains { $0.network == name }
        }) {
            let drift = LinkDrift.bridgeGone(network: name)
            _ = repair(.network, name, cause: drift.cause, action: drift.action) { () throws(Failure) in
                try networking.restore(name)
            }
        }
    }

    private func lookAtLinks() -> Set<DriftSubject> {
        guard let networking else { return [] }
        var again: Set<DriftSubject> = []
        let endpoints = containers.values.filter { $0.phase == .running }.flatMap {
            networking.endpoints(of: $0.name, $0.request)
        }
        do throws(Failure) {
            for found in try networking.verifyLinks(endpoints) {
                let container = found.container.flatMap { containers[$0] }
                let done = repair(
                    container == nil ? .network : .container, container?.name ?? found.network,
                    service: container?.reference.service, cause: found.cause, action: found.action,
                    consequenceOf: found.network
                ) { () throws(Failure) in
                    let endpoint = endpoints.first {
                        $0.container == found.container && $0.network.name == found.network
                    }
                    if case .endpointGone = found, let container, let endpoint {
                        try inside(container) { (networks) throws(Failure) in
                            try networks.remove(link: endpoint.linkName)
                        }
                    }
                    try networking.repair(found, endpoint: endpoint, pid: container?.pid)
                }
                guard done else { continue }
                repairs.consequences.insert(container?.name ?? found.network)
                again.insert(.links)
                if let container { again.insert(.inside(container.name)) }
            }
            drift.count(networking.monitored)
        } catch {
            log("\(error)")
        }
        return again
    }

    private func lookInside(_ container: Container) -> Set<DriftSubject> {
        var again: Set<DriftSubject> = []
        do throws(Failure) {
            let all = try inside(container) { (networks) throws(Failure) in try networks.verify() }
            for found in all {
                if case .linkGone(let name) = found {
                    // Renamed or moved away: its other end is deleted, and the next look at the links makes it anew.
                    guard let networking else { continue }
                    let endpoint = networking.endpoints(of: container.name, container.request).first {
                        $0.linkName == name
                    }
                    guard let endpoint, let pid = container.pid else { continue }
                    // Deleted, and both ends with it, since the links were looked at: theirs to tell.
                    let gone = LinkDrift.endpointGone(
                        container: container.name, network: endpoint.network.name)
                    if try networking.verifyLinks([endpoint]).contains(gone) {
                        again.formUnion([.links, .inside(container.name)])
                        continue
                    }
                    let done = repair(
                        .container, container.name, service: container.reference.service,
                        cause: found.cause, action: found.action
                    ) { () throws(Failure) in
                        try networking.repair(
                            .endpointGone(container: container.name, network: endpoint.network.name),
                            endpoint: endpoint, pid: pid)
                    }
                    if done {
                        again.insert(.inside(container.name))
                        repairs.consequences.insert(container.name)
                    }
                    continue
                }
                let done = repair(
                    .container, container.name, service: container.reference.service, cause: found.cause,
                    action: found.action, consequenceOf: container.name
                ) { () throws(Failure) in
                    try inside(container) { (networks) throws(Failure) in try networks.repair(found) }
                }
                if done { again.insert(.inside(container.name)) }
            }
            // With an address its routes went.
            if !again.isEmpty { repairs.consequences.insert(container.name) }
        } catch {
            // It may have ended a moment ago.
            if container.pidfd != nil, container.phase == .running, isAlive(container) { log("\(error)") }
        }
        return again
    }

    private func isAlive(_ container: Container) -> Bool {
        container.pid.flatMap(processStartTime) == container.status.startTime
    }

    /// Runs `body` in the container's network namespace.
    private func inside<Result>(
        _ container: Container, _ body: (InsideNetworks) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let doing = "cannot look into container \"\(container.name)\""
        guard let pidfd = container.pidfd, let networking else {
            throw Failure(doing, cause: "it has ended")
        }
        let endpoints = networking.endpoints(of: container.name, container.request)
        let outcome = try naming(doing) { () throws(SyscallError) in
            try inNetworkNamespace(of: pidfd.raw) {
                Swift.Result<Result, Failure> { () throws(Failure) in
                    try body(
                        try InsideNetworks(container.name, endpoints, nameServicePort: nameServicePort))
                }
            }
        }
        return try outcome.get()
    }

    private func lookAtFirewall() {
        guard let networking, !networking.networks.isEmpty else { return }
        let ports = containers.values.filter { $0.phase == .running }.flatMap { publishedPorts(of: $0) }
        do throws(Failure) {
            let found = try networking.verifyFirewall(ports)
            guard let first = found.first else { return }
            let others = found.count == 1 ? "" : ", and \(found.count - 1) more"
            _ = repair(
                .firewall, "inet covey", cause: first.description + others,
                action: found.contains { $0.needsRules } ? "rules and elements made again" : "added again"
            ) { () throws(Failure) in
                try networking.repairFirewall(ports, rules: found.contains { $0.needsRules })
            }
        } catch {
            log("\(error)")
        }
    }
}
