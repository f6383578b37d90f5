// SPDX-License-Identifier: Apache-2.0
//
// Archives of images, out and in. What is written is an OCI layout in a tar with Docker's manifest.json beside it, as Docker
// 25 and later write it: `docker load`, `podman load`, skopeo's `docker-archive:` and `oci-archive:` all read it.

internal import Archives
public import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import OCIFormats

/// How an archive is compressed as a whole.
public enum ArchiveCompression: String, Sendable { case none, gzip }

extension ImageStore {
    /// Writes images into an archive; layers that several have are in it once.
    public func save(_ selected: [StoredImage], to fd: Int32, compression: ArchiveCompression) throws(Failure)
    {
        var stored: [(image: StoredImage, manifest: StoredManifest)] = []
        for image in selected { stored.append((image, try manifest(of: image))) }
        var documents: [Digest: [UInt8]] = [:]
        var layers: [(descriptor: Descriptor, name: String)] = []
        var index = ImageIndex()
        var docker: [DockerArchiveImage] = []
        for (image, manifest) in stored {
            documents[manifest.digest] = manifest.bytes
            let config = manifest.manifest.config
            documents[config.digest] = try document(config.digest, "the config of \"\(manifest.name)\"")
            for layer in manifest.manifest.layers
            where !layers.contains(where: { $0.descriptor.digest == layer.digest }) {
                layers.append((layer, manifest.name))
            }
            let name = try image.facts.nameToSave
            var entry = Descriptor(
                mediaType: manifest.mediaType, digest: manifest.digest, size: Int64(manifest.bytes.count))
            if let name { entry.annotations = [referenceNameAnnotation: name] }
            index.manifests.append(entry)
            docker.append(
                DockerArchiveImage(
                    config: blobName(config.digest), repoTags: name.map { [$0] },
                    layers: manifest.manifest.layers.map { blobName($0.digest) }))
        }
        let (indexBytes, dockerBytes, layout) = (
            try encodeDocument(index), try encodeDocument(docker), try encodeDocument(ImageLayout())
        )
        let files = try layers.map { layer throws(Failure) in
            (layer.descriptor, try blob(layer.descriptor, of: layer.name))
        }
        try archive("cannot write the archive") { () throws(ArchiveError) in
            let out = DescriptorSink(fd)
            let writer = TarWriter(compression == .gzip ? try GzipSink(out) : out)
            try writer.add(TarEntry(.file, "oci-layout"), body: layout)
            try writer.add(TarEntry(.file, "index.json"), body: indexBytes)
            try writer.add(TarEntry(.file, "manifest.json"), body: dockerBytes)
            for (digest, bytes) in documents.sorted(by: { $0.key < $1.key }) {
                try writer.add(TarEntry(.file, blobName(digest)), body: bytes)
            }
            for (descriptor, file) in files {
                var entry = TarEntry(.file, blobName(descriptor.digest))
                entry.size = descriptor.size
                try writer.add(entry)
                let source = FileSource(file, offset: 0, length: descriptor.size, name: entry.pathText)
                while true {
                    let chunk = try source.next()
                    if chunk.isEmpty { break }
                    try writer.write(chunk)
                }
            }
            try writer.finish()
        }
    }

    private func blobName(_ digest: Digest) -> String { "blobs/sha256/\(digest.hex)" }

    /// Takes all images of an archive in, by the names they have there.
    /// - Throws: also for an archive whose images have no names; `image import` gives one.
    public func load(_ path: String) throws(Failure) -> [StoredImage] {
        let writer = try StoreWriter(self)
        let files = try LayoutFiles(archive: path, scratch: writer.scratch, limits: limits)
        var loaded: [StoredImage] = []
        if let named = try namedEntries(files) {
            let source = LayoutSource(files, title: path)
            for (name, entry) in named {
                loaded.append(
                    try writer.store(try source.image(entry), as: ReferenceName(given: name), stamp: nil))
            }
        } else {
            let images = try decodeDocument(
                [DockerArchiveImage].self, files.read("manifest.json"), title: "manifest.json in \(path)")
            for name in images.flatMap({ $0.repoTags ?? [] }) {
                let image = try dockerArchiveImage(files, name, title: path)
                loaded.append(try writer.store(image, as: ReferenceName(given: name), stamp: nil))
            }
        }
        guard !loaded.isEmpty else {
            throw Failure(
                "cannot load \(path)", cause: "no image in it has a name",
                advice: "give it one: covey image import docker-archive:\(path) --as NAME")
        }
        return loaded
    }

    /// The entries of an OCI layout by their whole names; nil where it is none, or names are tags only.
    private func namedEntries(_ files: LayoutFiles) throws(Failure) -> [(String, Descriptor)]? {
        guard files.has("index.json"), files.has("oci-layout") else { return nil }
        let index = try decodeDocument(
            ImageIndex.self, files.read("index.json"), title: "index.json in \(files.path)")
        var named: [(String, Descriptor)] = []
        for entry in index.manifests {
            // Docker and containerd write the tag alone into the standard's annotation, and the name into their own.
            let name =
                entry.annotations?["io.containerd.image.name"] ?? entry.annotations?[referenceNameAnnotation]
            guard let name, name.contains(":") || name.contains("/") else { continue }
            named.append((name, entry))
        }
        if named.isEmpty, files.has("manifest.json") { return nil }
        return named
    }
}

extension ImageFacts {
    /// What an archive calls an image; nil for one that was asked for by its digest, id or transport, which name it nowhere else.
    fileprivate var nameToSave: String? {
        get throws(Failure) {
            if Digest(reference) != nil || Transport(reference, relativeTo: "/") != nil { return nil }
            let name = try ReferenceName(reference)
            return name.digest == nil ? name.text : nil
        }
    }
}

/// Into a descriptor that may be a pipe.
private final class DescriptorSink: ByteSink {
    private let fd: Int32
    init(_ fd: Int32) { self.fd = fd }
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        do throws(SyscallError) {
            try writeAll(fd, bytes)
        } catch {
            throw .system(error)
        }
    }
    func finish() {}
}
