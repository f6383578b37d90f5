// SPDX-License-Identifier: Apache-2.0
//
// Names: what an archive or a person may call an image, that all of its names mean the same one, and which of the two a name
// means while it is being given.

import Archives
import Basics
import CLinux
import ContainerModel
import Kernel
import OCIFormats
import Synchronization
import Testing

@testable import Images

@Suite("images and their names")
struct NameTests {
    let ground: Playground
    private var store: ImageStore { ground.store }
    private var images: String { "\(ground.path)/root/images" }

    init() throws { ground = try Playground() }

    /// An archive of another store's images, whose index.json says what the test wants it to.
    private func archive(_ other: ImageStore, _ change: (inout Descriptor) -> Void) throws -> String {
        let from = "\(other.root)/images"
        var index = try decodeDocument(ImageIndex.self, readFile("\(from)/index.json"), title: "it")
        for number in index.manifests.indices { change(&index.manifests[number]) }
        let path = "\(ground.path)/changed.tar"
        let file = SharedFD(try openFile(path, flags: O_RDWR | O_CREAT | O_TRUNC))
        let writer = TarWriter(FileSink(file, name: path))
        try writer.add(TarEntry(.file, "oci-layout"), body: encodeDocument(ImageLayout()))
        try writer.add(TarEntry(.file, "index.json"), body: encodeDocument(index))
        for name in try directoryEntries("\(from)/blobs/sha256") {
            try writer.add(
                TarEntry(.file, "blobs/sha256/\(name)"), body: readFile("\(from)/blobs/sha256/\(name)"))
        }
        try writer.finish()
        return path
    }

    @Test("an archive does not say by which digest a registry gave its image, nor under a name with a digest")
    func forgedDigest() throws {
        let other = ImageStore(root: "\(ground.path)/other")
        let evil = try ground.image("victim:evil", "evil", in: other)
        let pinned = Digest(of: "what somebody locked".utf8)
        let forged = try archive(other) { $0.annotations?[pulledDigestAnnotation] = pinned.description }
        let loaded = try #require(try store.load(forged).first)
        #expect(loaded.facts.id == evil.facts.id)
        #expect(try store.pulledFacts("victim:evil") == nil)
        #expect(try store.lookUp("victim@\(pinned)") == nil)
        _ = try store.importImage(.ociArchive(path: forged, reference: nil), as: "victim:again")
        #expect(try store.lookUp("victim@\(pinned)") == nil)
        // Its own digest it may be called by, and no other.
        #expect(try store.lookUp("victim@\(try #require(evil.manifest))") != nil)
        let named = try archive(other) {
            $0.annotations?[referenceNameAnnotation] = "victim@\(pinned)"
            $0.annotations?[pulledDigestAnnotation] = pinned.description
        }
        let failure = try #require(throws: Failure.self) { try store.load(named) }
        #expect(failure.doing.contains("victim@") && failure.advice != nil, "\(failure)")
        #expect(throws: Failure.self) { try store.tag(loaded, as: "victim@\(pinned)") }
        #expect(try store.lookUp("victim@\(pinned)") == nil)
        // What this store noted itself it keeps when it makes the derived record anew.
        try store.notePulled("victim:evil", pinned, time: 7)
        for name in try directoryEntries("\(images)/resolved") {
            try removeFile("\(images)/resolved/\(name)")
        }
        #expect(try store.lookUp("victim:evil") != nil)
        #expect(try store.pulledFacts("victim:evil") == PulledFacts(digest: pinned, time: 7))
    }

    @Test("the builder's names and ids are nobody's to give")
    func reserved() throws {
        let other = ImageStore(root: "\(ground.path)/other")
        let mine = try ground.image("mine", "mine")
        _ = try ground.image("mine", "mine", in: other)
        let key = Digest(of: "a step".utf8)
        for name in ["covey-build/\(key.hex)", "docker.io/covey-build/\(key.hex):latest", key.description] {
            let path = try archive(other) { $0.annotations?[referenceNameAnnotation] = name }
            let attempts: [() throws -> Void] = [
                { _ = try store.load(path) },
                { _ = try store.tag(mine, as: name) },
                { _ = try ground.image(name, "mine") },
                {
                    _ = try store.commit(
                        layers: mine.diffIDs, adding: nil,
                        config: ImageConfig(architecture: hostArchitecture),
                        as: name)
                }, { try ImageStore.checkName(name) },
            ]
            for attempt in attempts {
                let failure = try #require(throws: Failure.self, performing: attempt)
                #expect(failure.doing == "cannot use \"\(name)\" as an image's name", "\(failure)")
            }
            // A transport has a name of its own to fall back to.
            let imported = try store.importImage(.ociArchive(path: path, reference: nil))
            #expect(imported.facts.reference.hasPrefix("oci-archive:"))
        }
        #expect(try store.step(key) == nil)
        let step = try store.keep(
            layers: mine.diffIDs, adding: nil, config: ImageConfig(architecture: hostArchitecture),
            asStep: key)
        #expect(try store.step(key) == step)
        #expect(try store.list().allSatisfy { !$0.name.hasPrefix("covey-build/") })
    }

