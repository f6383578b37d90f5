// SPDX-License-Identifier: Apache-2.0
//
// The memory that compressed streams of this process may have at once. What a stream needs, its writer chose: 32 KiB for gzip,
// 3.7 MB for bzip2, which are not counted; up to 128 MiB for zstd and 65 MiB for xz as their tools write them. Layers come in
// several at once, so what is wanted beyond the budget waits for the others' end; what alone is over it is refused.

internal import Kernel

/// A share of the budget, given back at its end. One that reads several streams at once must not wait for itself: no thread
/// opens a stream while it has another.
final class StreamMemory {
    private static let inUse = SharedAmount()

    let bytes: Int64

    /// Waits until there is room, which there is when nobody else has any.
    /// - bytes: what the stream needs; nil where it can't be told beforehand, and may be all.
    init(_ kind: String, _ bytes: Int64?, most: Int64) throws(ArchiveError) {
        if let bytes, bytes > most { throw .greedy(StreamMemory.refusal(kind, bytes, most: most)) }
        self.bytes = bytes ?? most
        StreamMemory.inUse.take(self.bytes, most: most)
    }

    deinit { StreamMemory.inUse.giveBack(bytes) }

    static func refusal(_ kind: String, _ bytes: Int64?, most: Int64) -> String {
        let wanted = bytes.map { "\($0 >> 20) MiB of" } ?? "too much"
        return "the \(kind) stream asks for \(wanted) memory; \(most >> 20) MiB are allowed"
    }
}

/// The window that the first frame of a zstd stream asks for (RFC 8878, 3.1.1.1), which is what reading it takes. nil where its
/// head is not among the bytes, or another frame comes first.
func zstdWindow(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    guard bytes.count >= 6, bytes.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) else { return nil }
    let descriptor = bytes[4]
    guard descriptor & 0x20 != 0 else {
        let base = Int64(1) << (10 + Int64(bytes[5] >> 3))
        return base + base / 8 * Int64(bytes[5] & 7)
    }
    // A single segment: its whole content is the window.
    let start = 5 + [0, 1, 2, 4][Int(descriptor & 3)]
    let length = [1, 2, 4, 8][Int(descriptor >> 6)]
    guard bytes.count >= start + length else { return nil }
    var size: UInt64 = 0
    for index in (0..<length).reversed() { size = size << 8 | UInt64(bytes[start + index]) }
    if length == 2 { size += 256 }
    return Int64(clamping: size)
}
