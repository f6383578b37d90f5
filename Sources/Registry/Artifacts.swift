// SPDX-License-Identifier: Apache-2.0
//
// What registries keep beside images: a manifest whose config is some document and whose layers are some blobs
// (image-spec, manifest.md "Guidelines for Artifact Usage"). What it means is the caller's.

public import Archives
public import Basics
public import Kernel
public import OCIFormats

/// An artifact's documents, verified; its blobs come as they are asked for.
public struct RemoteArtifact {
    public var manifest: ImageManifest
    public var config: [UInt8]
    let client: () -> RegistryClient

    /// A blob's stream; only its length is held against the manifest, the digest is the reader's.
    public func open(_ blob: Descriptor) -> any ByteSource {
        BlobSource(client(), blob, TransferCounter(blob.digest, blob.size))
    }
}

extension RegistryAccess {
    /// The artifact of a name; nil where the registry has none.
    public func artifact(_ reference: String, doing: String) throws(Failure) -> RemoteArtifact? {
        let name = try RegistryName(reference)
        let (found, place, _) = try eachPlace(name, doing) {
            (client) throws(Failure) -> (ImageManifest, [UInt8])? in
            guard try client.has(name.reference) else { return nil }
            let document = try client.document(name.reference)
            let manifest = try decodeDocument(
                ImageManifest.self, document.bytes, title: "the manifest of \"\(reference)\"")
            return (manifest, try client.config(of: manifest))
        }
        guard let (manifest, config) = found else { return nil }
        return RemoteArtifact(manifest: manifest, config: config) {
            RegistryClient(place, self, scopes: ["repository:\(place.repository):pull"], doing: doing)
        }
    }

    /// Sends an artifact: the blobs the registry lacks, several at once, then the config, then the manifest.
    /// - blobs: `open` is called for those only that have to be sent, on any thread.
    public func push(
        _ reference: String, manifest: [UInt8], config: (descriptor: Descriptor, bytes: [UInt8]),
        blobs: [(descriptor: Descriptor, open: () throws(Failure) -> SharedFD)], doing: String
    ) throws(Failure) {
        let remote = try RegistryName(reference)
        guard let tag = remote.tag else {
            throw Failure(doing, cause: "it is named by digest", advice: "name it by a tag")
        }
        guard let place = try settings.places(for: remote, pulling: false).last else {
            throw Failure(doing, cause: "no place to send it to is left")
        }
        try runJobs(blobs.count, width: settings.parallel) { (number: Int) throws(Failure) in
            let blob = blobs[number]
            try self.send(
                blob.descriptor, nil, place, doing, TransferCounter(blob.descriptor.digest, 0), blob.open)
        }
        try send(config.descriptor, nil, place, doing, TransferCounter(config.descriptor.digest, 0)) {
            () throws(Failure) in
            do throws(SyscallError) {
                let file = SharedFD(try memoryFile("config"))
                try writeAll(file.raw, config.bytes)
                return file
            } catch {
                throw Failure(doing, error)
            }
        }
        let client = RegistryClient(place, self, scopes: RegistryAccess.pushScopes(place, nil), doing: doing)
        try client.put(manifest, MediaType.manifest, tag)
    }
}

extension RegistryClient {
    /// Whether the registry has a manifest.
    fileprivate func has(_ reference: String) throws(Failure) -> Bool {
        var request = HTTPRequest(method: "HEAD", url: try url("manifests/\(reference)"))
        request.headers.append(("Accept", RegistryClient.accepted))
        return try exchange(request, wanted: [200, 404]).status == 200
    }
}
