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
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Sequence<UInt8>) { rest = Array(bytes)[...] }

    var isAtEnd: Bool { rest.isEmpty }
    var remaining: [UInt8] { Array(rest) }

    mutating func bytes(_ count: Int) -> [UInt8]? {
        guard count >= 0, count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func byte() -> UInt8? { rest.popFirst() }

    mutating func number() -> UInt32? {
        bytes(4).map { $0.reduce(0) { $0 << 8 | UInt32($1) } }
    }

    mutating func string() -> [UInt8]? { number().flatMap { bytes(Int($0)) } }

    mutating func text() -> String? { string().map { String(decoding: $0, as: UTF8.self) } }

    /// A number that is not negative, without leading zeros.
    mutating func magnitude() -> [UInt8]? {
        guard let bytes = string(), bytes.first.map({ $0 & 0x80 == 0 }) ?? true else { return nil }
        return Array(bytes.drop { $0 == 0 })
    }
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
