// SPDX-License-Identifier: Apache-2.0
//
// ADD of URLs and repositories: each is pinned to what it stands for now, a digest or a commit, which is the step's key.
// A URL's file has its name, mode 0600 and the server's Last-Modified as its time; a repository's files are the
// commit's, without `.git` unless it is wanted. Repositories are checked out only when the step is carried out.
// Source: Dockerfile reference, "ADD".

internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

/// A source of ADD that is not in a context.
enum RemoteSource {
    /// - name: the last part of its path; nil when there is none.
    case file(Download, name: String?, url: String)
    case repository(GitReference, commit: String)
}

extension StageRun {
    static func isRemote(_ text: String) -> Bool {
        let lower = text.lowercased()
        return ["http://", "https://", "ftp://"].contains(where: lower.hasPrefix) || GitReference.isGit(text)
    }

    /// What the remote ones among the sources stand for, in order.
    func remoteSources(
        _ sources: [(word: Word, text: String)], _ copy: CopyInstruction, _ checksum: String?,
        intoDirectory: Bool
    ) throws(Failure) -> [RemoteSource] {
        var found: [RemoteSource] = []
        for (word, text) in sources {
            do throws(Failure) {
                if GitReference.isGit(text) {
                    found.append(try repository(text, checksum))
                } else {
                    found.append(try file(text, checksum, at: copy.checksum?.location, intoDirectory))
                }
            } catch {
                var failure = error
                if failure.location == nil { failure.location = word.location }
                throw failure
            }
        }
        return found
    }

    private func file(
        _ url: String, _ checksum: String?, at place: SourceLocation?, _ intoDirectory: Bool
    ) throws(Failure) -> RemoteSource {
        guard !url.lowercased().hasPrefix("ftp://") else {
            throw Failure(
                "`ADD` cannot fetch \(url)", cause: "ftp is not spoken", advice: "use https, or a RUN step")
        }
        let digest = try checksum.map { (text: String) throws(Failure) -> Digest in
            guard let digest = Digest(text) else {
                throw Failure(
                    "`--checksum=\(text)` is no checksum",
                    cause: "it takes sha256: and 64 hex digits in small letters",
                    advice: "sha256sum FILE tells it", at: place)
            }
            return digest
        }
        let name = try StageRun.fileName(url)
        if name == nil, intoDirectory { throw StageRun.nameless(url) }
        return .file(try session.download(url, digest), name: name, url: url)
    }

    private func repository(_ text: String, _ checksum: String?) throws(Failure) -> RemoteSource {
        let doing = "cannot add the repository \(text.prefix { $0 != "#" })"
        let reference = try GitReference(text, doing: doing)
        let commit = try session.commit(reference)
        if let checksum, !(checksum.utf8.count >= 7 && commit.hasPrefix(checksum.lowercased())) {
            throw Failure(
                doing, cause: "it is at commit \(commit), and --checksum says \(checksum)",
                advice: "a commit's id, or its first seven digits or more, is its checksum")
        }
        return .repository(reference, commit: commit)
    }

    private static func nameless(_ url: String) -> Failure {
        Failure(
            "`ADD` cannot name the file of \(url)",
            cause: "its path is empty, and the destination is a directory",
            advice: "give the file's own path as the destination")
    }

