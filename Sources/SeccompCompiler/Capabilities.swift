// SPDX-License-Identifier: Apache-2.0
//
// Capabilities by name and number (capabilities(7), linux/capability.h) and Docker's rules for cap_add and
// cap_drop. Here because seccomp rules are gated by capabilities; setting them is the launch program's.

public import Basics

/// One capability; the raw value is the kernel's number. CAP_CHECKPOINT_RESTORE is the newest (Linux 5.9).
public enum Capability: UInt8, CaseIterable, Sendable {
    case chown, dacOverride, dacReadSearch, fowner, fsetid, kill, setgid, setuid, setpcap, linuxImmutable
    case netBindService, netBroadcast, netAdmin, netRaw, ipcLock, ipcOwner, sysModule, sysRawio, sysChroot
    case sysPtrace, sysPacct, sysAdmin, sysBoot, sysNice, sysResource, sysTime, sysTtyConfig, mknod, lease
    case auditWrite, auditControl, setfcap, macOverride, macAdmin, syslog, wakeAlarm, blockSuspend, auditRead
    case perfmon, bpf, checkpointRestore

    /// The name without `CAP_`, as Compose files have it: `NET_ADMIN`.
    public var name: String { Self.names[Int(rawValue)] }

    /// Reads a name in any case, with or without `CAP_`, as Docker does; nil when there is none such.
    public init?(name: String) {
        var upper = name.uppercased()
        if upper.hasPrefix("CAP_") { upper.removeFirst(4) }
        guard let number = Self.names.firstIndex(of: upper) else { return nil }
        self.init(rawValue: UInt8(number))
    }

    private static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK",
        "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
        "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
        "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND",
        "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    ]
}

/// A set of capabilities; bit n of the raw value is capability number n, as in /proc/PID/status.
public struct CapabilitySet: OptionSet, Hashable, Sendable {
    public var rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public init(_ capabilities: Capability...) {
        rawValue = capabilities.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
    }

    public func contains(_ capability: Capability) -> Bool {
        rawValue & 1 << UInt64(capability.rawValue) != 0
    }

    /// All 41 known here; mask with the bounding set for what the kernel has.
    public static let all = CapabilitySet(rawValue: 1 << UInt64(Capability.allCases.count) - 1)

    /// The 14 Docker gives (moby daemon/pkg/oci/caps/defaults.go): permitted, effective and bounding.
    /// Inheritable and ambient stay empty (CVE-2022-24769).
    public static let dockerDefault = CapabilitySet(
        .chown, .dacOverride, .fsetid, .fowner, .mknod, .netRaw, .setgid, .setuid, .setfcap, .setpcap,
        .netBindService, .sysChroot, .kill, .auditWrite)
}

/// What a container gets from `cap_add` and `cap_drop`, as Docker resolves them.
///
/// `ALL` in `add` gives all but the named drops; `ALL` in `drop` leaves what `add` names; otherwise drops leave
/// the default set first and adds come after, so an add wins over a drop (moby caps/utils.go).
/// - Parameter bounding: a limit, usually the caller's own bounding set; what is beyond it is left out.
/// - Throws: a failure naming an unknown capability, with the nearest known one.
public func resolveCapabilities(
    add: [String], drop: [String], bounding: CapabilitySet = .all
) throws(Failure) -> CapabilitySet {
    let (added, addsAll) = try capabilities(named: add, in: "cap_add")
    let (dropped, dropsAll) = try capabilities(named: drop, in: "cap_drop")
    let result: CapabilitySet =
        if addsAll {
            .all.subtracting(dropped)
        } else if dropsAll {
            added
        } else {
            .dockerDefault.subtracting(dropped).union(added)
        }
    return result.intersection(bounding)
}

private func capabilities(named names: [String], in field: String) throws(Failure) -> (CapabilitySet, Bool) {
    var set = CapabilitySet()
    var all = false
    for name in names {
        if let capability = Capability(name: name) {
            set.formUnion(CapabilitySet(capability))
        } else if name.uppercased() == "ALL" || name.uppercased() == "CAP_ALL" {
            all = true
        } else {
            throw unknownCapability(name, in: field)
        }
    }
    return (set, all)
}

private func unknownCapability(_ name: String, in field: String) -> Failure {
    var bare = name.uppercased()
    if bare.hasPrefix("CAP_") { bare.removeFirst(4) }
    let near = nearest(to: bare, among: Capability.allCases.map(\.name) + ["ALL"])
    return Failure(
        "\(field) names \"\(name)\"", cause: "there is no such capability",
        advice: near.map { "did you mean \"\($0)\"?" } ?? "see capabilities(7) for the names")
}
