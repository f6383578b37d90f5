// SPDX-License-Identifier: Apache-2.0
//
// HostNetworks: a project's bridges, addresses and links in the caller's network namespace. Mechanism: each call does
// one thing, idempotently, and says what it did; nothing is remembered here but two sockets.
//
// The kernel's part in order: a bridge is made down with its group and MAC, then gets alias, settings and up in a second
// message of the same send (rtnl_newlink reads an alias only on change), then its address.

public import Basics
public import ContainerModel
internal import Kernel
public import Netlink

/// A veth to make for a container whose first process waits.
public struct EndpointAttachment: Sendable {
    public var container: String
    public var network: NetworkState
    public var address: IPv4Address
    /// Where the peer is born.
    public var namespace: NamespacePlace
    /// The link's name inside, `eth0`.
    public var linkName: String
    /// nil: made from the address.
    public var hardwareAddress: MACAddress?

    public init(
        container: String, network: NetworkState, address: IPv4Address, namespace: NamespacePlace,
        linkName: String = "eth0"
    ) {
        self.container = container
        self.network = network
        self.address = address
        self.namespace = namespace
        self.linkName = linkName
    }
}

/// Bridges, leases and links of the host. Belongs to one thread.
public final class HostNetworks {
    public let root: String
    let route: NetlinkSocket
    let netfilter: NetlinkSocket
    let records: NetworkRecords
    public let firewall: Firewall
    private var attachments: UInt32 = 0
    /// By network (Guests.swift).
    var knownLeases: [String: KnownLeases] = [:]

    /// Opens netlink sockets in the calling thread's network namespace and makes the record directories.
    public init(root: String = NetworkOwner.defaultRoot) throws(Failure) {
        self.root = root
        records = NetworkRecords(root: root)
        do throws(SyscallError) {
            route = try NetlinkSocket(.route)
            netfilter = try NetlinkSocket(.netfilter)
            firewall = Firewall(netfilter)
            try records.ensureDirectories()
        } catch {
            throw Failure("cannot prepare networking", error)
        }
    }

    public func owner(_ project: String) -> NetworkOwner { NetworkOwner(project: project, root: root) }

    /// Runs `body` with the host lock held.
    func locked<Result>(_ doing: String, _ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let lock: FileLock
        do throws(SyscallError) {
            lock = try FileLock(records.lockPath)
        } catch {
            throw Failure(doing, error)
        }
        let result = try body()
        _ = consume lock
        return result
    }

    /// All messages of a kernel refusal in the user's words.
    func asking<Result>(_ doing: String, _ body: () throws(NetlinkError) -> Result) throws(Failure) -> Result
    {
        do throws(NetlinkError) {
            return try body()
        } catch {
            throw Failure(doing, error)
        }
    }

    // MARK: Link groups

    /// The project's link group: reserved once, never 0, used by no other link of this host.
    public func reserveGroup(project: String) throws(Failure) -> UInt32 {
        let doing = "cannot reserve a link group for project \"\(project)\""
        return try locked(doing) { () throws(Failure) in
            var groups = try records.groups()
            if let group = groups[project] { return group }
            let links = try links(doing)
            let owner = owner(project)
            // A lost record: what runs says its group.
            if let mine = links.first(where: { $0.group != 0 && owner.owns($0.alias) }) {
                groups[project] = mine.group
                try records.save(groups: groups)
                return mine.group
            }
            let taken = Set(groups.values).union(links.map(\.group))
            // Far above what people number by hand.
            var group = 0x4000_0000 | spread("\(root)\u{0}\(project)") & 0x3fff_ffff
            while taken.contains(group) { group = 0x4000_0000 | (group &+ 1) & 0x3fff_ffff }
            groups[project] = group
            try records.save(groups: groups)
            return group
        }
    }

    /// Every project with a link group of this root.
    public func reservedGroups() throws(Failure) -> [String: UInt32] {
        try locked("cannot read the link groups") { () throws(Failure) in try records.groups() }
    }

