// SPDX-License-Identifier: Apache-2.0
//
// An image's documents as a registry has them: asked for by name, chosen for the platform, held against their digests.

internal import Archives
internal import Basics
internal import JSONFormat
internal import Kernel
internal import OCIFormats

/// The manifest and config of one image, verified.
struct RemoteImage {
    /// Digest of the document the name stands for: the manifest's, or that of the index it was chosen from.
    var named: Digest
    var manifest: [UInt8]
    var mediaType: String
    var digest: Digest
    var config: [UInt8]
    var layers: [Descriptor]
    /// Of the uncompressed layers, as many as layers.
    var diffIDs: [Digest]
}

/// What a registry says a name stands for.
struct NamedDocument {
    var bytes: [UInt8]
    var mediaType: String
    var digest: Digest
}

extension RegistryClient {
    static let accepted = [
        MediaType.index, MediaType.manifest, MediaType.dockerIndex, MediaType.dockerManifest,
    ].joined(separator: ", ")

    /// The digest of what a name stands for, without its bytes where the registry tells it so.
    func digest(of reference: String) throws(Failure) -> Digest {
        var request = HTTPRequest(method: "HEAD", url: try url("manifests/\(reference)"))
        request.headers.append(("Accept", RegistryClient.accepted))
        let response = try exchange(request, wanted: [200, 405])
        if response.status == 200, let digest = response["docker-content-digest"].flatMap({ Digest($0) }) {
            return digest
        }
        return try document(reference).digest
    }

    /// A manifest or index by tag or digest.
    func document(_ reference: String) throws(Failure) -> NamedDocument {
        var request = HTTPRequest(method: "GET", url: try url("manifests/\(reference)"))
        request.headers.append(("Accept", RegistryClient.accepted))
        let (head, body) = try document(request, limit: documentLimit)
        let actual = Digest(hashing: body)
        // By digest the digest is what was asked for; by tag the registry's own word must fit its bytes.
        if let expected = Digest(reference) ?? head["docker-content-digest"].flatMap({ Digest($0) }),
            expected != actual
        {
            throw wrongDigest("the manifest", expected, actual)
        }
        let word = head["content-type"]?.prefix { $0 != ";" }.filter { $0 != " " }
        return NamedDocument(
            bytes: body, mediaType: try mediaType(of: body, header: word), digest: actual)
    }

    /// What a document is. Its own word and the header's must agree, and it may not be both kinds at once: two readers
    /// would else see two images under one digest (GHSA-77vh-xpmg-72qh).
    private func mediaType(of body: [UInt8], header: String?) throws(Failure) -> String {
        let value: JSONValue
        do throws(JSONSyntaxError) { value = try parseJSON(body) } catch {
            throw Failure(doing, cause: "the manifest of \(place.host) is no JSON: \(error)")
        }
        var own: String?
        if case .string(let text)? = value["mediaType"] { own = text }
        let (isIndex, isManifest) = (
            value["manifests"] != nil, value["layers"] != nil || value["config"] != nil
        )
        if isIndex && isManifest {
            throw Failure(
                doing, cause: "\(place.host) gives a document that is an index and a manifest at once",
                advice: "such a thing is made to mean two images under one digest; it is not used")
        }
        if value["fsLayers"] != nil || value["schemaVersion"] == .integer(1) {
            throw Failure(
                doing,
                cause:
                    "\(place.host) has it in Docker's schema 1 only, which carries no digests worth the name",
                advice: "push it again with a tool of this decade")
        }
        let known = [MediaType.index, MediaType.dockerIndex, MediaType.manifest, MediaType.dockerManifest]
        let type =
            own ?? header.flatMap { known.contains($0) ? $0 : nil }
            ?? (isIndex ? MediaType.index : MediaType.manifest)
        if let own, let header, known.contains(header), own != header {
            throw Failure(doing, cause: "\(place.host) calls the manifest \(header), and it itself \(own)")
        }
        guard isIndex ? MediaType.isIndex(type) : MediaType.isManifest(type) else {
            throw Failure(
                doing, cause: "it is of the media type \(type), which is no image",
                advice: "an image's is \(MediaType.manifest) or \(MediaType.index)")
        }
        return type
    }

