// SPDX-License-Identifier: Apache-2.0

public import Basics
internal import CLinux
internal import Kernel
internal import OCIFormats
internal import Records

extension ImageStore {
    /// Takes a name away and, with it, every blob and layer that nothing else needs.
    /// - keeping: paths of layers that containers stand on, as `ImageFacts.layers` has them; a later removal takes them.
    /// - Throws: a name that is not there.
    public func remove(
        _ reference: String, relativeTo directory: String = "/", keeping inUse: Set<String> = []
    )
        throws(Failure)
    {
        let name: ReferenceName
        if let transport = Transport(reference, relativeTo: directory) {
            name = ReferenceName(transport)
        } else {
            name = try ReferenceName(reference)
        }
        let writer = try StoreWriter(self)
        var index = try readIndex()
        let before = index.manifests.count
        let gone = try entry(name, index)
        index.manifests.removeAll { $0 == gone }
        guard index.manifests.count < before else {
            let names = index.manifests.compactMap { $0.annotations?[referenceNameAnnotation] }
            let near = nearest(to: name.text, among: names)
            throw Failure(
                "image \"\(reference)\" is not in the store", cause: near.map { "did you mean \"\($0)\"?" },
                advice: "covey image ls")
        }
        try writer.forget([gone?.name ?? name])
        try writer.write(index)
        try writer.sweep(index, keeping: inUse)
    }
}

extension StoreWriter {
    /// Deletes blobs and layers that neither the index nor a container leads to.
    func sweep(_ index: ImageIndex, keeping inUse: Set<String>) throws(Failure) {
        var blobs: Set<String> = []
        let coming = ImageIntake.beingTaken(store)
        blobs.formUnion(coming)
        var kept = coming.union([".tmp"])
        for path in inUse where path.hasPrefix("\(store.layers)/") {
            kept.insert(String(path.dropFirst(store.layers.utf8.count + 1).prefix { $0 != "/" }))
        }
        var seen: Set<String> = []
        for entry in index.manifests {
            if let damage = reach(entry, &seen, &blobs, &kept), let name = entry.name, !name.isCached {
                store.notice?(
                    "image \"\(name.text)\" is damaged: \(damage); take it away with covey image rm \(name.text),"
                        + " or bring it in again")
            }
            guard let name = entry.name else { continue }
            let file = "\(store.images)/resolved/\(name.fileName)"
            if let record = (try? readFile(file)).flatMap({ ResolvedRecord($0) }) {
                for layer in record.layers { kept.insert(String(layer.prefix { $0 != "/" })) }
            }
        }
        try kernel("cannot remove what no image needs") { () throws(SyscallError) in
            for name in try directoryEntries("\(store.images)/blobs/sha256") where !blobs.contains(name) {
                try removeFile("\(store.images)/blobs/sha256/\(name)")
                mark.clear(name)
            }
            for name in try directoryEntries(store.layers)
            where !kept.contains(name) && !name.hasPrefix("\(ImageIntake.directoryName).") {
                // Out of sight in one step, so that a crash leaves no half layer.
                try retrying("rename", name) {
                    rename("\(store.layers)/\(name)", "\(store.layers)/.tmp/gone")
                }
                try removeTreeByName("\(store.layers)/.tmp/gone")
                mark.clear(name)
            }
        }
    }

    /// All that a descriptor of the index leads to; a document that is missing or damaged leads nowhere.
    /// - Returns: what is wrong with the first damaged one.
    private func reach(
        _ entry: Descriptor, _ seen: inout Set<String>, _ blobs: inout Set<String>,
        _ layers: inout Set<String>, depth: Int = 0
    ) -> String? {
        guard seen.insert(entry.digest.hex).inserted, depth < 5 else { return nil }
        blobs.insert(entry.digest.hex)
        guard let bytes = try? readFile(blobPath(entry.digest), limit: documentLimit) else { return nil }
        do throws(Failure) {
            if MediaType.isIndex(entry.mediaType) {
                let title = "the index \(entry.digest)"
                var damage: String?
                for child in try decodeDocument(ImageIndex.self, bytes, title: title).manifests {
                    let found = reach(child, &seen, &blobs, &layers, depth: depth + 1)
                    damage = damage ?? found
                }
                return damage
            } else if MediaType.isManifest(entry.mediaType) {
                let title = "the manifest \(entry.digest)"
                let manifest = try decodeDocument(ImageManifest.self, bytes, title: title)
                let digest = manifest.config.digest
                blobs.formUnion((manifest.layers + [manifest.config]).map(\.digest.hex))
                guard let config = try? readFile(blobPath(digest), limit: documentLimit) else { return nil }
                let image = try decodeDocument(ImageConfig.self, config, title: "the config \(digest)")
                layers.formUnion(image.rootfs.diffIDs.map(\.hex))
            }
            return nil
        } catch {
            return [error.doing, error.cause].compactMap(\.self).joined(separator: ": ")
        }
    }
}
