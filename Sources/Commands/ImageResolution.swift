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
    private(set) var built = 0

    init(_ session: Session, _ project: Project, _ wish: ImageWish, _ progress: Progress) throws(Failure) {
        lock = try LockFile.read(project)
        if session.arguments.has(.locked) { try checkLocked(project, lock) }
        self.project = project
        self.wish = wish
        self.progress = progress
        self.session = session
        var store = try session.imageStore()
        store.mayWrite = wish.fetches
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

    /// All of them. A service that is not wanted, and lacks its own or one that it names beside it, is missing from the
    /// result.
    func all() throws(Failure) -> ProjectImages {
        defer { steps.finish() }
        var images = ProjectImages()
        var failures: [Failure] = []
        // As they came: one image that several services name is told once, where the first of them names it.
        var told: [Failure] = []
        for service in project.services.values.sorted(by: { $0.name < $1.name }) {
            let isWanted = wish.services.contains(service.name)
            do throws(Failure) {
                var own = try isWanted ? ensure(service) : lookUp(service)
                for (reference, place) in service.furtherImages where own != nil {
                    do throws(Failure) {
                        let further =
                            try isWanted
                            ? ensure(reference, besideImageOf: service) : lookUp(reference)
                        if further == nil { own = nil }
                        images.further[reference] = further
                    } catch {
                        var failure = error
                        if failure.location == nil { failure.location = place }
                        throw failure
                    }
                }
                images.services[service.name] = own
            } catch {
                // Missing images are all named at once; after a failed build nothing else is tried.
                if service.build != nil { throw error }
                guard !told.contains(error) else { continue }
                told.append(error)
                var failure = error
                if failure.location == nil { failure.location = service.marks["image"] }
                failures.append(failure)
            }
        }
        if let failure = Failure.collect(failures) { throw failure }
        return images
    }

    /// An image that a service names beside its own: made sure of as its own is.
    private func ensure(_ reference: String, besideImageOf service: Service) throws(Failure) -> LoweredImage {
        if let known = found[reference] { return known }
        if let maker = project.builder(of: reference) { return try ensure(maker) }
        let policy = try PullPolicy(service, flag: wish.pull)
        let here = try lookUp(reference)
        let mayDiffer = try asksAgain(reference, policy)
        if isOfRegistry(reference), policy != .never, here == nil || mayDiffer {
            if !wish.fetches { return try planPull(reference, locked: lock?.digest(reference), here: here) }
            let source = try lock?.pinned(reference) ?? reference
            return remember(try transferring().pull(source, as: reference).image, as: reference)
        }
        if let here { return here }
        if !wish.fetches, let planned = try planImport(reference) { return planned }
        return LoweredImage(try store.resolve(reference, relativeTo: project.directory))
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
                contexts[name] = project.imageName(of: other)
            }
        }
        try steps.build(
            build, of: project, serviceName: service.name, tags: [], serviceContexts: contexts,
            wish: wish.building, store: store, progress)
        built += 1
    }

    private func lookUp(_ service: Service) throws(Failure) -> LoweredImage? {
        try lookUp(project.imageName(of: service))
    }

    /// What is here is not remembered: another service may want it built or fetched anew.
    private func lookUp(_ reference: String) throws(Failure) -> LoweredImage? {
        if let known = found[reference] { return known }
        return try store.lookUp(reference, relativeTo: project.directory).map(LoweredImage.init)
    }

    private func remember(_ image: StoredImage, as reference: String) -> LoweredImage {
        let lowered = LoweredImage(image)
        found[reference] = lowered
        return lowered
    }

    /// Whether a reference is one that a registry may have: no file's, and no image's id.
    private func isOfRegistry(_ reference: String) -> Bool {
        Transport(reference, relativeTo: project.directory) == nil && Digest(reference) == nil
    }

    private func ensure(_ service: Service) throws(Failure) -> LoweredImage {
        let reference = project.imageName(of: service)
        if service.build == nil, let maker = project.builder(of: reference) { return try ensure(maker) }
        let policy = try PullPolicy(service, flag: wish.pull)
        let mustBuild = service.build != nil && (wish.build || policy == .build)
        if let known = found[reference] { return known }
        if mustBuild, !wish.fetches, let here = try lookUp(service) {
            session.errors.line("image \(reference): would be built")
            found[reference] = here
            return here
        }
        if !mustBuild || !wish.fetches {
            let here = try lookUp(service)
            let locked = service.build == nil ? lock?.digest(reference) : nil
            if let here {
                let isRight =
                    if let locked { try isHere(reference, locked) } else {
                        try !asksAgain(reference, policy)
                    }
                if isRight {
                    found[reference] = here
                    return here
                }
            }
            if here != nil || service.build == nil, service.image != nil, policy != .build {
                if let fetched = try fetch(service, reference, policy) { return fetched }
            }
            if !wish.fetches, let planned = try plan(service, reference, policy, locked: locked, here: here) {
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

    /// Whether what is here under a name is the image of a digest, which a lock or a registry gave.
    private func isHere(_ reference: String, _ digest: Digest) throws(Failure) -> Bool {
        if try store.pulledFacts(reference)?.digest == digest { return true }
        return try store.lookUp(reference)?.manifest == digest
    }

    private func asksAgain(_ reference: String, _ policy: PullPolicy) throws(Failure) -> Bool {
        guard Transport(reference, relativeTo: project.directory) == nil else { return false }
        let pulledAt = policy.hasAge ? try store.pulledFacts(reference)?.time : nil
        return policy.asksAgain(pulledAt: pulledAt, now: realtimeNanoseconds() / 1_000_000_000)
    }

    /// From its registry. nil where that is not wanted, or fails for a service that can be built instead.
    private func fetch(_ service: Service, _ reference: String, _ policy: PullPolicy) throws(Failure)
        -> LoweredImage?
    {
        guard wish.fetches, policy != .never, isOfRegistry(reference) else { return nil }
        if let known = unavailable[reference], service.build == nil { throw known }
        do throws(Failure) {
            let source = service.build == nil ? try lock?.pinned(reference) : nil
            return remember(
                try transferring().pull(source ?? reference, as: reference).image, as: reference)
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

    /// What a pull, a build or an import would bring, for those that only plan. nil where `up` would not get the image from
    /// there.
    private func plan(
        _ service: Service, _ reference: String, _ policy: PullPolicy, locked: Digest?, here: LoweredImage?
    ) throws(Failure) -> LoweredImage? {
        guard isOfRegistry(reference) else { return try planImport(reference, of: service) }
        // What is here is asked for again before it is built again.
        if service.build != nil, here == nil || service.image == nil {
            session.errors.line("image \(reference): would be built")
            if let here {
                found[reference] = here
                return here
            }
            return remember(unknownImage(reference), as: reference)
        }
        if policy == .never || policy == .build { return nil }
        return try planPull(reference, locked: locked, here: here, mayBuild: service.build != nil)
    }

    /// What taking in a file or a directory would bring; nil for what is none.
    private func planImport(_ reference: String, of service: Service? = nil) throws(Failure) -> LoweredImage?
    {
        guard let transport = Transport(reference, relativeTo: project.directory) else { return nil }
        do throws(Failure) {
            var planned = try store.plannedImport(transport)
            planned.facts.reference = reference
            session.errors.line("image \(reference): would be imported")
            return remember(planned, as: reference)
        } catch {
            var failure = error
            if failure.location == nil { failure.location = service?.marks["image"] }
            throw failure
        }
    }

    /// The registry is asked what it has, and nothing of its answer kept.
    /// - here: planned with where the registry has nothing else.
    private func planPull(
        _ reference: String, locked: Digest?, here: LoweredImage? = nil, mayBuild: Bool = false
    ) throws(Failure) -> LoweredImage {
        var planned = unknownImage(reference)
        var line = "image \(reference): would be "
        line += locked.map { "pulled as locked, \($0)" } ?? "pulled"
        do throws(Failure) {
            let offer = try transferring().access.offer(lock?.pinned(reference) ?? reference)
            if let here, try isHere(reference, offer.digest) {
                found[reference] = here
                return here
            }
            planned = try StoredImage(planned: reference, config: offer.config)
            if locked == nil { line += ", \(offer.digest)" }
            let count = offer.layers.count
            let size = humanSize(bytes: offer.layers.reduce(0) { $0 + $1.size })
            line += "; \(count) layer\(count == 1 ? "" : "s"), \(size)"
        } catch {
            if mayBuild {
                line = "image \(reference): would be built"
            } else {
                line += "; the registry can't be asked now: \(error.cause ?? error.doing)"
            }
            if let here {
                session.errors.line(line)
                found[reference] = here
                return here
            }
        }
        session.errors.line(line)
        return remember(planned, as: reference)
    }

    /// What is planned with while nothing is known of an image: one that nobody has yet.
    private func unknownImage(_ reference: String) -> StoredImage {
        StoredImage(
            facts: ImageFacts(reference: reference, id: Digest(of: "planned \(reference)".utf8), layers: []),
            defaults: ImageDefaults())
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
            return remember(image, as: reference)
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
            contexts[name] = project.imageName(of: needed)
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
        return remember(image, as: reference)
    }
}

extension LoweredImage {
    fileprivate init(_ image: StoredImage) { self.init(facts: image.facts, defaults: image.defaults) }
}

/// The images of a project.
struct ProjectImages {
    /// Of services, by their names.
    var services: [String: LoweredImage] = [:]
    /// That services name beside their own, by reference.
    var further: [String: LoweredImage] = [:]
}

extension Service {
    /// Images for steps before its start and to be mounted as files, with the places that name them.
    fileprivate var furtherImages: [(reference: String, place: SourceLocation?)] {
        var images: [(String, SourceLocation?)] = []
        for hook in preStart {
            if let reference = hook.image { images.append((reference, marks["pre_start"])) }
        }
        for mount in volumes {
            if case .image(let reference) = mount.source { images.append((reference, mount.location)) }
        }
        return images
    }
}

/// The images of a project. Services that are neither wanted nor have their images, and those that depend on them, are
/// switched off in the project: nothing is asked of them.
func resolveImages(
    _ session: Session, _ project: inout Project, wanted: Set<String>, build: Bool, fetches: Bool = true,
    _ progress: Progress
) throws(Failure) -> ProjectImages {
    let wish = ImageWish(
        build: build, pull: session.arguments.last(.pull), fetches: fetches, services: wanted)
    var images = try ImageResolution(session, project, wish, progress).all()
    switchOff(&project, &images)
    return images
}

/// Those that neither the file nor their image gives a program, unless they are wanted: nothing is to be started of them.
func switchOffIdle(_ project: inout Project, _ images: inout ProjectImages, except wanted: Set<String>) {
    for (name, service) in project.services where !wanted.contains(name) {
        if let image = images.services[name], programArguments(of: service, image.defaults).isEmpty {
            images.services[name] = nil
        }
    }
    switchOff(&project, &images)
}

/// Switches off what has no image, and what can't be without.
private func switchOff(_ project: inout Project, _ images: inout ProjectImages) {
    while let name = project.services.keys.sorted().first(where: { name in
        images.services[name] == nil
            || project.services[name]?.dependsOn.contains {
                $0.value.required && project.services[$0.key] == nil
            } == true
    }) {
        project.disabledServices[name] = project.services.removeValue(forKey: name)
    }
    images.services = images.services.filter { project.services[$0.key] != nil }
}
