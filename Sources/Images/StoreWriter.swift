// SPDX-License-Identifier: Apache-2.0
//
// Changes the store, one writer at a time: the lock is held as long as the value lives. Order on the way in: layers
// and blobs, then index.json, then the derived record; on the way out the reverse. A crash anywhere leaves at most
// what nothing names, which the next removal sweeps.

internal import Archives
internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import OCIFormats
internal import Records

struct StoreWriter: ~Copyable {
    let store: ImageStore
    private let lock: MarkedLock
    var mark: BootMark { lock.mark }

    /// The lock, and the mark that is open while something gets its name under it.
    private final class MarkedLock {
        let mark: BootMark
        var isOpen = false
        private let lock: FileLock

        init(_ lock: consuming FileLock, _ mark: BootMark) {
            self.lock = lock
            self.mark = mark
        }

        /// Before the lock goes. All was synchronised before it got its name, so the danger is over.
        deinit { if isOpen { try? mark.write(isOpen: false) } }
    }

    /// Waits for the lock, makes what is missing, removes what a dead writer left.
    init(_ store: ImageStore) throws(Failure) {
        lock = MarkedLock(try StoreWriter.open(store), store.mark)
        self.store = store
    }

    /// To be called before the syncfs(2) that comes before a name.
    func markOpen() throws(Failure) {
        if lock.isOpen { return }
        try mark.write(isOpen: true)
        lock.isOpen = true
    }

    private static func open(_ store: ImageStore) throws(Failure) -> FileLock {
        let (images, layers) = (store.images, store.layers)
        let layout = try encodeDocument(ImageLayout())
        let lock = try kernel("cannot open the image store in \(store.root)") { () throws(SyscallError) in
            try ensureDirectory("\(images)/blobs/sha256", mode: 0o700)
            try ensureDirectory("\(images)/resolved", mode: 0o700)
            try ensureDirectory(layers, mode: 0o700)
            let lock = try FileLock("\(images)/lock")
            for scratch in ["\(images)/.tmp", "\(layers)/.tmp"] {
                if exists(scratch) { try removeTreeByName(scratch) }
                try makeDirectory(scratch, mode: 0o700)
            }
            try ImageIntake.sweepDead(images, layers)
            if !exists("\(images)/oci-layout") { try replaceFile("\(images)/oci-layout", layout) }
            return lock
        }
        try store.mark.noteCrash(layers: layers, scratch: "\(images)/.tmp")
        return lock
    }

    var scratch: String { "\(store.images)/.tmp" }

    // MARK: - blobs

    /// Writes a blob unless it is there, and to be believed.
    func put(_ bytes: [UInt8]) throws(Failure) -> Digest {
        let digest = Digest(hashing: bytes)
        let path = blobPath(digest)
        if !exists(path) || mark.isSuspect(digest) {
            try kernel("cannot write \(path)") { () throws(SyscallError) in
                try replaceFile("\(scratch)/document", bytes, durable: true)
                try retrying("rename", path) { rename("\(scratch)/document", path) }
            }
            mark.clear(digest.hex)
        }
        return digest
    }

    func blobPath(_ digest: Digest) -> String { "\(store.images)/blobs/sha256/\(digest.hex)" }

    // MARK: - images

    /// Stores an image's layers, blobs and name.
    /// - name: nil takes what the source calls it.
    func store(_ image: PendingImage, as name: ReferenceName, stamp: String?) throws(Failure) -> StoredImage {
        let config = try image.runnableConfig(title: name.text)
        let descriptors = try storeLayers(image, config.rootfs.diffIDs, title: name.text)
        let manifest: Digest
        if let bytes = image.manifest {
            _ = try put(image.config)
            manifest = try put(bytes)
        } else {
            manifest = try putManifest(config: image.config, descriptors)
        }
        return try setName(
            name, config, id: Digest(hashing: image.config), manifest, mediaType: image.manifestType,
            stamp: stamp, annotations: image.annotations)
    }

    func putManifest(config: [UInt8], _ layers: [Descriptor]) throws(Failure) -> Digest {
        let digest = try put(config)
        return try put(
            encodeDocument(
                ImageManifest(
                    config: Descriptor(
                        mediaType: MediaType.config, digest: digest, size: Int64(config.count)),
                    layers: layers)))
    }

