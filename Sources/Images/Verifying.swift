// SPDX-License-Identifier: Apache-2.0
//
// An image looked at again, after an end of the machine that may have cost the store something: blobs against their
// digests, unpacked layers against their blobs. What is right stops being suspect. What is not stays so, and every way
// into the store takes it for missing: it is unpacked anew from a blob that is whole, or fetched again.

internal import Archives
public import Basics
internal import CLinux
internal import Kernel
internal import OCIFormats
internal import Records

/// What a look at an image found.
enum Soundness {
    case whole
    /// Nothing is wrong, but some of it is cheaper made anew than looked at.
    case toBeMadeAnew
    case damaged(String)
}

extension ImageStore {
    var mark: BootMark { BootMark(images: images) }

    /// Whether some of what is here is not to be believed until it was looked at.
    public func mayBeDamaged() throws(Failure) -> Bool {
        // The next writer notes it; nothing more is wanted of this one.
        if try mark.endedWithinWriting() { _ = try StoreWriter(self) }
        return mark.hasSuspects
    }

    /// Whether an image may be used as it is.
    func soundness(of image: StoredImage) throws(Failure) -> Soundness {
        guard let digest = image.manifest, try mayBeDamaged() else { return .whole }
        let mark = mark
        guard let bytes = sound(digest) else {
            return .damaged("its manifest is not what its digest \(digest) says")
        }
        guard let config = sound(image.facts.id) else {
            return .damaged("its config is not what its digest \(image.facts.id) says")
        }
        let title = "the manifest of \"\(image.facts.reference)\""
        let manifest = try decodeDocument(ImageManifest.self, bytes, title: title)
        _ = try decodeDocument(ImageConfig.self, config, title: title)
        for (layer, diffID) in zip(manifest.layers, image.diffIDs)
        where mark.isSuspect(layer.digest) || mark.isSuspect(diffID) {
            if let wrong = damage(of: layer, diffID) { return .damaged(wrong) }
            mark.clear(layer.digest.hex)
            mark.clear(diffID.hex)
        }
        // A layer corrected for its chain is made anew: that is cheap, its files being another's.
        for layer in image.facts.layers {
            let name = layer.dropFirst(layers.utf8.count + 1).prefix { $0 != "/" }
            if mark.isSuspect(String(name)) { return .toBeMadeAnew }
        }
        return .whole
    }

    /// A small blob's bytes when they are what their digest says.
    private func sound(_ digest: Digest) -> [UInt8]? {
        guard let bytes = try? readFile("\(images)/blobs/sha256/\(digest.hex)", limit: documentLimit),
            Digest(hashing: bytes) == digest
        else { return nil }
        mark.clear(digest.hex)
        return bytes
    }

    /// The blob is read once: its digest, that of what it unpacks to, and the tree are held against each other.
    func damage(of layer: Descriptor, _ diffID: Digest) -> String? {
        let name = "its layer \(layer.digest)"
        guard let record = try? readRecord(LayerRecord.self, "\(layers)/\(diffID.hex)/layer.json"),
            let top = try? openFile("\(layers)/\(diffID.hex)/fs", flags: O_RDONLY | O_DIRECTORY)
        else { return "\(name) is not unpacked whole" }
        guard let file = try? openFile("\(images)/blobs/sha256/\(layer.digest.hex)") else {
            return "\(name) is not there"
        }
        let (blobHash, diffHash) = (ContentHash(), ContentHash())
        let raw = Tee(FileSource(SharedFD(file), name: "\(layer.digest)"), hash: blobHash)
        do throws(ArchiveError) {
            let plain = Tee(
                limited(
                    try Decompressed(raw, mostWindow: limits.window), compressed: raw, limits), hash: diffHash
            )
            let ahead = ReadAhead(plain)
            defer { ahead.stop() }
            let different = try firstDifference(between: TarReader(ahead), and: top.raw)
            try ahead.drain()
            ahead.stop()
            try raw.drain()
            guard blobHash.finish() == layer.digest, diffHash.finish() == diffID else {
                return "\(name) is damaged: its bytes are not those of its digest"
            }
            if let different { return "\(name) is unpacked otherwise than it is written: \"\(different)\"" }
        } catch {
            return "\(name) is damaged: \(error.cause)"
        }
        for path in record.whiteouts {
            let path = LayerRecord.path(path).map { CChar(bitPattern: $0) } + [0]
            guard (try? status(of: path, at: top.raw))?.isWhiteout == true else {
                return "\(name) lost the mark of a deleted file"
            }
        }
        return nil
    }
}
