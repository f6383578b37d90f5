// SPDX-License-Identifier: Apache-2.0
//
// ImageResolution: every service gets its image: found in the store, imported when a transport names it, built when
// the service says how. This is the client's own work: nothing hostile or slow happens in the controller.

internal import Basics
internal import ComposeModel
internal import ContainerModel
internal import Images
internal import Kernel
internal import Planning
internal import Registry

/// What a command wants of images.
struct ImageWish {
    /// Build those that can be built, also when they exist.
    var build = false
    /// `--pull`, before what services say.
    var pull: String?
    /// False: nothing is fetched or built; what would be is told, and planned with (`plan`).
    var fetches = true
    var building = BuildWish()
    /// Only of these services; of others what is in the store will do.
    var services: Set<String> = []
}

/// The images of a project, each looked for once.
final class ImageResolution {
    private let project: Project
    private let store: ImageStore
    /// The same, which fetches what a Dockerfile names.
    private let buildStore: ImageStore
    private let wish: ImageWish
    private let progress: Progress
    private let steps: StepRunning
    private let session: Session
    private var transfer: ImageTransfer?
    private let lock: LockFile?
    private var found: [String: LoweredImage] = [:]
    /// References whose registry said no: asked once, however many services name them.
    private var unavailable: [String: Failure] = [:]
    private var building: [String] = []
    /// Images beside the services' own that were looked for.
    private var further: Set<String> = []
    private(set) var built = 0

    init(_ session: Session, _ project: Project, _ wish: ImageWish, _ progress: Progress) throws(Failure) {
        lock = try LockFile.read(project)
        if session.arguments.has(.locked) { try checkLocked(project, lock) }
        self.project = project
        self.wish = wish
        self.progress = progress
        self.session = session
        var store = try session.imageStore()
        if !wish.fetches { store.mend = nil }
        self.store = store
        let (environment, plain) = (session.invocation.environment, store)
        // What a Dockerfile's `FROM` and `--from` name. Its own connection: the build's thread is nobody's to share.
        store.fetch = { (reference) throws(Failure) in
            _ = try RegistryAccess(environment: environment).pull(
                reference, into: plain, time: realtimeNanoseconds() / 1_000_000_000
            ) { _ in }
        }
        buildStore = store
        steps = StepRunning(session)
    }

    /// The images by service name. A service that is not wanted and has none is missing from the result.
    func all() throws(Failure) -> [String: LoweredImage] {
        defer { steps.finish() }
        var images: [String: LoweredImage] = [:]
        var failures: [Failure] = []
        for name in project.services.keys.sorted() {
            guard let service = project.services[name] else { continue }
            do throws(Failure) {
                images[name] = try wish.services.contains(name) ? ensure(service) : lookUp(service)
                if wish.services.contains(name) { try fetchFurther(service) }
            } catch {
                // Missing images are all named at once; after a failed build nothing else is tried.
                if service.build != nil { throw error }
                if !failures.contains(error) { failures.append(error) }
            }
        }
        if let failure = Failure.collect(failures) { throw failure }
        return images
    }

    /// Images that a service names beside its own, for steps before its start and to be mounted: fetched as its own is.
    private func fetchFurther(_ service: Service) throws(Failure) {
        var wanted: [(reference: String, place: SourceLocation?)] = []
        for hook in service.preStart {
            if let reference = hook.image { wanted.append((reference, service.marks["pre_start"])) }
        }
        for mount in service.volumes {
            if case .image(let reference) = mount.source { wanted.append((reference, mount.location)) }
        }
        if wanted.isEmpty || !wish.fetches { return }
        let policy = try PullPolicy(service, flag: wish.pull)
        for (reference, place) in wanted
        where further.insert(reference).inserted && builder(of: reference) == nil {
            let isLocal =
                Transport(reference, relativeTo: project.directory) != nil || Digest(reference) != nil
            if isLocal || policy == .never { continue }
            if try store.lookUp(reference) != nil, try !asksAgain(reference, policy) { continue }
            do throws(Failure) {
                _ = try transferring().pull(try lock?.pinned(reference) ?? reference, as: reference)
            } catch {
                var failure = error
                if failure.location == nil { failure.location = place }
                throw failure
            }
        }
    }

    /// The images that services mount as files, as they are named.
    func mounted() throws(Failure) -> [String: ImageFacts] {
        var facts: [String: ImageFacts] = [:]
        for service in project.services.values.sorted(by: { $0.name < $1.name }) {
            for mount in service.volumes {
                guard case .image(let reference) = mount.source, facts[reference] == nil else { continue }
                do throws(Failure) {
                    facts[reference] = try store.resolve(reference, relativeTo: project.directory).facts
                } catch {
                    var failure = error
                    if failure.location == nil { failure.location = mount.location }
                    throw failure
                }
            }
        }
        return facts
    }

    /// Builds the wanted services that can be built.
    func buildAll() throws(Failure) {
        defer { steps.finish() }
        for name in wish.services.sorted() {
            guard let service = project.services[name], service.build != nil else { continue }
            if wish.building.checksOnly {
                try check(service)
            } else {
                _ = try ensure(service)
            }
        }
    }

