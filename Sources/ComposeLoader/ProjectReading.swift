// SPDX-License-Identifier: Apache-2.0
//
// ProjectReading: the merged tree → `Project`; then profiles, environment files, and whether what is named exists.

internal import Basics
internal import ComposeModel
internal import YAMLTree

struct ProjectReading {
    let around: Surroundings
    let files: FileAccess
    let options: LoadOptions
    private var drafts: [String: ServiceDraft] = [:]
    /// The names of those that are switched on.
    private var on: Set<String> = []
    /// The names of those that have a `build`.
    private var built: Set<String> = []
    private var project: Project

    init(around: Surroundings, files: FileAccess, options: LoadOptions) {
        self.around = around
        self.files = files
        self.options = options
        project = Project(name: around.projectName, directory: around.directory)
    }

    private var log: Diagnostics { around.log }

    // MARK: Reading

    mutating func read(_ root: Field) {
        let resources = ResourceReader(around: around)
        for (section, keyPlace, field) in root.fields() {
            switch section {
            case "version":
                log.warn("`version` is obsolete and has no effect", advice: "remove it", at: keyPlace)
            case "services":
                for (name, place, field) in named(field, "a service") {
                    drafts[name] = ServiceReader.read(name, place, field, around)
                }
            case "networks":
                for (name, place, field) in named(field, "a network") {
                    project.networks[name] = resources.network(name, place, field)
                }
            case "volumes":
                for (name, place, field) in named(field, "a volume") {
                    project.volumes[name] = resources.volume(name, place, field)
                }
            case "configs":
                for (name, place, field) in named(field, "a config") {
                    project.configs[name] = resources.file(name, place, field)
                }
            case "secrets":
                for (name, place, field) in named(field, "a secret") {
                    project.secrets[name] = resources.file(name, place, field)
                }
            case "models":
                for (name, place, field) in named(field, "a model") {
                    project.models[name] = resources.model(name, place, field)
                }
            case _ where section.hasPrefix("x-"): project.extensions[section] = field.node.value
            default: continue
            }
        }
        if drafts.isEmpty, log.errors.isEmpty {
            log.error(
                "the project has no services", at: root.node.mapping?.pair("services")?.keyPlace ?? root.place
            )
        }
    }

    private func named(_ field: Field, _ what: String) -> [(key: String, keyPlace: Place, field: Field)] {
        field.fields().filter { key, keyPlace, _ in
            if key.hasPrefix("x-") { return false }
            if isResourceName(key) { return true }
            log.error(
                "\"\(key)\" is not a name for \(what)", advice: "letters, digits, \".\", \"_\" and \"-\"",
                at: keyPlace)
            return false
        }
    }

    // MARK: Finishing

    /// Splits services by profile, puts their environment in and checks every reference.
    mutating func finish(active: Set<String>, named: [String]) throws(Failure) -> Project {
        var active = active
        for name in named {
            guard let draft = drafts[name] else {
                throw Failure(
                    "no such service: \"\(name)\"",
                    advice: nearest(to: name, among: drafts.keys.sorted()).map { "did you mean \"\($0)\"?" })
            }
            active.formUnion(draft.service.profiles)
        }
        for (name, draft) in drafts {
            let profiles = draft.service.profiles
            if profiles.isEmpty || active.contains("*") || !active.isDisjoint(with: profiles) {
                on.insert(name)
            }
            if draft.service.build != nil { built.insert(name) }
        }
        let names = on.sorted()
        for name in names {
            guard let draft = drafts[name] else { continue }
            resolve(&draft.service, draft)
            if options.normalizes { normalize(&draft.service) }
            if options.checksConsistency { check(&draft.service) }
        }
        project.services.reserveCapacity(on.count)
        for (name, draft) in drafts {
            if on.contains(name) {
                project.services[name] = draft.service
            } else {
                project.disabledServices[name] = draft.service
            }
        }
        if options.checksConsistency {
            checkNames()
            checkCycles()
        }
        if options.normalizes { prune() }
        try log.check()
        return project
    }

    // MARK: Environment files

