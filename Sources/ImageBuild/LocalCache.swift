// SPDX-License-Identifier: Apache-2.0
//
// A build cache in a directory: an OCI layout (image-layout.md), the cache being the manifest with the wanted
// `org.opencontainers.image.ref.name`. Blobs first, index.json last, each by rename: a reader sees the old cache or the
// new one. Blobs that no cache needs any more stay until the directory is removed.

internal import Archives
public import Basics
internal import CLinux
internal import Kernel
internal import OCIFormats

/// Reads the cache of a directory; nil where there is none.
public func readLocalCache(_ directory: String, tag: String, title: String) throws(Failure) -> CacheContents?
{
    let doing = "cannot use the build cache \(title)"
    let advice = "write it anew with --cache-to, into an empty directory"
    guard exists("\(directory)/index.json") else { return nil }
    func read(_ path: String) throws(Failure) -> [UInt8] {
        try system(doing) { () throws(SyscallError) in
            try readFile("\(directory)/\(path)", limit: documentLimit)
        }
    }
    /// A document's bytes, if they are what is said of them.
    func document(_ descriptor: Descriptor, _ what: String) throws(Failure) -> [UInt8] {
        let bytes = try read("blobs/sha256/\(descriptor.digest.hex)")
        let actual = Digest(of: bytes)
        guard actual == descriptor.digest, Int64(bytes.count) == descriptor.size else {
            throw Failure(
                doing,
                cause:
                    "its \(what) shall be \(descriptor.digest) of \(descriptor.size) bytes, but is \(actual) of \(bytes.count)",
                advice: advice)
        }
        return bytes
    }
    let index = try decodeDocument(
        ImageIndex.self, try read("index.json"), title: "\(directory)/index.json")
    guard let entry = index.manifests.first(where: { $0.annotations?[referenceNameAnnotation] == tag }) else {
        return nil
    }
    let manifest = try decodeDocument(
        ImageManifest.self, try document(entry, "manifest"), title: "the manifest of the build cache")
    let config = try document(manifest.config, "document")
    return try CacheContents(config: config, manifest: manifest, title: title) {
        (layer: Descriptor) throws(Failure) -> any ByteSource in
        let path = "\(directory)/blobs/sha256/\(layer.digest.hex)"
        let file = try system(doing) { () throws(SyscallError) in SharedFD(try openFile(path)) }
        let size = try system(doing) { () throws(SyscallError) in Int64(try fileStatus(of: file.raw).st_size)
        }
        guard size == layer.size else {
            throw Failure(
                doing, cause: "its layer \(layer.digest) shall have \(layer.size) bytes, but has \(size)",
                advice: advice)
        }
        return FileSource(file, offset: 0, length: layer.size, name: path)
    }
}

/// Writes a cache into a directory, which is made.
public func writeLocalCache(_ export: CacheExport, _ directory: String, tag: String, title: String)
    throws(Failure)
{
    let doing = "cannot write the build cache \(title)"
    let blobs = "\(directory)/blobs/sha256"
    try system(doing) { () throws(SyscallError) in try ensureDirectory(blobs, mode: 0o755) }
    // Side by side: copying hashes what it reads, which takes a processor as long as the disk takes to write.
    try runJobs(export.blobs.count, width: layersAtOnce) { (number: Int) throws(Failure) in
        let blob = export.blobs[number]
        let path = "\(blobs)/\(blob.descriptor.digest.hex)"
        if let status = try? fileStatus(path), Int64(status.st_size) == blob.descriptor.size { return }
        try copy(try blob.open(), blob.descriptor, to: path, doing)
    }
    let manifest = Descriptor(
        mediaType: MediaType.manifest, digest: Digest(of: export.manifest), size: Int64(export.manifest.count)
    )
    var index = ImageIndex()
    if exists("\(directory)/index.json") {
        index = try decodeDocument(
            ImageIndex.self,
            try system(doing) { () throws(SyscallError) in
                try readFile("\(directory)/index.json", limit: documentLimit)
            }, title: "\(directory)/index.json")
    }
    index.manifests.removeAll { $0.annotations?[referenceNameAnnotation] == tag }
    var entry = manifest
    entry.annotations = [referenceNameAnnotation: tag]
    index.manifests.append(entry)
    let (layout, bytes) = (try encodeDocument(ImageLayout()), try encodeDocument(index))
    try system(doing) { () throws(SyscallError) in
        try replaceFile("\(blobs)/\(export.configDescriptor.digest.hex)", export.config)
        try replaceFile("\(blobs)/\(manifest.digest.hex)", export.manifest)
        try replaceFile("\(directory)/oci-layout", layout)
        try replaceFile("\(directory)/index.json", bytes)
    }
}

private func copy(_ file: SharedFD, _ blob: Descriptor, to path: String, _ doing: String) throws(Failure) {
    let temporary = "\(path).\(getpid()).tmp"
    do throws(ArchiveError) {
        let out: SharedFD
        do throws(SyscallError) {
            out = SharedFD(try openFile(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644))
        } catch { throw .system(error) }
        let (source, sink) = (
            FileSource(file, offset: 0, length: blob.size, name: path), FileSink(out, name: path)
        )
        try source.copy(to: sink)
        guard sink.digest() == blob.digest else {
            throw .damaged("the store's blob \(blob.digest) is not what its digest says")
        }
        do throws(SyscallError) {
            try retrying("rename", path) { rename(temporary, path) }
        } catch { throw .system(error) }
    } catch {
        unlink(temporary)
        throw Failure(doing, error)
    }
}
