// SPDX-License-Identifier: Apache-2.0
//
// `cp` between a service's container and here, `export` of all its files, `commit` of what it wrote as an image. Whoever is
// in the container may move things while we look: see Archives/TreeStream.swift for why that leads nowhere.

internal import Archives
internal import Basics
internal import CLinux
internal import Images
internal import Kernel
internal import OCIFormats

/// `SERVICE:PATH` or a path here.
private enum CopyEnd {
    case container(service: String, path: String)
    case here(String)
    /// A tar on the standard input or output.
    case stream

    init(_ text: String) {
        let colon = text.firstIndex(of: ":")
        if text == "-" {
            self = .stream
        } else if let colon, !text.hasPrefix("/"), !text.hasPrefix("."), colon != text.startIndex {
            self = .container(
                service: String(text[..<colon]), path: String(text[text.index(after: colon)...]))
        } else {
            self = .here(text)
        }
    }
}

func runCopy(_ session: Session) throws(Failure) -> Int32 {
    let words = session.arguments.operands
    let index = try session.arguments.number(.index, atLeast: 1) ?? 1
    let doing = "cannot copy \(words[0]) to \(words[1])"
    switch (CopyEnd(words[0]), CopyEnd(words[1])) {
    case (.container(let service, let path), .here(let target)):
        let tree = try ContainerTree(session, service, index: index, writable: false)
        let source = try CopySource(tree.root, path, inRoot: true, doing)
        let here = SharedFD(
            try naming(doing) { () throws(SyscallError) in try openFile("/", flags: O_RDONLY | O_DIRECTORY) })
        try source.send(
            to: try CopyTarget(
                here, session.invocation.absolute(target), target, isRoot: false, source, doing), session,
            doing)
    case (.here(let path), .container(let service, let target)):
        let tree = try ContainerTree(session, service, index: index, writable: true)
        let here = SharedFD(
            try naming(doing) { () throws(SyscallError) in try openFile("/", flags: O_RDONLY | O_DIRECTORY) })
        var absolute = session.invocation.absolute(path)
        if path.hasSuffix("/.") || path == "." { absolute += "/." }
        let source = try CopySource(here, absolute, inRoot: false, doing)
        try source.send(
            to: try CopyTarget(tree.root, target, target, isRoot: true, source, doing), session, doing)
    case (.container(let service, let path), .stream):
        guard !isTerminal(session.invocation.output) else {
            throw Failure(
                doing, cause: "the standard output is a terminal",
                advice: "redirect it: covey cp … - >FILE.tar")
        }
        let tree = try ContainerTree(session, service, index: index, writable: false)
        let source = try CopySource(tree.root, path, inRoot: true, doing)
        try source.write(to: session.invocation.output, doing)
    case (.stream, .container(let service, let target)):
        let tree = try ContainerTree(session, service, index: index, writable: true)
        let directory = try naming(doing) { () throws(SyscallError) in
            try openat2(
                tree.root.raw, target, flags: O_RDONLY | O_DIRECTORY, resolve: [.inRoot, .noMagicLinks])
        }
        let input = SharedFD(
            try naming(doing) { () throws(SyscallError) in
                OwnedFD(taking: try retrying("dup") { dup(session.invocation.input) })
            })
        try copying(doing) { () throws(ArchiveError) in
            let reader = TarReader(try Decompressed(FileSource(input, name: "the standard input")))
            try sendArchive(reader, to: TreeWriter(directory.raw))
        }
    default:
        throw Failure(
            doing, cause: "one of the two is SERVICE:PATH, the other a path here or - for a tar",
            advice: "write a path with a colon as ./PATH")
    }
    return 0
}

private func copying(_ doing: String, _ body: () throws(ArchiveError) -> Void) throws(Failure) {
    do throws(ArchiveError) { try body() } catch { throw Failure(doing, cause: error.cause) }
}

/// What is copied: an entry of an open directory, found once.
private struct CopySource {
    let parent: SharedFD
    let name: CName
    let isDirectory: Bool

