// SPDX-License-Identifier: Apache-2.0
//
// The files of the resolver: the host's resolv.conf read, a container's resolv.conf and hosts written. Pure.

public import Basics
internal import CLinux
public import ContainerModel
public import Netlink

/// A name server.
public struct ResolverAddress: Hashable, Sendable {
    public enum Address: Hashable, Sendable {
        case ipv4(IPv4Address)
        case ipv6([UInt8])
    }

    public var address: Address
    /// The one link it is asked over, by name or number: the zone of a link-local address (RFC 4007, section 11), or the
    /// bridge of the network it is on. nil: as the routes say.
    public var link: String?

    public init(_ address: Address, link: String? = nil) {
        self.address = address
        self.link = link
    }

    /// From an address, an IPv6 one with or without a zone, `fe80::1%eth0`; nil for anything else.
    public init?(_ text: String) {
        if let address = IPv4Address(text) {
            self.init(.ipv4(address))
            return
        }
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var bytes = [UInt8](repeating: 0, count: 16)
        guard let first = parts.first, linux_parse_inet6(String(first), &bytes) != 0, parts.last != ""
        else { return nil }
        self.init(.ipv6(bytes), link: parts.count > 1 ? String(parts[1]) : nil)
    }

    public static func ipv4(_ address: IPv4Address) -> ResolverAddress { ResolverAddress(.ipv4(address)) }
}

/// What a resolv.conf says; resolv.conf(5).
public struct ResolvConf: Hashable, Sendable {
    public var servers: [ResolverAddress] = []
    public var search: [String] = []
    public var options: [String] = []

    public init() {}

    /// Reads a resolv.conf; what is not understood is passed over, as the C library does. Without a usable server
    /// it is the one on this machine.
    public init(parsing text: String) {
        for line in text.split(separator: "\n") {
            if line.hasPrefix("#") || line.hasPrefix(";") { continue }
            let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
            guard let keyword = words.first else { continue }
            let values = words.dropFirst().map(String.init)
            switch keyword {
            case "nameserver":
                // The C library takes three.
                if servers.count < 3, let text = values.first, let server = ResolverAddress(text) {
                    servers.append(server)
                }
            case "search": search = values
            case "domain": search = Array(values.prefix(1))
            case "options": options += values
            default: break
            }
        }
        if servers.isEmpty { servers = [.ipv4(.loopback)] }
    }
}

/// A container's resolv.conf: our name service, the host's search domains, the host's options but for `ndots`, which
/// is 0 so that a service's bare name is asked for as it is, first. Domains and options that are given stand in place
/// of the host's.
public func resolvConfText(host: ResolvConf, search: [String]? = nil, options given: [String]? = nil)
    -> String
{
    var text = "# Made by Covey; names are answered by it, others by this host's name servers.\n"
    text += "nameserver \(nameServiceAddress)\n"
    let search = (search ?? host.search).filter { $0 != "." }
    if !search.isEmpty { text += "search \(search.joined(separator: " "))\n" }
    let options = given ?? host.options.filter { !$0.hasPrefix("ndots:") }
    let dots = options.contains { $0.hasPrefix("ndots:") } ? [] : ["ndots:0"]
    return text + "options \((options + dots).joined(separator: " "))\n"
}

/// The hosts of a container that uses the host's own network: the host's, and the extra ones.
public func hostsText(ofHost own: String, extraHosts: [HostEntry]) -> String {
    let lines = extraHosts.map { entry in
        // The host is its own gateway.
        "\(entry.address == "host-gateway" ? "127.0.0.1" : entry.address)\t\(entry.name)\n"
    }
    return own + (own.isEmpty || own.hasSuffix("\n") ? "" : "\n") + lines.joined()
}

/// A container's hosts: localhost, the extra ones, and itself on each of its addresses.
///
/// `host-gateway` as an extra host's address becomes `hostGateway`; without one the entry is left out.
public func hostsText(
    hostname: String, addresses: [IPv4Address], ipv6Addresses: [IPv6Address] = [],
    extraHosts: [HostEntry] = [], hostGateway: String? = nil
) -> String {
    var text = """
        127.0.0.1\tlocalhost
        ::1\tlocalhost ip6-localhost ip6-loopback
        fe00::0\tip6-localnet
        ff00::0\tip6-mcastprefix
        ff02::1\tip6-allnodes
        ff02::2\tip6-allrouters

        """
    for entry in extraHosts {
        if entry.address != "host-gateway" {
            text += "\(entry.address)\t\(entry.name)\n"
        } else if let hostGateway {
            text += "\(hostGateway)\t\(entry.name)\n"
        }
    }
    // A domain in the host name gives the short name too, as hosts(5) has it.
    let short = hostname.split(separator: ".").first.map(String.init) ?? hostname
    let names = short == hostname ? hostname : "\(hostname) \(short)"
    for address in addresses { text += "\(address)\t\(names)\n" }
    for address in ipv6Addresses { text += "\(address)\t\(names)\n" }
    return text
}
