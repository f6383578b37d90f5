// SPDX-License-Identifier: Apache-2.0
//
// PartsReader: the parts of a service that have a form of their own and are asked for less often: hooks, watching,
// devices, block devices' limits, logging, providers, models.

internal import Basics
internal import ComposeModel
internal import YAMLTree

extension Field {
    // MARK: Hooks and watching

    func hooks(_ around: Surroundings) -> [Service.Hook] { elements().map { $0.hook(around) } }

    func hook(_ around: Surroundings) -> Service.Hook {
        var hook = Service.Hook()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "command": hook.command = field.command()
            case "user": hook.user = field.string()
            case "privileged": hook.privileged = field.bool() ?? false
            case "working_dir": hook.workingDirectory = field.nonEmptyString()
            case "environment":
                for (key, value, field) in field.keyValues() {
                    // Without a value it is the one the file sees, or unset.
                    let found =
                        value ?? (around.resolvesEnvironment ? around.variable(key, at: field.place) : nil)
                    if found != nil || !around.resolvesEnvironment {
                        hook.environment.updateValue(found, forKey: key)
                    }
                }
            case "image": hook.image = field.nonEmptyString()
            case "per_replica": hook.perReplica = field.bool() ?? false
            default: continue
            }
        }
        if node.mapping != nil || node.isNull, hook.command == nil { error("has no `command`") }
        return hook
    }

    func watchRules(_ around: Surroundings) -> [Service.WatchRule]? {
        guard let pair = mapping()?.pair("watch") else { return nil }
        return child(pair).elements().compactMap { element in
            if element.node.isNull { element.error("has no `path`") }
            guard element.mapping() != nil else { return nil }
            var rule = Service.WatchRule(path: "", action: "")
            for (key, _, field) in element.fields() {
                switch key {
                case "path":
                    rule.path = field.nonEmptyString().map { around.absolute($0, at: field.place) } ?? ""
                case "action":
                    rule.action =
                        field.oneOf(["rebuild", "restart", "sync", "sync+restart", "sync+exec"]) ?? ""
                case "target": rule.target = field.nonEmptyString()
                case "ignore": rule.ignore = field.stringOrList()
                case "include": rule.include = field.stringOrList()
                case "initial_sync": rule.initialSync = field.bool() ?? false
                case "exec": rule.exec = field.hook(around)
                default: continue
                }
            }
            for name in ["path", "action"] where element.node.mapping?[name] == nil {
                element.error("has no `\(name)`")
            }
            if rule.action.hasPrefix("sync"), rule.target == nil {
                element.error("has no `target`", advice: "`\(rule.action)` needs the path in the container")
            }
            return rule
        }
    }

    /// The mapping, or a complaint.
    private func mapping() -> Mapping? {
        if node.isNull { return nil }
        if node.mapping == nil { wrongForm(expected: "a mapping") }
        return node.mapping
    }

    // MARK: Devices

    func devices() -> [Service.Device] {
        let devices = elements().compactMap { element -> Service.Device? in
            var device = Service.Device(source: "", target: "")
            if element.node.mapping != nil {
                for (key, _, field) in element.fields() {
                    switch key {
                    case "source": device.source = field.nonEmptyString() ?? ""
                    case "target": device.target = field.nonEmptyString() ?? ""
                    case "permissions": device.permissions = field.string() ?? device.permissions
                    default: continue
                    }
                }
                if element.node.mapping?["source"] == nil { element.error("has no `source`") }
                if device.target.isEmpty { device.target = device.source }
            } else {
                guard let text = element.nonEmptyString() else { return nil }
                let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
                guard parts.count <= 3, !parts.contains("") else {
                    element.error("is \"\(text)\"; expected \"SOURCE[:TARGET[:rwm]]\"")
                    return nil
                }
                device.source = parts[0]
                device.target = parts.count > 1 ? parts[1] : parts[0]
                if parts.count == 3 { device.permissions = parts[2] }
            }
            if !device.permissions.allSatisfy({ "rwm".contains($0) }) {
                element.error("has the permissions \"\(device.permissions)\"", advice: "of r, w and m")
            }
            return device.source.isEmpty ? nil : device
        }
        return unique(devices) { $0.target }
    }

    /// `TYPE MAJOR:MINOR ACCESS` (the kernel's devices cgroup).
    func deviceRules() -> [String] {
        unique(
            elements().compactMap { element in
                guard let text = element.nonEmptyString() else { return nil }
                let parts = text.split(separator: " ").map(String.init)
                let numbers =
                    parts.count == 3 ? parts[1].split(separator: ":", omittingEmptySubsequences: false) : []
                let isGood =
                    numbers.count == 2 && ["a", "b", "c"].contains(parts[0])
                    && numbers.allSatisfy { $0 == "*" || digits($0, as: UInt32.self) != nil }
                    && parts[2].allSatisfy { "rwm".contains($0) }
                if !isGood {
                    element.error("is \"\(text)\"; expected such as \"c 1:3 rwm\"")
                    return nil
                }
                return text
            }
        ) { $0 }
    }

    func gpus() -> [DeviceRequest] {
        if node.text != nil {
            guard oneOf(["all"]) != nil else { return [] }
            var all = DeviceRequest()
            all.count = -1
            return [all]
        }
        return deviceRequests(needCapabilities: false)
    }

    func deviceRequests(needCapabilities: Bool) -> [DeviceRequest] {
        elements().map { element in
            var request = DeviceRequest()
            for (key, _, field) in element.fields() {
                switch key {
                case "capabilities": request.capabilities = unique(field.strings()) { $0 }
                case "driver": request.driver = field.string()
                case "count":
                    request.count =
                        field.node.text == "all" ? -1 : field.integer(-1...Int.max, what: "a number, or all")
                case "device_ids": request.deviceIDs = unique(field.strings()) { $0 }
                case "options": request.options = field.labels()
                default: continue
                }
            }
            if needCapabilities, request.capabilities.isEmpty, element.node.mapping != nil {
                element.error("has no `capabilities`", advice: "such as [gpu]")
            }
            if request.count != nil, !request.deviceIDs.isEmpty {
                element.error("has both `count` and `device_ids`", advice: "give one of them")
            }
            return request
        }
    }

    func blockIO() -> Service.BlockIO? {
        guard mapping() != nil else { return nil }
        func entries(_ field: Field, _ name: String, _ value: (Field) -> Int64?) -> [Service.BlockIO.Entry] {
            field.elements().map { element in
                var entry = Service.BlockIO.Entry(path: "", value: 0)
                for (key, _, field) in element.fields() {
                    if key == "path" { entry.path = field.nonEmptyString() ?? "" }
                    if key == name { entry.value = value(field) ?? 0 }
                }
                for part in ["path", name] where element.node.mapping?[part] == nil {
                    element.error("has no `\(part)`")
                }
                return entry
            }
        }
        func weight(_ field: Field) -> Int64? {
            field.integer(0...1000, what: "a weight from 10 to 1000").map(Int64.init)
        }
        func rate(_ field: Field) -> Int64? { field.bytes()?.bytes }
        var limits = Service.BlockIO()
        for (key, _, field) in fields() {
            switch key {
            case "weight": limits.weight = weight(field).map(Int.init)
            case "weight_device": limits.weights = entries(field, "weight", weight)
            case "device_read_bps": limits.readBytes = entries(field, "rate", rate)
            case "device_write_bps": limits.writeBytes = entries(field, "rate", rate)
            case "device_read_iops": limits.readOperations = entries(field, "rate", rate)
            case "device_write_iops": limits.writeOperations = entries(field, "rate", rate)
            default: continue
            }
        }
        return limits
    }

    /// `0-3,5`
    func processors() -> String? {
        guard let text = nonEmptyString() else { return nil }
        let isGood = text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { part in
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map {
                digits($0, as: UInt16.self)
            }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1] else {
                return false
            }
            return first <= last
        }
        if !isGood { wrongForm(expected: "numbers of processors such as 0-3,5") }
        return text
    }

    func macAddress() -> String? {
        guard let text = nonEmptyString() else { return nil }
        let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
        if parts.count != 6
            || !parts.allSatisfy({ $0.utf8.count == 2 && digits($0, radix: 16, as: UInt8.self) != nil })
        {
            wrongForm(expected: "a MAC address such as 02:42:ac:11:00:02")
        }
        return text
    }

    // MARK: Other services and programs

    /// `SERVICE[:ALIAS]`
    func links() -> [String] {
        unique(
            elements().compactMap { element in
                guard let text = element.nonEmptyString() else { return nil }
                let parts = text.split(separator: ":", omittingEmptySubsequences: false)
                guard parts.count <= 2, !parts.contains("") else {
                    element.error("is \"\(text)\"; expected \"SERVICE[:ALIAS]\"")
                    return nil
                }
                return text
            }
        ) { $0 }
    }

    /// `SERVICE[:ro|rw]` or `container:NAME[:ro|rw]`
    func volumesFrom() -> [String] {
        unique(
            elements().compactMap { element in
                guard let text = element.nonEmptyString() else { return nil }
                var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
                if parts[0] == "container" { parts.removeFirst() }
                let isGood =
                    (1...2).contains(parts.count) && !parts[0].isEmpty
                    && (parts.count == 1 || ["ro", "rw"].contains(parts[1]))
                guard isGood else {
                    element.error("is \"\(text)\"; expected \"SERVICE[:ro]\" or \"container:NAME[:ro]\"")
                    return nil
                }
                return text
            }
        ) { $0 }
    }

    func logging() -> Service.Logging? {
        guard mapping() != nil else { return nil }
        var logging = Service.Logging()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "driver": logging.driver = field.nonEmptyString()
            case "options": logging.options = field.options()
            default: continue
            }
        }
        guard logging.isLocal, let options = mapping()?.pair("options") else { return logging }
        for (key, keyPlace, option) in child(options).fields()
        where Service.Logging.optionsWithoutEffect.contains(key) {
            log.note(
                "`\(option.path.text)` has no effect",
                cause: "the output is kept as it comes, in files that `covey logs` reads", at: keyPlace)
        }
        return logging
    }

    func provider() -> Service.Provider? {
        guard let mapping = mapping() else { return nil }
        var provider = Service.Provider(type: "")
        for (key, _, field) in fields() {
            switch key {
            case "type": provider.type = field.nonEmptyString() ?? ""
            case "options":
                for (name, _, field) in field.fields() { provider.options[name] = field.stringOrList() }
            default: continue
            }
        }
        if mapping["type"] == nil { error("has no `type`", advice: "name the program that provides it") }
        return provider
    }

    func credentialSpec(_ around: Surroundings) -> Service.CredentialSpec? {
        guard mapping() != nil else { return nil }
        var spec = Service.CredentialSpec()
        for (key, _, field) in fields() {
            switch key {
            case "config": spec.config = field.nonEmptyString()
            case "file": spec.file = field.nonEmptyString()
            case "registry": spec.registry = field.nonEmptyString()
            default: continue
            }
        }
        return spec
    }

    func models() -> [String: Service.ModelGrant] {
        var found: [String: Service.ModelGrant] = [:]
        if node.items != nil {
            for name in strings() { found[name] = Service.ModelGrant() }
            return found
        }
        for (name, _, field) in fields() {
            var grant = Service.ModelGrant()
            for (key, _, field) in field.fields() {
                switch key {
                case "endpoint_var": grant.endpointVariable = field.nonEmptyString()
                case "model_var": grant.modelVariable = field.nonEmptyString()
                default: continue
                }
            }
            found[name] = grant
        }
        return found
    }
}
