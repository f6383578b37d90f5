// SPDX-License-Identifier: Apache-2.0
//
// ReferenceParts: an image's name taken apart by the one grammar that registries and engines share (distribution/reference,
// "grammar", whose paths are the <name> of OCI distribution-spec 1.1): the first part is a host when it has a dot, a colon or a
// capital, or is `localhost`. What a part that is missing stands for is left to ReferenceName, the store's spelling, and to
// a registry's own.

public import Basics

/// `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` as it is written.
public struct ReferenceParts: Hashable, Sendable {
    public var host: String?
    public var repository: String
    public var tag: String?
    public var digest: Digest?

    public init(_ text: String) throws(ReferenceMistake) {
        var rest = Substring(text)
        if let at = rest.firstIndex(of: "@") {
            let word = String(rest[rest.index(after: at)...])
            guard let digest = Digest(word) else {
                throw ReferenceMistake(
                    "`\(word)` is no sha256 digest: `sha256:` and 64 lower-case hex digits")
            }
            self.digest = digest
            rest = rest[..<at]
        }
        let name = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if name.count == 2, ReferenceParts.isHost(name[0]) {
            host = String(name[0])
            rest = name[1]
        }
        if let host, !ReferenceParts.isPlainHost(host) {
            throw ReferenceMistake("\"\(host)\" is no host name with a port")
        }
        if let colon = rest.lastIndex(of: ":") {
            let tag = String(rest[rest.index(after: colon)...])
            guard ReferenceParts.isTag(tag) else {
                throw ReferenceMistake(
                    "`\(tag)` is no tag: letters, digits, `_`, `.` and `-`, at most 128, the first no `.` or `-`"
                )
            }
            self.tag = tag
            rest = rest[..<colon]
        }
        repository = String(rest)
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard repository.utf8.count <= 255, parts.allSatisfy({ ReferenceParts.isPart($0) }) else {
            throw ReferenceMistake(
                "`\(repository)` is no repository: parts of lower-case letters and digits, with `.`, `_` or `-` between"
            )
        }
    }

    private static func isHost(_ part: Substring) -> Bool {
        part == "localhost" || part.contains { $0 == "." || $0 == ":" || $0.isUppercase }
    }

    /// A host name, an address or a bracketed IPv6 one, with or without a port; nothing that a URL could mistake.
    private static func isPlainHost(_ host: String) -> Bool {
        var name = Substring(host)
        if name.hasPrefix("[") {
            guard let end = name.firstIndex(of: "]") else { return false }
            let address = name[..<end].dropFirst()
            guard !address.isEmpty, address.utf8.allSatisfy({ isHex($0) || $0 == 58 || $0 == 46 }) else {
                return false
            }
            name = name[name.index(after: end)...]
            return name.isEmpty || name.first == ":" && isPort(name.dropFirst())
        }
        if let colon = name.firstIndex(of: ":") {
            guard isPort(name[name.index(after: colon)...]) else { return false }
            name = name[..<colon]
        }
        return !name.isEmpty && name.utf8.count <= 253 && name.first != "-" && name.first != "."
            && name.utf8.allSatisfy { isLetterOrDigit($0) || $0 == 45 || $0 == 46 }
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard let port = UInt16(text) else { return false }
        return port > 0
    }

    private static func isTag(_ tag: String) -> Bool {
        guard let first = tag.utf8.first, tag.utf8.count <= 128, first != 45, first != 46 else {
            return false
        }
        return tag.utf8.allSatisfy { isLetterOrDigit($0) || $0 == 95 || $0 == 45 || $0 == 46 }
    }

    /// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
    private static func isPart(_ part: Substring) -> Bool {
        var separator = ""
        var afterWord = false
        for character in part {
            guard let byte = character.asciiValue else { return false }
            if (97...122).contains(byte) || (48...57).contains(byte) {
                guard
                    separator.isEmpty
                        || afterWord
                            && ([".", "_", "__"].contains(separator) || separator.allSatisfy { $0 == "-" })
                else { return false }
                separator = ""
                afterWord = true
            } else {
                guard afterWord, [45, 46, 95].contains(byte) else { return false }
                separator.append(character)
            }
        }
        return afterWord && separator.isEmpty
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...122).contains(byte) || (65...90).contains(byte)
    }
}

/// Why a text is no image's name.
public struct ReferenceMistake: Error, Hashable {
    public let reason: String

    init(_ reason: String) { self.reason = reason }
}
