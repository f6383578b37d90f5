// SPDX-License-Identifier: Apache-2.0
//
// The attributes of a service that have a form of their own, in the order of 05-services.md.

internal import Basics
internal import ComposeModel
internal import YAMLTree

extension Field {
    /// Complains when two names for one limit are both given and differ.
    func agree<Limit: Equatable>(_ own: Limit?, _ other: Limit?, _ otherName: String) {
        if let own, let other, own != other {
            error("differs from `\(otherName)`", advice: "give one of them")
        }
    }

    /// One of a few words.
    func oneOf(_ words: [String]) -> String? {
        guard let text = nonEmptyString() else { return nil }
        if words.contains(text) { return text }
        error(
            "is \"\(text)\"",
            advice: nearest(to: text, among: words).map { "did you mean \"\($0)\"?" }
                ?? "\(words.dropLast().joined(separator: ", "))\(words.count > 1 ? " or " : "")\(words.last ?? "")"
        )
        return nil
    }

    /// A namespace: one of a few words, another service's (`service:NAME`) or a container's (`container:NAME`).
    func namespace(_ words: [String]) -> String? {
        guard let text = nonEmptyString() else { return nil }
        for prefix in ["service:", "container:"] where text.hasPrefix(prefix) {
            if text.utf8.count > prefix.utf8.count { return text }
        }
        return oneOf(words + ["service:NAME", "container:NAME"])
    }

    /// Whole microseconds, or a duration.
    func microseconds() -> Int? {
        if let text = node.text, let number = Int(text), number >= -1 { return number }
        guard let text = node.text, let duration = Duration(compose: text) else {
            wrongForm(expected: "microseconds, or a duration such as 50ms")
            return nil
        }
        return Int(duration.nanoseconds / 1000)
    }

    /// A duration with days and weeks: `1w2d`, as in `every_12h`.
    func longDuration() -> String? {
        guard let text = nonEmptyString() else { return nil }
        if isLongDuration(text) { return text }
        wrongForm(expected: "a duration such as 12h, 3d or 1w")
        return nil
    }

