// SPDX-License-Identifier: Apache-2.0
//
// The OCI runtime specification's config.json (config.md and config-linux.md, version 1.3) as values. Only what Linux
// has: other platforms' sections are passed over. Reading is RuntimeConfigReading's, resources are RuntimeResources'.

/// A bundle's configuration.
public struct RuntimeConfig: Sendable {
    public var ociVersion: String
    public var process: Process?
    public var root: Root?
    public var hostname: String?
    public var domainname: String?
    public var mounts: [Mount] = []
    public var hooks = Hooks()
    public var annotations: [StringPair] = []
    public var linux = Linux()

    public struct StringPair: Hashable, Sendable {
        public var name: String
        public var value: String
    }

    public struct Root: Hashable, Sendable {
        public var path: String
        public var readonly: Bool
    }

    public struct Process: Sendable {
        public var arguments: [String] = []
        public var environment: [String] = []
        public var workingDirectory: String
        public var terminal = false
        public var consoleSize: (height: UInt64, width: UInt64)?
        public var user = User()
        /// nil: the configuration says nothing of capabilities.
        public var capabilities: Capabilities?
        public var rlimits: [ResourceLimit] = []
        public var noNewPrivileges = false
        public var oomScoreAdjustment: Int?
        public var apparmorProfile: String?
        public var selinuxLabel: String?
        public var scheduler: Scheduler?
        public var ioPriority: IOPriority?
        public var execAffinity: ExecAffinity?
    }

    public struct User: Hashable, Sendable {
        public var uid: UInt32 = 0
        public var gid: UInt32 = 0
        public var umask: UInt32?
        public var additionalGroups: [UInt32] = []

        public init() {}
    }

    /// Names as the file has them; those the kernel doesn't know are the reader's user's affair.
    public struct Capabilities: Hashable, Sendable {
        public var bounding: [String] = []
        public var effective: [String] = []
        public var permitted: [String] = []
        public var inheritable: [String] = []
        public var ambient: [String] = []

        public init() {}
    }

    public struct ResourceLimit: Hashable, Sendable {
        /// `RLIMIT_NOFILE`.
        public var type: String
        public var soft: UInt64
        public var hard: UInt64
    }

    public struct Scheduler: Hashable, Sendable {
        public var policy: String
        public var nice: Int32
        public var priority: Int32
        public var flags: [String]
        public var runtime: UInt64
        public var deadline: UInt64
        public var period: UInt64
    }

    public struct IOPriority: Hashable, Sendable {
        public var priorityClass: String
        public var priority: Int32
    }

    /// Lists of processors as cpuset(7) writes them.
    public struct ExecAffinity: Hashable, Sendable {
        public var initial: String?
        public var final: String?
    }

    public struct IDMapping: Hashable, Sendable {
        public var containerID: UInt32
        public var hostID: UInt32
        public var size: UInt32
    }

    public struct Mount: Hashable, Sendable {
        public var destination: String
        public var type: String?
        public var source: String?
        public var options: [String]
        public var uidMappings: [IDMapping]
        public var gidMappings: [IDMapping]

        public init(
            destination: String, type: String?, source: String?, options: [String],
            uidMappings: [IDMapping] = [], gidMappings: [IDMapping] = []
        ) {
            self.destination = destination
            self.type = type
            self.source = source
            self.options = options
            self.uidMappings = uidMappings
            self.gidMappings = gidMappings
        }
    }

    public struct Hook: Hashable, Sendable {
        public var path: String
        public var arguments: [String]
        /// nil: the runtime's own, as execv(3) would have it.
        public var environment: [String]?
        /// Seconds; nil waits for ever.
        public var timeout: Int?
    }

    public struct Hooks: Hashable, Sendable {
        public var prestart: [Hook] = []
        public var createRuntime: [Hook] = []
        public var createContainer: [Hook] = []
        public var startContainer: [Hook] = []
        public var poststart: [Hook] = []
        public var poststop: [Hook] = []

        public init() {}
    }

    public struct Linux: Sendable {
        public var namespaces: [Namespace] = []
        public var uidMappings: [IDMapping] = []
        public var gidMappings: [IDMapping] = []
        public var timeOffsets: [TimeOffset] = []
        public var devices: [Device] = []
        public var cgroupsPath: String?
        public var resources: RuntimeResources?
        public var rootfsPropagation: String?
        public var seccomp: Seccomp?
        public var sysctl: [StringPair] = []
        public var maskedPaths: [String] = []
        public var readonlyPaths: [String] = []
        public var mountLabel: String?
        public var personality: Personality?
        /// Fields that are there and that this runtime has no means for, by name.
        public var unsupported: [String] = []
    }

    public enum NamespaceKind: String, CaseIterable, Sendable {
        case mount, pid, network, uts, ipc, user, cgroup, time
    }

    public struct Namespace: Hashable, Sendable {
        public var kind: NamespaceKind
        /// nil: a new one.
        public var path: String?
    }

    public struct TimeOffset: Hashable, Sendable {
        /// `monotonic` or `boottime`.
        public var clock: String
        public var seconds: Int64
        public var nanoseconds: UInt32
    }

    public struct Device: Hashable, Sendable {
        /// `c`, `b`, `u` or `p`.
        public var type: String
        public var path: String
        public var major: Int64
        public var minor: Int64
        public var fileMode: UInt32?
        public var uid: UInt32?
        public var gid: UInt32?
    }

    public struct Personality: Hashable, Sendable {
        /// `LINUX` or `LINUX32`.
        public var domain: String
        public var flags: [String]
    }

    public struct Seccomp: Hashable, Sendable {
        public var defaultAction: String
        public var defaultErrno: UInt32?
        public var architectures: [String]
        public var flags: [String]
        public var listenerPath: String?
        public var listenerMetadata: String?
        public var syscalls: [SeccompCall]
    }

    public struct SeccompCall: Hashable, Sendable {
        public var names: [String]
        public var action: String
        public var errno: UInt32?
        public var arguments: [SeccompArgument]
    }

    public struct SeccompArgument: Hashable, Sendable {
        public var index: UInt32
        public var value: UInt64
        public var valueTwo: UInt64
        public var comparison: String
    }
}

/// A configuration that is not what the specification's schema wants.
public struct RuntimeConfigError: Error, Hashable, Sendable, CustomStringConvertible {
    /// `linux.resources.memory.limit`.
    public var field: String
    public var problem: String

    public var description: String { field.isEmpty ? problem : "\(field): \(problem)" }
}
