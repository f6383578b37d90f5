// SPDX-License-Identifier: Apache-2.0

public import Basics

/// A service (05-services.md), every attribute in its long form and otherwise as written.
public struct Service: Sendable, Equatable {
    public var name: String
    public var profiles: [String] = []
    public var annotations: [String: String] = [:]
    public var attach: Bool?
    public var build: Build?
    /// `develop.watch`; nil without `develop`.
    public var watch: [WatchRule]?
    public var blockIO: BlockIO?
    /// As written, `CAP_` or not.
    public var capAdd: [String] = []
    public var capDrop: [String] = []
    public var cgroupParent: String?
    public var cgroup: String?
    public var cpuCount: Int?
    public var cpuPercent: Double?
    /// Microseconds, like the three after it.
    public var cpuPeriod: Int?
    public var cpuQuota: Int?
    public var cpuRealtimePeriod: Int?
    public var cpuRealtimeRuntime: Int?
    public var cpus: Double?
    public var cpuSet: String?
    public var cpuShares: Int?
    /// nil: the image's own; empty: cleared.
    public var command: [String]?
    public var configs: [FileGrant] = []
    public var containerName: String?
    public var credentialSpec: CredentialSpec?
    public var dependsOn: [String: Dependency] = [:]
    public var deploy: Deploy?
    public var deviceCgroupRules: [String] = []
    public var devices: [Device] = []
    public var dns: [String] = []
    public var dnsOptions: [String] = []
    public var dnsSearch: [String] = []
    public var domainName: String?
    public var entrypoint: [String]?
    public var provider: Provider?
    /// Merged with `env_file`.
    public var environment: [String: String] = [:]
    /// Named without a value, and nobody has one: they are taken from the container.
    public var unsetEnvironment: Set<String> = []
    /// Only kept when they were not to be read.
    public var envFiles: [EnvironmentFileReference] = []
    public var expose: [String] = []
    public var externalLinks: [String] = []
    public var extraHosts: [ExtraHost] = []
    public var groupAdd: [String] = []
    public var gpus: [DeviceRequest] = []
    public var hostname: String?
    public var healthcheck: HealthcheckSetting?
    /// The image reference; a transport's path (`oci:PATH`) is absolute. nil when only `build` is given.
    public var image: String?
    public var initProcess: Bool?
    public var ipc: String?
    public var isolation: String?
    /// Merged with `label_file`.
    public var labels: [String: String] = [:]
    /// Only kept when they were not to be read.
    public var labelFiles: [String] = []
    public var links: [String] = []
    public var logging: Logging?
    public var memoryLimit: ByteSize?
    public var memoryReservation: ByteSize?
    /// -1 is unlimited.
    public var memorySwapLimit: ByteSize?
    /// Percent.
    public var memorySwappiness: Int?
    public var macAddress: String?
    public var models: [String: ModelGrant] = [:]
    public var networkMode: String?
    /// Key of the top-level network → attachment; empty only with `network_mode`.
    public var networks: [String: Attachment] = [:]
    public var oomKillDisable = false
    public var oomScoreAdjustment: Int?
    public var pid: String?
    /// -1 and 0 are no limit.
    public var pidsLimit: Int?
    public var platform: String?
    public var ports: [Port] = []
    public var privileged = false
    public var pullPolicy: String?
    public var pullRefreshAfter: String?
    public var readOnly = false
    public var restart: Restart?
    public var runtime: String?
    public var scale: Int?
    public var secrets: [FileGrant] = []
    public var securityOptions: [String] = []
    /// Size of /dev/shm, nil for the default.
    public var shmSize: ByteSize?
    public var stdinOpen = false
    public var stopGracePeriod: Duration?
    /// A name or a number, as written.
    public var stopSignal: String?
    public var storageOptions: [String: String] = [:]
    public var sysctls: [String: String] = [:]
    public var tty = false
    public var ulimits: [String: Ulimit] = [:]
    public var useAPISocket = false
    public var user: String?
    public var userNamespace: String?
    public var uts: String?
    /// `volumes`, then `tmpfs`.
    public var volumes: [Mount] = []
    public var volumesFrom: [String] = []
    public var workingDirectory: String?
    public var preStart: [Hook] = []
    public var postStart: [Hook] = []
    public var preStop: [Hook] = []
    public var extensions: [String: Value] = [:]
    @NotCompared public var marks = Marks()

