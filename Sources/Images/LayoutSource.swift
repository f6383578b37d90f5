// SPDX-License-Identifier: Apache-2.0
//
// Reads an image's documents out of a directory or an archive, and checks each against the digest that named it.
// Names from documents become paths only as digests, or are looked up among the archive's entries.

internal import Archives
internal import Basics
internal import CLinux
internal import Kernel
internal import OCIFormats

/// The files of a layout: below a directory, or within a tar.
struct LayoutFiles {
    enum Place {
        case directory(SharedFD)
        case archive(SharedFD, [String: Member])
    }
    struct Member {
        var offset: Int64
        var size: Int64
    }
    let place: Place
    /// For messages.
    let path: String

    init(directory path: String) throws(Failure) {
        self.path = path
        do throws(SyscallError) {
            place = .directory(SharedFD(try openFile(path, flags: O_RDONLY | O_DIRECTORY)))
        } catch {
            throw Failure("cannot open \(path)", error)
        }
    }

    /// - scratch: a directory for the plain form of an archive that is compressed as a whole, which keeps to the limits.
    init(archive path: String, scratch: String, limits: LayerLimits) throws(Failure) {
        self.path = path
        let doing = "cannot read the archive \(path)"
        let file = SharedFD(try kernel(doing) { () throws(SyscallError) in try openFile(path) })
        let readable = try LayoutFiles.plain(file, path, scratch, limits)
        let size = try kernel(doing) { () throws(SyscallError) in
            Int64(try fileStatus(of: readable.raw).st_size)
        }
        place = .archive(
            readable,
            try archive(doing) { () throws(ArchiveError) in try LayoutFiles.members(readable, size, path) })
    }

    /// The archive's files by name; a link (docker save writes some) is an entry like what it leads to.
    private static func members(_ file: SharedFD, _ size: Int64, _ path: String) throws(ArchiveError)
        -> [String: Member]
    {
        let reader = TarReader(FileSource(file, offset: 0, length: size, name: path))
        var members: [String: Member] = [:]
        var links: [String: String] = [:]
        while let entry = try reader.next() {
            guard members.count + links.count < 100_000 else {
                throw .damaged("\(path) has more than 100,000 entries")
            }
            let name = LayoutFiles.flattened(entry.pathText, in: "")
            switch entry.kind {
            case .file: members[name] = Member(offset: reader.bodyOffset, size: entry.size)
            case .symlink, .hardlink:
                let parent =
                    entry.kind == .symlink ? name.split(separator: "/").dropLast().joined(separator: "/") : ""
                links[name] = LayoutFiles.flattened(String(decoding: entry.link, as: UTF8.self), in: parent)
            default: continue
            }
        }
        for (name, target) in links { if members[name] == nil { members[name] = members[target] } }
        return members
    }

    /// A name in the archive, whatever way it is written.
    private static func flattened(_ path: String, in directory: String) -> String {
        String(joinedPath("/" + directory, path).dropFirst())
    }

    /// The archive itself, or its plain form in a file without a name when it is compressed.
    private static func plain(_ file: SharedFD, _ path: String, _ scratch: String, _ limits: LayerLimits)
        throws(Failure) -> SharedFD
    {
        let doing = "cannot read the archive \(path)"
        let size = try kernel(doing) { () throws(SyscallError) in Int64(try fileStatus(of: file.raw).st_size)
        }
        let compressed = Tee(FileSource(file, offset: 0, length: size, name: path))
        let decompressed = try archive(doing) { () throws(ArchiveError) in
            try Decompressed(compressed, mostWindow: limits.window)
        }
        if decompressed.compression == .plain { return file }
        let stream = limited(decompressed, compressed: compressed, limits)
        let copy = SharedFD(try kernel(doing) { () throws(SyscallError) in try unnamedFile(in: scratch) })
        let sink = FileSink(copy, name: path)
        try archive(doing) { () throws(ArchiveError) in
            try stream.copy(to: sink)
        }
        return copy
    }

    func open(_ name: String) throws(Failure) -> (source: FileSource, size: Int64) {
        switch place {
        case .archive(let file, let members):
            guard let member = members[LayoutFiles.flattened(name, in: "")] else { throw missing(name) }
            return (
                FileSource(file, offset: member.offset, length: member.size, name: "\(name) in \(path)"),
                member.size
            )
        case .directory(let directory):
            do throws(SyscallError) {
                let file = SharedFD(try openFile(name, at: directory.raw))
                let size = Int64(try fileStatus(of: file.raw).st_size)
                return (FileSource(file, offset: 0, length: size, name: "\(path)/\(name)"), size)
            } catch {
                if error.errno == .noEntry { throw missing(name) }
                throw Failure("cannot read \(path)/\(name)", error)
            }
        }
    }

