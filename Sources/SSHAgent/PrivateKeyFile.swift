// SPDX-License-Identifier: Apache-2.0
//
// A private key's file as ssh-keygen(1) writes it since OpenSSH 7.8 (openssh-portable, PROTOCOL.key): base64 between two
// marks, of the public key and a section with the private one. Files that a passphrase protects are told and not opened: that
// is an agent's work, which can ask for it.

/// What a private key is made of.
struct PrivateKey {
    enum Parts {
        /// RFC 8032: the seed that all of the key is made from, and the public point.
        case ed25519(seed: SecretPart, point: [UInt8])
        case rsa(modulus: [UInt8], publicExponent: [UInt8], privateExponent: SecretPart)
        /// RFC 5656: the curve by its name there, the public point, the private number.
        case ecdsa(curve: String, point: [UInt8], number: SecretPart)
    }
    var parts: Parts
    /// As it is sent to a server (RFC 4253, 6.6).
    var publicKey: [UInt8]
    var comment: String
}

/// Why a key's file can't be used.
public enum KeyFileError: Error, Equatable {
    case noKey
    /// The mark it begins with.
    case otherFormat(String)
    case encrypted
    /// The kind of the key.
    case foreign(String)
    case damaged
    /// Of libcrypto: the file or symbol.
    case missingLibrary(String)

    public var cause: String {
        switch self {
        case .noKey: "it is no private key"
        case .otherFormat(let line): "it is of another format than ssh-keygen writes now: \(line)"
        case .encrypted: "it is protected by a passphrase, which nobody can be asked for here"
        case .foreign(let kind): "keys of the kind \(kind) are not signed with here"
        case .damaged: "it is no private key that is whole"
        case .missingLibrary(let name): "\(name) could not be opened"
        }
    }

    public func advice(for file: String) -> String {
        switch self {
        case .noKey: "name the file without .pub, or an agent's socket"
        case .otherFormat: "convert it, ssh-keygen -p -N '' -f \(file), or give it to an agent with ssh-add"
        case .encrypted, .foreign:
            "give it to an agent, and name that one's socket: eval $(ssh-agent); ssh-add \(file)"
        case .damaged: "ssh-keygen -y -f \(file) says what is wrong with it"
        case .missingLibrary: "apt-get install libssl3"
        }
    }
}

extension PrivateKey {
    private static let (begin, end) = (
        Array("-----BEGIN OPENSSH PRIVATE KEY-----".utf8), Array("-----END OPENSSH PRIVATE KEY-----".utf8)
    )

    /// - file: the bytes of the file.
    init(file: SecretBytes) throws(KeyFileError) {
        let lines = lines(of: file.all)
        guard let first = lines.firstIndex(where: { $0.starts(with: "-----BEGIN ".utf8) }) else {
            throw .noKey
        }
        guard lines[first].equals(PrivateKey.begin) else {
            // Its line ends are gone, as in a variable they were pasted into.
            if lines[first].starts(with: PrivateKey.begin) { throw .damaged }
            // PKCS #8 says so in its mark, the older PEM in a header (RFC 1421, 4.6.1.1).
            let isEncrypted = lines.contains {
                $0.starts(with: "-----BEGIN ENCRYPTED ".utf8) || $0.equals("Proc-Type: 4,ENCRYPTED".utf8)
            }
            throw isEncrypted ? .encrypted : .otherFormat(mark(of: lines[first]))
        }
        guard let last = lines[first...].firstIndex(where: { $0.equals(PrivateKey.end) }),
            let bytes = decodeBase64(lines[(first + 1)..<last])
        else { throw .damaged }
        try self.init(bytes.all)
    }

