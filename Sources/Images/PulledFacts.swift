// SPDX-License-Identifier: Apache-2.0

public import Basics
internal import OCIFormats

/// What a registry said of an image when it was last asked.
public struct PulledFacts: Hashable, Sendable {
    /// Digest of what it had under the name.
    public var digest: Digest
    /// Seconds since 1970.
    public var time: Int64
}

extension ImageStore {
    /// When and as what an image was pulled; nil for one that was built or imported, or is not here.
    public func pulledFacts(_ reference: String) throws(Failure) -> PulledFacts? {
        guard let entry = try entry(try ReferenceName(reference), try readIndex()) else { return nil }
        guard let digest = entry.annotations?[pulledDigestAnnotation].flatMap({ Digest($0) }) else {
            return nil
        }
        return PulledFacts(
            digest: digest, time: entry.annotations?[pulledTimeAnnotation].flatMap { Int64($0) } ?? 0)
    }

    /// Notes that a registry was asked and has what is here.
    public func notePulled(_ reference: String, _ digest: Digest, time: Int64) throws(Failure) {
        let writer = try StoreWriter(self)
        var index = try readIndex()
        guard let entry = try entry(try ReferenceName(reference), index),
            let position = index.manifests.firstIndex(of: entry)
        else { return }
        index.manifests[position].annotations?[pulledDigestAnnotation] = digest.description
        index.manifests[position].annotations?[pulledTimeAnnotation] = "\(time)"
        try writer.write(index)
    }
}
