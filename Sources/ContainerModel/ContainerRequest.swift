// SPDX-License-Identifier: Apache-2.0
//
// ContainerModel: what a container, a network, a volume and a stack of them is, after Compose. These values are
// what the controller stores, compares and executes; the mechanisms take them and never see the word "compose".
// Everything is Codable: it crosses the control socket and is kept in project.json. Nothing is decided here.

public import Basics

/// Everything that makes a container the one it is. Two equal requests are the same container.
///
/// Secrets' and configs' contents stand here as digests only; the contents travel and rest apart.
public struct ContainerRequest: Hashable, Codable, Sendable {
    public var image: ImageFacts
    /// Entrypoint and command joined; never empty.
    public var arguments: [String]
    /// `NAME=value`, in order; PATH, HOSTNAME and HOME are filled in by launch planning where absent.
    public var environment: [String]
    /// Absolute; created when missing.
    public var workingDirectory: String
    /// `user[:group]` by name or number; empty means root.
    public var user: String
    public var hostname: String?
    public var mounts: [MountRequest]
    public var files: [FileRequest]
    public var networks: [EndpointRequest]
    public var ports: [PortRequest]
    public var extraHosts: [HostEntry]
    public var dnsServers: [String]
    public var limits: ResourceLimits
    public var capAdd: [String]
    public var capDrop: [String]
    public var noNewPrivileges: Bool
    /// Docker's default profile when true, none when false.
    public var seccomp: Bool
    public var readOnlyRoot: Bool
    /// A tiny init as pid 1 that reaps and forwards signals.
    public var initProcess: Bool
    public var tty: Bool
    public var stdinOpen: Bool
    public var ulimits: [String: LimitPair]
    public var sysctls: [String: String]
    public var labels: [String: String]
    /// A signal's name, `SIGTERM`.
    public var stopSignal: String
    public var stopGracePeriod: Duration
    public var shmSize: ByteSize
    /// nil: none of them.
    public var rare: RareSettings?

    public init(image: ImageFacts, arguments: [String]) {
        self.image = image
        self.arguments = arguments
        environment = []
        workingDirectory = "/"
        user = ""
        mounts = []
        files = []
        networks = []
        ports = []
        extraHosts = []
        dnsServers = []
        limits = ResourceLimits()
        capAdd = []
        capDrop = []
        noNewPrivileges = false
        seccomp = true
        readOnlyRoot = false
        initProcess = false
        tty = false
        stdinOpen = false
        ulimits = [:]
        sysctls = [:]
        labels = [:]
        stopSignal = "SIGTERM"
        stopGracePeriod = .seconds(10)
        shmSize = ByteSize(bytes: 64 << 20)
    }
}

/// What a container needs to know of its image; filled by the image store, once per image.
public struct ImageFacts: Hashable, Codable, Sendable {
    /// As the user wrote it.
    public var reference: String
    /// Digest of the image's config; the image's identity.
    public var id: Digest
    /// Absolute paths of the unpacked layers, topmost first, ready as overlay `lowerdir`s, no path twice.
    /// For `dir:ROOTFS` the root file system itself.
    public var layers: [String]

    public init(reference: String, id: Digest, layers: [String]) {
        self.reference = reference
        self.id = id
        self.layers = layers
    }
}

/// The defaults an image carries (OCI image-spec, config.md); what a request does not say is taken from here.
public struct ImageDefaults: Hashable, Codable, Sendable {
    public var environment: [String] = []
    public var entrypoint: [String] = []
    public var command: [String] = []
    public var workingDirectory = ""
    public var user = ""
    public var volumes: [String] = []
    public var exposedPorts: [String] = []
    public var labels: [String: String] = [:]
    public var stopSignal: String?
    public var healthcheck: HealthcheckRequest?
    /// True for the image's `HEALTHCHECK NONE`.
    public var healthcheckDisabled = false
    public init() {}
}

public struct MountRequest: Hashable, Codable, Sendable {
    public enum Source: Hashable, Codable, Sendable {
        /// A named volume by its real name.
        case volume(name: String)
        /// A volume of this container alone, numbered within it; removed with it.
        case anonymous(index: Int)
        case bind(path: String, createHostPath: Bool, propagation: String?)
        /// Another image's files, read-only; its unpacked layers, topmost first.
        case image(reference: String, id: Digest, layers: [String])
        case tmpfs(size: ByteSize?, mode: UInt32?, uid: UInt32?, gid: UInt32?)
    }
    public var source: Source
    public var target: String
    public var readOnly: Bool
    /// Fill an empty volume with what the image has at `target`.
    public var copyFromImage: Bool
    public var subpath: String?
    /// What of the mounts beneath a bind's source comes along; nil for all, read-only as the bind is.
    public var beneath: MountsBeneath?
    /// Of an anonymous volume; kept with its container, as it is.
    public var labels: [String: String]?
    /// Of a tmpfs: programs in it may be run.
    public var runsPrograms: Bool?

    public enum MountsBeneath: String, Hashable, Codable, Sendable {
        case none = "disabled"
        /// Writable, though the bind is read-only.
        case writable
        case readOnly = "readonly"
    }

    public init(source: Source, target: String, readOnly: Bool = false, copyFromImage: Bool = true) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
        self.copyFromImage = copyFromImage
    }
}

/// A config or secret at a path in the container.
public struct FileRequest: Hashable, Codable, Sendable {
    /// For messages: `secret "db_password"`.
    public var title: String
    public var content: Digest
    public var target: String
    public var uid: UInt32
    public var gid: UInt32
    public var mode: UInt32

    public init(
        title: String, content: Digest, target: String, uid: UInt32 = 0, gid: UInt32 = 0, mode: UInt32 = 0o444
    ) {
        self.title = title
        self.content = content
        self.target = target
        self.uid = uid
        self.gid = gid
        self.mode = mode
    }
}

