// SPDX-License-Identifier: Apache-2.0
//
// `RUN --mount`: what each mount is made of. Planned before the step is looked up, since what a step mounts is part of
// what it is; prepared only when it runs.
//
// Nothing that a Dockerfile names is ever walked on the host by its text. A bound source is resolved within its root
// (openat2, RESOLVE_IN_ROOT) as COPY's are; from the context it is a copy of what the ignore file leaves, owned by root,
// as Docker's builder has it. A cache is a directory under the digest of its id, so that no id is a path; a directory
// within a cache is reached without following any link, for other builds write there at the same time
// (CVE-2024-1753, CVE-2024-9407, CVE-2024-9675, CVE-2024-9676, CVE-2024-23651).

internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

/// A mount whose variables are replaced and whose sources are known.
struct PlannedMount {
    var settings: MountSettings
    var origin: Origin?
    var place: SourceLocation
    /// Absolute.
    var target: String
    /// What it adds to the step's key.
    var identity: [String]
    /// Digest of what is bound.
    var digest: Digest?
}

struct PreparedMounts {
    var mounts: [StepMount] = []
    var variables: [(name: String, value: String)] = []
    /// Locks on caches, held until the step is over.
    var locks: [CacheLock] = []
}

extension StageRun {
    func plan(_ mount: RunMount, _ words: Substitution) throws(Failure) -> PlannedMount {
        let settings = try mount.settled { (word: Word) throws(Failure) -> String in try words.expand(word) }
        let target: String
        switch settings.kind {
        case .secret:
            let name = settings.id ?? settings.source ?? settings.target ?? ""
            target = settings.target ?? "/run/secrets/\(name.lastComponent)"
        case .ssh: target = settings.target ?? "/run/buildkit/ssh_agent.\(settings.id ?? "default")"
        default: target = settings.target ?? "/"
        }
        var planned = PlannedMount(
            settings: settings, origin: nil, place: mount.location, target: state.absolute(target),
            identity: ["mount", settings.kind.rawValue, state.absolute(target)])
        if planned.target == "/" {
            throw Failure("a mount cannot take the place of `/`", at: mount.location)
        }
        switch settings.kind {
        case .bind:
            let origin = session.graph.origin(of: mount.from, in: index)
            planned.origin = origin
            planned.digest = try digest(of: settings.source ?? "/", origin, at: mount.location)
            planned.identity += [planned.digest?.hex ?? "", settings.isReadOnly == false ? "rw" : "ro"]
        case .cache:
            if let from = mount.from { planned.origin = session.graph.origin(of: from, in: index) }
            planned.identity += [settings.id ?? target, settings.source ?? ""]
        case .tmpfs: break
        case .secret: planned.identity += [settings.id ?? "", settings.environment ?? ""]
        case .ssh: planned.identity.append(settings.id ?? "default")
        }
        return planned
    }

    /// What is bound, by its contents; nil while checking.
    private func digest(of source: String, _ origin: Origin, at place: SourceLocation) throws(Failure)
        -> Digest?
    {
        if session.request.checksOnly { return nil }
        // Layers are known by their digests: nothing of a whole image is read.
        if normalPath("/" + source) == "/", let layers = try layers(of: origin, at: place),
            !layers.diffIDs.isEmpty
        {
            var key = KeyBuilder()
            key.add("layers")
            key.add(layers.diffIDs.map(\.hex))
            return key.key
        }
        let known = try selectionKey(origin, "mount", [[source]], at: place)
        if let known, !noCache, let digest = session.caches.selection(known) {
            session.caches.keep(selection: digest, known)
            return digest
        }
        let selection = try select(source, origin, at: place)
        if let known { session.caches.keep(selection: selection.digest, known) }
        return selection.digest
    }

    func select(_ source: String, _ origin: Origin, at place: SourceLocation) throws(Failure)
        -> Selection
    {
        let root = try root(of: origin, at: place)
        // A name with wildcards is a name here.
        let plain = source.map { "*?[\\".contains($0) ? "\\\($0)" : String($0) }.joined()
        return try session.selecting.held { () throws(Failure) in
            try root.select([(word: Word(source, at: place), text: plain)], instruction: "RUN --mount")
        }
    }

    // MARK: Preparing

    func prepare(_ planned: [PlannedMount], user: String) throws(Failure) -> PreparedMounts {
        var prepared = PreparedMounts()
        let caches = try takeCaches(planned, &prepared.locks)
        for (number, mount) in planned.enumerated() {
            switch mount.settings.kind {
            case .bind: prepared.mounts.append(try bind(mount))
            case .cache:
                guard let path = caches[number] else { continue }
                prepared.mounts.append(try cache(mount, in: path))
            case .tmpfs:
                prepared.mounts.append(
                    StepMount(
                        source: .tmpfs(size: mount.settings.size?.bytes), target: mount.target,
                        isReadOnly: false, title: "a tmpfs"))
            case .secret: try secret(mount, &prepared)
            case .ssh: try agent(mount, &prepared)
            }
        }
        return prepared
    }

