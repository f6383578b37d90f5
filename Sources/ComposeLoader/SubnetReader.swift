// SPDX-License-Identifier: Apache-2.0
//
// SubnetReader: an element of a network's `ipam.config` (06-networks.md): the subnet first, as all else is held against it.

internal import Basics
internal import ComposeModel

/// A subnet of either family.
private enum AddressRange {
    case four(Subnet4)
    case six(IPv6Subnet)

    /// Whether a text is an address of it.
    func contains(_ text: String) -> Bool {
        switch self {
        case .four(let range): ipv4(text).map { range.contains($0) } == true
        case .six(let range): IPv6Address(text).map { range.contains($0) } == true
        }
    }
}

extension Field {
    /// nil without a subnet that can be read, where one is given.
    func subnet() -> Network.Subnet? {
        var subnet = Network.Subnet()
        var range: AddressRange?
        if let pair = node.mapping?.pair("subnet") {
            guard let text = child(pair).string(), let found = child(pair).addressRange(text) else {
                return nil
            }
            subnet.subnet = text
            range = found
        }
        for (key, _, field) in fields() {
            switch key {
            case "aux_addresses":
                subnet.auxiliary = field.options()
                field.checkAuxiliary(range)
            case "gateway": subnet.gateway = field.gateway(range)
            case "ip_range": subnet.ipRange = field.part(of: range)
            default: continue
            }
        }
        return subnet
    }

    private func addressRange(_ text: String) -> AddressRange? {
        if let range = Subnet4(text) {
            if !range.isExact {
                error(
                    "is \"\(text)\", which has bits beyond its prefix", advice: "did you mean \(range.exact)?"
                )
            } else if range.length > 30 || range.length < 8 {
                error("is \"\(text)\"; a prefix from /8 to /30 is needed")
            }
            return .four(range)
        }
        guard let range = IPv6Subnet(text) else {
            error("is \"\(text)\"; expected a subnet such as 10.5.0.0/24 or fd00:5::/64")
            return nil
        }
        if !IPv6Subnet.isExact(text) {
            error("is \"\(text)\", which has bits beyond its prefix", advice: "did you mean \(range)?")
        } else if range.prefix > 124 || range.prefix < 16 {
            error("is \"\(text)\"; a prefix from /16 to /124 is needed")
        } else if !range.base.isUnicast {
            error(
                "is \"\(text)\", from which no container can have an address",
                advice: "take one of fd00::/8, or one that is routed to this host")
        }
        return .six(range)
    }

    private func checkAuxiliary(_ range: AddressRange?) {
        for (_, _, field) in fields() where field.isScalar {
            guard let range else {
                field.error("is given without a `subnet`", advice: "name the subnet it is in")
                continue
            }
            let text = field.node.text ?? ""
            if !range.contains(text) { field.error("is \"\(text)\", which is not an address of the subnet") }
        }
    }

    private func gateway(_ range: AddressRange?) -> String? {
        guard let text = string() else { return nil }
        if case .six(let range) = range {
            guard let address = IPv6Address(text) else {
                wrongForm(expected: "an IPv6 address")
                return nil
            }
            if !range.contains(address) || address == range.base {
                error("is \(text), which is not an address of the subnet")
            }
            return text
        }
        guard ipv4(text) != nil else {
            wrongForm(expected: "an IPv4 address")
            return nil
        }
        if range?.contains(text) != true { error("is \(text), which is not in the subnet") }
        return text
    }

    /// `ip_range`: what containers' addresses are taken from.
    private func part(of range: AddressRange?) -> String? {
        guard let text = string() else { return nil }
        let isWithin: Bool
        if case .six(let range) = range {
            guard let part = IPv6Subnet(text), IPv6Subnet.isExact(text) else {
                wrongForm(expected: "a part of the subnet, such as fd00:5::8000/113")
                return nil
            }
            isWithin = range.contains(part.base) && range.prefix <= part.prefix
        } else {
            guard let part = Subnet4(text) else {
                wrongForm(expected: "a part of the subnet, such as 10.5.0.128/25")
                return nil
            }
            if case .four(let range) = range {
                isWithin = range.contains(part.address) && range.length <= part.length
            } else {
                isWithin = false
            }
        }
        if !isWithin { error("is \(text), which is not in the subnet") }
        return text
    }
}