    func read(_ name: String) throws(Failure) -> [UInt8] {
        let (source, size) = try open(name)
        guard size <= Int64(documentLimit) else {
            throw Failure(
                "cannot read \(name) in \(path)", cause: "it has \(size) bytes; \(documentLimit) are allowed")
        }
        do throws(ArchiveError) { return try source.readAll(limit: documentLimit, as: name) } catch {
            throw Failure("cannot read \(name) in \(path)", error)
        }
    }

    func has(_ name: String) -> Bool {
        switch place {
        case .archive(_, let members): members[LayoutFiles.flattened(name, in: "")] != nil
        case .directory(let directory): exists(name, at: directory.raw)
        }
    }

    func missing(_ name: String) -> Failure {
        Failure("cannot read the image in \(path)", cause: "\(name) is not there")
    }
}

/// An image's documents read and checked; its layers known, not yet read.
struct PendingImage {
    struct Layer {
        /// Where its bytes are among the files; nil when they are in the store.
        var file: String
        /// The digest and media type its manifest claims; nil for archives that know only diff ids.
        var blob: Digest?
        var mediaType: String?
        var size: Int64
    }
    var files: LayoutFiles
    var config: [UInt8]
    var layers: [Layer]
    /// The manifest's own bytes; nil when one has to be written.
    var manifest: [UInt8]?
    var manifestType = MediaType.manifest
    /// What this store's own index.json says of it beside its name, kept when it is named anew. A foreign one's word counts for
    /// nothing: whoever wrote it would say by which digest a registry gave the image.
    var annotations: [String: String] = [:]
    /// What the source calls it.
    var name: String?

    /// Its config, when this host can run it and the documents agree.
    func runnableConfig(title: String) throws(Failure) -> ImageConfig {
        let document = try decodeDocument(ImageConfig.self, config, title: "the config of \(title)")
        guard document.os == "linux" || document.os.isEmpty else {
            throw Failure("cannot import \(title)", cause: "it is an image for \(document.os), not for linux")
        }
        guard document.architecture == hostArchitecture || document.architecture.isEmpty else {
            throw Failure(
                "cannot import \(title)",
                cause: "it is an image for \(document.architecture); this host is \(hostArchitecture)")
        }
        guard document.rootfs.diffIDs.count == layers.count else {
            throw Failure(
                "cannot import \(title)",
                cause:
                    "its config names \(document.rootfs.diffIDs.count) layers, its manifest \(layers.count)")
        }
        return document
    }
}

/// An OCI image layout.
struct LayoutSource {
    let files: LayoutFiles
    /// For messages: the transport's text.
    let title: String

    init(_ files: LayoutFiles, title: String) {
        self.files = files
        self.title = title
    }

    /// The image of that name; without one, the only image there is.
    func image(named reference: String?) throws(Failure) -> PendingImage {
        _ = try decodeDocument(
            ImageLayout.self, files.read("oci-layout"), title: "oci-layout in \(files.path)")
        let index = try decodeDocument(
            ImageIndex.self, files.read("index.json"), title: "index.json in \(files.path)")
        let names = index.manifests.compactMap { $0.annotations?[referenceNameAnnotation] }
        let found: Descriptor?
        if let reference {
            found =
                index.manifests.first { $0.annotations?[referenceNameAnnotation] == reference }
                ?? index.manifests.first { $0.digest.description == reference }
        } else {
            guard index.manifests.count <= 1 else {
                throw Failure(
                    "cannot choose an image in \(title)",
                    cause: "it holds \(index.manifests.count) images: \(names.joined(separator: ", "))",
                    advice: "name one: \(title):\(names.first ?? "REF")")
            }
            found = index.manifests.first
        }
        guard let found else {
            throw Failure(
                "cannot find the image \(title)",
                cause: names.isEmpty ? "it holds none" : "it holds: \(names.joined(separator: ", "))")
        }
        var image = try self.image(found)
        image.name = found.annotations?[referenceNameAnnotation]
        return image
    }

