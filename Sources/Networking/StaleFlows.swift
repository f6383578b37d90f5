// SPDX-License-Identifier: Apache-2.0
//
// Stale flows: connection tracking decides with a flow's first packet where all of it goes, and a udp flow lives on as long as
// somebody sends. One that began while its port was not published would never reach the container, and one to a container's
// former address would reach whoever has that now (moby#44742). So what no longer goes where it ought to is forgotten,
// after the firewall's elements were changed; a tcp connection breaks and is made anew by itself.
//
// Only where udp ports are published: others pay nothing. A kernel without ctnetlink (CONFIG_NF_CT_NETLINK) keeps such
// flows until they end by themselves.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Netlink

/// A udp port of the host, and where it leads.
struct LedPort: Hashable {
    /// 0.0.0.0 for every address of the host.
    var hostAddress: IPv4Address
    var hostPort: UInt16
    var address: IPv4Address
    var port: UInt16

    /// nil for tcp.
    init?(_ published: PublishedPort) {
        guard published.proto == .udp else { return nil }
        hostAddress = published.hostAddress
        hostPort = published.hostPort
        address = published.address
        port = published.port
    }

    /// From an element of the firewall's maps; nil for those of other sets, and for tcp.
    init?(_ element: SetElement, of set: SetSchema) {
        let (key, value) = (element.key, element.value)
        guard set == FirewallTable.published || set == FirewallTable.everywhere, key.first == 17,
            key.count == set.key.count * 4, value.count >= 6, let address = IPv4Address(bytes: value[..<4])
        else { return nil }
        func number(_ bytes: [UInt8], at offset: Int) -> UInt16 {
            UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
        }
        hostAddress = set == FirewallTable.published ? IPv4Address(bytes: key[4..<8]) ?? .any : .any
        hostPort = number(key, at: key.count - 4)
        self.address = address
        port = number(value, at: 4)
    }
}

/// Which flows are to be forgotten: those to a port that was published which go anywhere else, and those to one that was taken
/// back which go to where that led. Pure.
/// - Parameter own: the host's addresses; 127/8 is beside.
func staleFlows(
    _ flows: [TrackedFlow], published: [LedPort], withdrawn: [LedPort], own: Set<IPv4Address>
) -> [TrackedFlow] {
    func isOwn(_ address: IPv4Address) -> Bool { address.value >> 24 == 127 || own.contains(address) }
    let publishedByPort = Dictionary(grouping: published, by: \.hostPort)
    let withdrawnByPort = Dictionary(grouping: withdrawn, by: \.hostPort)
    return flows.filter { flow in
        func leads(_ port: LedPort) -> Bool {
            flow.answerer == port.address && flow.answererPort == port.port
        }
        let port = flow.destinationPort
        if withdrawnByPort[port]?.contains(where: leads) ?? false { return true }
        return publishedByPort[port]?.contains { port in
            let isThere =
                port.hostAddress == .any ? isOwn(flow.destination) : flow.destination == port.hostAddress
            return isThere && !leads(port)
        } ?? false
    }
}

extension HostNetworks {
    /// Has connection tracking forget the udp flows that ports no longer lead, or do now. To be called once the firewall
    /// says so: what comes before makes them again.
    func endStaleFlows(published: [LedPort] = [], withdrawn: [LedPort] = []) throws(Failure) {
        guard !published.isEmpty || !withdrawn.isEmpty else { return }
        let doing = "cannot end udp flows to ports that lead elsewhere now"
        try asking(doing) { () throws(NetlinkError) in
            var question = Requests()
            question.dumpUDPFlows()
            let flows: [TrackedFlow]
            do throws(NetlinkError) {
                flows = try netfilter.ask(question, roughly: true).compactMap(TrackedFlow.init)
            } catch {
                // No such subsystem (nfnetlink_rcv_msg), nor a module of it.
                let lacking: [Errno] = [.invalid, .notSupported, .noEntry]
                if lacking.contains(error.errno) { return }
                throw error
            }
            let hostPorts = Set((published + withdrawn).map(\.hostPort))
            let candidates = flows.filter { hostPorts.contains($0.destinationPort) }
            if candidates.isEmpty { return }
            var addresses = Requests()
            addresses.dumpAddresses()
            let own = try route.ask(addresses).compactMap(AddressState.init).map(\.address)
            var deletions = Requests()
            for flow in staleFlows(candidates, published: published, withdrawn: withdrawn, own: Set(own)) {
                deletions.deleteFlow(flow)
            }
            for case let error? in try netfilter.outcomes(of: deletions) where error.errno != .noEntry {
                throw error
            }
        }
    }
}
