// SPDX-License-Identifier: Apache-2.0
//
// The caches of `RUN --mount=type=cache`: directories that outlive the build, locked as long as a step has them. Who else has
// one at the same time, `sharing` says; what is within one, other builds may write.

internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

/// A lock with an owner that ARC counts.
final class CacheLock {
    private let lock: FileLock
    init(_ lock: consuming FileLock) { self.lock = lock }
}

extension StageRun {
    /// Takes all caches of a step, each once and in the order of their keys: no step waits for itself, and two steps that want
    /// the same two don't wait for each other.
    /// - Returns: by the mount's number, the directory that outlives the build: `buildcache/mounts/<digest of the id>/<n>`;
    ///   `n` is above 0 for private ones that were in use.
    func takeCaches(_ planned: [PlannedMount], _ locks: inout [CacheLock]) throws(Failure)
        -> [Int: String]
    {
        let numbers = planned.indices.filter { planned[$0].settings.kind == .cache }
        var paths: [Int: String] = [:]
        for (key, numbers) in Dictionary(grouping: numbers, by: { cacheKey(planned[$0]) })
            .sorted(by: { $0.key < $1.key })
        {
            let parent = "\(session.store.root)/buildcache/mounts/\(key.hex)"
            func sharing(_ wanted: MountSettings.Sharing) -> [Int] {
                numbers.filter { planned[$0].settings.sharing == wanted }
            }
            let (locked, shared) = (sharing(.locked), sharing(.shared))
            let first = planned[numbers[0]]
            try system("cannot open \(title(ofCache: first))", at: first.place) {
                () throws(SyscallError) in
                try ensureDirectory(parent, mode: 0o700)
                if !(locked + shared).isEmpty {
                    // Who wants it alone has it so for the whole step.
                    locks.append(CacheLock(try FileLock("\(parent)/0.lock", exclusive: !locked.isEmpty)))
                    for number in locked + shared { paths[number] = "\(parent)/0" }
                }
                for number in sharing(.private) { paths[number] = try takePrivate(parent, &locks) }
            }
        }
        return paths
    }

    private func takePrivate(_ parent: String, _ locks: inout [CacheLock]) throws(SyscallError) -> String {
        for number in 0..<1024 {
            if let lock = try FileLock.attempt("\(parent)/\(number).lock") {
                locks.append(CacheLock(lock))
                return "\(parent)/\(number)"
            }
        }
        throw SyscallError("flock", .again, parent)
    }

    private func cacheKey(_ mount: PlannedMount) -> Digest {
        var key = KeyBuilder()
        key.add("cache")
        key.add(mount.settings.id ?? mount.target)
        // Caches that begin with different files are different ones.
        if let origin = mount.origin { key.add("\(origin)") }
        return key.key
    }

    private func title(ofCache mount: PlannedMount) -> String {
        "the cache `\(mount.settings.id ?? mount.target)`"
    }

    func cache(_ mount: PlannedMount, in path: String) throws(Failure) -> StepMount {
        let title = title(ofCache: mount)
        try fill(path, mount, title)
        let inner = normalPath("/" + (mount.settings.source ?? "/"))
        return StepMount(
            source: inner == "/"
                ? .path(path, isDirectory: true) : .below(root: path, path: String(inner.dropFirst())),
            target: mount.target, isReadOnly: mount.settings.isReadOnly == true, title: title)
    }

    /// A new cache begins empty, or with what `from` names, under its final name only when it is whole.
    private func fill(_ path: String, _ mount: PlannedMount, _ title: String) throws(Failure) {
        if exists(path) { return }
        let temporary = "\(path).new-\(getpid())-\(index)"
        try system("cannot make \(title)", at: mount.place) { () throws(SyscallError) in
            try? removeTree(temporary)
            try makeDirectory(temporary, mode: 0o700)
        }
        if let origin = mount.origin {
            let selection = try select("/", origin, at: mount.place)
            let root = try root(of: origin, at: mount.place)
            let top = try system("cannot make \(title)", at: mount.place) { () throws(SyscallError) in
                SharedFD(try openFile(temporary, flags: O_RDONLY | O_DIRECTORY))
            }
            try TreeWriter(root: top.raw, owner: nil, mode: nil, resetsOwners: root.resetsOwners)
                .copy(selection, from: root, to: "/", isDirectory: true)
        }
        let settings = mount.settings
        try system("cannot make \(title)", at: mount.place) { () throws(SyscallError) in
            try retrying("chown", temporary) { chown(temporary, settings.uid ?? 0, settings.gid ?? 0) }
            try retrying("chmod", temporary) { chmod(temporary, settings.mode ?? 0o755) }
            do throws(SyscallError) {
                try retrying("renameat2", path) {
                    linux_renameat2(
                        currentDirectory, temporary, currentDirectory, path, 1 /* RENAME_NOREPLACE */)
                }
            } catch {
                // Another build was first.
                try? removeTree(temporary)
                if error.errno != .exists, error.errno != .notEmpty { throw error }
            }
        }
    }
}
