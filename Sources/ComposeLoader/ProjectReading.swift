// SPDX-License-Identifier: Apache-2.0
//
// ProjectReading: the merged tree → `Project`; then profiles, and what is left unsaid. Environment files are
// ServiceEnvironment.swift's, whether what is named exists Consistency.swift's.

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
        project.nameSeparator = options.nameSeparator
        project.keepsUnused = options.keepsUnused
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
                    if log.isFull { return log.endEarly() }
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
        let environment = ServiceEnvironment(
            around: around, files: files, resolves: options.resolvesEnvironment)
        let consistency = Consistency(
            project: project, declared: Set(drafts.keys), on: on, built: built, log: log)
        // Drafts, not services: a service is large, and so are thousands of them copied for one look each.
        let order = on.sorted().compactMap { drafts[$0] }
        for draft in order {
            if log.isFull {
                log.endEarly()
                break
            }
            environment.resolve(&draft.service, draft)
            if options.normalizes { normalize(&draft.service) }
            if options.checksConsistency { consistency.settle(&draft.service) }
        }
        if options.checksConsistency {
            checkNames(of: order, log)
            checkCycles(of: order, log)
        }
        project.services.reserveCapacity(order.count)
        for draft in order { project.services[draft.service.name] = draft.service }
        if options.normalizes { settleResources() }
        if options.checksConsistency { checkRealNames(project, log) }
        try log.check()
        for (name, draft) in drafts where !on.contains(name) {
            project.disabledServices[name] = draft.service
        }
        return project
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

    /// Only what a service uses is made; the default network only when something is on it.
    private mutating func settleResources() {
        if project.networks["default"] == nil,
            project.services.values.contains(where: { $0.networks["default"] != nil })
        {
            project.networks["default"] = Network(name: "\(project.name)_default")
        }
        project.declaredVolumes = Set(project.volumes.values.map(\.name))
        if !options.keepsUnused { project.dropUnusedResources() }
    }
}