    /// `env_file`s in order, then `environment`; a name without a value is the client's, or unset. Labels alike.
    private func resolve(_ service: inout Service, _ draft: ServiceDraft) {
        guard options.resolvesEnvironment else {
            service.envFiles = draft.envFiles.map(\.file)
            service.labelFiles = draft.labelFiles.map(\.path)
            for (key, value, _) in draft.environment {
                if let value {
                    service.environment[key] = value
                } else {
                    service.unsetEnvironment.insert(key)
                }
            }
            return
        }
        for (file, place) in draft.envFiles {
            let above = service.environment
            let read = variables(file.path, required: file.required, raw: file.isRaw, place) {
                around.variable($0, at: place) ?? above[$0]
            }
            service.environment.merge(read) { $1 }
        }
        for (key, value, place) in draft.environment {
            if let value = value ?? around.variable(key, at: place) {
                service.environment[key] = value
                service.unsetEnvironment.remove(key)
            } else {
                service.environment[key] = nil
                service.unsetEnvironment.insert(key)
            }
        }
        var labels: [String: String] = [:]
        for (path, place) in draft.labelFiles {
            let read = variables(path, required: true, raw: false, place) { _ in nil }
            labels.merge(read) { $1 }
        }
        if !labels.isEmpty { service.labels = labels.merging(service.labels) { $1 } }
        for hooks in [\Service.preStart, \Service.postStart, \Service.preStop] {
            for index in service[keyPath: hooks].indices { resolve(&service[keyPath: hooks][index]) }
        }
        for index in (service.watch ?? []).indices where service.watch?[index].exec != nil {
            if var hook = service.watch?[index].exec {
                resolve(&hook)
                service.watch?[index].exec = hook
            }
        }
    }

    /// A hook's variable without a value is the client's, or unset.
    private func resolve(_ hook: inout Service.Hook) {
        for (name, value) in hook.environment where value == nil {
            if let given = around.origins.all[0].variables[name] {
                hook.environment.updateValue(given, forKey: name)
            } else {
                hook.environment.removeValue(forKey: name)
            }
        }
    }

    private func variables(
        _ path: String, required: Bool, raw: Bool, _ place: Place, _ lookup: @escaping (String) -> String?
    ) -> [String: String] {
        do throws(Failure) {
            let path = joinedPath(around.origins[place].directory, path)
            if let bytes = try files.read(path) {
                return try EnvironmentFile.read(bytes, name: path, raw: raw, lookup: lookup)
            }
            if required {
                log.error(
                    "the environment file \(path) does not exist",
                    advice: "create it, or give `required: false`", at: place)
            }
        } catch {
            log.add(error)
        }
        return [:]
    }

    // MARK: What is left unsaid

    /// The default network, and the services one needs without naming them under `depends_on`
    /// (compose-go, loader/normalize.go).
    private func normalize(_ service: inout Service) {
        if service.networkMode == nil, service.networks.isEmpty, service.provider == nil {
            service.networks["default"] = Service.Attachment()
        }
        if let build = service.build, build.dockerfile == nil, build.dockerfileInline == nil {
            let isLocal = build.context.hasPrefix("/")
            service.build?.dockerfile = isLocal ? joinedPath(build.context, "Dockerfile") : "Dockerfile"
        }
        if service.pullPolicy == "if_not_present" { service.pullPolicy = "missing" }
        func depend(on name: String, restart: Bool) {
            guard service.dependsOn[name] == nil, name != service.name else { return }
            var dependency = Service.Dependency(condition: .started)
            dependency.restart = restart
            service.dependsOn[name] = dependency
        }
        for link in service.links { depend(on: String(link.prefix { $0 != ":" }), restart: true) }
        for mode in [service.networkMode, service.ipc, service.pid, service.uts, service.cgroup] {
            if let mode, mode.hasPrefix("service:") { depend(on: String(mode.dropFirst(8)), restart: true) }
        }
        for source in service.volumesFrom where !source.hasPrefix("container:") {
            depend(on: String(source.prefix { $0 != ":" }), restart: false)
        }
    }

