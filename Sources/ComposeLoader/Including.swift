// SPDX-License-Identifier: Apache-2.0
//
// Including: `include` (14-include.md; compose-go, loader/include.go). Each entry is a project of its own: its
// files are merged with each other, relative paths start at its directory, and its variables come from its own
// environment files unless the including project has them. What it declares is then added; a name that both
// declare differently is an error.

internal import Basics
internal import YAMLTree

struct Including {
    let assembly: Assembly
    let origin: Int
    /// The files on the way here, the innermost last.
    let within: [String]
    private var log: Diagnostics { assembly.log }

    static let sections = ["services", "networks", "volumes", "configs", "secrets", "models"]

    init(assembly: Assembly, origin: Int, within: [String]) {
        self.assembly = assembly
        self.origin = origin
        self.within = within
    }

    /// The document with what it includes in it.
    func apply(_ root: Node) -> Node {
        guard let mapping = root.mapping, let pair = mapping.pair("include") else { return root }
        var sections = mapping.pairs.filter { $0.key != "include" }
        var list = Field(node: pair.value, path: Path("include"), log: log)
        if !assembly.interpolates {
            let variables = assembly.origins.all[origin].variables
            list = Field(
                node: Interpolation(variables: variables, log: log).apply(pair.value, list.path),
                path: list.path, log: log)
        }
        for element in list.elements() {
            if let included = load(element) { add(included, to: &sections) }
        }
        return Node(.mapping(Mapping(sections)), tag: root.tag, at: root.place)
    }

    // MARK: One entry

    private func load(_ entry: Field) -> Node? {
        var (paths, environmentFiles): ([Field], [Field]) = ([], [])
        var directory: String?
        if entry.node.mapping != nil {
            entry.check(Shape(fields: Ledger.include))
            for (key, _, field) in entry.fields() {
                switch key {
                case "path": paths = field.node.text != nil ? [field] : field.elements()
                case "env_file": environmentFiles = field.node.text != nil ? [field] : field.elements()
                case "project_directory":
                    directory = field.nonEmptyString().map { assembly.absolute($0, origin: origin) }
                default: continue
                }
            }
            if paths.isEmpty { entry.error("has no `path`", advice: "name a Compose file") }
        } else {
            paths = [entry]
        }
        var files: [(path: String, place: Place)] = []
        for field in paths {
            guard let text = field.nonEmptyString() else { continue }
            if assembly.isRemote(text) {
                field.error(
                    "names \(text); files that must be fetched are not supported", advice: "copy it here")
                continue
            }
            let path = assembly.absolute(text, origin: origin)
            if let start = within.firstIndex(of: path) {
                let names = (within[start...] + [path]).map(assembly.reader.displayName)
                log.error(
                    "files include each other in a cycle", cause: names.joined(separator: " → "),
                    at: field.place)
                continue
            }
            files.append((path, field.place))
        }
        guard files.count == paths.count, let first = files.first else { return nil }
        guard within.count <= Extending.depth else {
            entry.error("is included more than \(Extending.depth) deep")
            return nil
        }
        let home = directory ?? parent(of: first.path)
        let variables = variables(environmentFiles, home)
        let number = assembly.origins.add(Origin(directory: home, variables: variables))
        let documents = files.map {
            (path: $0.path, roots: assembly.reader.documents($0.path, origin: number, at: $0.place))
        }
        return assembly.merge(documents, origin: number, within: within)
    }

    /// The including project's variables, and those of the entry's own files that it has not.
    private func variables(_ named: [Field], _ directory: String) -> [String: String] {
        let outer = assembly.origins.all[origin].variables
        var found: [String: String] = [:]
        func read(_ path: String, required: Place?) {
            let name = assembly.reader.displayName(path)
            do throws(Failure) {
                guard let bytes = try assembly.files.read(path) else {
                    if let required {
                        log.error(
                            "cannot read the environment file \(name)", cause: "no such file", at: required)
                    }
                    return
                }
                let above = found
                found.merge(try EnvironmentFile.read(bytes, name: name) { outer[$0] ?? above[$0] }) { $1 }
            } catch {
                log.add(error)
            }
        }
        if named.isEmpty { read(joinedPath(directory, ".env"), required: nil) }
        for field in named {
            if let text = field.nonEmptyString() {
                read(assembly.absolute(text, origin: origin), required: field.place)
            }
        }
        return outer.merging(found) { own, _ in own }
    }

    // MARK: Putting it in

    private func add(_ included: Node, to sections: inout [Mapping.Pair]) {
        for name in Including.sections {
            guard let source = included.mapping?.pair(name), let new = source.value.mapping else { continue }
            guard let position = sections.firstIndex(where: { $0.key == name }),
                let old = sections[position].value.mapping
            else {
                sections.removeAll { $0.key == name }
                sections.append(source)
                continue
            }
            var pairs = old.pairs
            for pair in new.pairs {
                guard let known = old.pair(pair.key) else {
                    pairs.append(pair)
                    continue
                }
                if same(known.value, pair.value) { continue }
                log.error(
                    "`\(name).\(pair.key)` is declared here and by an included file",
                    cause:
                        "it is also in \(pair.keyPlace.file.name):\(pair.keyPlace.line)",
                    advice:
                        "rename one of them; an override of an included file goes into the `path` list of its `include`",
                    at: known.keyPlace)
            }
            let section = sections[position]
            sections[position] = Mapping.Pair(
                key: name, keyPlace: section.keyPlace,
                value: Node(.mapping(Mapping(pairs)), tag: section.value.tag, at: section.value.place))
        }
    }

    /// Whether two nodes say the same; a relative path says the same only from the same directory.
    private func same(_ a: Node, _ b: Node) -> Bool {
        if a === b { return true }
        switch (a.content, b.content) {
        case (.scalar(let first, _), .scalar(let second, _)):
            guard first == second, a.isNull == b.isNull else { return false }
            let isRelative = first == "." || first.hasPrefix("./") || first.hasPrefix("../")
            return !isRelative
                || assembly.origins[a.place].directory == assembly.origins[b.place].directory
        case (.sequence(let first), .sequence(let second)):
            return first.count == second.count && zip(first, second).allSatisfy(same)
        case (.mapping(let first), .mapping(let second)):
            return first.pairs.count == second.pairs.count
                && first.pairs.allSatisfy { pair in second[pair.key].map { same(pair.value, $0) } ?? false }
        default: return false
        }
    }
}
