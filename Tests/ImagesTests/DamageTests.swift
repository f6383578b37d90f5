// SPDX-License-Identifier: Apache-2.0
//
// A store some of which is wrong, gone or too much, and that goes on.

import Basics
import CLinux
import ContainerModel
import Kernel
import OCIFormats
import Synchronization
import Testing

@testable import Images

@Suite("a store with damage in it")
struct DamageTests {
    let ground: Playground
    private var store: ImageStore { ground.store }
    private var images: String { "\(ground.path)/root/images" }
    private let config = ImageConfig(architecture: hostArchitecture)

    init() throws { ground = try Playground() }

    private func blob(_ digest: Digest?) throws -> String {
        "\(images)/blobs/sha256/\(try #require(digest).hex)"
    }

    @Test(
        "one damaged document is told of and stops nobody; its image can be taken away",
        arguments: [true, false])
    func document(isManifest: Bool) throws {
        let bad = try ground.image("bad:1", "bad")
        let good = try ground.image("good:1", "good")
        _ = try ground.image("other:1", "other")
        try writeFile(blob(isManifest ? bad.manifest : bad.facts.id), "junk".utf8)
        let rows = try store.list()
        #expect(rows.map(\.name) == ["bad:1", "good:1", "other:1"])
        #expect(rows.map { $0.damage != nil } == [true, false, false])
        #expect(rows[1].id == good.facts.id)
        var told = store
        let said = Said()
        told.notice = { said.add($0) }
        try told.remove("other:1")
        #expect(
            said.all.count == 1 && said.all[0].contains("bad:1") && said.all[0].contains("image rm"),
            "\(said.all)")
        #expect(try told.prune(keeping: [], unless: nil, cache: true) == [])
        #expect(try store.usage(inUse: [], ids: []).images == 2)
        let missing = try #require(throws: Failure.self) { try store.resolve("nosuch") }
        #expect(missing.doing.contains("nosuch"))
        #expect(try store.lookUp("good:1") == good)
        let word = try #require(store.list().first).id.description
        #expect(try store.names(for: word) == ["bad:1"])
        try store.remove("bad:1")
        #expect(try store.list().map(\.name) == ["good:1"])
        try store.remove("good:1")
        #expect(try directoryEntries("\(images)/blobs/sha256") == [])
    }

    @Test("what is built on a layer takes the blob that is here, whichever it first came in with")
    func otherBlob() throws {
        let plain = try ground.image("plain:1", "text")
        let packed = try ground.image("packed:1", "text", gzip: true)
        #expect(plain.diffIDs == packed.diffIDs)
        let digest = try store.manifest(of: plain).manifest.layers[0].digest
        try store.remove("plain:1")
        #expect(try !exists(blob(digest)))
        let upper = try ground.tar("upper.tar", [(file("more"), "more")])
        let built = try store.commit(
            layers: packed.diffIDs, adding: .tar(path: upper), config: config, as: "built:1")
        let layers = try store.manifest(of: built).manifest.layers
        #expect(try layers[0].mediaType == MediaType.layerGzip && exists(blob(layers[0].digest)))
        #expect(try layers[0].digest == store.manifest(of: packed).manifest.layers[0].digest)
    }

    @Test("a blob that only claims to be a layer's is not built on")
    func falseBlob() throws {
        let right = try ground.image("right:1", "right")
        let other = try ground.image("other:1", "other")
        let wrong = try store.manifest(of: other).manifest.layers
        // The config of one with the layers of the other: both are here.
        var document = ImageManifest(
            config: try store.manifest(of: right).manifest.config, layers: wrong)
        document.mediaType = MediaType.manifest
        let bytes = try encodeDocument(document)
        try writeFile(blob(Digest(of: bytes)), bytes)
        var index = try store.readIndex()
        var entry = Descriptor(
            mediaType: MediaType.manifest, digest: Digest(of: bytes), size: Int64(bytes.count))
        entry.annotations = [referenceNameAnnotation: "liar:1"]
        index.manifests.append(entry)
        try writeFile("\(images)/index.json", encodeDocument(index))
        try store.remove("right:1")
        let failure = try #require(throws: Failure.self) {
            try store.commit(layers: right.diffIDs, adding: nil, config: config, as: "built:1")
        }
        #expect(failure.cause?.contains("no longer in the store") == true, "\(failure)")
    }

    @Test("of a builder's steps the oldest go when there are too many, and images never")
    func evicted() throws {
        var store = store
        store.mostSteps = 3
        let base = try ground.image("base:1", "base")
        let keys = (0..<5).map { Digest(of: "step \($0)".utf8) }
        for key in keys { _ = try store.keep(layers: base.diffIDs, adding: nil, config: config, asStep: key) }
        #expect(try keys.map { try store.step($0) != nil } == [false, false, true, true, true])
        #expect(try store.lookUp("base:1") != nil)
        #expect(try store.usage(inUse: [], ids: []).cacheEntries == 3)
        #expect(try directoryEntries("\(images)/resolved").count == 4)
        // One that is kept again is the newest.
        _ = try store.keep(layers: base.diffIDs, adding: nil, config: config, asStep: keys[2])
        _ = try store.keep(layers: base.diffIDs, adding: nil, config: config, asStep: keys[0])
        #expect(try keys.map { try store.step($0) != nil } == [true, false, true, false, true])
        #expect(try store.prune(keeping: [], unless: nil, cache: true) == [])
        #expect(try directoryEntries("\(images)/resolved") == ["base:1"])
    }

    @Test("what only a builder's steps hold is told apart from what images do")
    func heldBySteps() throws {
        let base = try ground.image("base:1", "base")
        let before = try store.usage(inUse: [], ids: [base.facts.id])
        #expect(before.cacheBytes == 0 && before.reclaimable == 0 && before.bytes > 0)
        let layer = try ground.tar("step.tar", [(file("step"), String(repeating: "x", count: 5000))])
        let key = Digest(of: "a step".utf8)
        _ = try store.keep(layers: base.diffIDs, adding: .tar(path: layer), config: config, asStep: key)
        let after = try store.usage(inUse: [], ids: [base.facts.id])
        #expect(after.bytes == before.bytes && after.reclaimable == 0)
        #expect(after.cacheBytes > 5000)
        _ = try store.prune(keeping: [], unless: nil, cache: true)
        #expect(try store.usage(inUse: [], ids: [base.facts.id]) == before)
    }

    @Test(
        "an index larger than any foreign one is read and made smaller; one that could not be read is not written"
    )
    func largeIndex() throws {
        _ = try ground.image("base:1", "base")
        func index(of bytes: Int) throws -> ImageIndex {
            var index = try store.readIndex()
            index.manifests[0].annotations?["covey.note"] = String(repeating: "x", count: bytes)
            return index
        }
        try StoreWriter(store).write(index(of: documentLimit + 1))
        #expect(try store.list().map(\.name) == ["base:1"])
        let failure = try #require(throws: Failure.self) {
            try StoreWriter(store).write(index(of: ImageStore.indexLimit))
        }
        #expect(
            failure.cause?.contains("bytes") == true && failure.advice?.contains("prune") == true,
            "\(failure)")
        try store.remove("base:1")
        #expect(try store.list().isEmpty)
    }
}

private final class Said: Sendable {
    private let texts = Mutex<[String]>([])
    func add(_ text: String) { texts.withLock { $0.append(text) } }
    var all: [String] { texts.withLock { $0 } }
}
