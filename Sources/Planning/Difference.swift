// SPDX-License-Identifier: Apache-2.0
//
// What changed between two requests of a service, in the words of the Compose file: the reason a plan shows.
// Values of variables and labels are never shown: they are where people keep passwords.

import Basics
public import ContainerModel

/// The changes that need a new container, in a fixed order; empty when none is found.
public func differences(from old: ServiceRequest, to new: ServiceRequest) -> [String] {
    var changes = Changes()
    let (a, b) = (old.container, new.container)
    if a.image.id != b.image.id {
        changes.add(
            a.image.reference == b.image.reference
                ? "image changed" : "image \(a.image.reference) → \(b.image.reference)")
    }
    changes.value("container_name", old.containerName, new.containerName)
    if a.arguments != b.arguments { changes.add("command changed") }
    changes.table(
        "environment", Dictionary(variables: a.environment), Dictionary(variables: b.environment))
    changes.value("working_dir", a.workingDirectory, b.workingDirectory)
    changes.value("user", a.user, b.user)
    changes.value("hostname", a.hostname, b.hostname)
    changes.table("mount", Dictionary(a.mounts, by: \.target), Dictionary(b.mounts, by: \.target))
    changes.files(a.files, b.files)
    changes.networks(a.networks, b.networks)
    changes.set("port", a.ports.map(\.text), b.ports.map(\.text))
    changes.set(
        "extra_hosts", a.extraHosts.map { "\($0.name)=\($0.address)" },
        b.extraHosts.map { "\($0.name)=\($0.address)" })
    changes.set("dns", a.dnsServers, b.dnsServers)
    changes.value("cpus", a.limits.cpus, b.limits.cpus)
    changes.value("mem_limit", a.limits.memory, b.limits.memory)
    changes.value("pids_limit", a.limits.pids, b.limits.pids)
    changes.value("cpu_quota", a.limits.cpuQuota, b.limits.cpuQuota)
    changes.value("cpu_period", a.limits.cpuPeriod, b.limits.cpuPeriod)
    changes.value("cpu_shares", a.limits.cpuShares, b.limits.cpuShares)
    changes.value("cpuset", a.limits.cpuSet, b.limits.cpuSet)
    changes.value("mem_reservation", a.limits.memoryReservation, b.limits.memoryReservation)
    changes.value("memswap_limit", a.limits.memoryAndSwap, b.limits.memoryAndSwap)
    changes.value("mem_swappiness", a.limits.swappiness, b.limits.swappiness)
    changes.value("oom_kill_disable", a.limits.oomKillDisabled, b.limits.oomKillDisabled)
    changes.value("cpu_rt_runtime", a.limits.realtimeRuntime, b.limits.realtimeRuntime)
    changes.value("cpu_rt_period", a.limits.realtimePeriod, b.limits.realtimePeriod)
    if a.limits.blockIO != b.limits.blockIO { changes.add("blkio_config changed") }
    if a.rare != b.rare { changes.rare(a.rare ?? RareSettings(), b.rare ?? RareSettings()) }
    changes.set("cap_add", a.capAdd, b.capAdd)
    changes.set("cap_drop", a.capDrop, b.capDrop)
    changes.value("no-new-privileges", a.noNewPrivileges, b.noNewPrivileges)
    changes.value("seccomp", a.seccomp ? "default" : "unconfined", b.seccomp ? "default" : "unconfined")
    changes.value("read_only", a.readOnlyRoot, b.readOnlyRoot)
    changes.value("init", a.initProcess, b.initProcess)
    changes.value("tty", a.tty, b.tty)
    changes.value("stdin_open", a.stdinOpen, b.stdinOpen)
    changes.table("ulimit", a.ulimits, b.ulimits)
    changes.table("sysctl", a.sysctls, b.sysctls)
    changes.table("label", a.labels, b.labels)
    changes.value("stop_signal", a.stopSignal, b.stopSignal)
    changes.value(
        "stop_grace_period", a.stopGracePeriod.composeText, b.stopGracePeriod.composeText)
    changes.value("shm_size", a.shmSize, b.shmSize)
    changes.healthcheck(old.healthcheck, new.healthcheck)
    changes.hooks(old.hooks ?? HooksRequest(), new.hooks ?? HooksRequest())
    return changes.texts
}