    /// The image a descriptor leads to, through indexes to the manifest for this host's platform.
    func image(_ descriptor: Descriptor, depth: Int = 0) throws(Failure) -> PendingImage {
        let bytes = try document(descriptor, "manifest")
        if MediaType.isIndex(descriptor.mediaType) {
            let index = try decodeDocument(ImageIndex.self, bytes, title: "the index \(descriptor.digest)")
            let fitting = index.manifests.first { entry in
                guard let platform = entry.platform else { return index.manifests.count == 1 }
                return platform.os == "linux" && platform.architecture == hostArchitecture
            }
            guard depth < 4, let fitting else {
                let platforms = index.manifests.compactMap {
                    $0.platform.map { "\($0.os)/\($0.architecture)" }
                }
                throw Failure(
                    "cannot use \(title) here",
                    cause:
                        "it has no image for linux/\(hostArchitecture), only: \(platforms.joined(separator: ", "))"
                )
            }
            return try image(fitting, depth: depth + 1)
        }
        let manifest = try decodeDocument(
            ImageManifest.self, bytes, title: "the manifest \(descriptor.digest)")
        var layers: [PendingImage.Layer] = []
        for layer in manifest.layers {
            guard MediaType.isLayer(layer.mediaType) else {
                throw Failure(
                    "cannot use \(title)", cause: "a layer is of the unknown media type \(layer.mediaType)")
            }
            layers.append(
                .init(
                    file: "blobs/sha256/\(layer.digest.hex)", blob: layer.digest, mediaType: layer.mediaType,
                    size: layer.size))
        }
        guard MediaType.isManifest(descriptor.mediaType) else {
            throw Failure(
                "cannot use \(title)",
                cause: "its manifest is of the unknown media type \(descriptor.mediaType)")
        }
        var image = PendingImage(
            files: files, config: try document(manifest.config, "config"), layers: layers, manifest: bytes)
        image.manifestType = descriptor.mediaType
        return image
    }

    private func document(_ descriptor: Descriptor, _ what: String) throws(Failure) -> [UInt8] {
        let bytes = try files.read("blobs/sha256/\(descriptor.digest.hex)")
        let actual = Digest(hashing: bytes)
        guard actual == descriptor.digest, Int64(bytes.count) == descriptor.size else {
            throw wrongDigest(
                "the \(what) of \(title)", descriptor.digest, descriptor.size, actual, Int64(bytes.count))
        }
        return bytes
    }
}

func wrongDigest(_ what: String, _ expected: Digest, _ size: Int64?, _ actual: Digest, _ count: Int64)
    -> Failure
{
    let sizes = size.map { $0 == count ? "" : " (\($0) and \(count) bytes)" } ?? ""
    return Failure(
        "cannot import \(what)",
        cause: "its digest shall be \(expected), but its bytes are \(actual)\(sizes)",
        advice: "fetch or write the image again; it was damaged or changed")
}

/// Docker's archive: manifest.json names a config and the layers' tars.
func dockerArchiveImage(_ files: LayoutFiles, _ reference: String?, title: String) throws(Failure)
    -> PendingImage
{
    let images = try decodeDocument(
        [DockerArchiveImage].self, files.read("manifest.json"), title: "manifest.json in \(files.path)")
    let found: DockerArchiveImage?
    let names = images.flatMap { $0.repoTags ?? [] }
    if let reference {
        let wanted = try ReferenceName(reference).text
        found = images.first { ($0.repoTags ?? []).contains { ReferenceName(stored: $0).text == wanted } }
    } else {
        guard images.count <= 1 else {
            throw Failure(
                "cannot choose an image in \(title)",
                cause: "it holds \(images.count) images: \(names.joined(separator: ", "))",
                advice: "name one: \(title):\(names.first ?? "REF")")
        }
        found = images.first
    }
    guard let found else {
        throw Failure(
            "cannot find the image \(title)", cause: "the archive holds: \(names.joined(separator: ", "))")
    }
    let config = try files.read(found.config)
    // The config's file is named by its digest: `<hex>.json`, or blobs/sha256/<hex> since Docker 25.
    let stem =
        found.config.split(separator: "/").last.map { $0.hasSuffix(".json") ? $0.dropLast(5) : $0 } ?? ""
    if let expected = Digest(hex: String(stem)) {
        let actual = Digest(hashing: config)
        guard actual == expected else {
            throw wrongDigest("the config of \(title)", expected, nil, actual, Int64(config.count))
        }
    }
    var layers: [PendingImage.Layer] = []
    for layer in found.layers {
        layers.append(.init(file: layer, blob: nil, mediaType: nil, size: try files.open(layer).size))
    }
    return PendingImage(
        files: files, config: config, layers: layers, manifest: nil,
        name: reference ?? found.repoTags?.first)
}
