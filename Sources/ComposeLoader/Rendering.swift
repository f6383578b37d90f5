// SPDX-License-Identifier: Apache-2.0
//
// Rendering: a project as a Compose file again, every form long, sorted, as `docker compose config` prints it.
// What is printed loads to an equal project: a test holds every sample to that.

internal import Basics
public import ComposeModel

/// The project as YAML.
public func renderYAML(_ project: Project) -> String { document(of: project).yaml() }

/// The project as JSON.
public func renderJSON(_ project: Project) -> String { document(of: project).json() }

/// Pairs that are only there when they say something.
private struct Pairs {
    var pairs: [(String, Document)] = []

    mutating func add(_ key: String, _ value: Document?) {
        if let value { pairs.append((key, value)) }
    }

    mutating func add(_ key: String, _ text: String?) { add(key, text.map(escaped)) }
    mutating func add(_ key: String, if flag: Bool) { if flag { add(key, .bool(true)) } }
    mutating func add(_ key: String, _ size: ByteSize?) { add(key, size.map { .text(String($0.bytes)) }) }
    mutating func add(_ key: String, _ duration: Duration?) {
        add(key, duration.map { .text($0.composeText) })
    }
    mutating func add(_ key: String, _ number: Int?) { add(key, number.map { .integer(Int64($0)) }) }

    mutating func add(_ key: String, _ list: [String]) {
        if !list.isEmpty { add(key, .list(list.map(escaped))) }
    }

    mutating func add(_ key: String, _ map: [String: String]) {
        if !map.isEmpty { add(key, sorted(map, escaped)) }
    }

    var document: Document { .map(pairs) }
}

/// A dollar sign is doubled, so that loading puts no variable in.
private func escaped(_ text: String) -> Document {
    guard text.utf8.contains(UInt8(ascii: "$")) else { return .text(text) }
    return .text(text.split(separator: "$", omittingEmptySubsequences: false).joined(separator: "$$"))
}

private func sorted<Value>(_ map: [String: Value], _ document: (Value) -> Document) -> Document {
    .map(map.sorted { $0.key < $1.key }.map { ($0.key, document($0.value)) })
}

private func document(of project: Project) -> Document {
    var pairs = Pairs()
    pairs.add("name", project.name)
    pairs.add("services", sorted(project.services, document(of:)))
    if !project.networks.isEmpty { pairs.add("networks", sorted(project.networks, document(of:))) }
    if !project.volumes.isEmpty { pairs.add("volumes", sorted(project.volumes, document(of:))) }
    if !project.configs.isEmpty { pairs.add("configs", sorted(project.configs, document(of:))) }
    if !project.secrets.isEmpty { pairs.add("secrets", sorted(project.secrets, document(of:))) }
    return pairs.document
}

private func document(of service: Service) -> Document {
    var pairs = Pairs()
    if let build = service.build { pairs.add("build", document(of: build)) }
    pairs.add("cap_add", service.capAdd)
    pairs.add("cap_drop", service.capDrop)
    pairs.add("command", service.command.map { .list($0.map(escaped)) } ?? .null)
    if !service.configs.isEmpty { pairs.add("configs", .list(service.configs.map(document(of:)))) }
    pairs.add("container_name", service.containerName)
    pairs.add("cpus", service.cpus.map { .decimal($0) })
    if !service.dependsOn.isEmpty { pairs.add("depends_on", sorted(service.dependsOn, document(of:))) }
    pairs.add("dns", service.dns)
    pairs.add("entrypoint", service.entrypoint.map { .list($0.map(escaped)) } ?? .null)
    pairs.add("environment", service.environment)
    pairs.add("expose", service.expose)
    pairs.add("extra_hosts", service.extraHosts.map { "\($0.name)=\($0.address)" })
    if let check = service.healthcheck { pairs.add("healthcheck", document(of: check)) }
    pairs.add("hostname", service.hostname)
    pairs.add("image", service.image)
    pairs.add("init", if: service.initProcess)
    pairs.add("labels", service.labels)
    pairs.add("mem_limit", service.memoryLimit)
    pairs.add("network_mode", service.networkMode)
    if !service.networks.isEmpty { pairs.add("networks", sorted(service.networks, document(of:))) }
    pairs.add("pids_limit", service.pidsLimit)
    if !service.ports.isEmpty { pairs.add("ports", .list(service.ports.map(document(of:)))) }
    pairs.add("profiles", service.profiles)
    pairs.add("pull_policy", service.pullPolicy)
    pairs.add("read_only", if: service.readOnly)
    pairs.add("restart", text(of: service.restart))
    if service.replicas != 1 { pairs.add("scale", service.replicas) }
    if !service.secrets.isEmpty { pairs.add("secrets", .list(service.secrets.map(document(of:)))) }
    pairs.add("security_opt", service.securityOptions)
    pairs.add("shm_size", service.shmSize)
    pairs.add("stdin_open", if: service.stdinOpen)
    pairs.add("stop_grace_period", service.stopGracePeriod)
    pairs.add("stop_signal", service.stopSignal)
    pairs.add("sysctls", service.sysctls)
    pairs.add("tmpfs", service.volumes.compactMap(temporary))
    pairs.add("tty", if: service.tty)
    if !service.ulimits.isEmpty { pairs.add("ulimits", sorted(service.ulimits, document(of:))) }
    pairs.add("user", service.user)
    let mounts = service.volumes.compactMap(mount)
    if !mounts.isEmpty { pairs.add("volumes", .list(mounts)) }
    pairs.add("working_dir", service.workingDirectory)
    return pairs.document
}

