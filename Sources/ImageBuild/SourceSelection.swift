// SPDX-License-Identifier: Apache-2.0
//
// What the sources of a COPY or ADD name: patterns are resolved within their root, ignored paths left out, and all
// that is selected gets one digest of names, modes, owners, link targets, attributes and contents. Times are not in
// it, as in Docker: a fresh clone of the same files is the same source.
//
// Nothing leaves the root: a source's own path is walked with openat2(RESOLVE_IN_ROOT), what is below it without
// following any link. Only directories that a pattern or a selected directory names are ever read.

internal import Archives
internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

/// A tree files are taken from.
struct SourceRoot {
    let directory: SharedFD
    /// `the build context`, for messages.
    let title: String
    var ignore = IgnorePatterns()
    /// What `ignore` was read from.
    var ignoreFile = ".dockerignore"
    /// Files of a context belong to root, whoever owns them on the host; those of an image keep their owners.
    var resetsOwners: Bool
    /// Known contents; nil where they are not worth keeping.
    var contents: ContentCache?
}

/// A file, directory, link or device that was selected.
struct SourceNode {
    var name: CName
    var status: stat
    var children: [SourceNode] = []
    var link: [UInt8] = []
    /// For a file that stands in the Dockerfile itself.
    var content: [UInt8]?
    /// A directory an archive has no entry for: what exists in its place stays as it is.
    var isImplied = false
}

/// One match of a source's pattern.
struct SelectedSource {
    /// Relative to the root, for messages and for opening it; `.` is the root.
    var path: String
    var node: SourceNode
}

struct Selection {
    var sources: [SelectedSource]
    var digest: Digest
}

extension SourceRoot {
    /// Everything the sources name, in order; each that is no pattern must be there.
    /// - excludes: patterns relative to a selected directory, or against a selected file's name.
    /// - keepsParents: a source comes with the directories it is in, from `/./` on where there is one.
    func select(
        _ sources: [(word: Word, text: String)], instruction: String,
        excludes: IgnorePatterns = IgnorePatterns(), keepsParents: Bool = false
    ) throws(Failure) -> Selection {
        var selected: [SelectedSource] = []
        var hashed: [UInt8] = []
        for (word, text) in sources {
            let before = selected.count
            var wasExcluded = false
            let halves = keepsParents ? SourceRoot.pivot(text) : (base: "", rest: text)
            let base = normalPath("/" + halves.base).split(separator: "/").map(String.init)
            let rest = normalPath("/" + halves.rest).split(separator: "/").map(String.init)
            let components = base + rest
            do throws(SyscallError) {
                for path in try matches(components[...], below: [], doubleStar: keepsParents) {
                    let found =
                        keepsParents
                        ? try source(path, from: base.count, excludes) : try source(path, excludes)
                    if let found { selected.append(found) }
                    if !keepsParents, excludes.ignores(path.lastComponent) { wasExcluded = true }
                }
            } catch {
                throw Failure("cannot read `\(text)` in \(title)", error, at: word.location)
            }
            // As with BuildKit a pattern may match nothing: `yarn.lock*` is how a file is named that need not be there.
            if selected.count == before, !wasExcluded, !PathPattern.isPattern(text) {
                throw missing(text, components, instruction, at: word.location)
            }
        }
        do throws(SyscallError) {
            for source in selected {
                let parent = try openForReading(source)
                try describe(source.node, in: parent, &hashed, isTop: true)
            }
        } catch {
            throw Failure("cannot read what `\(instruction)` names in \(title)", error)
        }
        return Selection(
            sources: selected, digest: hashed.count > 65536 ? Digest(hashing: hashed) : Digest(of: hashed))
    }

    /// A selected directory or file itself, links followed within the root.
    func openForReading(_ source: SelectedSource) throws(SyscallError) -> SharedFD? {
        switch source.node.status.format {
        case stat.directory:
            return SharedFD(
                try openat2(directory.raw, source.path, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot))
        case stat.regular:
            return SharedFD(try openRegularFile(source.path, in: directory.raw))
        default: return nil
        }
    }

    // MARK: Patterns