    @Test(
        "a name that no registry would take is given to no image",
        arguments: [
            ("a::b:c", "`a::b` is no repository"), ("UP", "`UP` is no repository"),
            ("x/UP:1", "`x/UP` is no"),
            ("x//y", "`x//y` is no repository"), ("x:-1", "`-1` is no tag"), ("-x", "`-x` is no repository"),
            ("x..y", "`x..y` is no"), ("no_host:x/y", "\"no_host:x\" is no host name"),
        ])
    func unusable(name: String, says: String) throws {
        let image = try ground.image("mine", "mine")
        let failure = try #require(throws: Failure.self) { try store.tag(image, as: name) }
        #expect(failure.doing == "cannot use \"\(name)\" as an image's name", "\(failure)")
        #expect(failure.cause?.contains(says) == true, "\(failure)")
        #expect(throws: Failure.self) { try ImageStore.checkName(name) }
        #expect(try store.list().map(\.name) == ["mine:latest"])
    }

    @Test(
        "names that registries take are given",
        arguments: ["x", "a.b/c__d--e/f:V1_.-", "localhost:5000/x", "UP/x"])
    func usable(name: String) throws {
        let image = try ground.image("mine", "mine")
        #expect(try store.tag(image, as: name).facts.id == image.facts.id)
        #expect(try store.lookUp(name)?.facts.id == image.facts.id)
    }

    /// A layout of Docker's schema 2, its config written otherwise than we would.
    private func foreign() throws -> Transport {
        let directory = "\(ground.path)/foreign"
        try ensureDirectory("\(directory)/blobs/sha256")
        func blob(_ bytes: [UInt8], _ type: String) throws -> Descriptor {
            let digest = Digest(of: bytes)
            try writeFile("\(directory)/blobs/sha256/\(digest.hex)", bytes)
            return Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
        }
        let layer = try readFile(ground.tar("layer.tar", [(file("text"), "foreign")]))
        let config = """
            {
               "os": "linux", "architecture": "\(hostArchitecture)",
               "rootfs": { "type": "layers", "diff_ids": [ "\(Digest(of: layer))" ] }, "own": true
            }
            """
        var manifest = ImageManifest(
            config: try blob(Array(config.utf8), "application/vnd.docker.container.image.v1+json"),
            layers: [try blob(layer, "application/vnd.docker.image.rootfs.diff.tar")])
        manifest.mediaType = MediaType.dockerManifest
        var index = ImageIndex()
        index.manifests = [try blob(encodeDocument(manifest), MediaType.dockerManifest)]
        try writeFile("\(directory)/index.json", encodeDocument(index))
        try writeFile("\(directory)/oci-layout", encodeDocument(ImageLayout()))
        return .oci(path: directory, reference: nil)
    }

