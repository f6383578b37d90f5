// SPDX-License-Identifier: Apache-2.0

public import Basics

/// A service (05-services.md), with every attribute Covey honours in its long form.
public struct Service: Sendable, Equatable {
    public var name: String
    /// The image reference; a transport's path (`oci:PATH`) is absolute. nil when only `build` is given.
    public var image: String?
    public var build: Build?
    public var pullPolicy: String?
    /// nil: the image's own; empty: cleared.
    public var command: [String]?
    public var entrypoint: [String]?
    /// Already merged with `env_file`; a key without a value in the file and the client's environment is absent.
    public var environment: [String: String] = [:]
    public var workingDirectory: String?
    public var user: String?
    public var hostname: String?
    public var containerName: String?
    public var ports: [Port] = []
    public var expose: [String] = []
    public var volumes: [Mount] = []
    /// Key of the top-level network → attachment; empty only with `network_mode: none`.
    public var networks: [String: Attachment] = [:]
    public var networkMode: String?
    public var dependsOn: [String: Dependency] = [:]
    public var healthcheck: HealthcheckSetting?
    public var restart = Restart.no
    /// `scale`, or `deploy.replicas`; 1 when neither is given.
    public var replicas = 1
    public var cpus: Double?
    public var memoryLimit: ByteSize?
    /// Size of /dev/shm, nil for the default.
    public var shmSize: ByteSize?
    /// nil: none; -1 is loaded as nil.
    public var pidsLimit: Int?
    public var stopSignal: String?
    public var stopGracePeriod: Duration?
    public var capAdd: [String] = []
    public var capDrop: [String] = []
    public var securityOptions: [String] = []
    public var readOnly = false
    public var initProcess = false
    public var tty = false
    public var stdinOpen = false
    public var labels: [String: String] = [:]
    /// Host name → addresses.
    public var extraHosts: [ExtraHost] = []
    public var dns: [String] = []
    public var ulimits: [String: Ulimit] = [:]
    public var sysctls: [String: String] = [:]
    public var profiles: [String] = []
    public var configs: [FileGrant] = []
    public var secrets: [FileGrant] = []
    @NotCompared public var marks = Marks()

    public init(name: String) { self.name = name }
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
        public enum Proto: String, Sendable, Codable { case tcp, udp }
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
        }
        public var source: Source
        public var target: String
        public var readOnly = false
        /// `volume.nocopy`: do not fill an empty volume from the image.
        public var noCopy = false
        /// `volume.subpath`.
        public var subpath: String?
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
        public var priority: Int = 0
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
        public var uid: UInt32 = 0
        public var gid: UInt32 = 0
        public var mode: UInt32 = 0o444
        @NotCompared public var location: SourceLocation?
        public init(source: String, target: String) {
            self.source = source
            self.target = target
        }
    }
}
