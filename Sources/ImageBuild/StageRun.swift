// SPDX-License-Identifier: Apache-2.0
//
// One stage, carried out in order on one thread.
//
// A step that changes files is known by a key: the layers beneath it, the instruction with its variables replaced,
// and what it depends on besides: for COPY and ADD the digest of the selected files, for RUN the environment, the
// user, the directory and the shell. Labels, ports and the like are in no key, so changing them runs nothing again.

internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel
internal import OCIFormats

final class StageRun {
    let session: BuildSession
    let index: Int
    let name: String
    var state = StageState()
    /// Of the step under way.
    private(set) var number = 0
    let noCache: Bool

    init(_ session: BuildSession, _ index: Int) {
        self.session = session
        self.index = index
        let stage = session.file.stages[index]
        name = stage.name ?? "stage \(index)"
        let all = session.request.noCacheStages
        noCache =
            session.request.noCache || all.contains(String(index)) || stage.name.map(all.contains) == true
    }

    private var stage: Stage { session.file.stages[index] }

    func carryOut() throws(Failure) -> StageState {
        number = session.begin(name, stage.text)
        let start = monotonicNanoseconds()
        state = try base()
        // What was to be done at this moment is done by the instructions that follow.
        state.config.onBuild = nil
        session.tellBase(number, .nanoseconds(monotonicNanoseconds() - start))
        for instruction in stage.instructions { try run(instruction) }
        return state
    }

    private func base() throws(Failure) -> StageState {
        let place = stage.base.location
        switch session.graph.bases[index] {
        case .scratch: return StageState()
        case .stage(let index): return session.state(of: index)?.derived() ?? StageState()
        case .directory(let name, let path):
            throw Failure(
                "`FROM \(name)` names the directory \(path)", cause: "a directory cannot be a base image",
                advice: "use FROM scratch and COPY --from=\(name)", at: place)
        case .context: throw Failure("`FROM` names the build context", at: place)
        case .image(let reference):
            if session.request.checksOnly, (try? session.image(reference, at: place)) == nil {
                return StageState()
            }
            let image = try session.image(reference, at: place)
            guard let config = image.config else {
                throw Failure(
                    "`FROM \(reference)` names a root file system that is used in place",
                    cause: "its files may change under the image that would be built on it",
                    advice: "use FROM scratch and COPY --from=\(reference) / /", at: place)
            }
            if config.architecture != hostArchitecture {
                session.warn(
                    Warning(
                        "`\(reference)` is an image for \(config.os)/\(config.architecture), not linux/\(hostArchitecture)",
                        .invalidBaseImagePlatform, at: place))
            }
            return StageState(config, image.layers)
        }
    }

    // MARK: Instructions

    /// The variables that an instruction sees, and a warning for those that nobody declared.
    func words(for instruction: Instruction) -> Substitution {
        let (environment, arguments) = (state.environment, state.arguments)
        var words = Substitution(escape: session.file.escape) { environment[$0] ?? arguments.value($0) }
        let (session, place) = (session, instruction.location)
        words.undefined = { name in
            // Declared without a value is declared, and so is what the shell of a later step sets by itself.
            if arguments.declared.contains(where: { $0.name == name }) { return }
            let near = nearest(
                to: name, among: environment.entries.map(\.name) + arguments.declared.map(\.name))
            session.warn(
                Warning(
                    "`$\(name)` is not declared here, and nothing takes its place"
                        + (near.map { "; did you mean `$\($0)`?" } ?? ""), .undefinedVar, at: place))
        }
        return words
    }

    private func run(_ instruction: Instruction) throws(Failure) {
        let words = words(for: instruction)
        switch instruction.action {
        case .arg(let declarations):
            for each in declarations { try declare(each) }
            state.remember(instruction.text, emptyLayer: true)
        case .copy(let copy): try copyStep(copy, instruction, words, isAdd: false)
        case .add(let copy): try copyStep(copy, instruction, words, isAdd: true)
        case .run(let run): try runStep(run, instruction, words)
        case .workdir(let word): try workdirStep(word, instruction, words)
        default:
            try state.apply(instruction.action, words)
            state.remember(instruction.text, emptyLayer: true)
        }
    }

    private func declare(_ argument: ArgumentDeclaration) throws(Failure) {
        var value = session.argument(argument.name)
        if value == nil, let word = argument.value {
            let current = state
            value = try Substitution(escape: session.file.escape) { current.lookUp($0) }.expand(word)
        }
        if value == nil { value = session.globals.value(argument.name) }
        state.arguments.declare(argument.name, value)
    }

