// SPDX-License-Identifier: Apache-2.0
//
// A build from request to image: parses, finds the stages the target needs, and has them carried out, those that do not
// need each other side by side. What a stage does is StageRun's; here is what stages share.
//
//   needed stages ─▶ those whose prerequisites are done ─▶ a thread each (StageRun) ─▶ StageState ─▶ … ─▶ image
//
// Shared between threads under `lock`: given arguments, images, roots, caches of contents, the work area, the numbering
// of steps. A stage's state belongs to its thread until it is put into `states`.

public import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel
internal import OCIFormats

/// Builds an image. Nothing of an unfinished step is left behind, whatever fails.
public func build(
    _ request: BuildRequest, store: BuildStore, runner: StepRunner, remote: RemoteSources = .none,
    progress: @escaping (BuildEvent) -> Void
) throws(Failure) -> BuiltImage {
    let file = try Dockerfile.parse(request.dockerfile, path: request.dockerfilePath)
    let session = try BuildSession(request, file, store, runner, remote, progress)
    for warning in file.warnings { session.warn(warning) }
    return try session.run()
}

final class BuildSession {
    let request: BuildRequest
    private(set) var file: Dockerfile
    private(set) var graph: StageGraph
    let store: BuildStore
    let runner: StepRunner
    let remote: RemoteSources
    let steps: StepCache
    let caches: CacheExchange
    /// SOURCE_DATE_EPOCH, where the build is to be reproducible.
    let epoch: Int64?
    let globals: Scope
    let lock = ThreadLock()
    /// Held while a context is looked at, whose table of known contents two stages must not use at once.
    let selecting = ThreadLock()
    private let report: (BuildEvent) -> Void
    private var given: BuildArguments
    private(set) var states: [Int: StageState] = [:]
    private var begun: Set<Int> = []
    private var failures: [(stage: Int, failure: Failure)] = []
    private var images: [String: BaseImage] = [:]
    private var roots: [Origin: SourceRoot] = [:]
    private var contentCaches: [ContentCache] = []
    private var snapshots: [Digest: String] = [:]
    private var downloads: [String: Download] = [:]
    private var commits: [String: String] = [:]
    private var workArea: WorkArea?
    private var number = 0
    private(set) var total = 0
    private var stepsRun = 0
    private var stepsCached = 0
    private var warnings = 0

    init(
        _ request: BuildRequest, _ file: Dockerfile, _ store: BuildStore, _ runner: StepRunner,
        _ remote: RemoteSources, _ progress: @escaping (BuildEvent) -> Void
    ) throws(Failure) {
        self.request = request
        self.remote = remote
        self.file = file
        self.store = store
        self.runner = runner
        report = progress
        steps = StepCache(under: "\(store.root)/buildcache")
        caches = CacheExchange(store, steps)
        epoch = try sourceDateEpoch(request.arguments)
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
        self.given = given
        self.globals = globals
        graph = try BuildSession.graph(file, request, globals, given)
        try refuseForeignPlatforms()
    }

    private static func graph(
        _ file: Dockerfile, _ request: BuildRequest, _ globals: Scope, _ given: BuildArguments
    ) throws(Failure) -> StageGraph {
        let words = Substitution(escape: file.escape) { globals.value($0) ?? given.platformValue($0) }
        return try StageGraph(file, target: request.target, namedContexts: request.namedContexts) {
            (word: Word) throws(Failure) -> String in try words.expand(word)
        }
    }

    private func refuseForeignPlatforms() throws(Failure) {
        let (globals, given) = (globals, given)
        let words = Substitution(escape: file.escape) { globals.value($0) ?? given.platformValue($0) }
        for index in graph.needed {
            guard let platform = file.stages[index].platform else { continue }
            let text = try words.expand(platform)
            guard text.isEmpty || isHostPlatform(text) else {
                throw Failure(
                    "cannot build for `\(text)`",
                    cause: "only this host's platform, linux/\(hostArchitecture), is supported",
                    at: platform.location)
            }
        }
    }

