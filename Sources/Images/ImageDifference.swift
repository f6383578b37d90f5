// SPDX-License-Identifier: Apache-2.0
//
// What one image's file system has that another's has not, read from their layers without a mount. A difference is one
// of kind, content, mode, owner, attributes, a link's target or a device's number; of times alone it is none.

public import Basics
internal import CLinux
internal import Kernel

/// One path that two file systems do not have alike.
public struct TreeChange: Hashable, Sendable {
    public enum Kind: String, Sendable { case added, changed, deleted }
    /// Below the top, without a leading slash; Linux's names are bytes.
    public var path: [UInt8]
    public var kind: Kind

    public init(_ kind: Kind, _ path: [UInt8]) {
        self.path = path
        self.kind = kind
    }
}

extension ImageStore {
    /// What leads from one image to another, in bytewise order of paths.
    public func changes(from old: StoredImage, to new: StoredImage) throws(Failure) -> [TreeChange] {
        try changes(
            old.facts.layers, new.facts.layers,
            "cannot compare \"\(old.facts.reference)\" with \"\(new.facts.reference)\"")
    }

    /// What an image's topmost layer did to those beneath.
    public func changes(in image: StoredImage) throws(Failure) -> [TreeChange] {
        let doing = "cannot compare \"\(image.facts.reference)\" with its parent"
        guard let top = image.diffIDs.last else {
            throw Failure(
                doing, cause: "it has no layers of its own", advice: "name the image to compare it with")
        }
        var beneath = Array(image.facts.layers.dropFirst())
        // The same layer once more further down is mounted at its topmost place only.
        if let place = image.diffIDs.dropLast().lastIndex(of: top), let layer = image.facts.layers.first {
            let above = Set(image.diffIDs[(place + 1)...].dropLast()).count
            beneath.insert(layer, at: min(above, beneath.count))
        }
        return try changes(beneath, image.facts.layers, doing)
    }

    private func changes(_ old: [String], _ new: [String], _ doing: String) throws(Failure) -> [TreeChange] {
        do throws(SyscallError) {
            var walk = DifferenceWalk()
            try walk.compare(OverlayDirectory(layers: old), OverlayDirectory(layers: new), [])
            return walk.changes
        } catch {
            throw Failure(doing, error)
        }
    }
}

private struct DifferenceWalk {
    private(set) var changes: [TreeChange] = []

    /// Two directories, either of which may be missing.
    mutating func compare(_ old: OverlayDirectory?, _ new: OverlayDirectory?, _ path: [UInt8])
        throws(SyscallError)
    {
        if let old, let new, try isSame(old, new) { return }
        let names = Set(try old?.names() ?? []).union(try new?.names() ?? []).sorted { a, b in
            a.lexicographicallyPrecedes(b) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) }
        }
        for name in names {
            let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
            let below = path.isEmpty ? bytes : path + [UInt8(ascii: "/")] + bytes
            let (before, after) = (try old?.entry(name), try new?.entry(name))
            switch (before, after) {
            case (nil, nil): continue
            case (nil, _?): changes.append(TreeChange(.added, below))
            case (_?, nil): changes.append(TreeChange(.deleted, below))
            case (let before?, let after?):
                if try differ(before, after, name) { changes.append(TreeChange(.changed, below)) }
            }
            let (oldBelow, newBelow) = (before?.directory, after?.directory)
            if oldBelow != nil || newBelow != nil { try compare(oldBelow, newBelow, below) }
        }
    }

    /// Of the same directories: nothing below can differ.
    private func isSame(_ a: OverlayDirectory, _ b: OverlayDirectory) throws(SyscallError) -> Bool {
        guard a.layers.count == b.layers.count else { return false }
        for (one, other) in zip(a.layers, b.layers) {
            let (one, other) = (try fileStatus(of: one.raw), try fileStatus(of: other.raw))
            if one.st_dev != other.st_dev || one.st_ino != other.st_ino { return false }
        }
        return true
    }

    private func differ(_ a: OverlayDirectory.Entry, _ b: OverlayDirectory.Entry, _ name: CName)
        throws(SyscallError) -> Bool
    {
        let (one, other) = (try status(of: a), try status(of: b))
        if one.st_dev == other.st_dev, one.st_ino == other.st_ino { return false }
        if one.st_mode != other.st_mode || one.st_uid != other.st_uid || one.st_gid != other.st_gid {
            return true
        }
        if try attributes(a, name) != attributes(b, name) { return true }
        guard case .other(_, let holder) = a, case .other(_, let otherHolder) = b else { return false }
        if one.isSymlink {
            return try linkTarget(name, at: holder.raw) != linkTarget(name, at: otherHolder.raw)
        }
        if one.isRegular {
            guard one.st_size == other.st_size else { return true }
            return try !hasEqualBytes(open(name, holder), open(name, otherHolder))
        }
        return one.st_rdev != other.st_rdev
    }

    private func status(of entry: OverlayDirectory.Entry) throws(SyscallError) -> stat {
        switch entry {
        case .other(let status, _): return status
        case .directory(let directory):
            // A merged directory shows what the topmost says.
            return try fileStatus(of: directory.layers[0].raw)
        }
    }

    private func attributes(_ entry: OverlayDirectory.Entry, _ name: CName) throws(SyscallError)
        -> Set<Attribute>
    {
        let all =
            switch entry {
            case .other(_, let holder): try extendedAttributes(of: name, at: holder.raw)
            case .directory(let directory): try extendedAttributes(of: directory.layers[0].raw)
            }
        return Set(
            all.map { Attribute(name: String(cName: $0.name), value: $0.value) }
                .filter { !$0.name.hasPrefix("trusted.overlay.") && $0.name != "security.selinux" })
    }

    private struct Attribute: Hashable {
        var name: String
        var value: [UInt8]
    }

    private func open(_ name: CName, _ holder: SharedFD) throws(SyscallError) -> SharedFD {
        SharedFD(try openFile(name, flags: O_RDONLY | O_NOFOLLOW, at: holder.raw))
    }

    private func hasEqualBytes(_ a: SharedFD, _ b: SharedFD) throws(SyscallError) -> Bool {
        var (one, other) = ([UInt8](repeating: 0, count: 128 << 10), [UInt8](repeating: 0, count: 128 << 10))
        while true {
            let count = try retrying("read") { read(a.raw, &one, one.count) }
            var filled = 0
            while filled < count {
                let more = try retrying("read") {
                    other.withUnsafeMutableBytes {
                        read(b.raw, $0.baseAddress?.advanced(by: filled), count - filled)
                    }
                }
                if more == 0 { return false }
                filled += more
            }
            if count == 0 { return true }
            if one[..<count] != other[..<count] { return false }
        }
    }
}

extension OverlayDirectory.Entry {
    fileprivate var directory: OverlayDirectory? {
        if case .directory(let directory) = self { directory } else { nil }
    }
}
