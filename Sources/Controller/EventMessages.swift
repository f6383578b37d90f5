// SPDX-License-Identifier: Apache-2.0
//
// What `covey events` asks and hears: things that happened to the project, each told once, in the order they happened.

/// Something that happened.
public struct ProjectEvent: Codable, Sendable, Hashable {
    public enum Kind: String, Codable, Sendable {
        case container, network, volume, firewall, controller, keeper
    }

    /// Nanoseconds since 1970.
    public var time: Int64
    public var kind: Kind
    /// Docker's word where it has one (`start`, `die`, `health_status: healthy`); `drift` for what was changed by
    /// somebody else, with what was done about it in the attributes `cause`, `action` and `result`.
    public var action: String
    /// The resource's name.
    public var name: String
    /// Of a container.
    public var service: String?
    public var attributes: [String: String]

    public init(
        time: Int64, _ kind: Kind, _ action: String, _ name: String, service: String? = nil,
        _ attributes: [String: String] = [:]
    ) {
        self.time = time
        self.kind = kind
        self.action = action
        self.name = name
        self.service = service
        self.attributes = attributes
    }
}

public struct EventOptions: Codable, Sendable {
    /// Nanoseconds since 1970; nil starts with what happens from now on.
    public var since: Int64?
    /// Nothing later than this, nanoseconds since 1970.
    public var until: Int64?
    /// Events of these only; what belongs to no service is left out then. Empty means all.
    public var services: [String] = []
    /// Go on with what happens from now on.
    public var follow = true
    public init() {}

    func wants(_ event: ProjectEvent) -> Bool {
        if let until, event.time > until { return false }
        return services.isEmpty || event.service.map(services.contains) ?? false
    }
}
