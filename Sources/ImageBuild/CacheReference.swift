// SPDX-License-Identifier: Apache-2.0
//
// `cache_from` and `cache_to` as they are written: `type=registry,ref=HOST/NAME:TAG`, `type=local,src=DIR`, or a plain
// name, which is a registry's. What other builders keep elsewhere (inline, gha, s3, azblob) is refused by name.
// Source: Compose specification, build.md "cache_from", "cache_to"; docs.docker.com/build/cache/backends.

public import Basics

/// Where a build's steps are kept beside the store.
public struct CacheReference: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// A directory with an OCI layout, as it was written, and the name of the cache in it.
        case directory(String, tag: String)
        /// A name for a registry.
        case registry(String)
    }
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        /// The steps of the image itself.
        case min
        /// Those of all stages that were needed.
        case max
    }
    public var place: Place
    public var mode = Mode.min
    /// A cache that can't be written is told, and the build goes on.
    public var ignoresErrors = false
    /// As it was written.
    public var text: String

    /// - isTarget: read as `cache_to`.
    public init(_ text: String, isTarget: Bool) throws(Failure) {
        self.text = text
        let doing = "cannot use the build cache `\(text)`"
        let example = isTarget ? "type=local,dest=DIRECTORY" : "type=local,src=DIRECTORY"
        var values: [String: String] = [:]
        if text.contains("=") {
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let equals = part.firstIndex(of: "="), equals != part.startIndex else {
                    throw Failure(
                        doing, cause: "`\(part)` is not name=value",
                        advice: "write type=registry,ref=NAME or \(example)")
                }
                let name = part[..<equals].lowercased()
                guard values.updateValue(String(part[part.index(after: equals)...]), forKey: name) == nil
                else { throw Failure(doing, cause: "it says `\(name)` twice") }
            }
        } else {
            values = ["type": "registry", "ref": text]
        }
        let type = values.removeValue(forKey: "type") ?? ""
        func take(_ name: String) throws(Failure) -> String {
            guard let value = values.removeValue(forKey: name), !value.isEmpty else {
                throw Failure(
                    doing, cause: "it has no `\(name)`",
                    advice: type == "local" ? "write \(example)" : "write type=registry,ref=NAME")
            }
            return value
        }
        switch type {
        case "registry": place = .registry(try take("ref"))
        case "local":
            let path = try take(isTarget ? "dest" : "src")
            place = .directory(path, tag: values.removeValue(forKey: "tag") ?? "latest")
        default:
            throw Failure(
                doing,
                cause: type.isEmpty ? "it has no `type`" : "the type `\(type)` is not supported",
                advice: "write type=registry,ref=NAME or \(example)")
        }
        if isTarget {
            if let word = values.removeValue(forKey: "mode") {
                guard let mode = Mode(rawValue: word) else {
                    throw Failure(doing, cause: "`\(word)` is no mode", advice: "`min` or `max`")
                }
                self.mode = mode
            }
            if let word = values.removeValue(forKey: "ignore-error") {
                guard ["true", "false"].contains(word) else {
                    throw Failure(doing, cause: "`ignore-error` takes `true` or `false`")
                }
                ignoresErrors = word == "true"
            }
            // That is how it is written anyway.
            for name in ["oci-mediatypes", "image-manifest"] where values[name] == "true" {
                values[name] = nil
            }
        }
        if let unknown = values.keys.sorted().first {
            throw Failure(
                doing, cause: "the attribute `\(unknown)` is not supported with type=\(type)",
                advice: isTarget ? "`mode` and `ignore-error` are, and `tag` of a local one" : nil)
        }
    }
}
