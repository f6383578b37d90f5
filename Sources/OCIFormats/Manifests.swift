// SPDX-License-Identifier: Apache-2.0

public import Basics

/// Points at content: what it is, its digest and size (image-spec, descriptor.md).
public struct Descriptor: Hashable, Codable, Sendable {
    public var mediaType: String
    public var digest: Digest
    public var size: Int64
    public var annotations: [String: String]?
    public var platform: Platform?
    /// Places outside of the registry; a layer with them is not fetched.
    public var urls: [String]?

    public init(mediaType: String, digest: Digest, size: Int64) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
    }
}

public struct Platform: Hashable, Codable, Sendable {
    public var architecture: String
    public var os: String
    public var variant: String?

    public init(architecture: String, os: String, variant: String? = nil) {
        self.architecture = architecture
        self.os = os
        self.variant = variant
    }
}

/// Several manifests, as index.json and as an image for several platforms (image-index.md; Docker's manifest list).
public struct ImageIndex: Hashable, Codable, Sendable {
    public var schemaVersion = 2
    public var mediaType: String?
    public var manifests: [Descriptor] = []
    public init() {}
}

/// An image: its config and its layers, lowest first (manifest.md; Docker's schema 2).
public struct ImageManifest: Hashable, Codable, Sendable {
    public var schemaVersion = 2
    public var mediaType: String? = MediaType.manifest
    public var config: Descriptor
    public var layers: [Descriptor]
    public var annotations: [String: String]?

    public init(config: Descriptor, layers: [Descriptor]) {
        self.config = config
        self.layers = layers
    }
}

/// The file `oci-layout` (image-layout.md).
public struct ImageLayout: Hashable, Codable, Sendable {
    public var imageLayoutVersion = "1.0.0"
    public init() {}
}

/// One image of a docker-archive's manifest.json, as `docker save` writes it.
public struct DockerArchiveImage: Hashable, Codable, Sendable {
    public var config: String
    public var repoTags: [String]?
    /// Lowest first, paths within the archive.
    public var layers: [String]

    public init(config: String, repoTags: [String]?, layers: [String]) {
        self.config = config
        self.repoTags = repoTags
        self.layers = layers
    }

    enum CodingKeys: String, CodingKey {
        case config = "Config"
        case repoTags = "RepoTags"
        case layers = "Layers"
    }
}

public enum MediaType {
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let config = "application/vnd.oci.image.config.v1+json"
    public static let layer = "application/vnd.oci.image.layer.v1.tar"
    public static let layerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let layerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"

    public static func isIndex(_ type: String?) -> Bool { type == index || type == dockerIndex }
    public static func isManifest(_ type: String?) -> Bool { type == manifest || type == dockerManifest }

    /// True for a layer that is a file system's tar, however compressed; false for attestations, encrypted and the like.
    public static func isLayer(_ type: String) -> Bool {
        [layer, layerGzip, layerZstd, dockerLayer, dockerLayerGzip].contains(type)
            || type.hasPrefix("application/vnd.oci.image.layer.nondistributable.v1.tar")
                && !type.hasSuffix("encrypted")
            || type == "application/vnd.docker.image.rootfs.diff.tar.zstd"
            || type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    }
}

/// Our own on an entry of index.json: the digest a registry gave for the name (an index's, where the entry is the manifest
/// chosen from it), and when, in seconds since 1970.
public let pulledDigestAnnotation = "covey.pulled.digest"
public let pulledTimeAnnotation = "covey.pulled.time"

/// The annotation that names an image in an index (image-layout.md; skopeo's `oci:PATH:REF`).
public let referenceNameAnnotation = "org.opencontainers.image.ref.name"
