// SPDX-License-Identifier: Apache-2.0
//
// A build from request to image: parses, finds the stages the target needs, carries each out in order.
//
// A step that changes files is known by a key: the layers beneath it, the instruction with its variables replaced,
// and what it depends on besides: for COPY and ADD the digest of the selected files, for RUN the environment, the
// user, the directory and the shell. Labels, ports and the like are in no key, so changing them runs nothing again.

public import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel
internal import OCIFormats

/// Builds an image. Nothing of an unfinished step is left behind, whatever fails.
public func build(
    _ request: BuildRequest, store: BuildStore, runner: StepRunner, progress: @escaping (BuildEvent) -> Void
) throws(Failure) -> BuiltImage {
    let file = try Dockerfile.parse(request.dockerfile, path: request.dockerfilePath)
    for warning in file.warnings { progress(.warning(warning)) }
    let session = try BuildSession(request, file, store, runner, progress)
    return try session.run()
}

final class BuildSession {
    let request: BuildRequest
    let file: Dockerfile
    let graph: StageGraph
    let store: BuildStore
    let runner: StepRunner
    let progress: (BuildEvent) -> Void
    let steps: StepCache
    var given: BuildArguments
    private let globals: Scope
    private(set) var states: [Int: StageState] = [:]
    private var images: [String: BaseImage] = [:]
    var roots: [Origin: SourceRoot] = [:]
    var contentCaches: [ContentCache] = []
    private var workArea: WorkArea?
    private var number = 0
    private var total = 0
    private var stepsRun = 0
    private var stepsCached = 0

    init(
        _ request: BuildRequest, _ file: Dockerfile, _ store: BuildStore, _ runner: StepRunner,
        _ progress: @escaping (BuildEvent) -> Void
    ) throws(Failure) {
        self.request = request
        self.file = file
        self.store = store
        self.runner = runner
        self.progress = progress
        steps = StepCache(under: "\(store.root)/buildcache")
        var given = BuildArguments(request.arguments, architecture: hostArchitecture)
        var globals = Scope()
        for case .arg(let declarations) in file.globalArguments.map(\.action) {
            for each in declarations {
                let scope = globals
                let platform = given
                let words = Substitution(escape: file.escape) {
                    scope.value($0) ?? platform.platformValue($0)
                }
                var value = given.value(each.name)
                if value == nil, let word = each.value { value = try words.expand(word) }
                globals.declare(each.name, value)
            }
        }
        let (scope, platform) = (globals, given)
        let words = Substitution(escape: file.escape) { scope.value($0) ?? platform.platformValue($0) }
        graph = try StageGraph(file, target: request.target, namedContexts: request.namedContexts) {
            (word: Word) throws(Failure) -> String in try words.expand(word)
        }
        for index in graph.needed {
            guard let platform = file.stages[index].platform else { continue }
            let text = try words.expand(platform)
            guard text.isEmpty || text == "linux/\(hostArchitecture)" || text == "linux" else {
                throw Failure(
                    "cannot build for `\(text)`",
                    cause: "only this host's platform, linux/\(hostArchitecture), is supported",
                    at: platform.location)
            }
        }
        self.given = given
        self.globals = globals
    }

    func run() throws(Failure) -> BuiltImage {
        total = graph.needed.reduce(0) { sum, index in
            sum + 1 + file.stages[index].instructions.filter { $0.action.changesFiles }.count
        }
        defer { for cache in contentCaches { cache.save() } }
        for index in graph.needed { states[index] = try runStage(index) }
        guard let state = states[graph.target] else { throw Failure("the target stage was not built") }
        for name in given.unused {
            progress(
                .warning(
                    Warning(
                        "the build argument `\(name)` is used by no ARG of the stages that were built",
                        at: SourceLocation(file: request.dockerfilePath, line: 1, column: 1))))
        }
        let config = state.imageConfig(labels: request.labels)
        let id = try store.commit(state.layers, config, request.tags)
        return BuiltImage(id: id, tags: request.tags, stepsRun: stepsRun, stepsCached: stepsCached)
    }

    // MARK: Stages

    private func runStage(_ index: Int) throws(Failure) -> StageState {
        let stage = file.stages[index]
        let name = stage.name ?? "stage \(index)"
        begin(name, stage.text)
        let start = ContinuousClock.now
        var state = try base(of: stage)
        progress(.ended(number: number, .done(start.duration(to: .now))))
        for instruction in stage.instructions {
            try run(instruction, in: index, name, &state)
        }
        return state
    }

    private func base(of stage: Stage) throws(Failure) -> StageState {
        switch graph.bases[stage.index] {
        case .scratch: return StageState()
        case .stage(let index):
            // Only earlier stages are found, and `needed` is ascending and closed.
            return states[index]?.derived() ?? StageState()
        case .directory(let name, let path):
            throw Failure(
                "`FROM \(name)` names the directory \(path)", cause: "a directory cannot be a base image",
                advice: "use FROM scratch and COPY --from=\(name)", at: stage.base.location)
        case .context: throw Failure("`FROM` names the build context", at: stage.base.location)
        case .image(let reference):
            let image = try image(reference, at: stage.base.location)
            guard let config = image.config else {
                throw Failure(
                    "`FROM \(reference)` names a root file system that is used in place",
                    cause: "its files may change under the image that would be built on it",
                    advice: "use FROM scratch and COPY --from=\(reference) / /", at: stage.base.location)
            }
            if let triggers = config.config?.onBuild, let first = triggers.first {
                throw Failure(
                    "cannot build on `\(reference)`",
                    cause: "it has an ONBUILD trigger, `\(first)`, which is not supported",
                    advice: "build on an image without triggers", at: stage.base.location)
            }
            return StageState(config, image.layers)
        }
    }

