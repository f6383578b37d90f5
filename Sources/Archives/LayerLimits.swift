// SPDX-License-Identifier: Apache-2.0
//
// What a layer may grow to when it is unpacked. An archive of a kilobyte can be made to fill any disk ("zip bomb"), and its
// digest is right; so size, number and ratio have limits, wide ones, that the user can move.

/// Limits of one layer.
public struct LayerLimits: Hashable, Sendable {
    /// Uncompressed bytes.
    public var bytes: Int64 = 64 << 30
    public var entries = 4_000_000
    /// Uncompressed bytes to compressed ones: gzip's own most is 1032, of zeros alone.
    public var ratio: Int64 = 500
    /// Uncompressed bytes from which on the ratio is looked at: what is small does no harm.
    public var ratioFrom: Int64 = 1 << 30
    /// Bytes that a compressed stream may look back, its window: as many as `zstd` itself reads without being told to, and twice
    /// those of `xz -9`. How much memory that takes is StreamLibrary's.
    public var window: Int64 = LayerLimits.usualWindow
    public static let usualWindow: Int64 = 128 << 20

    public init() {}
}

/// Passes a decompressed stream on, as long as it keeps to the limits.
final class LimitedSource: ByteSource {
    private let source: any ByteSource
    /// Counts the compressed bytes.
    private let compressed: Tee
    private let limits: LayerLimits
    private var count: Int64 = 0

    init(_ source: any ByteSource, compressed: Tee, _ limits: LayerLimits) {
        self.source = source
        self.compressed = compressed
        self.limits = limits
    }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        let chunk = try source.next()
        count += Int64(chunk.count)
        if count > limits.bytes {
            throw .tooLarge("it has more than \(limits.bytes) bytes unpacked", "COVEY_LAYER_BYTES")
        }
        if count > limits.ratioFrom, count / max(1, compressed.count) > limits.ratio {
            throw .tooLarge(
                "\(compressed.count) bytes of it unpack to more than \(limits.ratio) times as many",
                "COVEY_LAYER_RATIO")
        }
        return chunk
    }
}

/// A layer's plain bytes out of its compressed ones, within limits.
public func limited(_ source: any ByteSource, compressed: Tee, _ limits: LayerLimits) -> any ByteSource {
    LimitedSource(source, compressed: compressed, limits)
}
