// SPDX-License-Identifier: Apache-2.0
//
// One layer on its way in: read once, in which the blob is hashed and kept, decompressed, hashed again, unpacked.

internal import Archives
internal import Basics
internal import CLinux
internal import Kernel
internal import OCIFormats
internal import Records

extension StoreWriter {
    func layerRecord(_ diffID: Digest) throws(Failure) -> LayerRecord? {
        try readRecord(LayerRecord.self, "\(store.layers)/\(diffID.hex)/layer.json")
    }

    /// A blob that an unpacked layer can be sent on as: the one it came from or, where that went with its image, the one it has in
    /// another image. Nil when there is none.
    func blob(of diffID: Digest) throws(Failure) -> Descriptor? {
        guard let record = try layerRecord(diffID) else { return nil }
        if exists(blobPath(record.blob)) {
            return Descriptor(mediaType: record.mediaType, digest: record.blob, size: record.size)
        }
        for entry in try store.readIndex().manifests where MediaType.isManifest(entry.mediaType) {
            guard let outer = try? store.document(entry.digest, "a manifest"),
                let manifest = try? decodeDocument(ImageManifest.self, outer, title: "a manifest"),
                let inner = try? store.document(manifest.config.digest, "a config"),
                let config = try? decodeDocument(ImageConfig.self, inner, title: "a config"),
                config.rootfs.diffIDs.count == manifest.layers.count
            else { continue }
            for (layer, other) in zip(manifest.layers, config.rootfs.diffIDs)
            where other == diffID && hasBlob(layer.digest) {
                // A foreign image may name any two that are here: read, once, and then written down.
                if store.damage(of: layer, diffID) != nil { continue }
                var found = record
                (found.blob, found.mediaType, found.size) = (layer.digest, layer.mediaType, layer.size)
                try writeRecord(found, "\(store.layers)/\(diffID.hex)/layer.json")
                return Descriptor(mediaType: layer.mediaType, digest: layer.digest, size: layer.size)
            }
        }
        return nil
    }

    /// The blob of a layer of which everything is here.
    func storedBlob(_ layer: PendingImage.Layer, _ diffID: Digest) throws(Failure) -> Descriptor? {
        guard layerExists(diffID), let known = try layerRecord(diffID), hasBlob(layer.blob ?? known.blob)
        else { return nil }
        return Descriptor(
            mediaType: layer.mediaType ?? known.mediaType, digest: layer.blob ?? known.blob,
            size: layer.blob == nil ? known.size : layer.size)
    }

    /// - blob, diffID: what the digests must be, nil to take them as they come.
    /// - unpack: false when the unpacked layer is there and only its blob is wanted.
    func storeLayer(
        _ source: any ByteSource, blob: Digest?, mediaType: String?, diffID: Digest?, unpack: Bool,
        title: String
    ) throws(Failure) -> (descriptor: Descriptor, diffID: Digest) {
        let places = (blob: "\(scratch)/blob", layer: "\(store.layers)/.tmp/layer")
        let taken = try TakenLayer(
            source, blob: blob, mediaType: mediaType, diffID: diffID, unpack: unpack, places,
            limits: store.limits,
            title: title)
        try place(taken, title: title)
        return (taken.descriptor, taken.diffID)
    }

    /// Blob and layer get their names; what is there already is dropped.
    func place(_ taken: TakenLayer, title: String) throws(Failure) {
        defer { taken.discard() }
        try place(
            taken.descriptor, taken.diffID, taken.notes, blob: taken.places.blob,
            layer: taken.isUnpacked && !layerExists(taken.diffID) ? taken.places.layer : nil,
            "cannot import \(title)")
    }

    /// Whether it is unpacked, and to be believed.
    func layerExists(_ diffID: Digest) -> Bool {
        exists("\(store.layers)/\(diffID.hex)/layer.json") && !mark.isSuspect(diffID)
    }

    func hasBlob(_ digest: Digest) -> Bool { exists(blobPath(digest)) && !mark.isSuspect(digest) }

    /// Blob and layer get their names once everything is on the disk: one syncfs(2) for both.
    /// - layer: a directory with `fs` in it, nil when the layer is in place.
    func place(
        _ descriptor: Descriptor, _ diffID: Digest, _ notes: UnpackNotes, blob: String, layer: String?,
        _ doing: String
    ) throws(Failure) {
        if let layer {
            try writeRecord(
                LayerRecord(
                    diffID: diffID, blob: descriptor.digest, mediaType: descriptor.mediaType,
                    size: descriptor.size,
                    notes: notes), "\(layer)/layer.json")
        }
        try markOpen()
        try kernel(doing) { () throws(SyscallError) in
            for directory in Set([store.images, store.layers]) {
                let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
                try retrying("syncfs", directory) { linux_syncfs(fd.raw) }
                // Both are on one file system but for a mount point of somebody's own.
                if try fileStatus(store.images).st_dev == fileStatus(store.layers).st_dev { break }
            }
            let path = blobPath(descriptor.digest)
            try retrying("rename", path) { rename(blob, path) }
            if let layer {
                let final = "\(store.layers)/\(diffID.hex)"
                // A directory without layer.json was never complete; a suspect one is replaced by one that is right.
                if exists(final) {
                    try retrying("rename", final) { rename(final, "\(store.layers)/.tmp/replaced") }
                    try removeTreeByName("\(store.layers)/.tmp/replaced")
                }
                try retrying("rename", final) { rename(layer, final) }
            }
            for directory in ["\(store.images)/blobs/sha256", store.layers] {
                let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
                try retrying("fsync", directory) { fsync(fd.raw) }
            }
        }
        mark.clear(descriptor.digest.hex)
        if layer != nil { mark.clear(diffID.hex) }
    }
}

