// SPDX-License-Identifier: Apache-2.0
//
// TreeWatch: which paths below some directories changed, by inotify(7): one watch for each directory that is not ignored.
// What the kernel tells is only where to look; a directory that appears is read, for what was in it before its watch.

internal import Basics
internal import Kernel

final class TreeWatch {
    private let watch: FileWatch
    private var directories: [Int32: String] = [:]
    private let roots: [String]
    private let isIgnored: (String) -> Bool

    /// - Parameter roots: files and directories; of a file its directory is watched.
    init(_ roots: [String], isIgnored: @escaping (String) -> Bool) throws(Failure) {
        self.roots = roots
        self.isIgnored = isIgnored
        watch = try kernel("cannot watch files") { () throws(SyscallError) in try FileWatch() }
        for root in roots {
            guard let status = try? fileStatus(root, follow: true) else {
                throw Failure(
                    "cannot watch \(root)", cause: "it does not exist",
                    advice: "make it, or correct `path` of `develop.watch`")
            }
            if status.isDirectory {
                try add(root) { _ in }
            } else {
                try addOne(parent(of: root))
            }
        }
    }

    var descriptor: Int32 { watch.descriptor }

    /// Every path that may have changed since the last time.
    func changes() throws(Failure) -> Set<String> {
        var changed: Set<String> = []
        for event in watch.next() {
            if event.watch < 0 {
                for root in roots { try add(root) { changed.insert($0) } }
                continue
            }
            guard let directory = directories[event.watch], !event.name.isEmpty else { continue }
            let path = directory == "/" ? "/" + event.name : "\(directory)/\(event.name)"
            guard !isIgnored(path) else { continue }
            changed.insert(path)
            if (try? fileStatus(path))?.isDirectory == true { try add(path) { changed.insert($0) } }
        }
        return changed
    }

    /// All files and directories below a path, for a first synchronization.
    func everything(below path: String) -> [String] {
        guard let status = try? fileStatus(path), status.isDirectory else { return [path] }
        var found: [String] = []
        for name in (try? directoryEntries(path)) ?? [] {
            let own = "\(path)/\(name)"
            if isIgnored(own) { continue }
            found.append(own)
            if (try? fileStatus(own))?.isDirectory == true { found += everything(below: own) }
        }
        return found
    }

    private func add(_ path: String, _ found: (String) -> Void) throws(Failure) {
        try addOne(path)
        for name in (try? directoryEntries(path)) ?? [] {
            let own = path == "/" ? "/" + name : "\(path)/\(name)"
            if isIgnored(own) { continue }
            found(own)
            if (try? fileStatus(own))?.isDirectory == true { try add(own, found) }
        }
    }

    private func addOne(_ path: String) throws(Failure) {
        do throws(SyscallError) {
            directories[try watch.add(sources: path)] = path
        } catch {
            // Gone again, or a file by now.
            if error.errno == .noEntry || error.errno == .notDirectory { return }
            throw Failure(
                "cannot watch \(path)", cause: "\(error)",
                advice: error.errno == .noSpace
                    ? "raise fs.inotify.max_user_watches with sysctl, or `ignore` more" : nil)
        }
    }

    private func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