    /// Paths that match, without a look at the last component unless it is a pattern.
    private func matches(_ components: ArraySlice<String>, below path: [String], doubleStar: Bool)
        throws(SyscallError) -> [String]
    {
        guard let first = components.first else { return [path.isEmpty ? "." : path.joined(separator: "/")] }
        if doubleStar, first == "**" {
            // None, or any number of directories.
            let here = path.isEmpty ? "." : path.joined(separator: "/")
            var found =
                components.count == 1
                ? [] : try matches(components.dropFirst(), below: path, doubleStar: true)
            let holder = try openat2(directory.raw, here, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot)
            for name in try entryNames(of: holder.raw) {
                guard let status = try Kernel.status(of: name, at: holder.raw) else { continue }
                let below = path + [String(cName: name)]
                if components.count == 1 {
                    found.append(below.joined(separator: "/"))
                } else if status.isDirectory {
                    found += try matches(components, below: below, doubleStar: true)
                }
            }
            return found
        }
        guard PathPattern.isPattern(first), let pattern = PathPattern(first, doubleStar: false) else {
            return try matches(components.dropFirst(), below: path + [first], doubleStar: doubleStar)
        }
        let holder: OwnedFD
        do throws(SyscallError) {
            holder = try openat2(
                directory.raw, path.isEmpty ? "." : path.joined(separator: "/"),
                flags: O_RDONLY | O_DIRECTORY,
                resolve: .inRoot)
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return [] }
            throw error
        }
        var found: [String] = []
        for name in try entryNames(of: holder.raw).map(String.init(cName:)) where pattern.matches(name) {
            found += try matches(components.dropFirst(), below: path + [name], doubleStar: doubleStar)
        }
        return found
    }

    /// How far a walk has come, and what the patterns say of it there.
    private struct Position {
        var path = ""
        var ignored = IgnorePatterns.Verdict()
        /// Relative to what was selected.
        var below = ""
        var excluded = IgnorePatterns.Verdict()
    }

    private func source(_ path: String, _ excludes: IgnorePatterns) throws(SyscallError) -> SelectedSource? {
        let verdict = path == "." ? .init() : ignore.verdictWithParents(path)
        let fd: OwnedFD
        do throws(SyscallError) {
            fd = try openat2(directory.raw, path, flags: O_PATH, resolve: .inRoot)
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return nil }
            throw error
        }
        let status = try fileStatus(of: fd.raw)
        var node = SourceNode(name: path == "." ? [0] : path.lastComponent.cName, status: status)
        guard status.isDirectory else {
            if verdict.ignored || status.isSocket || excludes.ignores(path.lastComponent) { return nil }
            return SelectedSource(path: path, node: node)
        }
        if verdict.ignored, !ignore.mayKeepSomething(below: path) { return nil }
        let top = try openat2(directory.raw, path, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot)
        node.children = try children(
            of: top.raw, Position(path: path == "." ? "" : path, ignored: verdict), excludes)
        if verdict.ignored, node.children.isEmpty { return nil }
        return SelectedSource(path: path, node: node)
    }

    /// A path with the directories it is in, as contents of the directory its first `depth` names make.
    private func source(_ path: String, from depth: Int, _ excludes: IgnorePatterns) throws(SyscallError)
        -> SelectedSource?
    {
        let names = path == "." ? [] : path.split(separator: "/").map(String.init)
        guard names.count > depth else { return try source(path, excludes) }
        let base = depth == 0 ? "." : names[..<depth].joined(separator: "/")
        let top = SharedFD(
            try openat2(directory.raw, base, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot))
        var position = Position(path: base == "." ? "" : base)
        if base != "." { position.ignored = ignore.verdictWithParents(base) }
        guard
            let inner = try chain(names[depth...], in: top, position, excludes)
        else { return nil }
        var node = SourceNode(name: [0], status: try fileStatus(of: top.raw))
        node.children = [inner]
        return SelectedSource(path: base, node: node)
    }

    private func chain(
        _ names: ArraySlice<String>, in holder: SharedFD, _ position: Position, _ excludes: IgnorePatterns
    ) throws(SyscallError) -> SourceNode? {
        guard let name = names.first else { return nil }
        if names.count == 1 { return try node(name.cName, in: holder.raw, position, excludes) }
        guard let status = try Kernel.status(of: name.cName, at: holder.raw), status.isDirectory,
            let below = step(position, to: name.cName, excludes)
        else { return nil }
        var node = SourceNode(name: name.cName, status: status)
        let child = SharedFD(
            try openFile(name.cName, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: holder.raw))
        guard let inner = try chain(names.dropFirst(), in: child, below, excludes) else { return nil }
        node.children = [inner]
        return node
    }

    private func children(of fd: Int32, _ position: Position, _ excludes: IgnorePatterns)
        throws(SyscallError) -> [SourceNode]
    {
        var nodes: [SourceNode] = []
        for name in try entryNames(of: fd) {
            if let node = try node(name, in: fd, position, excludes) { nodes.append(node) }
        }
        return nodes
    }

    /// The position of an entry; nil when it is excluded.
    private func step(_ position: Position, to name: CName, _ excludes: IgnorePatterns) -> Position? {
        if ignore.isEmpty, excludes.isEmpty { return position }
        var next = position
        let text = String(cName: name)
        if !ignore.isEmpty {
            next.path = position.path.isEmpty ? text : "\(position.path)/\(text)"
            next.ignored = ignore.verdict(next.path, under: position.ignored)
        }
        if !excludes.isEmpty {
            next.below = position.below.isEmpty ? text : "\(position.below)/\(text)"
            next.excluded = excludes.verdict(next.below, under: position.excluded)
            if next.excluded.ignored { return nil }
        }
        return next
    }

    /// An entry with all that is below it; nil for what is left out.
    private func node(_ name: CName, in fd: Int32, _ holder: Position, _ excludes: IgnorePatterns)
        throws(SyscallError) -> SourceNode?
    {
        guard let status = try Kernel.status(of: name, at: fd), !status.isSocket,
            let position = step(holder, to: name, excludes)
        else { return nil }
        let isIgnored = position.ignored.ignored
        if isIgnored, !(status.isDirectory && ignore.mayKeepSomething(below: position.path)) { return nil }
        var node = SourceNode(name: name, status: status)
        if status.isDirectory {
            let child = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: fd)
            node.children = try children(of: child.raw, position, excludes)
            if isIgnored, node.children.isEmpty { return nil }
        } else if status.isSymlink {
            node.link = try linkTarget(name, at: fd)
        }
        return node
    }

    /// `base/./rest`; without the mark the whole source counts.
    private static func pivot(_ text: String) -> (base: String, rest: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let dot = parts.dropFirst().firstIndex(of: ".") else { return ("", text) }
        return (parts[..<dot].joined(separator: "/"), parts[(dot + 1)...].joined(separator: "/"))
    }

    // MARK: Digest

    /// Appends what makes a node the one it is; `parent` is the node itself where it is the top of a source.
    private func describe(_ node: SourceNode, in holder: SharedFD?, _ bytes: inout [UInt8], isTop: Bool)
        throws(SyscallError)
    {
        let status = node.status
        for byte in node.name { bytes.append(UInt8(bitPattern: byte)) }
        append(UInt64(status.st_mode), &bytes)
        if !resetsOwners { append(UInt64(status.st_uid) << 32 | UInt64(status.st_gid), &bytes) }
        switch status.format {
        case stat.regular:
            guard let holder else { return }
            if let known = contents?.digest(of: status) {
                known.append(to: &bytes)
            } else {
                let fd = isTop ? holder : SharedFD(try openRegularFile(node.name, at: holder.raw))
                let digest = try ContentCache.hash(fd.raw, String(cName: node.name))
                contents?.learn(digest, of: status)
                digest.append(to: &bytes)
            }
            // Files that are one file stay so, so which ones are is part of what is copied.
            if status.st_nlink > 1 { append(UInt64(status.st_ino), &bytes) }
        case stat.directory:
            guard let holder else { return }
            let fd =
                isTop
                ? holder
                : SharedFD(
                    try openFile(node.name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: holder.raw))
            for (name, value) in try extendedAttributes(of: fd.raw) {
                for byte in name { bytes.append(UInt8(bitPattern: byte)) }
                append(UInt64(value.count), &bytes)
                bytes += value
            }
            append(UInt64(node.children.count), &bytes)
            for child in node.children { try describe(child, in: fd, &bytes, isTop: false) }
        case stat.link:
            append(UInt64(node.link.count), &bytes)
            bytes += node.link
        default: append(UInt64(status.st_rdev), &bytes)
        }
    }

    private func append(_ value: UInt64, _ bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    // MARK: What is missing

    private func missing(
        _ text: String, _ components: [String], _ instruction: String, at place: SourceLocation
    ) -> Failure {
        let doing = "`\(instruction)` finds no `\(text)` in \(title)"
        let path = components.joined(separator: "/")
        if (try? openat2(directory.raw, path.isEmpty ? "." : path, flags: O_PATH, resolve: .inRoot)) != nil {
            return Failure(
                doing, cause: "\(ignoreFile) leaves it out",
                advice: "add `!\(path)` at the end of \(ignoreFile)",
                at: place)
        }
        // The nearest name beside the first component that is not there.
        for index in components.indices {
            let parent = index == 0 ? "." : components[..<index].joined(separator: "/")
            guard
                let fd = try? openat2(directory.raw, parent, flags: O_RDONLY | O_DIRECTORY, resolve: .inRoot)
            else { break }
            let name = components[index]
            if (try? openat2(fd.raw, name, flags: O_PATH, resolve: .inRoot)) != nil { continue }
            let names = ((try? entryNames(of: fd.raw)) ?? []).map(String.init(cName:))
            let shown = parent == "." ? "" : "\(parent)/"
            let near = nearest(to: name, among: names)
            return Failure(
                doing,
                cause: PathPattern.isPattern(name)
                    ? "nothing matches `\(shown)\(name)`" : "`\(shown)\(name)` does not exist",
                advice: near.map { "did you mean `\(shown)\($0)`?" }, at: place)
        }
        return Failure(doing, cause: "it does not exist", at: place)
    }
}

extension String {
    /// Behind the last slash.
    var lastComponent: String { String(self[(lastIndex(of: "/").map { index(after: $0) } ?? startIndex)...]) }
}

extension stat {
    /// The file type's bits (inode(7)).
    var format: UInt32 { st_mode & 0o170000 }
    static var directory: UInt32 { 0o040000 }
    static var regular: UInt32 { 0o100000 }
    static var link: UInt32 { 0o120000 }
    var isSocket: Bool { format == 0o140000 }
}
