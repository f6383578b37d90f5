// SPDX-License-Identifier: Apache-2.0
//
// ServiceReader: a merged service → `Service`, every short form made long. What the ledger refuses was reported
// before; here each attribute that works is read, and complains about its own value.

internal import Basics
internal import ComposeModel
internal import YAMLTree

/// A service with what is only put in once it is known to be switched on.
final class ServiceDraft {
    var service: Service
    var environment: [(key: String, value: String?, place: Place)] = []
    var envFiles: [(file: Service.EnvironmentFileReference, place: Place)] = []
    var labelFiles: [(path: String, place: Place)] = []

    init(name: String) { service = Service(name: name) }
}

struct ServiceReader {
    let around: Surroundings
    private let draft: ServiceDraft
    /// The draft's: a service has so many attributes that it is never copied while it is read.
    private var service: Service {
        get { draft.service }
        nonmutating _modify { yield &draft.service }
    }
    private var temporaries: [Service.Mount] = []

    static func read(_ name: String, _ keyPlace: Place, _ field: Field, _ around: Surroundings)
        -> ServiceDraft
    {
        var reader = ServiceReader(name, around)
        reader.service.marks.element = keyPlace.location
        field.log.service = name
        reader.read(field, keyPlace)
        field.log.service = nil
        return reader.draft
    }

    private init(_ name: String, _ around: Surroundings) {
        self.around = around
        draft = ServiceDraft(name: name)
    }

    private mutating func read(_ field: Field, _ keyPlace: Place) {
        guard let mapping = field.node.mapping else {
            field.wrongForm(expected: "a mapping with an `image` or a `build`")
            return
        }
        for (key, keyPlace, field) in field.fields() {
            if key.hasPrefix("x-") {
                service.extensions[key] = field.node.value
                continue
            }
            service.marks.attributes[key] = keyPlace.location
            read(key, keyPlace, field)
        }
        service.volumes = unique(service.volumes + temporaries) { $0.target }
        service.volumes = service.volumes.filter { !$0.isTemporary } + service.volumes.filter(\.isTemporary)
        if let pair = mapping.pair("deploy") { checkAgreement(field.child(pair)) }
        if service.networkMode == "host", !service.ports.isEmpty, let pair = mapping.pair("ports") {
            field.log.note(
                "`\(field.child(pair).path.text)` has no effect",
                cause: "with `network_mode: host` it listens on the host itself, on the ports it opens there",
                at: pair.keyPlace)
        }
        // What is given and wrong has been told already.
        let isGiven = ["image", "build", "provider"].contains { mapping[$0].map { !$0.isNull } ?? false }
        if service.image == nil, service.build == nil, service.provider == nil, !isGiven {
            field.error(
                "has neither an `image` nor a `build`",
                advice: "name an image, or a directory with a Dockerfile", at: keyPlace)
        }
    }

    /// Where nothing given says nothing, as when it is left out.
    private static let nullable: Set<String> = [
        "annotations", "attach", "blkio_config", "cgroup", "cgroup_parent", "cpu_count", "cpu_percent",
        "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset",
        "credential_spec", "deploy", "develop", "domainname", "external_links", "gpus", "ipc", "isolation",
        "logging", "mac_address", "mem_reservation", "mem_swappiness", "memswap_limit", "models",
        "oom_kill_disable", "oom_score_adj", "pid", "privileged", "provider", "pull_refresh_after",
        "runtime", "storage_opt", "use_api_socket", "userns_mode", "uts",
    ]

