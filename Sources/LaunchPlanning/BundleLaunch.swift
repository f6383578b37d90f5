// SPDX-License-Identifier: Apache-2.0
//
// What a bundle's launch program is made from: its configuration, and what the runtime prepared and found out. The
// program itself is BundleProgram's.

public import OCIFormats

/// Capabilities by bit, one set for each of the kernel's.
public struct CapabilitySets: Hashable, Sendable {
    public var bounding: UInt64 = 0
    public var effective: UInt64 = 0
    public var permitted: UInt64 = 0
    public var inheritable: UInt64 = 0
    public var ambient: UInt64 = 0

    public init() {}
}

/// A compiled seccomp filter and how it is loaded.
public struct LoadedFilter: Hashable, Sendable {
    /// Empty for none.
    public var program: [UInt8] = []
    /// SECCOMP_FILTER_FLAG_*.
    public var flags: UInt64 = 0
    /// Its listener is fetched by the one who launches.
    public var listens = false
    /// It lets execveat(2) through, by which the stub is executed.
    public var allowsExecveat = true

    public init() {}
}

/// One of a bundle's mounts, with its source at hand.
public struct BundleMount: Sendable {
    public enum Source: Sendable {
        /// A path on the host.
        case path(String, isDirectory: Bool)
        /// A mount that is attached nowhere yet, in a given slot.
        case given(String, isDirectory: Bool)
        case fileSystem(String, source: String, data: [(key: String, value: String)])
        /// What is mounted there already gets the attributes.
        case existing
        /// A symbolic link, for the names of cgroup v1's joint controllers.
        case link(to: String)
    }
    public var source: Source
    /// Absolute in the container.
    public var target: String
    public var options: MountOptions
    /// For messages: `/etc/hosts`.
    public var title: String

    public init(source: Source, target: String, options: MountOptions, title: String) {
        self.source = source
        self.target = target
        self.options = options
        self.title = title
    }
}

extension [BundleMount] {
    /// The mount that is seen at an absolute path once these are there: the last that lies on it or above it.
    public func covering(_ path: String) -> BundleMount? {
        let slash = UInt8(ascii: "/")
        return last { mount in
            switch mount.source {
            case .existing, .link: false
            case .path, .given, .fileSystem:
                path.utf8.starts(with: mount.target.utf8)
                    && path.utf8.dropFirst(mount.target.utf8.count).first ?? slash == slash
            }
        }
    }

    /// /dev is a directory of the host's: complete, and nothing in it is ours to make or to change.
    public var hasForeignDev: Bool {
        covering("/dev").map { $0.target == "/dev" && $0.options.bind } ?? false
    }
}

/// A process's settings as the child applies them, for the first process and for an exec.
public struct BundleProcess: Sendable {
    public var process: RuntimeConfig.Process
    public var capabilities = CapabilitySets()
    public var filter = LoadedFilter()
    /// Descriptors from 3 on that the program keeps.
    public var preserved = 0
    public var personality: UInt64?
    /// Processors, as a mask for sched_setaffinity(2).
    public var affinity: [UInt8] = []
    /// struct sched_attr of sched_setattr(2).
    public var scheduler: [UInt8] = []
    public var ioPriority: UInt64?
    /// The runtime's own supplementary groups stay (annotation run.oci.keep_original_groups, which Podman sets).
    public var keepsGroups = false

    public init(_ process: RuntimeConfig.Process) { self.process = process }

    /// Without no_new_privs a filter is loaded while CAP_SYS_ADMIN is still there (seccomp(2)).
    var isFilteredEarly: Bool { !process.noNewPrivileges && !filter.program.isEmpty }
}

/// How a root is entered that is moved over `/`: all mounts there were stay beneath it.
public struct MovedRoot: Sendable {
    /// Mount points of the host's procfs and sysfs. By one that stays in full sight of the kernel, a user namespace made
    /// in the container could mount another without masks.
    public var unmounted: [String]

    public init(unmounted: [String]) { self.unmounted = unmounted }
}

/// All of a bundle's launch.
public struct BundleLaunch: Sendable {
    public var id: String
    public var config: RuntimeConfig
    public var process: BundleProcess?
    /// Absolute, on the host.
    public var root: String
    public var mounts: [BundleMount] = []
    /// What becomes read-only once all else lies in it.
    public var lateMounts: [BundleMount] = []
    /// Paths of devices that are among the mounts: in a user namespace none can be made.
    public var mountedDevices: Set<String> = []
    /// v1 `tasks` files the child writes itself into.
    public var cgroupTaskFiles: [String] = []
    /// Cloned into the v2 directory of the slot "cgroup".
    public var intoCgroup = false
    /// The user namespace of the slot "userns" is joined before the others are made.
    public var joinsUser = false
    /// And the pid namespace of the slot "pidns".
    public var joinsPid = false
    /// The root's tree comes in the slot "root": for a child that has no right to walk to it, or attached already where
    /// the mount namespace is the launcher's.
    public var rootIsGiven = false
    public var waitsForStart = false
    /// createRuntime and prestart hooks run before the root is entered.
    public var awaitsHooks = false
    /// The root is moved over `/` instead of pivoted to; nil where it is pivoted.
    public var movedRoot: MovedRoot?
    public var sessionKeyring = true
    /// The runtime's own, for hooks that say nothing of theirs.
    public var environment: [String] = []
    /// Where a profile's name is written, `/proc/self/attr/apparmor/exec`.
    public var labelFile: String?
    public var label: String?

    public init(id: String, config: RuntimeConfig, root: String) {
        self.id = id
        self.config = config
        self.root = root
    }

    /// Names of the descriptors the program is given, in slot order.
    public var givenSlots: [String] {
        var names = ["sync"]
        if intoCgroup { names.append("cgroup") }
        if joinsUser { names.append("userns") }
        if joinsPid { names.append("pidns") }
        if rootIsGiven { names.append("root") }
        if waitsForStart { names.append("fifo") }
        if !config.hooks.createContainer.isEmpty { names.append("state") }
        if !config.hooks.startContainer.isEmpty { names.append("start-state") }
        for mount in mounts {
            if case .given(let name, _) = mount.source { names.append(name) }
        }
        return names
    }

    /// Some mount is to share what is mounted in it with the host's.
    var asksForPropagation: Bool {
        config.linux.rootfsPropagation != nil || mounts.contains { !$0.options.propagation.isEmpty }
    }

    /// The mount namespace is the launcher's: nothing of it but what lies in the root is the child's to change.
    public var sharesMounts: Bool { !has(.mount) }

    func isNew(_ kind: RuntimeConfig.NamespaceKind) -> Bool {
        config.linux.namespaces.contains { $0.kind == kind && $0.path == nil }
    }

    func has(_ kind: RuntimeConfig.NamespaceKind) -> Bool {
        config.linux.namespaces.contains { $0.kind == kind }
    }
}

/// More tags on the sync socket.
extension LaunchTag {
    /// Down: the identity maps are written.
    public static let mapsWritten: Int32 = 10
    /// Up: namespaces and mounts are there, the root is not entered yet.
    public static let beforeRoot: Int32 = 11
    /// Down: the hooks of the runtime ran.
    public static let hooksRan: Int32 = 12
    /// Up: only the program itself is left to run.
    public static let ready: Int32 = 13
    /// Both ways: the filter's listener is there, and was fetched.
    public static let listener: Int32 = 14
}
