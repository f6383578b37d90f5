// SPDX-License-Identifier: Apache-2.0
//
// What a launch program depends on beside the request: the host's abilities, and what the mechanisms prepared.

/// What the host's kernel can do, probed once.
public struct HostFacts: Sendable {
    /// overlayfs takes `lowerdir+` (Linux 6.5); else one mount(2) with a page of options.
    public var overlayLowerdirPlus: Bool
    /// cgroup2 is the whole hierarchy, so a container sees it at /sys/fs/cgroup.
    public var cgroupV2: Bool
    /// Capabilities of our own bounding set, by bit.
    public var boundingCapabilities: UInt64
    /// Processors whose thermal_throttle is masked.
    public var thermalThrottleCPUs: [Int]

    public init(
        overlayLowerdirPlus: Bool, cgroupV2: Bool, boundingCapabilities: UInt64,
        thermalThrottleCPUs: [Int] = []
    ) {
        self.overlayLowerdirPlus = overlayLowerdirPlus
        self.cgroupV2 = cgroupV2
        self.boundingCapabilities = boundingCapabilities
        self.thermalThrottleCPUs = thermalThrottleCPUs
    }
}

/// A user as numbers, looked up in the image's passwd and group.
public struct ProcessIdentity: Hashable, Sendable {
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups, the primary one among them (CVE-2022-36109).
    public var groups: [UInt32]
    public var home: String

    public init(uid: UInt32, gid: UInt32, groups: [UInt32], home: String) {
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home
    }

    public static let root = ProcessIdentity(uid: 0, gid: 0, groups: [0], home: "/root")
}

/// A mount whose source is at hand on the host.
public struct ResolvedMount: Sendable {
    public enum Source: Sendable {
        /// A path on the host; a directory or a file.
        case path(String, isDirectory: Bool, recursive: Bool, propagation: UInt64)
        /// A directory below one that others write in: no link is followed on the way from there.
        case below(root: String, path: String)
        /// Directories over each other, topmost first; without an upper there are two at least.
        case overlay(lowers: [String], upper: String?, work: String?)
        /// Options for a new tmpfs.
        case tmpfs([(key: String, value: String)], TmpfsUse)
        /// Directories over each other, topmost first, at least two; nothing can be written.
        case layers([String])
    }
    public var source: Source
    /// Absolute path in the container.
    public var target: String
    public var readOnly: Bool
    /// Read-only holds for the mount itself and not for those beneath.
    public var writableBeneath = false
    /// For messages: `volume "data"`.
    public var title: String

    public init(source: Source, target: String, readOnly: Bool, title: String) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
        self.title = title
    }
}

/// Namespaces of another process that a container is put into; one descriptor, a pidfd or an nsfs file, is given for each.
public struct NamespaceJoin: Hashable, Sendable {
    /// CLONE_NEW*, any number of them for a pidfd (Linux 5.8), one for an nsfs file.
    public var flags: UInt64
    /// For messages: `the network of container "web-1"`.
    public var title: String

    public init(flags: UInt64, title: String) {
        self.flags = flags
        self.title = title
    }

    /// Of linux/sched.h.
    public static let newPID: UInt64 = 0x2000_0000
    public static let newNetwork: UInt64 = 0x4000_0000
    public static let newIPC: UInt64 = 0x0800_0000
}

/// A device node to be made.
public struct DeviceNode: Hashable, Sendable {
    /// Absolute path in the container.
    public var path: String
    /// File type and permissions.
    public var mode: UInt32
    public var major: UInt32
    public var minor: UInt32
    public var uid: UInt32
    public var gid: UInt32

    public init(path: String, mode: UInt32, major: UInt32, minor: UInt32, uid: UInt32 = 0, gid: UInt32 = 0) {
        self.path = path
        self.mode = mode
        self.major = major
        self.minor = minor
        self.uid = uid
        self.gid = gid
    }

    /// The kernel's dev_t as mknod(2) takes it: new_encode_dev, linux/kdev_t.h.
    var number: UInt64 {
        UInt64(minor & 0xff) | UInt64(major & 0xfff) << 8 | UInt64(minor & ~0xff) << 12
    }
}

/// A network interface as the child finds it.
public struct PreparedLink: Hashable, Sendable {
    public var name: String
    /// rtnetlink requests that give it its addresses and routes.
    public var messages: [UInt8]
    /// By path below /proc/sys; set before it is up, as some have their effect then.
    public var sysctls: [String: String] = [:]

    public init(name: String, messages: [UInt8]) {
        self.name = name
        self.messages = messages
    }
}

/// All that a container's launch needs beside its request.
public struct PreparedContainer: Sendable {
    /// Overlay directories on the host; `lowers` topmost first. Without lowers the upper itself is the root.
    public var lowers: [String]
    public var upper: String
    public var work: String
    /// Further options of the overlay mount, an empty value for a flag.
    public var overlayOptions: [(key: String, value: String)]
    /// An empty directory on the host the root is mounted at, in the container's mount namespace only.
    public var mountPoint: String
    public var mounts: [ResolvedMount]
    /// Where on the host the file system is put that the last given descriptor is, for mounts to take files from.
    public var filesAt: String?
    public var identity: ProcessIdentity
    public var hostname: String
    /// Complete, in order.
    public var environment: [String]
    /// BPF of the seccomp policy, 8 bytes each instruction; empty for none.
    public var seccomp: [UInt8]
    /// The capability set by bit: bounding, permitted, effective.
    public var capabilities: UInt64
    /// v1 `tasks` files the child writes itself into.
    public var cgroupTaskFiles: [String]
    /// What the child does about each link of its network namespace once it is there.
    public var links: [PreparedLink]
    /// nf_tables batch for the name service; empty for none.
    public var nameServiceRules: [UInt8]
    /// Port of the name service on 127.0.0.11.
    public var nameServicePort: UInt16
    /// True when links come from outside and must be waited for.
    public var awaitsLinks: Bool
    /// In the order of their descriptors, which come after the cgroup's.
    public var joins: [NamespaceJoin]
    /// After the joins' one descriptor more is given: the tree that becomes /dev/shm.
    public var sharesMemory: Bool
    /// Beside the usual ones.
    public var devices: [DeviceNode]
    /// Of its terminal, where it has one.
    public var rows = 24
    public var columns = 80

    public init(lowers: [String], upper: String, work: String, mountPoint: String) {
        self.lowers = lowers
        self.upper = upper
        self.work = work
        self.mountPoint = mountPoint
        overlayOptions = []
        mounts = []
        identity = .root
        hostname = ""
        environment = []
        seccomp = []
        capabilities = 0
        cgroupTaskFiles = []
        links = []
        nameServiceRules = []
        nameServicePort = 0
        awaitsLinks = false
        joins = []
        sharesMemory = false
        devices = []
    }
}

/// Tags on a launch's sync socket.
public enum LaunchTag {
    /// Down: the links are there.
    public static let linksReady: Int32 = 1
    /// Up: the name service's sockets, udp then tcp.
    public static let nameServiceSockets: Int32 = 2
    /// Up: the terminal's master.
    public static let terminal: Int32 = 3
}