    private init(_ bytes: SecretPart) throws(KeyFileError) {
        let magic = Array("openssh-key-v1\0".utf8)
        var reader = WireReader(bytes)
        guard reader.bytes(magic.count) == magic, let cipher = reader.text(), let derivation = reader.text(),
            reader.string() != nil, let count = reader.number()
        else { throw .damaged }
        guard cipher == "none", derivation == "none" else { throw .encrypted }
        guard count == 1, let publicKey = reader.string(), let section = reader.secret() else {
            throw .damaged
        }
        var inner = WireReader(section)
        // The same number twice tells a right passphrase from a wrong one.
        guard let check = inner.number(), inner.number() == check, let kind = inner.text() else {
            throw .damaged
        }
        guard let parts = try Parts(kind, &inner), let comment = inner.text() else { throw .damaged }
        // Padded with 1, 2, 3, … to whole blocks.
        let padding = inner.remaining
        guard padding.equals((0..<padding.count).map { UInt8(truncatingIfNeeded: $0 + 1) }),
            publicKey == parts.publicKey
        else { throw .damaged }
        self.init(parts: parts, publicKey: publicKey, comment: comment)
    }
}

extension PrivateKey.Parts {
    /// nil for what is damaged.
    fileprivate init?(_ kind: String, _ reader: inout WireReader) throws(KeyFileError) {
        switch kind {
        case "ssh-ed25519":
            guard let point = reader.string(), let both = reader.secret(), point.count == 32,
                both.count == 64, both[32..<64].equals(point)
            else { return nil }
            self = .ed25519(seed: both[0..<32], point: point)
        case "ssh-rsa":
            guard let modulus = reader.magnitude(), let exponent = reader.magnitude(),
                let own = reader.secretMagnitude(),
                // The inverse and the primes, which libcrypto does without.
                reader.secret() != nil, reader.secret() != nil, reader.secret() != nil
            else { return nil }
            self = .rsa(modulus: modulus, publicExponent: exponent, privateExponent: own)
        case "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521":
            guard let curve = reader.text(), kind.hasSuffix(curve), let point = reader.string(),
                let number = reader.secretMagnitude()
            else { return nil }
            self = .ecdsa(curve: curve, point: point, number: number)
        default:
            throw .foreign(kind)
        }
    }
}

extension PrivateKey.Parts {
    /// As it is sent to a server: made from the private section, which the public one must agree with.
    fileprivate var publicKey: [UInt8] {
        var writer = WireWriter()
        switch self {
        case .ed25519(_, let point):
            writer.text("ssh-ed25519")
            writer.string(point)
        case .rsa(let modulus, let exponent, _):
            writer.text("ssh-rsa")
            writer.magnitude(exponent)
            writer.magnitude(modulus)
        case .ecdsa(let curve, let point, _):
            writer.text("ecdsa-sha2-\(curve)")
            writer.text(curve)
            writer.string(point)
        }
        return writer.bytes
    }
}

/// The lines of a file that have something in them.
private func lines(of file: SecretPart) -> [SecretPart] {
    let (lineFeed, carriageReturn): (UInt8, UInt8) = (10, 13)
    var lines: [SecretPart] = []
    var start = 0
    for index in 0...file.count where index == file.count || [lineFeed, carriageReturn].contains(file[index])
    {
        if index > start { lines.append(file[start..<index]) }
        start = index + 1
    }
    return lines
}

/// `-----BEGIN …-----` and nothing that follows it in its line, which may be the key.
private func mark(of line: SecretPart) -> String {
    let start = "-----BEGIN ".utf8.count
    let words = line.withBytes { bytes in
        Array(bytes.dropFirst(start).prefix { $0 != UInt8(ascii: "-") }.prefix(40))
    }
    return "-----BEGIN \(String(decoding: words, as: UTF8.self))-----"
}

/// The bytes that lines of base64 (RFC 4648, 4) hold together; nil for anything else.
func decodeBase64(_ lines: some Collection<SecretPart>) -> SecretBytes? {
    let length = lines.reduce(0) { $0 + $1.count }
    guard length % 4 == 0 else { return nil }
    let decoded = SecretBytes(room: length / 4 * 3)
    var (bits, count, padding): (UInt32, Int, Int) = (0, 0, 0)
    for line in lines {
        for index in 0..<line.count {
            let character = line[index]
            if character == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = base64Value(character) else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                decoded.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
    }
    return padding <= 2 ? decoded : nil
}

private func base64Value(_ character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a") + 26)
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0") + 52)
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
}