/// One network interface of a container.
public struct EndpointRequest: Hashable, Codable, Sendable {
    /// The network's real name.
    public var network: String
    /// Names that resolve to this container on this network (service, container name, aliases).
    public var aliases: [String]
    /// A fixed address, nil for one from the network's range.
    public var ipv4Address: String?
    /// A fixed address, nil for any; only on a network that has IPv6.
    public var ipv6Address: IPv6Address?
    /// A fixed hardware address in lower case with colons, nil for one made from the address.
    public var macAddress: String?
    /// nil: none of them.
    public var settings: EndpointSettings?

    public init(network: String, aliases: [String] = [], ipv4Address: String? = nil) {
        self.network = network
        self.aliases = aliases
        self.ipv4Address = ipv4Address
    }

    /// Leaves out the addresses that only one container can have: for one beside the service's own.
    public mutating func leaveAddressesToOthers() {
        ipv4Address = nil
        ipv6Address = nil
        macAddress = nil
        settings?.linkLocalAddresses = []
    }
}

/// What few network interfaces are asked to have.
public struct EndpointSettings: Hashable, Codable, Sendable {
    /// Its name in the container; nil for `eth0` and on.
    public var linkName: String?
    /// Beside its addresses on the network, of either family, as written.
    public var linkLocalAddresses: [String] = []
    /// Default routes go by the interface with the highest of those with a way out, by the first of several.
    public var gatewayPriority = 0
    /// `net.ipv4.conf.IFNAME.NAME` to value, IFNAME standing for the interface.
    public var sysctls: [String: String] = [:]
    public init() {}

    public var isEmpty: Bool { self == EndpointSettings() }
}

public struct PortRequest: Hashable, Codable, Sendable {
    public enum Proto: String, Codable, Sendable, Comparable {
        case tcp, udp
        public static func < (a: Proto, b: Proto) -> Bool { a.rawValue < b.rawValue }
    }
    public var target: UInt16
    /// nil: a free one is picked; several: the first free one.
    public var published: ClosedRange<UInt16>?
    /// nil: every address of the host.
    public var hostAddress: String?
    public var proto: Proto

    public init(
        target: UInt16, published: ClosedRange<UInt16>?, hostAddress: String? = nil, proto: Proto = .tcp
    ) {
        self.target = target
        self.published = published
        self.hostAddress = hostAddress
        self.proto = proto
    }
}

public struct HostEntry: Hashable, Codable, Sendable {
    public var name: String
    public var address: String
    public init(name: String, address: String) {
        self.name = name
        self.address = address
    }
}

/// Limits; nil is none.
public struct ResourceLimits: Hashable, Codable, Sendable {
    /// Processors' worth of time, 0.5 is half of one.
    public var cpus: Double?
    public var memory: ByteSize?
    public var pids: Int?
    /// In place of `cpus`: microseconds of processor time in each period; a period is 100 ms unless given.
    public var cpuQuota: Int?
    public var cpuPeriod: Int?
    /// Weight beside others when processors are short, from 2 to 262144; 1024 is the kernel's own.
    public var cpuShares: Int?
    /// Processors to run on, `0-2,5`.
    public var cpuSet: String?
    /// Memory that is taken last when it is short.
    public var memoryReservation: ByteSize?
    /// Memory and swap together; -1 is unlimited, nil twice the memory.
    public var memoryAndSwap: ByteSize?
    /// Percent; cgroup v1 only.
    public var swappiness: Int?
    /// Processes wait instead of being killed when memory is out; cgroup v1 only.
    public var oomKillDisabled: Bool?
    /// Microseconds in each period that real-time tasks may run; cgroup v1 only. A period is 1 s unless given.
    public var realtimeRuntime: Int?
    public var realtimePeriod: Int?
    /// nil: no bound on any device.
    public var blockIO: BlockLimits?
    public init(cpus: Double? = nil, memory: ByteSize? = nil, pids: Int? = nil) {
        self.cpus = cpus
        self.memory = memory
        self.pids = pids
    }
}

/// How block devices are shared and bounded; paths of devices are the host's.
public struct BlockLimits: Hashable, Codable, Sendable {
    /// Beside others that want the device, from 10 to 1000.
    public var weight: Int?
    public var weights: [BlockLimit] = []
    /// Bytes a second.
    public var readBytes: [BlockLimit] = []
    public var writeBytes: [BlockLimit] = []
    /// Operations a second.
    public var readOperations: [BlockLimit] = []
    public var writeOperations: [BlockLimit] = []
    public init() {}
}

public struct BlockLimit: Hashable, Codable, Sendable {
    public var path: String
    public var value: Int64
    public init(path: String, value: Int64) {
        self.path = path
        self.value = value
    }
}

/// A resource limit; -1 is unlimited.
public struct LimitPair: Hashable, Codable, Sendable {
    public var soft: Int64
    public var hard: Int64
    public init(soft: Int64, hard: Int64) {
        self.soft = soft
        self.hard = hard
    }
}

public struct HealthcheckRequest: Hashable, Codable, Sendable {
    /// The program and its arguments; CMD-SHELL is already `/bin/sh -c`.
    public var command: [String]
    public var interval: Duration
    public var timeout: Duration
    public var retries: Int
    public var startPeriod: Duration
    public var startInterval: Duration

    public init(
        command: [String], interval: Duration = .seconds(30), timeout: Duration = .seconds(30),
        retries: Int = 3,
        startPeriod: Duration = .zero, startInterval: Duration = .seconds(5)
    ) {
        self.command = command
        self.interval = interval
        self.timeout = timeout
        self.retries = retries
        self.startPeriod = startPeriod
        self.startInterval = startInterval
    }
}
