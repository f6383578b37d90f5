// SPDX-License-Identifier: Apache-2.0
//
// What a service says of one interface beyond its addresses: the interface's name, and Docker's options for it.

internal import ComposeModel
internal import YAMLTree

extension Field {
    /// The name of a network interface.
    func interfaceName() -> String? {
        guard let name = nonEmptyString() else { return nil }
        if !isInterfaceName(name) {
            error(
                "is \"\(name)\", which no interface of a container can be called",
                advice:
                    "a name has up to 15 letters, digits and signs, and no blank, `/`, `:` or `%`; `lo` is taken"
            )
        }
        return name
    }

    /// `driver_opts` of a service's network: those Docker documents, and nothing else that would be silently forgotten.
    func endpointOptions() -> [String: String] {
        typealias Option = Service.Attachment.Option
        for (key, _, field) in fields() where field.isScalar {
            switch key {
            case Option.interfaceName: _ = field.interfaceName()
            case Option.sysctls: field.checkLinkSysctls()
            default:
                field.refuse(
                    "is not supported", advice: "`\(Option.interfaceName)` and `\(Option.sysctls)` are")
            }
        }
        return options()
    }

    private func checkLinkSysctls() {
        for entry in Service.Attachment.Option.entries(of: node.text ?? "")
        where !isLinkSysctl(entry.name) || entry.value == nil {
            error(
                "has \"\(entry.name)\(entry.value.map { "=\($0)" } ?? "")\"; "
                    + "expected net.FAMILY.conf.IFNAME.NAME=VALUE, more of them after commas",
                advice:
                    "IFNAME stands for the interface; the families are ipv4, ipv6 and mpls, `neigh` may stand for `conf`"
            )
        }
    }
}

/// dev_valid_name of net/core/dev.c; beside it a percent sign, which the kernel reads as a pattern in a new link's name, and
/// the one interface that is always there.
func isInterfaceName(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count) && !["lo", ".", ".."].contains(name)
        && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a && $0 != 0x25 }
}

private func isLinkSysctl(_ name: String) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 5 && parts[0] == "net" && ["ipv4", "ipv6", "mpls"].contains(parts[1])
        && ["conf", "neigh"].contains(parts[2]) && parts[3] == "IFNAME" && !parts[4].isEmpty
        && parts[4].utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 0x5f }
}
