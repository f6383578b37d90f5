// SPDX-License-Identifier: Apache-2.0
//
// COPY and ADD: what they name is selected and digested first; only when that is not known is anything copied. What
// comes from a stage or an image never changes while its layers are the same, so its digest is remembered by them
// and a repeated build does not even mount it.

internal import Archives
internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

extension BuildSession {
    func copyStep(
        _ copy: CopyInstruction, _ instruction: Instruction, _ words: Substitution, in stage: Int,
        _ name: String,
        _ state: inout StageState, unpacks: Bool
    ) throws(Failure) {
        let keyword = unpacks ? "ADD" : "COPY"
        let sources = try copy.sources.map { (word: Word) throws(Failure) in
            (word: word, text: try words.expand(word))
        }
        if unpacks { try refuseRemote(sources) }
        let destination = try destination(copy, words, state, keyword)
        let ownerText = try copy.owner.map { (word: Word) throws(Failure) in try words.expand(word) }
        let mode = try mode(copy.mode, words)
        let files = try copy.files.map { (file: Heredoc) throws(Failure) in
            (name: file.name, content: Array(try content(file, words).utf8))
        }
        if sources.count + files.count > 1, !destination.isDirectory {
            throw Failure(
                "`\(keyword)` has several sources and one file as its destination",
                advice: "end the destination with a slash: \(copy.destination.text)/",
                at: copy.destination.location)
        }

        let origin = graph.origin(of: copy.from, in: stage)
        let place = copy.from?.location ?? instruction.location
        var selection: Selection?
        var digest: Digest?
        if !sources.isEmpty {
            let known = try selectionKey(origin, sources.map(\.text), at: place)
            if let known, !request.noCache { digest = steps.selection(known) }
            if digest == nil {
                let made = try root(of: origin, at: place).select(sources, instruction: keyword)
                if let known { try? steps.store(selection: made.digest, known) }
                (selection, digest) = (made, made.digest)
            }
        }

        var key = KeyBuilder()
        key.add(keyword)
        key.add(destination.path)
        key.add(destination.isDirectory ? "/" : "")
        key.add(ownerText ?? "")
        key.add(mode.map { String($0, radix: 8) } ?? "")
        if let digest { key.add(digest) }
        for file in files {
            key.add(file.name)
            key.add(file.content)
        }
        try changeFiles(key, instruction, name, &state) { (area: StepArea) throws(Failure) in
            let target = try area.mount()
            let owner = try ownerText.map { (text: String) throws(Failure) in
                do throws(Failure) { return try AccountNames.owner(text, in: target.raw) } catch {
                    var failure = error
                    failure.location = copy.owner?.location
                    throw failure
                }
            }
            if !sources.isEmpty {
                let root = try root(of: origin, at: place)
                var chosen: Selection
                if let selection {
                    chosen = selection
                } else {
                    chosen = try root.select(sources, instruction: keyword)
                }
                if unpacks {
                    chosen.sources = try unpackArchives(
                        chosen.sources, root, area, to: destination.path, target, owner)
                }
                try refuseAmbiguous(chosen, destination, target, keyword, at: copy.destination.location)
                let writer = TreeWriter(
                    root: target.raw, owner: owner, mode: mode, resetsOwners: root.resetsOwners)
                try writer.copy(
                    chosen, from: root, to: destination.path, isDirectory: destination.isDirectory)
            }
            if !files.isEmpty {
                let writer = TreeWriter(root: target.raw, owner: owner, mode: mode, resetsOwners: true)
                try writer.copy(
                    inline(files), from: nil, to: destination.path, isDirectory: destination.isDirectory)
            }
        }
    }

    // MARK: Words

    private struct Destination {
        var path: String
        /// It ended in a slash, or in `.` or `..`.
        var isDirectory: Bool
    }

    private func destination(
        _ copy: CopyInstruction, _ words: Substitution, _ state: StageState, _ keyword: String
    )
        throws(Failure) -> Destination
    {
        let text = try words.expand(copy.destination)
        guard !text.isEmpty else {
            throw Failure(
                "`\(keyword)` has an empty destination",
                cause: "`\(copy.destination.text)` is nothing once its variables are replaced",
                at: copy.destination.location)
        }
        let last = text.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        return Destination(
            path: state.absolute(text), isDirectory: last.isEmpty || last == "." || last == "..")
    }

    private func mode(_ word: Word?, _ words: Substitution) throws(Failure) -> UInt32? {
        guard let word else { return nil }
        let text = try words.expand(word)
        guard let mode = UInt32(text, radix: 8), mode <= 0o7777 else {
            throw Failure(
                "`--chmod=\(text)` is no mode", cause: "it takes an octal number such as 755 or 0644",
                at: word.location)
        }
        return mode
    }

    private func content(_ file: Heredoc, _ words: Substitution) throws(Failure) -> String {
        guard file.expands else { return file.content }
        return try words.expandContent(Word(file.content, at: file.location))
    }

