// SPDX-License-Identifier: Apache-2.0
//
// ProjectReading: the merged tree → `Project`; then profiles, environment files, and whether what is named exists.

internal import Basics
internal import ComposeModel
internal import YAMLTree

struct ProjectReading {
    let around: Surroundings
    let files: FileAccess
    private var drafts: [String: ServiceDraft] = [:]
    private var project: Project

    init(around: Surroundings, files: FileAccess) {
        self.around = around
        self.files = files
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
                project.services[name] = draft.service
            } else {
                project.disabledServices[name] = draft.service
            }
        }
        for name in project.services.keys.sorted() {
            guard var service = project.services[name], let draft = drafts[name] else { continue }
            service.environment = environment(of: draft)
            check(&service, draft)
            project.services[name] = service
        }
        checkNames()
        checkCycles()
        prune()
        try log.check()
        return project
    }

    /// `env_file`s in order, then `environment`; a name without a value is the client's, or absent.
    private func environment(of draft: ServiceDraft) -> [String: String] {
        var result: [String: String] = [:]
        for file in draft.envFiles {
            do throws(Failure) {
                guard let bytes = try files.read(file.path) else {
                    if file.required {
                        log.error(
                            "the environment file \(file.path) does not exist",
                            advice: "create it, or give `required: false`", at: file.place)
                    }
                    continue
                }
                let read = try EnvironmentFile.read(bytes, name: file.path, raw: file.raw) {
                    around.variables[$0] ?? result[$0]
                }
                result.merge(read) { $1 }
            } catch {
                log.add(error)
            }
        }
        for (key, value) in draft.environment { result[key] = value ?? around.variables[key] }
        return result
    }

    private func check(_ service: inout Service, _ draft: ServiceDraft) {
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
        if service.networkMode != nil {
            if !service.networks.isEmpty {
                log.add(
                    Failure(
                        "\(who) has both `networks` and `network_mode`", advice: "give one of them",
                        at: marks["network_mode"]))
            }
            if !service.ports.isEmpty {
                log.add(
                    Failure(
                        "\(who) publishes ports and has no network",
                        advice: "remove `ports` or `network_mode: none`", at: marks["ports"]))
            }
        } else if service.networks.isEmpty {
            service.networks["default"] = Service.Attachment()
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
        for (name, dependency) in service.dependsOn.sorted(by: { $0.key < $1.key }) {
            if project.services[name] != nil { continue }
            if project.disabledServices[name] != nil {
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
            if drafts[other]?.service.build == nil {
                log.add(
                    Failure(
                        "\(who) builds with \"\(name)\" from the service \"\(other)\", which is not built",
                        at: marks["build"]))
            }
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

    /// Depth first without recursion, in the order of names, so that a cycle is always told the same way.
    private func checkCycles() {
        var done: Set<String> = []
        for start in project.services.keys.sorted() where !done.contains(start) {
            var path = [start]
            var onPath: Set<String> = [start]
            var next = [dependencies(of: start)]
            while let name = path.last {
                guard let other = next[next.count - 1].popLast() else {
                    done.insert(name)
                    onPath.remove(name)
                    path.removeLast()
                    next.removeLast()
                    continue
                }
                if onPath.contains(other) {
                    let cycle = path[(path.firstIndex(of: other) ?? 0)...] + [other]
                    log.add(
                        Failure(
                            "services depend on each other in a cycle: \(cycle.joined(separator: " → "))",
                            at: project.services[name]?.marks["depends_on"]))
                    done.formUnion(onPath)
                } else if !done.contains(other), project.services[other] != nil {
                    path.append(other)
                    onPath.insert(other)
                    next.append(dependencies(of: other))
                }
            }
        }
    }

    /// In reverse order of names, to be taken from the end.
    private func dependencies(of name: String) -> [String] {
        project.services[name]?.dependsOn.keys.sorted(by: >) ?? []
    }

    /// Only what a service uses is made; the default network only when something is on it.
    private mutating func prune() {
        var (networks, volumes): (Set<String>, Set<String>) = ([], [])
        var (configs, secrets): (Set<String>, Set<String>) = ([], [])
        for service in project.services.values {
            networks.formUnion(service.networks.keys)
            for mount in service.volumes {
                if case .volume(let name) = mount.source { volumes.insert(name) }
            }
            configs.formUnion(service.configs.map(\.source))
            secrets.formUnion(service.secrets.map(\.source))
        }
        if networks.contains("default"), project.networks["default"] == nil {
            project.networks["default"] = Network(name: "\(project.name)_default")
        }
        project.networks = project.networks.filter { networks.contains($0.key) }
        project.volumes = project.volumes.filter { volumes.contains($0.key) }
        project.configs = project.configs.filter { configs.contains($0.key) }
        project.secrets = project.secrets.filter { secrets.contains($0.key) }
    }
}