/// A layer that was read once and lies, blob and tree, in places of its own: its digests are known and right.
struct TakenLayer {
    let descriptor: Descriptor
    let diffID: Digest
    let notes: UnpackNotes
    let isUnpacked: Bool
    let places: (blob: String, layer: String)

    /// Reads it from its source. Needs no lock: nobody else knows the places. Nothing is left when it fails.
    init(
        _ source: any ByteSource, blob: Digest?, mediaType: String?, diffID: Digest?, unpack: Bool,
        _ places: (blob: String, layer: String), limits: LayerLimits, title: String
    ) throws(Failure) {
        let doing = "cannot import \(title)"
        self.places = places
        isUnpacked = unpack
        var complete = false
        defer { if !complete { TakenLayer.discard(places) } }
        let file = try kernel(doing) { () throws(SyscallError) in
            try openFile(places.blob, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        }
        let (blobHash, diffHash) = (ContentHash(), ContentHash())
        let raw = Tee(source, hash: blobHash, copy: file.raw)
        let (compression, notes) = try archive(doing) { () throws(ArchiveError) in
            let decompressed = try Decompressed(raw, mostWindow: limits.window)
            let plain = Tee(limited(decompressed, compressed: raw, limits), hash: diffHash)
            var notes = UnpackNotes()
            let ahead = ReadAhead(plain)
            defer { ahead.stop() }
            if unpack { notes = try TakenLayer.unpackNew(ahead, places.layer, limits) }
            try ahead.drain()
            ahead.stop()
            try raw.drain()
            return (decompressed.compression, notes)
        }
        var (size, actualBlob) = (raw.count, blobHash.finish())
        if let blob, blob != actualBlob {
            throw wrongDigest("a layer of \(title)", blob, nil, actualBlob, raw.count)
        }
        let actual = diffHash.finish()
        if let diffID, diffID != actual {
            throw wrongDigest("a layer of \(title) (uncompressed)", diffID, nil, actual, raw.count)
        }
        let types: [Compression: String] = [
            .plain: MediaType.layer, .gzip: MediaType.layerGzip, .zstd: MediaType.layerZstd,
        ]
        if blob == nil, types[compression] == nil {
            // Layers have no media type for it (image-spec, layer.md), so that nobody else could read the layout.
            size = try TakenLayer.writePlain(places.blob, limits, doing)
            actualBlob = actual
        }
        descriptor = Descriptor(
            mediaType: mediaType ?? types[compression] ?? MediaType.layer, digest: actualBlob, size: size
        )
        self.diffID = actual
        self.notes = notes
        complete = true
    }

    func discard() { TakenLayer.discard(places) }

    /// Replaces a compressed blob's file by its plain form; gives that one's size.
    private static func writePlain(_ path: String, _ limits: LayerLimits, _ doing: String) throws(Failure)
        -> Int64
    {
        let plain = "\(path).plain"
        defer { unlink(plain) }
        let (input, output) = try kernel(doing) { () throws(SyscallError) in
            (
                SharedFD(try openFile(path)),
                SharedFD(try openFile(plain, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600))
            )
        }
        let sink = FileSink(output, name: path, isSynchronised: true)
        try archive(doing) { () throws(ArchiveError) in
            let stream = try Decompressed(FileSource(input, name: path), mostWindow: limits.window)
            try stream.copy(to: sink)
        }
        _ = try kernel(doing) { () throws(SyscallError) in
            try retrying("rename", path) { rename(plain, path) }
        }
        return sink.count
    }

    private static func discard(_ places: (blob: String, layer: String)) {
        unlink(places.blob)
        try? removeTreeByName(places.layer)
    }

    private static func unpackNew(_ source: any ByteSource, _ directory: String, _ limits: LayerLimits)
        throws(ArchiveError)
        -> UnpackNotes
    {
        do throws(SyscallError) {
            try makeDirectory(directory, mode: 0o700)
            try makeDirectory("\(directory)/fs", mode: 0o755)
        } catch {
            throw .system(error)
        }
        let top: OwnedFD
        do throws(SyscallError) { top = try openFile("\(directory)/fs", flags: O_RDONLY | O_DIRECTORY) } catch
        {
            throw .system(error)
        }
        return try unpackLayer(
            TarReader(source), into: top.raw, mostEntries: limits.entries, isSynchronised: true)
    }
}