    /// Looks at a service's Dockerfile and builds nothing.
    private func check(_ service: Service) throws(Failure) {
        guard let build = service.build else { return }
        var contexts: [String: String] = [:]
        for (name, text) in build.additionalContexts where text.hasPrefix("service:") {
            if let other = project.services[String(text.dropFirst("service:".count))] {
                contexts[name] = reference(of: other)
            }
        }
        try steps.build(
            build, of: project, serviceName: service.name, tags: [], serviceContexts: contexts,
            wish: wish.building, store: store, progress)
        built += 1
    }

    private func reference(of service: Service) -> String {
        service.image ?? "\(project.name)-\(service.name)"
    }

    /// The service that builds an image which others only name: no registry has it.
    private func builder(of reference: String) -> Service? {
        project.services.values.filter { $0.build != nil && self.reference(of: $0) == reference }
            .min { $0.name < $1.name }
    }

    private func lookUp(_ service: Service) throws(Failure) -> LoweredImage? {
        let reference = reference(of: service)
        if let known = found[reference] { return known }
        guard let image = try store.lookUp(reference, relativeTo: project.directory) else { return nil }
        let lowered = LoweredImage(facts: image.facts, defaults: image.defaults)
        found[reference] = lowered
        return lowered
    }

    private func ensure(_ service: Service) throws(Failure) -> LoweredImage {
        let reference = reference(of: service)
        if service.build == nil, let maker = builder(of: reference) { return try ensure(maker) }
        let policy = try PullPolicy(service, flag: wish.pull)
        let mustBuild = wish.fetches && service.build != nil && (wish.build || policy == .build)
        if let known = found[reference] { return known }
        if !mustBuild {
            let here = try lookUp(service)
            let locked = service.build == nil ? lock?.digest(reference) : nil
            if let here {
                let isRight =
                    if let locked { try isLocked(reference, locked) } else {
                        try !asksAgain(reference, policy)
                    }
                if isRight { return here }
            }
            found[reference] = nil
            if here != nil || service.build == nil, service.image != nil, policy != .build {
                if let fetched = try fetch(service, reference, policy) { return fetched }
            }
            if !wish.fetches, let planned = try plan(service, reference, policy, locked: locked) {
                return planned
            }
            if let locked, here != nil {
                throw Failure(
                    "cannot use the image \"\(reference)\"",
                    cause: "what is here is not the locked \(locked), and it may not be fetched",
                    advice: "run `covey pull`, or `covey lock` to lock another", at: service.marks["image"])
            }
        }
        if let build = service.build { return try make(service, build, reference) }
        return try take(service, reference)
    }

    /// Whether what is here under a name is the image the lock names.
    private func isLocked(_ reference: String, _ digest: Digest) throws(Failure) -> Bool {
        if try store.pulledFacts(reference)?.digest == digest { return true }
        return try store.lookUp(reference)?.manifest == digest
    }

    private func asksAgain(_ reference: String, _ policy: PullPolicy) throws(Failure) -> Bool {
        guard wish.fetches, Transport(reference, relativeTo: project.directory) == nil else { return false }
        let pulledAt = policy.hasAge ? try store.pulledFacts(reference)?.time : nil
        return policy.asksAgain(pulledAt: pulledAt, now: realtimeNanoseconds() / 1_000_000_000)
    }

    /// From its registry. nil where that is not wanted, or fails for a service that can be built instead.
    private func fetch(_ service: Service, _ reference: String, _ policy: PullPolicy) throws(Failure)
        -> LoweredImage?
    {
        guard wish.fetches, policy != .never, Transport(reference, relativeTo: project.directory) == nil,
            Digest(reference) == nil
        else { return nil }
        if let known = unavailable[reference], service.build == nil { throw known }
        do throws(Failure) {
            let source = service.build == nil ? try lock?.pinned(reference) : nil
            let image = try transferring().pull(source ?? reference, as: reference).image
            let lowered = LoweredImage(facts: image.facts, defaults: image.defaults)
            found[reference] = lowered
            return lowered
        } catch {
            if service.build != nil {
                progress.notice("\(reference) is built: \(error.cause ?? error.doing)")
                return nil
            }
            var failure = error
            if failure.location == nil { failure.location = service.marks["image"] }
            unavailable[reference] = failure
            throw failure
        }
    }