    func releaseGroup(project: String) throws(Failure) {
        try locked("cannot release the link group of project \"\(project)\"") { () throws(Failure) in
            var groups = try records.groups()
            if groups.removeValue(forKey: project) != nil { try records.save(groups: groups) }
        }
    }

    // MARK: Networks

    /// Makes the bridge of a network with a subnet nobody else uses, or finds it as it is.
    ///
    /// An external network must exist. Errors name the network, and what a subnet collides with.
    public func ensureNetwork(_ request: NetworkRequest, project: String, group: UInt32) throws(Failure)
        -> NetworkState
    {
        let doing = "cannot create network \"\(request.name)\""
        return try locked(doing) { () throws(Failure) in
            let recorded = try records.network(request.name)
            if request.external && recorded == nil {
                throw Failure(
                    "cannot use external network \"\(request.name)\"", cause: "there is no such network",
                    advice: "bring the project up that defines it, or remove `external: true`")
            }
            if let recorded, !request.external, recorded.project != project {
                throw Failure(
                    doing, cause: "project \"\(recorded.project)\" has a network of that name",
                    advice: "give it another `name:`, or use that one with `external: true`")
            }
            let bridge = bridgeName(request.name)
            let link = try asking(doing) { () throws(NetlinkError) in try findLink(bridge) }
            let alias = owner(recorded?.project ?? project).alias(network: request.name)
            if let link, link.alias != alias, !link.alias.isEmpty {
                throw Failure(
                    doing, cause: "the link name \(bridge) is taken by \"\(link.alias)\"",
                    advice: "give the network another `name:`")
            }
            if let link, var state = recorded, link.isUp, !link.alias.isEmpty,
                request.external || matches(request, state, group)
            {
                state.index = link.index
                return state
            }
            if request.external {
                throw Failure(
                    "cannot use external network \"\(request.name)\"",
                    cause: "its bridge \(bridge) is not there",
                    advice: "bring project \"\(recorded?.project ?? "")\" up again")
            }
            // Made anew it would be another bridge, without their links.
            let guests = link == nil ? [] : try guests(on: request.name, besides: project)
            guard guests.isEmpty else {
                throw Failure("cannot change network \"\(request.name)\"", guests: guests)
            }
            let links = try links(doing)
            let routes = try asking(doing) { () throws(NetlinkError) in
                var question = Requests()
                question.dumpRoutes()
                return try route.ask(question).compactMap(RouteState.init)
            }
            let allocation = SubnetAllocation(
                others: try records.networks().filter { $0.name != request.name },
                links: links,
                addresses: try asking(doing) { () throws(NetlinkError) in
                    var question = Requests()
                    question.dumpAddresses()
                    return try route.ask(question).compactMap(AddressState.init)
                },
                routes: routes, ipv6Addresses: try ipv6Addresses(for: request, doing), ownBridge: link?.index)
            var state = try allocation.choose(
                request, project: project, group: group, bridge: bridge, seed: "\(root)\u{0}\(request.name)",
                recorded: recorded)
            state.mtu = request.mtu.map { UInt32($0) } ?? uplinkMTU(routes, links)
            try records.save(state)
            // An internal network that was not one, or the reverse, stands in the wrong set.
            if recorded != nil { try withdraw { $0 == alias } }
            if let link {
                // Half made, or made for another subnet.
                try asking(doing) { () throws(NetlinkError) in
                    var requests = Requests()
                    requests.deleteLink(index: link.index, name: bridge)
                    try route.perform(requests)
                }
            }
            state.index = try asking(doing) { () throws(NetlinkError) in try makeBridge(state, alias: alias) }
            return state
        }
    }

