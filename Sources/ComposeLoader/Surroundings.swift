// SPDX-License-Identifier: Apache-2.0

internal import Basics
internal import YAMLTree

/// Where a file comes from: what its relative paths and its variables mean. The project's own files have one,
/// every `include` another, and a file that is only extended has its own directory.
struct Origin: Equatable {
    /// Absolute.
    let directory: String
    /// The client's environment with the environment files.
    let variables: [String: String]
}

/// The origins of a load; a node's place tells its own by number. The first is the project's.
final class Origins {
    private(set) var all: [Origin]

    init(_ first: Origin) { all = [first] }

    /// The origin's number; one that is known already keeps its own, so that texts of one number mean the same.
    func add(_ origin: Origin) -> Int {
        if let known = all.firstIndex(of: origin) { return known }
        all.append(origin)
        return all.count - 1
    }

    subscript(place: Place) -> Origin { all[place.file.origin] }
}

/// What the readers of a merged file need to know beyond it.
struct Surroundings {
    let projectName: String
    let home: String?
    let origins: Origins
    /// Whether relative paths are made absolute.
    let resolvesPaths: Bool
    /// Whether resources get their real names.
    let normalizes: Bool
    /// Whether variables that are only named are looked up.
    var resolvesEnvironment = true
    let log: Diagnostics

    /// The real name of a resource that gives none, empty when it is left unsaid.
    func realName(_ key: String) -> String { normalizes ? "\(projectName)_\(key)" : "" }

    /// The project's directory.
    var directory: String { origins.all[0].directory }

    /// A variable's value where the place's file looks for it.
    func variable(_ name: String, at place: Place) -> String? { origins[place].variables[name] }

    /// `os/arch` of this host, as Compose writes platforms.
    static let platform: String = {
        #if arch(arm64)
            return "linux/arm64"
        #else
            return "linux/amd64"
        #endif
    }()

    /// A path made absolute: `~` is the client's home, relative ones start at the directory of the file's origin.
    func absolute(_ path: String, at place: Place) -> String {
        if !resolvesPaths { return path }
        if let home, path == "~" || path.hasPrefix("~/") {
            return normalPath(home + path.dropFirst(1))
        }
        return joinedPath(origins[place].directory, path)
    }

    /// A transport reference (`oci:PATH`) with its path made absolute; nil when the text is none.
    func transport(_ text: String, at place: Place) -> String? {
        for prefix in ["oci:", "oci-archive:", "docker-archive:", "dir:"] where text.hasPrefix(prefix) {
            let rest = text.dropFirst(prefix.count)
            // Only the path is made absolute; a reference after it stays.
            return prefix + absolute(String(rest), at: place)
        }
        return nil
    }
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
