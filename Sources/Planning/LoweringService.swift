// SPDX-License-Identifier: Apache-2.0
//
// One service and its image → one service request. Where both say something, the service wins; what neither
// says is the engine's default. Mounts and files are lowered in LoweringMounts.swift.

import Basics
public import ComposeModel
public import ContainerModel

/// The program a service runs, with its arguments; none where neither it nor its image says one. `entrypoint` given, even
/// empty, also drops the image's command (05-services.md, entrypoint).
public func programArguments(of service: Service, _ image: ImageDefaults) -> [String] {
    let entrypoint = service.entrypoint ?? image.entrypoint
    let command = service.command ?? (service.entrypoint == nil ? image.command : [])
    return entrypoint + command
}

/// Lowers one service.
struct ServiceLowering {
    let project: Project
    let service: Service
    let image: LoweredImage
    var contents = FileContents()
    /// Of `pre_start` with an image of its own, by reference.
    var stepImages: [String: LoweredImage] = [:]

    mutating func request(files: inout GrantedFiles) throws(Failure) -> ServiceRequest {
        var container = ContainerRequest(image: image.facts, arguments: try arguments())
        container.environment = environment()
        container.workingDirectory = normalPath(service.workingDirectory ?? image.defaults.workingDirectory)
        container.user = service.user ?? image.defaults.user
        container.hostname = service.hostname
        container.files = try files.requests(for: service)
        container.mounts = try mounts(beside: container.files)
        container.networks = try endpoints()
        container.ports = try ports()
        container.extraHosts = service.extraHosts.map { HostEntry(name: $0.name, address: $0.address) }
        container.dnsServers = service.dns
        container.limits = try limits()
        var rare = try rareSettings()
        container.capAdd = unique(service.capAdd.map(capabilityName))
        container.capDrop = unique(service.capDrop.map(capabilityName))
        try securityOptions(&container, &rare)
        try interfaceDevices(&container, &rare)
        container.rare = rare.isEmpty ? nil : rare
        container.readOnlyRoot = service.readOnly
        container.initProcess = service.initProcess ?? false
        container.tty = service.tty
        container.stdinOpen = service.stdinOpen
        if let size = service.shmSize, size.bytes > 0 { container.shmSize = size }
        container.ulimits = service.ulimits.mapValues { LimitPair(soft: $0.soft, hard: $0.hard) }
        container.sysctls = service.sysctls
        container.labels = labels()
        container.stopSignal = try stopSignal()
        container.stopGracePeriod = service.stopGracePeriod ?? .seconds(10)

        var request = ServiceRequest(
            name: service.name, container: container, configHash: image.facts.id)
        request.containerName = try containerName()
        request.nameSeparator = project.nameSeparator == "-" ? nil : project.nameSeparator
        request.replicas = replicas
        request.dependencies = try dependencies()
        request.healthcheck = try healthcheck()
        request.restart = restartPolicy()
        request.pace = restartPace()
        request.update = try update(service.deploy?.update, "update_config")
        request.rollback = try update(service.deploy?.rollback, "rollback_config")
        request.hooks = try hooks(beside: container, stepImages: stepImages)
        request.configHash = configHash(of: request)
        return request
    }

    // MARK: What runs

    private func arguments() throws(Failure) -> [String] {
        let arguments = programArguments(of: service, image.defaults)
        guard !arguments.isEmpty else {
            throw Failure(
                "service \(quoted(service.name)) has nothing to run",
                cause: "neither the service nor image \(quoted(image.facts.reference)) gives a command "
                    + "or an entrypoint",
                advice: "add `command:` to the service", at: service.marks.place("image", "build"))
        }
        return arguments
    }