    @Test("a second name is of the same image, to the byte: id, config and media type")
    func second() throws {
        let pretty = try store.importImage(try foreign(), as: "pretty:1")
        try store.notePulled("pretty:1", Digest(of: "index".utf8), time: 5)
        let again = try store.tag(pretty, as: "again:1")
        #expect(again.facts.id == pretty.facts.id && again.manifest == pretty.manifest)
        #expect(try store.lookUp("again:1") == again)
        #expect(try store.config(of: again) == store.config(of: pretty))
        #expect(Set(try store.list().map(\.id)) == [pretty.facts.id])
        // What its registry said goes to names of the same repository.
        let kin = try store.tag(try #require(try store.lookUp("pretty:1")), as: "pretty:2")
        #expect(kin.facts.id == pretty.facts.id)
        #expect(try store.pulledFacts("pretty:2")?.time == 5)
        #expect(try store.pulledFacts("again:1") == nil)
        // A container was made from it: none of its names goes.
        #expect(
            try store.prune(keeping: Set(again.facts.layers), unless: [pretty.facts.id], cache: false) == [])
        try store.remove("pretty:1")
        try store.remove("pretty:2")
        let manifest = try store.manifest(of: try #require(try store.lookUp("again:1")))
        #expect(manifest.mediaType == MediaType.dockerManifest)
        let upper = try ground.tar("upper.tar", [(file("more"), "more")])
        let built = try store.commit(
            layers: again.diffIDs, adding: .tar(path: upper), config: try store.config(of: again),
            as: "built:1")
        #expect(built.diffIDs.count == 2)
    }

    @Test("a name means one image, the old or the new, wherever giving it was cut off")
    func cutOff() throws {
        let old = try ground.image("app:1", "old")
        let new = try ground.image("new:1", "new")
        // Nothing can be written where the derived record is: as if we were killed just before.
        let obstacle = "\(images)/resolved/app:1.tmp.\(getpid())"
        try ensureDirectory(obstacle)
        #expect(throws: Failure.self) { try store.tag(new, as: "app:1") }
        try removeDirectory(obstacle)
        let listed = try store.list().first { $0.name == "app:1" }?.id
        #expect(listed == new.facts.id)
        #expect(try store.lookUp("app:1")?.facts.id == listed, "\(old.facts.id) is what it was")
    }

    @Test(
        "who waits to make a name's record anew finds what the name has become meanwhile",
        arguments: [true, false])
    func waited(removed: Bool) throws {
        _ = try ground.image("app:1", "old")
        let new = try ground.image("new:1", "new")
        try removeFile("\(images)/resolved/app:1")
        var lock: SharedLock? = SharedLock(try FileLock("\(images)/lock"))
        let inode = try fileStatus("\(images)/lock").st_ino
        let found = Found()
        let store = store
        let index = "\(images)/index.json"
        let changed = try readText(index)
        let thread = JoinableThread {
            let image = try? store.lookUp("app:1")
            found.image.withLock { $0 = image }
        }
        // `12: -> FLOCK  ADVISORY  WRITE 42 fe:00:1234 0 EOF` (proc_locks(5)) is one that waits.
        while try !readText("/proc/locks").split(separator: "\n").contains(where: {
            $0.contains("->") && $0.contains(":\(inode) ")
        }) { sched_yield() }
        var document = try decodeDocument(ImageIndex.self, Array(changed.utf8), title: "it")
        document.manifests.removeAll { $0.annotations?[referenceNameAnnotation] == "app:1" }
        if !removed { document.manifests[0].annotations?[referenceNameAnnotation] = "app:1" }
        try replaceFile(index, encodeDocument(document))
        lock = nil
        thread?.join()
        _ = lock
        #expect(found.image.withLock { $0?.facts.id } == (removed ? nil : new.facts.id))
        #expect(try store.list().contains { $0.name == "app:1" } != removed)
    }

    @Test("a word means an image's name, or all the names of an id, which may be shortened")
    func words() throws {
        let one = try ground.image("one:1", "one")
        _ = try store.tag(one, as: "uno:1")
        _ = try ground.image("two:1", "two")
        let id = one.facts.id
        #expect(try store.names(for: "one:1") == ["one:1"])
        for word in [
            id.description, id.hex, String(id.hex.prefix(12)), try #require(one.manifest).description,
        ] {
            #expect(try store.names(for: word) == ["one:1", "uno:1"], "\(word)")
        }
        for word in ["none", "oci:/somewhere", Digest(of: "none".utf8).description, "", "xyz!"] {
            #expect(try store.names(for: word) == [word])
        }
        // A name goes before an id that begins so.
        let short = String(id.hex.prefix(6))
        _ = try ground.image(short, "three")
        #expect(try store.names(for: short) == [short])
    }

    @Test("an image saved by its id has no name in the archive")
    func savedByID() throws {
        let image = try ground.image("one:1", "one")
        func tags(_ reference: String) throws -> String {
            let path = "\(ground.path)/saved.tar"
            let file = try openFile(path, flags: O_RDWR | O_CREAT | O_TRUNC)
            let selected = try #require(try store.lookUp(reference))
            try store.save([selected], to: file.raw, compression: .none)
            return try ground.run("tar", "-xOf", path, "manifest.json", "index.json").output
        }
        #expect(try tags("one:1").contains("\"one:1\""))
        let nameless = try tags(image.facts.id.description)
        #expect(!nameless.contains("RepoTags\":[\"") && !nameless.contains("ref.name"), "\(nameless)")
    }
}

/// A lock with an owner that ARC counts.
private final class SharedLock {
    private let lock: FileLock
    init(_ lock: consuming FileLock) { self.lock = lock }
}

private final class Found: Sendable {
    let image = Mutex<StoredImage?>(nil)
}
