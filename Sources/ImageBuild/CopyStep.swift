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

extension StageRun {
    func copyStep(
        _ copy: CopyInstruction, _ instruction: Instruction, _ words: Substitution, isAdd: Bool
    ) throws(Failure) {
        let keyword = isAdd ? "ADD" : "COPY"
        let named = try copy.sources.map { (word: Word) throws(Failure) in
            (word: word, text: try words.expand(word))
        }
        let sources = named.filter { !isAdd || !StageRun.isRemote($0.text) }
        let remoteNames = named.filter { isAdd && StageRun.isRemote($0.text) }
        let checksum = try copy.checksum.map { (word: Word) throws(Failure) in try words.expand(word) }
        if let word = copy.checksum {
            guard remoteNames.count == 1, named.count == 1 else {
                throw Failure(
                    "`--checksum` is given with \(named.count == 1 ? "no URL" : "several sources")",
                    cause: "it is what one file or repository from elsewhere has to be", at: word.location)
            }
        }
        if copy.keepsGitDirectory, !remoteNames.contains(where: { GitReference.isGit($0.text) }) {
            throw Failure(
                "`--keep-git-dir` is given, and no source is a repository", at: instruction.location)
        }
        let destination = try destination(copy, words, state, keyword)
        let ownerText = try copy.owner.map { (word: Word) throws(Failure) in try words.expand(word) }
        let mode = try mode(copy.mode, words)
        let excludes = try IgnorePatterns(
            excluding: copy.excludes.map { (word: Word) throws(Failure) in
                Word(try words.expand(word), at: word.location)
            })
        let files = try copy.files.map { (file: Heredoc) throws(Failure) in
            (name: file.name, content: Array(try content(file, words).utf8))
        }
        if named.count + files.count > 1, !destination.isDirectory, !copy.keepsParents {
            throw Failure(
                "`\(keyword)` has several sources and one file as its destination",
                advice: "end the destination with a slash: \(copy.destination.text)/",
                at: copy.destination.location)
        }

        let origin = session.graph.origin(of: copy.from, in: index)
        let place = copy.from?.location ?? instruction.location
        func select(_ root: SourceRoot) throws(Failure) -> Selection {
            try session.selecting.held { () throws(Failure) in
                try root.select(
                    sources, instruction: keyword, excludes: excludes, keepsParents: copy.keepsParents)
            }
        }
        if session.request.checksOnly {
            if origin == .context, session.request.context != nil {
                warnOfIgnored(sources, try root(of: origin, at: place))
            }
            return try changeFiles(KeyBuilder(), instruction) { (_: StepArea) throws(Failure) in }
        }
        let remotes = try remoteSources(
            remoteNames, copy, checksum, intoDirectory: destination.isDirectory)
        var selection: Selection?
        var digest: Digest?
        if !sources.isEmpty {
            var texts = sources.map(\.text)
            if copy.keepsParents { texts.append("parents") }
            texts += copy.excludes.map { "exclude \($0.text)" }
            let selected = try selectionKey(origin, texts, at: place)
            if let selected, !noCache { digest = session.caches.selection(selected) }
            if digest == nil {
                let made = try select(try root(of: origin, at: place))
                (selection, digest) = (made, made.digest)
            }
            if let selected, let digest { session.caches.keep(selection: digest, selected) }
        }

        var key = KeyBuilder()
        key.add(keyword)
        key.add(destination.path)
        key.add(destination.isDirectory ? "/" : "")
        key.add(ownerText ?? "")
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
        // Files that are put on nothing have the owner that the image so far knows by that name.
        var known: Owner?
        if copy.isLinked, let ownerText {
            let owner = try owner(ownerText, at: copy.owner?.location)
            key.add("\(owner.uid):\(owner.gid)")
            known = owner
        }
        try changeFiles(key, instruction, isLinked: copy.isLinked) { (area: StepArea) throws(Failure) in
            let target = try area.mount()
            var owner = known
            if owner == nil, let ownerText {
                do throws(Failure) { owner = try AccountNames.owner(ownerText, in: target.raw) } catch {
                    var failure = error
                    failure.location = copy.owner?.location
                    throw failure
                }
            }
            if !sources.isEmpty {
                let root = try root(of: origin, at: place)
                var chosen: Selection
                if let selection { chosen = selection } else { chosen = try select(root) }
                if isAdd, copy.unpacks != false {
                    chosen.sources = try unpackArchives(
                        chosen.sources, root, area, to: destination.path, target, owner)
                }
                try refuseAmbiguous(chosen, destination, target, keyword, at: copy.destination.location)
                let writer = TreeWriter(
                    root: target.raw, owner: owner, mode: mode, resetsOwners: root.resetsOwners)
                try writer.copy(
                    chosen, from: root, to: destination.path,
                    isDirectory: destination.isDirectory || copy.keepsParents)
            }
            for remote in remotes {
                try add(
                    remote, copy, excludes, area, target, to: (destination.path, destination.isDirectory),
                    owner, mode)
            }
            if !files.isEmpty {
                let writer = TreeWriter(root: target.raw, owner: owner, mode: mode, resetsOwners: true)
                try writer.copy(
                    inline(files), from: nil, to: destination.path, isDirectory: destination.isDirectory)
            }
        }
    }

    /// An owner by the accounts of the image so far, for files that are put on nothing.
    private func owner(_ text: String, at place: SourceLocation?) throws(Failure) -> Owner {
        let root = try layersRoot(state.layers, "the image", at: place ?? stageLocation)
        do throws(Failure) { return try AccountNames.owner(text, in: root.directory.raw) } catch {
            var failure = error
            failure.location = place
            throw failure
        }
    }

    /// Docker's check: a source that the ignore file leaves out.
    private func warnOfIgnored(_ sources: [(word: Word, text: String)], _ root: SourceRoot) {
        for (word, text) in sources where !PathPattern.isPattern(text) {
            let path = cleanPath("/" + text).split(separator: "/").joined(separator: "/")
            guard !path.isEmpty, root.ignore.ignores(path) else { continue }
            session.warn(
                Warning("`\(text)` is left out by \(root.ignoreFile)", .copyIgnoredFile, at: word.location))
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

    private func mode(_ word: Word?, _ words: Substitution) throws(Failure) -> FileMode? {
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
}
