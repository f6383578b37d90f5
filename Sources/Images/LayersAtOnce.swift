// SPDX-License-Identifier: Apache-2.0
//
// The layers of an archive or a layout, several at once: a layer keeps one thread busy with decompressing and hashing and
// another with writing files, and seldom both all the time. Each has buffers of its own and nothing else that grows, so
// memory goes with the number of threads and not with that of the layers. They get their names in the image's order.

internal import Archives
internal import Basics
internal import Kernel
internal import OCIFormats

/// More gain nothing on one disk.
private let mostAtOnce = 4

extension StoreWriter {
    /// Makes sure that blobs and unpacked layers of an image are here; gives the blobs' descriptors.
    func storeLayers(_ image: PendingImage, _ diffIDs: [Digest], title: String) throws(Failure)
        -> [Descriptor]
    {
        var found: [Int: Descriptor] = [:]
        while true {
            // A layer that occurs twice is taken once; where its second blob is another one, in the next round.
            var missing: [Int] = []
            var begun: Set<Digest> = []
            for (number, layer) in image.layers.enumerated() where found[number] == nil {
                if let blob = try storedBlob(layer, diffIDs[number]) {
                    found[number] = blob
                } else if begun.insert(diffIDs[number]).inserted {
                    missing.append(number)
                }
            }
            if missing.isEmpty { break }
            let taken = try take(missing, of: image, diffIDs, title: title)
            // What has its name is no longer where it was taken to.
            defer { for layer in taken { layer.discard() } }
            for (number, layer) in zip(missing, taken) {
                try place(layer, title: title)
                found[number] = layer.descriptor
            }
        }
        return image.layers.indices.compactMap { found[$0] }
    }

    private func take(_ numbers: [Int], of image: PendingImage, _ diffIDs: [Digest], title: String)
        throws(Failure) -> [TakenLayer]
    {
        let lock = ThreadLock()
        var taken: [Int: TakenLayer] = [:]
        let unpacked = Set(numbers.filter { layerExists(diffIDs[$0]) })
        let (scratch, store) = (scratch, store)
        do throws(Failure) {
            try runJobs(numbers.count, width: min(mostAtOnce, max(2, availableProcessors()))) {
                (job: Int) throws(Failure) in
                let number = numbers[job]
                let layer = image.layers[number]
                let new = try TakenLayer(
                    try image.open(layer, title: title), blob: layer.blob, mediaType: layer.mediaType,
                    diffID: diffIDs[number], unpack: !unpacked.contains(number),
                    ("\(scratch)/\(number).blob", "\(store.layers)/.tmp/\(number)"), limits: store.limits,
                    title: title)
                lock.held { taken[number] = new }
            }
        } catch {
            for layer in taken.values { layer.discard() }
            throw error
        }
        return numbers.compactMap { taken[$0] }
    }
}

extension PendingImage {
    /// A layer's bytes, as many as the manifest says.
    fileprivate func open(_ layer: Layer, title: String) throws(Failure) -> any ByteSource {
        let (source, size) = try files.open(layer.file)
        guard size == layer.size else {
            throw Failure(
                "cannot import \(title)",
                cause: "its layer \(layer.file) shall have \(layer.size) bytes, but has \(size)",
                advice: "fetch or write the image again; it is incomplete or was changed")
        }
        return source
    }
}