    private func bind(_ mount: PlannedMount) throws(Failure) -> StepMount {
        guard let origin = mount.origin else { throw Failure("a bind mount has no source", at: mount.place) }
        let source = mount.settings.source ?? "/"
        let isWhole = normalPath("/" + source) == "/"
        let title = "`\(source)` of \(try root(of: origin, at: mount.place).title)"
        var lowers: [String]
        if isWhole, let layers = try layers(of: origin, at: mount.place).map(present), !layers.lowers.isEmpty
        {
            lowers = layers.lowers
        } else {
            let path = try snapshot(source, origin, mount)
            let status = try system("cannot mount \(title)", at: mount.place) { () throws(SyscallError) in
                try fileStatus(path)
            }
            if !status.isDirectory {
                let isWritable = mount.settings.isReadOnly == false
                let own = isWritable ? try privateCopy(path, title, mount) : path
                return StepMount(
                    source: .path(own, isDirectory: false), target: mount.target, isReadOnly: !isWritable,
                    title: title)
            }
            lowers = [path]
        }
        guard mount.settings.isReadOnly == false else {
            let source: StepMount.Source =
                lowers.count == 1
                ? .path(lowers[0], isDirectory: true) : .layers(lowers, upper: nil, work: nil)
            return StepMount(source: source, target: mount.target, isReadOnly: true, title: title)
        }
        // What a step writes into a bound source is its own and goes with it.
        let (upper, work) = try system("cannot mount \(title)", at: mount.place) { () throws(SyscallError) in
            (try session.work().directory("bind-upper"), try session.work().directory("bind-work"))
        }
        return StepMount(
            source: .layers(lowers, upper: upper, work: work), target: mount.target, isReadOnly: false,
            title: title)
    }

    private func present(_ layers: LayerStack) throws(Failure) -> LayerStack {
        try session.caches.present(layers)
    }

    private func layers(of origin: Origin, at place: SourceLocation) throws(Failure) -> LayerStack? {
        switch origin {
        case .stage(let index): return session.state(of: index)?.layers
        case .image(let reference): return try session.image(reference, at: place).layers
        case .scratch, .context, .directory: return nil
        }
    }

    /// The selected file or directory, copied to a place of the build's own.
    private func snapshot(_ source: String, _ origin: Origin, _ mount: PlannedMount) throws(Failure) -> String
    {
        var key = KeyBuilder()
        key.add("snapshot")
        key.add(source)
        if let digest = mount.digest { key.add(digest) }
        key.add("\(origin)")
        return try session.snapshot(key.key) { () throws(Failure) in
            let selection = try select(source, origin, at: mount.place)
            guard !selection.sources.isEmpty else {
                throw Failure("`\(source)` names nothing to mount", at: mount.place)
            }
            let root = try root(of: origin, at: mount.place)
            let holder = try system("cannot copy `\(source)`", at: mount.place) { () throws(SyscallError) in
                try session.work().directory("bind")
            }
            let top = try system("cannot copy `\(source)`", at: mount.place) { () throws(SyscallError) in
                SharedFD(try openFile(holder, flags: O_RDONLY | O_DIRECTORY))
            }
            try TreeWriter(root: top.raw, owner: nil, mode: nil, resetsOwners: root.resetsOwners)
                .copy(selection, from: root, to: "/content", isDirectory: false)
            return "\(holder)/content"
        }
    }

    private func privateCopy(_ path: String, _ title: String, _ mount: PlannedMount) throws(Failure) -> String
    {
        try system("cannot mount \(title)", at: mount.place) { () throws(SyscallError) in
            let copy = "\(try session.work().directory("bind-file"))/content"
            let status = try fileStatus(path)
            try writeFile(copy, try readFile(path, limit: 1 << 30), mode: status.st_mode & 0o7777)
            try retrying("chown", copy) { chown(copy, status.st_uid, status.st_gid) }
            return copy
        }
    }

    // MARK: Secrets and agents

    private func secret(_ mount: PlannedMount, _ prepared: inout PreparedMounts) throws(Failure) {
        let settings = mount.settings
        let id = settings.id ?? settings.source ?? mount.target.lastComponent
        guard let secret = session.request.secrets[id] else {
            guard settings.isRequired else { return }
            let near = nearest(to: id, among: session.request.secrets.keys.sorted())
            throw Failure(
                "the secret `\(id)` is required", cause: "the build was given none of that name",
                advice: near.map { "did you mean `\($0)`?" }
                    ?? "name it under `build.secrets`, or give it with --secret",
                at: mount.place)
        }
        if let name = settings.environment {
            prepared.variables.append((name, String(decoding: secret.content, as: UTF8.self)))
            if settings.target == nil { return }
        }
        prepared.mounts.append(
            StepMount(
                source: .content(
                    secret.content, mode: settings.mode ?? secret.mode, uid: settings.uid ?? secret.uid,
                    gid: settings.gid ?? secret.gid),
                target: mount.target, isReadOnly: true, title: "the secret `\(id)`"))
    }

    private func agent(_ mount: PlannedMount, _ prepared: inout PreparedMounts) throws(Failure) {
        let settings = mount.settings
        let id = settings.id ?? "default"
        guard let socket = session.request.agents[id] else {
            guard settings.isRequired else { return }
            throw Failure(
                "the SSH agent `\(id)` is required", cause: "the build was given none of that name",
                advice: "name it under `build.ssh`, or give it with --ssh \(id)", at: mount.place)
        }
        prepared.mounts.append(
            StepMount(
                source: .agent(
                    socket, mode: settings.mode ?? 0o600, uid: settings.uid ?? 0, gid: settings.gid ?? 0),
                target: mount.target, isReadOnly: false, title: "the SSH agent `\(id)`"))
        if !prepared.variables.contains(where: { $0.name == "SSH_AUTH_SOCK" }) {
            prepared.variables.append(("SSH_AUTH_SOCK", mount.target))
        }
    }
}