    private func isLongDuration(_ text: String) -> Bool {
        var rest = text[...]
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(number.count)
            guard !number.isEmpty, let unit = rest.popFirst(), "wdhms".contains(unit) else { return false }
        }
        return !text.isEmpty
    }

    func pullPolicy() -> String? {
        guard let policy = string() else { return nil }
        switch policy {
        case "always", "missing", "if_not_present", "never", "build", "refresh", "daily", "weekly":
            return policy
        case _ where policy.hasPrefix("every_") && isLongDuration(String(policy.dropFirst(6))): return policy
        default:
            wrongForm(expected: "always, missing, never, build, refresh, daily, weekly or every_<duration>")
        }
        return nil
    }

    /// `os[/arch[/variant]]`; the host's own is the only one that is honoured.
    func platform() -> String? {
        guard let given = nonEmptyString() else { return nil }
        let text = given.lowercased()
        let host = Surroundings.platform
        let architecture = String(host.split(separator: "/")[1])
        let synonyms = architecture == "amd64" ? ["x86_64"] : ["aarch64", "arm64/v8"]
        let accepted = [host, architecture] + synonyms.flatMap { [$0, "linux/\($0)"] } + ["linux"]
        if !accepted.contains(text) {
            refuse("is \(text), which is not supported", cause: "this host is \(host)")
        }
        return given
    }

    func envFiles(_ around: Surroundings) -> [(file: Service.EnvironmentFileReference, place: Place)] {
        func file(_ field: Field) -> (file: Service.EnvironmentFileReference, place: Place)? {
            var file = Service.EnvironmentFileReference(path: "")
            guard field.node.mapping != nil else {
                guard let path = field.nonEmptyString() else { return nil }
                file.path = around.absolute(path, at: field.place)
                return (file, field.place)
            }
            for (key, _, field) in field.fields() {
                switch key {
                case "path":
                    file.path = field.nonEmptyString().map { around.absolute($0, at: field.place) } ?? ""
                case "required": file.required = field.bool() ?? true
                case "format":
                    if field.node.isNull { continue }
                    file.isRaw = field.node.text == "raw"
                    if !file.isRaw { field.wrongForm(expected: "raw") }
                default: continue
                }
            }
            if file.path.isEmpty {
                if field.node.mapping?["path"] == nil { field.error("has no `path`") }
                return nil
            }
            return (file, field.place)
        }
        let files = node.text != nil ? [file(self)] : elements().map(file)
        return unique(files.compactMap { $0 }) { $0.file.path }
    }

    func labelFiles(_ around: Surroundings) -> [(path: String, place: Place)] {
        let fields = node.text != nil ? [self] : elements()
        return unique(
            fields.compactMap { field in
                field.nonEmptyString().map { (around.absolute($0, at: field.place), field.place) }
            }
        ) { $0.path }
    }

    func exposed() -> [String] {
        var ports: [String] = []
        for element in elements() {
            guard let text = element.string() else { continue }
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
            let numbers = ends.compactMap { digits($0, as: UInt16.self) }
            let isGood =
                (1...2).contains(ends.count) && numbers.count == ends.count
                && numbers[0] <= numbers[ends.count - 1]
                && parts.count <= 2
                && (parts.count == 1 || ["tcp", "udp", "sctp"].contains(parts[1]))
            if isGood {
                ports.append(text)
            } else {
                element.wrongForm(expected: "\"PORT[-PORT][/PROTOCOL]\"")
            }
        }
        return unique(ports) { $0 }
    }

    func attachments() -> [String: Service.Attachment] {
        var found: [String: Service.Attachment] = [:]
        if node.items != nil {
            for name in strings() { found[name] = Service.Attachment() }
            return found
        }
        for (name, _, field) in fields() {
            var attachment = Service.Attachment()
            for (key, _, field) in field.fields() {
                switch key {
                case "aliases":
                    attachment.aliases = unique(field.strings()) { $0 }
                    for alias in attachment.aliases where !isHostName(alias) {
                        field.error("has \"\(alias)\", which is not a host's name (RFC 1123)")
                    }
                case "ipv4_address":
                    attachment.ipv4Address = field.string()
                    if let text = attachment.ipv4Address, ipv4(text) == nil {
                        field.wrongForm(expected: "an IPv4 address")
                    }
                case "ipv6_address":
                    attachment.ipv6Address = field.string()
                    if let text = attachment.ipv6Address, !isIPv6(text) {
                        field.wrongForm(expected: "an IPv6 address")
                    }
                case "link_local_ips":
                    attachment.linkLocalAddresses = unique(field.strings()) { $0 }
                    for address in attachment.linkLocalAddresses
                    where ipv4(address) == nil && !isIPv6(address) {
                        field.error("names \"\(address)\", which is not an address")
                    }
                case "mac_address": attachment.macAddress = field.macAddress()
                case "interface_name": attachment.interfaceName = field.interfaceName()
                case "driver_opts": attachment.driverOptions = field.endpointOptions()
                case "gw_priority": attachment.gatewayPriority = field.integer() ?? 0
                case "priority": attachment.priority = field.integer() ?? 0
                default: continue
                }
            }
            found[name] = attachment
        }
        return found
    }

    func networkMode() -> String? {
        guard let mode = nonEmptyString() else { return nil }
        // Any other word is a network that is there already.
        for prefix in ["service:", "container:"] where mode == prefix { wrongForm(expected: "\(prefix)NAME") }
        return mode
    }

    func dependencies() -> [String: Service.Dependency] {
        var found: [String: Service.Dependency] = [:]
        if node.items != nil {
            for name in strings() { found[name] = Service.Dependency(condition: .started) }
            return found
        }
        for (name, _, field) in fields() {
            var dependency = Service.Dependency(condition: .started)
            for (key, _, field) in field.fields() {
                switch key {
                case "condition":
                    if let condition = field.node.text.flatMap(Service.Dependency.Condition.init) {
                        dependency.condition = condition
                    } else {
                        field.wrongForm(
                            expected: "service_started, service_healthy or service_completed_successfully")
                    }
                case "restart": dependency.restart = field.bool() ?? false
                case "required": dependency.required = field.bool() ?? true
                default: continue
                }
            }
            found[name] = dependency
        }
        return found
    }

    func healthcheck() -> Service.HealthcheckSetting? {
        if node.isNull { return nil }
        var setting = Service.HealthcheckSetting()
        for (key, _, field) in fields() {
            switch key {
            case "disable": setting.disabled = field.bool() ?? false
            case "interval": setting.interval = field.duration()
            case "timeout": setting.timeout = field.duration()
            case "start_period": setting.startPeriod = field.duration()
            case "start_interval": setting.startInterval = field.duration()
            case "retries": setting.retries = field.integer(0...Int.max, what: "a number of tries")
            case "test":
                if let text = field.node.text {
                    setting.test = ["CMD-SHELL", text]
                } else {
                    let words = field.strings()
                    switch words.first {
                    case "NONE", nil: break
                    case "CMD-SHELL" where words.count == 2, "CMD" where words.count > 1: break
                    case "CMD", "CMD-SHELL": field.error("begins with \(words[0]) and has no command for it")
                    default:
                        field.error(
                            "begins with \"\(words[0])\"", advice: "a list begins with CMD, CMD-SHELL or NONE"
                        )
                    }
                    if !words.isEmpty { setting.test = words }
                }
            default: continue
            }
        }
        return setting
    }

    func restart() -> Service.Restart? {
        guard let text = string() else { return nil }
        switch text {
        case "no", "false", "": return .no
        case "always": return .always
        case "unless-stopped": return .unlessStopped
        case "on-failure": return .onFailure(maximumRetries: nil)
        default:
            if text.hasPrefix("on-failure:"), let count = digits(text.dropFirst(11), as: Int.self) {
                return .onFailure(maximumRetries: count)
            }
            wrongForm(expected: "no, always, on-failure[:N] or unless-stopped")
            return nil
        }
    }

    func cpus() -> Double? {
        guard let cpus = number(what: "a number of processors such as 0.5") else { return nil }
        if cpus < 0 { wrongForm(expected: "a number of processors such as 0.5") }
        return cpus
    }

    func pids() -> Int? {
        integer(-1...4_194_304, what: "a number of processes, or -1")
    }

    func signal() -> String? {
        guard let text = string() else { return nil }
        if signalName(text) != nil { return text }
        let near = nearest(to: text.uppercased(), among: signalNames)
        error(
            "is \"\(text)\", which is no signal",
            advice: near.map { "did you mean \($0)?" } ?? "such as SIGTERM or 15")
        return nil
    }

    func capabilities() -> [String] {
        var names: [String] = []
        for element in elements() {
            guard let text = element.string() else { continue }
            var name = text.uppercased()
            if name.hasPrefix("CAP_") { name.removeFirst(4) }
            if capabilityNames.contains(name) {
                names.append(text)
            } else {
                element.error(
                    "is \"\(text)\", which is no capability of Linux",
                    advice: nearest(to: name, among: capabilityNames).map { "did you mean \($0)?" })
            }
        }
        return unique(names) { $0 }
    }

    func securityOptions() -> [String] {
        var options: [String] = []
        for element in elements() {
            guard let text = element.string() else { continue }
            options.append(text)
            if text == "no-new-privileges" { continue }
            let key = text.prefix { $0 != ":" && $0 != "=" }
            let value = text.dropFirst(key.count + 1)
            let isKnown =
                switch key {
                case "no-new-privileges": ["true", "false"].contains(value)
                case "systempaths": value == "unconfined"
                case "seccomp", "apparmor": !value.isEmpty
                case "label":
                    value == "disable"
                        || ["user:", "role:", "type:", "level:"].contains {
                            value.hasPrefix($0) && value.count > $0.count
                        }
                default: false
                }
            if !isKnown {
                element.refuse(
                    "is \"\(text)\", which is not supported",
                    advice: "no-new-privileges, seccomp, apparmor, label and systempaths=unconfined are")
            }
        }
        return unique(options) { $0 }
    }

    /// `NAME=ADDRESS`, `NAME:ADDRESS`, `[v6]` in brackets or not; a mapping may have several addresses for a name.
    func extraHosts() -> [Service.ExtraHost] {
        var hosts: [Service.ExtraHost] = []
        func add(_ name: String, _ address: String, _ field: Field) {
            var address = address[...]
            if address.first == "[", address.last == "]" { address = address.dropFirst().dropLast() }
            if address == "host-gateway" {
                hosts.append(Service.ExtraHost(name: name, address: String(address)))
            } else if !isHostName(name) || ipv4(address) == nil && !isIPv6(address) {
                field.error("is not a name and an address", advice: "such as \"db.local=10.0.0.5\"")
            } else {
                hosts.append(Service.ExtraHost(name: name, address: String(address)))
            }
        }
        if let mapping = node.mapping {
            for pair in mapping.pairs {
                for address in child(pair).stringOrList() { add(pair.key, address, child(pair)) }
            }
        } else {
            for element in elements() {
                guard let text = element.string() else { continue }
                guard let cut = text.firstIndex(of: "=") ?? text.firstIndex(of: ":") else {
                    element.wrongForm(expected: "\"NAME=ADDRESS\"")
                    continue
                }
                add(String(text[..<cut]), String(text[text.index(after: cut)...]), element)
            }
        }
        return unique(hosts) { "\($0.name) \($0.address)" }
    }

    func ulimits() -> [String: Service.Ulimit] {
        var limits: [String: Service.Ulimit] = [:]
        for (name, keyPlace, field) in fields() where !name.hasPrefix("x-") {
            guard limitNames.contains(name) else {
                log.error(
                    "unknown limit `\(field.path.text)`",
                    advice: nearest(to: name, among: limitNames).map { "did you mean `\($0)`?" }
                        ?? "known: \(limitNames.joined(separator: ", "))", at: keyPlace)
                continue
            }
            let (soft, hard): (Int?, Int?)
            if let mapping = field.node.mapping {
                guard let low = mapping.pair("soft"), let high = mapping.pair("hard") else {
                    field.error("needs both `soft` and `hard`")
                    continue
                }
                soft = field.child(low).integer(-1...Int.max, what: "a number, or -1 for no limit")
                hard = field.child(high).integer(-1...Int.max, what: "a number, or -1 for no limit")
            } else {
                soft = field.integer(-1...Int.max, what: "a number, or -1 for no limit")
                hard = soft
            }
            guard let soft, let hard else { continue }
            if hard >= 0, soft < 0 || soft > hard { field.error("has a soft limit above its hard one") }
            limits[name] = Service.Ulimit(soft: Int64(soft), hard: Int64(hard))
        }
        return limits
    }

    func sysctls() -> [String: String] {
        var values: [String: String] = [:]
        for (key, value, field) in keyValues() {
            if let value, !value.isEmpty { values[key] = value } else { field.error("has no value") }
        }
        return values
    }

    /// `configs` and `secrets` of a service.
    func grants(defaultDirectory: String) -> [Service.FileGrant] {
        var grants: [Service.FileGrant] = []
        for element in elements() {
            var grant = Service.FileGrant(source: "", target: "")
            if element.node.mapping != nil {
                for (key, _, field) in element.fields() {
                    switch key {
                    case "source": grant.source = field.nonEmptyString() ?? ""
                    case "target": grant.target = field.nonEmptyString() ?? ""
                    case "uid": grant.uid = field.owner()
                    case "gid": grant.gid = field.owner()
                    case "mode": grant.mode = field.mode() ?? grant.mode
                    default: continue
                    }
                }
                if element.node.mapping?["source"] == nil { element.error("has no `source`") }
            } else {
                grant.source = element.nonEmptyString() ?? ""
            }
            if grant.source.isEmpty { continue }
            if grant.target.isEmpty {
                grant.target = grant.source
                grant.isTargetGiven = false
            }
            grant.target = joinedPath(defaultDirectory, grant.target)
            grant.location = element.place.location
            grants.append(grant)
        }
        return unique(grants) { $0.target }
    }

    private func owner() -> UInt32? {
        integer(0...Int(UInt32.max) - 1, what: "a number").map(UInt32.init)
    }
}
