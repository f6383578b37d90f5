// SPDX-License-Identifier: Apache-2.0
//
// TreeWatch: which paths below some directories changed, by inotify(7): one watch for each directory in which something may
// matter. What the kernel tells is only where to look; a directory that appears is read, for what was in it before its watch.
//
// A root may go and come back, alone (`rm -r`, a build's output, a link that leads elsewhere now) or with directories above
// it (a checkout). So the directory above it is watched too, and while that is gone, the nearest one that is left.

internal import Basics
internal import Kernel

final class TreeWatch {
    private let watch: FileWatch
    private var directories: [Int32: String] = [:]
    private let roots: [String]
    private let isIgnored: (String) -> Bool
    private let enters: (String) -> Bool

    /// - Parameters:
    ///   - roots: files and directories; of a file its directory is watched, and one that is not there is waited for.
    ///   - isIgnored: whether a path's changes are nobody's business.
    ///   - enters: whether there may be others below a directory, ignored itself or not.
    init(
        _ roots: [String], isIgnored: @escaping (String) -> Bool, enters: @escaping (String) -> Bool
    ) throws(Failure) {
        self.roots = roots
        self.isIgnored = isIgnored
        self.enters = enters
        watch = try kernel("cannot watch files") { () throws(SyscallError) in try FileWatch() }
        for root in roots { try look(for: root) { _ in } }
    }

    var descriptor: Int32 { watch.descriptor }

    struct Changes {
        var paths: Set<String> = []
        /// Those that were directories at one time.
        var directories: Set<String> = []
    }

    /// Every path that may have changed since the last time.
    func changes() throws(Failure) -> Changes {
        var changed: Set<String> = []
        var former: Set<String> = []
        var lost = false
        for event in watch.next() {
            if event.watch < 0 {
                lost = true
                for root in roots { try enter(root) { changed.insert($0) } }
                continue
            }
            guard let directory = directories[event.watch] else { continue }
            // Moved within the tree it has its new name already, by the event of the directory it is in.
            if event.isEnd || event.isMove && !isDirectory(directory, follow: true) {
                if event.isMove { watch.remove(event.watch) }
                directories[event.watch] = nil
                lost = true
                continue
            }
            if event.name.isEmpty { continue }
            let path = joined(directory, event.name)
            if !isIgnored(path) { changed.insert(path) }
            if event.isDirectory { former.insert(path) }
            try enter(path) { changed.insert($0) }
        }
        if lost {
            let watched = Set(directories.values)
            for root in roots where root != "/" && !watched.contains(parent(of: root)) {
                try look(for: root) { changed.insert($0) }
            }
        }
        return Changes(paths: changed, directories: former)
    }

    /// All files and directories below a path that are not ignored, for a first synchronization.
    func everything(below path: String) -> [String] {
        guard isDirectory(path) else { return exists(path) ? [path] : [] }
        var found: [String] = []
        for name in entries(of: path) {
            let own = joined(path, name)
            if !isIgnored(own) { found.append(own) }
            if isDirectory(own), enters(own) { found += everything(below: own) }
        }
        return found
    }

    /// Watches a directory and all below it that may matter; what is there already is found.
    private func enter(_ path: String, _ found: (String) -> Void) throws(Failure) {
        guard enters(path), isDirectory(path) else { return }
        try addOne(path)
        for name in entries(of: path) {
            let own = joined(path, name)
            if !isIgnored(own) { found(own) }
            try enter(own, found)
        }
    }

    /// Watches a root and the directory above it, or for one that is not there.
    private func look(for root: String, _ found: (String) -> Void) throws(Failure) {
        var (below, above) = (root, parent(of: root))
        while above != "/", !isDirectory(above, follow: true) { (below, above) = (above, parent(of: above)) }
        try addOne(above)
        // It may have come between the look and the watch.
        try enter(below, found)
    }

    /// Links are followed to a root only: those below it are things themselves.
    private func isDirectory(_ path: String) -> Bool { isDirectory(path, follow: roots.contains(path)) }

    private func isDirectory(_ path: String, follow: Bool) -> Bool {
        (try? fileStatus(path, follow: follow))?.isDirectory ?? false
    }

    private func entries(of path: String) -> [String] {
        // `/.` for what a link leads to.
        (try? directoryEntries(roots.contains(path) ? path + "/." : path)) ?? []
    }

    private func joined(_ directory: String, _ name: String) -> String {
        directory == "/" ? "/" + name : "\(directory)/\(name)"
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
