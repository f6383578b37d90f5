// SPDX-License-Identifier: Apache-2.0

public import Basics
internal import CLibraries

/// SHA-256 of a stream, with libcrypto's use of the processor's instructions, or ours where libcrypto is missing.
public final class ContentHash {
    private var context: UnsafeMutableRawPointer?
    private var fallback = SHA256()

    public init() {
        if library_crypto_open() == nil { context = library_sha256_begin() }
    }

    deinit {
        if let context { _ = library_sha256_finish(context, nil) }
    }

    public func update(_ bytes: UnsafeRawBufferPointer) {
        if let context {
            // A digest update of OpenSSL fails for a context in the wrong state only.
            let done = library_sha256_update(context, bytes.baseAddress, bytes.count)
            precondition(done == 1)
        } else {
            fallback.update(bytes)
        }
    }

    /// The digest of all bytes; the hash may not be used afterwards.
    public func finish() -> Digest {
        guard let context else { return Digest(bytes: fallback.finish()) }
        var digest = [UInt8](repeating: 0, count: 32)
        let done = library_sha256_finish(context, &digest)
        self.context = nil
        precondition(done == 1)
        return Digest(bytes: digest)
    }
}

extension Digest {
    /// The digest of bytes at hand, by the fastest way there is.
    public init(hashing bytes: [UInt8]) {
        let hash = ContentHash()
        bytes.withUnsafeBytes { hash.update($0) }
        self = hash.finish()
    }
}
