// SPDX-License-Identifier: Apache-2.0
//
// ProjectFiles: which files make a project, and which variables they see, before any is parsed. The order is
// Docker Compose's: the environment, then environment files, which may name the Compose files and more.

internal import Basics

/// The names Compose looks for, the preferred first, each with its override's names (03-compose-file.md).
private let fileNames = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]
private let overrideNames = [
    "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
    "docker-compose.override.yaml",
]

struct ProjectFiles {
    /// Absolute, in merge order.
    private(set) var paths: [String] = []
    /// Absolute.
    private(set) var directory: String
    private(set) var variables: [String: String]

    private let log: Diagnostics
    private let options: LoadOptions
    private let files: FileAccess
    private var readEnvironmentFiles: Set<String> = []

    init(_ options: LoadOptions, _ files: FileAccess, _ log: Diagnostics) throws(Failure) {
        self.options = options
        self.log = log
        self.files = files
        variables = options.environment
        directory = options.projectDirectory.map { joinedPath(options.workingDirectory, $0) } ?? ""
        paths = options.files.map { $0 == "-" ? $0 : joinedPath(options.workingDirectory, $0) }
        if directory.isEmpty, let first = paths.first, first != "-" { directory = parent(of: first) }

        // The first look may tell where the files are; the second is for their own directory.
        try readEnvironment(in: directory.isEmpty ? options.workingDirectory : directory)
        if paths.isEmpty { try find() }
        if directory.isEmpty {
            directory = paths.first.map { $0 == "-" ? options.workingDirectory : parent(of: $0) } ?? "/"
        }
        try readEnvironment(in: directory)
    }

    /// How messages call a file: as short as it is clear.
    func displayName(_ path: String) -> String {
        let prefix = options.workingDirectory == "/" ? "/" : options.workingDirectory + "/"
        return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
    }

    private mutating func find() throws(Failure) {
        if let list = variables["COMPOSE_FILE"], !list.isEmpty {
            let separator = variables["COMPOSE_PATH_SEPARATOR"].flatMap { $0.isEmpty ? nil : $0 } ?? ":"
            paths = split(list, by: separator).map { joinedPath(options.workingDirectory, $0) }
            return
        }
        var place = directory.isEmpty ? options.workingDirectory : directory
        while true {
            if let name = choose(fileNames, in: place) {
                paths = [name]
                if let name = choose(overrideNames, in: place) { paths.append(name) }
                return
            }
            if place == "/" { break }
            place = parent(of: place)
        }
        throw Failure(
            "no Compose file in \(directory.isEmpty ? options.workingDirectory : directory) or above it",
            cause: "looked for \(fileNames.joined(separator: ", "))", advice: "name one with -f")
    }

    /// The first of these names that is there; the others that are there too are told of.
    private func choose(_ names: [String], in place: String) -> String? {
        let found = names.map { joinedPath(place, $0) }.filter(files.exists)
        if found.count > 1 {
            let others = found.dropFirst().map(displayName).joined(separator: ", ")
            log.warn(
                "\(displayName(found[0])) is used, and \(others) is not",
                advice: "remove it, or name files with -f",
                at: nil)
        }
        return found.first
    }

    private mutating func readEnvironment(in directory: String) throws(Failure) {
        var named = options.envFiles
        if named.isEmpty, let list = options.environment["COMPOSE_ENV_FILES"], !list.isEmpty {
            named = split(list, by: ",")
        }
        let isDisabled = ["1", "true", "yes"].contains(options.environment["COMPOSE_DISABLE_ENV_FILE"] ?? "")
        var candidates = named.map { joinedPath(options.workingDirectory, $0) }
        if named.isEmpty, !isDisabled {
            candidates = files.implicitEnvironment(in: directory).map { [$0] } ?? []
        }
        // Among environment files the later wins; what the client has stands before all of them.
        var found: [String: String] = [:]
        for path in candidates where readEnvironmentFiles.insert(path).inserted {
            guard let bytes = try files.read(path) else {
                if named.isEmpty { continue }
                throw Failure("cannot read the environment file \(displayName(path))", cause: "no such file")
            }
            let (outside, above) = (variables, found)
            let read = try EnvironmentFile.read(bytes, name: displayName(path)) { outside[$0] ?? above[$0] }
            found.merge(read) { $1 }
        }
        variables.merge(found) { own, _ in own }
    }
}

/// Splits by a separator of any length, without empty parts.
func split(_ text: String, by separator: String) -> [String] {
    var parts: [String] = []
    var rest = text[...]
    while let range = firstRange(of: separator, in: rest) {
        parts.append(String(rest[..<range.lowerBound]))
        rest = rest[range.upperBound...]
    }
    parts.append(String(rest))
    return parts.filter { !$0.isEmpty }
}

private func firstRange(of needle: String, in text: Substring) -> Range<Substring.Index>? {
    var start = text.startIndex
    while start < text.endIndex {
        if text[start...].hasPrefix(needle) { return start..<text.index(start, offsetBy: needle.count) }
        start = text.index(after: start)
    }
    return nil
}
