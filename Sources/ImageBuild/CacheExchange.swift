// SPDX-License-Identifier: Apache-2.0
//
// The caches of one build beside the store's own. A step that is known there counts as done at once; its layer comes
// only when somebody needs the files: the next step that has to be run, or the image. Until then a stack of layers has
// diff ids and no directories.
//
//   find(key) ─▶ expect(step) ─▶ … ─▶ present(stack): layers fetched, named and remembered as if made here
//
// Stages ask from several threads; what is fetched is fetched under the lock, once.

internal import Basics
internal import Kernel
internal import OCIFormats

/// One step as it went into a stage's layers.
struct KeptStep {
    var key: Digest
    var created: String
    /// The diff id; nil when no file was changed.
    var layer: Digest?
}

final class CacheExchange {
    private struct Expected {
        var step: KeptStep
        var layer: Digest
        /// Diff ids of what is beneath; none for a linked step.
        var below: [Digest]
        var isLinked: Bool
    }

    private let store: BuildStore
    private let records: StepCache
    private let lock = ThreadLock()
    private var steps: [Digest: KeptStep] = [:]
    private var selections: [Digest: Digest] = [:]
    private var blobs: [Digest: (descriptor: Descriptor, from: CacheContents)] = [:]
    private var expected: [Expected] = []
    /// Selections this build made or knew, for the caches it writes.
    private var used: [Digest: Digest] = [:]

    init(_ store: BuildStore, _ records: StepCache) {
        self.store = store
        self.records = records
    }

    /// Takes a cache's steps in; those of earlier ones go before.
    func add(_ contents: CacheContents) -> Int {
        for (diffID, descriptor) in contents.blobs where blobs[diffID] == nil {
            blobs[diffID] = (descriptor, contents)
        }
        for step in contents.document.steps where steps[step.key] == nil {
            steps[step.key] = KeptStep(key: step.key, created: step.created, layer: step.layer)
        }
        for each in contents.document.selections where selections[each.key] == nil {
            selections[each.key] = each.digest
        }
        return contents.document.steps.count
    }

    /// A step that a cache has, whose layer can be had.
    func find(_ key: Digest) -> KeptStep? {
        lock.held {
            guard let step = steps[key] else { return nil }
            if let layer = step.layer, blobs[layer] == nil { return nil }
            return step
        }
    }

    func selection(_ key: Digest) -> Digest? {
        if let known = records.selection(key) { return known }
        return lock.held { selections[key] }
    }

    func keep(selection digest: Digest, _ key: Digest) {
        lock.held { used[key] = digest }
        // Costs a look later, and nothing else.
        if records.selection(key) != digest { try? records.store(selection: digest, key) }
    }

    /// A step that was found is part of a stage now.
    func expect(_ step: KeptStep, over below: [Digest], isLinked: Bool) throws(Failure) {
        guard let layer = step.layer else { return try remember(step) }
        lock.held {
            if expected.contains(where: { $0.step.key == step.key }) { return }
            expected.append(
                Expected(step: step, layer: layer, below: isLinked ? [] : below, isLinked: isLinked))
        }
    }

    /// The stack with its directories, what is missing of it fetched.
    func present(_ stack: LayerStack) throws(Failure) -> LayerStack {
        if !stack.lowers.isEmpty || stack.diffIDs.isEmpty { return stack }
        return try lock.held { () throws(Failure) -> LayerStack in
            var (wanted, rest): ([Expected], [Expected]) = ([], [])
            for each in expected {
                if each.isLinked
                    ? stack.diffIDs.contains(each.layer)
                    : stack.diffIDs.starts(with: each.below + [each.layer])
                {
                    wanted.append(each)
                } else {
                    rest.append(each)
                }
            }
            try fetch(wanted)
            expected = rest
            return try store.assemble(stack.diffIDs)
        }
    }

    private func fetch(_ wanted: [Expected]) throws(Failure) {
        if wanted.isEmpty { return }
        let layers = try wanted.map { (each: Expected) throws(Failure) -> CachedLayer in
            guard let blob = blobs[each.layer] else {
                throw Failure("the build cache lost the layer \(each.layer)")
            }
            return CachedLayer(
                below: each.below, blob: blob.descriptor, diffID: each.layer, key: each.step.key
            ) { () throws(Failure) in try blob.from.open(blob.descriptor) }
        }
        try store.take(layers)
        for each in wanted { try remember(each.step) }
    }

    private func remember(_ step: KeptStep) throws(Failure) {
        do throws(SyscallError) {
            try records.store(.init(created: step.created, hasLayer: step.layer != nil), step.key)
        } catch {
            throw Failure("cannot remember a step of the build cache", error)
        }
    }

    // MARK: Writing

    /// The document and blobs of steps in the order they were made.
    func export(_ steps: [KeptStep]) throws(Failure) -> CacheExport {
        var document = CacheDocument()
        var found: [CacheExport.Blob] = []
        var seen: Set<Digest> = []
        for step in steps where seen.insert(step.key).inserted {
            document.steps.append(.init(key: step.key, created: step.created, layer: step.layer))
            guard let layer = step.layer, !document.layers.contains(where: { $0.diffID == layer }) else {
                continue
            }
            let blob = try blob(layer, step.key)
            document.layers.append(.init(diffID: layer, blob: blob.descriptor.digest))
            if !found.contains(where: { $0.descriptor.digest == blob.descriptor.digest }) {
                found.append(blob)
            }
        }
        let selections = lock.held { used }
        document.selections = selections.map { .init(key: $0.key, digest: $0.value) }
            .sorted { $0.key.hex < $1.key.hex }
        return try CacheExport(document, found)
    }

    private func blob(_ layer: Digest, _ key: Digest) throws(Failure) -> CacheExport.Blob {
        let waiting = lock.held { expected.first { $0.step.key == key } }
        if let waiting, let known = lock.held({ blobs[layer] }) {
            let below = waiting.below
            return CacheExport.Blob(descriptor: known.descriptor) { () throws(Failure) in
                _ = try self.present(LayerStack(diffIDs: below + [layer]))
                guard let here = try self.store.layer(key) else {
                    throw Failure("the build cache's layer \(layer) was removed meanwhile")
                }
                return try self.store.open(here)
            }
        }
        guard let here = try store.layer(key) else {
            throw Failure(
                "cannot write the build cache", cause: "the layer \(layer) was removed meanwhile",
                advice: "build again")
        }
        let store = store
        return CacheExport.Blob(descriptor: here) { () throws(Failure) in try store.open(here) }
    }
}
