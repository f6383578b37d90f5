// SPDX-License-Identifier: Apache-2.0
//
// Firewall: adds and removes projects' elements in the table `inet covey`, each call one transaction. The table is
// shared by every project and every state root of the host, so no file lock could guard it: additions fail when the
// table went away meanwhile and are tried again with it made anew, and removals carry the generation they were
// computed from, which the kernel refuses with ERESTART when anyone changed the ruleset since.

public import Basics
public import ContainerModel
internal import Kernel
public import Netlink

/// A container's port on the host.
public struct PublishedPort: Hashable, Codable, Sendable {
    public var proto: PortRequest.Proto
    /// 0.0.0.0 for every address of the host.
    public var hostAddress: IPv4Address
    public var hostPort: UInt16
    public var container: String
    public var address: IPv4Address
    public var port: UInt16

    public init(
        proto: PortRequest.Proto = .tcp, hostAddress: IPv4Address = .any, hostPort: UInt16, container: String,
        address: IPv4Address, port: UInt16
    ) {
        self.proto = proto
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.container = container
        self.address = address
        self.port = port
    }
}

/// What of the table is not as it ought to be.
public enum FirewallDrift: Hashable, Sendable, CustomStringConvertible {
    case tableGone
    case layout(String)
    case rules(chain: String)
    case element(set: String, comment: String)

    public var description: String {
        switch self {
        case .tableGone: "table inet covey is gone"
        case .layout(let comment): "table inet covey has layout \"\(comment)\""
        case .rules(let chain): "the rules of chain \(chain) were changed"
        case .element(let set, let comment): "set \(set) lacks an element of \(comment)"
        }
    }

    /// Adding elements is not enough.
    public var needsRules: Bool {
        switch self {
        case .layout, .rules: true
        case .tableGone, .element: false
        }
    }
}

/// The host's firewall table. Belongs to one thread.
public final class Firewall {
    private let socket: NetlinkSocket
    private let table = FirewallTable.name

    init(_ socket: NetlinkSocket) { self.socket = socket }

    /// Begins what `publish` does for networks, in the background: a transaction of nf_tables takes most of a millisecond or
    /// two, inside the call. `finishAdmitting` says whether it came to be; if not, `publish` is there.
    func beginAdmitting(_ networks: [NetworkState], owner: NetworkOwner) throws(Failure) {
        try enableForwarding(for: networks)
        let doing = "cannot admit the networks of project \"\(owner.project)\""
        let comment = try kernel(doing) { () throws(NetlinkError) in try tableComment() }
        let batch = batch(adding: elements([], networks, owner), to: comment)
        try kernel(doing) { () throws(NetlinkError) in try socket.begin(batch) }
    }

    /// False where `publish` must do it: the table came or went meanwhile, or holds what contradicts.
    func finishAdmitting() -> Bool {
        do throws(NetlinkError) {
            try socket.finish()
            return true
        } catch {
            return false
        }
    }

    /// Adds the elements of networks and published ports, in one transaction; what is there already is fine.
    ///
    /// Sets net.ipv4.ip_forward to 1 when it is 0 and a network reaches outside: without it nothing is forwarded. IPv6's the
    /// same, for a network that has it.
    /// An element of this owner that says otherwise is replaced; another's port is an error that names it.
    func publish(_ ports: [PublishedPort], networks: [NetworkState], owner: NetworkOwner) throws(Failure) {
        guard !ports.isEmpty || !networks.isEmpty else { return }
        try enableForwarding(for: networks)
        let wanted = elements(ports, networks, owner)
        let doing = "cannot publish the ports of project \"\(owner.project)\""
        var stale: Elements = []
        for _ in 0..<50 {
            let comment = try kernel(doing) { () throws(NetlinkError) in try tableComment() }
            let batch = batch(deleting: stale, adding: wanted, to: comment)
            do throws(NetlinkError) {
                try socket.perform(batch)
                return
            } catch {
                switch error.errno {
                case .noEntry, .exists:
                    // The table came or went between the question and the transaction, or what was stale is gone.
                    if error.errno == .exists, comment != nil { fallthrough }
                    stale = []
                case .busy: stale = try conflicts(wanted, owner: owner, doing)
                default: throw Failure(doing, error)
                }
            }
        }
        throw Failure(doing, cause: "the table kept changing", advice: "try again")
    }

