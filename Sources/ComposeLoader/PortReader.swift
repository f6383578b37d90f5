// SPDX-License-Identifier: Apache-2.0
//
// PortReader: `ports`, short and long (05-services.md, "ports"). A range onto a range becomes one port each; a
// range onto one port stays a range, of which the first free one is taken.

internal import Basics
internal import ComposeModel

/// How many ports a load may still make: a range of a dozen characters is 65,535 of them, and a host has no more.
final class PortAllowance {
    static let limit = 65535
    private var left = limit

    /// - Returns: false when there are not as many.
    func take(_ count: Int) -> Bool {
        guard count <= left else { return false }
        left -= count
        return true
    }
}

extension Field {
    /// `ports` of a service, each once.
    func ports() -> [Service.Port] {
        let ports = elements().flatMap { element -> [Service.Port] in
            element.node.mapping == nil ? element.shortPorts() : element.longPorts()
        }
        return unique(ports) { port in
            SamePort(
                address: port.hostIP ?? "0.0.0.0", published: port.published, target: port.target,
                proto: port.proto)
        }
    }

    /// What two ports must not have in common. No text: a range may be of all ports there are.
    private struct SamePort: Hashable {
        var address: String
        var published: ClosedRange<UInt16>?
        var target: UInt16
        var proto: Service.Port.Proto
    }

    /// `[[IP:]HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]`
    private func shortPorts() -> [Service.Port] {
        guard let text = string() else { return [] }
        let form = "\"[[IP:]HOST:]CONTAINER[/PROTOCOL]\""
        func refuse() -> [Service.Port] {
            error("is \"\(text)\"; expected \(form)")
            return []
        }
        var rest = text[...]
        var proto = Service.Port.Proto.tcp
        if let slash = rest.lastIndex(of: "/") {
            guard let given = self.proto(String(rest[rest.index(after: slash)...])) else { return [] }
            proto = given
            rest = rest[..<slash]
        }
        var host: Substring?
        var address: String?
        if let colon = rest.lastIndex(of: ":") {
            let before = rest[..<colon]
            rest = rest[rest.index(after: colon)...]
            if let second = before.lastIndex(of: ":") {
                host = before[before.index(after: second)...]
                var ip = before[..<second]
                if ip.first == "[", ip.last == "]" { ip = ip.dropFirst().dropLast() }
                guard ipv4(ip) != nil || isIPv6(ip) else {
                    error("is \"\(text)\"; \"\(ip)\" is not an address", advice: "expected \(form)")
                    return []
                }
                address = String(ip)
            } else {
                host = before
            }
        }
        guard let targets = range(rest) else { return refuse() }
        var published: ClosedRange<UInt16>?
        if let host, !(host.isEmpty && address != nil) {
            guard let range = range(host) else { return refuse() }
            published = range
        }
        return expand(targets, published, address, proto, text: text)
    }

    private func expand(
        _ targets: ClosedRange<UInt16>, _ published: ClosedRange<UInt16>?, _ address: String?,
        _ proto: Service.Port.Proto, text: String
    ) -> [Service.Port] {
        guard log.ports.take(targets.count) else {
            error(
                "is \"\(text)\": with it the project has more than \(PortAllowance.limit) ports",
                advice: "publish those that are reached from outside; a service is reached by others without")
            return []
        }
        let location = place.location
        func port(_ target: UInt16, _ published: ClosedRange<UInt16>?) -> Service.Port {
            var port = Service.Port(target: target, published: published, proto: proto)
            port.hostIP = address
            port.location = location
            return port
        }
        if targets.count == 1 { return [port(targets.lowerBound, published)] }
        guard let published else { return targets.map { port($0, nil) } }
        guard published.count == targets.count else {
            error(
                "is \"\(text)\": \(published.count) host ports for \(targets.count) container ports",
                advice: "give both ranges the same length")
            return []
        }
        return zip(targets, published).map { port($0, $1...$1) }
    }

    private func longPorts() -> [Service.Port] {
        var target: UInt16?
        var published: ClosedRange<UInt16>?
        var port = Service.Port(target: 1, published: nil)
        for (key, _, field) in fields() {
            switch key {
            case "target":
                target = field.integer(1...65535, what: "a port from 1 to 65535").map(UInt16.init)
                if target == nil { return [] }
            case "published":
                guard let text = field.node.text, !text.isEmpty else { continue }
                guard let range = range(text[...]) else {
                    field.wrongForm(expected: "a port or a range of ports, such as \"8000-8010\"")
                    return []
                }
                published = range
            case "host_ip":
                guard let text = field.string(), !text.isEmpty else { continue }
                guard ipv4(text) != nil || isIPv6(text) else {
                    field.wrongForm(expected: "an address")
                    return []
                }
                port.hostIP = text
            case "protocol":
                guard let text = field.string(), let proto = field.proto(text) else { return [] }
                port.proto = proto
            case "mode":
                guard let mode = field.string() else { continue }
                guard mode == "host" || mode == "ingress" else {
                    field.wrongForm(expected: "host or ingress")
                    continue
                }
                port.mode = mode
            case "name": port.name = field.string()
            case "app_protocol": port.appProtocol = field.string()
            default: continue
            }
        }
        guard let target else {
            error("has no `target`", advice: "`target` is the container's port")
            return []
        }
        port.target = target
        port.published = published
        port.location = place.location
        return [port]
    }

    private func proto(_ text: String) -> Service.Port.Proto? {
        switch text.lowercased() {
        case "tcp": return .tcp
        case "udp": return .udp
        case "sctp":
            refuse("asks for sctp, which is not supported", advice: "tcp and udp are")
            return .sctp
        default: error("names the protocol \"\(text)\"", advice: "tcp and udp are supported")
        }
        return nil
    }

    private func range(_ text: Substring) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        func port(_ text: Substring) -> UInt16? {
            guard text.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(text), port > 0 else {
                return nil
            }
            return port
        }
        guard let first = ends.first.flatMap(port) else { return nil }
        guard ends.count == 2 else { return first...first }
        guard let last = port(ends[1]), last >= first else { return nil }
        return first...last
    }
}
