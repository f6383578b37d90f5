// SPDX-License-Identifier: Apache-2.0
//
// Lowering: a loaded project plus what its images say → the desired state the controller executes.
//
// Rules are Docker Compose's (05-services.md and the engine's merge of container and image configuration).
// Images are already in the store, configs and secrets already read; this only decides. All mistakes of a
// project are reported together, each with its place. One service is lowered in LoweringService.swift.

public import Basics
public import ComposeModel
public import ContainerModel

/// What the image store knows of a service's image.
public struct LoweredImage: Sendable {
    public var facts: ImageFacts
    public var defaults: ImageDefaults

    public init(facts: ImageFacts, defaults: ImageDefaults) {
        self.facts = facts
        self.defaults = defaults
    }
}

/// The bytes of files a project names: its configs and secrets by top-level key, seccomp profiles as they are named.
public struct FileContents: Sendable {
    public var configs: [String: [UInt8]]
    public var secrets: [String: [UInt8]]
    public var profiles: [String: [UInt8]] = [:]
    /// Images that are mounted as files, as they are named.
    public var images: [String: ImageFacts] = [:]
    /// What the host's CDI files offer.
    public var devices = CDICatalogue()

    public init(configs: [String: [UInt8]] = [:], secrets: [String: [UInt8]] = [:]) {
        self.configs = configs
        self.secrets = secrets
    }
}

/// A project ready to be handed over: its requests, and the contents they name by digest.
public struct Lowered: Sendable {
    public var desired: DesiredState
    public var blobs: [Digest: [UInt8]]

    public init(desired: DesiredState, blobs: [Digest: [UInt8]]) {
        self.desired = desired
        self.blobs = blobs
    }
}

/// Turns a project into the desired state.
///
/// Networks and volumes no service uses are left out, as Docker Compose does, unless the project keeps them. `images` is keyed by service name,
/// `stepImages` by reference.
/// - Throws: every mistake found, the first carrying the others, with `file:line:column` where marks exist.
public func lower(
    _ project: Project, images: [String: LoweredImage], stepImages: [String: LoweredImage] = [:],
    contents: FileContents = FileContents()
) throws(Failure) -> Lowered {
    var failures: [Failure] = []
    var files = GrantedFiles(project: project, contents: contents)
    var desired = DesiredState(
        project: project.name, directory: project.directory, files: project.files)
    desired.disabledServices = project.disabledServices.keys.sorted()
    let external = externalNames(of: project)
    desired.external = external.isEmpty ? nil : external
    var names: [String: String] = [:]

    for name in project.services.keys.sorted() {
        guard let service = project.services[name] else { continue }
        do throws(Failure) {
            guard let image = images[name] else {
                throw Failure(
                    "service \(quoted(name)) has no image",
                    cause: service.image.map { "\(quoted($0)) is not in the image store" },
                    advice: "import it with `covey image import`, or give the service a `build`",
                    at: service.marks["image"])
            }
            var lowering = ServiceLowering(
                project: project, service: service, image: image, contents: contents,
                stepImages: stepImages)
            let request = try lowering.request(files: &files)
            try claimNames(of: request, in: project, service: service, names: &names)
            desired.services[name] = request
            if let network = lowering.namedNetwork { desired.networks[network.name] = network }
        } catch {
            failures.append(error)
        }
    }
    failures += unhealthyDependencies(of: desired, in: project)
    if failures.isEmpty, let cycle = DependencyOrder(of: desired.services).cycle {
        failures.append(cycleFailure(cycle, in: project))
    }
    do throws(Failure) {
        try lowerNetworks(of: project, into: &desired)
    } catch { failures.append(error) }
    do throws(Failure) {
        try lowerVolumes(of: project, into: &desired)
    } catch { failures.append(error) }

    if let failure = Failure.collect(failures) { throw failure }
    return Lowered(desired: desired, blobs: files.blobs)
}

/// What the project says is made elsewhere.
public func externalNames(of project: Project) -> ExternalNames {
    ExternalNames(
        networks: project.networks.values.filter(\.external).map(\.name),
        volumes: project.volumes.values.filter(\.external).map(\.name))
}

/// The name of a service's container number `index` (from 1).
public func containerName(project: String, service: ServiceRequest, index: Int) -> String {
    service.containerName
        ?? [project, service.name, "\(index)"].joined(separator: service.nameSeparator ?? "-")
}

/// Two containers of one project never share a name: a name is a directory, a cgroup and a host name.
private func claimNames(
    of request: ServiceRequest, in project: Project, service: Service, names: inout [String: String]
) throws(Failure) {
    for index in 0..<request.replicas {
        let name = containerName(project: project.name, service: request, index: index + 1)
        if let other = names.updateValue(request.name, forKey: name) {
            throw Failure(
                "two containers would be named \(quoted(name))",
                cause: "services \(quoted(other)) and \(quoted(request.name)) both give this name",
                advice: "choose another `container_name`, or remove it", at: service.marks["container_name"])
        }
    }
}

/// `service_healthy` on a service without a health check would wait for ever; Docker Compose refuses it as well.
private func unhealthyDependencies(of desired: DesiredState, in project: Project) -> [Failure] {
    var failures: [Failure] = []
    for name in desired.services.keys.sorted() {
        guard let request = desired.services[name] else { continue }
        for (target, dependency) in request.dependencies.sorted(by: { $0.key < $1.key })
        where dependency.condition == .healthy {
            guard let other = desired.services[target], other.healthcheck == nil else { continue }
            failures.append(
                Failure(
                    "service \(quoted(name)) waits for \(quoted(target)) to be healthy",
                    cause: "\(quoted(target)) has no health check, and its image has none",
                    advice: "give \(quoted(target)) a `healthcheck`, or use `condition: service_started`",
                    at: project.services[name]?.marks.place(
                        "depends_on.\(target).condition", "depends_on.\(target)", "depends_on")))
        }
    }
    return failures
}

