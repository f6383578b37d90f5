// SPDX-License-Identifier: Apache-2.0
//
// Assembly: parsed files → one merged tree. Each document has its variables put in, then its `extends` and its
// `include` resolved, and is then laid on those before it (compose-go, loader/loader.go).

internal import Basics
internal import YAMLTree

/// Reads files into documents; counts them, so that files which include each other twice don't grow for ever.
final class FileReader {
    let files: FileAccess
    let log: Diagnostics
    /// How messages call a file.
    let displayName: (String) -> String
    private var count = 0

    static let limit = 1000

    init(files: FileAccess, log: Diagnostics, displayName: @escaping (String) -> String) {
        self.files = files
        self.log = log
        self.displayName = displayName
    }

    /// The documents of a file, which are all mappings; none after a complaint.
    func documents(_ path: String, origin: Int, at place: Place?) -> [Node] {
        let name = displayName(path)
        count += 1
        if count > FileReader.limit {
            log.error("more than \(FileReader.limit) files are included or extended", at: place)
            return []
        }
        do throws(Failure) {
            guard let bytes = try files.read(path) else {
                log.error(
                    "cannot read \(name)", cause: "no such file",
                    advice: place == nil ? "name a Compose file with -f" : nil, at: place)
                return []
            }
            let read = try readYAML(bytes, file: name, origin: origin).filter { !$0.isNull }
            if read.isEmpty {
                log.error("\(name) is empty", advice: "a Compose file has `services:`", at: place)
            }
            for node in read where node.mapping == nil {
                log.error("\(name) is not a Compose file", cause: "it is not a mapping", at: node.place)
            }
            return read.filter { $0.mapping != nil }
        } catch {
            log.add(error)
            return []
        }
    }
}

struct Assembly {
    let reader: FileReader
    let files: FileAccess
    let log: Diagnostics
    let origins: Origins
    let interpolates: Bool

    /// Files of one origin merged in order; nil when nothing is left. `within` are the files being included.
    func merge(_ documents: [(path: String, roots: [Node])], origin: Int, within: [String]) -> Node? {
        let interpolation = Interpolation(variables: origins.all[origin].variables, log: log)
        let merging = Merging(log: log)
        var merged: Node?
        for (path, roots) in documents {
            // A file without variables costs one look, however many documents it has.
            let asks = interpolates && roots.first?.place.file.contains(UInt8(ascii: "$")) == true
            for root in roots {
                let before = log.errors.count
                var document = asks ? interpolation.apply(root) : root
                // What is wrong with the text is not told again by those who build on it.
                if log.errors.count > before { continue }
                document = Extending(assembly: self, path: path, root: document, origin: origin).apply()
                document = Including(assembly: self, origin: origin, within: within + [path]).apply(document)
                merged =
                    if let base = merged {
                        merging.merge(base, document, Ledger.root, Path(""))
                    } else {
                        merging.settle(document)
                    }
            }
        }
        return merged
    }

    /// A path a file names, absolute.
    func absolute(_ path: String, origin: Int) -> String {
        let origin = origins.all[origin]
        if let home = origin.variables["HOME"], path.hasPrefix("~/") {
            return normalPath(home + path.dropFirst(1))
        }
        return joinedPath(origin.directory, path)
    }

    /// Whether a path is one that would have to be fetched.
    func isRemote(_ path: String) -> Bool {
        path.contains("://") || path.hasPrefix("git@") || path.hasPrefix("github.com/")
    }
}
