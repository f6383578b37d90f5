// SPDX-License-Identifier: Apache-2.0
//
// Names with a grammar of their own: resources, hosts, addresses, signals, capabilities, resource limits.

internal import Basics

/// Keys of services, networks, volumes, configs and secrets: `[a-zA-Z0-9._-]+` (Compose schema).
func isResourceName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2e || $0 == 0x5f || $0 == 0x2d }
}

/// Container names and profiles: `[a-zA-Z0-9][a-zA-Z0-9_.-]+` (Compose schema).
func isContainerName(_ name: String) -> Bool {
    isResourceName(name) && name.utf8.count > 1 && name.utf8.first.map(isAlphanumeric) == true
}

/// A host's name by RFC 1123, section 2.1.
func isHostName(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= 253 else { return false }
    return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        !label.isEmpty && label.utf8.count <= 63 && label.utf8.first != 0x2d && label.utf8.last != 0x2d
            && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2d || $0 == 0x5f }
    }
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
}

/// An IPv4 address as a number, nil for any other text.
func ipv4(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
        guard !part.isEmpty, part.utf8.count <= 3, part.utf8.allSatisfy({ (48...57).contains($0) }),
            let octet = UInt8(part)
        else { return nil }
        address = address << 8 | UInt32(octet)
    }
    return address
}

/// Whether a text is an IPv6 address.
func isIPv6(_ text: some StringProtocol) -> Bool { IPv6Address(text) != nil }

/// An IPv4 subnet `a.b.c.d/n`.
struct Subnet4 {
    let address: UInt32
    let length: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = ipv4(parts[0]), let length = digits(parts[1], as: Int.self),
            (0...32).contains(length), parts[1].utf8.count <= 2
        else { return nil }
        self.address = address
        self.length = length
    }

    private var mask: UInt32 { length == 0 ? 0 : ~UInt32(0) << UInt32(32 - length) }

    /// Whether no bit stands beyond the prefix.
    var isExact: Bool { address & mask == address }

    func contains(_ other: UInt32) -> Bool { other & mask == address & mask }

    /// The subnet with the bits beyond its prefix cleared.
    var exact: String {
        let a = address & mask
        return "\(a >> 24).\(a >> 16 & 255).\(a >> 8 & 255).\(a & 255)/\(length)"
    }
}

/// Linux's signals by number from 1 (signal(7), x86 and ARM).
private let signals = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "IO", "PWR", "SYS",
]

let signalNames = signals.map { "SIG" + $0 }

/// A signal's name, `SIGTERM` or `SIGRTMIN+3`, from its name or number; nil when there is none such.
func signalName(_ text: String) -> String? {
    if let number = digits(text, as: Int.self) {
        if (1...31).contains(number) { return signalNames[number - 1] }
        // glibc keeps 32 and 33 for itself (nptl(7)); SIGRTMIN is 34.
        return (34...64).contains(number) ? (number == 34 ? "SIGRTMIN" : "SIGRTMIN+\(number - 34)") : nil
    }
    var name = text.uppercased()
    if name.hasPrefix("SIG") { name.removeFirst(3) }
    let synonyms = ["IOT": "ABRT", "CLD": "CHLD", "POLL": "IO"]
    if signals.contains(synonyms[name] ?? name) { return "SIG" + (synonyms[name] ?? name) }
    if name == "RTMIN" || name == "RTMAX" { return "SIG" + name }
    for (prefix, sign) in [("RTMIN", Character("+")), ("RTMAX", Character("-"))] where name.hasPrefix(prefix)
    {
        let rest = name.dropFirst(prefix.count)
        if rest.first == sign, let offset = digits(rest.dropFirst(), as: Int.self), (0...30).contains(offset)
        {
            return "SIG" + name
        }
    }
    return nil
}

/// Linux's capabilities (capabilities(7)), without `CAP_`.
let capabilityNames = [
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
    "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN",
    "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM", "ALL",
]

/// Resources of setrlimit(2), as Compose writes them.
let limitNames = [
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
    "rtprio", "rttime", "sigpending", "stack",
]

/// A project's name from any text: lower case, `[a-z0-9_-]`, beginning with a letter or digit
/// (compose-go, loader/loader.go, NormalizeProjectName).
func normalizedProjectName(_ text: String) -> String {
    let kept = text.lowercased().utf8.filter {
        (48...57).contains($0) || (97...122).contains($0) || $0 == 0x5f || $0 == 0x2d
    }
    return String(decoding: kept.drop { $0 == 0x5f || $0 == 0x2d }, as: UTF8.self)
}