/// The settings of a network whose change needs a new one; labels do not.
func differences(from old: NetworkRequest, to new: NetworkRequest) -> [String] {
    var changes = Changes()
    changes.value("internal", old.isInternal, new.isInternal)
    changes.value("subnet", old.subnet, new.subnet)
    changes.value("gateway", old.gateway, new.gateway)
    changes.value("ip_range", old.ipRange, new.ipRange)
    changes.table("aux_addresses", old.auxiliary ?? [:], new.auxiliary ?? [:])
    changes.value("enable_ipv4", old.withoutIPv4 != true, new.withoutIPv4 != true)
    changes.value("enable_ipv6", old.ipv6 != nil, new.ipv6 != nil)
    if old.ipv6 != nil, new.ipv6 != nil {
        changes.value("IPv6 subnet", old.ipv6?.subnet, new.ipv6?.subnet)
        changes.value("IPv6 gateway", old.ipv6?.gateway, new.ipv6?.gateway)
        changes.value("IPv6 ip_range", old.ipv6?.range, new.ipv6?.range)
    }
    changes.value("mtu", old.mtu, new.mtu)
    return changes.texts
}

private struct Changes {
    private(set) var texts: [String] = []

    mutating func add(_ text: String) { texts.append(text) }

    mutating func value<Value: Equatable>(_ name: String, _ old: Value?, _ new: Value?) {
        if old != new { texts.append("\(name) \(shown(old)) → \(shown(new))") }
    }

    private func shown<Value>(_ value: Value?) -> String {
        guard let value else { return "none" }
        let text = "\(value)"
        return text.isEmpty ? "none" : text
    }

    mutating func table<Value: Equatable>(
        _ name: String, _ old: [String: Value], _ new: [String: Value]
    ) {
        if old == new { return }
        for key in Set(old.keys).union(new.keys).sorted() {
            switch (old[key], new[key]) {
            case (nil, _): texts.append("\(name) \(key) added")
            case (_, nil): texts.append("\(name) \(key) removed")
            case (let before, let after) where before != after: texts.append("\(name) \(key) changed")
            default: break
            }
        }
    }

    mutating func set(_ name: String, _ old: [String], _ new: [String]) {
        if old == new { return }
        let (before, after) = (Set(old), Set(new))
        for text in new where !before.contains(text) { texts.append("\(name) \(text) added") }
        for text in old where !after.contains(text) { texts.append("\(name) \(text) removed") }
        if before == after, old != new { texts.append("order of \(name) changed") }
    }

    /// A file is known by its title; only its content changing is said apart.
    mutating func files(_ old: [FileRequest], _ new: [FileRequest]) {
        if old == new { return }
        let before = Dictionary(old, by: { "\($0.title) at \($0.target)" })
        let after = Dictionary(new, by: { "\($0.title) at \($0.target)" })
        for key in Set(before.keys).union(after.keys).sorted() {
            switch (before[key], after[key]) {
            case (nil, _): texts.append("\(key) added")
            case (_, nil): texts.append("\(key) removed")
            case (let one?, let other?) where one.content != other.content:
                texts.append("\(one.title) content changed")
            case (let one?, let other?) where one != other:
                texts.append("\(one.title) owner or mode changed")
            default: break
            }
        }
    }

    mutating func networks(_ old: [EndpointRequest], _ new: [EndpointRequest]) {
        if old == new { return }
        let before = Dictionary(old, by: \.network)
        let after = Dictionary(new, by: \.network)
        set("network", old.map(\.network), new.map(\.network))
        for name in before.keys.sorted() {
            guard let one = before[name], let other = after[name] else { continue }
            if one.aliases != other.aliases { add("aliases on \(name) changed") }
            value("ipv4_address on \(name)", one.ipv4Address, other.ipv4Address)
            value("ipv6_address on \(name)", one.ipv6Address, other.ipv6Address)
            value("mac_address on \(name)", one.macAddress, other.macAddress)
            if one.settings != other.settings { add("settings on \(name) changed") }
        }
    }

