// SPDX-License-Identifier: Apache-2.0
//
// A bundle's mount options (config.md, "Linux mount options"): which of them are attributes of the mount, which are
// propagation, which are the runtime's own, and which are the file system's.

/// Options of one mount, sorted by who understands them.
public struct MountOptions: Hashable, Sendable {
    public enum IDMap: Hashable, Sendable { case plain, recursive }

    public struct Datum: Hashable, Sendable {
        public var key: String
        /// Empty for a flag.
        public var value: String
    }

    /// `bind`, or `rbind`.
    public var bind = false
    public var recursive = false
    public var remount = false
    /// MOUNT_ATTR_* to set and to clear on the mount alone, and on it with all beneath it.
    public var set: UInt64 = 0
    public var clear: UInt64 = 0
    public var setBeneath: UInt64 = 0
    public var clearBeneath: UInt64 = 0
    /// MS_SHARED and its like, in order; MS_REC with them.
    public var propagation: [UInt64] = []
    public var copyUp = false
    public var idMap: IDMap?
    /// For the file system: `size=64k`.
    public var data: [Datum] = []

    public init(_ options: [String]) {
        for option in options { apply(option) }
    }

    private mutating func apply(_ option: String) {
        switch option {
        case "bind": bind = true
        case "rbind":
            bind = true
            recursive = true
        case "remount": remount = true
        case "tmpcopyup": copyUp = true
        case "idmap": idMap = .plain
        case "ridmap": idMap = .recursive
        case "defaults", "", "loud", "silent", "norelatime", "nostrictatime", "noiversion", "iversion": break
        default:
            if let flags = Self.propagations.first(where: { $0.name == option })?.flags {
                propagation.append(flags)
            } else if let change = Self.attribute(option) {
                set = set & ~change.clear | change.set
                clear |= change.clear
            } else if option.utf8.first == UInt8(ascii: "r"),
                let change = Self.attribute(String(option.dropFirst()))
            {
                setBeneath = setBeneath & ~change.clear | change.set
                clearBeneath |= change.clear
            } else {
                let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                data.append(
                    Datum(key: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : ""))
            }
        }
    }

    /// Words among `data` that nobody knows where there is no file system to know them: on a bind.
    public var unknown: [String] {
        data.filter { !Self.superblockWords.contains($0.key) }.map {
            $0.value.isEmpty ? $0.key : "\($0.key)=\($0.value)"
        }
    }

    /// Of the whole file system: on a bind they change nothing (mount(2), "Creating a bind mount").
    private static let superblockWords = [
        "sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand",
    ]

    /// Every option that is not a file system's own; for `features`.
    public static var known: [String] {
        let own = [
            "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", "defaults", "loud", "silent",
            "norelatime", "nostrictatime", "iversion", "noiversion", "sync", "async", "dirsync", "lazytime",
            "nolazytime", "mand", "nomand",
        ]
        let changes = attributes.map(\.name)
        return (own + propagations.map(\.name) + changes + changes.map { "r\($0)" }).sorted()
    }

    /// MS_* of mount(2); MS_REC is 0x4000.
    private static let propagations: [(name: String, flags: UInt64)] = [
        ("private", 1 << 18), ("rprivate", 1 << 18 | 0x4000), ("shared", 1 << 20),
        ("rshared", 1 << 20 | 0x4000), ("slave", 1 << 19), ("rslave", 1 << 19 | 0x4000),
        ("unbindable", 1 << 17), ("runbindable", 1 << 17 | 0x4000),
    ]

    /// MOUNT_ATTR_* of mount_setattr(2); the access time's three values share 0x70.
    private static let attributes: [(name: String, set: UInt64, clear: UInt64)] = [
        ("ro", 1, 0), ("rw", 0, 1), ("nosuid", 2, 0), ("suid", 0, 2), ("nodev", 4, 0), ("dev", 0, 4),
        ("noexec", 8, 0), ("exec", 0, 8), ("noatime", 0x10, 0x70), ("atime", 0, 0x70),
        ("strictatime", 0x20, 0x70), ("relatime", 0, 0x70), ("nodiratime", 0x80, 0), ("diratime", 0, 0x80),
        ("nosymfollow", 0x20_0000, 0), ("symfollow", 0, 0x20_0000),
    ]

    private static func attribute(_ name: String) -> (set: UInt64, clear: UInt64)? {
        for known in attributes where known.name == name { return (known.set, known.clear) }
        return nil
    }
}

/// MS_PRIVATE and its like by the names `linux.rootfsPropagation` has.
public func propagationFlag(named name: String) -> UInt64? {
    MountOptions([name.hasPrefix("r") ? name : "r\(name)"]).propagation.first
}
