// SPDX-License-Identifier: Apache-2.0
//
// Rendering: a project as a Compose file again, every form long, as `docker compose config` prints it: services and
// resources by name, attributes in the order of compose-go's types. What is printed loads to an equal project: a
// test holds every sample to that. The parts of a service are in RenderingParts.swift.

internal import Basics
public import ComposeModel

/// The project as YAML.
public func renderYAML(_ project: Project) -> String {
    Rendering(isJSON: false, isEscaped: true).document(of: project).yaml()
}

/// The project as JSON.
public func renderJSON(_ project: Project) -> String {
    Rendering(isJSON: true, isEscaped: true).document(of: project).json()
}

/// The text by which `config --hash` tells whether a service's containers would change: all of it but what is
/// decided outside of a container (docker/compose, pkg/compose/hash.go).
public func renderForHash(_ service: Service) -> String {
    var service = service
    service.build = nil
    service.pullPolicy = nil
    service.scale = nil
    service.deploy?.replicas = nil
    service.dependsOn = [:]
    service.profiles = []
    return Rendering(isJSON: true, isEscaped: true).document(of: service).json()
}

/// Pairs that are only there when they say something.
struct Pairs {
    private(set) var pairs: [(String, Document)] = []
    private let rendering: Rendering

    init(_ rendering: Rendering) { self.rendering = rendering }

    mutating func add(_ key: String, _ value: Document?) {
        if let value { pairs.append((key, value)) }
    }

    mutating func add(_ key: String, _ text: String?) { add(key, text.map(escaped)) }
    mutating func add(_ key: String, if flag: Bool) { if flag { add(key, .bool(true)) } }
    mutating func add(_ key: String, flag: Bool?) { add(key, flag.map { .bool($0) }) }
    mutating func add(_ key: String, _ size: ByteSize?) { add(key, size.map { .text(String($0.bytes)) }) }
    mutating func add(_ key: String, _ duration: Duration?) {
        add(key, duration.map { .text(durationText($0)) })
    }
    mutating func add(_ key: String, _ number: Int?) { add(key, number.map { .integer(Int64($0)) }) }
    mutating func add(_ key: String, _ number: Double?) { add(key, number.map { .decimal($0) }) }

    mutating func add(_ key: String, _ list: [String]) {
        if !list.isEmpty { add(key, .list(list.map(escaped))) }
    }

    mutating func add(_ key: String, _ map: [String: String]) {
        if !map.isEmpty { add(key, .map(map.sorted { $0.key < $1.key }.map { ($0.key, escaped($0.value)) })) }
    }

    mutating func add<Element>(_ key: String, _ list: [Element], _ document: (Element) -> Document) {
        if !list.isEmpty { add(key, .list(list.map(document))) }
    }

    mutating func add<Element>(_ key: String, _ map: [String: Element], _ document: (Element) -> Document) {
        if !map.isEmpty {
            add(key, .map(map.sorted { $0.key < $1.key }.map { ($0.key, document($0.value)) }))
        }
    }

    /// `K: V` and, for those without a value, `K: null`.
    mutating func add(_ key: String, _ map: [String: String], unset: Set<String>) {
        if map.isEmpty, unset.isEmpty { return }
        var all = map.map { ($0.key, escaped($0.value)) }
        all += unset.filter { map[$0] == nil }.map { ($0, .null) }
        add(key, .map(all.sorted { $0.0 < $1.0 }))
    }

    /// `x-…`
    mutating func add(extensions: [String: Value]) {
        for (key, value) in extensions.sorted(by: { $0.key < $1.key }) { add(key, escaped(value)) }
    }

    var document: Document { .map(pairs) }
    var isEmpty: Bool { pairs.isEmpty }

    private func escaped(_ text: String) -> Document { rendering.escaped(text) }

    private func escaped(_ value: Value) -> Value {
        switch value {
        case .text(let text): escaped(text)
        case .list(let items): .list(items.map { escaped($0) })
        case .map(let pairs): .map(pairs.map { ($0.0, escaped($0.1)) })
        default: value
        }
    }
}

struct Rendering {
    /// JSON shows what YAML leaves out as empty: `ipam: {}`, `resources: {}`.
    let isJSON: Bool
    let isEscaped: Bool