    private func check(_ service: inout Service) {
        let marks = service.marks
        let who = "service \"\(service.name)\""
        func missing(
            _ what: String, _ name: String, _ known: some Sequence<String>, _ advice: String,
            _ at: SourceLocation?
        ) {
            log.add(
                Failure(
                    "\(who) names the \(what) \"\(name)\", which is not declared",
                    advice: nearest(to: name, among: known).map { "did you mean \"\($0)\"?" } ?? advice,
                    at: at))
        }
        if let mode = service.networkMode {
            if !service.networks.isEmpty {
                log.add(
                    Failure(
                        "\(who) has both `networks` and `network_mode`", advice: "give one of them",
                        at: marks["network_mode"]))
            }
            if mode == "none", !service.ports.isEmpty {
                log.add(
                    Failure(
                        "\(who) publishes ports and has no network",
                        advice: "remove `ports` or `network_mode: none`", at: marks["ports"]))
            }
        }
        for name in service.networks.keys.sorted() where name != "default" && project.networks[name] == nil {
            missing(
                "network", name, project.networks.keys.sorted(),
                "declare it under `networks:` at the top level",
                marks["networks"])
        }
        for mount in service.volumes {
            if case .volume(let name) = mount.source, project.volumes[name] == nil {
                missing(
                    "volume", name, project.volumes.keys.sorted(),
                    "declare it under `volumes:` at the top level, or write \"./\(name)\" for a directory",
                    mount.location)
            }
        }
        for grant in service.configs where project.configs[grant.source] == nil {
            missing(
                "config", grant.source, project.configs.keys.sorted(),
                "declare it under `configs:` at the top level", grant.location)
        }
        for grant in service.secrets where project.secrets[grant.source] == nil {
            missing(
                "secret", grant.source, project.secrets.keys.sorted(),
                "declare it under `secrets:` at the top level", grant.location)
        }
        for secret in service.build?.secrets ?? [] where project.secrets[secret.source] == nil {
            missing(
                "secret", secret.source, project.secrets.keys.sorted(),
                "declare it under `secrets:` at the top level", secret.location)
        }
        for name in service.models.keys.sorted() where project.models[name] == nil {
            missing(
                "model", name, project.models.keys.sorted(), "declare it under `models:` at the top level",
                marks["models"])
        }
        for (name, dependency) in service.dependsOn.sorted(by: { $0.key < $1.key }) {
            if on.contains(name) { continue }
            if drafts[name] != nil {
                if !dependency.required {
                    service.dependsOn[name] = nil
                    continue
                }
                log.add(
                    Failure(
                        "\(who) depends on \"\(name)\", which its profiles switch off",
                        advice: "switch it on with --profile, or give `required: false`",
                        at: marks["depends_on"]))
            } else if dependency.required {
                missing(
                    "service", name, drafts.keys.sorted(), "declare it under `services:`", marks["depends_on"]
                )
            } else {
                service.dependsOn[name] = nil
            }
        }
        for (name, reference) in service.build?.additionalContexts.sorted(by: { $0.key < $1.key }) ?? []
        where reference.hasPrefix("service:") {
            let other = String(reference.dropFirst(8))
            if !built.contains(other) {
                log.add(
                    Failure(
                        "\(who) builds with \"\(name)\" from the service \"\(other)\", which is not built",
                        at: marks["build"]))
            }
        }
        if service.deploy?.mode == "global", service.replicas > 1 {
            log.add(
                Failure(
                    "\(who) is `global` and has \(service.replicas) replicas",
                    cause: "one container runs on each node, and this host is the only one",
                    advice: "remove `replicas`, or `mode: global`", at: marks["deploy"]))
        }
        if service.containerName != nil, service.replicas > 1 {
            log.add(
                Failure(
                    "\(who) has a `container_name` and \(service.replicas) replicas",
                    cause: "a name belongs to one container", advice: "remove one of them",
                    at: marks["container_name"]))
        }
    }

    /// Two containers cannot have one name.
    private func checkNames() {
        var owners: [String: String] = [:]
        for name in project.services.keys.sorted() {
            guard let service = project.services[name], let container = service.containerName else {
                continue
            }
            if let owner = owners[container] {
                log.add(
                    Failure(
                        "services \"\(owner)\" and \"\(name)\" have one `container_name`, \"\(container)\"",
                        at: service.marks["container_name"]))
            }
            owners[container] = name
        }
    }

    private func checkCycles() {
        let graph = DependencyGraph(names: project.services.keys.sorted()) { name in
            project.services[name].map { Array($0.dependsOn.keys) } ?? []
        }
        for ring in graph.rings() {
            let last = project.services[ring[ring.count - 2]]
            log.add(Failure(DependencyGraph.text(ring), at: last?.marks["depends_on"]))
        }
    }

    /// Only what a service uses is made; the default network only when something is on it.
    private mutating func prune() {
        var (networks, volumes): (Set<String>, Set<String>) = ([], [])
        var (configs, secrets): (Set<String>, Set<String>) = ([], [])
        var models: Set<String> = []
        for service in project.services.values {
            networks.formUnion(service.networks.keys)
            for mount in service.volumes {
                if case .volume(let name) = mount.source { volumes.insert(name) }
            }
            configs.formUnion(service.configs.map(\.source))
            secrets.formUnion(service.secrets.map(\.source))
            secrets.formUnion(service.build?.secrets.map(\.source) ?? [])
            models.formUnion(service.models.keys)
        }
        if networks.contains("default"), project.networks["default"] == nil {
            project.networks["default"] = Network(name: "\(project.name)_default")
        }
        project.networks = project.networks.filter { networks.contains($0.key) }
        project.volumes = project.volumes.filter { volumes.contains($0.key) }
        project.configs = project.configs.filter { configs.contains($0.key) }
        project.secrets = project.secrets.filter { secrets.contains($0.key) }
        project.models = project.models.filter { models.contains($0.key) }
    }
}
