// SPDX-License-Identifier: Apache-2.0
//
// Signatures as SSH has them: ed25519 (RFC 8709), RSA with SHA-2 (RFC 8332), ECDSA (RFC 5656). libcrypto computes them; here
// they get the form a server expects. RSA with SHA-1 is not signed with: servers since OpenSSH 8.8 refuse it.

internal import CLibraries

/// A private key in libcrypto's hands.
final class SigningKey {
    let publicKey: [UInt8]
    let comment: String
    private let parts: Kind
    private let handle: UnsafeMutableRawPointer

    private enum Kind {
        case ed25519
        case rsa
        case ecdsa(curve: String)
    }

    init(_ key: PrivateKey) throws(KeyFileError) {
        if let missing = library_signing_open() {
            throw .missingLibrary(String(cString: missing))
        }
        publicKey = key.publicKey
        comment = key.comment
        let made: UnsafeMutableRawPointer?
        switch key.parts {
        case .ed25519(let seed, let point):
            parts = .ed25519
            made = seed.withBytes { library_key_ed25519($0.baseAddress, point) }
        case .rsa(let modulus, let exponent, let own):
            parts = .rsa
            made = own.withBytes {
                library_key_rsa(
                    modulus, modulus.count, exponent, exponent.count, $0.baseAddress, $0.count)
            }
        case .ecdsa(let curve, let point, let number):
            parts = .ecdsa(curve: curve)
            // libcrypto's names for RFC 5656's.
            let group = curve == "nistp256" ? "prime256v1" : curve == "nistp384" ? "secp384r1" : "secp521r1"
            made = number.withBytes { library_key_ec(group, point, point.count, $0.baseAddress, $0.count) }
        }
        guard let made else { throw .damaged }
        handle = made
    }

    deinit { library_key_free(handle) }

    /// The signature with the name of how it was made, for what a server has to check; nil where it can't be made so.
    /// - flags: of the request (draft-miller-ssh-agent, 4.5.1).
    func signature(of data: [UInt8], flags: UInt32) -> [UInt8]? {
        var writer = WireWriter()
        switch parts {
        case .ed25519:
            // It hashes by itself.
            guard let raw = sign(data, digest: 0) else { return nil }
            writer.text("ssh-ed25519")
            writer.string(raw)
        case .rsa:
            let (sha256, sha512): (UInt32, UInt32) = (2, 4)
            guard flags & (sha256 | sha512) != 0 else { return nil }
            let digest = flags & sha512 != 0 ? 512 : 256
            guard let raw = sign(data, digest: Int32(digest)) else { return nil }
            writer.text("rsa-sha2-\(digest)")
            writer.string(raw)
        case .ecdsa(let curve):
            let digest: Int32 = curve == "nistp256" ? 256 : curve == "nistp384" ? 384 : 512
            guard let der = sign(data, digest: digest), let (r, s) = twoNumbers(der) else { return nil }
            var numbers = WireWriter()
            numbers.magnitude(r)
            numbers.magnitude(s)
            writer.text("ecdsa-sha2-\(curve)")
            writer.string(numbers.bytes)
        }
        return writer.bytes
    }

    private func sign(_ data: [UInt8], digest: Int32) -> [UInt8]? {
        // The largest is that of an RSA key of 16384 bits, OpenSSH's own limit.
        var signature = [UInt8](repeating: 0, count: 2048)
        var count = signature.count
        guard library_key_sign(handle, digest, data, data.count, &signature, &count) == 1 else { return nil }
        return Array(signature[..<count])
    }
}

/// The two numbers of an ECDSA signature in DER: SEQUENCE { INTEGER r, INTEGER s } (RFC 3279, 2.2.3).
func twoNumbers(_ der: [UInt8]) -> ([UInt8], [UInt8])? {
    var rest = der[...]
    func value(_ tag: UInt8, _ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard rest.popFirst() == tag, var length = rest.popFirst().map(Int.init) else { return nil }
        if length == 0x81 {
            guard let long = rest.popFirst() else { return nil }
            length = Int(long)
        } else if length > 0x7f {
            return nil
        }
        guard length <= rest.count else { return nil }
        defer { rest = rest.dropFirst(length) }
        return rest.prefix(length)
    }
    guard var numbers = value(0x30, &rest), rest.isEmpty, let r = value(2, &numbers),
        let s = value(2, &numbers),
        numbers.isEmpty
    else { return nil }
    return (Array(r), Array(s))
}
