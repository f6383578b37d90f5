// SPDX-License-Identifier: Apache-2.0
//
// What a builder needs: an image out of layers that are here, one more, and a config.

internal import Archives
public import Basics
internal import CLinux
internal import Kernel
public import OCIFormats

/// The layer an image is given on top.
public enum NewLayer: Hashable, Sendable {
    /// An overlay upper directory; moved into the store where that is a rename, and gone from its place afterwards.
    /// The overlay must be unmounted and have been mounted with redirect_dir=off,metacopy=off.
    case upper(path: String)
    /// A layer's tar, whiteouts as the image-spec writes them; plain, gzip or zstd.
    case tar(path: String)
}

extension ImageStore {
    /// Stores an image.
    /// - layers: diff ids of layers in the store, lowest first, as `StoredImage.diffIDs` gives them.
    /// - config: its `rootfs` is filled in here.
    /// - name: replaces what was called so.
    public func commit(
        layers below: [Digest], adding layer: NewLayer?, config: ImageConfig, as name: String
    ) throws(Failure) -> StoredImage {
        try commit(below, layer, config, ReferenceName(given: name))
    }

    func commit(_ below: [Digest], _ layer: NewLayer?, _ config: ImageConfig, _ name: ReferenceName)
        throws(Failure) -> StoredImage
    {
        let writer = try StoreWriter(self)
        var descriptors: [Descriptor] = []
        for diffID in below {
            guard let descriptor = try writer.blob(of: diffID) else {
                throw Failure(
                    "cannot build \"\(name.text)\"",
                    cause: "its base's layer \(diffID) is no longer in the store",
                    advice: "import or build the base again")
            }
            descriptors.append(descriptor)
        }
        var config = config
        config.rootfs.diffIDs = below
        switch layer {
        case nil: break
        case .tar(let path):
            let doing = "cannot build \"\(name.text)\""
            let file = SharedFD(try kernel(doing) { () throws(SyscallError) in try openFile(path) })
            let (descriptor, diffID) = try writer.storeLayer(
                FileSource(file, name: path), blob: nil, mediaType: nil, diffID: nil, unpack: true,
                title: name.text)
            descriptors.append(descriptor)
            config.rootfs.diffIDs.append(diffID)
        case .upper(let path):
            let (descriptor, diffID) = try writer.storeUpper(path, title: name.text)
            descriptors.append(descriptor)
            config.rootfs.diffIDs.append(diffID)
        }
        let bytes = try encodeDocument(config)
        let manifest = try writer.putManifest(config: bytes, descriptors)
        return try writer.setName(name, config, id: Digest(hashing: bytes), manifest, stamp: nil)
    }

    /// A second name for an image, which stays what it is to the byte.
    public func tag(_ image: StoredImage, as name: String) throws(Failure) -> StoredImage {
        let name = try ReferenceName(given: name)
        let config = try config(of: image)
        guard let manifest = image.manifest else {
            throw Failure(
                "cannot name \(image.facts.reference) \"\(name.text)\"",
                cause: "it is used in place, not stored",
                advice: "covey image import \(image.facts.reference) --as \(name.text)")
        }
        let writer = try StoreWriter(self)
        let entries = try readIndex().manifests.filter { $0.digest == manifest }
        // What a registry said of the image it said of a name there: of another repository it said nothing.
        let kin = entries.first { $0.name?.repository == name.repository }
        return try writer.setName(
            name, config, id: image.facts.id, manifest,
            mediaType: (kin ?? entries.first)?.mediaType ?? MediaType.manifest, stamp: nil,
            annotations: (kin?.annotations ?? [:]).filter { $0.key.hasPrefix("covey.") })
    }
}

extension StoreWriter {
    /// The upper directory as a layer: archived once for its digests and blob, then moved, not unpacked again.
    func storeUpper(_ path: String, title: String) throws(Failure) -> (descriptor: Descriptor, diffID: Digest)
    {
        let doing = "cannot store what \"\(title)\" adds"
        let (blob, temporary) = ("\(scratch)/blob", "\(store.layers)/.tmp/layer")
        let file = SharedFD(
            try kernel(doing) { () throws(SyscallError) in
                try openFile(blob, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            })
        let top = try kernel(doing) { () throws(SyscallError) in
            try openFile(path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
        let sink = FileSink(file, name: "the layer of \(title)", isSynchronised: true)
        let notes: UnpackNotes
        do throws(ArchiveError) {
            notes = try archiveLayer(top.raw, into: TarWriter(sink), cleaning: true)
        } catch {
            unlink(blob)
            throw Failure(doing, error)
        }
        let digest = sink.digest()
        let descriptor = Descriptor(mediaType: MediaType.layer, digest: digest, size: sink.count)
        let known = layerExists(digest)
        if !known {
            var moved = true
            try kernel(doing) { () throws(SyscallError) in
                if exists(temporary) { try removeTreeByName(temporary) }
                try makeDirectory(temporary, mode: 0o700)
                do throws(SyscallError) {
                    try retrying("rename", path) { rename(path, "\(temporary)/fs") }
                } catch {
                    if error.errno != .crossDevice { throw error }
                    moved = false
                }
            }
            if !moved {
                // Another file system: unpacked from the blob, whose file gives up its name for the copy made.
                let input = SharedFD(try kernel(doing) { () throws(SyscallError) in try openFile(blob) })
                try kernel(doing) { () throws(SyscallError) in
                    try removeFile(blob)
                    try removeTreeByName(temporary)
                }
                return try storeLayer(
                    FileSource(input, offset: 0, length: sink.count, name: path), blob: digest,
                    mediaType: nil,
                    diffID: digest, unpack: true, title: title)
            }
        }
        try place(descriptor, digest, notes, blob: blob, layer: known ? nil : temporary, doing)
        return (descriptor, digest)
    }
}
