// SPDX-License-Identifier: Apache-2.0
//
// ImageResolution: every service gets its image: found in the store, imported when a transport names it, built when
// the service says how. This is the client's own work: nothing hostile or slow happens in the controller.

internal import Basics
internal import ComposeModel
internal import Images
internal import Planning

/// What a command wants of images.
struct ImageWish {
    /// Build those that can be built, also when they exist.
    var build = false
    var noCache = false
    /// Only of these services; of others what is in the store will do.
    var services: Set<String> = []
}

/// The images of a project, each looked for once.
final class ImageResolution {
    private let project: Project
    private let store: ImageStore
    private let wish: ImageWish
    private let progress: Progress
    private let steps: StepRunning
    private var found: [String: LoweredImage] = [:]
    private var building: [String] = []
    private(set) var built = 0

    init(_ session: Session, _ project: Project, _ wish: ImageWish, _ progress: Progress) {
        self.project = project
        self.wish = wish
        self.progress = progress
        store = ImageStore(root: session.root)
        steps = StepRunning(session)
    }

    /// The images by service name. A service that is not wanted and has none is missing from the result.
    func all() throws(Failure) -> [String: LoweredImage] {
        var images: [String: LoweredImage] = [:]
        var failures: [Failure] = []
        for name in project.services.keys.sorted() {
            guard let service = project.services[name] else { continue }
            do throws(Failure) {
                images[name] = try wish.services.contains(name) ? ensure(service) : lookUp(service)
            } catch {
                // Missing images are all named at once; after a failed build nothing else is tried.
                if service.build != nil { throw error }
                failures.append(error)
            }
        }
        if let failure = Failure.collect(failures) { throw failure }
        return images
    }

    /// Builds the wanted services that can be built.
    func buildAll() throws(Failure) {
        for name in wish.services.sorted() {
            guard let service = project.services[name], service.build != nil else { continue }
            _ = try ensure(service)
        }
    }

    private func reference(of service: Service) -> String {
        service.image ?? "\(project.name)-\(service.name)"
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
        let mustBuild = service.build != nil && (wish.build || service.pullPolicy == "build")
        if let known = found[reference] { return known }
        if !mustBuild, let known = try lookUp(service) { return known }
        if let build = service.build { return try make(service, build, reference) }
        return try take(service, reference)
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
                build, serviceName: service.name, tags: [reference] + build.tags, serviceContexts: contexts,
                noCache: wish.noCache || build.noCache, store: store, progress)
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
    _ session: Session, _ project: inout Project, wanted: Set<String>, build: Bool, _ progress: Progress
) throws(Failure) -> [String: LoweredImage] {
    let wish = ImageWish(build: build, services: wanted)
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
