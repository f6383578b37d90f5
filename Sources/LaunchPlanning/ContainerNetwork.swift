// SPDX-License-Identifier: Apache-2.0
//
// The part of a container's program that is about its network namespace: lo and the name service need nothing from outside
// and come first, the links are waited for.

internal import CLaunch

extension LaunchProgram {
    /// - own: sysctls of a network namespace that is the container's own, nil in another one.
    mutating func addNetwork(_ prepared: PreparedContainer, proc: Slot, own: [String: String]?) {
        if !prepared.nameServiceRules.isEmpty || prepared.awaitsLinks {
            let address: UInt64 = 0x0b00_007f  // 127.0.0.11 in network order
            // lo first: the sockets need its address to be reachable, and it needs nothing from outside.
            for link in prepared.links where link.name == "lo" {
                add(L_NETLINK, "bringing up lo", texts: [link.name], blob: link.messages, numbers: [0])
            }
            if !prepared.nameServiceRules.isEmpty {
                add(L_NETLINK, "redirecting name queries", blob: prepared.nameServiceRules, numbers: [12])
                let udp = newSlot()
                let tcp = newSlot()
                let port = UInt64(prepared.nameServicePort)
                add(L_SOCKET, "opening the name service", slots: [udp], numbers: [2, address, port])
                add(L_SOCKET, "opening the name service", slots: [tcp], numbers: [1, address, port])
                add(
                    L_SEND, "handing over the name service",
                    blob: nativeBytes(udp.number) + nativeBytes(tcp.number),
                    numbers: [UInt64(LaunchTag.nameServiceSockets)])
            }
            if prepared.awaitsLinks {
                add(L_AWAIT, "waiting for network interfaces", numbers: [UInt64(LaunchTag.linksReady)])
            }
            for link in prepared.links where link.name != "lo" { configure(link, proc: proc, own: own) }
        } else {
            for link in prepared.links { configure(link, proc: proc, own: own) }
        }
    }

    private mutating func configure(_ link: PreparedLink, proc: Slot, own: [String: String]?) {
        let advertisements = "net/ipv6/conf/\(link.name)/accept_ra"
        if link.name != "lo", let own, link.sysctls[advertisements] == nil,
            own["net.ipv6.conf.\(link.name).accept_ra"] == nil
        {
            // Its neighbours are no routers (CVE-2020-13401). ENOENT: a kernel without IPv6.
            add(
                L_WRITE, "refusing router advertisements on \(link.name)", slots: [nil, proc],
                texts: ["sys/\(advertisements)"], blob: [UInt8(ascii: "0")], flags: 1)
        }
        for (path, value) in link.sysctls.sorted(by: { $0.key < $1.key }) {
            add(
                L_WRITE, "setting sysctl \(path.split(separator: "/").joined(separator: ".")) to \(value)",
                slots: [nil, proc], texts: ["sys/\(path)"], blob: Array(value.utf8))
        }
        add(
            L_NETLINK, "configuring \(link.name)", texts: [link.name], blob: link.messages, numbers: [0])
    }
}