func cycleFailure(_ cycle: [String], in project: Project?) -> Failure {
    let path = (cycle + cycle.prefix(1)).joined(separator: " → ")
    return Failure(
        "services depend on each other in a circle", cause: path, advice: "remove one of these `depends_on`",
        at: cycle.first.flatMap { project?.services[$0]?.marks["depends_on"] })
}

/// Docker's own name; everybody's files have it.
private let mtuOption = "com.docker.network.driver.mtu"

private func lowerNetworks(of project: Project, into desired: inout DesiredState) throws(Failure) {
    var used: Set<String> = project.keepsUnused ? Set(project.networks.keys) : []
    for name in desired.services.keys {
        if let networks = project.services[name]?.networks.keys { used.formUnion(networks) }
    }
    for key in used.sorted() {
        guard let network = project.networks[key] else { continue }
        var request = NetworkRequest(name: network.name)
        request.external = network.external
        request.isInternal = network.isInternal
        request.labels = network.labels
        let unsupported: (attribute: String, advice: String)?
        if let driver = network.driver, driver != "bridge", driver != "default" {
            unsupported = ("driver: \(driver)", "use `bridge`, or leave `driver` out")
        } else if let option = network.driverOptions.keys.sorted().first(where: { $0 != mtuOption }) {
            unsupported = ("driver_opts.\(option)", "remove it")
        } else {
            unsupported = nil
        }
        if let unsupported {
            throw Failure(
                "network \(quoted(key)): `\(unsupported.attribute)` is not supported",
                advice: unsupported.advice,
                at: network.marks[String(unsupported.attribute.prefix { $0 != "." && $0 != ":" })])
        }
        if let subnet = network.ipam.first(where: { !$0.isIPv6 }) {
            request.subnet = subnet.subnet
            request.gateway = subnet.gateway
            request.ipRange = subnet.ipRange
        }
        let auxiliary = network.ipam.reduce(into: [:]) { $0.merge($1.auxiliary) { own, _ in own } }
        request.auxiliary = auxiliary.isEmpty ? nil : auxiliary
        request.withoutIPv4 = network.enableIPv4 == false ? true : nil
        if network.enableIPv6 == true {
            var ipv6 = IPv6Request()
            if let subnet = network.ipam.first(where: \.isIPv6) {
                ipv6.subnet = subnet.subnet.flatMap { IPv6Subnet($0) }
                ipv6.gateway = subnet.gateway.flatMap { IPv6Address($0) }
                ipv6.range = subnet.ipRange.flatMap { IPv6Subnet($0) }
            }
            request.ipv6 = ipv6
        }
        request.mtu = network.driverOptions[mtuOption].flatMap { Int($0) }
        desired.networks[network.name] = request
    }
}

private func lowerVolumes(of project: Project, into desired: inout DesiredState) throws(Failure) {
    var used: Set<String> = project.keepsUnused ? Set(project.volumes.keys) : []
    for name in desired.services.keys {
        for mount in project.services[name]?.volumes ?? [] {
            if case .volume(let key) = mount.source { used.insert(key) }
        }
    }
    for key in used.sorted() {
        guard let volume = project.volumes[key] else { continue }
        if let driver = volume.driver, driver != "local", driver != "default" {
            throw Failure(
                "volume \(quoted(key)): `driver: \(driver)` is not supported",
                advice: "use `local`, or leave `driver` out", at: volume.marks["driver"])
        }
        var request = VolumeRequest(name: volume.name)
        request.external = volume.external
        request.labels = try labels(of: volume, key, in: project, desired)
        let options = volume.driverOptions
        if let type = options["type"], let device = options["device"] {
            request.mounted = VolumeMount(
                type: type, device: device,
                options: (options["o"] ?? "").split(separator: ",").map(String.init))
        }
        desired.volumes[volume.name] = request
    }
}

/// A volume's own labels, and those that services give it where they mount it.
private func labels(
    of volume: Volume, _ key: String, in project: Project, _ desired: DesiredState
) throws(Failure) -> [String: String] {
    var labels = volume.labels
    if volume.external { return labels }
    for name in desired.services.keys.sorted() {
        for mount in project.services[name]?.volumes ?? [] {
            // By its real name, which another key may have too.
            guard case .volume(let other) = mount.source, project.volumes[other]?.name == volume.name else {
                continue
            }
            for (label, value) in mount.labels.sorted(by: { $0.key < $1.key }) {
                if let other = labels.updateValue(value, forKey: label), other != value {
                    throw Failure(
                        "service \(quoted(name)) gives volume \(quoted(key)) another value of the label \(quoted(label))",
                        cause: "\(quoted(value)), where \(quoted(other)) is given to it elsewhere",
                        advice: "give it once, under the top-level `volumes`", at: mount.location)
                }
            }
        }
    }
    return labels
}

extension Marks {
    /// The place of the first attribute that has one, else the element's: the most exact that is known.
    func place(_ attributes: String...) -> SourceLocation? {
        for attribute in attributes {
            if let place = self.attributes[attribute] { return place }
        }
        return element
    }
}

/// A user's word in a message.
func quoted(_ text: String) -> String { "\"\(text)\"" }
