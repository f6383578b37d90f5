// SPDX-License-Identifier: Apache-2.0
//
// ComposeModel: what a Compose project is, after loading: every short form made long, every variable put in,
// every relative path absolute. No file is read here and nothing is decided.
//
// Names follow the Compose Specification, and all of it is here; what Covey honours of it is said by
// ComposeLoader's ledger. `marks` remembers where an attribute was written, for later errors; it takes no part
// in equality.

public import Basics

/// A loaded project: what `covey config` prints and `up` hands over.
public struct Project: Sendable, Equatable {
    public var name: String
    /// The directory relative paths were resolved from, absolute.
    public var directory: String
    /// The files it was loaded from, in merge order, absolute.
    public var files: [String]
    public var services: [String: Service]
    public var networks: [String: Network]
    public var volumes: [String: Volume]
    public var configs: [String: FileSource]
    public var secrets: [String: FileSource]
    public var models: [String: Model] = [:]
    /// `x-…` at the top level.
    public var extensions: [String: Value] = [:]
    /// Services switched off by their profiles, by name, so that naming one can be answered well.
    public var disabledServices: [String: Service]
    /// What stands between the parts of a name: `-`, or with --compatibility `_`.
    public var nameSeparator = "-"
    /// Networks and volumes that no service uses are made too (--all-resources).
    public var keepsUnused = false
    /// Real names of all volumes that were declared, those that no service uses among them.
    public var declaredVolumes: Set<String> = []

    public init(name: String, directory: String, files: [String] = []) {
        self.name = name
        self.directory = directory
        self.files = files
        services = [:]
        networks = [:]
        volumes = [:]
        configs = [:]
        secrets = [:]
        disabledServices = [:]
    }
}

extension Project {
    /// What the image of a service is called: what it says, or where it is built without a name, its own one.
    public func imageName(of service: Service) -> String {
        service.image ?? name + nameSeparator + service.name
    }

    /// The service that builds an image which others only name: no registry is asked for it.
    public func builder(of image: String) -> Service? {
        services.values.filter { $0.build != nil && imageName(of: $0) == image }.min { $0.name < $1.name }
    }

    /// Leaves the networks, volumes, configs, secrets and models that some service uses.
    public mutating func dropUnusedResources() {
        var (usedNetworks, usedVolumes, usedModels): (Set<String>, Set<String>, Set<String>) = ([], [], [])
        var (usedConfigs, usedSecrets): (Set<String>, Set<String>) = ([], [])
        for service in services.values {
            usedNetworks.formUnion(service.networks.keys)
            for mount in service.volumes {
                if case .volume(let name) = mount.source { usedVolumes.insert(name) }
            }
            usedConfigs.formUnion(service.configs.map(\.source))
            usedSecrets.formUnion(service.secrets.map(\.source))
            usedSecrets.formUnion(service.build?.secrets.map(\.source) ?? [])
            usedModels.formUnion(service.models.keys)
        }
        networks = networks.filter { usedNetworks.contains($0.key) }
        volumes = volumes.filter { usedVolumes.contains($0.key) }
        configs = configs.filter { usedConfigs.contains($0.key) }
        secrets = secrets.filter { usedSecrets.contains($0.key) }
        models = models.filter { usedModels.contains($0.key) }
    }
}

/// Where the attributes of one element were written: attribute name (dotted below it) → place.
public struct Marks: Sendable {
    public var element: SourceLocation?
    public var attributes: [String: SourceLocation]

    public init(element: SourceLocation? = nil, attributes: [String: SourceLocation] = [:]) {
        self.element = element
        self.attributes = attributes
    }

    /// The attribute's place, or its element's.
    public subscript(attribute: String) -> SourceLocation? { attributes[attribute] ?? element }
}

/// A top-level network (Compose spec, 06-networks.md).
public struct Network: Sendable, Equatable {
    /// The real name: `<project>_<key>` unless `name` says otherwise.
    public var name: String
    public var external = false
    public var driver: String?
    public var driverOptions: [String: String] = [:]
    public var isInternal = false
    public var attachable = false
    public var labels: [String: String] = [:]
    public var enableIPv4: Bool?
    public var enableIPv6: Bool?
    public var ipamDriver: String?
    public var ipamOptions: [String: String] = [:]
    public var ipam: [Subnet] = []
    public var extensions: [String: Value] = [:]
    @NotCompared public var marks = Marks()

    /// One entry of `ipam.config`, as written and checked by the loader.
    public struct Subnet: Sendable, Equatable {
        public var subnet: String?
        public var gateway: String?
        public var ipRange: String?
        public var auxiliary: [String: String] = [:]
        public var isIPv6: Bool { subnet?.contains(":") ?? false }
        public init() {}
    }

    public init(name: String) { self.name = name }
}

/// A top-level volume (07-volumes.md).
public struct Volume: Sendable, Equatable {
    /// The real name: `<project>_<key>` unless `name` says otherwise.
    public var name: String
    public var external = false
    public var driver: String?
    public var driverOptions: [String: String] = [:]
    public var labels: [String: String] = [:]
    public var extensions: [String: Value] = [:]
    @NotCompared public var marks = Marks()
    public init(name: String) { self.name = name }
}

/// A top-level model (models.md).
public struct Model: Sendable, Equatable {
    /// Given by `name`, else nil.
    public var name: String?
    /// The artifact's reference.
    public var model: String
    public var contextSize: Int?
    public var runtimeFlags: [String] = []
    public var extensions: [String: Value] = [:]
    public init(model: String) { self.model = model }
}

/// A top-level config or secret (08-configs.md, 09-secrets.md).
public struct FileSource: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        /// An absolute path on the host, read when the project is handed over.
        case file(String)
        /// Text given inline.
        case content(String)
        /// A variable, and its value where the file looks for it; nil when it is not set.
        case environment(String, value: String?)
        /// Kept by another program under the source's name.
        case external
    }
    public var name: String
    public var content: Content
    public var labels: [String: String] = [:]
    public var driver: String?
    public var driverOptions: [String: String] = [:]
    public var templateDriver: String?
    public var extensions: [String: Value] = [:]
    @NotCompared public var marks = Marks()
    public init(name: String, content: Content) {
        self.name = name
        self.content = content
    }
}
