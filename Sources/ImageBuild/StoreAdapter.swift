// SPDX-License-Identifier: Apache-2.0
//
// The image store as a build sees it. A step's layers are kept as an image of their own under a name that
// `image ls` does not list, so that the store knows them as used until its cache is cleared.

internal import Archives
public import Basics
public import Images
internal import Kernel
internal import OCIFormats

/// As many as a pull fetches (Docker's own default).
let layersAtOnce = 3

extension BuildStore {
    /// - directory: what the relative paths of transports in `FROM` and `--from` are relative to.
    public init(_ store: ImageStore, relativeTo directory: String = "/") {
        func assemble(_ diffIDs: [Digest]) throws(Failure) -> LayerStack {
            var key = KeyBuilder()
            key.add("join")
            key.add(diffIDs.map(\.hex))
            if let known = try store.step(key.key) { return LayerStack(known) }
            return LayerStack(
                try store.keep(
                    layers: diffIDs, adding: nil, config: ImageConfig(architecture: hostArchitecture),
                    asStep: key.key))
        }
        self.init(
            root: store.root, limits: store.limits,
            resolve: { (reference: String) throws(Failure) -> BaseImage in
                let image = try store.resolve(reference, relativeTo: directory)
                let config = image.manifest == nil ? nil : try store.config(of: image)
                return BaseImage(reference: reference, layers: LayerStack(image), config: config)
            },
            recall: { key in
                let image = try? store.step(key)
                return image.map(LayerStack.init)
            },
            keep: { (stack: LayerStack, upper: String, key: Digest) throws(Failure) -> LayerStack in
                LayerStack(
                    try store.keep(
                        layers: stack.diffIDs, adding: .upper(path: upper),
                        config: ImageConfig(architecture: hostArchitecture), asStep: key))
            },
            take: { (layers: [CachedLayer]) throws(Failure) in
                let intake = try ImageIntake(store, title: "a layer of the build cache")
                try runJobs(layers.count, width: layersAtOnce) { (number: Int) throws(Failure) in
                    let layer = layers[number]
                    if try intake.has(layer.blob, layer.diffID) { return }
                    try intake.take(try layer.open(), layer.blob, layer.diffID, number: number)
                }
                for layer in layers {
                    _ = try store.keep(
                        layers: layer.below + [layer.diffID], adding: nil,
                        config: ImageConfig(architecture: hostArchitecture), asStep: layer.key)
                }
                withExtendedLifetime(intake) {}
            },
            assemble: { (diffIDs: [Digest]) throws(Failure) -> LayerStack in try assemble(diffIDs) },
            layer: { (key: Digest) throws(Failure) -> Descriptor? in
                guard let image = try store.step(key) else { return nil }
                return try store.manifest(of: image).manifest.layers.last
            },
            open: { (layer: Descriptor) throws(Failure) -> SharedFD in
                try store.blob(layer, of: "the build cache")
            },
            refresh: { (reference: String) throws(Failure) in
                guard let fetch = store.fetch, Digest(reference) == nil,
                    Transport(reference, relativeTo: directory) == nil
                else { return }
                try fetch(reference)
            },
            join: { (below: LayerStack, above: LayerStack) throws(Failure) -> LayerStack in
                if below.diffIDs.isEmpty { return above }
                return try assemble(below.diffIDs + above.diffIDs)
            },
            commit: { (stack: LayerStack, config: ImageConfig, tags: [String]) throws(Failure) -> Digest in
                var config = config
                config.rootfs.diffIDs = stack.diffIDs
                let id = Digest(of: try encodeDocument(config))
                // Unchanged: nothing is written, so nothing waits for the store's lock.
                if tags.isEmpty {
                    if try store.step(id)?.facts.id == id { return id }
                    return try store.keep(layers: stack.diffIDs, adding: nil, config: config, asStep: id)
                        .facts.id
                }
                var missing: [String] = []
                for name in tags where try store.lookUp(name)?.facts.id != id { missing.append(name) }
                guard let first = missing.first else { return id }
                let image = try store.commit(layers: stack.diffIDs, adding: nil, config: config, as: first)
                for name in missing.dropFirst() { _ = try store.tag(image, as: name) }
                return image.facts.id
            })
    }
}

extension LayerStack {
    init(_ image: StoredImage) {
        self.init(diffIDs: image.diffIDs, lowers: image.facts.layers)
    }
}

/// Builds an image into the image store. Nothing of an unfinished step is left behind, whatever fails.
public func build(
    _ request: BuildRequest, store: ImageStore, runner: StepRunner, remote: RemoteSources = .none,
    progress: @escaping (BuildEvent) -> Void
) throws(Failure) -> BuiltImage {
    for tag in request.tags { try ImageStore.checkName(tag) }
    return try build(request, store: BuildStore(store), runner: runner, remote: remote, progress: progress)
}