    private func inline(_ files: [(name: String, content: [UInt8])]) -> Selection {
        let nodes = files.map { file in
            var status = stat()
            status.st_mode = stat.regular | 0o644
            var node = SourceNode(name: file.name.cName, status: status)
            node.content = file.content
            return SelectedSource(path: file.name, node: node)
        }
        return Selection(sources: nodes, digest: Digest(of: []))
    }

    private func refuseRemote(_ sources: [(word: Word, text: String)]) throws(Failure) {
        for (word, text) in sources {
            let isGit = text.hasPrefix("git@") || text.hasPrefix("git://") || text.hasPrefix("ssh://")
            let isRemote = text.hasPrefix("http://") || text.hasPrefix("https://") || text.hasPrefix("ftp://")
            guard isGit || isRemote else { continue }
            throw Failure(
                "`ADD` of \(isGit ? "a git repository" : "a URL") is not supported",
                cause: "a build reads nothing but its contexts, so that it can be repeated",
                advice: "fetch it into the context first, or in a RUN step", at: word.location)
        }
    }

    /// Several files that a wildcard found cannot all become the one file that is named.
    private func refuseAmbiguous(
        _ selection: Selection, _ destination: Destination, _ target: SharedFD, _ keyword: String,
        at place: SourceLocation
    ) throws(Failure) {
        guard selection.sources.count > 1, !destination.isDirectory,
            selection.sources.contains(where: { !$0.node.status.isDirectory }),
            (try? openat2(target.raw, destination.path, flags: O_PATH | O_DIRECTORY, resolve: .inRoot)) == nil
        else { return }
        throw Failure(
            "`\(keyword)` found \(selection.sources.count) sources and has one file as its destination",
            advice: "end the destination with a slash: \(destination.path)/", at: place)
    }

    // MARK: Roots

    /// What names a selection in a tree that never changes; nil for directories of the host.
    private func selectionKey(_ origin: Origin, _ sources: [String], at place: SourceLocation) throws(Failure)
        -> Digest?
    {
        let layers: LayerStack
        switch origin {
        case .stage(let index): layers = states[index]?.layers ?? LayerStack()
        case .image(let reference):
            layers = try image(reference, at: place).layers
            // A root file system used in place has no digests, as anyone may change it.
            if layers.diffIDs.isEmpty { return nil }
        case .scratch, .context, .directory: return nil
        }
        var key = KeyBuilder()
        key.add("selection")
        key.add(layers.diffIDs.map(\.hex))
        key.add(sources)
        return key.key
    }

    private func root(of origin: Origin, at place: SourceLocation) throws(Failure) -> SourceRoot {
        if let known = roots[origin] { return known }
        let root: SourceRoot
        switch origin {
        case .scratch: root = try layersRoot(LayerStack(), "scratch", at: place)
        case .stage(let index):
            let title = file.stages[index].name.map { "stage `\($0)`" } ?? "stage \(index)"
            root = try layersRoot(states[index]?.layers ?? LayerStack(), title, at: place)
        case .image(let reference):
            root = try layersRoot(try image(reference, at: place).layers, "image `\(reference)`", at: place)
        case .directory(let name, let path):
            root = try directoryRoot(
                path, "the context `\(name)` (\(path))", ignore: ["\(path)/.dockerignore"], at: place)
        case .context:
            guard let path = request.context else {
                throw Failure("this build has no context to copy from", at: place)
            }
            root = try directoryRoot(
                path, "the build context",
                ignore: ["\(request.dockerfilePath).dockerignore", "\(path)/.dockerignore"], at: place)
        }
        roots[origin] = root
        return root
    }

