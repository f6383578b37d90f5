// SPDX-License-Identifier: Apache-2.0
//
// `cp` between a service's containers and here. Whoever is in the container may move things while we look: see
// Archives/TreeStream.swift for why that leads nowhere.

internal import Archives
internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

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
    let doing = "cannot copy \(words[0]) to \(words[1])"
    let follows = session.arguments.has(.followLink)
    switch (CopyEnd(words[0]), CopyEnd(words[1])) {
    case (.container(let service, let path), .here(let target)):
        let tree = try ContainerTree(session, try copied(service, session)[0], writable: false)
        let source = try CopySource(tree.root, path, inRoot: true, follows: follows, doing)
        let here = SharedFD(
            try naming(doing) { () throws(SyscallError) in try openFile("/", flags: O_RDONLY | O_DIRECTORY) })
        try source.send(
            to: try CopyTarget(
                here, session.invocation.absolute(target), target, isRoot: false, source, doing), session,
            doing)
    case (.here(let path), .container(let service, let target)):
        let containers = try copied(service, session)
        let here = SharedFD(
            try naming(doing) { () throws(SyscallError) in try openFile("/", flags: O_RDONLY | O_DIRECTORY) })
        var absolute = session.invocation.absolute(path)
        if path.hasSuffix("/.") || path == "." { absolute += "/." }
        let source = try CopySource(here, absolute, inRoot: false, follows: follows, doing)
        for container in containers {
            let tree = try ContainerTree(session, container, writable: true)
            try source.send(
                to: try CopyTarget(tree.root, target, target, isRoot: true, source, doing), session, doing)
        }
    case (.container(let service, let path), .stream):
        guard !isTerminal(session.invocation.output) else {
            throw Failure(
                doing, cause: "the standard output is a terminal",
                advice: "redirect it: covey cp … - >FILE.tar")
        }
        let tree = try ContainerTree(session, try copied(service, session)[0], writable: false)
        let source = try CopySource(tree.root, path, inRoot: true, follows: follows, doing)
        try source.write(to: session.invocation.output, doing)
    case (.stream, .container(let service, let target)):
        let containers = try copied(service, session)
        guard containers.count == 1 else {
            throw Failure(
                doing, cause: "the service has \(containers.count) containers, and the input is read once",
                advice: "choose one with --index")
        }
        let tree = try ContainerTree(session, containers[0], writable: true)
        let directory = try naming(doing) { () throws(SyscallError) in
            try openat2(
                tree.root.raw, target, flags: O_RDONLY | O_DIRECTORY, resolve: [.inRoot, .noMagicLinks])
        }
        let input = SharedFD(
            try naming(doing) { () throws(SyscallError) in
                OwnedFD(taking: try retrying("dup") { dup(session.invocation.input) })
            })
        let window = try session.imageStore().limits.window
        try copying(doing) { () throws(ArchiveError) in
            let stream = FileSource(input, name: "the standard input")
            let reader = TarReader(try Decompressed(stream, mostWindow: window))
            try sendArchive(reader, to: TreeWriter(directory.raw))
        }
    default:
        throw Failure(
            doing, cause: "one of the two is SERVICE:PATH, the other a path here or - for a tar",
            advice: "write a path with a colon as ./PATH")
    }
    return 0
}

/// The containers of a service that are copied into, or the first of which is copied out of: one with --index, else all; with
/// --all those of `run` too.
private func copied(_ service: String, _ session: Session) throws(Failure) -> [ContainerStatus] {
    if let index = try session.arguments.number(.index, atLeast: 1) {
        return [try session.container(of: service, number: index)]
    }
    let all = try session.containers(try session.place())
    try checkKnown([service], among: all.map(\.service), session)
    let takesOneOffs = session.arguments.has(.all)
    let own = all.filter { $0.service == service && (takesOneOffs || !$0.oneOff) }
    if own.isEmpty {
        throw Failure("service \"\(service)\" has no container", advice: "covey ps -a lists them")
    }
    return own
}

func copying(_ doing: String, _ body: () throws(ArchiveError) -> Void) throws(Failure) {
    do throws(ArchiveError) { try body() } catch { throw Failure(doing, cause: error.cause) }
}

/// What is copied: an entry of an open directory, found once.
private struct CopySource {
    let parent: SharedFD
    let name: CName
    let isDirectory: Bool
    /// What a copy is called that gets no other name: a link that is followed keeps its own.
    private let title: [UInt8]