    public init(name: String) { self.name = name }
}

// MARK: What two attributes say together

extension Service {
    /// How many containers a service may have.
    public static let replicaBounds = 0...10_000

    /// `scale`, or `deploy.replicas`; 1 when neither is given.
    public var replicas: Int {
        get { scale ?? deploy?.replicas ?? 1 }
        set { scale = newValue }
    }

    /// `cpus`, or `deploy.resources.limits.cpus`; nil for no limit.
    public var cpuLimit: Double? { (cpus ?? deploy?.limits?.cpus).flatMap { $0 > 0 ? $0 : nil } }

    /// `mem_limit`, or `deploy.resources.limits.memory`; nil for no limit.
    public var memoryBound: ByteSize? {
        (memoryLimit ?? deploy?.limits?.memory).flatMap { $0.bytes > 0 ? $0 : nil }
    }

    /// Whether the host's CDI files are asked.
    public var asksForInterfaces: Bool {
        !gpus.isEmpty || deploy?.reservations?.devices.isEmpty == false
            || devices.contains { !$0.source.hasPrefix("/") && $0.source.contains("=") }
    }

    /// The files that `security_opt` names for seccomp, as written.
    public var seccompProfiles: [String] {
        securityOptions.compactMap { option in
            guard option.hasPrefix("seccomp=") || option.hasPrefix("seccomp:") else {
                return nil
            }
            let path = String(option.dropFirst(8))
            return path.isEmpty || ["unconfined", "builtin"].contains(path) ? nil : path
        }
    }

    /// `pids_limit`, or `deploy.resources.limits.pids`; nil for no limit.
    public var pidsBound: Int? { (pidsLimit ?? deploy?.limits?.pids).flatMap { $0 > 0 ? $0 : nil } }

    /// `deploy.restart_policy` stands before `restart`, and its condition is `any` where it has none (deploy.md). A delay
    /// alone is one for `restart`, where there is that.
    public var restartPolicy: Restart {
        guard let policy = deploy?.restartPolicy, policy != Deploy.RestartPolicy() else {
            return restart ?? .no
        }
        if policy.condition == nil, policy.maximumAttempts == nil, let restart { return restart }
        switch policy.condition {
        case "none": return .no
        case "on-failure": return .onFailure(maximumRetries: policy.maximumAttempts)
        default: return .always
        }
    }
}

extension Service {
    /// `build` (build.md), paths absolute.
    public struct Build: Sendable, Equatable {
        public var context: String
        /// Absolute path; nil means `Dockerfile` in the context.
        public var dockerfile: String?
        public var dockerfileInline: String?
        public var args: [String: String] = [:]
        public var target: String?
        /// Name → absolute path, or a transport reference such as `oci:PATH`, or `service:NAME`.
        public var additionalContexts: [String: String] = [:]
        public var labels: [String: String] = [:]
        public var tags: [String] = []
        public var noCache = false
        public var noCacheFilter: [String] = []
        public var entitlements: [String] = []
        public var provenance: String?
        public var sbom: String?
        /// Id → socket or key files, empty for the client's agent.
        public var ssh: [String: String] = [:]
        public var cacheFrom: [String] = []
        public var cacheTo: [String] = []
        public var pull = false
        public var extraHosts: [ExtraHost] = []
        public var isolation: String?
        public var network: String?
        public var secrets: [FileGrant] = []
        public var shmSize: ByteSize?
        public var ulimits: [String: Ulimit] = [:]
        public var platforms: [String] = []
        public var privileged = false
        /// Arguments without a value: the Dockerfile's default counts.
        public var unsetArgs: Set<String> = []
        public var extensions: [String: Value] = [:]
        public init(context: String) { self.context = context }
    }

    /// One published port after ranges were expanded: one host port to one container port.
    public struct Port: Sendable, Equatable {
        public var target: UInt16
        /// nil: Covey picks a free one. A range with one target means: the first free one of it.
        public var published: ClosedRange<UInt16>?
        /// nil: every address of the host.
        public var hostIP: String?
        public var proto: Proto
        public var name: String?
        public var appProtocol: String?
        public var mode: String
        @NotCompared public var location: SourceLocation?
        public enum Proto: String, Sendable, Codable { case tcp, udp, sctp }
        public init(target: UInt16, published: ClosedRange<UInt16>?, proto: Proto = .tcp) {
            self.target = target
            self.published = published
            self.proto = proto
            mode = "ingress"
        }
    }