private func text(of restart: Service.Restart) -> String? {
    switch restart {
    case .no: nil
    case .always: "always"
    case .unlessStopped: "unless-stopped"
    case .onFailure(let maximum): maximum.map { "on-failure:\($0)" } ?? "on-failure"
    }
}

private func document(of build: Service.Build) -> Document {
    var pairs = Pairs()
    pairs.add("context", build.context)
    pairs.add("dockerfile", build.dockerfile)
    pairs.add("dockerfile_inline", build.dockerfileInline)
    pairs.add("args", build.args)
    pairs.add("labels", build.labels)
    pairs.add("no_cache", if: build.noCache)
    pairs.add("additional_contexts", build.additionalContexts)
    pairs.add("target", build.target)
    pairs.add("tags", build.tags)
    return pairs.document
}

private func document(of grant: Service.FileGrant) -> Document {
    var pairs = Pairs()
    pairs.add("source", grant.source)
    pairs.add("target", grant.target)
    if grant.uid != 0 { pairs.add("uid", String(grant.uid)) }
    if grant.gid != 0 { pairs.add("gid", String(grant.gid)) }
    if grant.mode != 0o444 { pairs.add("mode", "0" + String(grant.mode, radix: 8)) }
    return pairs.document
}

private func document(of dependency: Service.Dependency) -> Document {
    var pairs = Pairs()
    pairs.add("condition", dependency.condition.rawValue)
    pairs.add("restart", if: dependency.restart)
    pairs.add("required", .bool(dependency.required))
    return pairs.document
}

private func document(of check: Service.HealthcheckSetting) -> Document {
    var pairs = Pairs()
    pairs.add("disable", if: check.disabled)
    pairs.add("test", check.test ?? [])
    pairs.add("timeout", check.timeout)
    pairs.add("interval", check.interval)
    pairs.add("retries", check.retries)
    pairs.add("start_period", check.startPeriod)
    pairs.add("start_interval", check.startInterval)
    return pairs.document
}

private func document(of attachment: Service.Attachment) -> Document {
    var pairs = Pairs()
    pairs.add("aliases", attachment.aliases)
    pairs.add("ipv4_address", attachment.ipv4Address)
    if attachment.priority != 0 { pairs.add("priority", attachment.priority) }
    return pairs.pairs.isEmpty ? .null : pairs.document
}

private func document(of port: Service.Port) -> Document {
    var pairs = Pairs()
    pairs.add("name", port.name)
    pairs.add("mode", port.mode)
    pairs.add("host_ip", port.hostIP)
    pairs.add("target", Int(port.target))
    if let range = port.published {
        let isOne = range.lowerBound == range.upperBound
        pairs.add("published", isOne ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)")
    }
    pairs.add("protocol", port.proto.rawValue)
    pairs.add("app_protocol", port.appProtocol)
    return pairs.document
}

private func document(of limit: Service.Ulimit) -> Document {
    if limit.soft == limit.hard { return .integer(limit.soft) }
    return .map([("soft", .integer(limit.soft)), ("hard", .integer(limit.hard))])
}

/// A tmpfs as `tmpfs` has it: only there have uid and gid a place.
private func temporary(_ mount: Service.Mount) -> String? {
    guard case .tmpfs(let size, let mode, let uid, let gid) = mount.source else { return nil }
    var options: [String] = []
    if let size { options.append("size=\(size.bytes)") }
    if let mode { options.append("mode=\(String(mode, radix: 8))") }
    if let uid { options.append("uid=\(uid)") }
    if let gid { options.append("gid=\(gid)") }
    if mount.readOnly { options.append("ro") }
    return options.isEmpty ? mount.target : "\(mount.target):\(options.joined(separator: ","))"
}

private func mount(_ mount: Service.Mount) -> Document? {
    var pairs = Pairs()
    var options = Pairs()
    let key: String
    switch mount.source {
    case .tmpfs: return nil
    case .bind(let path, let create, let propagation):
        key = "bind"
        pairs.add("type", key)
        pairs.add("source", path)
        options.add("propagation", propagation)
        options.add("create_host_path", .bool(create))
    case .volume(let name):
        key = "volume"
        pairs.add("type", key)
        pairs.add("source", name)
    case .anonymous:
        key = "volume"
        pairs.add("type", key)
    }
    pairs.add("target", mount.target)
    pairs.add("read_only", if: mount.readOnly)
    options.add("nocopy", if: mount.noCopy)
    options.add("subpath", mount.subpath)
    pairs.add(key, options.document)
    return pairs.document
}

private func document(of network: Network) -> Document {
    var pairs = Pairs()
    pairs.add("name", network.name)
    pairs.add("driver", network.driver)
    let subnets = network.ipam.map { subnet in
        var pairs = Pairs()
        pairs.add("subnet", subnet.subnet)
        pairs.add("ip_range", subnet.ipRange)
        pairs.add("gateway", subnet.gateway)
        return pairs.document
    }
    if !subnets.isEmpty { pairs.add("ipam", .map([("config", .list(subnets))])) }
    pairs.add("external", if: network.external)
    pairs.add("internal", if: network.isInternal)
    pairs.add("attachable", if: network.attachable)
    pairs.add("labels", network.labels)
    return pairs.document
}

private func document(of volume: Volume) -> Document {
    var pairs = Pairs()
    pairs.add("name", volume.name)
    pairs.add("driver", volume.driver)
    pairs.add("external", if: volume.external)
    pairs.add("labels", volume.labels)
    return pairs.document
}

private func document(of source: FileSource) -> Document {
    var pairs = Pairs()
    pairs.add("name", source.name)
    switch source.content {
    case .file(let path): pairs.add("file", path)
    case .content(let text): pairs.add("content", text)
    case .environment(let name): pairs.add("environment", name)
    }
    pairs.add("labels", source.labels)
    return pairs.document
}
