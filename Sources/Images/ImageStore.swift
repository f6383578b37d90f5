// SPDX-License-Identifier: Apache-2.0
//
//   <root>/images/     an OCI image layout: oci-layout, index.json, blobs/sha256/…; beside it resolved/ (derived,
//                      one small file per name), .tmp/ and lock
//                      (BootMark.swift: boot, suspect/)
//   <root>/layers/     <diff id>/{fs/, layer.json}; <chain id>.chain/… for a layer corrected for one chain; .tmp/
//
// Readers take no lock: files and layers appear whole, by rename. Writers hold images/lock; what a dead one left in
// a .tmp is removed by the next. A layer counts once it is in place, which is after one syncfs(2).

public import Archives
public import Basics
internal import ContainerModel
internal import CLinux
internal import Kernel
public import OCIFormats
internal import Records

/// The images of one state directory.
public struct ImageStore: Sendable {
    /// The state directory, absolute.
    public let root: String
    var images: String { "\(root)/images" }
    var layers: String { "\(root)/layers" }
    var index: String { "\(images)/index.json" }

    /// Asked for a name that `resolve` does not find: brings it in from elsewhere, or throws why it can't. nil asks nobody.
    public var fetch: (@Sendable (_ reference: String) throws(Failure) -> Void)?

    /// An image that came from a registry is damaged here: brings it in again under its name, by the digest it was
    /// pulled with. nil fetches nothing.
    public var mend: (@Sendable (_ reference: String, _ pulled: Digest) throws(Failure) -> Void)?

    /// False for a dry run: nothing is written. What is here is believed and not mended, and a name whose derived record is
    /// missing gives an image without layers, to plan with.
    public var mayWrite = true

    /// Told of damage that was found and what is done about it.
    public var notice: (@Sendable (_ text: String) -> Void)?

    /// What a layer may grow to.
    public var limits = LayerLimits()

    /// Steps a builder's cache holds; the oldest go first.
    public var mostSteps = 5000

    public init(root: String) { self.root = root }

    /// The image of that reference, nil when it is not here (or its transport's source has changed since).
    ///
    /// One file is read and each layer's directory looked at: good for every `up`.
    /// - directory: what a transport's relative path is relative to.
    public func lookUp(_ reference: String, relativeTo directory: String = "/") throws(Failure)
        -> StoredImage?
    {
        if let transport = Transport(reference, relativeTo: directory) {
            if case .directory(let path) = transport { return try inPlace(path, reference) }
            guard let record = record(ReferenceName(transport)) else { return nil }
            guard let stamp = try? transport.stamp(), stamp == record.stamp else { return nil }
            // What is damaged here is imported anew.
            return try sound(record, reference).image
        }
        if let digest = Digest(reference) { return try lookUp(digest, reference) }
        let name = try ReferenceName(reference)
        var damage: String?
        if let record = record(name) {
            let (image, found) = try sound(record, reference)
            if let image { return image }
            damage = found
        }
        do throws(Failure) { return try rebuild(name, reference) } catch {
            return try mended(name, reference, damage ?? error.cause ?? error.doing)
        }
    }

    /// The image of a record, nil when some of it is gone or damaged; then also what is wrong.
    private func sound(_ record: ResolvedRecord, _ reference: String) throws(Failure)
        -> (image: StoredImage?, damage: String?)
    {
        guard let image = image(record, reference) else { return (nil, nil) }
        if !mayWrite { return (image, nil) }
        switch try soundness(of: image) {
        case .whole: return (image, nil)
        case .toBeMadeAnew: return (nil, nil)
        case .damaged(let what):
            notice?("image \"\(reference)\" was damaged when the machine went down: \(what)")
            return (nil, what)
        }
    }

    /// An image whose blobs can't be used: fetched again where that is possible.
    private func mended(_ name: ReferenceName, _ reference: String, _ why: String) throws(Failure)
        -> StoredImage?
    {
        // A builder makes a damaged step of its cache anew.
        if name.isCached { return nil }
        let doing = "cannot use the image \"\(reference)\": it is damaged"
        let pulled = try pulledFacts(reference)
        guard let pulled, let mend, mayWrite else {
            throw Failure(
                doing, cause: why,
                advice: pulled == nil
                    ? "bring it in again as it came: covey build, or covey image import; or covey image rm \(reference)"
                    : "covey image pull \(reference)")
        }
        notice?("image \"\(reference)\" is fetched again, \(pulled.digest): \(why)")
        do throws(Failure) { try mend(reference, pulled.digest) } catch {
            throw Failure(
                doing, cause: "\(why); fetching it again: \(error.cause ?? error.doing)",
                advice: error.advice ?? "covey image pull \(reference)", at: error.location)
        }
        return record(name).flatMap { image($0, reference) }
    }

    /// The image of that reference; a transport is imported when it is not here yet.
    /// - Throws: a name that is not in the store, with how to get it there.
    public func resolve(_ reference: String, relativeTo directory: String = "/") throws(Failure)
        -> StoredImage
    {
        if let image = try lookUp(reference, relativeTo: directory) { return image }
        if let transport = Transport(reference, relativeTo: directory) {
            var image = try importImage(transport, ReferenceName(transport))
            image.facts.reference = reference
            return image
        }
        if let fetch, Digest(reference) == nil {
            try fetch(reference)
            if let image = try lookUp(reference, relativeTo: directory) { return image }
        }
        let names = try list().map(\.name)
        let short = names.map { $0.hasSuffix(":latest") ? String($0.dropLast(7)) : $0 }
        let near = nearest(to: reference, among: names + short)
        throw Failure(
            "image \"\(reference)\" is not in the store",
            cause: near.map { "nothing of that name was imported or built; did you mean \"\($0)\"?" }
                ?? "nothing of that name was imported or built",
            advice:
                "covey image pull \(reference), covey image import docker-archive:FILE --as \(reference), or give the service a `build:`"
        )
    }

