// SPDX-License-Identifier: Apache-2.0
//
// Taking a project's networks away. Links go in one request by group, since each deletion alone waits for RCU grace
// periods (16–32 ms); containers' links die with their namespaces and are not deleted here. Errors are collected,
// and the work goes on.

public import Basics
internal import Kernel
internal import Netlink

extension HostNetworks {
    /// Deletes every link of the project: all of its group at once, after a look that none of them is another's.
    public func removeProjectLinks(project: String, group: UInt32) -> [Failure] {
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
        let own = links.filter(isOurs)
        if foreign.isEmpty, group != 0, own.contains(where: { $0.group == group }) {
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
        for link in own where link.group != group || !foreign.isEmpty {
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
        var failures: [Failure] = []
        let doing = "cannot remove network \"\(name)\""
        let alias = owner(project).alias(network: name)
        do throws(Failure) {
            try firewall.withdraw(matching: { $0 == alias })
        } catch {
            failures.append(error)
        }
        do throws(Failure) {
            let link = try asking(doing) { () throws(NetlinkError) in try findLink(bridgeName(name)) }
            if let link, link.alias == alias { failures += delete(link, doing) }
            try locked(doing) { () throws(Failure) in
                if try records.network(name)?.project == project { try records.removeNetwork(name) }
            }
        } catch {
            failures.append(error)
        }
        return failures
    }

    /// Removes all of the project: links, firewall elements, records, leases, ports and its group.
    public func removeProject(_ project: String, group: UInt32) -> [Failure] {
        var failures: [Failure] = []
        do throws(Failure) {
            let owner = owner(project)
            try firewall.withdraw(matching: { owner.owns($0) })
        } catch {
            failures.append(error)
        }
        let links = removeProjectLinks(project: project, group: group)
        failures += links
        do throws(Failure) {
            try locked("cannot remove the network records of project \"\(project)\"") { () throws(Failure) in
                for network in try records.networks() {
                    if network.project == project {
                        try records.removeNetwork(network.name)
                        continue
                    }
                    // Our containers on another project's network.
                    let leases = try records.addresses(network.name)
                    let kept = leases.filter { $0.value.project != project }
                    if kept.count != leases.count { try records.save(kept, network: network.name) }
                }
                let ports = try records.ports()
                let kept = ports.filter { $0.project != project }
                if kept.count != ports.count { try records.save(ports: kept) }
                records.removeUnfinished()
            }
            // With links left, the group stays reserved: the next attempt needs it.
            if links.isEmpty { try releaseGroup(project: project) }
        } catch {
            failures.append(error)
        }
        return failures
    }
}
