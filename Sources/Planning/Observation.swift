// SPDX-License-Identifier: Apache-2.0
//
// What exists: the controller's look at records, processes and the kernel, as values. A plan is made from this
// and the desired state alone. Anything that belongs to the project is here, declared or not; of other
// projects' networks and volumes only those the desired state names.

public import Basics
public import ContainerModel

/// One look at everything a project has.
public struct Observation: Hashable, Codable, Sendable {
    public var project: String
    public var containers: [ObservedContainer]
    /// By real name.
    public var networks: [String: ObservedNetwork]
    /// By real name.
    public var volumes: [String: ObservedVolume]
    /// The service requests as they were last carried out, by service name: for reasons, for dependencies in
    /// teardown, for grace periods. A service without one is planned all the same, with poorer reasons.
    public var requests: [String: ServiceRequest]

    public init(project: String) {
        self.project = project
        containers = []
        networks = [:]
        volumes = [:]
        requests = [:]
    }
}

/// A container of the project, whatever its state.
public struct ObservedContainer: Hashable, Codable, Sendable {
    public var name: String
    public var service: String
    /// From 1.
    public var index: Int
    /// Of the request it was created from.
    public var configHash: Digest
    /// Id of the image it was created from.
    public var image: Digest
    public var state: ContainerState
    public var health: Health
    /// Real names of the networks it was created on.
    public var networks: [String]
    /// It runs, and stands still by somebody's wish.
    public var isPaused: Bool

    public init(
        name: String, service: String, index: Int, configHash: Digest, image: Digest, state: ContainerState,
        health: Health = .none, networks: [String] = [], isPaused: Bool = false
    ) {
        self.name = name
        self.service = service
        self.index = index
        self.configHash = configHash
        self.image = image
        self.state = state
        self.health = health
        self.networks = networks
        self.isPaused = isPaused
    }

    var reference: ContainerReference { ContainerReference(name: name, service: service, index: index) }

    /// - Throws: when it is paused: nothing that is asked of it would come true.
    func checkGoesOn(_ doing: String) throws(Failure) {
        guard isPaused else { return }
        throw Failure(
            "cannot \(doing) service \(quoted(service))", cause: "its container \(name) is paused",
            advice: "`covey unpause \(service)` lets it go on")
    }
}

public enum ContainerState: Hashable, Codable, Sendable {
    /// Prepared, never started.
    case created
    case running
    /// Ended; its restart policy will start it again by itself, so it is left to it.
    case restarting
    /// Ended. `code` is nil when nobody was there to read it, which counts as failure; a signal gives 128 plus
    /// its number. `onRequest`: somebody asked for the stop, so it has not ended by itself.
    case exited(code: Int32?, onRequest: Bool)
    /// Half made or half removed: its creation or removal was interrupted.
    case dead

    /// Whether it has to be stopped before it can be removed.
    public var isLive: Bool { self == .running || self == .restarting }
}

/// What the health check says; `none` when there is none.
public enum Health: String, Hashable, Codable, Sendable {
    case none, starting, healthy, unhealthy
}

public struct ObservedNetwork: Hashable, Codable, Sendable {
    public var name: String
    /// The project that made it; nil when no project did.
    public var project: String?
    /// The settings it was made with, where they are known.
    public var request: NetworkRequest?
    /// Containers of other projects on it.
    public var foreignContainers: [String]

    public init(name: String, project: String?, request: NetworkRequest?, foreignContainers: [String] = []) {
        self.name = name
        self.project = project
        self.request = request
        self.foreignContainers = foreignContainers
    }
}

public struct ObservedVolume: Hashable, Codable, Sendable {
    public var name: String
    /// The project that made it; nil when no project did.
    public var project: String?
    public var request: VolumeRequest?
    /// Containers of other projects that mount it, running or not.
    public var foreignContainers: [String]

    public init(
        name: String, project: String?, request: VolumeRequest?, foreignContainers: [String] = []
    ) {
        self.name = name
        self.project = project
        self.request = request
        self.foreignContainers = foreignContainers
    }
}

extension Observation {
    /// The containers of each service, by index, then name.
    func containersByService() -> [String: [ObservedContainer]] {
        Dictionary(grouping: containers, by: \.service).mapValues { containers in
            containers.sorted { ($0.index, $0.name) < ($1.index, $1.name) }
        }
    }

    /// How long a container may take to stop: as asked, as its service was told, ten seconds.
    func stopTimeout(of service: String, asked: Duration?) -> Duration {
        asked ?? requests[service]?.container.stopGracePeriod ?? .seconds(10)
    }
}
