// SPDX-License-Identifier: Apache-2.0
//
// Mount points that only the runtime needed: the image's author did not ask for them, so no layer keeps them.
//
// What the step made of them meanwhile is its own: a name is removed below a directory that is reached from the upper
// without following any link, an empty directory by rmdir(2) alone, a file when it is still empty. A step that puts a
// link in a stub's or its parent's place gains nothing (CVE-2024-23652).

internal import CLinux
internal import Kernel

struct MountStubs {
    private struct Stub {
        /// Without links, from the root; empty for the root itself.
        var parent: String
        var name: String
        var isDirectory: Bool
    }
    private var stubs: [Stub] = []
    private let lowers: [String]

    /// Looks, before the step, which of the targets and of the directories above them are missing.
    init(_ targets: [(path: String, isDirectory: Bool)], upper: String, lowers: [String]) throws(SyscallError)
    {
        self.lowers = lowers
        let root = try OverlayDirectory(layers: [upper] + lowers)
        var known: Set<String> = []
        for (path, isDirectory) in targets {
            if try root.resolve(Array(path.utf8)) != nil { continue }
            let names = path.split(separator: "/").map(String.init)
            // The deepest directory that is there.
            var depth = names.count - 1
            var parent: [CName] = []
            while depth > 0 {
                let above = Array(names[..<depth].joined(separator: "/").utf8)
                if let found = try root.canonicalDirectory(above) {
                    parent = found
                    break
                }
                depth -= 1
            }
            var place = parent.map(String.init(cName:)).joined(separator: "/")
            for index in depth..<names.count {
                let isLast = index == names.count - 1
                let whole = place.isEmpty ? names[index] : "\(place)/\(names[index])"
                if known.insert(whole).inserted {
                    stubs.append(
                        Stub(parent: place, name: names[index], isDirectory: isLast ? isDirectory : true))
                }
                place = whole
            }
        }
    }

    /// Takes away what is left of them as it was made.
    func remove(from upper: String) {
        guard let top = try? openFile(upper, flags: O_RDONLY | O_DIRECTORY) else { return }
        for stub in stubs.reversed() {
            guard let parent = MountStubs.directory(stub.parent, in: top.raw) else { continue }
            if stub.isDirectory {
                unlinkat(parent.raw, stub.name, AT_REMOVEDIR)
            } else if let status = try? status(of: stub.name.cName, at: parent.raw), status.isRegular,
                status.st_size == 0
            {
                unlinkat(parent.raw, stub.name, 0)
            }
        }
        for parent in Set(stubs.map(\.parent)) { removeCopies(of: parent, in: top.raw) }
    }

    /// A directory that was copied up for a stub alone says nothing that the layers beneath do not say.
    private func removeCopies(of path: String, in top: Int32) {
        guard !path.isEmpty, let below = try? OverlayDirectory(layers: lowers) else { return }
        var names = path.split(separator: "/").map(String.init)
        while let name = names.popLast() {
            guard let parent = MountStubs.directory(names.joined(separator: "/"), in: top),
                let own = try? status(of: name.cName, at: parent.raw), own.isDirectory,
                case .directory(let original)? =
                    try? below.strictEntry(Array((names + [name]).joined(separator: "/").utf8)),
                let first = original.layers.first, let before = try? fileStatus(of: first.raw),
                before.st_mode == own.st_mode, before.st_uid == own.st_uid, before.st_gid == own.st_gid,
                let fd = try? openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent.raw),
                !isOpaque(fd.raw), unlinkat(parent.raw, name, AT_REMOVEDIR) == 0
            else { return }
        }
    }

    private static func directory(_ path: String, in top: Int32) -> SharedFD? {
        // RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS: not even a link of the step's own that leads to another layer's place.
        try? SharedFD(
            openat2(
                top, path.isEmpty ? "." : path, flags: O_RDONLY | O_DIRECTORY,
                resolve: [.beneath, .noSymlinks]))
    }
}
