// SPDX-License-Identifier: Apache-2.0
//
// The trees that COPY, ADD and mounts take files from: the context and named directories with their ignore files, and
// layers of stages and images seen as one.

internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

extension StageRun {
    var stageLocation: SourceLocation { session.file.stages[index].location }

    /// What names a selection in a tree that never changes; nil for directories of the host.
    /// - Parameter parts: what is selected by, and how; lists of one meaning each.
    func selectionKey(_ origin: Origin, _ kind: String, _ parts: [[String]], at place: SourceLocation)
        throws(Failure) -> Digest?
    {
        let layers: LayerStack
        switch origin {
        case .stage(let index): layers = session.state(of: index)?.layers ?? LayerStack()
        case .image(let reference):
            layers = try session.image(reference, at: place).layers
            // A root file system used in place has no digests, as anyone may change it.
            if layers.diffIDs.isEmpty { return nil }
        case .scratch, .context, .directory: return nil
        }
        var key = KeyBuilder()
        key.add("selection by \(kind)")
        key.add(layers.diffIDs.map(\.hex))
        for part in parts { key.add(part) }
        return key.key
    }

    func root(of origin: Origin, at place: SourceLocation) throws(Failure) -> SourceRoot {
        try session.root(origin) { () throws(Failure) in try openRoot(of: origin, at: place) }
    }

    private func openRoot(of origin: Origin, at place: SourceLocation) throws(Failure) -> SourceRoot {
        switch origin {
        case .scratch: return try layersRoot(LayerStack(), "scratch", at: place)
        case .stage(let index):
            let title = session.file.stages[index].name.map { "stage `\($0)`" } ?? "stage \(index)"
            return try layersRoot(session.state(of: index)?.layers ?? LayerStack(), title, at: place)
        case .image(let reference):
            return try layersRoot(
                try session.image(reference, at: place).layers, "image `\(reference)`", at: place)
        case .directory(let name, let path):
            return try directoryRoot(
                path, "the context `\(name)` (\(path))", ignore: ["\(path)/.dockerignore"], at: place)
        case .context:
            guard let path = session.request.context else {
                throw Failure("this build has no context to copy from", at: place)
            }
            return try directoryRoot(
                path, "the build context",
                ignore: ["\(session.request.dockerfilePath).dockerignore", "\(path)/.dockerignore"], at: place
            )
        }
    }

    private func directoryRoot(
        _ path: String, _ title: String, ignore files: [String], at place: SourceLocation
    )
        throws(Failure) -> SourceRoot
    {
        let fd = try system("cannot open \(title), \(path)", at: place) { () throws(SyscallError) in
            SharedFD(try openFile(path, flags: O_RDONLY | O_DIRECTORY))
        }
        let own = "\(session.store.root)/buildcache"
        // A repository that was checked out for this build is never seen again.
        let cache = path.hasPrefix("\(own)/") ? nil : ContentCache(for: path, under: own)
        var root = SourceRoot(directory: fd, title: title, resetsOwners: true, contents: cache)
        // The Dockerfile's own ignore file goes before the context's.
        for file in files where file.hasPrefix("/") && exists(file) {
            let bytes = try system("cannot read \(file)", at: nil) { () throws(SyscallError) in
                try readFile(file, limit: 16 << 20)
            }
            root.ignore = try IgnorePatterns(parsing: bytes, path: file)
            root.ignoreFile = file.split(separator: "/").last.map(String.init) ?? file
            break
        }
        return root
    }

    /// Layers seen as one tree, for reading.
    func layersRoot(_ layers: LayerStack, _ title: String, at place: SourceLocation) throws(Failure)
        -> SourceRoot
    {
        let layers = try session.caches.present(layers)
        let fd = try system("cannot open the files of \(title)", at: place) { () throws(SyscallError) in
            switch layers.lowers.count {
            case 0:
                SharedFD(try openFile(try session.work().directory("empty"), flags: O_RDONLY | O_DIRECTORY))
            // overlayfs wants two; one layer alone is its own merged tree.
            case 1: SharedFD(try openFile(layers.lowers[0], flags: O_RDONLY | O_DIRECTORY))
            default: SharedFD(try detachedOverlay(lowers: layers.lowers))
            }
        }
        return SourceRoot(directory: fd, title: title, resetsOwners: false, contents: nil)
    }
}

/// A kernel error in the user's words.
func system<Result>(
    _ doing: @autoclosure () -> String, at place: SourceLocation? = nil,
    _ body: () throws(SyscallError) -> Result
) throws(Failure) -> Result {
    do throws(SyscallError) { return try body() } catch { throw Failure(doing(), error, at: place) }
}
