// SPDX-License-Identifier: Apache-2.0
//
// Lines of /proc/PID/mountinfo as values (proc_pid_mountinfo(5)). What they mean for cgroups is Cgroups'.

/// One mount.
public struct MountEntry: Hashable, Sendable {
    public let id: Int
    /// Of the mount it lies on; of the topmost one the reader sees it may be anything.
    public let parent: Int
    /// What of its file system is mounted: `/` is all of it.
    public let root: String
    /// Where, as seen from the reader's root.
    public let point: String
    /// The optional fields, `shared:7`.
    public let tags: [String]
    public let type: String
    /// Of the file system itself.
    public let options: [String]

    /// nil for a line that is none.
    public init?(_ line: ArraySlice<UInt8>) {
        // A source may be empty: two blanks.
        let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard fields.count > 6, let dash = fields.dropFirst(6).firstIndex(of: [UInt8(ascii: "-")]),
            fields.count > dash + 3, let id = Int(String(decoding: fields[0], as: UTF8.self)),
            let parent = Int(String(decoding: fields[1], as: UTF8.self))
        else { return nil }
        self.id = id
        self.parent = parent
        func text(_ field: ArraySlice<UInt8>) -> String { String(decoding: field, as: UTF8.self) }
        root = unescapedMountField(fields[3])
        point = unescapedMountField(fields[4])
        tags = fields[6..<dash].map(text)
        type = text(fields[dash + 1])
        options = fields[dash + 3].split(separator: UInt8(ascii: ",")).map(text)
    }

    /// All mounts a mountinfo tells of, in its order.
    public static func all(in text: [UInt8]) -> [MountEntry] {
        text.split(separator: UInt8(ascii: "\n")).compactMap(MountEntry.init)
    }

    /// Where of these mounts one can be reached by its name: none lies beneath it on the way there that was made later.
    public static func reachablePoints(_ entries: [MountEntry]) -> Set<String> {
        let byParent = Dictionary(grouping: entries, by: \.parent)
        let byID = Dictionary(entries.map { ($0.id, $0) }) { first, _ in first }
        func isReachable(_ entry: MountEntry, depth: Int) -> Bool {
            // On the same mount as it, at a directory above its own. What lies over the reader's root is not seen: a walk
            // begins beneath it (path_resolution(7)).
            let hidesIt = byParent[entry.parent, default: []].contains { other in
                other.point != "/" && entry.point != other.point && entry.isBelow(other.point)
            }
            if hidesIt { return false }
            guard let parent = byID[entry.parent], parent.id != entry.id, depth < entries.count else {
                return true
            }
            return isReachable(parent, depth: depth + 1)
        }
        return Set(entries.filter { isReachable($0, depth: 0) }.map(\.point))
    }

    /// True for what lies in or below `directory`.
    public func isBelow(_ directory: String) -> Bool {
        directory == "/" || point == directory || point.hasPrefix(directory + "/")
    }
}

/// Undoes mountinfo's octal escapes of blanks and backslashes.
public func unescapedMountField(_ field: ArraySlice<UInt8>) -> String {
    guard field.contains(UInt8(ascii: "\\")) else { return String(decoding: field, as: UTF8.self) }
    var bytes: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "\\"), rest.count >= 3,
            let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
        {
            bytes.append(code)
            rest = rest.dropFirst(3)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