    mutating func rare(_ old: RareSettings, _ new: RareSettings) {
        value("oom_score_adj", old.oomScoreAdjustment, new.oomScoreAdjustment)
        set("group_add", old.groups, new.groups)
        value("domainname", old.domainName, new.domainName)
        set("dns_search", old.dnsSearch, new.dnsSearch)
        table("link", old.links, new.links)
        if old.logging != new.logging { add("logging changed") }
        set("dns_opt", old.dnsOptions, new.dnsOptions)
        value("privileged", old.privileged, new.privileged)
        set("device", old.devices.map(\.text), new.devices.map(\.text))
        set("device_cgroup_rules", old.deviceRules.map(\.text), new.deviceRules.map(\.text))
        if old.seccompProfile != new.seccompProfile { add("seccomp profile changed") }
        value("apparmor", old.appArmorProfile, new.appArmorProfile)
        value("label", old.seLinuxContext, new.seLinuxContext)
        value("unconfined systempaths", old.systemPathsVisible, new.systemPathsVisible)
        value("ipc without /dev/shm", old.withoutSharedMemory, new.withoutSharedMemory)
        set("volumes_from", old.volumesFrom.map(\.text), new.volumesFrom.map(\.text))
        table("annotation", old.annotations, new.annotations)
        table("external_links", old.externalLinks ?? [:], new.externalLinks ?? [:])
        value("cgroup_parent", old.cgroupParent, new.cgroupParent)
        value("storage_opt size", old.storageSize, new.storageSize)
        for namespace in RareSettings.Namespace.allCases {
            let shown = { (settings: RareSettings) in
                settings.joined.first { $0.namespace == namespace }?.owner.text
                    ?? (settings.hostNamespaces.contains(namespace) ? "host" : "private")
            }
            value(namespace.rawValue, shown(old), shown(new))
        }
    }

    mutating func hooks(_ old: HooksRequest, _ new: HooksRequest) {
        if old.preStart != new.preStart { add("pre_start changed") }
        if old.postStart != new.postStart { add("post_start changed") }
        if old.preStop != new.preStop { add("pre_stop changed") }
    }

    mutating func healthcheck(_ old: HealthcheckRequest?, _ new: HealthcheckRequest?) {
        guard let old, let new else {
            if old != nil { add("healthcheck removed") }
            if new != nil { add("healthcheck added") }
            return
        }
        if old.command != new.command { add("healthcheck test changed") }
        value("healthcheck interval", old.interval.composeText, new.interval.composeText)
        value("healthcheck timeout", old.timeout.composeText, new.timeout.composeText)
        value("healthcheck retries", old.retries, new.retries)
        value("healthcheck start_period", old.startPeriod.composeText, new.startPeriod.composeText)
        value("healthcheck start_interval", old.startInterval.composeText, new.startInterval.composeText)
    }
}

extension Dictionary where Key == String {
    init(_ values: [Value], by key: (Value) -> String) {
        self.init(values.map { (key($0), $0) }, uniquingKeysWith: { $1 })
    }
}

extension [String: Substring] {
    /// `NAME=value` items; the last of a name counts.
    fileprivate init(variables: [String]) {
        self.init(
            variables.map { variable in
                let name = variable.prefix { $0 != "=" }
                return (String(name), variable[name.endIndex...])
            }, uniquingKeysWith: { $1 })
    }
}

extension VolumesFrom {
    fileprivate var text: String { owner.text + (readOnly ? " read-only" : "") }
}

extension DeviceGrant {
    fileprivate var text: String {
        let owner = [uid, gid, mode].map { $0.map(String.init) ?? "" }.joined(separator: ":")
        return "\(path):\(target):\(access.text)" + (owner == "::" ? "" : " \(owner)")
    }
}

extension PortRequest {
    /// As the short form writes it: `127.0.0.1:8080:80/udp`.
    fileprivate var text: String {
        var text = "\(target)"
        if let published {
            let range =
                published.count == 1
                ? "\(published.lowerBound)" : "\(published.lowerBound)-\(published.upperBound)"
            text = "\(range):\(text)"
        }
        if let hostAddress { text = "\(hostAddress):\(published == nil ? ":" : "")\(text)" }
        return proto == .udp ? text + "/udp" : text
    }
}
