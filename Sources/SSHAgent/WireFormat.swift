// SPDX-License-Identifier: Apache-2.0
//
// SSHAgent: OpenSSH's private key files as values, and an agent that signs with them, for builds that are given key files
// instead of an agent's socket. It speaks ssh-agent's protocol and no more of SSH; signatures are libcrypto's. Which keys a
// build gets is for `Commands` to say.
//
// The data types of SSH's messages (RFC 4251, 5): a number is four bytes, a string its length and its bytes, an mpint a string
// that holds a number in two's complement. Input is a key file or what a build step says: hostile, and checked.

/// Reads one value after the other; nil where the bytes end before the value does.
struct WireReader {
    private var rest: SecretPart

    init(_ part: SecretPart) { rest = part }

    init(_ bytes: some Collection<UInt8>) { self.init(SecretBytes(bytes).all) }

    var isAtEnd: Bool { rest.count == 0 }
    /// What was not read yet.
    var remaining: SecretPart { rest }

    private mutating func take(_ count: Int) -> SecretPart? {
        guard count >= 0, count <= rest.count else { return nil }
        defer { rest = rest[count..<rest.count] }
        return rest[0..<count]
    }

    mutating func bytes(_ count: Int) -> [UInt8]? { take(count)?.copy }

    mutating func byte() -> UInt8? { take(1)?[0] }

    mutating func number() -> UInt32? {
        take(4).map { $0.withBytes { $0.reduce(0) { $0 << 8 | UInt32($1) } } }
    }

    /// A string that stays where it is.
    mutating func secret() -> SecretPart? { number().flatMap { take(Int($0)) } }

    mutating func string() -> [UInt8]? { secret()?.copy }

    mutating func text() -> String? { string().map { String(decoding: $0, as: UTF8.self) } }

    /// A number that is not negative, without leading zeros.
    mutating func secretMagnitude() -> SecretPart? {
        guard let part = secret() else { return nil }
        if part.count > 0, part[0] & 0x80 != 0 { return nil }
        return part[part.withBytes { $0.prefix { $0 == 0 }.count }..<part.count]
    }

    mutating func magnitude() -> [UInt8]? { secretMagnitude()?.copy }
}

/// Writes the same.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func number(_ value: Int) {
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func string(_ value: some Collection<UInt8>) {
        number(value.count)
        bytes += value
    }

    mutating func text(_ value: String) { string(value.utf8) }

    mutating func magnitude(_ value: [UInt8]) {
        let digits = value.drop { $0 == 0 }
        // A first bit that is set would make it negative.
        string((digits.first ?? 0) & 0x80 != 0 ? [0] + digits : Array(digits))
    }
}