    private typealias Elements = [(set: SetSchema, elements: [SetElement])]

    /// - Parameter comment: the table's; nil when there is none.
    private func batch(deleting stale: Elements = [], adding wanted: Elements, to comment: String?)
        -> Requests
    {
        var batch = Requests()
        batch.beginBatch()
        if comment == nil {
            FirewallTable.build(into: &batch, fresh: true)
        } else if comment != FirewallTable.layout {
            FirewallTable.build(into: &batch, fresh: false)
        }
        for (set, elements) in stale where comment != nil {
            batch.deleteElements(elements, set: set.name, in: table)
        }
        for (set, elements) in wanted { batch.addElements(elements, set: set.name, in: table) }
        batch.endBatch()
        return batch
    }

    /// Removes every element whose comment matches; the table with its last one. Gives the udp ports that are not led on any
    /// more.
    func withdraw(matching belongs: (String) -> Bool) throws(Failure) -> [LedPort] {
        let doing = "cannot remove firewall elements"
        for _ in 0..<50 {
            do throws(NetlinkError) {
                let generation = try generation()
                guard try tableComment() != nil else { return [] }
                var batch = Requests()
                batch.beginBatch(generation: generation)
                var led: [LedPort] = []
                var removed = 0
                var kept = 0
                for set in FirewallTable.sets {
                    let all = try elements(of: set)
                    let gone = all.filter { belongs($0.comment) }
                    removed += gone.count
                    kept += all.count - gone.count
                    led += gone.compactMap { LedPort($0, of: set) }
                    batch.deleteElements(gone, set: set.name, in: table)
                }
                if kept == 0 {
                    batch = Requests()
                    batch.beginBatch(generation: generation)
                    batch.deleteTable(table)
                } else if removed == 0 {
                    return []
                }
                batch.endBatch()
                try socket.perform(batch)
                return led
            } catch {
                // ERESTART: the generation passed. ENOENT: the table or a set went while it was read.
                guard error.errno.code == 85 || error.errno == .noEntry else { throw Failure(doing, error) }
            }
        }
        throw Failure(doing, cause: "the ruleset kept changing", advice: "try again")
    }

