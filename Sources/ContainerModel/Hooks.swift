// SPDX-License-Identifier: Apache-2.0
//
// What runs around a service's program: containers that come to their end before it, commands in its own container
// after it has started and before it is stopped. Few services have any.

/// A service's hooks, each list in its order.
public struct HooksRequest: Hashable, Codable, Sendable {
    public var preStart: [PreStartRequest] = []
    public var postStart: [HookRequest] = []
    public var preStop: [HookRequest] = []
    public init() {}

    public var isEmpty: Bool { self == HooksRequest() }
}

/// A command in a container that runs.
public struct HookRequest: Hashable, Codable, Sendable {
    public var arguments: [String]
    /// `NAME=value`, over the container's own.
    public var environment: [String] = []
    /// nil: the container's.
    public var user: String?
    public var workingDirectory: String?
    /// With every capability and without a filter.
    public var privileged = false
    public init(arguments: [String]) { self.arguments = arguments }
}

/// A container of its own that must end well before the service's is started.
public struct PreStartRequest: Hashable, Codable, Sendable {
    public var container: ContainerRequest
    /// Before each of the service's containers; else once for all of them.
    public var perReplica: Bool
    public init(container: ContainerRequest, perReplica: Bool) {
        self.container = container
        self.perReplica = perReplica
    }
}