    func run() throws(Failure) -> BuiltImage {
        defer { for cache in contentCaches { cache.save() } }
        if !request.checksOnly {
            readCaches()
            try addTriggers()
        }
        total = graph.needed.reduce(0) { sum, index in
            sum + 1 + file.stages[index].instructions.filter { $0.action.changesFiles }.count
        }
        // A chain needs no threads, and most builds are chains.
        let widest = graph.width
        runOnThreads(min(widest, request.parallel ?? max(2, availableProcessors()))) { _ in self.work() }
        if let first = failures.min(by: { $0.stage < $1.stage }) { throw first.failure }
        guard let state = states[graph.target] else { throw Failure("the target stage was not built") }
        for name in given.unused {
            warn(
                Warning(
                    "the build argument `\(name)` is used by no ARG of the stages that were built",
                    at: SourceLocation(file: request.dockerfilePath, line: 1, column: 1)))
        }
        if file.check.isError, warnings > 0 {
            throw Failure(
                "\(request.dockerfilePath) has warnings", cause: "its `check` directive makes them errors",
                advice: "mend what is named above, or take `error=true` out")
        }
        var result = BuiltImage(
            id: Digest(of: []), tags: request.tags, stepsRun: stepsRun, stepsCached: stepsCached)
        if request.checksOnly { return result }
        let config = state.imageConfig(labels: request.labels, epoch: epoch)
        result.id = try store.commit(try caches.present(state.layers), config, request.tags)
        try writeCaches(state)
        return result
    }

    // MARK: Caches

    /// A cache that can't be had costs time and nothing else.
    private func readCaches() {
        for source in request.cacheSources {
            do throws(Failure) {
                guard let contents = try source.read() else {
                    report(.notice("the build cache \(source.title) is not there yet"))
                    continue
                }
                report(.notice("the build cache \(source.title) knows \(caches.add(contents)) steps"))
            } catch {
                report(.notice("the build cache \(source.title) is not used: \(error.cause ?? error.doing)"))
            }
        }
    }

    private func writeCaches(_ state: StageState) throws(Failure) {
        for target in request.cacheTargets {
            do throws(Failure) {
                let stages = graph.needed.compactMap { states[$0] }
                let steps = target.mode == .max ? stages.flatMap(\.steps) : state.steps
                try target.write(try caches.export(steps))
            } catch {
                if !target.ignoresErrors { throw error }
                report(
                    .notice("the build cache \(target.title) was not written: \(error.cause ?? error.doing)"))
            }
        }
    }

    // MARK: Stages

    /// One thread's part: takes stages that can be begun until there is none left.
    private func work() {
        while let index = nextStage() {
            do throws(Failure) {
                let run = StageRun(self, index)
                let state = try run.carryOut()
                lock.held {
                    states[index] = state
                    lock.announce()
                }
            } catch {
                lock.held {
                    failures.append((index, error))
                    lock.announce()
                }
            }
        }
    }

    /// A stage whose prerequisites are done; waits for one, and is nil when none will come.
    private func nextStage() -> Int? {
        lock.held {
            while true {
                let waiting = graph.needed.filter { !begun.contains($0) }
                // After a failure what is under way ends, and nothing else is begun.
                if waiting.isEmpty || !failures.isEmpty { return nil }
                let done = Set(states.keys)
                if let next = waiting.first(where: { graph.prerequisites(of: $0).isSubset(of: done) }) {
                    begun.insert(next)
                    return next
                }
                lock.awaitNews()
            }
        }
    }

    func state(of stage: Int) -> StageState? { lock.held { states[stage] } }

    /// `ONBUILD` of base images, and of stages that are built on, comes before a stage's own instructions; it may need
    /// further stages.
    private func addTriggers() throws(Failure) {
        var added = false
        for index in graph.needed {
            var triggers: [String] = []
            var title = file.stages[index].base.text
            switch graph.bases[index] {
            case .image(let reference):
                title = reference
                triggers =
                    try image(reference, at: file.stages[index].base.location).config?.config?.onBuild ?? []
            case .stage(let base):
                for case .onBuild(let trigger) in file.stages[base].instructions.map(\.action) {
                    triggers.append(trigger)
                }
            default: break
            }
            // Images that files are taken from are fetched before the stages begin, one after the other.
            for from in file.stages[index].instructions.flatMap(\.action.origins) {
                if case .image(let reference) = graph.origin(of: from, in: index) {
                    _ = try image(reference, at: from.location)
                }
            }
            if triggers.isEmpty { continue }
            var own: [Instruction] = []
            for trigger in triggers { own.append(try Dockerfile.parseTrigger(trigger, of: title)) }
            file.stages[index].instructions.insert(contentsOf: own, at: 0)
            added = true
        }
        guard added else { return }
        graph = try BuildSession.graph(file, request, globals, given)
        try refuseForeignPlatforms()
    }

