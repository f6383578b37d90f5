// SPDX-License-Identifier: Apache-2.0
//
// ResourceReader: top-level networks, volumes, configs and secrets (06 to 09 of the Compose specification).

internal import Basics
internal import ComposeModel
internal import YAMLTree

struct ResourceReader {
    let around: Surroundings

    func network(_ key: String, _ keyPlace: Place, _ field: Field) -> Network {
        var network = Network(name: around.realName(key))
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
                    field.refuse("is \(driver), which is not supported", advice: "`bridge` is")
                }
            case "driver_opts":
                network.driverOptions = field.options()
                checkOptions(field)
            case "enable_ipv4": network.enableIPv4 = field.bool()
            case "enable_ipv6": network.enableIPv6 = field.bool()
            case _ where key.hasPrefix("x-"): network.extensions[key] = field.node.value
            case "internal": network.isInternal = field.bool() ?? false
            case "attachable": network.attachable = field.bool() ?? false
            case "labels": network.labels = field.labels()
            case "ipam":
                guard let ipam = field.node.mapping else {
                    if !field.node.isNull { field.wrongForm(expected: "a mapping") }
                    continue
                }
                network.ipamDriver = ipam.pair("driver").flatMap { field.child($0).string() }
                    .flatMap { $0.isEmpty ? nil : $0 }
                if let driver = network.ipamDriver, driver != "default",
                    let pair = ipam.pair("driver")
                {
                    field.child(pair).refuse(
                        "is \(driver), which is not supported",
                        cause: "addresses are given by Covey itself", advice: "`default` is")
                }
                network.ipamOptions = ipam.pair("options").map { field.child($0).options() } ?? [:]
                guard let config = ipam.pair("config") else { continue }
                network.ipam = field.child(config).elements().compactMap { $0.subnet() }
                let subnets = network.ipam.map(\.isIPv6)
                if subnets.count > Set(subnets).count {
                    field.child(config).refuse(
                        "has \(subnets.count) subnets", advice: "one of IPv4 and one of IPv6 are supported")
                }
            default: continue
            }
        }
        if network.enableIPv6 != true, !network.external, network.ipam.contains(where: \.isIPv6) {
            field.error("has an IPv6 subnet and no IPv6", advice: "add `enable_ipv6: true`")
        }
        if network.enableIPv4 == false, !network.external {
            if network.enableIPv6 != true {
                field.refuse("has neither IPv4 nor IPv6", advice: "add `enable_ipv6: true`")
            }
            if network.ipam.contains(where: { !$0.isIPv6 && $0.subnet != nil }) {
                field.refuse("has an IPv4 subnet and no IPv4", advice: "remove `enable_ipv4: false`")
            }
        }
        return network
    }

    /// Docker's option for the size of packets, and nothing else that would be silently forgotten.
    private func checkOptions(_ field: Field) {
        for (key, _, field) in field.fields() {
            guard key == "com.docker.network.driver.mtu" else {
                field.refuse(
                    "is not supported", advice: "`com.docker.network.driver.mtu` is")
                continue
            }
            guard let text = field.string() else { continue }
            // IPv6 needs 1280 (RFC 8200, section 5), a veth takes 68 to 65535.
            guard let size = digits(text, as: Int.self), (68...65535).contains(size) else {
                field.error("is \"\(text)\"; a number from 68 to 65535 is needed")
                continue
            }
        }
    }

    func volume(_ key: String, _ keyPlace: Place, _ field: Field) -> Volume {
        var volume = Volume(name: around.realName(key))
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
                    field.refuse("is \(driver), which is not supported", advice: "`local` is")
                }
            case "driver_opts": volume.driverOptions = field.volumeOptions(around)
            case _ where key.hasPrefix("x-"): volume.extensions[key] = field.node.value
            case "labels": volume.labels = field.labels()
            default: continue
            }
        }
        return volume
    }

    /// A config or a secret; nil when nothing says where its content is.
    func file(_ key: String, _ keyPlace: Place, _ field: Field) -> FileSource? {
        var source = FileSource(name: around.realName(key), content: .content(""))
        source.marks = marks(keyPlace, field)
        let (isExternal, externalName) = external(field, key)
        if isExternal {
            source.content = .external
            source.name = externalName ?? key
        }
        var given: [String] = []
        for (key, _, field) in field.fields() {
            switch key {
            case "driver": source.driver = field.string()
            case "driver_opts": source.driverOptions = field.options()
            case "template_driver": source.templateDriver = field.string()
            case _ where key.hasPrefix("x-"): source.extensions[key] = field.node.value
            case "name": source.name = field.nonEmptyString() ?? source.name
            case "labels": source.labels = field.labels()
            case "file":
                given.append(key)
                if let path = field.nonEmptyString() {
                    source.content = .file(around.absolute(path, at: field.place))
                }
            case "content":
                given.append(key)
                source.content = .content(field.string() ?? "")
            case "environment":
                given.append(key)
                if let name = field.nonEmptyString() {
                    source.content = .environment(name, value: around.variable(name, at: field.place))
                }
            default: continue
            }
        }
        if given.count == 1 || isExternal { return source }
        // A driver knows where it is.
        if given.isEmpty, source.driver != nil {
            source.content = .external
            return source
        }
        field.error(
            given.isEmpty
                ? "does not say where its content is"
                : "has \(given.map { "`\($0)`" }.joined(separator: " and ")) for its content",
            advice:
                "give one of `file`, `environment`\(field.path.text.hasPrefix("configs") ? ", `content`" : "")",
            at: keyPlace)
        return nil
    }

    func model(_ key: String, _ keyPlace: Place, _ field: Field) -> Model? {
        var model = Model(model: "")
        for (key, _, field) in fields(field) {
            switch key {
            case "name": model.name = field.nonEmptyString()
            case "model": model.model = field.nonEmptyString() ?? ""
            case "context_size": model.contextSize = field.integer(0...Int.max, what: "a number of tokens")
            case "runtime_flags": model.runtimeFlags = field.strings()
            case _ where key.hasPrefix("x-"): model.extensions[key] = field.node.value
            default: continue
            }
        }
        if field.node.mapping?["model"] == nil {
            field.error("has no `model`", advice: "name the model's artifact", at: keyPlace)
            return nil
        }
        return model
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
            if let pair = old.pair("name"), !pair.value.isNull {
                name = external.child(pair).nonEmptyString() ?? key
            }
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