    private func matches(_ request: NetworkRequest, _ state: NetworkState, _ group: UInt32) -> Bool {
        state.isInternal == request.isInternal && state.group == group
            && (request.subnet ?? state.subnet.description) == state.subnet.description
            && (request.gateway ?? state.gateway.description) == state.gateway.description
            && (request.ipRange ?? state.range.description) == state.range.description
            && (request.ipv6 == nil) == (state.ipv6 == nil)
            && (request.ipv6?.subnet ?? state.ipv6?.subnet) == state.ipv6?.subnet
            && (request.ipv6?.gateway ?? state.ipv6?.gateway) == state.ipv6?.gateway
            && (request.ipv6?.range ?? state.ipv6?.range) == state.ipv6?.range
            && (request.withoutIPv4 ?? false) != state.hasIPv4
            && (request.auxiliary ?? [:]) == (state.auxiliary ?? [:])
            && (request.mtu.map { UInt32($0) } ?? state.mtu) == state.mtu
    }

    /// Bridges of one root and another never share a name: the hash covers the root.
    func bridgeName(_ network: String) -> String { "cvy" + shortHash("\(root)\u{0}\(network)", digits: 8) }

    func makeBridge(_ state: NetworkState, alias: String) throws(NetlinkError) -> UInt32 {
        var requests = Requests()
        requests.createBridge(
            name: state.bridge, group: state.group, mac: MACAddress(for: state.gateway),
            mtu: state.mtu)
        try route.perform(requests)
        guard let link = try findLink(state.bridge) else {
            throw NetlinkError("look up link \(state.bridge)", .noDevice)
        }
        // Its alias and that it is up come last: a bridge that has both is whole.
        var rest = Requests()
        if state.hasIPv4 {
            rest.addAddress(
                state.gateway, prefix: state.subnet.prefix, index: link.index, linkName: state.bridge)
        }
        refuseAdvertisements(on: state.bridge)
        if let ipv6 = state.ipv6 {
            try allowIPv6(on: state.bridge)
            rest.addGateway(ipv6, index: link.index, linkName: state.bridge)
        }
        rest.configureBridge(name: state.bridge, alias: alias, routeLocalnet: !state.isInternal)
        try route.perform(rest)
        return link.index
    }

    /// Where IPv6 is switched off for new links, it is switched on for ours. /proc/sys/net shows the namespace of the thread
    /// that looks.
    private func allowIPv6(on link: String) throws(NetlinkError) {
        let path = "/proc/sys/net/ipv6/conf/\(link)/disable_ipv6"
        do throws(SyscallError) {
            if try readFile(path).first != UInt8(ascii: "0") { try writeControl(path, "0") }
        } catch {
            // ENOENT: a kernel without IPv6.
            throw NetlinkError(
                "switch on IPv6 for \(link)", error.errno == .noEntry ? .noAddressFamily : error.errno)
        }
    }

    /// A container with CAP_NET_RAW could make itself this host's IPv6 router (CVE-2020-13401). A kernel without IPv6 takes no
    /// advertisements at all.
    private func refuseAdvertisements(on link: String) {
        try? writeControl("/proc/sys/net/ipv6/conf/\(link)/accept_ra", "0")
    }

    private func ipv6Addresses(for request: NetworkRequest, _ doing: String) throws(Failure)
        -> [IPv6AddressState]
    {
        if request.ipv6 == nil { return [] }
        return try asking(doing) { () throws(NetlinkError) in
            var question = Requests()
            question.dumpIPv6Addresses()
            return try route.ask(question).compactMap(IPv6AddressState.init)
        }
    }

    /// The network as recorded, with its bridge's index; 0 when there is no whole bridge: its making was cut off, or the
    /// machine was started anew. nil when nothing is recorded.
    public func network(_ name: String) throws(Failure) -> NetworkState? {
        guard var state = try records.network(name) else { return nil }
        let link = try asking("cannot look at network \"\(name)\"") { () throws(NetlinkError) in
            try findLink(state.bridge)
        }
        state.index = link.map { $0.isUp && !$0.alias.isEmpty ? $0.index : 0 } ?? 0
        return state
    }

    func findLink(_ name: String) throws(NetlinkError) -> LinkState? {
        var question = Requests()
        question.getLink(name: name)
        do throws(NetlinkError) {
            return try route.ask(question).compactMap { LinkState($0) }.first
        } catch {
            if error.errno == .noDevice { return nil }
            throw error
        }
    }

