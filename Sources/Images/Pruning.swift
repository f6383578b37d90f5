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
    public var bytes: Int64 = 0
    /// Of these, what no image in use needs.
    public var reclaimable: Int64 = 0
    public var cacheEntries = 0
}

extension ImageStore {
    /// - inUse: paths of layers that containers stand on; ids: of the images they were made from.
    public func usage(inUse: Set<String>, ids: Set<Digest>) throws(Failure) -> StoreUsage {
        var usage = StoreUsage()
        let names = try readIndex().manifests
        var needed: Set<String> = []
        for path in inUse where path.hasPrefix("\(layers)/") {
            needed.insert(String(path.dropFirst(layers.utf8.count + 1).prefix { $0 != "/" }))
        }
        for entry in names {
            guard let name = entry.name else { continue }
            if name.isCached {
                usage.cacheEntries += 1
                continue
            }
            usage.images += 1
            guard let bytes = try? document(entry.digest, name.text),
                let manifest = try? decodeDocument(ImageManifest.self, bytes, title: name.text)
            else { continue }
            guard ids.contains(manifest.config.digest) else { continue }
            usage.activeImages += 1
            needed.formUnion((manifest.layers + [manifest.config]).map(\.digest.hex) + [entry.digest.hex])
        }
        for name in (try? directoryEntries("\(images)/blobs/sha256")) ?? [] {
            let size = (try? fileStatus("\(images)/blobs/sha256/\(name)")).map { Int64($0.st_size) } ?? 0
            usage.bytes += size
            if !needed.contains(name) { usage.reclaimable += size }
        }
        for name in (try? directoryEntries(layers)) ?? [] where !name.hasPrefix(".") {
            guard let record = (try? readRecord(LayerRecord.self, "\(layers)/\(name)/layer.json")) ?? nil
            else { continue }
            usage.bytes += record.bytes
            if !needed.contains(name) { usage.reclaimable += record.bytes }
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
