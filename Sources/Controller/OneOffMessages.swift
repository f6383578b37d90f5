// SPDX-License-Identifier: Apache-2.0

public import ContainerModel

/// What `run` asks for.
public struct RunOptions: Codable, Sendable {
    /// The one-off's own service: its name is nobody else's, its container's name is fixed.
    public var service: ServiceRequest
    /// The service it was made after, and what becomes of it at its end.
    public var oneOff: OneOff
    /// Volumes it mounts, also those no service does, by real name.
    public var volumes: [String: VolumeRequest]
    /// Leave alone what the service depends on.
    public var noDependencies = false
    public var removeOrphans = false
    /// Don't tell of orphans that stay; nil is no.
    public var ignoresOrphans: Bool?
    /// Answer when it was started; its output goes to its log.
    public var detached = false
    /// Of its terminal, where it has one.
    public var rows = 24
    public var columns = 80

    public init(service: ServiceRequest, oneOff: OneOff, volumes: [String: VolumeRequest]) {
        self.service = service
        self.oneOff = oneOff
        self.volumes = volumes
    }
}

extension ControlRequest {
    /// Starts a process: done twice is not what was asked for.
    var runsSomething: Bool {
        switch self {
        case .exec, .run: true
        default: false
        }
    }
}
