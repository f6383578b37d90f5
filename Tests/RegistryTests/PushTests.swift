// SPDX-License-Identifier: Apache-2.0

import Basics
import CLinux
import Kernel
import OCIFormats
import Synchronization
import Testing

@testable import Images
@testable import Registry

/// What a registry that takes images keeps.
private final class PlayedRegistry: Sendable {
    private struct State {
        var blobs: [String: [UInt8]] = [:]
        var manifests: [String: [UInt8]] = [:]
        var breaks = 0
    }
    private let state = Mutex(State())

    func blob(_ digest: String) -> [UInt8]? { state.withLock { $0.blobs[digest] } }
    func manifest(_ name: String) -> [UInt8]? { state.withLock { $0.manifests[name] } }
    func breakUploads(_ count: Int) { state.withLock { $0.breaks = count } }

    /// - mounts: repositories whose blobs may be mounted.
    func answer(_ request: SeenRequest, mounts: Set<String> = []) -> Reply {
        let parts = request.path.split(separator: "?", maxSplits: 1).map(String.init)
        let last = parts[0].split(separator: "/").last.map(String.init) ?? ""
        switch request.method {
        case "POST":
            let query = parts.count > 1 ? parts[1] : ""
            if mounts.contains(where: { query.hasSuffix("from=\($0)") }) {
                return .status(201, ["Location": "/v2/x/blobs/mounted"])
            }
            return .status(202, ["Location": "/upload/1?state=a%20b"])
        case "PUT" where parts[0] == "/upload/1":
            let digest = parts[1].split(separator: "=").last.map(String.init) ?? ""
            let broken = state.withLock { state in
                if state.breaks > 0 {
                    state.breaks -= 1
                    return true
                }
                return false
            }
            if broken { return .status(502) }
            guard Digest(hashing: request.body).description == digest, parts[1].hasPrefix("state=a%20b&")
            else {
                return .status(400)
            }
            state.withLock { $0.blobs[digest] = request.body }
            return .status(201)
        case "PUT":
            state.withLock { $0.manifests[last] = request.body }
            return .status(201, ["Docker-Content-Digest": Digest(hashing: request.body).description])
        case "HEAD": return .status(blob(last) == nil ? 404 : 200)
        default: return .status(request.path == "/v2/" ? 200 : 404)
        }
    }
}

@Suite("pushing")
struct PushTests {
    let place: Workplace
    let image: PlayedImage
    let stored: StoredImage

    init() throws {
        place = try Workplace()
        image = try PlayedImage([noise(40_000), "two"])
        let image = image
        let source = try ScriptedServer { image.answer($0) }
        stored = try place.pull("\(source.host)/app:1").image
    }

    @Test(
        "an image arrives byte for byte; a second push sends no layer; a layer is sent again when the first try broke"
    )
    func whole() throws {
        let registry = PlayedRegistry()
        registry.breakUploads(1)
        let server = try ScriptedServer { registry.answer($0) }
        let name = "\(server.host)/team/app:2"
        let digest = try place.access().push(stored, as: name, from: place.store) { _ in }
        #expect(digest == image.digest)
        #expect(registry.manifest("2") == image.manifest)
        for (digest, bytes) in image.blobs { #expect(registry.blob(digest) == bytes) }
        let sent = server.requests("/upload/").count
        #expect(sent == 4, "three blobs and one broken try")
        _ = try place.access().push(stored, as: name, from: place.store) { _ in }
        #expect(server.requests("/upload/").count == sent)
    }

    @Test("an image of Docker's schema 2 goes on as one")
    func schema2() throws {
        let image = try PlayedImage(["docker's"], docker: true)
        let source = try ScriptedServer { image.answer($0) }
        let pulled = try place.pull("\(source.host)/docker:1").image
        let registry = PlayedRegistry()
        let server = try ScriptedServer { registry.answer($0) }
        _ = try place.access().push(pulled, as: "\(server.host)/docker:1", from: place.store) { _ in }
        #expect(registry.manifest("1") == image.manifest)
        let sent = server.requests("/v2/docker/manifests/").last
        #expect(sent?.headers["content-type"] == MediaType.dockerManifest)
    }

    @Test("what another repository of the registry has is mounted, not sent")
    func mount() throws {
        let image = image
        let registry = PlayedRegistry()
        let server = try ScriptedServer { request in
            request.method == "GET" && request.path != "/v2/" && !request.path.hasPrefix("/v2/new/")
                ? image.answer(request) : registry.answer(request, mounts: ["old"])
        }
        let pulled = try place.pull("\(server.host)/old:1").image
        let seen = Mutex<Set<LayerTransfer.Phase>>([])
        _ = try place.access().push(pulled, as: "\(server.host)/new:1", from: place.store) { layers in
            seen.withLock { $0.formUnion(layers.map(\.phase)) }
        }
        #expect(seen.withLock { $0.contains(.mounted) })
        #expect(server.requests("/upload/").count == 1, "the config alone")
    }

    @Test("a refused push says the registry's words; one by digest is refused here")
    func refused() throws {
        let server = try ScriptedServer { request in
            request.path == "/v2/"
                ? .status(200) : .status(403, [:], #"{"errors":[{"code":"DENIED","message":"read only"}]}"#)
        }
        let failure = try #require(throws: Failure.self) {
            try place.access().push(stored, as: "\(server.host)/app:1", from: place.store) { _ in }
        }
        #expect(failure.cause?.contains("answered 403") == true, "\(failure)")
        #expect(throws: Failure.self) {
            try place.access().push(stored, as: "\(server.host)/app@\(image.digest)", from: place.store) {
                _ in
            }
        }
    }

    @Test(
        "an archive that was saved loads with the same digest, plain and compressed",
        arguments: [ArchiveCompression.none, .gzip])
    func archive(compression: ArchiveCompression) throws {
        let tagged = try place.store.tag(stored, as: "mine:1")
        let path = "\(place.path)/a.tar"
        let file = try openFile(path, flags: O_WRONLY | O_CREAT)
        try place.store.save([tagged], to: file.raw, compression: compression)
        let other = try Workplace()
        let loaded = try other.store.load(path)
        #expect(loaded.map(\.facts.reference) == ["mine:1"])
        #expect(loaded.first?.manifest == image.digest)
        #expect(try other.store.usage(inUse: [], ids: []).images == 1)
        #expect(try other.store.prune(keeping: [], unless: [], cache: false) == ["mine:1"])
        #expect(try other.leftovers().isEmpty)
    }
}
