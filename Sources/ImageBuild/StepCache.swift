// SPDX-License-Identifier: Apache-2.0
//
// What became of steps, under keys of what they were made from. Host-wide: `buildcache/steps/<key>`, one small file
// each, written whole by rename. A record that can't be read is a step not known.

internal import Basics
internal import CLinux
internal import Kernel

/// Makes a key out of parts; each is counted, so that no two lists of parts give one key.
struct KeyBuilder {
    private var bytes: [UInt8] = Array("covey-build 1\n".utf8)

    mutating func add(_ text: String) {
        withUnsafeBytes(of: UInt64(text.utf8.count)) { bytes.append(contentsOf: $0) }
        bytes += text.utf8
    }

    mutating func add(_ texts: [String]) {
        add(String(texts.count))
        for text in texts { add(text) }
    }

    mutating func add(_ digest: Digest) { add(digest.hex) }

    mutating func add(_ content: [UInt8]) { add(Digest(of: content)) }

    var key: Digest { Digest(of: bytes) }
}

struct StepCache {
    struct Record: Equatable {
        /// RFC 3339; the image's `created`, so that an unchanged build gives the same image.
        var created: String
        /// False when the step changed no file.
        var hasLayer: Bool
    }

    private let directory: String

    init(under cache: String) { directory = "\(cache)/steps" }

    func find(_ key: Digest) -> Record? {
        guard let text = try? readText("\(directory)/\(key.hex)") else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        // The last line tells a whole record from a torn one.
        guard lines.count == 4, lines[2] == "end" else { return nil }
        return Record(created: String(lines[0]), hasLayer: lines[1] == "layer")
    }

    func store(_ record: Record, _ key: Digest) throws(SyscallError) {
        try write("\(record.created)\n\(record.hasLayer ? "layer" : "nothing")\nend\n", key)
    }

    /// The digest of what was selected in a tree that never changes.
    func selection(_ key: Digest) -> Digest? {
        guard let text = try? readText("\(directory)/\(key.hex)"), text.hasSuffix("\n") else { return nil }
        return Digest(hex: String(text.dropLast()))
    }

    func store(selection digest: Digest, _ key: Digest) throws(SyscallError) {
        try write("\(digest.hex)\n", key)
    }

    private func write(_ text: String, _ key: Digest) throws(SyscallError) {
        try ensureDirectory(directory, mode: 0o700)
        try replaceFile("\(directory)/\(key.hex)", text.utf8, mode: 0o600)
    }
}
