// SPDX-License-Identifier: Apache-2.0

/// A sha256 content digest, `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md).
public struct Digest: Hashable, Sendable {
    /// The 64 hex digits alone, safe as a file name.
    public let hex: String

    /// Parses `sha256:<64 lower-case hex>`; nil for anything else, so no other text ever becomes a path.
    public init?(_ text: String) {
        guard text.hasPrefix("sha256:") else { return nil }
        self.init(hex: String(text.dropFirst(7)))
    }

    public init?(hex: String) {
        guard hex.utf8.count == 64, hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else {
            return nil
        }
        self.hex = hex
    }

    /// The digest of bytes at hand.
    public init(of bytes: some Sequence<UInt8>) {
        var hash = SHA256()
        hash.update(bytes)
        self.init(bytes: hash.finish())
    }

    /// From the 32 raw bytes of a finished SHA-256.
    public init(bytes: [UInt8]) {
        precondition(bytes.count == 32)
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        hex = String(decoding: text, as: UTF8.self)
    }
}

extension Digest: CustomStringConvertible {
    public var description: String { "sha256:\(hex)" }
}

extension Digest: Comparable {
    public static func < (a: Digest, b: Digest) -> Bool { a.hex < b.hex }
}

extension Digest: CodedAsText {
    public static var kind: String { "a sha256 digest" }
}