    init(_ root: SharedFD, _ path: String, inRoot: Bool, _ doing: String) throws(Failure) {
        // `DIR/.`: what is in it, not itself.
        let contentsOnly = path.hasSuffix("/.") || path == "/" || path == "."
        var parts = path.split(separator: "/").filter { $0 != "." }.map(String.init)
        let resolve: Resolve = inRoot ? [.inRoot, .noMagicLinks] : [.inRoot]
        do throws(SyscallError) {
            if parts.isEmpty || parts.last == ".." || contentsOnly {
                // The directory itself, known by its descriptor alone.
                parent = SharedFD(
                    try openat2(
                        root.raw, "/" + parts.joined(separator: "/"), flags: O_RDONLY | O_DIRECTORY,
                        resolve: resolve))
                name = [46, 0]
                isDirectory = true
                return
            }
            let last = parts.removeLast()
            parent = SharedFD(
                try openat2(
                    root.raw, "/" + parts.joined(separator: "/"), flags: O_RDONLY | O_DIRECTORY,
                    resolve: resolve))
            name = last.cName
            guard let found = try status(of: name, at: parent.raw) else {
                throw SyscallError("fstatat", .noEntry, path)
            }
            isDirectory = found.isDirectory
        } catch {
            throw Failure(doing, error)
        }
    }

    private var bytes: [UInt8] { name.dropLast().map { UInt8(bitPattern: $0) } }

    func write(to fd: Int32, _ doing: String) throws(Failure) {
        let file = SharedFD(
            try naming(doing) { () throws(SyscallError) in OwnedFD(taking: try retrying("dup") { dup(fd) }) })
        try copying(doing) { () throws(ArchiveError) in
            let writer = TarWriter(FileSink(file, name: "the archive"))
            let source = TreeSource(writer)
            if name == [46, 0] {
                try source.sendContents(of: parent.raw, as: [])
            } else {
                try source.send(name, at: parent.raw, as: bytes)
            }
            try writer.finish()
        }
    }

    func send(to target: CopyTarget, _ session: Session, _ doing: String) throws(Failure) {
        let keeps = session.arguments.has(.archive)
        try copying(doing) { () throws(ArchiveError) in
            let writer = TreeWriter(
                target.directory.raw, owner: keeps ? nil : target.owner)
            let source = TreeSource(writer)
            let called = target.name ?? (name == [46, 0] ? [] : bytes)
            if name == [46, 0] {
                try source.sendContents(of: parent.raw, as: called)
            } else {
                try source.send(name, at: parent.raw, as: called)
            }
            try writer.finish()
        }
    }
}

/// Where it goes: an open directory, and the name there when it is not the source's own.
private struct CopyTarget {
    let directory: SharedFD
    let name: [UInt8]?
    let owner: (uid: UInt32, gid: UInt32)

    /// - written: as the user wrote it, whose last slash asks for a directory.
    init(
        _ root: SharedFD, _ path: String, _ written: String, isRoot: Bool, _ source: CopySource,
        _ doing: String
    ) throws(Failure) {
        // As `docker cp` has it: root's in a container, the caller's here.
        owner = isRoot ? (0, 0) : (getuid(), getgid())
        let resolve: Resolve = isRoot ? [.inRoot, .noMagicLinks] : [.inRoot]
        let absolute = path.hasPrefix("/") ? path : "/\(path)"
        do throws(SyscallError) {
            directory = SharedFD(
                try openat2(root.raw, absolute, flags: O_RDONLY | O_DIRECTORY, resolve: resolve))
            name = nil
            return
        } catch {
            guard error.errno == .noEntry || error.errno == .notDirectory else { throw Failure(doing, error) }
            if error.errno == .notDirectory, source.isDirectory || written.hasSuffix("/") {
                throw Failure(doing, cause: "\(written) is no directory")
            }
        }
        if written.hasSuffix("/"), !source.isDirectory {
            throw Failure(doing, cause: "the directory \(written) does not exist", advice: "make it first")
        }
        var parts = absolute.split(separator: "/").map(String.init)
        guard let last = parts.popLast(), last != "..", last != "." else {
            throw Failure(doing, cause: "\(written) does not exist")
        }
        let parent = try naming(doing) { () throws(SyscallError) in
            try openat2(
                root.raw, "/" + parts.joined(separator: "/"), flags: O_RDONLY | O_DIRECTORY, resolve: resolve)
        }
        directory = SharedFD(parent)
        name = Array(last.utf8)
        if source.name == [46, 0] {
            try naming(doing) { () throws(SyscallError) in try makeDirectory(last, at: directory.raw) }
        }
    }
}