    // MARK: What stages share

    func warn(_ warning: Warning) {
        if file.check.skips(warning.rule) { return }
        lock.held {
            warnings += 1
            report(.warning(warning))
        }
    }

    /// Begins a step and gives its number.
    func begin(_ stage: String, _ text: String) -> Int {
        lock.held {
            number += 1
            report(.began(number: number, total: total, stage: stage, text: text))
            return number
        }
    }

    func tell(_ event: BuildEvent) {
        lock.held {
            if case .ended(_, let outcome) = event {
                if outcome == .cached { stepsCached += 1 } else { stepsRun += 1 }
            }
            report(event)
        }
    }

    /// A stage's base is no step that was run or known.
    func tellBase(_ number: Int, _ time: Duration) {
        lock.held { report(.ended(number: number, .done(time))) }
    }

    func argument(_ name: String) -> String? { lock.held { given.value(name) } }

    func proxies() -> [(name: String, value: String)] { lock.held { given.proxies() } }

    /// An image by reference, resolved once.
    func image(_ reference: String, at place: SourceLocation) throws(Failure) -> BaseImage {
        if let known = lock.held({ images[reference] }) { return known }
        do throws(Failure) {
            if request.pulls, !request.builtImages.contains(reference) { try store.refresh(reference) }
            let image = try store.resolve(reference)
            lock.held { images[reference] = image }
            return image
        } catch {
            var failure = error
            if failure.location == nil { failure.location = place }
            throw failure
        }
    }

    /// A tree files are taken from, opened once.
    func root(_ origin: Origin, _ open: () throws(Failure) -> SourceRoot) throws(Failure) -> SourceRoot {
        if let known = lock.held({ roots[origin] }) { return known }
        let root = try open()
        lock.held {
            roots[origin] = root
            if let cache = root.contents { contentCaches.append(cache) }
        }
        return root
    }

    /// A copy of selected files that several steps may mount, made once.
    func snapshot(_ key: Digest, _ make: () throws(Failure) -> String) throws(Failure) -> String {
        if let known = lock.held({ snapshots[key] }) { return known }
        let path = try make()
        lock.held { snapshots[key] = path }
        return path
    }

    /// A file by URL, fetched once in a build: all its steps see the same.
    func download(_ url: String, _ checksum: Digest?) throws(Failure) -> Download {
        if let known = lock.held({ downloads[url] }), checksum == nil || known.record.digest == checksum {
            return known
        }
        let area: WorkArea = try system("cannot fetch \(url)") { () throws(SyscallError) -> WorkArea in
            try work()
        }
        let made = try Downloads(under: "\(store.root)/buildcache", remote) { self.tell(.alive) }
            .fetch(url, checksum: checksum, into: area)
        return lock.held {
            let first = downloads[url] ?? made
            downloads[url] = first
            return checksum == nil ? first : made
        }
    }

    /// What a repository's revision stands for, asked once in a build.
    func commit(_ reference: GitReference) throws(Failure) -> String {
        if let commit = reference.commit { return commit }
        let name = "\(reference.url)#\(reference.revision ?? "")"
        if let known = lock.held({ commits[name] }) { return known }
        let commit = try remote.commit(reference)
        return lock.held {
            let first = commits[name] ?? commit
            commits[name] = first
            return first
        }
    }

    func work() throws(SyscallError) -> WorkArea {
        try lock.held { () throws(SyscallError) in
            if let workArea { return workArea }
            let area = try WorkArea(under: "\(store.root)/buildcache")
            workArea = area
            return area
        }
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

/// `linux/amd64` and the ways to write it.
func isHostPlatform(_ text: String) -> Bool {
    let names =
        hostArchitecture == "amd64"
        ? ["amd64", "x86_64", "x86-64", "amd64/v1"] : ["arm64", "aarch64", "arm64/v8"]
    let text = text.lowercased()
    return text == "linux" || names.contains { text == "linux/\($0)" || text == $0 }
}
