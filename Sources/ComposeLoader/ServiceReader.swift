// SPDX-License-Identifier: Apache-2.0
//
// ServiceReader: a merged service → `Service`, every short form made long. What the ledger refuses was reported
// before; here each attribute that works is read, and complains about its own value.

internal import Basics
internal import ComposeModel
internal import YAMLTree

/// A service with what is only put in once it is known to be switched on.
struct ServiceDraft {
    var service: Service
    var environment: [(key: String, value: String?)] = []
    var envFiles: [EnvFile] = []
    var networkModePlace: Place?
    var replicasPlace: Place?

    struct EnvFile {
        var path: String
        var required = true
        var raw = false
        var place: Place
    }
}

struct ServiceReader {
    let around: Surroundings
    private var draft: ServiceDraft
    private var service: Service
    private var temporaries: [Service.Mount] = []
    private var scale: Int?

    static func read(_ name: String, _ keyPlace: Place, _ field: Field, _ around: Surroundings)
        -> ServiceDraft
    {
        var reader = ServiceReader(name, around)
        reader.service.marks.element = keyPlace.location
        reader.read(field, keyPlace)
        reader.draft.service = reader.service
        return reader.draft
    }

    private init(_ name: String, _ around: Surroundings) {
        self.around = around
        service = Service(name: name)
        draft = ServiceDraft(service: service)
    }

    private mutating func read(_ field: Field, _ keyPlace: Place) {
        guard let mapping = field.node.mapping else {
            field.wrongForm(expected: "a mapping with an `image` or a `build`")
            return
        }
        for (key, keyPlace, field) in field.fields() {
            service.marks.attributes[key] = keyPlace.location
            read(key, keyPlace, field)
        }
        // `deploy` stands beside older names for the same; both may be given when they agree.
        if let deploy = mapping.pair("deploy") { readDeploy(field.child(deploy)) }
        service.volumes = unique(service.volumes + temporaries) { $0.target }
        service.volumes = service.volumes.filter { !$0.isTemporary } + service.volumes.filter(\.isTemporary)
        if let scale { service.replicas = scale }
        if service.image == nil, service.build == nil, mapping["image"] == nil, mapping["build"] == nil {
            field.error(
                "has neither an `image` nor a `build`",
                advice: "name an image, or a directory with a Dockerfile", at: keyPlace)
        }
    }