    /// - follows: of a link what it leads to.
    init(_ root: SharedFD, _ path: String, inRoot: Bool, follows: Bool, _ doing: String) throws(Failure) {
        let resolve: Resolve = inRoot ? [.inRoot, .noMagicLinks] : [.inRoot]
        do throws(SyscallError) {
            let found = follows ? try endOfLinks(path, root, resolve) : path
            // `DIR/.`: what is in it, not itself.
            // What is said of a link is meant of what it leads to.
            let contentsOnly = [path, found].contains { $0.hasSuffix("/.") || $0 == "/" || $0 == "." }
            var parts = names(of: found)
            if parts.isEmpty || parts.last == ".." || contentsOnly {
                // The directory itself, known by its descriptor alone.
                parent = SharedFD(
                    try openat2(
                        root.raw, "/" + parts.joined(separator: "/"), flags: O_RDONLY | O_DIRECTORY,
                        resolve: resolve))
                name = [46, 0]
                title = []
                isDirectory = true
                return
            }
            let last = parts.removeLast()
            parent = SharedFD(
                try openat2(
                    root.raw, "/" + parts.joined(separator: "/"), flags: O_RDONLY | O_DIRECTORY,
                    resolve: resolve))
            name = last.cName
            title = Array((names(of: path).last ?? last).utf8)
            guard let status = try status(of: name, at: parent.raw) else {
                throw SyscallError("fstatat", .noEntry, path)
            }
            isDirectory = status.isDirectory
        } catch {
            throw Failure(doing, error)
        }
    }

    func write(to fd: Int32, _ doing: String) throws(Failure) {
        let file = SharedFD(
            try naming(doing) { () throws(SyscallError) in OwnedFD(taking: try retrying("dup") { dup(fd) }) })
        try copying(doing) { () throws(ArchiveError) in
            let writer = TarWriter(FileSink(file, name: "the archive"))
            let source = TreeSource(writer)
            if name == [46, 0] {
                try source.sendContents(of: parent.raw, as: [])
            } else {
                try source.send(name, at: parent.raw, as: title)
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
            let called = target.name ?? title
            if name == [46, 0] {
                try source.sendContents(of: parent.raw, as: called)
            } else {
                try source.send(name, at: parent.raw, as: called)
            }
            try writer.finish()
        }
    }
}

private func names(of path: String) -> [String] {
    path.split(separator: "/").filter { $0 != "." }.map(String.init)
}

/// The path at the end of the links that a path's last name begins; as many as path_resolution(7) follows.
private func endOfLinks(_ path: String, _ root: SharedFD, _ resolve: Resolve) throws(SyscallError) -> String {
    var path = path
    for _ in 0..<40 {
        var parts = names(of: path)
        guard let last = parts.popLast(), last != ".." else { return path }
        let above = "/" + parts.joined(separator: "/")
        let directory = try openat2(root.raw, above, flags: O_RDONLY | O_DIRECTORY, resolve: resolve)
        guard let status = try status(of: last.cName, at: directory.raw), status.isSymlink else {
            return path
        }
        let target = try readLink(last, at: directory.raw)
        path = target.hasPrefix("/") ? target : "\(above)/\(target)"
    }
    throw SyscallError("readlinkat", .loop, path)
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
        // As `docker cp` has it: a link's target is written, the link stays.
        let end = try naming(doing) { () throws(SyscallError) in try endOfLinks(absolute, root, resolve) }
        var parts = end.split(separator: "/").map(String.init)
        guard let last = parts.popLast(), last != "..", last != "." else {
            throw Failure(doing, cause: "\(written) does not exist")
        }
        let parent = try naming(doing) { () throws(SyscallError) in
            try openat2(
                root.raw, "/" + parts.joined(separator: "/"), flags: O_RDONLY | O_DIRECTORY, resolve: resolve)
        }
        directory = SharedFD(parent)
        name = Array(last.utf8)
        let there = try naming(doing) { () throws(SyscallError) in
            try status(of: last.cName, at: directory.raw)
        }
        if let there, !there.isRegular {
            throw Failure(
                doing, cause: "\(written) is a device, a pipe or a socket, and would be replaced",
                advice: "name a file or a directory; `-` writes a tar to the standard output")
        }
        if source.name == [46, 0] {
            try naming(doing) { () throws(SyscallError) in try makeDirectory(last, at: directory.raw) }
        }
    }
}
