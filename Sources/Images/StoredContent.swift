// SPDX-License-Identifier: Apache-2.0
//
// What the store holds of an image, byte for byte, for those who send it on or show it.

public import Basics
public import Kernel
public import OCIFormats

/// An image's manifest as it is kept.
public struct StoredManifest: Sendable {
    public var name: String
    public var bytes: [UInt8]
    public var mediaType: String
    public var digest: Digest
    public var manifest: ImageManifest
}

extension ImageStore {
    /// The manifest of a name or id in the store.
    public func manifest(of image: StoredImage) throws(Failure) -> StoredManifest {
        let reference = image.facts.reference
        guard let digest = image.manifest else {
            throw Failure(
                "cannot send \(reference)", cause: "it is used in place, not stored",
                advice: "covey image import \(reference) --as NAME")
        }
        let bytes = try document(digest, "the manifest of \"\(reference)\"")
        let entry = try readIndex().manifests.first { $0.digest == digest }
        return StoredManifest(
            name: reference, bytes: bytes, mediaType: entry?.mediaType ?? MediaType.manifest, digest: digest,
            manifest: try decodeDocument(ImageManifest.self, bytes, title: "the manifest of \"\(reference)\"")
        )
    }

    /// A small blob's bytes, held against its digest.
    public func document(_ digest: Digest, _ title: String) throws(Failure) -> [UInt8] {
        let path = "\(images)/blobs/sha256/\(digest.hex)"
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(path, limit: documentLimit) } catch {
            throw Failure("cannot read \(title)", error)
        }
        guard Digest(of: bytes) == digest else {
            throw Failure(
                "cannot read \(title)", cause: "the blob \(path) is damaged: its bytes are not \(digest)",
                advice: "pull, import or build the image again: covey image rm NAME first")
        }
        return bytes
    }

    /// A blob's file.
    public func blob(_ descriptor: Descriptor, of reference: String) throws(Failure) -> SharedFD {
        let path = "\(images)/blobs/sha256/\(descriptor.digest.hex)"
        do throws(SyscallError) {
            let file = SharedFD(try openFile(path))
            if Int64(try fileStatus(of: file.raw).st_size) == descriptor.size { return file }
        } catch {
            throw Failure(
                "cannot read the layer \(descriptor.digest) of \"\(reference)\"", error,
                advice: "pull or import the image again")
        }
        throw Failure(
            "cannot read the layer \(descriptor.digest) of \"\(reference)\"",
            cause: "\(path) does not have the \(descriptor.size) bytes it shall have",
            advice: "pull or import the image again")
    }

    /// Names in the store by the blobs they stand on; unreadable manifests are left out.
    public func namesByBlob() throws(Failure) -> [Digest: [String]] {
        var found: [Digest: [String]] = [:]
        for entry in try readIndex().manifests {
            guard let stored = entry.annotations?[referenceNameAnnotation],
                !ReferenceName(stored: stored).isCached,
                let bytes = try? document(entry.digest, stored),
                let manifest = try? decodeDocument(ImageManifest.self, bytes, title: stored)
            else { continue }
            for layer in manifest.layers { found[layer.digest, default: []].append(stored) }
        }
        return found
    }
}
