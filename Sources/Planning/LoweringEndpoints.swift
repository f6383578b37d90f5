// SPDX-License-Identifier: Apache-2.0
//
// A service's network interfaces: which networks in which order, with what addresses, names and settings. Fixed IPv6 and
// hardware addresses are in LoweringAddresses.swift.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// In the order of their interfaces: highest priority, then by key.
    func endpoints() throws(Failure) -> [EndpointRequest] {
        if let network = namedNetwork { return [EndpointRequest(network: network.name)] }
        let attachments = try attachments().sorted {
            $0.value.priority != $1.value.priority
                ? $0.value.priority > $1.value.priority : $0.key < $1.key
        }
        var endpoints: [EndpointRequest] = []
        for (key, attachment) in attachments {
            guard let network = project.networks[key] else {
                throw Failure(
                    "service \(quoted(service.name)) uses network \(quoted(key)), which is not declared",
                    advice: nearest(to: key, among: project.networks.keys.sorted())
                        .map { "did you mean \(quoted($0))?" }
                        ?? "declare it under the top-level `networks`",
                    at: service.marks.place("networks.\(key)", "networks"))
            }
            // The controller puts the container's own name beside these, once per replica.
            var aliases = [service.name]
            // As Docker has it: whoever knows itself by a name is found by it.
            let own = service.hostname.map { [$0] } ?? []
            for alias in attachment.aliases + own where !aliases.contains(alias) { aliases.append(alias) }
            if attachment.ipv4Address != nil { try checkFixed("ipv4_address", on: key) }
            if let address = attachment.ipv4Address, network.enableIPv4 == false {
                throw mistake(
                    "networks.\(key).ipv4_address", "has the address \(address) on network \(quoted(key))",
                    cause: "that network has no IPv4", advice: "remove its `enable_ipv4: false`")
            }
            var endpoint = EndpointRequest(
                network: network.name, aliases: aliases, ipv4Address: attachment.ipv4Address)
            endpoint.ipv6Address = try ipv6Address(on: key, attachment, network)
            endpoint.macAddress = try hardwareAddress(on: key, attachment, isFirst: endpoints.isEmpty)
            endpoint.settings = try settings(on: key, attachment)
            if let name = endpoint.settings?.linkName,
                endpoints.contains(where: { $0.settings?.linkName == name })
            {
                throw mistake(
                    "networks.\(key).interface_name", "has two interfaces called \(quoted(name))",
                    advice: "give one of them another `interface_name`")
            }
            endpoints.append(endpoint)
        }
        if endpoints.isEmpty, service.macAddress != nil {
            throw mistake(
                "mac_address", "has a `mac_address` and no network", advice: "remove it, or give it a network"
            )
        }
        return endpoints
    }

    /// By key. Two keys of one network are one attachment, with the aliases of both.
    private func attachments() throws(Failure) -> [String: Service.Attachment] {
        var found: [String: Service.Attachment] = [:]
        var keys: [String: String] = [:]
        for (key, attachment) in service.networks.sorted(by: { $0.key < $1.key }) {
            guard let name = project.networks[key]?.name,
                let other = keys[name], var merged = found[other]
            else {
                if let name = project.networks[key]?.name { keys[name] = key }
                found[key] = attachment
                continue
            }
            var plain = attachment
            plain.aliases = merged.aliases
            guard plain == merged else {
                throw Failure(
                    "service \(quoted(service.name)) is on network \(quoted(name)) twice, as \(quoted(other)) and as \(quoted(key)), with other settings",
                    cause: "a container has one interface on a network", advice: "keep one of them",
                    at: service.marks.place("networks"))
            }
            for alias in attachment.aliases where !merged.aliases.contains(alias) {
                merged.aliases.append(alias)
            }
            found[other] = merged
        }
        return found
    }

    private func settings(on key: String, _ attachment: Service.Attachment) throws(Failure)
        -> EndpointSettings?
    {
        typealias Option = Service.Attachment.Option
        var settings = EndpointSettings()
        let option = attachment.driverOptions[Option.interfaceName]
        if let name = attachment.interfaceName, let option, name != option {
            throw mistake(
                "networks.\(key).interface_name", "has two interface names on network \(quoted(key))",
                cause: "\(name), and \(option) of `\(Option.interfaceName)`", advice: "keep one of them")
        }
        settings.linkName = attachment.interfaceName ?? option
        settings.gatewayPriority = attachment.gatewayPriority
        if !attachment.linkLocalAddresses.isEmpty { try checkFixed("link_local_ips", on: key) }
        settings.linkLocalAddresses = attachment.linkLocalAddresses
        for entry in Option.entries(of: attachment.driverOptions[Option.sysctls] ?? "") {
            settings.sysctls[entry.name] = entry.value
        }
        return settings.isEmpty ? nil : settings
    }

    /// An address is one container's.
    private func checkFixed(_ attribute: String, on key: String) throws(Failure) {
        guard service.replicas > 1 else { return }
        throw Failure(
            "service \(quoted(service.name)) has \(service.replicas) replicas and a fixed address",
            cause: "only one container can have `\(attribute)` on network \(quoted(key))",
            advice: "remove `\(attribute)`, or run one replica",
            at: service.marks.place("networks.\(key).\(attribute)", "networks.\(key)", "networks"))
    }
}
