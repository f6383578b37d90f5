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
        let request = try CopyRequest(copy, of: instruction, isAdd: isAdd, words, state)
        let origin = session.graph.origin(of: copy.from, in: index)
        if session.request.checksOnly {
            if origin == .context, session.request.context != nil {
                warnOfIgnored(request.sources, try root(of: origin, at: request.place))
            }
            return try changeFiles(KeyBuilder(), instruction) { (_: StepArea) throws(Failure) in }
        }
        let remotes = try remoteSources(
            request.remotes, copy, request.checksum, intoDirectory: request.destination.isDirectory)
        let (digest, selection) = try select(request, origin)
        var key = request.key(digest, remotes)
        // Files that are put on nothing have the owner that the image so far knows by that name.
        var known: Owner?
        if copy.isLinked, let text = request.owner {
            let owner = try owner(text, at: copy.owner?.location)
            key.add("\(owner.uid):\(owner.gid)")
            known = owner
        }
        try changeFiles(key, instruction, isLinked: copy.isLinked) { (area: StepArea) throws(Failure) in
            let target = try area.mount()
            var owner = known
            if owner == nil, let text = request.owner {
                owner = try self.owner(text, in: target.raw, at: copy.owner?.location)
            }
            if !request.sources.isEmpty {
                try copySources(of: request, origin, selection, area, target, owner)
            }
            for remote in remotes {
                try add(
                    remote, copy, request.excludes, area, target,
                    to: (request.destination.path, request.destination.isDirectory), owner, request.mode)
            }
            if !request.files.isEmpty {
                try TreeWriter(root: target.raw, owner: owner, mode: request.mode, resetsOwners: true)
                    .copy(
                        request.inline, from: nil, to: request.destination.path,
                        isDirectory: request.destination.isDirectory)
            }
        }
    }

    // MARK: Sources

    /// What the sources are: their digest, and where that had to be found out, they themselves.
    private func select(_ request: CopyRequest, _ origin: Origin) throws(Failure) -> (Digest?, Selection?) {
        if request.sources.isEmpty { return (nil, nil) }
        let key = try selectionKey(
            origin, request.copy.keepsParents ? "copy with parents" : "copy",
            [request.sources.map(\.text), request.copy.excludes.map(\.text)], at: request.place)
        if let key, !noCache, let digest = session.caches.selection(key) {
            session.caches.keep(selection: digest, key)
            return (digest, nil)
        }
        let selection = try lookFor(request, in: try root(of: origin, at: request.place))
        if let key { session.caches.keep(selection: selection.digest, key) }
        return (selection.digest, selection)
    }

    private func lookFor(_ request: CopyRequest, in root: SourceRoot) throws(Failure) -> Selection {
        try session.selecting.held { () throws(Failure) in
            try root.select(
                request.sources, instruction: request.keyword, excludes: request.excludes,
                keepsParents: request.copy.keepsParents)
        }
    }

    private func copySources(
        of request: CopyRequest, _ origin: Origin, _ selection: Selection?, _ area: StepArea,
        _ target: SharedFD, _ owner: Owner?
    ) throws(Failure) {
        let root = try root(of: origin, at: request.place)
        var chosen: Selection
        if let selection { chosen = selection } else { chosen = try lookFor(request, in: root) }
        if request.isAdd, request.copy.unpacks != false {
            chosen.sources = try unpackArchives(
                chosen.sources, root, area, to: request.destination.path, target, owner)
        }
        try request.refuseAmbiguous(chosen, target)
        try TreeWriter(root: target.raw, owner: owner, mode: request.mode, resetsOwners: root.resetsOwners)
            .copy(
                chosen, from: root, to: request.destination.path,
                isDirectory: request.destination.isDirectory || request.copy.keepsParents)
    }

    /// An owner by the accounts of the image so far, for files that are put on nothing.
    private func owner(_ text: String, at place: SourceLocation?) throws(Failure) -> Owner {
        let root = try layersRoot(state.layers, "the image", at: place ?? stageLocation)
        return try owner(text, in: root.directory.raw, at: place)
    }

    private func owner(_ text: String, in root: Int32, at place: SourceLocation?) throws(Failure) -> Owner {
        do throws(Failure) { return try AccountNames.owner(text, in: root) } catch {
            var failure = error
            failure.location = place
            throw failure
        }
    }

    /// Docker's check: a source that the ignore file leaves out.
    private func warnOfIgnored(_ sources: [(word: Word, text: String)], _ root: SourceRoot) {
        for (word, text) in sources where !PathPattern.isPattern(text) {
            let path = normalPath("/" + text).split(separator: "/").joined(separator: "/")
            guard !path.isEmpty, root.ignore.ignores(path) else { continue }
            session.warn(
                Warning("`\(text)` is left out by \(root.ignoreFile)", .copyIgnoredFile, at: word.location))
        }
    }
}