    private mutating func read(_ key: String, _ keyPlace: Place, _ field: Field) {
        switch key {
        case "image": service.image = field.nonEmptyString().map { around.transport($0) ?? $0 }
        case "build": service.build = field.build(around)
        case "pull_policy": service.pullPolicy = field.pullPolicy()
        case "platform": field.platform()
        case "command": service.command = field.command()
        case "entrypoint": service.entrypoint = field.command()
        case "environment":
            for (key, value, field) in field.keyValues() {
                if key.utf8.contains(0x20) {
                    field.error("names the variable \"\(key)\", with a space in it")
                }
                draft.environment.append((key, value))
            }
        case "env_file": draft.envFiles = field.envFiles(around)
        case "working_dir":
            service.workingDirectory = field.nonEmptyString()
            if let directory = service.workingDirectory, !directory.hasPrefix("/") {
                field.error("is \"\(directory)\"; the working directory must be absolute")
            }
        case "user": service.user = field.string()
        case "hostname":
            service.hostname = field.nonEmptyString()
            if let name = service.hostname, !isHostName(name) {
                field.error("is \"\(name)\", which is not a host's name (RFC 1123)")
            }
        case "container_name":
            service.containerName = field.nonEmptyString()
            if let name = service.containerName, !isContainerName(name) {
                field.error(
                    "is \"\(name)\"",
                    advice: "letters, digits, \"_\", \".\", \"-\", beginning with one of the first two")
            }
        case "ports": service.ports = field.ports()
        case "expose": service.expose = field.exposed()
        case "volumes": service.volumes = field.mounts(around)
        case "tmpfs": temporaries = field.temporaries()
        case "networks": service.networks = field.attachments()
        case "network_mode":
            draft.networkModePlace = keyPlace
            service.networkMode = field.networkMode()
        case "depends_on": service.dependsOn = field.dependencies()
        case "healthcheck": service.healthcheck = field.healthcheck()
        case "restart": service.restart = field.restart() ?? .no
        case "scale":
            scale = field.integer(0...10_000, what: "a number of containers")
            draft.replicasPlace = keyPlace
        case "cpus": service.cpus = field.cpus()
        case "mem_limit": service.memoryLimit = field.bytes()
        case "shm_size": service.shmSize = field.bytes()
        case "pids_limit": service.pidsLimit = field.pids()
        case "stop_signal": service.stopSignal = field.signal()
        case "stop_grace_period": service.stopGracePeriod = field.duration()
        case "cap_add": service.capAdd = field.capabilities()
        case "cap_drop": service.capDrop = field.capabilities()
        case "security_opt": service.securityOptions = field.securityOptions()
        case "read_only": service.readOnly = field.bool() ?? false
        case "init": service.initProcess = field.bool() ?? false
        case "tty": service.tty = field.bool() ?? false
        case "stdin_open": service.stdinOpen = field.bool() ?? false
        case "labels": service.labels = field.labels()
        case "extra_hosts": service.extraHosts = field.extraHosts()
        case "dns":
            service.dns = unique(field.stringOrList()) { $0 }
            for address in service.dns where ipv4(address) == nil && !isIPv6(address) {
                field.error("names \"\(address)\", which is not an address")
            }
        case "ulimits": service.ulimits = field.ulimits()
        case "sysctls": service.sysctls = field.sysctls()
        case "profiles":
            service.profiles = unique(field.strings()) { $0 }
            for profile in service.profiles where !isResourceName(profile) {
                field.error("has the profile \"\(profile)\"", advice: "letters, digits, \"_\", \".\", \"-\"")
            }
        case "configs": service.configs = field.grants(defaultDirectory: "/")
        case "secrets": service.secrets = field.grants(defaultDirectory: "/run/secrets/")
        default: break
        }
    }

    /// `deploy`, as far as one host has a use for it.
    private mutating func readDeploy(_ field: Field) {
        guard let mapping = field.node.mapping else {
            if !field.node.isNull { field.wrongForm(expected: "a mapping") }
            return
        }
        if let pair = mapping.pair("replicas"), !pair.value.isNull {
            let field = field.child(pair)
            let replicas = field.integer(0...10_000, what: "a number of containers")
            if let scale, let replicas, scale != replicas {
                field.error("is \(replicas), but `scale` is \(scale)", advice: "give one of them")
            }
            scale = scale ?? replicas
            draft.replicasPlace = draft.replicasPlace ?? pair.keyPlace
        }
        if let pair = mapping.pair("restart_policy") { readRestartPolicy(field.child(pair)) }
        guard let resources = mapping.pair("resources"),
            let limits = resources.value.mapping?.pair("limits")
        else { return }
        for (key, _, field) in field.child(resources).child(limits).fields() {
            switch key {
            case "cpus": service.cpus = field.agreed(field.cpus(), service.cpus, "cpus")
            case "memory":
                service.memoryLimit = field.agreed(field.bytes(), service.memoryLimit, "mem_limit")
            case "pids": service.pidsLimit = field.agreed(field.pids(), service.pidsLimit, "pids_limit")
            default: break
            }
        }
    }

    private mutating func readRestartPolicy(_ field: Field) {
        guard let mapping = field.node.mapping else { return }
        var attempts: Int?
        if let pair = mapping.pair("max_attempts") {
            attempts = field.child(pair).integer(0...Int.max, what: "a number of attempts")
        }
        guard let pair = mapping.pair("condition") else {
            if mapping["max_attempts"] != nil { service.restart = .onFailure(maximumRetries: attempts) }
            return
        }
        switch pair.value.text {
        case "none": service.restart = .no
        case "any": service.restart = .always
        case "on-failure": service.restart = .onFailure(maximumRetries: attempts)
        default: field.child(pair).wrongForm(expected: "none, on-failure or any")
        }
    }
}

extension Service.Mount {
    var isTemporary: Bool {
        if case .tmpfs = source { return true }
        return false
    }
}
