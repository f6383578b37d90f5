// SPDX-License-Identifier: Apache-2.0

public import Basics

/// `deploy` of a service (deploy.md), as written; what it means for one host is computed in Service.swift.
public struct Deploy: Sendable, Equatable {
    public var mode: String?
    public var replicas: Int?
    public var labels: [String: String] = [:]
    public var update: Update?
    public var rollback: Update?
    public var limits: Resources?
    public var reservations: Resources?
    public var restartPolicy: RestartPolicy?
    public var placement: Placement?
    public var endpointMode: String?
    public var extensions: [String: Value] = [:]

    public init() {}

    /// `update_config` and `rollback_config`.
    public struct Update: Sendable, Equatable {
        /// Containers at a time; 0 is all of them.
        public var parallelism: Int?
        public var delay: Duration?
        public var failureAction: String?
        public var monitor: Duration?
        /// From 0 to 1.
        public var maximumFailureRatio: Double?
        /// `start-first` or `stop-first`.
        public var order: String?
        public init() {}
    }

    /// `resources.limits` and `resources.reservations`.
    public struct Resources: Sendable, Equatable {
        public var cpus: Double?
        public var memory: ByteSize?
        public var pids: Int?
        public var devices: [DeviceRequest] = []
        /// Kind → number.
        public var generic: [GenericResource] = []
        public init() {}
    }

    public struct GenericResource: Sendable, Equatable {
        public var kind: String
        public var value: Int
        public init(kind: String, value: Int) {
            self.kind = kind
            self.value = value
        }
    }

    public struct RestartPolicy: Sendable, Equatable {
        /// `none`, `on-failure` or `any`.
        public var condition: String?
        public var delay: Duration?
        public var maximumAttempts: Int?
        public var window: Duration?
        public init() {}
    }

    public struct Placement: Sendable, Equatable {
        public var constraints: [String] = []
        /// `spread` of each preference.
        public var preferences: [String] = []
        public var maximumReplicasPerNode: Int?
        public init() {}
    }
}

/// An element of `gpus` and of `deploy.resources.reservations.devices`.
public struct DeviceRequest: Sendable, Equatable {
    public var capabilities: [String] = []
    public var driver: String?
    /// -1 is all of them.
    public var count: Int?
    public var deviceIDs: [String] = []
    public var options: [String: String] = [:]
    public init() {}
}