    private mutating func read(_ key: String, _ keyPlace: Place, _ field: Field) {
        if field.node.isNull, ServiceReader.nullable.contains(key) { return }
        switch key {
        case "annotations": service.annotations = field.labels()
        case "attach": service.attach = field.bool()
        case "blkio_config": service.blockIO = field.blockIO()
        case "build": service.build = field.build(around)
        case "cap_add": service.capAdd = field.capabilities()
        case "cap_drop": service.capDrop = field.capabilities()
        case "cgroup": service.cgroup = field.oneOf(["host", "private"])
        case "cgroup_parent": service.cgroupParent = field.cgroupParent()
        case "command": service.command = field.command()
        case "configs": service.configs = field.grants(defaultDirectory: "/")
        case "container_name":
            service.containerName = field.nonEmptyString()
            if let name = service.containerName, !isContainerName(name) {
                field.error(
                    "is \"\(name)\"",
                    advice: "letters, digits, \"_\", \".\", \"-\", beginning with one of the first two")
            }
        case "cpu_count": service.cpuCount = field.integer(0...Int.max, what: "a number of processors")
        case "cpu_percent": service.cpuPercent = field.number(0...100, what: "a number from 0 to 100")
        case "cpu_period": service.cpuPeriod = field.microseconds()
        case "cpu_quota": service.cpuQuota = field.microseconds()
        case "cpu_rt_period": service.cpuRealtimePeriod = field.microseconds()
        case "cpu_rt_runtime": service.cpuRealtimeRuntime = field.microseconds()
        case "cpu_shares": service.cpuShares = field.integer(0...Int.max, what: "a relative weight")
        case "cpus": service.cpus = field.cpus()
        case "cpuset": service.cpuSet = field.processors()
        case "credential_spec": service.credentialSpec = field.credentialSpec(around)
        case "depends_on": service.dependsOn = field.dependencies()
        case "deploy": service.deploy = field.deploy()
        case "develop": service.watch = field.watchRules(around)
        case "device_cgroup_rules": service.deviceCgroupRules = field.deviceRules()
        case "devices": service.devices = field.devices()
        case "dns":
            service.dns = unique(field.stringOrList()) { $0 }
            for address in service.dns where ipv4(address) == nil && !isIPv6(address) {
                field.error("names \"\(address)\", which is not an address")
            }
        case "dns_opt": service.dnsOptions = unique(field.strings()) { $0 }
        case "dns_search": service.dnsSearch = unique(field.stringOrList()) { $0 }
        case "domainname": service.domainName = field.nonEmptyString()
        case "entrypoint": service.entrypoint = field.command()
        case "env_file": draft.envFiles = field.envFiles(around)
        case "environment":
            for (key, value, field) in field.keyValues() {
                // A slip around the equals sign, as compose-go takes it; within a name it means something to somebody.
                if let last = key.utf8.last, last == 0x20 || (9...13).contains(last) {
                    field.error("names the variable \"\(key)\", which ends with white space")
                }
                draft.environment.append((key, value, field.place))
            }
        case "expose": service.expose = field.exposed()
        case "external_links": service.externalLinks = field.externalLinks()
        case "extra_hosts": service.extraHosts = field.extraHosts()
        case "gpus": service.gpus = field.gpus()
        case "group_add": service.groupAdd = unique(field.strings()) { $0 }
        case "healthcheck": service.healthcheck = field.healthcheck()
        case "hostname":
            service.hostname = field.nonEmptyString()
            if let name = service.hostname, !isHostName(name) {
                field.error("is \"\(name)\", which is not a host's name (RFC 1123)")
            }
        case "image":
            service.image = field.nonEmptyString().map { around.transport($0, at: field.place) ?? $0 }
        case "init": service.initProcess = field.bool()
        case "ipc": service.ipc = field.namespace(["host", "none", "private", "shareable"])
        case "isolation": service.isolation = field.nonEmptyString()
        case "label_file": draft.labelFiles = field.labelFiles(around)
        case "labels": service.labels = field.labels()
        case "links": service.links = field.links()
        case "logging": service.logging = field.logging()
        case "mac_address": service.macAddress = field.macAddress()
        case "mem_limit": service.memoryLimit = field.bytes()
        case "mem_reservation": service.memoryReservation = field.bytes()
        case "mem_swappiness":
            service.memorySwappiness = field.integer(0...100, what: "a number from 0 to 100")
        case "memswap_limit":
            service.memorySwapLimit = field.node.text == "-1" ? ByteSize(bytes: -1) : field.bytes()
        case "models": service.models = field.models()
        case "network_mode": service.networkMode = field.networkMode()
        case "networks": service.networks = field.attachments()
        case "oom_kill_disable": service.oomKillDisable = field.bool() ?? false
        case "oom_score_adj":
            service.oomScoreAdjustment = field.integer(-1000...1000, what: "a number from -1000 to 1000")
        case "pid": service.pid = field.namespace(["host"])
        case "pids_limit": service.pidsLimit = field.pids()
        case "platform": service.platform = field.platform()
        case "ports": service.ports = field.ports()
        case "post_start": service.postStart = field.hooks(around)
        case "pre_start": service.preStart = field.hooks(around)
        case "pre_stop": service.preStop = field.hooks(around)
        case "privileged": service.privileged = field.bool() ?? false
        case "profiles":
            service.profiles = unique(field.strings()) { $0 }
            for profile in service.profiles where !isResourceName(profile) {
                field.error("has the profile \"\(profile)\"", advice: "letters, digits, \"_\", \".\", \"-\"")
            }
        case "provider": service.provider = field.provider()
        case "pull_policy": service.pullPolicy = field.pullPolicy()
        case "pull_refresh_after": service.pullRefreshAfter = field.longDuration()
        case "read_only": service.readOnly = field.bool() ?? false
        case "restart": service.restart = field.restart()
        case "runtime": service.runtime = field.nonEmptyString()
        case "scale": service.scale = field.integer(Service.replicaBounds, what: "a number of containers")
        case "secrets": service.secrets = field.grants(defaultDirectory: "/run/secrets/")
        case "security_opt": service.securityOptions = field.securityOptions()
        case "shm_size": service.shmSize = field.bytes()
        case "stdin_open": service.stdinOpen = field.bool() ?? false
        case "stop_grace_period": service.stopGracePeriod = field.duration()
        case "stop_signal": service.stopSignal = field.signal()
        case "storage_opt": service.storageOptions = field.storageOptions()
        case "sysctls": service.sysctls = field.sysctls()
        case "tmpfs": temporaries = field.temporaries()
        case "tty": service.tty = field.bool() ?? false
        case "ulimits": service.ulimits = field.ulimits()
        case "use_api_socket": service.useAPISocket = field.bool() ?? false
        case "user": service.user = field.string()
        case "userns_mode": service.userNamespace = field.nonEmptyString()
        case "uts": service.uts = field.namespace(["host"])
        case "volumes": service.volumes = field.mounts(around)
        case "volumes_from": service.volumesFrom = field.volumesFrom()
        case "working_dir":
            service.workingDirectory = field.nonEmptyString()
            if let directory = service.workingDirectory, !directory.hasPrefix("/") {
                field.error("is \"\(directory)\"; the working directory must be absolute")
            }
        default: break
        }
    }

    /// `deploy` stands beside older names for the same; both may be given when they agree.
    private func checkAgreement(_ field: Field) {
        guard let deploy = service.deploy else { return }
        if let pair = field.node.mapping?.pair("replicas"), let scale = service.scale,
            let replicas = deploy.replicas, scale != replicas
        {
            field.child(pair).error("is \(replicas), but `scale` is \(scale)", advice: "give one of them")
        }
        guard let limits = deploy.limits, let resources = field.node.mapping?.pair("resources"),
            let pair = resources.value.mapping?.pair("limits")
        else { return }
        for (key, _, field) in field.child(resources).child(pair).fields() {
            switch key {
            case "cpus": field.agree(limits.cpus, service.cpus, "cpus")
            case "memory": field.agree(limits.memory, service.memoryLimit, "mem_limit")
            case "pids": field.agree(limits.pids, service.pidsLimit, "pids_limit")
            default: break
            }
        }
    }
}

extension Service.Mount {
    /// An entry of `tmpfs`.
    var isTemporary: Bool { tmpfsText != nil }
}
