// SPDX-License-Identifier: Apache-2.0
//
// COPY or ADD as it stands once its variables are replaced. What its words mean is looked at here, before any file is; what
// they name is CopyStep's to find.

internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

struct CopyRequest {
    struct Destination {
        var path: String
        /// It ended in a slash, or in `.` or `..`.
        var isDirectory: Bool
    }

    let copy: CopyInstruction
    let isAdd: Bool
    /// Of what says where the sources are.
    let place: SourceLocation
    /// In the tree that `--from` names, or the context.
    let sources: [(word: Word, text: String)]
    /// URLs and repositories.
    let remotes: [(word: Word, text: String)]
    let checksum: String?
    let destination: Destination
    let owner: String?
    let mode: FileMode?
    let excludes: IgnorePatterns
    /// Written in the Dockerfile itself.
    let files: [(name: String, content: [UInt8])]

    var keyword: String { isAdd ? "ADD" : "COPY" }

    init(
        _ copy: CopyInstruction, of instruction: Instruction, isAdd: Bool, _ words: Substitution,
        _ state: StageState
    ) throws(Failure) {
        self.copy = copy
        self.isAdd = isAdd
        place = copy.from?.location ?? instruction.location
        let named = try copy.sources.map { (word: Word) throws(Failure) in
            (word: word, text: try words.expand(word))
        }
        sources = named.filter { !isAdd || !StageRun.isRemote($0.text) }
        remotes = named.filter { isAdd && StageRun.isRemote($0.text) }
        checksum = try copy.checksum.map { (word: Word) throws(Failure) in try words.expand(word) }
        destination = try CopyRequest.destination(copy, words, state, isAdd ? "ADD" : "COPY")
        owner = try copy.owner.map { (word: Word) throws(Failure) in try words.expand(word) }
        mode = try CopyRequest.mode(copy.mode, words)
        excludes = try IgnorePatterns(
            excluding: copy.excludes.map { (word: Word) throws(Failure) in
                Word(try words.expand(word), at: word.location)
            })
        files = try copy.files.map { (file: Heredoc) throws(Failure) in
            let text =
                file.expands
                ? try words.expandContent(Word(file.content, at: file.location)) : file.content
            return (name: file.name, content: Array(text.utf8))
        }
        try refuseContradictions(at: instruction.location)
    }

    private func refuseContradictions(at instruction: SourceLocation) throws(Failure) {
        if let word = copy.checksum, remotes.count != 1 || !sources.isEmpty {
            let given = sources.count + remotes.count == 1 ? "no URL" : "several sources"
            throw Failure(
                "`--checksum` is given with \(given)",
                cause: "it is what one file or repository from elsewhere has to be", at: word.location)
        }
        if copy.keepsGitDirectory, !remotes.contains(where: { GitReference.isGit($0.text) }) {
            throw Failure("`--keep-git-dir` is given, and no source is a repository", at: instruction)
        }
        if sources.count + remotes.count + files.count > 1, !destination.isDirectory, !copy.keepsParents {
            throw Failure(
                "`\(keyword)` has several sources and one file as its destination",
                advice: "end the destination with a slash: \(copy.destination.text)/",
                at: copy.destination.location)
        }
    }

    private static func destination(
        _ copy: CopyInstruction, _ words: Substitution, _ state: StageState, _ keyword: String
    ) throws(Failure) -> Destination {
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

    private static func mode(_ word: Word?, _ words: Substitution) throws(Failure) -> FileMode? {
        guard let word else { return nil }
        let text = try words.expand(word)
        guard let mode = FileMode(text) else {
            throw Failure(
                "`--chmod=\(text)` is no mode",
                cause: "it takes an octal number such as 0644, or changes such as u=rwX,go=rX",
                at: word.location)
        }
        return mode
    }

    /// What it says; the digest stands for what the sources are.
    func key(_ digest: Digest?, _ remotes: [RemoteSource]) -> KeyBuilder {
        var key = KeyBuilder()
        key.add(keyword)
        key.add(destination.path)
        key.add(destination.isDirectory ? "/" : "")
        key.add(owner ?? "")
        key.add(mode?.text ?? "")
        if copy.keepsParents { key.add("parents") }
        if copy.unpacks == false { key.add("as it is") }
        if let digest { key.add(digest) }
        for file in files {
            key.add(file.name)
            key.add(file.content)
        }
        for remote in remotes { key.add(remote.identity(copy)) }
        if !remotes.isEmpty { key.add(excludes.isEmpty ? [] : copy.excludes.map(\.text)) }
        return key
    }

    /// The Dockerfile's own files as if they had been found somewhere.
    var inline: Selection {
        let nodes = files.map { file in
            var status = stat()
            status.st_mode = stat.regular | 0o644
            var node = SourceNode(name: file.name.cName, status: status)
            node.content = file.content
            return SelectedSource(path: file.name, node: node)
        }
        return Selection(sources: nodes, digest: Digest(of: []))
    }

    /// Several files that a wildcard found cannot all become the one file that is named.
    func refuseAmbiguous(_ selection: Selection, _ target: SharedFD) throws(Failure) {
        guard selection.sources.count > 1, !destination.isDirectory,
            selection.sources.contains(where: { !$0.node.status.isDirectory }),
            (try? openat2(target.raw, destination.path, flags: O_PATH | O_DIRECTORY, resolve: .inRoot)) == nil
        else { return }
        throw Failure(
            "`\(keyword)` found \(selection.sources.count) sources and has one file as its destination",
            advice: "end the destination with a slash: \(destination.path)/", at: copy.destination.location)
    }
}
