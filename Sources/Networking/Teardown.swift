// SPDX-License-Identifier: Apache-2.0
//
// Taking a project's networks away. Links go in one request by group, since each deletion alone waits for RCU grace
// periods (16–32 ms); containers' links die with their namespaces and are not deleted here. Errors are collected,
// and the work goes on.
//
// A network on which containers of other projects run stays as it is, though its project goes: the last of those projects
// takes it along. One that its project declares external by then stays in any case, until the project has it as its own again.

public import Basics
internal import Kernel
internal import Netlink

extension HostNetworks {
    /// Deletes every link of the project: all of its group at once, after a look that none of them is another's.
    /// - Parameter bridges: stay.
    public func removeProjectLinks(project: String, group: UInt32, keeping bridges: Set<String> = [])
        -> [Failure]
    {
        let doing = "cannot remove the links of project \"\(project)\""
        let owner = owner(project)
        let links: [LinkState]
        do throws(Failure) {
            links = try self.links(doing)
        } catch {
            return [error]
        }
        var failures: [Failure] = []
        // One of ours gets its alias last: without one, in our group and with our name its making was cut off.
        func isOurs(_ link: LinkState) -> Bool {
            owner.owns(link.alias)
                || link.alias.isEmpty && link.group == group && group != 0 && link.name.hasPrefix("cvy")
        }
        let foreign = links.filter { $0.group == group && !isOurs($0) }
        let own = links.filter { isOurs($0) && !bridges.contains($0.name) }
        let isWhole = foreign.isEmpty && bridges.isEmpty
        if isWhole, group != 0, own.contains(where: { $0.group == group }) {
            var requests = Requests()
            requests.deleteLinks(group: group)
            do throws(NetlinkError) {
                try route.perform(requests)
            } catch {
                // They may all have died with their namespaces meanwhile.
                if error.errno != .noDevice { failures.append(Failure(doing, error)) }
            }
        }
        for link in foreign where group != 0 {
            failures.append(
                Failure(
                    doing, cause: "link \(link.name) is in the project's group \(group) but is not Covey's",
                    advice:
                        "take it out with `ip link set \(link.name) group default`; the others were removed"))
        }
        // What is ours outside the group, or when the group could not go as a whole.
        for link in own where link.group != group || !isWhole {
            failures += delete(link, doing)
        }
        return failures
    }

    private func delete(_ link: LinkState, _ doing: String) -> [Failure] {
        var requests = Requests()
        requests.deleteLink(index: link.index, name: link.name)
        do throws(NetlinkError) {
            try route.perform(requests)
            return []
        } catch {
            return error.errno == .noDevice ? [] : [Failure(doing, error)]
        }
    }

    /// Removes one network of the project: its bridge, its firewall elements, its record and leases.
    public func removeNetwork(_ name: String, project: String) -> [Failure] {
        let doing = "cannot remove network \"\(name)\""
        do throws(Failure) {
            let guests = try guests(on: name, besides: project)
            guard guests.isEmpty else { return [Failure(doing, guests: guests)] }
        } catch {
            return [error]
        }
        var failures: [Failure] = []
        do throws(Failure) {
            try removeFromKernel(name, of: project, doing)
            try locked(doing) { () throws(Failure) in
                if try records.network(name)?.project == project {
                    try records.removeNetwork(name, of: project)
                }
            }
        } catch {
            failures.append(error)
        }
        return failures
    }

    /// The firewall's elements of a network, and its bridge.
    private func removeFromKernel(_ name: String, of project: String, _ doing: String) throws(Failure) {
        var failures: [Failure] = []
        let alias = owner(project).alias(network: name)
        do throws(Failure) {
            try withdraw(matching: { $0 == alias })
        } catch {
            failures.append(error)
        }
        let link = try asking(doing) { () throws(NetlinkError) in try findLink(bridgeName(name)) }
        if let link, link.alias == alias { failures += delete(link, doing) }
        if let failure = Failure.collect(failures) { throw failure }
    }

    /// Marks networks of the project that its teardown leaves, and takes the mark from others.
    public func keepNetworks(_ kept: [String], releasing others: [String], project: String) throws(Failure) {
        if kept.isEmpty, others.isEmpty { return }
        try locked("cannot keep the external networks of project \"\(project)\"") { () throws(Failure) in
            for (names, mark) in [(kept, true), (others, nil)] as [([String], Bool?)] {
                for name in names {
                    guard var network = try records.network(name), network.project == project,
                        network.isKept != mark
                    else { continue }
                    network.isKept = mark
                    try records.save(network)
                }
            }
        }
    }

    /// Removes all of the project: links, firewall elements, records, leases, ports and its group.
    /// - Parameter visited: networks of other projects that it was on.
    public func removeProject(_ project: String, group: UInt32, visited: Set<String> = []) -> [Failure] {
        var failures: [Failure] = []
        let owner = owner(project)
        var kept: [NetworkState] = []
        do throws(Failure) {
            for network in try records.networks() where network.project == project {
                let isKept = network.isKept == true
                if try isKept ? true : !guests(on: network.name, besides: project).isEmpty {
                    kept.append(network)
                }
            }
            let stays = Set(kept.map { owner.alias(network: $0.name) })
            try withdraw(matching: { owner.owns($0) && !stays.contains($0) })
        } catch {
            failures.append(error)
        }
        let links = removeProjectLinks(project: project, group: group, keeping: Set(kept.map(\.bridge)))
        failures += links
        do throws(Failure) {
            try locked("cannot remove the network records of project \"\(project)\"") { () throws(Failure) in
                try removeRecords(of: project, keeping: Set(kept.map(\.name)), visited)
            }
            // With links left, the group stays reserved: the next attempt needs it.
            if links.isEmpty, kept.isEmpty { try releaseGroup(project: project) }
        } catch {
            failures.append(error)
        }
        return failures
    }

    private func removeRecords(of project: String, keeping kept: Set<String>, _ visited: Set<String>)
        throws(Failure)
    {
        let networks = try records.networks()
        for network in networks where network.project == project && !kept.contains(network.name) {
            try records.removeNetwork(network.name, of: project)
        }
        try records.removeLeases { $0.project == project }
        for network in networks where network.project != project && visited.contains(network.name) {
            try removeAbandoned(network, among: networks)
        }
        let ports = try records.ports()
        let own = ports.filter { $0.project != project }
        if own.count != ports.count { try records.save(ports: own) }
        records.removeUnfinished()
    }

    /// The network of a project that went before its guests did, once the last of them has gone.
    private func removeAbandoned(_ network: NetworkState, among networks: [NetworkState]) throws(Failure) {
        guard network.isKept != true, !exists("\(root)/projects/\(network.project)"),
            try records.addresses(network.name).isEmpty
        else { return }
        try removeFromKernel(network.name, of: network.project, "cannot remove network \"\(network.name)\"")
        try records.removeNetwork(network.name, of: network.project)
        guard !networks.contains(where: { $0.project == network.project && $0.name != network.name }) else {
            return
        }
        var groups = try records.groups()
        if groups.removeValue(forKey: network.project) != nil { try records.save(groups: groups) }
    }
}
