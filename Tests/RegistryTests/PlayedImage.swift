// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import Kernel
import OCIFormats
import Synchronization

@testable import Images
@testable import Registry

/// A directory of the test's own with a store in it, removed at the end.
final class Workplace {
    let path: String
    let store: ImageStore
    private static let counter = Atomic<Int>(0)

    init() throws {
        path = "/var/tmp/covey-registry-\(getpid())-\(Workplace.counter.add(1, ordering: .relaxed).newValue)"
        try ensureDirectory(path)
        store = ImageStore(root: "\(path)/root")
    }

    deinit { try? removeTree(path) }

    /// Access with settings made for a test: few tries, a short stall.
    func access(_ config: String = "", registries: String = "", stall: Duration = .seconds(25)) throws
        -> RegistryAccess
    {
        var settings = RegistrySettings()
        settings.stall = stall
        settings.attempts = 3
        try settings.add(registries, path: "registries.conf")
        if !config.isEmpty { try writeFile("\(path)/config.json", config.utf8) }
        return RegistryAccess(settings, CredentialFile(environment: ["DOCKER_CONFIG": path]))
    }

    func pull(_ reference: String, _ access: RegistryAccess? = nil) throws -> PulledImage {
        try (access ?? self.access()).pull(reference, into: store, time: 1) { _ in }
    }

    /// What an unfinished or refused pull left: nothing but the store's own frame.
    func leftovers() throws -> [String] {
        let blobs = (try? directoryEntries("\(store.root)/images/blobs/sha256")) ?? []
        let intake = (try? directoryEntries("\(store.root)/images/.intake")) ?? []
        let layers = ((try? directoryEntries("\(store.root)/layers")) ?? []).filter { $0 != ".tmp" }
        return blobs + intake + layers
    }
}

final class MemorySink: ByteSink {
    private(set) var bytes: [UInt8] = []
    func write(_ more: UnsafeRawBufferPointer) { bytes += more }
    func finish() {}
}

/// An image as a registry serves it.
struct PlayedImage: Sendable {
    var layers: [[UInt8]] = []
    var diffIDs: [Digest] = []
    var manifest: [UInt8] = []
    var config: [UInt8] = []
    var mediaType = MediaType.manifest
    var digest: Digest { Digest(hashing: manifest) }
    /// Blobs by digest.
    var blobs: [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: (layers + [config]).map { (Digest(hashing: $0).description, $0) })
    }

    /// One gzip layer per text, each with one file.
    /// - docker: with the media types of Docker's schema 2.
    init(_ texts: [String], docker: Bool = false) throws {
        mediaType = docker ? MediaType.dockerManifest : MediaType.manifest
        var image = ImageConfig(architecture: hostArchitecture)
        var descriptors: [Descriptor] = []
        for (number, text) in texts.enumerated() {
            let plain = MemorySink()
            try PlayedImage.write(number, text, to: plain)
            let packed = MemorySink()
            try PlayedImage.write(number, text, to: GzipSink(packed))
            diffIDs.append(Digest(hashing: plain.bytes))
            layers.append(packed.bytes)
            descriptors.append(
                Descriptor(
                    mediaType: docker ? MediaType.dockerLayerGzip : MediaType.layerGzip,
                    digest: Digest(hashing: packed.bytes),
                    size: Int64(packed.bytes.count)))
        }
        image.rootfs.diffIDs = diffIDs
        config = try encodeDocument(image)
        let configType = docker ? "application/vnd.docker.container.image.v1+json" : MediaType.config
        var document = ImageManifest(
            config: Descriptor(
                mediaType: configType, digest: Digest(hashing: config), size: Int64(config.count)),
            layers: descriptors)
        document.mediaType = mediaType
        manifest = try encodeDocument(document)
    }

    private static func write(_ number: Int, _ text: String, to sink: any ByteSink) throws {
        let writer = TarWriter(sink)
        try writer.add(TarEntry(.file, "file\(number)"), body: Array(text.utf8))
        try writer.finish()
    }

    /// What an honest registry answers.
    func answer(_ request: SeenRequest) -> Reply {
        if request.path == "/v2/" { return .status(200) }
        if request.path.contains("/manifests/") {
            return Reply(
                headers: ["Content-Type": mediaType, "Docker-Content-Digest": digest.description],
                body: manifest)
        }
        let name = request.path.split(separator: "/").last.map(String.init) ?? ""
        guard let blob = blobs[name] else {
            return .status(404, [:], #"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#)
        }
        if let range = request.headers["range"], let start = Int(range.dropFirst(6).prefix { $0 != "-" }) {
            return Reply(
                status: 206, headers: ["Content-Range": "bytes \(start)-\(blob.count - 1)/\(blob.count)"],
                body: Array(blob[start...]))
        }
        return Reply(body: blob)
    }

    func isLayer(_ request: SeenRequest, _ number: Int = 0) -> Bool {
        request.path.hasSuffix(Digest(hashing: layers[number]).description)
    }
}

/// A text that gzip can't make small, so that a blob has a middle to break in.
func noise(_ count: Int, seed: UInt64 = 1) -> String {
    var state = seed
    var text = ""
    for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text.unicodeScalars.append(Unicode.Scalar(UInt8(33 + (state >> 40) % 90)))
    }
    return text
}

/// Counts, across the server's threads.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    /// 1 the first time.
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}
