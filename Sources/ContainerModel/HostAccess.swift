// SPDX-License-Identifier: Apache-2.0
//
// What a container may have of the host and of other containers: namespaces and devices.

/// Whose: a service's first container, or one by its name in any project.
public enum ContainerOwner: Hashable, Codable, Sendable {
    case service(String)
    case container(String)

    /// For messages: `service "db"`.
    public var text: String {
        switch self {
        case .service(let name): "service \"\(name)\""
        case .container(let name): "container \"\(name)\""
        }
    }
}

/// Another container's volumes and bind mounts.
public struct VolumesFrom: Hashable, Codable, Sendable {
    public var owner: ContainerOwner
    public var readOnly: Bool

    public init(_ owner: ContainerOwner, readOnly: Bool) {
        self.owner = owner
        self.readOnly = readOnly
    }
}

/// A namespace of another container in place of one's own.
public struct JoinedNamespace: Hashable, Codable, Sendable {
    public var namespace: RareSettings.Namespace
    public var owner: ContainerOwner

    public init(_ namespace: RareSettings.Namespace, of owner: ContainerOwner) {
        self.namespace = namespace
        self.owner = owner
    }
}

/// What may be done with a device: a text of `r`, `w` and `m`, each at most once, in this order.
public struct DeviceAccess: Hashable, Codable, Sendable {
    public let text: String

    /// From letters in any order; nil for another letter, or none.
    public init?(_ letters: String) {
        guard !letters.isEmpty, letters.allSatisfy({ "rwm".contains($0) }) else { return nil }
        text = "rwm".filter { letters.contains($0) }
    }

    public static let all = DeviceAccess(letters: "rwm")
    private init(letters: String) { text = letters }
}

/// A device of the host, or each one in a directory of it.
public struct DeviceGrant: Hashable, Codable, Sendable {
    /// Absolute path on the host.
    public var path: String
    /// Absolute path in the container.
    public var target: String
    public var access: DeviceAccess
    /// Owner and permissions where they are not the host's.
    public var uid: UInt32?
    public var gid: UInt32?
    public var mode: UInt32?

    public init(path: String, target: String, access: DeviceAccess = .all) {
        self.path = path
        self.target = target
        self.access = access
    }
}

/// Devices by number that may be used, whoever makes their nodes.
public struct DeviceRule: Hashable, Codable, Sendable {
    public enum Kind: String, Codable, Sendable {
        case all = "a"
        case block = "b"
        case character = "c"
    }
    public var kind: Kind
    /// nil: any.
    public var major: UInt32?
    public var minor: UInt32?
    public var access: DeviceAccess

    public init(_ kind: Kind, _ major: UInt32?, _ minor: UInt32?, _ access: DeviceAccess) {
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
    }

    /// From the kernel's own form, `c 1:3 rwm` (Documentation/admin-guide/cgroup-v1/devices.rst); nil for anything else.
    public init?(_ line: String) {
        let parts = line.split(separator: " ").map(String.init)
        guard parts.count == 3, let kind = Kind(rawValue: parts[0]), let access = DeviceAccess(parts[2])
        else { return nil }
        let numbers = parts[1].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard numbers.count == 2, numbers.allSatisfy({ $0 == "*" || UInt32($0) != nil }) else { return nil }
        self.init(kind, UInt32(numbers[0]), UInt32(numbers[1]), access)
    }

    public var text: String {
        "\(kind.rawValue) \(major.map(String.init) ?? "*"):\(minor.map(String.init) ?? "*") \(access.text)"
    }
}