    /// The image's variables in their order, the service's put over them, its own after them by name.
    func environment() -> [String] {
        var merged = image.defaults.environment
        if !service.unsetEnvironment.isEmpty {
            merged.removeAll { service.unsetEnvironment.contains(String($0.prefix { $0 != "=" })) }
        }
        var own = service.environment
        for (index, variable) in merged.enumerated() where !own.isEmpty {
            let name = String(variable.prefix { $0 != "=" })
            if let value = own.removeValue(forKey: name) { merged[index] = "\(name)=\(value)" }
        }
        return merged + own.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    private func stopSignal() throws(Failure) -> String {
        let text = service.stopSignal ?? image.defaults.stopSignal ?? "SIGTERM"
        guard let name = signalName(text) else {
            throw Failure(
                "service \(quoted(service.name)) has an unknown stop signal \(quoted(text))",
                cause: service.stopSignal == nil
                    ? "image \(quoted(image.facts.reference)) says so" : nil,
                advice: "write a name such as SIGTERM, or a number from signal(7)",
                at: service.marks.place("stop_signal", "image"))
        }
        return name
    }

    /// Image labels, the service's over them, and the two by which tools made for Docker Compose find containers.
    private func labels() -> [String: String] {
        var labels = image.defaults.labels.merging(service.labels) { _, own in own }
        labels["com.docker.compose.project"] = project.name
        labels["com.docker.compose.service"] = service.name
        return labels
    }

    // MARK: Network

    private func ports() throws(Failure) -> [PortRequest] {
        // Its own ports are the host's; the loader has noted that there is nothing to publish.
        if service.networkMode == "host" { return [] }
        var requests: [PortRequest] = []
        for port in service.ports {
            let proto: PortRequest.Proto
            switch port.proto {
            case .tcp: proto = .tcp
            case .udp: proto = .udp
            case .sctp:
                throw Failure(
                    "service \(quoted(service.name)) publishes an sctp port, which is not supported",
                    advice: "tcp and udp are", at: port.location ?? service.marks["ports"])
            }
            requests.append(
                PortRequest(
                    target: port.target, published: port.published, hostAddress: port.hostIP, proto: proto))
        }
        return requests
    }

    // MARK: How it lives

    private func containerName() throws(Failure) -> String? {
        guard let name = service.containerName else { return nil }
        guard service.replicas <= 1 else {
            throw Failure(
                "service \(quoted(service.name)) has \(service.replicas) replicas and a fixed name",
                cause: "only one container can be named \(quoted(name))",
                advice: "remove `container_name`, or run one replica", at: service.marks["container_name"])
        }
        return name
    }

    private func dependencies() throws(Failure) -> [String: DependencyRequest] {
        var requests: [String: DependencyRequest] = [:]
        for (name, dependency) in service.dependsOn {
            guard project.services[name] != nil else {
                if !dependency.required { continue }
                let disabled = project.disabledServices[name]
                throw Failure(
                    "service \(quoted(service.name)) depends on \(quoted(name)), which is "
                        + (disabled == nil ? "not declared" : "switched off by its profiles"),
                    advice: disabled == nil
                        ? nearest(to: name, among: project.services.keys.sorted())
                            .map { "did you mean \(quoted($0))?" }
                        : "switch on profile \(quoted(disabled?.profiles.first ?? "")), "
                            + "or write `required: false`",
                    at: service.marks.place("depends_on.\(name)", "depends_on"))
            }
            let condition: DependencyRequest.Condition
            switch dependency.condition {
            case .started: condition = .started
            case .healthy: condition = .healthy
            case .completed: condition = .completed
            }
            requests[name] = DependencyRequest(
                condition: condition, restart: dependency.restart, required: dependency.required)
        }
        return requests
    }

    /// Each field: the service's, else the image's, else the default; zero counts as unset, as in the engine.
    private func healthcheck() throws(Failure) -> HealthcheckRequest? {
        let inherited = image.defaults.healthcheckDisabled ? nil : image.defaults.healthcheck
        guard let setting = service.healthcheck else { return inherited }
        if setting.disabled || setting.test?.first == "NONE" { return nil }
        let own = try setting.test.map { test throws(Failure) in try healthCommand(test) }
        guard let command = own ?? inherited?.command else {
            throw Failure(
                "the health check of service \(quoted(service.name)) has no test",
                cause: "image \(quoted(image.facts.reference)) has no health check to take it from",
                advice: "add `test:`, or remove `healthcheck`", at: service.marks["healthcheck"])
        }
        var request = inherited ?? HealthcheckRequest(command: command)
        request.command = command
        if let interval = setting.interval, interval > .zero { request.interval = interval }
        if let timeout = setting.timeout, timeout > .zero { request.timeout = timeout }
        if let retries = setting.retries, retries > 0 { request.retries = retries }
        if let startPeriod = setting.startPeriod { request.startPeriod = startPeriod }
        if let startInterval = setting.startInterval, startInterval > .zero {
            request.startInterval = startInterval
        }
        return request
    }

    private func healthCommand(_ test: [String]) throws(Failure) -> [String] {
        switch test.first {
        case "CMD" where test.count > 1: return Array(test.dropFirst())
        case "CMD-SHELL" where test.count == 2: return ["/bin/sh", "-c", test[1]]
        default:
            throw Failure(
                "the health check of service \(quoted(service.name)) has no program to run",
                cause: test.isEmpty
                    ? "`test` is empty" : "`test` begins with \(quoted(test[0])) and has \(test.count) items",
                advice:
                    "write a string, [\"CMD\", program, arguments…], [\"CMD-SHELL\", command] or [\"NONE\"]",
                at: service.marks.place("healthcheck.test", "healthcheck"))
        }
    }

    private func restartPolicy() -> RestartPolicy {
        switch service.restartPolicy {
        case .no: .no
        case .always: .always
        case .unlessStopped: .unlessStopped
        // With a window the attempts are counted by it.
        case .onFailure(let maximumRetries):
            .onFailure(
                maximumRetries: service.deploy?.restartPolicy?.window == nil ? maximumRetries : nil)
        }
    }
}

/// A capability as the kernel's lists have it: upper case, without `CAP_`.
private func capabilityName(_ text: String) -> String {
    let name = text.uppercased()
    return name.hasPrefix("CAP_") ? String(name.dropFirst(4)) : name
}

/// Each once, in the order of their first places.
private func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
}
