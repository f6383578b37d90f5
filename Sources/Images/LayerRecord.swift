// SPDX-License-Identifier: Apache-2.0

internal import Archives
internal import Basics

/// layer.json beside an unpacked layer's `fs`: where it came from, and what unpacking saw that may forbid sharing it.
struct LayerRecord: Codable, Equatable {
    var diffID: Digest
    /// The blob it was unpacked from, as a manifest describes it.
    var blob: Digest
    var mediaType: String
    var size: Int64
    /// Sum of the files' sizes, unpacked.
    var bytes: Int64
    /// Directories without an entry of their own, and deleted paths, relative to `fs`; bytes outside of ASCII as %XX.
    var implied: [String]
    var whiteouts: [String]

    init(diffID: Digest, blob: Digest, mediaType: String, size: Int64, notes: UnpackNotes) {
        self.diffID = diffID
        self.blob = blob
        self.mediaType = mediaType
        self.size = size
        bytes = notes.bytes
        implied = notes.implied.map(LayerRecord.escaped)
        whiteouts = notes.whiteouts.map(LayerRecord.escaped)
    }

    private static func escaped(_ path: [UInt8]) -> String {
        var result: [UInt8] = []
        for byte in path {
            if byte > 0x20, byte < 0x7f, byte != UInt8(ascii: "%") {
                result.append(byte)
            } else {
                result += [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 15)]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The bytes of a path in `implied` or `whiteouts`.
    static func path(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        var bytes = text.utf8.makeIterator()
        func digit(_ byte: UInt8?) -> UInt8 {
            guard let byte else { return 0 }
            return byte >= UInt8(ascii: "A") ? byte &- UInt8(ascii: "A") &+ 10 : byte &- UInt8(ascii: "0")
        }
        while let byte = bytes.next() {
            result.append(byte == UInt8(ascii: "%") ? digit(bytes.next()) << 4 | digit(bytes.next()) : byte)
        }
        return result
    }
}