    private func directoryRoot(
        _ path: String, _ title: String, ignore files: [String], at place: SourceLocation
    )
        throws(Failure) -> SourceRoot
    {
        let fd = try system("cannot open \(title), \(path)", at: place) { () throws(SyscallError) in
            SharedFD(try openFile(path, flags: O_RDONLY | O_DIRECTORY))
        }
        let cache = ContentCache(for: path, under: "\(store.root)/buildcache")
        contentCaches.append(cache)
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
    private func layersRoot(_ layers: LayerStack, _ title: String, at place: SourceLocation) throws(Failure)
        -> SourceRoot
    {
        let fd = try system("cannot open the files of \(title)", at: place) { () throws(SyscallError) in
            switch layers.lowers.count {
            case 0: SharedFD(try openFile(try work().directory("empty"), flags: O_RDONLY | O_DIRECTORY))
            // overlayfs wants two; one layer alone is its own merged tree.
            case 1: SharedFD(try openFile(layers.lowers[0], flags: O_RDONLY | O_DIRECTORY))
            default: SharedFD(try detachedOverlay(lowers: layers.lowers))
            }
        }
        return SourceRoot(directory: fd, title: title, resetsOwners: false, contents: nil)
    }

    // MARK: Archives

    /// Unpacks the sources that are tars into the destination; the others are returned to be copied.
    private func unpackArchives(
        _ sources: [SelectedSource], _ root: SourceRoot, _ area: StepArea, to destination: String,
        _ target: SharedFD, _ owner: Owner?
    ) throws(Failure) -> [SelectedSource] {
        var others: [SelectedSource] = []
        for source in sources {
            let doing = "cannot unpack `\(source.path)`"
            guard source.node.status.isRegular,
                let file = try system(doing, { () throws(SyscallError) in try root.openForReading(source) }),
                try isArchive(file, source)
            else {
                others.append(source)
                continue
            }
            let directory = try system(doing) { () throws(SyscallError) in try area.scratchDirectory() }
            defer { try? removeTree(directory) }
            let top = try system(doing) { () throws(SyscallError) in
                try retrying("lseek", source.path) { lseek(file.raw, 0, SEEK_SET) }
                return SharedFD(try openFile(directory, flags: O_RDONLY | O_DIRECTORY))
            }
            let notes: UnpackNotes
            do throws(ArchiveError) {
                notes = try unpackLayer(
                    TarReader(try Decompressed(FileSource(file, name: source.path))), into: top.raw)
            } catch {
                throw Failure(doing, error)
            }
            guard notes.whiteouts.isEmpty else {
                throw Failure(doing, cause: "it is an image's layer: it holds whiteouts (.wh. names)")
            }
            let unpacked = SourceRoot(directory: top, title: source.path, resetsOwners: false, contents: nil)
            let place = SourceLocation(file: request.dockerfilePath, line: 1, column: 1)
            var all = try unpacked.select([(word: Word("/", at: place), text: "/")], instruction: "ADD")
            let implied = Set(notes.implied)
            for index in all.sources.indices { all.sources[index].node.markImplied(implied, path: []) }
            let writer = TreeWriter(root: target.raw, owner: owner, mode: nil, resetsOwners: false)
            try writer.copy(all, from: unpacked, to: destination, isDirectory: true)
        }
        return others
    }

    /// True for a tar, plain or compressed; a compressed file that holds something else is a file.
    private func isArchive(_ file: SharedFD, _ source: SelectedSource) throws(Failure) -> Bool {
        let name = source.path
        var head = try system("cannot read `\(name)`") { () throws(SyscallError) in
            var head = [UInt8](repeating: 0, count: 512)
            let count = try retrying("pread", name) { pread(file.raw, &head, 512, 0) }
            return Array(head[..<count])
        }
        let foreign: [([UInt8], String)] = [
            ([0x42, 0x5A, 0x68], "bzip2"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz"),
        ]
        for (magic, kind) in foreign where head.starts(with: magic) {
            throw Failure(
                "`ADD` cannot unpack `\(name)`",
                cause: "it is compressed with \(kind); gzip and zstd are supported",
                advice: "use COPY to have the file itself, or compress it anew")
        }
        if head.starts(with: [0x1F, 0x8B]) || head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
            do throws(ArchiveError) {
                let stream = try Decompressed(
                    FileSource(file, offset: 0, length: Int64(source.node.status.st_size), name: name))
                head.removeAll()
                while head.count < 512 {
                    let chunk = try stream.next()
                    if chunk.isEmpty { break }
                    head += chunk.prefix(512 - head.count)
                }
            } catch {
                throw Failure("cannot read `\(name)`", error)
            }
        }
        return isTarHeader(head)
    }

    /// A header's checksum counts its own field as blanks (pax(1), "ustar Interchange Format").
    private func isTarHeader(_ head: [UInt8]) -> Bool {
        guard head.count == 512, head[0] != 0 else { return false }
        let text = String(decoding: head[148..<156].filter { $0 != 0 && $0 != 32 }, as: UTF8.self)
        guard let checksum = Int(text, radix: 8) else { return false }
        let sum = head.enumerated().reduce(0) {
            $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element))
        }
        return sum == checksum
    }
}

/// A kernel error in the user's words.
func system<Result>(
    _ doing: @autoclosure () -> String, at place: SourceLocation? = nil,
    _ body: () throws(SyscallError) -> Result
) throws(Failure) -> Result {
    do throws(SyscallError) { return try body() } catch { throw Failure(doing(), error, at: place) }
}

extension SourceNode {
    /// Marks the directories that an archive only implies.
    mutating func markImplied(_ implied: Set<[UInt8]>, path: [UInt8]) {
        guard !implied.isEmpty else { return }
        isImplied = implied.contains(path)
        for index in children.indices {
            let name = children[index].name.dropLast().map { UInt8(bitPattern: $0) }
            children[index].markImplied(
                implied, path: path.isEmpty ? name : path + [UInt8(ascii: "/")] + name)
        }
    }
}
