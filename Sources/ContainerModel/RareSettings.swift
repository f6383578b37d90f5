// SPDX-License-Identifier: Apache-2.0
//
// What few containers ask for. It stands apart so that the others' requests stay short: on the socket, in project.json
// and in the configuration hash.

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
    public var hostNamespaces: Set<HostNamespace> = []

    /// Names of its own for others, as it alone calls them: alias to service.
    public var links: [String: String] = [:]
    /// nil: output is kept as everybody's.
    public var logging: Logging?

    /// What is kept of the output, for each of the two streams.
    public struct Logging: Hashable, Codable, Sendable {
        /// Bytes of one file; nil for the usual.
        public var fileSize: Int64?
        /// Files that are kept; 0 keeps nothing at all, nil is the usual.
        public var files: Int?
        public init(fileSize: Int64? = nil, files: Int? = nil) {
            self.fileSize = fileSize
            self.files = files
        }
    }

    public enum HostNamespace: String, Hashable, Codable, Sendable, CaseIterable {
        case cgroup, uts
    }

    public init() {}

    /// Nothing is asked for.
    public var isEmpty: Bool { self == RareSettings() }
}