    func links(_ doing: String) throws(Failure) -> [LinkState] {
        try asking(doing) { () throws(NetlinkError) in
            var question = Requests()
            question.dumpLinks()
            return try route.ask(question).compactMap { LinkState($0) }
        }
    }

    /// Every link of this project, for observation.
    public func projectLinks(_ project: String) throws(Failure) -> [LinkState] {
        let owner = owner(project)
        return try links("cannot list the links of project \"\(project)\"").filter { owner.owns($0.alias) }
    }

    // MARK: Endpoints

    /// Makes the veth of one container; its host end is up and in the bridge on return. Gives the host end's name.
    ///
    /// The peer is down and without an address: the child brings it up itself (`containerRouteMessages`).
    @discardableResult
    public func attach(_ endpoint: EndpointAttachment, project: String, group: UInt32) throws(Failure)
        -> String
    {
        let network = endpoint.network.name
        let alias = owner(project).alias(container: endpoint.container, network: network)
        let mac = endpoint.hardwareAddress ?? MACAddress(for: endpoint.address)
        // A link of this name may still be dying with its namespace (netns clean-up runs later): then another name.
        for attempt in 0..<8 {
            attachments &+= 1
            let seed = "\(alias)\u{0}\(monotonicNanoseconds())\u{0}\(attachments)"
            let name = "cvyv" + String(spread(seed), radix: 16) + String(attempt)
            var requests = Requests()
            requests.createVeth(
                name: name, group: group, master: endpoint.network.index, peerName: endpoint.linkName,
                peerMAC: mac, peer: endpoint.namespace, mtu: endpoint.network.mtu)
            requests.configurePort(name: name, alias: alias)
            do throws(NetlinkError) {
                try route.perform(requests)
                return name
            } catch {
                if error.errno == .exists && attempt < 7 && (try? findLink(name)) != nil { continue }
                var advice: String?
                if error.errno == .noProcess { advice = "the container ended before it had its network" }
                throw Failure(
                    "cannot connect container \"\(endpoint.container)\" to network \"\(network)\"", error,
                    advice: advice)
            }
        }
        throw Failure("cannot connect container \"\(endpoint.container)\" to network \"\(network)\"")
    }
}

/// The MTU of the link that the default route goes out by, where it is not the kernel's default: packets from containers
/// fit then, in a tunnel or a cloud's network, without waiting for an answer that they don't.
func uplinkMTU(_ routes: [RouteState], _ links: [LinkState]) -> UInt32? {
    // RTN_UNICAST in RT_TABLE_MAIN; linux/rtnetlink.h.
    let ways = routes.filter { $0.destination.prefix == 0 && $0.kind == 1 && $0.table == 254 }
    // The lowest of several: whichever of them is taken, a packet fits.
    let sizes = ways.compactMap { way in links.first { $0.index == way.index }?.mtu }.filter { $0 >= 68 }
    guard let least = sizes.min(), least != 1500 else { return nil }
    return min(least, 65535)
}

extension Requests {
    /// A bridge's address that is the gateway, and one of the link's own, from which neighbours are asked for others
    /// (RFC 4861, section 7.2.2).
    mutating func addGateway(_ ipv6: IPv6State, index: UInt32, linkName: String) {
        addAddress(ipv6.gateway, prefix: ipv6.subnet.prefix, index: index, linkName: linkName)
        addAddress(
            IPv6Address(high: 0xfe80 << 48, low: 1), prefix: 64, index: index, linkName: linkName)
    }
}

extension Failure {
    /// A network is in use by other projects.
    init(_ doing: String, guests: [String]) {
        self.init(
            doing, cause: "containers of other projects are on it: \(guests.joined(separator: ", "))",
            advice: "stop them first")
    }

    /// A netlink refusal in the user's words.
    init(_ doing: String, _ error: NetlinkError, advice: String? = nil) {
        self.init(
            doing, cause: error.description,
            advice: advice
                ?? (error.errno == .notPermitted ? "run as root, or with CAP_NET_ADMIN" : nil))
    }
}
