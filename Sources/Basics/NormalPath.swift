// SPDX-License-Identifier: Apache-2.0
//
// Absolute paths as text: without `.`, `..` and double slashes. What links make of a path is the kernel's to say.

/// `path` itself when it is absolute, else below `directory`; as `normalPath` gives it.
public func joinedPath(_ directory: String, _ path: String) -> String {
    normalPath(path.utf8.first == slash ? path : directory + "/" + path)
}

/// An absolute path without `.`, `..` and double slashes; `..` at the root stays there.
public func normalPath(_ path: String) -> String {
    if isNormal(path) { return path }
    // Bytes, not substrings: a first use of `split` and `joined` costs a tenth of a millisecond of generic metadata.
    var normal: [UInt8] = []
    var part: [UInt8] = []
    func take() {
        if part == [dot, dot] {
            while let last = normal.popLast(), last != slash {}
        } else if !part.isEmpty, part != [dot] {
            normal.append(slash)
            normal += part
        }
        part.removeAll(keepingCapacity: true)
    }
    for byte in path.utf8 {
        if byte == slash { take() } else { part.append(byte) }
    }
    take()
    return normal.isEmpty ? "/" : String(decoding: normal, as: UTF8.self)
}

private let slash = UInt8(ascii: "/")
private let dot = UInt8(ascii: ".")

/// Whether every part of an absolute path stands for itself: the frequent case, told without cutting it up.
private func isNormal(_ path: String) -> Bool {
    var previous: UInt8 = 0
    for byte in path.utf8 {
        // A part that begins with a dot may be a name; it is left to the slow way.
        if previous == slash, byte == slash || byte == dot { return false }
        previous = byte
    }
    return path.utf8.count > 1 && path.utf8.first == slash && previous != slash
}
