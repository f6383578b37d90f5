// SPDX-License-Identifier: Apache-2.0

/// One entry of a tar archive. Paths are bytes: Linux's names have no encoding, and a repaired name is another name.
public struct TarEntry: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case file, directory, symlink, hardlink, characterDevice, blockDevice, fifo
    }

    public var kind: Kind
    /// As the archive says it: may be absolute, hold `..`, end in `/`.
    public var path: [UInt8]
    /// A link's target.
    public var link: [UInt8] = []
    /// Permission bits, set-id and sticky included.
    public var mode: UInt32
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    /// Bytes of body that follow; zero but for files.
    public var size: Int64 = 0
    /// Seconds and nanoseconds since the epoch.
    public var modified: Int64 = 0
    public var modifiedNanoseconds: Int = 0
    public var deviceMajor: UInt32 = 0
    public var deviceMinor: UInt32 = 0
    public var xattrs: [Attribute] = []

    public struct Attribute: Hashable, Sendable {
        public var name: String
        public var value: [UInt8]
        public init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    public init(_ kind: Kind, _ path: String, mode: UInt32 = 0o644) {
        self.kind = kind
        self.path = Array(path.utf8)
        self.mode = mode
    }

    init(_ kind: Kind, path: [UInt8], mode: UInt32) {
        self.kind = kind
        self.path = path
        self.mode = mode
    }

    /// The path for messages and for names known to be text.
    public var pathText: String { String(decoding: path, as: UTF8.self) }
}

/// A path within an archive, taken apart.
enum TarPath {
    /// The path without leading `/` and `./`, empty components and trailing slash; empty for the top itself.
    /// Nil when a component is `..` or holds a NUL: such an entry is refused rather than bent.
    static func normalised(_ path: [UInt8]) -> [UInt8]? {
        if isNormal(path) { return path }
        var result: [UInt8] = []
        for component in path.split(separator: UInt8(ascii: "/")) {
            if component.elementsEqual([UInt8(ascii: ".")]) { continue }
            if component.elementsEqual([UInt8(ascii: "."), UInt8(ascii: ".")]) || component.contains(0) {
                return nil
            }
            if !result.isEmpty { result.append(UInt8(ascii: "/")) }
            result += component
        }
        return result
    }

    /// The common case, seen in one pass: no component begins with a dot, none is empty.
    private static func isNormal(_ path: [UInt8]) -> Bool {
        var atStart = true
        for byte in path {
            if byte == 0 || atStart && (byte == UInt8(ascii: ".") || byte == UInt8(ascii: "/")) {
                return false
            }
            atStart = byte == UInt8(ascii: "/")
        }
        return !atStart
    }

    /// The directory part and the last component; the directory is empty at the top.
    static func split(_ path: [UInt8]) -> (parent: [UInt8], name: ArraySlice<UInt8>) {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return ([], path[...]) }
        return (Array(path[..<slash]), path[(slash + 1)...])
    }

    /// For a call that takes a C string.
    static func cString(_ bytes: some Collection<UInt8>) -> [CChar] {
        var result: [CChar] = []
        result.reserveCapacity(bytes.count + 1)
        for byte in bytes { result.append(CChar(bitPattern: byte)) }
        result.append(0)
        return result
    }
}
