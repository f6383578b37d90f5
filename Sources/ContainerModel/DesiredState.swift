// SPDX-License-Identifier: Apache-2.0

public import Basics

/// A whole project as it shall be: what the client hands to the controller and project.json keeps.
public struct DesiredState: Hashable, Codable, Sendable {
    public var project: String
    /// Where the user's files are; for `covey ls`.
    public var directory: String
    public var files: [String]
    /// By service name.
    public var services: [String: ServiceRequest]
    /// By real name.
    public var networks: [String: NetworkRequest]
    /// By real name.
    public var volumes: [String: VolumeRequest]
    /// Services switched off by their profiles: their containers are no orphans.
    public var disabledServices: [String]
    /// nil: there is nothing external.
    public var external: ExternalNames?

    public init(project: String, directory: String, files: [String] = []) {
        self.project = project
        self.directory = directory
        self.files = files
        services = [:]
        networks = [:]
        volumes = [:]
        disabledServices = []
    }
}

/// What is external by the project's files, used by a service or not: no teardown of the project takes it, also when the
/// project made it once. Real names, sorted.
public struct ExternalNames: Hashable, Codable, Sendable {
    public var networks: [String]
    public var volumes: [String]

    public init(networks: some Sequence<String> = [], volumes: some Sequence<String> = []) {
        self.networks = Set(networks).sorted()
        self.volumes = Set(volumes).sorted()
    }

    public var isEmpty: Bool { networks.isEmpty && volumes.isEmpty }

    public func union(_ other: ExternalNames?) -> ExternalNames {
        guard let other else { return self }
        return ExternalNames(networks: networks + other.networks, volumes: volumes + other.volumes)
    }
}

/// A service: one container request, how many of it, and how they live.
public struct ServiceRequest: Hashable, Codable, Sendable {
    public var name: String
    public var container: ContainerRequest
    /// Set by `container_name`; nil gives `<project>-<service>-<index>`.
    public var containerName: String?
    /// Between the parts of such a name; nil is `-`.
    public var nameSeparator: String?
    public var replicas: Int
    public var dependencies: [String: DependencyRequest]
    public var healthcheck: HealthcheckRequest?
    public var restart: RestartPolicy
    /// nil: the engine's own growing delay.
    public var pace: RestartPace?
    /// nil: none.
    public var hooks: HooksRequest?
    /// nil: all changed containers at once, each after its own old one has gone.
    public var update: UpdateRequest?
    /// How an update that failed is undone.
    public var rollback: UpdateRequest?
    /// Digest of all that makes its containers the same; a container with another one is recreated.
    public var configHash: Digest

    public init(name: String, container: ContainerRequest, configHash: Digest) {
        self.name = name
        self.container = container
        self.configHash = configHash
        replicas = 1
        dependencies = [:]
        restart = .no
    }
}

public struct DependencyRequest: Hashable, Codable, Sendable {
    public enum Condition: String, Codable, Sendable {
        case started = "service_started"
        case healthy = "service_healthy"
        case completed = "service_completed_successfully"
    }
    public var condition: Condition
    /// Restart the dependant when the dependency was restarted or recreated.
    public var restart: Bool
    public var required: Bool
    public init(condition: Condition, restart: Bool = false, required: Bool = true) {
        self.condition = condition
        self.restart = restart
        self.required = required
    }
}

public enum RestartPolicy: Hashable, Codable, Sendable {
    case no
    case always
    case unlessStopped
    case onFailure(maximumRetries: Int?)
}

/// How a restart policy goes about it (deploy.md, restart_policy).
public struct RestartPace: Hashable, Codable, Sendable {
    /// Between an end and the next start; nil is a delay that grows.
    public var delay: Duration?
    /// A container that lived as long was restarted well; nil is ten seconds.
    public var window: Duration?
    /// Starts in a row that did not go well; nil is no bound beside the policy's own.
    public var maximumAttempts: Int?
    public init() {}
}

public struct NetworkRequest: Hashable, Codable, Sendable {
    /// The real name.
    public var name: String
    public var external: Bool
    public var isInternal: Bool
    /// `a.b.c.d/n`; nil lets Covey pick a free one.
    public var subnet: String?
    public var gateway: String?
    /// Part of the subnet that addresses are given from.
    public var ipRange: String?
    /// Addresses no container is given, by the names of who has them.
    public var auxiliary: [String: String]?
    /// True: containers have IPv6 alone; nil is no.
    public var withoutIPv4: Bool?
    /// nil: containers have IPv4 alone.
    public var ipv6: IPv6Request?
    /// Of bridge and links in bytes; nil takes the uplink's.
    public var mtu: Int?
    public var labels: [String: String]

    public init(name: String) {
        self.name = name
        external = false
        isInternal = false
        labels = [:]
    }
}

/// IPv6 on a network.
public struct IPv6Request: Hashable, Codable, Sendable {
    /// nil lets Covey pick a unique local /64 (RFC 4193).
    public var subnet: IPv6Subnet?
    public var gateway: IPv6Address?
    /// Part of the subnet that addresses are given from.
    public var range: IPv6Subnet?
    public init() {}
}

public struct VolumeRequest: Hashable, Codable, Sendable {
    /// The real name.
    public var name: String
    public var external: Bool
    public var labels: [String: String]
    /// nil: a directory of ours.
    public var mounted: VolumeMount?

    public init(name: String) {
        self.name = name
        external = false
        labels = [:]
    }
}

/// A file system, or a directory of the host, that is a volume; in mount(8)'s words.
public struct VolumeMount: Hashable, Codable, Sendable {
    public var type: String
    public var device: String
    /// `bind` among them for a directory.
    public var options: [String]
    public init(type: String, device: String, options: [String]) {
        self.type = type
        self.device = device
        self.options = options
    }

    /// Whether the kernel would be asked for the same: options that begin with `x-` are for others to read (mount(8)).
    public func isSame(as other: VolumeMount) -> Bool {
        func read(_ options: [String]) -> [String] { options.filter { !$0.hasPrefix("x-") } }
        return type == other.type && device == other.device && read(options) == read(other.options)
    }
}