    /// Gives a stored manifest its name: corrects layers for this chain, then index.json, then the derived record.
    /// - id: the config's digest, of its bytes as they are kept.
    func setName(
        _ name: ReferenceName, _ config: ImageConfig, id: Digest, _ manifest: Digest,
        mediaType: String = MediaType.manifest, stamp: String?, annotations: [String: String] = [:]
    ) throws(Failure) -> StoredImage {
        // A name with a digest says what it names, and whoever asks for it believes it.
        if let digest = name.digest, digest != manifest,
            annotations[pulledDigestAnnotation] != digest.description
        {
            throw Failure(
                "cannot call an image \"\(name.text)\"", cause: "its digest is \(manifest)",
                advice: "leave the digest out, and give it a tag")
        }
        let manifestSize = try kernel("cannot read \(blobPath(manifest))") { () throws(SyscallError) in
            Int64(try fileStatus(blobPath(manifest)).st_size)
        }
        var record = ResolvedRecord(id: id, manifest: manifest)
        record.diffIDs = config.rootfs.diffIDs
        record.layers = try layerDirectories(config.rootfs.diffIDs)
        record.defaults = ImageDefaults(config.config)
        record.stamp = stamp
        var descriptor = Descriptor(mediaType: mediaType, digest: manifest, size: manifestSize)
        descriptor.annotations = annotations.merging([referenceNameAnnotation: name.text]) { _, new in new }
        var index = try store.readIndex()
        index.manifests.removeAll { $0.isCalled(name) }
        index.manifests.append(descriptor)
        let evicted = name.isCached ? index.evictSteps(downTo: store.mostSteps) : []
        // Whoever comes between finds no record of the old image, waits for the lock, and makes the new one's.
        try forget([name] + evicted)
        try write(index)
        try kernel("cannot write the record of image \"\(name.text)\"") { () throws(SyscallError) in
            try replaceFile(recordPath(name), record.encoded(), mode: 0o600)
        }
        return StoredImage(
            facts: ImageFacts(
                reference: name.text, id: record.id, layers: record.layers.map { "\(store.layers)/\($0)" }),
            defaults: record.defaults, diffIDs: record.diffIDs, manifest: manifest)
    }

    /// Takes names' derived records away: before the index says otherwise, so that the two never differ.
    func forget(_ names: [ReferenceName]) throws(Failure) {
        let paths = names.map { recordPath($0) }.filter { exists($0) }
        guard let first = paths.first else { return }
        try kernel("cannot remove \(first)") { () throws(SyscallError) in
            for path in paths { try removeFile(path) }
            // Not every file system keeps the order of two directories' changes over a power cut.
            let directory = try openFile("\(store.images)/resolved", flags: O_RDONLY | O_DIRECTORY)
            try retrying("fsync", first) { fsync(directory.raw) }
        }
    }

    private func recordPath(_ name: ReferenceName) -> String {
        "\(store.images)/resolved/\(name.fileName)"
    }

    func write(_ index: ImageIndex) throws(Failure) {
        let bytes = try encodeDocument(index)
        // What could not be read again would be the end of the store.
        guard bytes.count <= ImageStore.indexLimit else {
            throw Failure(
                "cannot write \(store.index)",
                cause: "\(index.manifests.count) images have a name; it would have \(bytes.count) bytes, and"
                    + " \(ImageStore.indexLimit) are allowed",
                advice: "covey image prune --all, or covey image rm what is not needed")
        }
        try kernel("cannot write \(store.index)") { () throws(SyscallError) in
            try replaceFile(store.index, bytes, durable: true)
        }
    }
}

extension Descriptor {
    /// The name index.json gives it.
    var name: ReferenceName? { annotations?[referenceNameAnnotation].map { ReferenceName(stored: $0) } }

    func isCalled(_ name: ReferenceName) -> Bool { self.name?.text == name.text }
}

extension ImageIndex {
    /// Takes the oldest steps of a builder's cache away until no more than `most` are left; entries stand in the order in
    /// which they were named.
    mutating func evictSteps(downTo most: Int) -> [ReferenceName] {
        func isStep(_ entry: Descriptor) -> Bool {
            entry.annotations?[referenceNameAnnotation]?.hasPrefix(ReferenceName.cachePrefix) ?? false
        }
        var excess = manifests.count(where: isStep) - most
        var evicted: [ReferenceName] = []
        if excess <= 0 { return evicted }
        manifests.removeAll { entry in
            guard excess > 0, isStep(entry), let name = entry.name else { return false }
            excess -= 1
            evicted.append(name)
            return true
        }
        return evicted
    }
}

/// removeTree for names of any bytes.
func removeTreeByName(_ path: String) throws(SyscallError) {
    guard let slash = path.lastIndex(of: "/") else { return }
    let parent = try openFile(String(path[..<slash]), flags: O_RDONLY | O_DIRECTORY)
    try removeEntry(String(path[path.index(after: slash)...]).cName, at: parent.raw)
}
