// SPDX-License-Identifier: Apache-2.0

internal import Basics
internal import YAMLTree

/// What the readers of a merged file need to know beyond it.
struct Surroundings {
    let projectName: String
    /// Relative paths start here; absolute.
    let directory: String
    let home: String?
    /// The client's environment with the environment files.
    let variables: [String: String]
    let log: Diagnostics

    /// `os/arch` of this host, as Compose writes platforms.
    static let platform: String = {
        #if arch(arm64)
            return "linux/arm64"
        #else
            return "linux/amd64"
        #endif
    }()

    /// A path made absolute: `~` is the client's home, relative ones start at the project's directory.
    func absolute(_ path: String) -> String {
        if let home, path == "~" || path.hasPrefix("~/") {
            return normalized(home + path.dropFirst(1))
        }
        return joined(directory, path)
    }

    /// A transport reference (`oci:PATH`) with its path made absolute; nil when the text is none.
    func transport(_ text: String) -> String? {
        for prefix in ["oci:", "oci-archive:", "docker-archive:", "dir:"] where text.hasPrefix(prefix) {
            let rest = text.dropFirst(prefix.count)
            // Only the path is made absolute; a reference after it stays.
            return prefix + absolute(String(rest))
        }
        return nil
    }
}

/// `path` itself when it is absolute, else below `directory`; without `.`, `..` and double slashes.
func joined(_ directory: String, _ path: String) -> String {
    normalized(path.hasPrefix("/") ? path : directory + "/" + path)
}

/// An absolute path without `.`, `..` and double slashes, as text alone says.
func normalized(_ path: String) -> String {
    if isNormal(path) { return path }
    var parts: [Substring] = []
    for part in path.split(separator: "/") {
        switch part {
        case ".": continue
        case "..": _ = parts.popLast()
        default: parts.append(part)
        }
    }
    return "/" + parts.joined(separator: "/")
}

/// Whether every part of an absolute path stands for itself: the frequent case, told without cutting it up.
private func isNormal(_ path: String) -> Bool {
    let slash = UInt8(ascii: "/")
    let dot = UInt8(ascii: ".")
    var previous: UInt8 = 0
    for byte in path.utf8 {
        // A part that begins with a dot may be a name; it is left to the slow way.
        if previous == slash, byte == slash || byte == dot { return false }
        previous = byte
    }
    return path.utf8.count > 1 && path.utf8.first == slash && previous != slash
}

/// The directory a path stands in.
func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The last part of a path.
func baseName(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? ""
}
