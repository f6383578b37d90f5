// SPDX-License-Identifier: Apache-2.0
//
// What is in the store, by name. One image whose documents are damaged is told of beside the others and stops nobody.

public import Basics
internal import OCIFormats

extension ImageStore {
    /// One image as `image ls` shows it.
    public struct Listing: Hashable, Sendable {
        public var name: String
        /// The config's digest; the manifest's where that one is damaged.
        public var id: Digest
        public var manifest: Digest
        /// Sum of the layers' blobs.
        public var size: ByteSize
        /// RFC 3339, as the config says.
        public var created: String?
        /// Why it can't be used as it is.
        public var damage: String?
    }

    /// All images, sorted by name, a builder's cache left out.
    public func list() throws(Failure) -> [Listing] {
        var result: [Listing] = []
        for entry in try readIndex().manifests {
            guard let stored = entry.annotations?[referenceNameAnnotation] else { continue }
            let name = ReferenceName(stored: stored)
            if name.isCached { continue }
            var row = Listing(
                name: name.text, id: entry.digest, manifest: entry.digest, size: ByteSize(bytes: 0))
            do throws(Failure) {
                let source = LayoutSource(try LayoutFiles(directory: images), title: "the store")
                let image = try source.image(entry)
                let config = try decodeDocument(ImageConfig.self, image.config, title: "an image's config")
                row.id = Digest(hashing: image.config)
                row.size = ByteSize(bytes: image.layers.reduce(0) { $0 + $1.size })
                row.created = config.created
            } catch {
                row.damage = error.cause ?? error.doing
            }
            result.append(row)
        }
        return result.sorted { $0.name < $1.name }
    }

    /// The names that a word means: the image's of that name, or all those of the one with that id, which may be shortened.
    /// A word that means none is given back as it is.
    public func names(for word: String, relativeTo directory: String = "/") throws(Failure) -> [String] {
        if Transport(word, relativeTo: directory) != nil { return [word] }
        let id = Digest(word)
        if id == nil, let name = try? ReferenceName(word), try entry(name, try readIndex()) != nil {
            return [word]
        }
        let listed = try list()
        if let id {
            let names = listed.filter { $0.id == id || $0.manifest == id }.map(\.name)
            return names.isEmpty ? [word] : names
        }
        guard word.utf8.count >= ImageStore.shortestID else { return [word] }
        let fitting = listed.filter { $0.id.hex.hasPrefix(word) }
        return Set(fitting.map(\.id)).count == 1 ? fitting.map(\.name) : [word]
    }

    /// Fewer digits of an id than this are no id.
    public static let shortestID = 4
}
