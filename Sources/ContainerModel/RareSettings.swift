// SPDX-License-Identifier: Apache-2.0
//
// What few containers ask for. It stands apart so that the others' requests stay short: on the socket, in project.json
// and in the configuration hash. Parts of them that are values of their own are in HostAccess.swift.

public import Basics

/// Settings most containers leave alone.
public struct RareSettings: Hashable, Codable, Sendable {
    /// From -1000 to 1000; proc_pid_oom_score_adj(5).
    public var oomScoreAdjustment: Int?
    /// Supplementary groups by the image's names or by number.
    public var groups: [String] = []
    /// NIS domain name, and the part of the full host name after its first dot.
    public var domainName: String?
    /// resolv.conf's `search` in place of the host's; `.` alone is none.
    public var dnsSearch: [String] = []
    /// resolv.conf's `options` in place of the host's.
    public var dnsOptions: [String] = []
    /// The host's namespaces the container stays in.
    public var hostNamespaces: Set<Namespace> = []
    /// Other containers' namespaces it is put into.
    public var joined: [JoinedNamespace] = []
    /// No /dev/shm.
    public var withoutSharedMemory = false
    /// All capabilities and devices, no filter, nothing hidden or read-only of the kernel's file systems.
    public var privileged = false
    /// Of the host.
    public var devices: [DeviceGrant] = []
    public var deviceRules: [DeviceRule] = []
    /// A profile's JSON in place of the usual one.
    public var seccompProfile: String?
    /// Of AppArmor, loaded on the host.
    public var appArmorProfile: String?
    /// A whole context of SELinux, `user:role:type:level`.
    public var seLinuxContext: String?
    /// Nothing of /proc and /sys is hidden or read-only.
    public var systemPathsVisible = false
    /// Other containers whose volumes and bind mounts it has as well, where nothing of its own is mounted.
    public var volumesFrom: [VolumesFrom] = []
    /// For people and tools to read; nothing is done about them.
    public var annotations: [String: String] = [:]

    /// Names of its own for others, as it alone calls them: alias to service.
    public var links: [String: String] = [:]
    /// Names of its own for containers of other projects on networks it shares with them: alias to container.
    public var externalLinks: [String: String]?
    /// The cgroup its own is made in: below the project's, or with a leading slash anywhere.
    public var cgroupParent: String?
    /// Bytes it may write beside its volumes; nil is no bound of its own.
    public var storageSize: ByteSize?
    /// nil: output is kept as everybody's.
    public var logging: Logging?

    /// What is kept of the output, for each of the two streams.
    public struct Logging: Hashable, Codable, Sendable {
        /// Bytes of one file; nil for the usual.
        public var fileSize: Int64?
        /// Files that are kept; 0 keeps nothing at all, nil is the usual.
        public var files: Int?
        /// nil: kept in files alone.
        public var forwarding: LogForwarding?
        public init(fileSize: Int64? = nil, files: Int? = nil) {
            self.fileSize = fileSize
            self.files = files
        }
    }

    public enum Namespace: String, Hashable, Codable, Sendable, CaseIterable {
        case cgroup, uts, ipc, network, pid
    }

    public init() {}

    /// Nothing is asked for.
    public var isEmpty: Bool { self == RareSettings() }
}
