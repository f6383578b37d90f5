// SPDX-License-Identifier: Apache-2.0
//
// Parts of a service that stand for themselves: hooks, watching, devices, limits of block devices, providers.

extension Service {
    /// An element of `pre_start`, `post_start`, `pre_stop`, and `exec` of a watch rule.
    public struct Hook: Sendable, Equatable {
        public var command: [String]?
        public var user: String?
        public var privileged = false
        public var workingDirectory: String?
        /// nil is a variable without a value.
        public var environment: [String: String?] = [:]
        /// `pre_start` only: the image it runs in, nil for the service's own.
        public var image: String?
        /// `pre_start` only.
        public var perReplica = false
        public init() {}
    }

    /// An element of `develop.watch`.
    public struct WatchRule: Sendable, Equatable {
        /// Absolute.
        public var path: String
        public var action: String
        public var target: String?
        public var ignore: [String] = []
        public var include: [String] = []
        public var initialSync = false
        public var exec: Hook?
        public init(path: String, action: String) {
            self.path = path
            self.action = action
        }
    }

    /// An element of `env_file`.
    public struct EnvironmentFileReference: Sendable, Equatable {
        /// Absolute.
        public var path: String
        public var required = true
        public var isRaw = false
        public init(path: String) { self.path = path }
    }

    /// An element of `devices`; for a CDI name (`vendor.com/class=name`) source and target are that name.
    public struct Device: Sendable, Equatable {
        public var source: String
        public var target: String
        /// Of `r`, `w` and `m`.
        public var permissions: String
        public init(source: String, target: String, permissions: String = "rwm") {
            self.source = source
            self.target = target
            self.permissions = permissions
        }
    }

    public struct Logging: Sendable, Equatable {
        public var driver: String?
        public var options: [String: String] = [:]
        public init() {}

        /// The output is kept here, in files of our own, and goes nowhere else.
        public var isLocal: Bool { driver == nil || driver == "json-file" || driver == "local" }

        /// What Docker's files have besides the output: no program ever waits for ours, and they have lines alone.
        public static let optionsWithoutEffect: Set = [
            "compress", "env", "env-regex", "labels", "labels-regex", "tag",
        ]
        /// Whether a program may wait for its log. With us none does.
        public static let deliveryOptions: Set = ["mode", "max-buffer-size"]
    }

    /// `blkio_config`.
    public struct BlockIO: Sendable, Equatable {
        /// From 10 to 1000.
        public var weight: Int?
        public var weights: [Entry] = []
        /// Bytes a second.
        public var readBytes: [Entry] = []
        public var writeBytes: [Entry] = []
        /// Operations a second.
        public var readOperations: [Entry] = []
        public var writeOperations: [Entry] = []
        public init() {}

        public struct Entry: Sendable, Equatable {
            public var path: String
            public var value: Int64
            public init(path: String, value: Int64) {
                self.path = path
                self.value = value
            }
        }
    }

    /// `provider`: a service another program looks after.
    public struct Provider: Sendable, Equatable {
        public var type: String
        public var options: [String: [String]] = [:]
        public init(type: String) { self.type = type }
    }

    /// `credential_spec`.
    public struct CredentialSpec: Sendable, Equatable {
        public var config: String?
        public var file: String?
        public var registry: String?
        public init() {}
    }

    /// `models.<key>` of a service.
    public struct ModelGrant: Sendable, Equatable {
        public var endpointVariable: String?
        public var modelVariable: String?
        public init() {}
    }
}
