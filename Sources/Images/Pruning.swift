// SPDX-License-Identifier: Apache-2.0
//
// How much the store holds, and giving back what nothing needs.

public import Basics
internal import CLinux
internal import Kernel
internal import OCIFormats
internal import Records

/// Bytes of the store, blobs and unpacked layers.
public struct StoreUsage: Hashable, Sendable {
    public var images = 0
    /// Images some container stands on.
    public var activeImages = 0
    /// Of images, and of what is left of those that are gone.
    public var bytes: Int64 = 0
    /// Of these, what no image in use needs.
    public var reclaimable: Int64 = 0
    public var cacheEntries = 0
    /// What only steps of earlier builds need: `prune` gives it back when the cache goes too.
    public var cacheBytes: Int64 = 0
}

extension ImageStore {
    /// - inUse: paths of layers that containers stand on; ids: of the images they were made from.
    public func usage(inUse: Set<String>, ids: Set<Digest>) throws(Failure) -> StoreUsage {
        var usage = StoreUsage()
        // By the first who holds it: containers and their images, other images, steps.
        var (needed, held, cached): (Set<String>, Set<String>, Set<String>) = ([], [], [])
        for path in inUse where path.hasPrefix("\(layers)/") {
            needed.insert(String(path.dropFirst(layers.utf8.count + 1).prefix { $0 != "/" }))
        }
        for entry in try readIndex().manifests {
            guard let name = entry.name else { continue }
            let isStep = name.isCached
            if isStep { usage.cacheEntries += 1 } else { usage.images += 1 }
            guard let bytes = try? document(entry.digest, name.text),
                let manifest = try? decodeDocument(ImageManifest.self, bytes, title: name.text)
            else { continue }
            // Unpacked layers go by their diff ids, which the config names.
            let config = try? decodeDocument(
                ImageConfig.self, document(manifest.config.digest, name.text), title: name.text)
            let parts =
                (manifest.layers + [manifest.config]).map(\.digest.hex) + [entry.digest.hex]
                + (config?.rootfs.diffIDs.map(\.hex) ?? [])
            if isStep {
                cached.formUnion(parts)
            } else if ids.contains(manifest.config.digest) {
                usage.activeImages += 1
                needed.formUnion(parts)
            } else {
                held.formUnion(parts)
            }
        }
        func count(_ name: String, _ size: Int64) {
            if cached.contains(name), !needed.contains(name), !held.contains(name) {
                usage.cacheBytes += size
            } else {
                usage.bytes += size
                if !needed.contains(name) { usage.reclaimable += size }
            }
        }
        for name in (try? directoryEntries("\(images)/blobs/sha256")) ?? [] {
            count(name, (try? fileStatus("\(images)/blobs/sha256/\(name)")).map { Int64($0.st_size) } ?? 0)
        }
        for name in (try? directoryEntries(layers)) ?? [] where !name.hasPrefix(".") {
            guard let record = (try? readRecord(LayerRecord.self, "\(layers)/\(name)/layer.json")) ?? nil
            else { continue }
            count(name, record.bytes)
        }
        return usage
    }

    /// Takes away entries without a name and all that nothing needs; gives the names taken.
    /// - unless: ids of images that stay; nil leaves all that have a name.
    /// - cache: the builder's cache goes too.
    public func prune(keeping inUse: Set<String>, unless ids: Set<Digest>?, cache: Bool) throws(Failure)
        -> [String]
    {
        let writer = try StoreWriter(self)
        var index = try readIndex()
        var gone: [ReferenceName] = []
        var left: [Descriptor] = []
        for entry in index.manifests {
            guard let name = entry.name else { continue }
            if name.isCached {
                if cache { gone.append(name) } else { left.append(entry) }
                continue
            }
            let source = LayoutSource(try LayoutFiles(directory: images), title: "the store")
            if let ids, let image = try? source.image(entry), !ids.contains(Digest(of: image.config)) {
                gone.append(name)
            } else {
                left.append(entry)
            }
        }
        try writer.forget(gone)
        index.manifests = left
        try writer.write(index)
        try writer.sweep(index, keeping: inUse)
        return gone.filter { !$0.isCached }.map(\.text).sorted()
    }
}
