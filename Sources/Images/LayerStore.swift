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

    /// Makes sure blob and unpacked layer are there; gives the blob's descriptor.
    func storeLayer(_ layer: PendingImage.Layer, _ diffID: Digest, of files: LayoutFiles, title: String)
        throws(Failure) -> Descriptor
    {
        let known = try layerRecord(diffID)
        if let known, exists(blobPath(known.blob)), layer.blob == nil || layer.blob == known.blob {
            return Descriptor(
                mediaType: layer.mediaType ?? known.mediaType, digest: known.blob, size: known.size)
        }
        let (source, size) = try files.open(layer.file)
        guard size == layer.size else {
            throw Failure(
                "cannot import \(title)",
                cause: "its layer \(layer.file) shall have \(layer.size) bytes, but has \(size)",
                advice: "fetch or write the image again; it is incomplete or was changed")
        }
        return try storeLayer(
            source, blob: layer.blob, mediaType: layer.mediaType, diffID: diffID, unpack: known == nil,
            title: title
        ).descriptor
    }

    /// - blob, diffID: what the digests must be, nil to take them as they come.
    /// - unpack: false when the unpacked layer is there and only its blob is wanted.
    func storeLayer(
        _ source: any ByteSource, blob: Digest?, mediaType: String?, diffID: Digest?, unpack: Bool,
        title: String
    ) throws(Failure) -> (descriptor: Descriptor, diffID: Digest) {
        let doing = "cannot import \(title)"
        let (blobTemporary, layerTemporary) = ("\(scratch)/blob", "\(store.layers)/.tmp/layer")
        var complete = false
        defer {
            if !complete {
                unlink(blobTemporary)
                try? removeTreeByName(layerTemporary)
            }
        }
        let file = try kernel(doing) { () throws(SyscallError) in
            try openFile(blobTemporary, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        }
        let (blobHash, diffHash) = (ContentHash(), ContentHash())
        let raw = Tee(source, hash: blobHash, copy: file.raw)
        let (compression, notes) = try archive(doing) { () throws(ArchiveError) in
            let decompressed = try Decompressed(raw)
            let plain = Tee(decompressed, hash: diffHash)
            var notes = UnpackNotes()
            let ahead = ReadAhead(plain)
            defer { ahead.stop() }
            if unpack { notes = try unpackNew(ahead, layerTemporary) }
            try ahead.drain()
            ahead.stop()
            try raw.drain()
            return (decompressed.compression, notes)
        }
        let actualBlob = blobHash.finish()
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
        let descriptor = Descriptor(
            mediaType: mediaType ?? types[compression] ?? MediaType.layer, digest: actualBlob, size: raw.count
        )
        try place(
            descriptor, actual, notes, blob: blobTemporary,
            layer: unpack && !layerExists(actual) ? layerTemporary : nil, doing)
        complete = true
        try? removeTreeByName(layerTemporary)
        return (descriptor, actual)
    }

    func layerExists(_ diffID: Digest) -> Bool { exists("\(store.layers)/\(diffID.hex)/layer.json") }

    private func unpackNew(_ source: any ByteSource, _ directory: String) throws(ArchiveError) -> UnpackNotes
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
        return try unpackLayer(TarReader(source), into: top.raw)
    }

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
                // A directory without layer.json was never complete.
                if exists(final) { try removeTreeByName(final) }
                try retrying("rename", final) { rename(layer, final) }
            }
            for directory in ["\(store.images)/blobs/sha256", store.layers] {
                let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
                try retrying("fsync", directory) { fsync(fd.raw) }
            }
        }
    }
}