func runExport(_ session: Session) throws(Failure) -> Int32 {
    let service = session.arguments.operands[0]
    let doing = "cannot export \"\(service)\""
    let index = try session.arguments.number(.index, atLeast: 1) ?? 1
    let tree = try ContainerTree(session, service, index: index, writable: false, isBare: true)
    guard let target = session.arguments.last(.output), target != "-" else {
        guard !isTerminal(session.invocation.output) else {
            throw Failure(doing, cause: "the standard output is a terminal", advice: "name a file with -o")
        }
        try exportTree(tree.root, to: session.invocation.output, doing)
        return 0
    }
    let path = session.invocation.absolute(target)
    let temporary = "\(path).tmp.\(getpid())"
    let file = try naming(doing) { () throws(SyscallError) in
        try openFile(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
    }
    do throws(Failure) {
        try exportTree(tree.root, to: file.raw, doing)
        try naming(doing) { () throws(SyscallError) in try moveFile(temporary, to: path) }
    } catch {
        try? removeFile(temporary)
        throw error
    }
    return 0
}

private func exportTree(_ root: SharedFD, to fd: Int32, _ doing: String) throws(Failure) {
    let file = SharedFD(
        try naming(doing) { () throws(SyscallError) in OwnedFD(taking: try retrying("dup") { dup(fd) }) })
    try copying(doing) { () throws(ArchiveError) in
        let writer = TarWriter(FileSink(file, name: "the archive"))
        try TreeSource(writer).sendContents(of: root.raw, as: [])
        try writer.finish()
    }
}

func runCommit(_ session: Session) throws(Failure) -> Int32 {
    let (service, name) = (session.arguments.operands[0], session.arguments.operands[1])
    let doing = "cannot make an image of \"\(service)\""
    let index = try session.arguments.number(.index, atLeast: 1) ?? 1
    let tree = try ContainerTree(session, service, index: index, writable: false, isBare: true)
    let state = "\(try session.place().directory)/containers/\(tree.container.name)"
    let record = try ContainerTree.image("\(state)/container.json", doing)
    let store = ImageStore(root: session.root)
    guard let image = try store.lookUp(record.id.description), image.manifest != nil else {
        throw Failure(
            doing, cause: "its image \(record.reference) is not in the store any more, or was used in place",
            advice: "import or pull it again")
    }
    var config = try store.config(of: image)
    config.author = session.arguments.last(.author) ?? config.author
    var step = ImageConfig.History(createdBy: "covey commit \(service)")
    step.comment = session.arguments.last(.message)
    step.author = session.arguments.last(.author)
    config.history = (config.history ?? []) + [step]
    // Archived, not moved: the container may run on.
    let temporary = "\(session.root)/images/.commit.\(getpid())"
    defer { try? removeFile(temporary) }
    let file = SharedFD(
        try naming(doing) { () throws(SyscallError) in
            try openFile(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        })
    let upper = try naming(doing) { () throws(SyscallError) in
        try openFile("\(state)/upper", flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
    try copying(doing) { () throws(ArchiveError) in
        _ = try archiveLayer(upper.raw, into: TarWriter(FileSink(file, name: "the layer")))
    }
    let made = try store.commit(
        layers: image.diffIDs, adding: .tar(path: temporary), config: config, as: name)
    session.out.line(made.facts.id.description)
    return 0
}