    /// What differs from how it ought to be; empty when all is as published.
    func drift(_ ports: [PublishedPort], networks: [NetworkState], owner: NetworkOwner) throws(Failure)
        -> [FirewallDrift]
    {
        let doing = "cannot look at the firewall"
        return try kernel(doing) { () throws(NetlinkError) in
            guard let comment = try tableComment() else {
                return ports.isEmpty && networks.isEmpty ? [] : [.tableGone]
            }
            var differences: [FirewallDrift] = []
            if comment != FirewallTable.layout { differences.append(.layout(comment)) }
            for (chain, rules) in FirewallTable.signatures.sorted(by: { $0.key < $1.key })
            where try signatures(of: chain) != rules {
                differences.append(.rules(chain: chain))
            }
            for (set, wanted) in elements(ports, networks, owner) {
                let present = Dictionary(
                    try elements(of: set).map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
                for element in wanted where present[element.key] != element.value {
                    differences.append(.element(set: set.name, comment: element.comment))
                }
            }
            return differences
        }
    }

    /// Makes rules and chains anew, whatever they are now; elements stay.
    func rebuild() throws(Failure) {
        var batch = Requests()
        batch.beginBatch()
        FirewallTable.build(into: &batch, fresh: false)
        batch.endBatch()
        try kernel("cannot repair the firewall") { () throws(NetlinkError) in try socket.perform(batch) }
    }

    // MARK: Elements

    private func elements(_ ports: [PublishedPort], _ networks: [NetworkState], _ owner: NetworkOwner)
        -> [(set: SetSchema, elements: [SetElement])]
    {
        var found: [String: [SetElement]] = [:]
        for network in networks {
            let comment = owner.alias(network: network.name)
            let name = FirewallTable.linkName(network.bridge)
            let element = SetElement(key: name, comment: comment)
            found[FirewallTable.bridges.name, default: []].append(element)
            let place = network.isInternal ? FirewallTable.inside : FirewallTable.outbound
            found[place.name, default: []].append(element)
            found[FirewallTable.pairs.name, default: []].append(
                SetElement(key: name + name, comment: comment))
        }
        var reflected: Set<IPv4Address> = []
        for port in ports {
            let comment = owner.comment(container: port.container)
            let proto: [UInt8] = [port.proto == .tcp ? 6 : 17, 0, 0, 0]
            let hostPort = FirewallTable.port(port.hostPort)
            let value = port.address.bytes + FirewallTable.port(port.port)
            if port.hostAddress == .any {
                found[FirewallTable.everywhere.name, default: []].append(
                    SetElement(key: proto + hostPort, value: value, comment: comment))
            } else {
                found[FirewallTable.published.name, default: []].append(
                    SetElement(key: proto + port.hostAddress.bytes + hostPort, value: value, comment: comment)
                )
            }
            if reflected.insert(port.address).inserted {
                found[FirewallTable.hairpin.name, default: []].append(
                    SetElement(key: port.address.bytes + port.address.bytes, comment: comment))
            }
        }
        return FirewallTable.sets.compactMap { set in found[set.name].map { (set, $0) } }
    }

    /// Elements in the way of ours: this owner's are given back for removal, another's are an error.
    private func conflicts(
        _ wanted: [(set: SetSchema, elements: [SetElement])], owner: NetworkOwner, _ doing: String
    ) throws(Failure) -> [(set: SetSchema, elements: [SetElement])] {
        var result: [(set: SetSchema, elements: [SetElement])] = []
        for (set, elements) in wanted where !set.value.isEmpty {
            let present = try kernel(doing) { () throws(NetlinkError) in try self.elements(of: set) }
            let values = Dictionary(
                elements.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
            let others = present.filter { values[$0.key] != nil && values[$0.key] != $0.value }
            for other in others where !owner.owns(other.comment) {
                throw Failure(
                    doing, cause: "\(describe(other.key)) is published by \(holder(other.comment))",
                    advice: "publish another host port, or take that project down")
            }
            if !others.isEmpty { result.append((set, others)) }
        }
        return result
    }

    private func describe(_ key: [UInt8]) -> String {
        let proto = key.first == 6 ? "tcp" : "udp"
        let port = key.suffix(4).prefix(2).reduce(0) { $0 << 8 | Int($1) }
        let address = key.count == 12 ? IPv4Address(bytes: key[4..<8])?.description ?? "" : ""
        return address.isEmpty ? "port \(port)/\(proto)" : "port \(address):\(port)/\(proto)"
    }

    private func holder(_ comment: String) -> String {
        let parts = comment.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 3 else { return "\"\(comment)\"" }
        let project = parts[1].split(separator: "@").first ?? ""
        return "container \"\(parts[2])\" of project \"\(project)\""
    }

    // MARK: The kernel

    private func kernel<Result>(_ doing: String, _ body: () throws(NetlinkError) -> Result) throws(Failure)
        -> Result
    {
        do throws(NetlinkError) {
            return try body()
        } catch {
            throw Failure(doing, error)
        }
    }

    private func generation() throws(NetlinkError) -> UInt32? {
        var question = Requests()
        question.getGeneration()
        return try socket.ask(question).lazy.compactMap(TableReplies.generation).first
    }

    /// The table's comment; nil when there is no table.
    private func tableComment() throws(NetlinkError) -> String? {
        var question = Requests()
        question.getTable(table)
        do throws(NetlinkError) {
            return try socket.ask(question).lazy.compactMap(TableReplies.table).first?.comment
        } catch {
            if error.errno == .noEntry { return nil }
            throw error
        }
    }

    /// A chain's rules as they are; none where there is no such chain. One chain's fit one piece of a dump (`ask`).
    private func signatures(of chain: String) throws(NetlinkError) -> [String] {
        var question = Requests()
        question.dumpRules(of: chain, in: table)
        return try socket.ask(question).compactMap(TableReplies.rule).map(\.signature)
    }

    private func elements(of set: SetSchema) throws(NetlinkError) -> [SetElement] {
        var question = Requests()
        question.dumpElements(set: set.name, in: table)
        return try socket.ask(question).flatMap(TableReplies.elements)
    }
}

private let forwardingFile = "/proc/sys/net/ipv4/ip_forward"

/// /proc/sys/net shows the namespace of the thread that looks.
private func enableForwarding(for networks: [NetworkState]) throws(Failure) {
    if networks.contains(where: { !$0.isInternal }) { try enableForwarding() }
    if networks.contains(where: { !$0.isInternal && $0.ipv6 != nil }) { try enableIPv6Forwarding() }
}

func enableForwarding() throws(Failure) {
    do throws(SyscallError) {
        if !isForwarding { try writeControl(forwardingFile, "1") }
    } catch {
        throw Failure(
            "cannot connect networks to the outside", error, advice: "set net.ipv4.ip_forward=1 on this host")
    }
}

/// A link that forwards takes no router advertisements any more unless accept_ra is 2 (Documentation/networking/
/// ip-sysctl.rst): those that take them now go on, or the host would lose its own default route.
private func enableIPv6Forwarding() throws(Failure) {
    let directory = "/proc/sys/net/ipv6/conf"
    do throws(SyscallError) {
        guard try readFile(directory + "/all/forwarding").first == UInt8(ascii: "0") else { return }
        for link in try directoryEntries(directory) where link != "all" && link != "lo" {
            let path = "\(directory)/\(link)/accept_ra"
            // A link may go while we look.
            if (try? readFile(path))?.first == UInt8(ascii: "1") { try? writeControl(path, "2") }
        }
        try writeControl(directory + "/all/forwarding", "1")
    } catch {
        throw Failure(
            "cannot connect networks to the outside over IPv6", error,
            advice: "set net.ipv6.conf.all.forwarding=1 on this host, or remove `enable_ipv6`")
    }
}

/// What can't be read is not told as switched off.
var isForwarding: Bool {
    (try? readFile(forwardingFile).first) != UInt8(ascii: "0")
}

extension HostNetworks {
    /// Begins to let the firewall forward for networks, on a thread of its own; `finishAdmitting` waits for it.
    public func beginAdmitting(_ networks: [NetworkState], project: String) throws(Failure) {
        try firewall.beginAdmitting(networks, owner: owner(project))
    }

    /// False when it did not come to be: `publish` does it, or says why it can't.
    public func finishAdmitting() -> Bool { firewall.finishAdmitting() }

    /// Publishes ports and connects networks to the outside, in one transaction; idempotent.
    ///
    /// It only adds: a container that has a port less is unpublished first. Whether another program has a port is for
    /// `reservingPorts` to say.
    /// Give only ports of containers on a network that is not internal: internal ones take nothing from outside.
    public func publish(_ ports: [PublishedPort], networks: [NetworkState], project: String) throws(Failure) {
        try firewall.publish(ports, networks: networks, owner: owner(project))
        try endStaleFlows(published: ports.compactMap { LedPort($0) })
    }

    /// Removes the published ports of one container.
    public func unpublish(container: String, project: String) throws(Failure) {
        let owner = owner(project)
        try withdraw { owner.owns($0, container: container) }
    }

    /// Removes every firewall element of a project, ports and networks.
    public func unpublish(project: String) throws(Failure) {
        let owner = owner(project)
        try withdraw { owner.owns($0) }
    }

    /// Removes elements of the firewall, and the flows that they led.
    func withdraw(matching belongs: (String) -> Bool) throws(Failure) {
        try endStaleFlows(withdrawn: try firewall.withdraw(matching: belongs))
    }

    /// What of the firewall table is not as `publish` left it.
    public func verifyTable(_ ports: [PublishedPort], networks: [NetworkState], project: String)
        throws(Failure)
        -> [FirewallDrift]
    {
        try firewall.drift(ports, networks: networks, owner: owner(project))
    }

    /// Makes the table as it ought to be: rules anew, elements added.
    public func repairTable(_ ports: [PublishedPort], networks: [NetworkState], project: String)
        throws(Failure)
    {
        try firewall.rebuild()
        try publish(ports, networks: networks, project: project)
    }
}
