// SPDX-License-Identifier: Apache-2.0
//
// An image on its way in from somewhere slow. The store's lock is held only while something gets its name, so that a
// registry that trickles holds nobody up; each layer counts as soon as it is complete, and is there for the next try.
//
//   images/.intake/PID.N/   lock, held as long as the intake lives; N.blob being written; an empty file HEX for each
//                           blob and layer that is in place and not yet named, which a removal leaves alone
//   layers/.intake.PID.N.K  a layer being unpacked
//
// What a dead one left, the next writer removes: its lock can be had.

public import Archives
public import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel
public import OCIFormats

/// One image being taken in, by several threads at once.
public final class ImageIntake: Sendable {
    private let store: ImageStore
    private let title: String
    private let name: String
    private let lock: FileLock
    private var directory: String { "\(store.images)/\(ImageIntake.directoryName)/\(name)" }
    static let directoryName = ".intake"

    /// - title: what the user calls the image.
    public init(_ store: ImageStore, title: String) throws(Failure) {
        self.store = store
        self.title = title
        // Within the store's lock: a directory without its lock would look like a dead one's.
        let writer = try StoreWriter(store)
        defer { withExtendedLifetime(writer) {} }
        let name = try ImageIntake.begin(store)
        self.name = name
        lock = try kernel("cannot open the image store in \(store.root)") { () throws(SyscallError) in
            try FileLock("\(store.images)/\(ImageIntake.directoryName)/\(name)/lock")
        }
    }

    private static func begin(_ store: ImageStore) throws(Failure) -> String {
        try kernel("cannot open the image store in \(store.root)") { () throws(SyscallError) in
            let top = "\(store.images)/\(directoryName)"
            try ensureDirectory(top, mode: 0o700)
            var number = 0
            while true {
                let name = "\(getpid()).\(number)"
                do throws(SyscallError) {
                    try makeDirectory("\(top)/\(name)", mode: 0o700)
                    return name
                } catch {
                    if error.errno != .exists || number > 1000 { throw error }
                    number += 1
                }
            }
        }
    }

    deinit { try? removeTreeByName(directory) }

    /// Whether a layer needs no fetching.
    public func has(_ layer: Descriptor, _ diffID: Digest) throws(Failure) -> Bool {
        guard isHere(diffID), hasBlob(layer.digest) else { return false }
        try note([layer.digest, diffID])
        // Noted first, looked at again: a removal between the two is seen.
        return isHere(diffID) && hasBlob(layer.digest)
    }

    private func isHere(_ diffID: Digest) -> Bool {
        exists("\(store.layers)/\(diffID.hex)/layer.json") && !store.mark.isSuspect(diffID)
    }

    private func hasBlob(_ digest: Digest) -> Bool {
        exists("\(store.images)/blobs/sha256/\(digest.hex)") && !store.mark.isSuspect(digest)
    }

    /// Takes one layer from its stream: verified, unpacked, in place.
    /// - number: which layer of the image; no two threads use the same.
    public func take(_ source: any ByteSource, _ layer: Descriptor, _ diffID: Digest, number: Int)
        throws(Failure)
    {
        let places = (
            blob: "\(directory)/\(number).blob",
            layer: "\(store.layers)/\(ImageIntake.directoryName).\(name).\(number)"
        )
        let known = isHere(diffID)
        let taken = try TakenLayer(
            source, blob: layer.digest, mediaType: layer.mediaType, diffID: diffID, unpack: !known, places,
            limits: store.limits, title: title)
        try note([layer.digest, diffID])
        let writer = try StoreWriter(store)
        // Its layer was removed meanwhile: then blob alone would be a lie.
        if known, !writer.layerExists(diffID) {
            taken.discard()
            throw Failure(
                "cannot import \(title)", cause: "its layer \(diffID) was removed meanwhile",
                advice: "try again")
        }
        try writer.place(taken, title: title)
    }

    private func note(_ digests: [Digest]) throws(Failure) {
        for digest in digests {
            try kernel("cannot import \(title)") { () throws(SyscallError) in
                try writeFile("\(directory)/\(digest.hex)", [])
            }
        }
    }

    /// Gives the image its name once all layers are in place.
    /// - manifest: its own bytes, whose digest is the image's.
    /// - pulled: the digest the registry gave for the name, where that is another document's.
    public func finish(
        _ reference: String, manifest: [UInt8], mediaType: String, config: [UInt8], pulled: Digest?,
        time: Int64
    ) throws(Failure) -> StoredImage {
        let name = try ReferenceName(given: reference)
        let document = try decodeDocument(ImageConfig.self, config, title: "the config of \(title)")
        let writer = try StoreWriter(store)
        _ = try writer.put(config)
        let digest = try writer.put(manifest)
        return try writer.setName(
            name, document, id: Digest(hashing: config), digest, mediaType: mediaType, stamp: nil,
            annotations: [
                pulledDigestAnnotation: (pulled ?? digest).description, pulledTimeAnnotation: "\(time)",
            ])
    }

    /// Hex digests that intakes under way count on. The caller holds the store's lock.
    static func beingTaken(_ store: ImageStore) -> Set<String> {
        let top = "\(store.images)/\(directoryName)"
        var found: Set<String> = []
        for name in (try? directoryEntries(top)) ?? [] {
            // One that ends while we look: what it had is named by now, or nobody's.
            found.formUnion(
                ((try? directoryEntries("\(top)/\(name)")) ?? []).filter { Digest(hex: $0) != nil })
        }
        return found
    }

    /// Removes what dead intakes left. The caller holds the store's lock.
    static func sweepDead(_ images: String, _ layers: String) throws(SyscallError) {
        let top = "\(images)/\(directoryName)"
        guard exists(top) else { return }
        var alive: [String] = []
        for name in try directoryEntries(top) {
            do throws(SyscallError) {
                if try FileLock.attempt("\(top)/\(name)/lock") == nil {
                    alive.append("\(directoryName).\(name).")
                } else {
                    try removeTreeByName("\(top)/\(name)")
                }
            } catch {
                if error.errno != .noEntry { throw error }
            }
        }
        for name in try directoryEntries(layers)
        where name.hasPrefix("\(directoryName).") && !alive.contains(where: name.hasPrefix) {
            try removeTreeByName("\(layers)/\(name)")
        }
    }
}

extension ImageStore {
    /// Removes what this process's intakes have begun, for one that is about to end while its threads still write. What
    /// they manage to write meanwhile is the next writer's to remove.
    public func abandonIntakes() {
        let own = "\(getpid())."
        for name in (try? directoryEntries("\(images)/\(ImageIntake.directoryName)")) ?? []
        where name.hasPrefix(own) {
            try? removeTreeByName("\(images)/\(ImageIntake.directoryName)/\(name)")
        }
        for name in (try? directoryEntries(layers)) ?? []
        where name.hasPrefix("\(ImageIntake.directoryName).\(own)") {
            try? removeTreeByName("\(layers)/\(name)")
        }
    }
}
