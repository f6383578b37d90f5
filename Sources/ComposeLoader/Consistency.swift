// SPDX-License-Identifier: Apache-2.0
//
// Consistency: whether what services name is declared, and nothing they say contradicts itself.

internal import Basics
internal import ComposeModel

struct Consistency {
    /// With all its networks, volumes, files and models.
    let project: Project
    /// Services by name, also those that are switched off.
    let declared: Set<String>
    let on: Set<String>
    /// The names of those that have a `build`.
    let built: Set<String>
    let log: Diagnostics

    /// Reports what is wrong with a service, and takes dependencies out that are not required and not there.
    func settle(_ service: inout Service) {
        checkNetworks(service)
        checkPorts(service)
        checkResources(service)
        settleDependencies(&service)
        checkBuild(service)
        checkReplicas(service)
    }

    private func title(_ service: Service) -> String { "service \"\(service.name)\"" }

    private func missing(
        _ service: Service, _ what: String, _ name: String, _ known: some Collection<String>,
        _ advice: String, _ location: SourceLocation?
    ) {
        log.undeclared(what, name, of: service.name, among: known.sorted(), advice, at: location)
    }

    private func checkNetworks(_ service: Service) {
        if let mode = service.networkMode {
            if !service.networks.isEmpty {
                log.add(
                    Failure(
                        "\(title(service)) has both `networks` and `network_mode`",
                        advice: "give one of them",
                        at: service.marks["network_mode"]))
            }
            if mode == "none", !service.ports.isEmpty {
                log.add(
                    Failure(
                        "\(title(service)) publishes ports and has no network",
                        advice: "remove `ports` or `network_mode: none`", at: service.marks["ports"]))
            }
        }
        for name in service.networks.keys.sorted() where name != "default" && project.networks[name] == nil {
            missing(
                service, "network", name, project.networks.keys,
                "declare it under `networks:` at the top level",
                service.marks["networks"])
        }
    }

    /// Whether a network of another project is internal is known when a container is started.
    private func checkPorts(_ service: Service) {
        let isInternal = service.networks.keys.allSatisfy { project.networks[$0]?.isInternal ?? false }
        guard !service.ports.isEmpty, !service.networks.isEmpty, isInternal else { return }
        log.note(
            "`services.\(service.name).ports` has no effect",
            cause: "its networks are internal: nothing reaches it from outside, nor from this host's ports",
            of: service.name, at: service.marks["ports"])
    }

    private func checkResources(_ service: Service) {
        for mount in service.volumes {
            if case .volume(let name) = mount.source, project.volumes[name] == nil {
                missing(
                    service, "volume", name, project.volumes.keys,
                    "declare it under `volumes:` at the top level, or write \"./\(name)\" for a directory",
                    mount.location)
            }
        }
        for grant in service.configs where project.configs[grant.source] == nil {
            missing(
                service, "config", grant.source, project.configs.keys,
                "declare it under `configs:` at the top level", grant.location)
        }
        for grant in service.secrets where project.secrets[grant.source] == nil {
            missing(
                service, "secret", grant.source, project.secrets.keys,
                "declare it under `secrets:` at the top level", grant.location)
        }
        for secret in service.build?.secrets ?? [] where project.secrets[secret.source] == nil {
            missing(
                service, "secret", secret.source, project.secrets.keys,
                "declare it under `secrets:` at the top level", secret.location)
        }
        for name in service.models.keys.sorted() where project.models[name] == nil {
            missing(
                service, "model", name, project.models.keys, "declare it under `models:` at the top level",
                service.marks["models"])
        }
    }

