// SPDX-License-Identifier: Apache-2.0
//
// Other firewalls of the host, as far as they concern us: a packet is forwarded only when every base chain at the
// forward hook lets it (nft(8), "Chains"), so one of another table that drops by its policy drops what our table accepts.
// Looked at, never changed. What iptables-legacy keeps is not in nf_tables and not seen here.

public import Basics
internal import Kernel
internal import Netlink

/// A base chain at the forward hook, not ours, that drops what its rules don't accept.
public struct ForwardDrop: Hashable, Sendable {
    /// As nft(8) names it, `ip filter`.
    public var table: String
    public var chain: String
}

/// Foreign chains that drop our traffic: none of their rules speaks of our links, whose names begin with `cvy`.
/// - Throws: when nf_tables can't be asked.
public func foreignForwardDrops() throws(Failure) -> [ForwardDrop] {
    let doing = "cannot look at the host's firewalls"
    let socket = try asking(doing) { () throws(SyscallError) in try NetlinkSocket(.netfilter) }
    var found: [ForwardDrop] = []
    do throws(NetlinkError) {
        for (family, name) in [(ProtocolFamily.ipv4, "ip"), (ProtocolFamily.inet, "inet")] {
            var question = Requests()
            question.dumpChains(family: family)
            for message in try socket.ask(question, roughly: true) {
                guard let chain = TableReplies.dropsByPolicy(message, at: .forward),
                    message.payload.first == family.rawValue
                else { continue }
                let table = TableName(family, chain.table)
                if table == FirewallTable.name { continue }
                var rules = Requests()
                rules.dumpRules(in: table)
                let speaksOfUs = try socket.ask(rules, roughly: true).contains { rule in
                    TableReplies.rule(rule)?.chain == chain.name
                        && rule.payload.firstRange(of: Array("cvy".utf8)) != nil
                }
                if !speaksOfUs {
                    found.append(ForwardDrop(table: "\(name) \(chain.table)", chain: chain.name))
                }
            }
        }
    } catch {
        throw Failure(doing, error)
    }
    return found
}

private func asking<Result>(_ doing: String, _ body: () throws(SyscallError) -> Result) throws(Failure)
    -> Result
{
    do throws(SyscallError) {
        return try body()
    } catch {
        throw Failure(doing, error)
    }
}