    /// A dollar sign is doubled, so that loading puts no variable in.
    func escaped(_ text: String) -> Document {
        guard isEscaped, text.utf8.contains(UInt8(ascii: "$")) else { return .text(text) }
        // By scalars: a mark that follows joins the sign to one Character.
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "$" { escaped.append(scalar) }
            escaped.append(scalar)
        }
        return .text(String(escaped))
    }

    func document(of project: Project) -> Document {
        var pairs = Pairs(self)
        if !project.name.isEmpty { pairs.add("name", project.name) }
        pairs.add(
            "services",
            .map(project.services.sorted { $0.key < $1.key }.map { ($0.key, document(of: $0.value)) }))
        pairs.add("networks", project.networks, document(of:))
        pairs.add("volumes", project.volumes, document(of:))
        pairs.add("secrets", project.secrets, document(of:))
        pairs.add("configs", project.configs, document(of:))
        pairs.add("models", project.models, document(of:))
        pairs.add(extensions: project.extensions)
        // Docker Compose prints JSON's top level from a map of Go's, which is sorted.
        return isJSON ? .map(pairs.pairs.sorted { $0.0 < $1.0 }) : pairs.document
    }

    func document(of service: Service) -> Document {
        var pairs = Pairs(self)
        pairs.add("profiles", service.profiles)
        pairs.add("annotations", service.annotations)
        pairs.add("attach", flag: service.attach)
        pairs.add("build", service.build.map(document(of:)))
        pairs.add("develop", service.watch.map(develop))
        pairs.add("blkio_config", service.blockIO.map(document(of:)))
        pairs.add("cap_add", service.capAdd)
        pairs.add("cap_drop", service.capDrop)
        pairs.add("cgroup_parent", service.cgroupParent)
        pairs.add("cgroup", service.cgroup)
        pairs.add("cpu_count", service.cpuCount)
        pairs.add("cpu_percent", service.cpuPercent)
        pairs.add("cpu_period", service.cpuPeriod)
        pairs.add("cpu_quota", service.cpuQuota)
        pairs.add("cpu_rt_period", service.cpuRealtimePeriod)
        pairs.add("cpu_rt_runtime", service.cpuRealtimeRuntime)
        pairs.add("cpus", service.cpus)
        pairs.add("cpuset", service.cpuSet)
        pairs.add("cpu_shares", service.cpuShares)
        pairs.add("command", service.command.map { .list($0.map(escaped)) } ?? .null)
        pairs.add("configs", service.configs, document(of:))
        pairs.add("container_name", service.containerName)
        pairs.add("credential_spec", service.credentialSpec.map(document(of:)))
        pairs.add("depends_on", service.dependsOn, document(of:))
        pairs.add("deploy", service.deploy.map(document(of:)))
        pairs.add("device_cgroup_rules", service.deviceCgroupRules)
        pairs.add("devices", service.devices, document(of:))
        pairs.add("dns", service.dns)
        pairs.add("dns_opt", service.dnsOptions)
        pairs.add("dns_search", service.dnsSearch)
        pairs.add("domainname", service.domainName)
        pairs.add("entrypoint", service.entrypoint.map { .list($0.map(escaped)) } ?? .null)
        pairs.add("provider", service.provider.map(document(of:)))
        pairs.add("environment", service.environment, unset: service.unsetEnvironment)
        pairs.add("env_file", service.envFiles, document(of:))
        pairs.add("expose", service.expose)
        pairs.add("external_links", service.externalLinks)
        pairs.add("extra_hosts", service.extraHosts.map { "\($0.name)=\($0.address)" })
        pairs.add("group_add", service.groupAdd)
        pairs.add("gpus", service.gpus, document(of:))
        pairs.add("hostname", service.hostname)
        pairs.add("healthcheck", service.healthcheck.map(document(of:)))
        pairs.add("image", service.image)
        pairs.add("init", flag: service.initProcess)
        pairs.add("ipc", service.ipc)
        pairs.add("isolation", service.isolation)
        pairs.add("labels", service.labels)
        pairs.add("label_file", service.labelFiles)
        pairs.add("links", service.links)
        pairs.add("logging", service.logging.map(document(of:)))
        pairs.add("mem_limit", service.memoryLimit)
        pairs.add("mem_reservation", service.memoryReservation)
        pairs.add("memswap_limit", service.memorySwapLimit)
        pairs.add("mem_swappiness", service.memorySwappiness.map { .text(String($0)) })
        pairs.add("mac_address", service.macAddress)
        pairs.add("models", service.models, document(of:))
        pairs.add("network_mode", service.networkMode)
        pairs.add("networks", service.networks, document(of:))
        pairs.add("oom_kill_disable", if: service.oomKillDisable)
        pairs.add("oom_score_adj", service.oomScoreAdjustment)
        pairs.add("pid", service.pid)
        pairs.add("pids_limit", service.pidsLimit)
        pairs.add("platform", service.platform)
        pairs.add("ports", service.ports, document(of:))
        pairs.add("privileged", if: service.privileged)
        pairs.add("pull_policy", service.pullPolicy)
        pairs.add("pull_refresh_after", service.pullRefreshAfter)
        pairs.add("read_only", if: service.readOnly)
        pairs.add("restart", service.restart.map { .text(text(of: $0)) })
        pairs.add("runtime", service.runtime)
        pairs.add("scale", service.scale)
        pairs.add("secrets", service.secrets, document(of:))
        pairs.add("security_opt", service.securityOptions)
        pairs.add("shm_size", service.shmSize)
        pairs.add("stdin_open", if: service.stdinOpen)
        pairs.add("stop_grace_period", service.stopGracePeriod)
        pairs.add("stop_signal", service.stopSignal)
        pairs.add("storage_opt", service.storageOptions)
        pairs.add("sysctls", service.sysctls)
        pairs.add("tmpfs", service.volumes.compactMap(\.tmpfsText))
        pairs.add("tty", if: service.tty)
        pairs.add("ulimits", service.ulimits, document(of:))
        pairs.add("use_api_socket", if: service.useAPISocket)
        pairs.add("user", service.user)
        pairs.add("userns_mode", service.userNamespace)
        pairs.add("uts", service.uts)
        pairs.add("volumes", service.volumes.filter { !$0.isTemporary }, document(of:))
        pairs.add("volumes_from", service.volumesFrom)
        pairs.add("working_dir", service.workingDirectory)
        pairs.add("pre_start", service.preStart, document(of:))
        pairs.add("post_start", service.postStart, document(of:))
        pairs.add("pre_stop", service.preStop, document(of:))
        pairs.add(extensions: service.extensions)
        return pairs.document
    }

    // MARK: Resources

    func document(of network: Network) -> Document {
        var pairs = Pairs(self)
        if !network.name.isEmpty { pairs.add("name", network.name) }
        pairs.add("driver", network.driver)
        pairs.add("driver_opts", network.driverOptions)
        var ipam = Pairs(self)
        ipam.add("driver", network.ipamDriver)
        ipam.add("config", network.ipam) { subnet in
            var pairs = Pairs(self)
            pairs.add("subnet", subnet.subnet)
            pairs.add("gateway", subnet.gateway)
            pairs.add("ip_range", subnet.ipRange)
            pairs.add("aux_addresses", subnet.auxiliary)
            return pairs.document
        }
        ipam.add("options", network.ipamOptions)
        // Docker Compose's JSON has it also when it is empty.
        if isJSON || !ipam.isEmpty, !network.external { pairs.add("ipam", ipam.document) }
        pairs.add("external", if: network.external)
        pairs.add("internal", if: network.isInternal)
        pairs.add("attachable", if: network.attachable)
        pairs.add("labels", network.labels)
        pairs.add("enable_ipv4", flag: network.enableIPv4)
        pairs.add("enable_ipv6", flag: network.enableIPv6)
        pairs.add(extensions: network.extensions)
        return pairs.isEmpty ? .null : pairs.document
    }

    func document(of volume: Volume) -> Document {
        var pairs = Pairs(self)
        if !volume.name.isEmpty { pairs.add("name", volume.name) }
        pairs.add("driver", volume.driver)
        pairs.add("driver_opts", volume.driverOptions)
        pairs.add("external", if: volume.external)
        pairs.add("labels", volume.labels)
        pairs.add(extensions: volume.extensions)
        return pairs.isEmpty ? .null : pairs.document
    }

    func document(of source: FileSource) -> Document {
        var pairs = Pairs(self)
        if !source.name.isEmpty { pairs.add("name", source.name) }
        switch source.content {
        case .file(let path): pairs.add("file", path)
        case .content(let text): pairs.add("content", text)
        case .environment(let name, _): pairs.add("environment", name)
        // One that only a driver knows is no external one.
        case .external: pairs.add("external", if: source.driver == nil)
        }
        pairs.add("labels", source.labels)
        pairs.add("driver", source.driver)
        pairs.add("driver_opts", source.driverOptions)
        pairs.add("template_driver", source.templateDriver)
        pairs.add(extensions: source.extensions)
        return pairs.document
    }

    func document(of model: Model) -> Document {
        var pairs = Pairs(self)
        pairs.add("name", model.name)
        pairs.add("model", model.model)
        pairs.add("context_size", model.contextSize)
        pairs.add("runtime_flags", model.runtimeFlags)
        pairs.add(extensions: model.extensions)
        return pairs.document
    }
}

/// A duration as Docker Compose prints it: hours, minutes and seconds from the largest unit down, `1m0s`; below a
/// second in one unit, `250ms` (Go's time.Duration).
private func durationText(_ duration: Duration) -> String {
    let all = duration.nanoseconds
    if all == 0 { return "0s" }
    func decimal(_ value: Int64, _ unit: Int64) -> String {
        guard value % unit != 0 else { return String(value / unit) }
        var fraction = String(value % unit + unit).dropFirst()
        while fraction.last == "0" { fraction = fraction.dropLast() }
        return "\(value / unit).\(fraction)"
    }
    if all < 1000 { return "\(all)ns" }
    if all < 1_000_000 { return decimal(all, 1000) + "µs" }
    if all < 1_000_000_000 { return decimal(all, 1_000_000) + "ms" }
    let minute: Int64 = 60_000_000_000
    var text = ""
    if all >= 60 * minute { text += "\(all / (60 * minute))h" }
    if all >= minute { text += "\(all / minute % 60)m" }
    return text + decimal(all % minute, 1_000_000_000) + "s"
}
