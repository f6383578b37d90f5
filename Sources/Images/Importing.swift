// SPDX-License-Identifier: Apache-2.0

internal import Archives
public import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
internal import OCIFormats

extension ImageStore {
    /// Brings an image into the store, whole or not at all; unpacked and ready.
    /// - name: what it shall be called; nil names it as the source does, or by the transport itself when the source
    ///   says nothing. `dir:` without a name is used in place and copies nothing.
    public func importImage(_ transport: Transport, as name: String? = nil) throws(Failure) -> StoredImage {
        if case .directory = transport, name == nil {
            guard let image = try lookUp(transport.text) else {
                throw Failure("cannot use \(transport.text)")
            }
            return image
        }
        let given = try name.map { text throws(Failure) in try ReferenceName(given: text) }
        return try importImage(transport, given)
    }

    /// The image that importing a transport would give, with no layer of it: its documents are read and the store is left as it
    /// is. An archive that is compressed as a whole is unpacked into a file without a name meanwhile.
    public func plannedImport(_ transport: Transport) throws(Failure) -> StoredImage {
        let pending: PendingImage
        switch transport {
        case .directory(let path): return try inPlace(path, transport.text)
        case .tar:
            // Its config says nothing, and its layer is known once it is read.
            let doing = "cannot import \(transport.text)"
            let stamp = try kernel(doing) { () throws(SyscallError) in try transport.stamp() }
            return StoredImage(
                facts: ImageFacts(reference: transport.text, id: Digest(of: stamp.utf8), layers: []),
                defaults: ImageDefaults())
        case .oci(let path, let reference):
            let files = try LayoutFiles(directory: path)
            pending = try LayoutSource(files, title: transport.text).image(named: reference)
        case .ociArchive(let path, let reference):
            let files = try LayoutFiles(archive: path, scratch: "/var/tmp", limits: limits)
            pending = try LayoutSource(files, title: transport.text).image(named: reference)
        case .dockerArchive(let path, let reference):
            let files = try LayoutFiles(archive: path, scratch: "/var/tmp", limits: limits)
            pending = try dockerArchiveImage(files, reference, title: transport.text)
        }
        _ = try pending.runnableConfig(title: transport.text)
        return try StoredImage(planned: transport.text, config: pending.config)
    }

    /// - name: nil takes the source's own, else the transport's text.
    func importImage(_ transport: Transport, _ name: ReferenceName?) throws(Failure) -> StoredImage {
        if case .directory(let path) = transport, name == ReferenceName(transport) {
            return try inPlace(path, transport.text)
        }
        let doing = "cannot import \(transport.text)"
        let stamp = try kernel(doing) { () throws(SyscallError) in try transport.stamp() }
        let fallback = ReferenceName(transport)
        let writer = try StoreWriter(self)
        switch transport {
        case .oci(let path, let reference):
            let source = LayoutSource(try LayoutFiles(directory: path), title: transport.text)
            let image = try source.image(named: reference)
            return try writer.store(image, as: name ?? image.ownName ?? fallback, stamp: stamp)
        case .ociArchive(let path, let reference):
            let files = try LayoutFiles(archive: path, scratch: writer.scratch, limits: limits)
            let source = LayoutSource(files, title: transport.text)
            let image = try source.image(named: reference)
            return try writer.store(image, as: name ?? image.ownName ?? fallback, stamp: stamp)
        case .dockerArchive(let path, let reference):
            let files = try LayoutFiles(archive: path, scratch: writer.scratch, limits: limits)
            let image = try dockerArchiveImage(files, reference, title: transport.text)
            return try writer.store(image, as: name ?? image.ownName ?? fallback, stamp: stamp)
        case .tar(let path):
            let file = SharedFD(try kernel(doing) { () throws(SyscallError) in try openFile(path) })
            return try writer.storeRootFileSystem(
                FileSource(file, name: path), as: name ?? fallback, stamp: stamp)
        case .directory(let path):
            let copy = SharedFD(
                try kernel(doing) { () throws(SyscallError) in try unnamedFile(in: writer.scratch) })
            let top = try kernel(doing) { () throws(SyscallError) in
                try openFile(path, flags: O_RDONLY | O_DIRECTORY)
            }
            let sink = FileSink(copy, name: path)
            try archive(doing) { () throws(ArchiveError) in
                _ = try archiveLayer(top.raw, into: TarWriter(sink))
            }
            let source = FileSource(copy, offset: 0, length: sink.count, name: path)
            return try writer.storeRootFileSystem(source, as: name ?? fallback, stamp: stamp)
        }
    }
}

extension PendingImage {
    fileprivate var ownName: ReferenceName? { name.flatMap { try? ReferenceName(given: $0) } }
}

extension StoreWriter {
    /// An image of one layer, with a config that says nothing.
    func storeRootFileSystem(_ source: any ByteSource, as name: ReferenceName, stamp: String?) throws(Failure)
        -> StoredImage
    {
        // Whether the layer is here already only reading can tell: it is unpacked and, when known, dropped.
        let (descriptor, diffID) = try storeLayer(
            source, blob: nil, mediaType: nil, diffID: nil, unpack: true, title: name.text)
        var config = ImageConfig(architecture: hostArchitecture)
        config.rootfs.diffIDs = [diffID]
        let bytes = try encodeDocument(config)
        return try setName(
            name, config, id: Digest(hashing: bytes), try putManifest(config: bytes, [descriptor]),
            stamp: stamp)
    }
}