    /// An image by its id.
    private func lookUp(_ id: Digest, _ reference: String) throws(Failure) -> StoredImage? {
        for entry in try readIndex().manifests {
            guard let name = entry.annotations?[referenceNameAnnotation] else { continue }
            let record = record(ReferenceName(stored: name))
            guard let record, record.id == id || record.manifest == id else { continue }
            var image = try lookUp(name)
            image?.facts.reference = reference
            return image
        }
        return nil
    }

    private func record(_ name: ReferenceName) -> ResolvedRecord? {
        (try? readFile("\(images)/resolved/\(name.fileName)")).flatMap { ResolvedRecord($0) }
    }

    /// Nil when a layer is gone: then the image must be made anew from its blobs.
    private func image(_ record: ResolvedRecord, _ reference: String) -> StoredImage? {
        let paths = record.layers.map { "\(layers)/\($0)" }
        for path in paths where access(path, F_OK) != 0 { return nil }
        return StoredImage(
            facts: ImageFacts(reference: reference, id: record.id, layers: paths), defaults: record.defaults,
            diffIDs: record.diffIDs, manifest: record.manifest)
    }

    /// A root file system used where it is: its identity is the place, not the content, which is nobody's to hash.
    func inPlace(_ path: String, _ reference: String) throws(Failure) -> StoredImage {
        let status: stat
        do throws(SyscallError) { status = try fileStatus(path, follow: true) } catch {
            throw Failure("cannot use \(reference) as an image", error)
        }
        guard status.isDirectory else {
            throw Failure(
                "cannot use \(reference) as an image", cause: "\(path) is not a directory",
                advice: "a tar of a root file system is tar:\(path)")
        }
        let identity =
            "dir\n\(path)\n\(status.st_dev) \(status.st_ino) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
        return StoredImage(
            facts: ImageFacts(reference: reference, id: Digest(of: identity.utf8), layers: [path]),
            defaults: ImageDefaults())
    }

    /// A name that index.json has but resolved/ has not: skopeo put it there, or the derived file was lost.
    private func rebuild(_ name: ReferenceName, _ reference: String) throws(Failure) -> StoredImage? {
        guard let entry = try entry(name, try readIndex()) else { return nil }
        // A digest may be that of an image with a tag.
        let asked = name.text
        let name = entry.name ?? name
        if name.text != asked, let record = record(name), let image = try sound(record, reference).image {
            return image
        }
        let source = LayoutSource(try LayoutFiles(directory: images), title: "the store")
        if !mayWrite {
            var image = try StoredImage(planned: reference, config: try source.image(entry).config)
            image.manifest = entry.digest
            return image
        }
        let writer = try StoreWriter(self)
        // While the lock was waited for the name may have been given to another image, or taken away.
        guard let entry = try self.entry(name, try readIndex()) else { return nil }
        if !mark.hasSuspects, let record = record(name), record.manifest == entry.digest,
            let image = image(record, reference)
        {
            return image
        }
        var pending = try source.image(entry)
        pending.annotations = (entry.annotations ?? [:]).filter { $0.key.hasPrefix("covey.") }
        var image = try writer.store(pending, as: name, stamp: nil)
        image.facts.reference = reference
        return image
    }

    func entry(_ name: ReferenceName, _ index: ImageIndex) throws(Failure) -> Descriptor? {
        let named = index.manifests.first { $0.isCalled(name) }
        guard named == nil, let digest = name.digest else { return named }
        return index.manifests.first { entry in
            entry.name?.repository == name.repository
                && (entry.digest == digest
                    || entry.annotations?[pulledDigestAnnotation] == digest.description)
        }
    }

    func readIndex() throws(Failure) -> ImageIndex {
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(index, limit: ImageStore.indexLimit) } catch {
            if error.errno == .noEntry { return ImageIndex() }
            throw Failure("cannot read \(index)", error)
        }
        return try decodeDocument(ImageIndex.self, bytes, title: index, limit: ImageStore.indexLimit)
    }

    /// index.json is our own: more than a hundred thousand names. A foreign one may have `documentLimit`.
    static let indexLimit = 32 << 20

    /// An image's whole config, for those who build on it.
    public func config(of image: StoredImage) throws(Failure) -> ImageConfig {
        let path = "\(images)/blobs/sha256/\(image.facts.id.hex)"
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(path, limit: documentLimit) } catch {
            throw Failure("cannot read the config of image \"\(image.facts.reference)\"", error)
        }
        return try decodeDocument(ImageConfig.self, bytes, title: path)
    }
}

extension ReferenceName {
    /// A name as index.json has it: ours, or one that skopeo wrote in another spelling.
    init(stored name: String) {
        if let own = try? ReferenceName(name) {
            self = own
        } else {
            self.init(verbatim: name)
        }
    }
}