    /// The last part of a URL's path, decoded; nil when there is none.
    static func fileName(_ url: String) throws(Failure) -> String? {
        let path = url.prefix { $0 != "?" && $0 != "#" }.split(
            separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard path.count == 4, let last = path[3].split(separator: "/").last else { return nil }
        var bytes: [UInt8] = []
        var rest = Array(last.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else {
                throw Failure(
                    "`ADD` cannot name the file of \(url)", cause: "it has a `%` that escapes nothing")
            }
            rest = rest.dropFirst(2)
            bytes.append(value)
        }
        let name = String(decoding: bytes, as: UTF8.self)
        guard !name.isEmpty, name != ".", name != "..", name.utf8.count <= 255,
            !bytes.contains(UInt8(ascii: "/")), !bytes.contains(0)
        else {
            throw Failure(
                "`ADD` cannot name the file of \(url)", cause: "`\(last)` is no file name",
                advice: "give the file's own path as the destination")
        }
        return name
    }

    // MARK: Putting them in place

    /// - destination: its path, and whether it ended in a slash.
    func add(
        _ source: RemoteSource, _ copy: CopyInstruction, _ excludes: IgnorePatterns, _ area: StepArea,
        _ target: SharedFD, to destination: (path: String, isDirectory: Bool), _ owner: Owner?,
        _ mode: FileMode?
    ) throws(Failure) {
        switch source {
        case .file(let download, let name, let url):
            let (root, chosen) = try opened(download, name, url)
            if copy.unpacks == true {
                let rest = try unpackArchives(chosen.sources, root, area, to: destination.path, target, owner)
                if rest.isEmpty { return }
            }
            let isThere =
                (try? openat2(target.raw, destination.path, flags: O_PATH | O_DIRECTORY, resolve: .inRoot))
                != nil
            guard name != nil || !(destination.isDirectory || isThere) else {
                throw StageRun.nameless(url)
            }
            try TreeWriter(root: target.raw, owner: owner, mode: mode, resetsOwners: true)
                .copy(chosen, from: root, to: destination.path, isDirectory: destination.isDirectory)
        case .repository(let reference, let commit):
            let doing = "cannot add the repository \(reference.url)"
            let directory = try system(doing) { () throws(SyscallError) in try area.scratchDirectory() }
            defer { try? removeTree(directory) }
            try session.remote.checkOut(reference, commit, directory, copy.keepsGitDirectory)
            let top = try system(doing) { () throws(SyscallError) in
                SharedFD(try openFile(directory, flags: O_RDONLY | O_DIRECTORY))
            }
            let root = SourceRoot(directory: top, title: reference.url, resetsOwners: true, contents: nil)
            let inner = reference.directory.isEmpty ? "/" : reference.directory
            // A name with wildcards is a name here.
            let plain = inner.map { "*?[\\".contains($0) ? "\\\($0)" : String($0) }.joined()
            let place = SourceLocation(file: session.request.dockerfilePath, line: 1, column: 1)
            let all = try root.select(
                [(word: Word(inner, at: place), text: plain)], instruction: "ADD", excludes: excludes)
            try TreeWriter(root: target.raw, owner: owner, mode: mode, resetsOwners: true)
                .copy(all, from: root, to: destination.path, isDirectory: true)
        }
    }

    /// The fetched file as if a context had it: under its name, with the server's time.
    private func opened(_ download: Download, _ name: String?, _ url: String) throws(Failure) -> (
        SourceRoot, Selection
    ) {
        let (top, status) = try system("cannot read what was fetched from \(url)") {
            () throws(SyscallError) in
            let top = SharedFD(try openFile(download.directory, flags: O_RDONLY | O_DIRECTORY))
            return (top, try fileStatus("\(download.directory)/\(download.name)"))
        }
        var seen = status
        seen.st_mode = stat.regular | 0o600
        seen.st_nlink = 1
        seen.st_mtim = timespec(tv_sec: Int(download.record.modified), tv_nsec: 0)
        let node = SourceNode(name: (name ?? "download").cName, status: seen)
        let root = SourceRoot(directory: top, title: url, resetsOwners: true, contents: nil)
        return (
            root,
            Selection(
                sources: [SelectedSource(path: download.name, node: node)], digest: download.record.digest)
        )
    }
}

extension RemoteSource {
    /// What it adds to the step's key.
    func identity(_ copy: CopyInstruction) -> [String] {
        switch self {
        case .file(let download, let name, _):
            ["file", download.record.digest.hex, String(download.record.modified), name ?? ""]
                + (copy.unpacks == true ? ["unpacked"] : [])
        case .repository(let reference, let commit):
            ["repository", commit, reference.directory, copy.keepsGitDirectory ? "with .git" : ""]
        }
    }
}