    private func settleDependencies(_ service: inout Service) {
        for (name, dependency) in service.dependsOn.sorted(by: { $0.key < $1.key }) {
            if on.contains(name) { continue }
            if declared.contains(name) {
                if !dependency.required {
                    service.dependsOn[name] = nil
                    continue
                }
                log.add(
                    Failure(
                        "\(title(service)) depends on \"\(name)\", which its profiles switch off",
                        advice: "switch it on with --profile, or give `required: false`",
                        at: service.marks["depends_on"]))
            } else if dependency.required {
                missing(
                    service, "service", name, declared, "declare it under `services:`",
                    service.marks["depends_on"]
                )
            } else {
                service.dependsOn[name] = nil
            }
        }
    }

    private func checkBuild(_ service: Service) {
        for (name, reference) in service.build?.additionalContexts.sorted(by: { $0.key < $1.key }) ?? []
        where reference.hasPrefix("service:") {
            let other = String(reference.dropFirst(8))
            if !built.contains(other) {
                log.add(
                    Failure(
                        "\(title(service)) builds with \"\(name)\" from the service \"\(other)\", which is not built",
                        at: service.marks["build"]))
            }
        }
    }

    private func checkReplicas(_ service: Service) {
        if service.deploy?.mode == "global", service.replicas > 1 {
            log.add(
                Failure(
                    "\(title(service)) is `global` and has \(service.replicas) replicas",
                    cause: "one container runs on each node, and this host is the only one",
                    advice: "remove `replicas`, or `mode: global`", at: service.marks["deploy"]))
        }
        if service.containerName != nil, service.replicas > 1 {
            log.add(
                Failure(
                    "\(title(service)) has a `container_name` and \(service.replicas) replicas",
                    cause: "a name belongs to one container", advice: "remove one of them",
                    at: service.marks["container_name"]))
        }
    }
}

extension Diagnostics {
    /// Says that a service names what nobody declares.
    func undeclared(
        _ what: String, _ name: String, of service: String, among known: @autoclosure () -> [String],
        _ advice: String, at location: SourceLocation?
    ) {
        error(
            "service \"\(service)\" names the \(what) \"\(name)\", which is not declared",
            advice: suggestion(for: name, among: known()).map { "did you mean \"\($0)\"?" } ?? advice,
            at: location)
    }
}

/// Two containers cannot have one name.
/// - services: sorted by name.
func checkNames(of services: [ServiceDraft], _ log: Diagnostics) {
    var owners: [String: String] = [:]
    for draft in services {
        guard let container = draft.service.containerName else { continue }
        if let owner = owners[container] {
            log.add(
                Failure(
                    "services \"\(owner)\" and \"\(draft.service.name)\" have one `container_name`, \"\(container)\"",
                    at: draft.service.marks["container_name"]))
        }
        owners[container] = draft.service.name
    }
}

/// What is called the same is the same: two keys with one real name have to say the same of it, or one of them would
/// not be heard.
func checkRealNames(_ project: Project, _ log: Diagnostics) {
    func check<Resource: Equatable>(
        _ what: String, _ resources: [String: Resource], _ name: (Resource) -> String,
        _ marks: (Resource) -> Marks
    ) {
        var keys: [String: String] = [:]
        for (key, resource) in resources.sorted(by: { $0.key < $1.key }) where !name(resource).isEmpty {
            guard let other = keys.updateValue(key, forKey: name(resource)) else { continue }
            guard let first = resources[other], first != resource else { continue }
            log.add(
                Failure(
                    "\(what) \"\(other)\" and \"\(key)\" have one name, \"\(name(resource))\", and are not alike",
                    advice: "say the same of both, or give one of them another `name`",
                    at: marks(resource)["name"] ?? marks(first)["name"]))
        }
    }
    check("networks", project.networks, \.name, \.marks)
    check("volumes", project.volumes, \.name, \.marks)
}

/// Nobody can wait for himself.
/// - services: sorted by name.
func checkCycles(of services: [ServiceDraft], _ log: Diagnostics) {
    let graph = DependencyGraph(
        names: services.map(\.service.name), dependencies: services.map { Array($0.service.dependsOn.keys) })
    for ring in graph.rings() {
        log.add(Failure(ring.text, at: services[ring.last].service.marks["depends_on"]))
    }
}
