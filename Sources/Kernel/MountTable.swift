// SPDX-License-Identifier: Apache-2.0
//
// Lines of /proc/PID/mountinfo as values (proc_pid_mountinfo(5)). What they mean for cgroups is Cgroups'.

/// One mount.
public struct MountEntry: Hashable, Sendable {
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
            fields.count > dash + 3
        else { return nil }
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

    /// True for what lies in or below `directory`.
    public func isBelow(_ directory: String) -> Bool {
        directory == "/" || point == directory || point.hasPrefix(directory + "/")
    }
}

/// Undoes mountinfo's octal escapes of blanks and backslashes.
public func unescapedMountField(_ field: ArraySlice<UInt8>) -> String {
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