    /// One entry of `volumes` or `tmpfs`.
    public struct Mount: Sendable, Equatable {
        public enum Source: Sendable, Equatable {
            /// Key of the top-level volume.
            case volume(String)
            /// `volumes: [/data]`: lives and dies with the container.
            case anonymous
            case bind(path: String, createHostPath: Bool, propagation: String?)
            /// Size in bytes, nil for the kernel's default; mode, uid and gid of its root.
            case tmpfs(size: ByteSize?, mode: UInt32?, uid: UInt32?, gid: UInt32?)
            /// An image's files; its reference.
            case image(String)
            /// `npipe` and `cluster`: of other systems; the type and the source.
            case foreign(type: String, source: String?)
        }
        public var source: Source
        public var target: String
        public var readOnly = false
        /// `exec` of an entry of `tmpfs`.
        public var runsPrograms = false
        /// `volume.nocopy`: do not fill an empty volume from the image.
        public var noCopy = false
        /// `volume.subpath`, `image.subpath`.
        public var subpath: String?
        /// `volume.labels`: of the volume that is made.
        public var labels: [String: String] = [:]
        public var consistency: String?
        /// `bind.selinux`: `z` or `Z`.
        public var selinux: String?
        /// `bind.recursive`.
        public var recursive: String?
        /// Set for an entry of `tmpfs`: its text.
        public var tmpfsText: String?
        @NotCompared public var location: SourceLocation?
        public init(source: Source, target: String) {
            self.source = source
            self.target = target
        }
    }

    /// `networks.<key>` of a service.
    public struct Attachment: Sendable, Equatable {
        public var aliases: [String] = []
        public var ipv4Address: String?
        public var ipv6Address: String?
        public var linkLocalAddresses: [String] = []
        public var macAddress: String?
        public var interfaceName: String?
        public var driverOptions: [String: String] = [:]
        public var priority: Int = 0
        /// The highest gives the default gateway.
        public var gatewayPriority: Int = 0
        public init() {}
    }

    public struct Dependency: Sendable, Equatable {
        public enum Condition: String, Sendable, Codable {
            case started = "service_started"
            case healthy = "service_healthy"
            case completed = "service_completed_successfully"
        }
        public var condition: Condition
        public var restart = false
        public var required = true
        public init(condition: Condition) { self.condition = condition }
    }

    /// `healthcheck` as written; an unset field falls back to the image's, then to the default.
    public struct HealthcheckSetting: Sendable, Equatable {
        /// nil: the image's test. `["NONE"]` or `disable: true` is `disabled`.
        public var test: [String]?
        public var disabled = false
        public var interval: Duration?
        public var timeout: Duration?
        public var retries: Int?
        public var startPeriod: Duration?
        public var startInterval: Duration?
        public init() {}
    }

    public enum Restart: Sendable, Equatable {
        case no
        case always
        case unlessStopped
        /// nil: without bound.
        case onFailure(maximumRetries: Int?)
    }

    public struct ExtraHost: Sendable, Equatable {
        public var name: String
        public var address: String
        public init(name: String, address: String) {
            self.name = name
            self.address = address
        }
    }

    /// -1 means unlimited.
    public struct Ulimit: Sendable, Equatable {
        public var soft: Int64
        public var hard: Int64
        public init(soft: Int64, hard: Int64) {
            self.soft = soft
            self.hard = hard
        }
    }

    /// A config or secret given to a service.
    public struct FileGrant: Sendable, Equatable {
        /// Key of the top-level config or secret.
        public var source: String
        /// Absolute path in the container.
        public var target: String
        public var uid: UInt32?
        public var gid: UInt32?
        /// nil: 0444.
        public var mode: UInt32?
        /// Whether the file said the target, or it was made from the source.
        @NotCompared public var isTargetGiven = true
        @NotCompared public var location: SourceLocation?
        public init(source: String, target: String) {
            self.source = source
            self.target = target
        }
    }
}