    /// What a pull or build would bring, for those that only plan: a registry is asked, and nothing of its answer kept.
    /// nil where `up` would not get the image from there.
    private func plan(_ service: Service, _ reference: String, _ policy: PullPolicy, locked: Digest?)
        throws(Failure) -> LoweredImage?
    {
        guard Transport(reference, relativeTo: project.directory) == nil, Digest(reference) == nil else {
            return nil
        }
        // Planned with as an image nobody has yet.
        var planned = StoredImage(
            facts: ImageFacts(reference: reference, id: Digest(of: "planned \(reference)".utf8), layers: []),
            defaults: ImageDefaults())
        var line = "image \(reference): would be "
        if service.build != nil {
            line += "built"
        } else if policy == .never || policy == .build {
            return nil
        } else {
            line += locked.map { "pulled as locked, \($0)" } ?? "pulled"
            do throws(Failure) {
                let offer = try transferring().access.offer(lock?.pinned(reference) ?? reference)
                planned = try StoredImage(planned: reference, config: offer.config)
                if locked == nil { line += ", \(offer.digest)" }
                let count = offer.layers.count
                let size = humanSize(bytes: offer.layers.reduce(0) { $0 + $1.size })
                line += "; \(count) layer\(count == 1 ? "" : "s"), \(size)"
            } catch {
                line += "; the registry can't be asked now: \(error.cause ?? error.doing)"
            }
        }
        session.errors.line(line)
        let lowered = LoweredImage(facts: planned.facts, defaults: planned.defaults)
        found[reference] = lowered
        return lowered
    }

    private func transferring() throws(Failure) -> ImageTransfer {
        if let transfer { return transfer }
        let new = try ImageTransfer(session, store, progress)
        transfer = new
        return new
    }

    /// An image by its transport, or the error that tells how to get it.
    private func take(_ service: Service, _ reference: String) throws(Failure) -> LoweredImage {
        let isTransport = Transport(reference, relativeTo: project.directory) != nil
        let task =
            isTransport ? progress.begin("Image", reference, doing: "Importing", done: "Imported") : nil
        do throws(Failure) {
            let image = try store.resolve(reference, relativeTo: project.directory)
            if let task { progress.update(task, .done) }
            let lowered = LoweredImage(facts: image.facts, defaults: image.defaults)
            found[reference] = lowered
            return lowered
        } catch {
            if let task { progress.update(task, .failed) }
            var failure = error
            if failure.location == nil { failure.location = service.marks["image"] }
            throw failure
        }
    }

    private func make(_ service: Service, _ build: Service.Build, _ reference: String) throws(Failure)
        -> LoweredImage
    {
        guard !building.contains(service.name) else {
            throw Failure(
                "cannot build service \"\(service.name)\"",
                cause: "it needs itself: \((building + [service.name]).joined(separator: " → "))",
                advice: "remove one of these additional_contexts", at: service.marks["build"])
        }
        building.append(service.name)
        defer { building.removeLast() }
        // `service:NAME` as a context: that image comes first.
        var contexts: [String: String] = [:]
        for (name, text) in build.additionalContexts where text.hasPrefix("service:") {
            let other = String(text.dropFirst("service:".count))
            guard let needed = project.services[other] else {
                throw Failure(
                    "cannot build service \"\(service.name)\"",
                    cause: "it needs service \"\(other)\", which is not there",
                    at: service.marks["build"])
            }
            _ = try ensure(needed)
            contexts[name] = self.reference(of: needed)
        }
        let task = progress.begin("Image", reference, doing: "Building", done: "Built")
        do throws(Failure) {
            try steps.build(
                build, of: project, serviceName: service.name, tags: [reference] + build.tags,
                serviceContexts: contexts, wish: wish.building, store: buildStore, progress)
            progress.update(task, .done)
            built += 1
        } catch {
            progress.update(task, .failed)
            throw error
        }
        guard let image = try store.lookUp(reference) else {
            throw Failure(
                "cannot find the image \"\(reference)\" that was just built", advice: "run the command again")
        }
        let lowered = LoweredImage(facts: image.facts, defaults: image.defaults)
        found[reference] = lowered
        return lowered
    }
}

/// The images of a project's services. Services that are neither wanted nor have an image, and those that depend on
/// them, are switched off in the project: nothing is asked of them.
func resolveImages(
    _ session: Session, _ project: inout Project, wanted: Set<String>, build: Bool, fetches: Bool = true,
    _ progress: Progress
) throws(Failure) -> [String: LoweredImage] {
    let wish = ImageWish(
        build: build, pull: session.arguments.last(.pull), fetches: fetches, services: wanted)
    let images = try ImageResolution(session, project, wish, progress).all()
    while let name = project.services.keys.sorted().first(where: { name in
        images[name] == nil
            || project.services[name]?.dependsOn.contains {
                $0.value.required && project.services[$0.key] == nil
            } == true
    }) {
        project.disabledServices[name] = project.services.removeValue(forKey: name)
    }
    return images.filter { project.services[$0.key] != nil }
}

/// The images that `pre_start` names beside its service's own, by reference.
func stepImages(_ session: Session, _ project: Project) throws(Failure) -> [String: LoweredImage] {
    var images: [String: LoweredImage] = [:]
    for name in project.services.keys.sorted() {
        for hook in project.services[name]?.preStart ?? [] {
            guard let reference = hook.image, images[reference] == nil else { continue }
            do throws(Failure) {
                let image = try session.imageStore().resolve(
                    reference, relativeTo: project.directory)
                images[reference] = LoweredImage(facts: image.facts, defaults: image.defaults)
            } catch {
                var failure = error
                if failure.location == nil { failure.location = project.services[name]?.marks["pre_start"] }
                throw failure
            }
        }
    }
    return images
}
