// SPDX-License-Identifier: Apache-2.0
//
// ResourceReader: top-level networks, volumes, configs and secrets (06 to 09 of the Compose specification).

internal import Basics
internal import ComposeModel
internal import YAMLTree

struct ResourceReader {
    let around: Surroundings

    func network(_ key: String, _ keyPlace: Place, _ field: Field) -> Network {
        var network = Network(name: "\(around.projectName)_\(key)")
        network.marks = marks(keyPlace, field)
        let (isExternal, name) = external(field, key)
        network.external = isExternal
        if let name { network.name = name }
        for (key, _, field) in fields(field) {
            switch key {
            case "name": network.name = field.nonEmptyString() ?? network.name
            case "driver":
                network.driver = field.string().flatMap { $0.isEmpty || $0 == "default" ? nil : $0 }
                if let driver = network.driver, driver != "bridge" {
                    field.error("is \(driver), which is not supported", advice: "`bridge` is")
                }
            case "internal": network.isInternal = field.bool() ?? false
            case "attachable": network.attachable = field.bool() ?? false
            case "labels": network.labels = field.labels()
            case "ipam":
                guard let config = field.node.mapping?.pair("config") else { continue }
                network.ipam = field.child(config).elements().compactMap { self.subnet($0) }
                if network.ipam.count > 1 {
                    field.child(config).error("has \(network.ipam.count) subnets", advice: "one is supported")
                }
            default: continue
            }
        }
        return network
    }

    private func subnet(_ field: Field) -> Network.Subnet? {
        var subnet = Network.Subnet()
        var range: Subnet4?
        for (key, _, field) in field.fields() where key == "subnet" {
            guard let text = field.string() else { return nil }
            guard let parsed = Subnet4(text) else {
                if isIPv6(text.prefix { $0 != "/" }) {
                    field.error("is \"\(text)\"; IPv6 is not supported")
                } else {
                    field.error("is \"\(text)\"; expected a subnet such as 10.5.0.0/24")
                }
                return nil
            }
            if !parsed.isExact {
                field.error(
                    "is \"\(text)\", which has bits beyond its prefix",
                    advice: "did you mean \(parsed.exact)?")
            } else if parsed.length > 30 || parsed.length < 8 {
                field.error("is \"\(text)\"; a prefix from /8 to /30 is needed")
            }
            range = parsed
            subnet.subnet = text
        }
        for (key, _, field) in field.fields() {
            switch key {
            case "gateway":
                guard let text = field.string() else { continue }
                guard let address = ipv4(text) else {
                    field.wrongForm(expected: "an IPv4 address")
                    continue
                }
                if range?.contains(address) != true { field.error("is \(text), which is not in the subnet") }
                subnet.gateway = text
            case "ip_range":
                guard let text = field.string() else { continue }
                guard let part = Subnet4(text) else {
                    field.wrongForm(expected: "a part of the subnet, such as 10.5.0.128/25")
                    continue
                }
                if range.map({ $0.contains(part.address) && $0.length <= part.length }) != true {
                    field.error("is \(text), which is not in the subnet")
                }
                subnet.ipRange = text
            default: continue
            }
        }
        return subnet
    }

    func volume(_ key: String, _ keyPlace: Place, _ field: Field) -> Volume {
        var volume = Volume(name: "\(around.projectName)_\(key)")
        volume.marks = marks(keyPlace, field)
        let (isExternal, name) = external(field, key)
        volume.external = isExternal
        if let name { volume.name = name }
        for (key, _, field) in fields(field) {
            switch key {
            case "name": volume.name = field.nonEmptyString() ?? volume.name
            case "driver":
                volume.driver = field.string().flatMap { $0.isEmpty || $0 == "default" ? nil : $0 }
                if let driver = volume.driver, driver != "local" {
                    field.error("is \(driver), which is not supported", advice: "`local` is")
                }
            case "labels": volume.labels = field.labels()
            default: continue
            }
        }
        return volume
    }

    /// A config or a secret; nil when nothing says where its content is.
    func file(_ key: String, _ keyPlace: Place, _ field: Field) -> FileSource? {
        var source = FileSource(name: "\(around.projectName)_\(key)", content: .content(""))
        source.marks = marks(keyPlace, field)
        var given: [String] = []
        for (key, _, field) in field.fields() {
            switch key {
            case "name": source.name = field.nonEmptyString() ?? source.name
            case "labels": source.labels = field.labels()
            case "file":
                given.append(key)
                if let path = field.nonEmptyString() { source.content = .file(around.absolute(path)) }
            case "content":
                given.append(key)
                source.content = .content(field.string() ?? "")
            case "environment":
                given.append(key)
                if let name = field.nonEmptyString() { source.content = .environment(name) }
            default: continue
            }
        }
        if given.count == 1 { return source }
        // An external one was refused by the ledger already.
        if given.isEmpty, field.node.mapping?["external"] != nil { return nil }
        field.error(
            given.isEmpty
                ? "does not say where its content is"
                : "has \(given.map { "`\($0)`" }.joined(separator: " and ")) for its content",
            advice:
                "give one of `file`, `environment`\(field.path.text.hasPrefix("configs") ? ", `content`" : "")",
            at: keyPlace)
        return nil
    }

    // MARK: Parts

    private func fields(_ field: Field) -> [(key: String, keyPlace: Place, field: Field)] {
        field.node.isNull ? [] : field.fields()
    }

    private func marks(_ keyPlace: Place, _ field: Field) -> Marks {
        var marks = Marks(element: keyPlace.location)
        for pair in field.node.mapping?.pairs ?? [] { marks.attributes[pair.key] = pair.keyPlace.location }
        return marks
    }

    /// Whether a resource is made by others, and its real name then. Nothing but its name may be said of it.
    private func external(_ field: Field, _ key: String) -> (Bool, name: String?) {
        guard let mapping = field.node.mapping, let pair = mapping.pair("external") else {
            return (false, nil)
        }
        let external = field.child(pair)
        var name: String? = key
        if let old = pair.value.mapping {
            field.log.warn(
                "`\(external.path.text).name` is obsolete", advice: "write `external: true` and `name:`",
                at: pair.keyPlace)
            for pair in old.pairs where pair.key != "name" && !pair.key.hasPrefix("x-") {
                field.log.error(
                    "unknown attribute `\(external.child(pair).path.text)`", advice: "known here: name",
                    at: pair.keyPlace)
            }
            name = old["name"]?.text ?? key
        } else if external.bool() != true {
            return (false, nil)
        }
        for pair in mapping.pairs where !["external", "name"].contains(pair.key) && !pair.key.hasPrefix("x-")
        {
            guard !pair.value.isNull else { continue }
            field.log.error(
                "`\(field.child(pair).path.text)` cannot be given: `\(field.path.text)` is external",
                cause: "an external resource is made and described by others", at: pair.keyPlace)
        }
        return (true, name)
    }
}