    private func workdirStep(_ word: Word, _ instruction: Instruction, _ words: Substitution)
        throws(Failure)
    {
        let text = try words.expand(word)
        guard !text.isEmpty else { throw Failure("`WORKDIR` is empty", at: word.location) }
        let path = state.absolute(text)
        let user = state.config.user ?? ""
        state.config.workingDir = path
        var key = KeyBuilder()
        key.add("workdir")
        key.add(path)
        key.add(user)
        try changeFiles(key, instruction) { (area: StepArea) throws(Failure) in
            let root = try area.mount()
            let owner = user.isEmpty ? Owner.root : try AccountNames.owner(user, in: root.raw)
            do throws(SyscallError) {
                try TreeWriter(root: root.raw, owner: owner, mode: nil, resetsOwners: true).ensureDirectory(
                    path)
            } catch {
                throw Failure("cannot make the working directory `\(path)`", error, at: word.location)
            }
        }
    }

    // MARK: Steps

    func place(_ step: Instruction) -> String {
        "step \(number)/\(session.total), \(step.text.firstLine),"
    }

    /// Carries a step out, or takes what it gave when it was carried out before.
    ///
    /// `body` makes its changes in the area it is given; what it leaves there becomes the layer.
    /// - isLinked: the changes are made on nothing and stand for themselves, whatever is beneath.
    func changeFiles(
        _ partial: KeyBuilder, _ instruction: Instruction, isLinked: Bool = false,
        _ body: (StepArea) throws(Failure) -> Void
    ) throws(Failure) {
        number = session.begin(name, instruction.text)
        if session.request.checksOnly { return session.tell(.ended(number: number, .cached)) }
        var key = partial
        if let epoch = session.epoch { key.add("epoch \(epoch)") }
        key.add(isLinked ? ["linked"] : state.layers.diffIDs.map(\.hex))
        let digest = key.key
        if !noCache, let known = try known(digest, isLinked) {
            keep(known, instruction)
            return session.tell(.ended(number: number, .cached))
        }
        let start = monotonicNanoseconds()
        let area: StepArea
        state.layers = try session.caches.present(state.layers)
        do throws(SyscallError) {
            area = try StepArea(try session.work(), over: isLinked ? [] : state.layers.lowers)
        } catch {
            throw Failure("cannot prepare the step `\(instruction.text.firstLine)`", error)
        }
        do throws(Failure) { try body(area) } catch {
            var failure = error
            if failure.location == nil { failure.location = instruction.location }
            throw failure
        }
        area.unmount()
        var record = StepCache.Record(
            created: rfc3339(seconds: session.epoch ?? realtimeNanoseconds() / 1_000_000_000), hasLayer: false
        )
        do throws(SyscallError) {
            record.hasLayer = try area.hasChanges()
            if record.hasLayer, let epoch = session.epoch { try clampTimes(below: area.upper, to: epoch) }
        } catch {
            throw Failure("cannot read what `\(instruction.text.firstLine)` changed", error)
        }
        var step = KeptStep(key: digest, created: record.created)
        if record.hasLayer {
            let below = isLinked ? LayerStack() : state.layers
            let kept = try session.store.keep(below, area.upper, digest)
            step.layer = kept.diffIDs.last
            state.layers = isLinked ? try session.store.join(state.layers, kept) : kept
        }
        keep(step, instruction)
        do throws(SyscallError) { try session.steps.store(record, digest) } catch {
            throw Failure("cannot remember the step `\(instruction.text.firstLine)`", error)
        }
        session.tell(.ended(number: number, .done(.nanoseconds(monotonicNanoseconds() - start))))
    }

    private func keep(_ step: KeptStep, _ instruction: Instruction) {
        state.created = step.created
        state.steps.append(step)
        state.remember(instruction.text, emptyLayer: step.layer == nil)
    }

    /// What the step gave when it was carried out before, here or where a cache comes from; its layers are the state's
    /// then.
    private func known(_ digest: Digest, _ isLinked: Bool) throws(Failure) -> KeptStep? {
        if let record = session.steps.find(digest) {
            let step = KeptStep(key: digest, created: record.created)
            if !record.hasLayer { return step }
            if let known = session.store.recall(digest), let layer = known.diffIDs.last {
                state.layers =
                    isLinked
                    ? try session.store.join(try session.caches.present(state.layers), known) : known
                return KeptStep(key: digest, created: record.created, layer: layer)
            }
        }
        guard let step = session.caches.find(digest) else { return nil }
        try session.caches.expect(step, over: state.layers.diffIDs, isLinked: isLinked)
        if let layer = step.layer { state.layers = LayerStack(diffIDs: state.layers.diffIDs + [layer]) }
        return step
    }
}
