// SPDX-License-Identifier: Apache-2.0
//
// A stack of directories read as overlayfs would merge them (Documentation/filesystems/overlayfs.rst), without a
// mount: whiteouts are character devices 0:0, opaque directories carry trusted.overlay.opaque=y. Links are resolved
// within the merged tree, `..` stops at its top. Names are C strings: a file name has no encoding.

public import CLinux

/// A NUL-terminated name.
public typealias CName = [CChar]

/// The names in an open directory without `.` and `..`, sorted bytewise.
public func entryNames(of directory: Int32) throws(SyscallError) -> [CName] {
    // A descriptor of its own, so that the directory's offset is nobody else's.
    let fd = try openFile(".", flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
    guard let stream = fdopendir(fd.release()) else { throw SyscallError("fdopendir", Errno(linux_errno())) }
    defer { closedir(stream) }
    var names: [CName] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
        }
        if name != [46, 0] && name != [46, 46, 0] { names.append(name) }
    }
    names.sort { a, b in a.lexicographicallyPrecedes(b) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) } }
    return names
}

/// fstatat(2) of a C name, not following it; nil when there is nothing.
public func status(of name: CName, at directory: Int32) throws(SyscallError) -> stat? {
    var result = stat()
    if fstatat(directory, name, &result, AT_SYMLINK_NOFOLLOW) == 0 { return result }
    let errno = Errno(linux_errno())
    if errno == .noEntry || errno == .notDirectory { return nil }
    throw SyscallError("fstatat", errno, String(cName: name))
}

/// openat(2) of a C name.
public func openFile(_ name: CName, flags: Int32, mode: UInt32 = 0, at directory: Int32) throws(SyscallError)
    -> OwnedFD
{
    OwnedFD(
        taking: try retrying("openat", String(cName: name)) {
            linux_openat(directory, name, flags | O_CLOEXEC, mode)
        })
}

extension String {
    /// A name for messages; what is not UTF-8 is repaired.
    public init(cName name: CName) {
        self.init(decoding: name.lazy.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The text as a C name.
    public var cName: CName { utf8.map { CChar(bitPattern: $0) } + [0] }
}

extension stat {
    /// Overlay's mark for "deleted here".
    public var isWhiteout: Bool { isCharacterDevice && st_rdev == 0 }
}

/// True when the open directory hides what lies beneath it.
public func isOpaque(_ directory: Int32) -> Bool {
    var value = [UInt8](repeating: 0, count: 2)
    return fgetxattr(directory, "trusted.overlay.opaque", &value, 2) == 1 && value[0] == UInt8(ascii: "y")
}

/// One directory of the merged tree: the real directories it consists of, topmost first.
public struct OverlayDirectory: Sendable {
    public let layers: [SharedFD]

    /// The top of a merged tree; paths topmost first.
    public init(layers paths: [String]) throws(SyscallError) {
        var layers: [SharedFD] = []
        for path in paths {
            layers.append(SharedFD(try openFile(path, flags: O_RDONLY | O_DIRECTORY)))
        }
        self.layers = layers
    }

    private init(_ layers: [SharedFD]) { self.layers = layers }

    /// What a name stands for in the merged directory.
    public enum Entry: Sendable {
        case directory(OverlayDirectory)
        /// Anything else, by the real directory that holds it.
        case other(stat, in: SharedFD)
    }

    /// The entry of that name, links not followed; nil when there is none or it was deleted.
    public func entry(_ name: CName) throws(SyscallError) -> Entry? {
        var merged: [SharedFD] = []
        for layer in layers {
            guard let status = try status(of: name, at: layer.raw) else { continue }
            guard status.isDirectory else {
                if merged.isEmpty, !status.isWhiteout { return .other(status, in: layer) }
                break
            }
            let fd = SharedFD(
                try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: layer.raw))
            merged.append(fd)
            if isOpaque(fd.raw) { break }
        }
        return merged.isEmpty ? nil : .directory(OverlayDirectory(merged))
    }

    /// All names of the merged directory, deleted ones left out, sorted bytewise.
    public func names() throws(SyscallError) -> [CName] {
        var seen: Set<CName> = []
        for layer in layers {
            for name in try entryNames(of: layer.raw) { seen.insert(name) }
        }
        var names: [CName] = []
        for name in seen where try entry(name) != nil { names.append(name) }
        names.sort { a, b in a.lexicographicallyPrecedes(b) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) }
        }
        return names
    }

    /// What an absolute path names below this directory as its top, links followed inside; nil when there is nothing.
    /// - Throws: `ELOOP` after 40 links (path_resolution(7)).
    public func resolve(_ path: [UInt8]) throws(SyscallError) -> Entry? { try walk(path)?.entry }

    /// The same, with the name it has in the real directory that holds it; nil for the top itself.
    public func located(_ path: [UInt8]) throws(SyscallError) -> (entry: Entry, name: CName?)? {
        try walk(path).map { ($0.entry, $0.names.last) }
    }

    /// The path without links of the directory that `path` leads to; nil when it leads to no directory.
    public func canonicalDirectory(_ path: [UInt8]) throws(SyscallError) -> [CName]? {
        guard let (entry, names) = try walk(path), case .directory = entry else { return nil }
        return names
    }

    /// What a path names when no link is followed on the way; nil when there is nothing.
    public func strictEntry(_ path: [UInt8]) throws(SyscallError) -> Entry? {
        var result = Entry.directory(self)
        for name in OverlayDirectory.components(path) {
            guard case .directory(let directory) = result, let entry = try directory.entry(name) else {
                return nil
            }
            result = entry
        }
        return result
    }

    private func walk(_ path: [UInt8]) throws(SyscallError) -> (entry: Entry, names: [CName])? {
        var pending = Array(OverlayDirectory.components(path).reversed())
        var stack = [self]
        var names: [CName] = []
        var links = 0
        while let name = pending.popLast() {
            if name == [46, 0] { continue }
            if name == [46, 46, 0] {
                if stack.count > 1 {
                    stack.removeLast()
                    names.removeLast()
                }
                continue
            }
            guard let entry = try stack.last?.entry(name) else { return nil }
            switch entry {
            case .directory(let directory):
                stack.append(directory)
                names.append(name)
            case .other(let status, let holder):
                guard status.isSymlink else { return pending.isEmpty ? (entry, names + [name]) : nil }
                links += 1
                if links > 40 { throw SyscallError("openat", .loop, String(decoding: path, as: UTF8.self)) }
                let target = try linkTarget(name, at: holder.raw)
                if target.first == UInt8(ascii: "/") {
                    stack = [self]
                    names = []
                }
                pending += OverlayDirectory.components(target).reversed()
            }
        }
        return stack.last.map { (.directory($0), names) }
    }

    private static func components(_ path: [UInt8]) -> [CName] {
        path.split(separator: UInt8(ascii: "/")).map { $0.map { CChar(bitPattern: $0) } + [0] }
    }
}

/// The target of a symbolic link, as bytes.
public func linkTarget(_ name: CName, at directory: Int32) throws(SyscallError) -> [UInt8] {
    var buffer = [CChar](repeating: 0, count: 4097)
    let count = readlinkat(directory, name, &buffer, buffer.count)
    if count < 0 { throw SyscallError("readlinkat", Errno(linux_errno()), String(cName: name)) }
    return buffer[..<count].map { UInt8(bitPattern: $0) }
}
