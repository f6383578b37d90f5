// SPDX-License-Identifier: Apache-2.0
//
// A build cache outside of the store: an OCI manifest whose config is the document below and whose layers are those the
// steps made. So a registry or a layout keeps it like an image, and no other builder takes it for one.
//
//   manifest ─▶ config   steps: key → time, diff id       what a step was made from is in its key (StageRun)
//                        selections: key → digest         what `COPY --from` found, so that nobody need look again
//                        layers: diff id → blob
//            ─▶ layers   the blobs
//
// A cache is believed as far as an image of the same place would be: its steps are those of whoever wrote it. Blobs are
// held against their digests, and layers against their diff ids, as they come in.

public import Archives
public import Basics
public import Kernel
public import OCIFormats

/// The config of a cache's manifest.
struct CacheDocument: Codable, Equatable {
    static let mediaType = "application/vnd.covey.buildcache.v1+json"

    struct Step: Codable, Equatable {
        var key: Digest
        /// RFC 3339.
        var created: String
        /// The diff id; nil when the step changed no file.
        var layer: Digest?
    }
    struct Selected: Codable, Equatable {
        var key: Digest
        var digest: Digest
    }
    struct Layer: Codable, Equatable {
        var diffID: Digest
        var blob: Digest
    }
    var version = 1
    var steps: [Step] = []
    var selections: [Selected] = []
    var layers: [Layer] = []
}

/// What was found in a cache, before anything but its documents was read.
public struct CacheContents {
    let document: CacheDocument
    /// By diff id.
    let blobs: [Digest: Descriptor]
    let open: (Descriptor) throws(Failure) -> any ByteSource

    /// - title: for messages.
    /// - open: the stream of one of the manifest's layers.
    public init(
        config: [UInt8], manifest: ImageManifest, title: String,
        open: @escaping (Descriptor) throws(Failure) -> any ByteSource
    ) throws(Failure) {
        let doing = "cannot use the build cache \(title)"
        guard manifest.config.mediaType == CacheDocument.mediaType else {
            throw Failure(
                doing, cause: "it is of the media type \(manifest.config.mediaType), not a cache of Covey's",
                advice: "write one with --cache-to")
        }
        guard Digest(of: config) == manifest.config.digest else {
            throw Failure(doing, cause: "its document's bytes are not \(manifest.config.digest)")
        }
        document = try decodeDocument(CacheDocument.self, config, title: "the build cache \(title)")
        guard document.version == 1 else {
            throw Failure(
                doing, cause: "it is of version \(document.version)", advice: "a later Covey reads it")
        }
        // It becomes the image's `created`, and a line of a record.
        for step in document.steps {
            guard step.created.utf8.count <= 40, step.created.utf8.allSatisfy({ (0x2B...0x5A).contains($0) })
            else { throw Failure(doing, cause: "a step's time is no time") }
        }
        var known: [Digest: Descriptor] = [:]
        for layer in manifest.layers where MediaType.isLayer(layer.mediaType) && layer.size >= 0 {
            known[layer.digest] = layer
        }
        var blobs: [Digest: Descriptor] = [:]
        for layer in document.layers { blobs[layer.diffID] = known[layer.blob] }
        self.blobs = blobs
        self.open = open
    }
}

/// A cache to be written.
public struct CacheExport {
    public struct Blob {
        public var descriptor: Descriptor
        /// The layer's file; it may have to be fetched first, so only asked for where it is missing.
        public var open: () throws(Failure) -> SharedFD
    }
    public var config: [UInt8]
    public var manifest: [UInt8]
    public var blobs: [Blob]

    public var configDescriptor: Descriptor {
        Descriptor(mediaType: CacheDocument.mediaType, digest: Digest(of: config), size: Int64(config.count))
    }

    init(_ document: CacheDocument, _ blobs: [Blob]) throws(Failure) {
        config = try encodeDocument(document)
        self.blobs = blobs
        manifest = []
        manifest = try encodeDocument(
            ImageManifest(config: configDescriptor, layers: blobs.map(\.descriptor)))
    }
}

/// A cache that steps may come from.
public struct CacheSource {
    public var title: String
    /// nil where there is none yet.
    public var read: () throws(Failure) -> CacheContents?
    public init(title: String, read: @escaping () throws(Failure) -> CacheContents?) {
        self.title = title
        self.read = read
    }
}

/// Where a build's steps are written to when it is done.
public struct CacheTarget {
    public var title: String
    public var mode: CacheReference.Mode
    public var ignoresErrors: Bool
    public var write: (CacheExport) throws(Failure) -> Void
    public init(
        title: String, mode: CacheReference.Mode, ignoresErrors: Bool,
        write: @escaping (CacheExport) throws(Failure) -> Void
    ) {
        self.title = title
        self.mode = mode
        self.ignoresErrors = ignoresErrors
        self.write = write
    }
}
