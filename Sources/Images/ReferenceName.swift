// SPDX-License-Identifier: Apache-2.0

internal import Basics

/// A name in the store, in one spelling: `docker.io/library/x`, `x` and `x:latest` are the same image.
struct ReferenceName: Hashable {
    /// `name:tag` or `name@digest`, without Docker's default registry; or a transport's text. A digest says more than the
    /// tag beside it, which is dropped.
    let text: String
    /// The name without tag and digest.
    let repository: String
    /// Set for `name@sha256:…`: the manifest's digest.
    let digest: Digest?

    init(_ reference: String) throws(Failure) {
        var name = Substring(reference)
        digest = name.firstIndex(of: "@").flatMap { Digest(String(name[name.index(after: $0)...])) }
        if digest != nil, let at = name.firstIndex(of: "@") { name = name[..<at] }
        for registry in ["docker.io/", "index.docker.io/"] where name.hasPrefix(registry) {
            name = name.dropFirst(registry.count)
        }
        if name.hasPrefix("library/") { name = name.dropFirst(8) }
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "-"),
                UInt8(ascii: "/"), UInt8(ascii: ":"):
                true
            default: false
            }
        }
        guard allowed, !name.isEmpty, name.utf8.count <= 255, !name.hasPrefix("/"), !name.hasSuffix("/"),
            !name.hasSuffix(":")
        else {
            throw Failure(
                "cannot use \"\(reference)\" as an image's name",
                cause: "a name is made of letters, digits, `.`, `_`, `-`, `/` and an optional `:tag`",
                advice:
                    "write it as NAME[:TAG], or a transport such as oci:PATH, docker-archive:PATH or dir:PATH"
            )
        }
        let last = name.lastIndex(of: "/").map { name[$0...] } ?? name
        let plain = last.lastIndex(of: ":").map { String(name[..<$0]) } ?? String(name)
        repository = plain
        if let digest {
            text = "\(plain)@\(digest)"
        } else {
            text = last.contains(":") ? String(name) : "\(name):latest"
        }
    }

    /// A name that somebody gives an image: one that any registry and engine understands.
    /// - Throws: also for one that is the builder's own, or would be read as an id.
    init(given text: String) throws(Failure) {
        try self.init(text)
        do throws(ReferenceMistake) { _ = try ReferenceParts(text) } catch {
            throw Failure(
                "cannot use \"\(text)\" as an image's name", cause: error.reason,
                advice: "write it as [HOST[:PORT]/]NAME[:TAG]")
        }
        guard !isCached, Digest(text) == nil else {
            throw Failure(
                "cannot use \"\(text)\" as an image's name",
                cause: isCached
                    ? "names that begin with \(ReferenceName.cachePrefix) are those of the build cache"
                    : "it is read as an image's id",
                advice: "give it another one")
        }
    }

    /// What a builder keeps of a step.
    init(cached key: Digest) {
        repository = ReferenceName.cachePrefix + key.hex
        text = "\(repository):latest"
        digest = nil
    }

    static let cachePrefix = "covey-build/"
    var isCached: Bool { text.hasPrefix(ReferenceName.cachePrefix) }

    /// A transport's own text as the name of what was imported from it.
    init(_ transport: Transport) {
        text = transport.text
        repository = text
        digest = nil
    }

    /// A transport's text read back.
    init(verbatim name: String) {
        text = name
        repository = name
        digest = nil
    }

    /// The name as a file's name: what is not plain is `%XX`; what is too long is its digest.
    var fileName: String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: ":"):
                result.append(byte)
            case UInt8(ascii: ".") where !result.isEmpty: result.append(byte)
            default:
                result += [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 15)]
            }
        }
        if result.count > 200 { return "%\(Digest(of: text.utf8).hex)" }
        return String(decoding: result, as: UTF8.self)
    }
}

func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
}
