// SPDX-License-Identifier: Apache-2.0
//
// A private key's file as ssh-keygen(1) writes it since OpenSSH 7.8 (openssh-portable, PROTOCOL.key): base64 between two
// marks, of the public key and a section with the private one. Files that a passphrase protects are told and not opened: that
// is an agent's work, which can ask for it.

/// What a private key is made of.
struct PrivateKey: Equatable {
    enum Parts: Equatable {
        /// RFC 8032: the seed that all of the key is made from, and the public point.
        case ed25519(seed: [UInt8], point: [UInt8])
        case rsa(modulus: [UInt8], publicExponent: [UInt8], privateExponent: [UInt8])
        /// RFC 5656: the curve by its name there, the public point, the private number.
        case ecdsa(curve: String, point: [UInt8], number: [UInt8])
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
        "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    )

    init(file text: String) throws(KeyFileError) {
        let lines = text.split(whereSeparator: \.isNewline).map(String.init)
        guard let first = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") }) else {
            throw .noKey
        }
        guard lines[first] == PrivateKey.begin else {
            // Its line ends are gone, as in a variable they were pasted into.
            if lines[first].hasPrefix(PrivateKey.begin) { throw .damaged }
            // PKCS #8 says so in its mark, the older PEM in a header (RFC 1421, 4.6.1.1).
            let isEncrypted = lines.contains {
                $0.hasPrefix("-----BEGIN ENCRYPTED ") || $0 == "Proc-Type: 4,ENCRYPTED"
            }
            throw isEncrypted ? .encrypted : .otherFormat(mark(of: lines[first]))
        }
        guard let last = lines[first...].firstIndex(of: PrivateKey.end),
            let bytes = decodeBase64(lines[(first + 1)..<last].joined())
        else { throw .damaged }
        try self.init(bytes)
    }

    private init(_ bytes: [UInt8]) throws(KeyFileError) {
        let magic = Array("openssh-key-v1\0".utf8)
        var reader = WireReader(bytes)
        guard reader.bytes(magic.count) == magic, let cipher = reader.text(), let derivation = reader.text(),
            reader.string() != nil, let count = reader.number()
        else { throw .damaged }
        guard cipher == "none", derivation == "none" else { throw .encrypted }
        guard count == 1, let publicKey = reader.string(), let section = reader.string() else {
            throw .damaged
        }
        var inner = WireReader(section)
        // The same number twice tells a right passphrase from a wrong one.
        guard let check = inner.number(), inner.number() == check, let kind = inner.text() else {
            throw .damaged
        }
        guard let parts = try Parts(kind, &inner), let comment = inner.text() else { throw .damaged }
        // Padded with 1, 2, 3, … to whole blocks.
        guard
            inner.remaining.enumerated().allSatisfy({ $0.element == UInt8(truncatingIfNeeded: $0.offset + 1) }
            ),
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
            guard let point = reader.string(), let both = reader.string(), point.count == 32,
                both.count == 64,
                Array(both[32...]) == point
            else { return nil }
            self = .ed25519(seed: Array(both[..<32]), point: point)
        case "ssh-rsa":
            guard let modulus = reader.magnitude(), let exponent = reader.magnitude(),
                let own = reader.magnitude(),
                reader.magnitude() != nil, reader.magnitude() != nil, reader.magnitude() != nil
            else { return nil }
            self = .rsa(modulus: modulus, publicExponent: exponent, privateExponent: own)
        case "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521":
            guard let curve = reader.text(), kind.hasSuffix(curve), let point = reader.string(),
                let number = reader.magnitude()
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

/// `-----BEGIN …-----` and nothing that follows it in its line, which may be the key.
private func mark(of line: String) -> String {
    let words = line.dropFirst("-----BEGIN ".count).prefix { $0 != "-" }
    return "-----BEGIN \(words.prefix(40))-----"
}

/// Bytes of base64 (RFC 4648, 4); nil for anything else.
func decodeBase64(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var (bits, count): (UInt32, Int) = (0, 0)
    let digits = text.utf8.reversed().drop { $0 == UInt8(ascii: "=") }.reversed()
    guard text.utf8.count % 4 == 0, text.utf8.count - digits.count <= 2 else { return nil }
    for character in digits {
        let value: UInt8
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): value = 62
        case UInt8(ascii: "/"): value = 63
        default: return nil
        }
        bits = bits << 6 | UInt32(value)
        count += 6
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
    }
    return bytes
}
