// SPDX-License-Identifier: Apache-2.0
//
// The configuration hash: a digest of everything whose change needs a new container, fed by hand in one fixed
// form: JSON of the same would cost more than the rest of an unchanged `up`.
//
// In it: the container request (contents of configs and secrets as their digests), the container's name and the
// health check. Not in it: replicas, dependencies and restart policy, which change nothing inside; the image's
// reference and layer paths, which are only ways to its id. ConfigHashTests fails when a field is added to a
// request and forgotten here.

public import Basics
public import ContainerModel

/// The digest a service's containers carry; a container with another one is recreated.
public func configHash(of service: ServiceRequest) -> Digest {
    var form = CanonicalForm()
    form.text("covey container 1")
    form.text(service.name)
    form.optional(service.containerName) { $0.text($1) }
    form.container(service.container)
    form.optional(service.healthcheck) { $0.healthcheck($1) }
    if let hooks = service.hooks { form.hooks(hooks) }
    return Digest(of: form.bytes)
}

/// Bytes that are equal exactly when the values fed are: every text and list goes with its length before it.
private struct CanonicalForm {
    private(set) var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(4096) }

    mutating func number(_ value: Int64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func count(_ value: Int) { number(Int64(value)) }

    mutating func flag(_ value: Bool) { bytes.append(value ? 1 : 0) }

    mutating func text(_ value: String) {
        let utf8 = value.utf8
        count(utf8.count)
        bytes.append(contentsOf: utf8)
    }

    mutating func optional<Value>(_ value: Value?, _ feed: (inout CanonicalForm, Value) -> Void) {
        flag(value != nil)
        if let value { feed(&self, value) }
    }

    mutating func list<Element>(_ values: [Element], _ feed: (inout CanonicalForm, Element) -> Void) {
        count(values.count)
        for value in values { feed(&self, value) }
    }

    mutating func table<Value>(_ values: [String: Value], _ feed: (inout CanonicalForm, Value) -> Void) {
        count(values.count)
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            text(key)
            feed(&self, value)
        }
    }

    mutating func container(_ request: ContainerRequest) {
        text(request.image.id.hex)
        list(request.arguments) { $0.text($1) }
        list(request.environment) { $0.text($1) }
        text(request.workingDirectory)
        text(request.user)
        optional(request.hostname) { $0.text($1) }
        list(request.mounts) { $0.mount($1) }
        list(request.files) { $0.file($1) }
        list(request.networks) {
            $0.text($1.network)
            $0.list($1.aliases) { $0.text($1) }
            $0.optional($1.ipv4Address) { $0.text($1) }
            $0.optional($1.macAddress) { $0.text($1) }
            // Nothing without one, so that no container is another than before.
            if let address = $1.ipv6Address { $0.text(address.description) }
            if let settings = $1.settings { $0.endpoint(settings) }
        }
        list(request.ports) {
            $0.number(Int64($1.target))
            $0.optional($1.published) {
                $0.number(Int64($1.lowerBound))
                $0.number(Int64($1.upperBound))
            }
            $0.optional($1.hostAddress) { $0.text($1) }
            $0.flag($1.proto == .udp)
        }
        list(request.extraHosts) {
            $0.text($1.name)
            $0.text($1.address)
        }
        list(request.dnsServers) { $0.text($1) }
        optional(request.limits.cpus) { $0.number(Int64(bitPattern: $1.bitPattern)) }
        optional(request.limits.memory) { $0.number($1.bytes) }
        optional(request.limits.pids) { $0.count($1) }
        for value in [request.limits.cpuQuota, request.limits.cpuPeriod, request.limits.cpuShares] {
            optional(value) { $0.count($1) }
        }
        optional(request.limits.cpuSet) { $0.text($1) }
        optional(request.limits.memoryReservation) { $0.number($1.bytes) }
        optional(request.limits.memoryAndSwap) { $0.number($1.bytes) }
        optional(request.limits.swappiness) { $0.count($1) }
        optional(request.limits.oomKillDisabled) { $0.flag($1) }
        for value in [request.limits.realtimeRuntime, request.limits.realtimePeriod] {
            optional(value) { $0.count($1) }
        }
        optional(request.limits.blockIO) { $0.blockIO($1) }
        list(request.capAdd) { $0.text($1) }
        list(request.capDrop) { $0.text($1) }
        flag(request.noNewPrivileges)
        flag(request.seccomp)
        flag(request.readOnlyRoot)
        flag(request.initProcess)
        flag(request.tty)
        flag(request.stdinOpen)
        table(request.ulimits) {
            $0.number($1.soft)
            $0.number($1.hard)
        }
        table(request.sysctls) { $0.text($1) }
        table(request.labels) { $0.text($1) }
        text(request.stopSignal)
        number(request.stopGracePeriod.nanoseconds)
        number(request.shmSize.bytes)
        optional(request.rare) { $0.rare($1) }
    }

    private mutating func endpoint(_ settings: EndpointSettings) {
        optional(settings.linkName) { $0.text($1) }
        list(settings.linkLocalAddresses) { $0.text($1) }
        count(settings.gatewayPriority)
        table(settings.sysctls) { $0.text($1) }
    }

    mutating func rare(_ settings: RareSettings) {
        optional(settings.oomScoreAdjustment) { $0.count($1) }
        list(settings.groups) { $0.text($1) }
        optional(settings.domainName) { $0.text($1) }
        list(settings.dnsSearch) { $0.text($1) }
        list(settings.dnsOptions) { $0.text($1) }
        table(settings.links) { $0.text($1) }
        optional(settings.logging) {
            $0.optional($1.fileSize) { $0.number($1) }
            $0.optional($1.files) { $0.count($1) }
            $0.optional($1.forwarding) { $0.forwarding($1) }
        }
        for namespace in RareSettings.Namespace.allCases {
            flag(settings.hostNamespaces.contains(namespace))
        }
        list(settings.joined) {
            $0.text($1.namespace.rawValue)
            $0.text($1.owner.text)
        }
        flag(settings.withoutSharedMemory)
        flag(settings.privileged)
        list(settings.devices) {
            $0.text($1.path)
            $0.text($1.target)
            $0.text($1.access.text)
            for value in [$1.uid, $1.gid, $1.mode] { $0.optional(value) { $0.number(Int64($1)) } }
        }
        list(settings.deviceRules) { $0.text($1.text) }
        for text in [settings.seccompProfile, settings.appArmorProfile, settings.seLinuxContext] {
            optional(text) { $0.text($1) }
        }
        flag(settings.systemPathsVisible)
        list(settings.volumesFrom) {
            $0.text($1.owner.text)
            $0.flag($1.readOnly)
        }
        table(settings.annotations) { $0.text($1) }
        // Nothing without them, so that no container is another than before.
        if let links = settings.externalLinks {
            text("external_links")
            table(links) { $0.text($1) }
        }
        if let parent = settings.cgroupParent {
            text("cgroup_parent")
            text(parent)
        }
        if let size = settings.storageSize {
            text("storage_opt")
            number(size.bytes)
        }
    }

    private mutating func forwarding(_ value: LogForwarding) {
        switch value.receiver {
        case .journal: count(0)
        case .syslog(let receiver):
            count(1)
            text(receiver.transport.rawValue)
            text(receiver.address)
            count(Int(receiver.port))
            count(receiver.facility)
            text(receiver.format.rawValue)
        }
        text(value.tag)
        table(value.fields) { $0.text($1) }
    }

    private mutating func blockIO(_ limits: BlockLimits) {
        optional(limits.weight) { $0.count($1) }
        for entries in [
            limits.weights, limits.readBytes, limits.writeBytes, limits.readOperations,
            limits.writeOperations,
        ] {
            list(entries) {
                $0.text($1.path)
                $0.number($1.value)
            }
        }
    }

    mutating func mount(_ request: MountRequest) {
        switch request.source {
        case .volume(let name):
            count(0)
            text(name)
        case .anonymous(let index):
            count(1)
            count(index)
        case .bind(let path, let create, let propagation):
            count(2)
            text(path)
            flag(create)
            optional(propagation) { $0.text($1) }
        case .tmpfs(let size, let mode, let uid, let gid):
            count(3)
            optional(size) { $0.number($1.bytes) }
            for value in [mode, uid, gid] { optional(value) { $0.number(Int64($1)) } }
        case .image(_, let id, _):
            count(4)
            text(id.hex)
        }
        text(request.target)
        flag(request.readOnly)
        flag(request.copyFromImage)
        optional(request.subpath) { $0.text($1) }
        optional(request.beneath) { $0.text($1.rawValue) }
        if let labels = request.labels { table(labels) { $0.text($1) } }
        if request.runsPrograms == true { text("exec") }
    }

    mutating func file(_ request: FileRequest) {
        text(request.title)
        text(request.content.hex)
        text(request.target)
        for value in [request.uid, request.gid, request.mode] { number(Int64(value)) }
    }

    mutating func hooks(_ hooks: HooksRequest) {
        list(hooks.preStart) {
            $0.container($1.container)
            $0.flag($1.perReplica)
        }
        for hooks in [hooks.postStart, hooks.preStop] {
            list(hooks) {
                $0.list($1.arguments) { $0.text($1) }
                $0.list($1.environment) { $0.text($1) }
                $0.optional($1.user) { $0.text($1) }
                $0.optional($1.workingDirectory) { $0.text($1) }
                $0.flag($1.privileged)
            }
        }
    }

    mutating func healthcheck(_ request: HealthcheckRequest) {
        list(request.command) { $0.text($1) }
        for value in [request.interval, request.timeout, request.startPeriod, request.startInterval] {
            number(value.nanoseconds)
        }
        count(request.retries)
    }
}