    /// An image by reference, resolved once.
    func image(_ reference: String, at place: SourceLocation) throws(Failure) -> BaseImage {
        if let known = images[reference] { return known }
        do throws(Failure) {
            let image = try store.resolve(reference)
            images[reference] = image
            return image
        } catch {
            var failure = error
            if failure.location == nil { failure.location = place }
            throw failure
        }
    }

    // MARK: Instructions

    private func run(_ instruction: Instruction, in stage: Int, _ name: String, _ state: inout StageState)
        throws(Failure)
    {
        let (environment, arguments) = (state.environment, state.arguments)
        let words = Substitution(escape: file.escape) { environment[$0] ?? arguments.value($0) }
        switch instruction.action {
        case .arg(let declarations):
            for each in declarations { try declare(each, &state) }
            state.remember(instruction.text, emptyLayer: true)
        case .copy(let copy): try copyStep(copy, instruction, words, in: stage, name, &state, unpacks: false)
        case .add(let copy): try copyStep(copy, instruction, words, in: stage, name, &state, unpacks: true)
        case .run(let run): try runStep(run, instruction, name, &state)
        case .workdir(let word): try workdirStep(word, instruction, words, name, &state)
        default:
            try state.apply(instruction.action, words)
            state.remember(instruction.text, emptyLayer: true)
        }
    }

    private func declare(_ argument: ArgumentDeclaration, _ state: inout StageState) throws(Failure) {
        var value = given.value(argument.name)
        if value == nil, let word = argument.value {
            let current = state
            value = try Substitution(escape: file.escape) { current.lookUp($0) }.expand(word)
        }
        if value == nil { value = globals.value(argument.name) }
        state.arguments.declare(argument.name, value)
    }

    private func workdirStep(
        _ word: Word, _ instruction: Instruction, _ words: Substitution, _ name: String,
        _ state: inout StageState
    ) throws(Failure) {
        let text = try words.expand(word)
        guard !text.isEmpty else { throw Failure("`WORKDIR` is empty", at: word.location) }
        let path = state.absolute(text)
        let user = state.config.user ?? ""
        state.config.workingDir = path
        var key = KeyBuilder()
        key.add("workdir")
        key.add(path)
        key.add(user)
        try changeFiles(key, instruction, name, &state) { (area: StepArea) throws(Failure) in
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

    private func begin(_ stage: String, _ text: String) {
        number += 1
        progress(.began(number: number, total: total, stage: stage, text: text))
    }

    var currentNumber: Int { number }

    func place(_ step: Instruction) -> String { "step \(number)/\(total), \(step.text.firstLine)," }

    /// Carries a step out, or takes what it gave when it was carried out before.
    ///
    /// `body` makes its changes in the area it is given; what it leaves there becomes the layer.
    func changeFiles(
        _ partial: KeyBuilder, _ instruction: Instruction, _ name: String, _ state: inout StageState,
        _ body: (StepArea) throws(Failure) -> Void
    ) throws(Failure) {
        begin(name, instruction.text)
        var key = partial
        key.add(state.layers.diffIDs.map(\.hex))
        let digest = key.key
        if !request.noCache, let record = steps.find(digest) {
            let layers = record.hasLayer ? store.recall(digest) : state.layers
            if let layers {
                state.layers = layers
                state.created = record.created
                state.remember(instruction.text, emptyLayer: !record.hasLayer)
                stepsCached += 1
                return progress(.ended(number: number, .cached))
            }
        }
        let start = ContinuousClock.now
        let area: StepArea
        do throws(SyscallError) { area = try StepArea(try work(), over: state.layers.lowers) } catch {
            throw Failure("cannot prepare the step `\(instruction.text.firstLine)`", error)
        }
        do throws(Failure) { try body(area) } catch {
            var failure = error
            if failure.location == nil { failure.location = instruction.location }
            throw failure
        }
        area.unmount()
        var record = StepCache.Record(created: currentTimestamp(), hasLayer: false)
        do throws(SyscallError) { record.hasLayer = try area.hasChanges() } catch {
            throw Failure("cannot read what `\(instruction.text.firstLine)` changed", error)
        }
        if record.hasLayer { state.layers = try store.keep(state.layers, area.upper, digest) }
        state.created = record.created
        state.remember(instruction.text, emptyLayer: !record.hasLayer)
        do throws(SyscallError) { try steps.store(record, digest) } catch {
            throw Failure("cannot remember the step `\(instruction.text.firstLine)`", error)
        }
        stepsRun += 1
        progress(.ended(number: number, .done(start.duration(to: .now))))
    }

    func work() throws(SyscallError) -> WorkArea {
        if let workArea { return workArea }
        let area = try WorkArea(under: "\(store.root)/buildcache")
        workArea = area
        return area
    }
}

extension Action {
    /// True for steps that make a layer, which are the ones that are counted and timed.
    var changesFiles: Bool {
        switch self {
        case .copy, .add, .run, .workdir: true
        default: false
        }
    }
}

extension String {
    /// For one-line messages about instructions that go over several.
    var firstLine: String { String(prefix { $0 != "\n" }.prefix(120)) }
}
