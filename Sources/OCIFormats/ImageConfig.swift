// SPDX-License-Identifier: Apache-2.0

public import Basics

/// An image's config: what it runs by default and which layers it is made of (image-spec, config.md; Docker's adds
/// Healthcheck, Shell and OnBuild, which builders write into OCI images too).
public struct ImageConfig: Hashable, Codable, Sendable {
    public var created: String?
    public var author: String?
    public var architecture: String
    public var os: String
    public var variant: String?
    public var config: Defaults?
    public var rootfs: RootFS
    public var history: [History]?

    public init(architecture: String, os: String = "linux") {
        self.architecture = architecture
        self.os = os
        rootfs = RootFS()
    }

    /// An object whose keys are all that counts, `{"80/tcp": {}}`.
    public struct Empty: Hashable, Codable, Sendable {
        public init() {}
    }

    public struct Defaults: Hashable, Codable, Sendable {
        public var user: String?
        public var exposedPorts: [String: Empty]?
        public var env: [String]?
        public var entrypoint: [String]?
        public var cmd: [String]?
        public var volumes: [String: Empty]?
        public var workingDir: String?
        public var labels: [String: String]?
        public var stopSignal: String?
        public var healthcheck: Healthcheck?
        public var shell: [String]?
        public var onBuild: [String]?
        public var argsEscaped: Bool?
        public init() {}

        enum CodingKeys: String, CodingKey {
            case user = "User"
            case exposedPorts = "ExposedPorts"
            case env = "Env"
            case entrypoint = "Entrypoint"
            case cmd = "Cmd"
            case volumes = "Volumes"
            case workingDir = "WorkingDir"
            case labels = "Labels"
            case stopSignal = "StopSignal"
            case healthcheck = "Healthcheck"
            case shell = "Shell"
            case onBuild = "OnBuild"
            case argsEscaped = "ArgsEscaped"
        }
    }

    public struct Healthcheck: Hashable, Codable, Sendable {
        /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", "…"]`; empty inherits.
        public var test: [String]?
        /// Nanoseconds, all of these; 0 and nil are Docker's default.
        public var interval: Int64?
        public var timeout: Int64?
        public var startPeriod: Int64?
        public var startInterval: Int64?
        public var retries: Int?
        public init() {}

        enum CodingKeys: String, CodingKey {
            case test = "Test"
            case interval = "Interval"
            case timeout = "Timeout"
            case startPeriod = "StartPeriod"
            case startInterval = "StartInterval"
            case retries = "Retries"
        }
    }

    public struct RootFS: Hashable, Codable, Sendable {
        public var type = "layers"
        /// Digests of the uncompressed layers, lowest first.
        public var diffIDs: [Digest] = []
        public init() {}

        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
    }

    public struct History: Hashable, Codable, Sendable {
        public var created: String?
        public var createdBy: String?
        public var author: String?
        public var comment: String?
        public var emptyLayer: Bool?
        public init(createdBy: String?, emptyLayer: Bool? = nil) {
            self.createdBy = createdBy
            self.emptyLayer = emptyLayer
        }

        enum CodingKeys: String, CodingKey {
            case created
            case createdBy = "created_by"
            case author
            case comment
            case emptyLayer = "empty_layer"
        }
    }
}

/// The architecture in Go's spelling, which image documents use.
public var hostArchitecture: String {
    #if arch(x86_64)
        "amd64"
    #elseif arch(arm64)
        "arm64"
    #else
        "unknown"
    #endif
}