    /// An image's documents.
    func image(_ reference: String, _ platform: Platform) throws(Failure) -> RemoteImage {
        let named = try document(reference)
        var chosen = named
        var depth = 0
        while MediaType.isIndex(chosen.mediaType) {
            depth += 1
            guard depth < 4 else {
                throw Failure(doing, cause: "indexes within indexes, more than three deep")
            }
            let index = try decodeDocument(ImageIndex.self, chosen.bytes, title: "the index \(chosen.digest)")
            let entry = try choose(index, platform)
            chosen = try document(entry.digest.description)
            try check(chosen, entry)
        }
        let manifest = try decodeDocument(
            ImageManifest.self, chosen.bytes, title: "the manifest \(chosen.digest)")
        for layer in manifest.layers { try check(layer) }
        let config = try config(of: manifest)
        let image = try decodeDocument(ImageConfig.self, config, title: "the config of the image")
        guard image.os.isEmpty || image.os == "linux",
            image.architecture.isEmpty || image.architecture == platform.architecture
        else {
            throw Failure(
                doing,
                cause: "it is an image for \(image.os)/\(image.architecture); wanted is \(platform.text)")
        }
        guard image.rootfs.diffIDs.count == manifest.layers.count else {
            throw Failure(
                doing,
                cause:
                    "its config names \(image.rootfs.diffIDs.count) layers, its manifest \(manifest.layers.count)"
            )
        }
        return RemoteImage(
            named: named.digest, manifest: chosen.bytes, mediaType: chosen.mediaType, digest: chosen.digest,
            config: config, layers: manifest.layers, diffIDs: image.rootfs.diffIDs)
    }

    /// The document a manifest names as its config.
    func config(of manifest: ImageManifest) throws(Failure) -> [UInt8] {
        guard manifest.config.size >= 0, manifest.config.size <= Int64(documentLimit) else {
            throw Failure(
                doing,
                cause:
                    "its config shall have \(manifest.config.size) bytes; up to \(documentLimit) are allowed")
        }
        let request = HTTPRequest(method: "GET", url: try url("blobs/\(manifest.config.digest)"))
        let config = try document(request, limit: Int(manifest.config.size)).body
        let actual = Digest(hashing: config)
        guard actual == manifest.config.digest else {
            throw wrongDigest("the config", manifest.config.digest, actual)
        }
        return config
    }

    private func check(_ document: NamedDocument, _ entry: Descriptor) throws(Failure) {
        guard entry.size == Int64(document.bytes.count) else {
            throw Failure(
                doing,
                cause:
                    "the manifest \(entry.digest) shall have \(entry.size) bytes, but has \(document.bytes.count)"
            )
        }
    }

    private func check(_ layer: Descriptor) throws(Failure) {
        guard layer.size >= 0, layer.size < 1 << 50 else {
            throw Failure(doing, cause: "the layer \(layer.digest) shall have \(layer.size) bytes")
        }
        if layer.urls?.isEmpty == false || layer.mediaType.contains("foreign")
            || layer.mediaType.contains("nondistributable")
        {
            throw Failure(
                doing, cause: "the layer \(layer.digest) is a foreign one: it lies outside of the registry",
                advice: "foreign layers are not fetched: their places are the image's choice, not yours")
        }
        guard MediaType.isLayer(layer.mediaType) else {
            throw Failure(
                doing, cause: "a layer is of the media type \(layer.mediaType), which is no file system",
                advice: "it is another kind of artifact, not an image to run")
        }
    }

    private func choose(_ index: ImageIndex, _ platform: Platform) throws(Failure) -> Descriptor {
        if let fitting = index.manifests.first(where: { $0.platform.map(platform.accepts) ?? false }) {
            return fitting
        }
        if index.manifests.count == 1, let only = index.manifests.first, only.platform == nil { return only }
        let platforms = Set(index.manifests.compactMap { $0.platform?.text }).subtracting(["unknown/unknown"])
        throw Failure(
            doing,
            cause: "it is there for \(platforms.sorted().joined(separator: ", ")), not for \(platform.text)")
    }

    func wrongDigest(_ what: String, _ expected: Digest, _ actual: Digest) -> Failure {
        Failure(
            doing, cause: "the digest of \(what) shall be \(expected), but its bytes are \(actual)",
            advice: "\(place.host) or something between changed it; it is not used")
    }
}

extension Platform {
    var text: String { "\(os)/\(architecture)" + (variant.map { "/\($0)" } ?? "") }

    /// A manifest for `other` runs on this platform. arm64's only variant is v8; a variant unsaid fits any.
    fileprivate func accepts(_ other: Platform) -> Bool {
        other.os == os && other.architecture == architecture
            && (variant == nil || other.variant == nil || variant == other.variant)
    }
}
