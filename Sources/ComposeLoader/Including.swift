// SPDX-License-Identifier: Apache-2.0
//
// Including: `include` (14-include.md; compose-go, loader/include.go). Each entry is a project of its own: its
// files are merged with each other, relative paths start at its directory, and its variables come from its own
// environment files unless the including project has them. What the including file says of the same name is laid
// over it, as an override file is. Two entries that declare a name differently contradict each other: which of
// them was meant is nobody's to guess.

internal import Basics
internal import YAMLTree

/// What the entries so far declare in one section, in order.
private struct Declared {
    private(set) var pairs: [Mapping.Pair] = []
    private var positions: [String: Int] = [:]

    subscript(name: String) -> Mapping.Pair? { positions[name].map { pairs[$0] } }

    mutating func append(_ pair: Mapping.Pair) {
        positions[pair.key] = pairs.count
        pairs.append(pair)
    }
}

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

    /// The document laid over what it includes.
    func apply(_ root: Node) -> Node {
        guard let mapping = root.mapping, let pair = mapping.pair("include") else { return root }
        var list = Field(node: pair.value, path: Path("include"), log: log)
        if !assembly.interpolates {
            let variables = assembly.origins.all[origin].variables
            list = Field(
                node: Interpolation(variables: variables, log: log).apply(pair.value, list.path, depth: 1),
                path: list.path, log: log)
        }
        var included: [String: Declared] = [:]
        for element in list.elements() {
            if let project = load(element) { add(project, to: &included) }
        }
        let own = mapping.pairs.filter { $0.key != "include" }
        return Node(.mapping(Mapping(lay(own, over: included))), tag: root.tag, at: root.place)
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
        if named.isEmpty, let path = assembly.files.implicitEnvironment(in: directory) {
            read(path, required: nil)
        }
        for field in named {
            if let text = field.nonEmptyString() {
                read(assembly.absolute(text, origin: origin), required: field.place)
            }
        }
        return outer.merging(found) { own, _ in own }
    }

    // MARK: Putting it together

    /// What an entry declares, beside what those before it did.
    private func add(_ project: Node, to included: inout [String: Declared]) {
        for section in Including.sections {
            for pair in project.mapping?[section]?.mapping?.pairs ?? [] {
                guard let known = included[section]?[pair.key] else {
                    included[section, default: Declared()].append(pair)
                    continue
                }
                if says(known, theSameAs: pair, in: section) { continue }
                log.error(
                    "`\(section).\(pair.key)` is declared by two included files, and not alike",
                    cause: "it is also in \(known.keyPlace.file.name):\(known.keyPlace.line)",
                    advice:
                        "rename one of them, or merge the files: name both in the `path` list of one `include`",
                    at: pair.keyPlace)
            }
        }
    }

    private func lay(_ own: [Mapping.Pair], over included: [String: Declared]) -> [Mapping.Pair] {
        var sections = own
        // `!reset` and `!override` of this file count for the files beneath it as well.
        var merging = Merging(log: log)
        merging.keepsTags = true
        for name in Including.sections {
            guard let pairs = included[name]?.pairs, let first = pairs.first else { continue }
            guard let position = sections.firstIndex(where: { $0.key == name }) else {
                sections.append(
                    Mapping.Pair(
                        key: name, keyPlace: first.keyPlace,
                        value: Node(.mapping(Mapping(pairs)), at: first.keyPlace)))
                continue
            }
            let section = sections[position]
            // What is the same twice would have its lists doubled (compose-go, loader/include.go, importResource).
            let different = pairs.filter { pair in
                guard let known = section.value.mapping?.pair(pair.key) else { return true }
                return !says(known, theSameAs: pair, in: name)
            }
            let beneath = Node(.mapping(Mapping(different)), at: first.keyPlace)
            guard let value = merging.merge(beneath, section.value, Ledger.root.inside(name), Path(name))
            else { continue }
            sections[position] = Mapping.Pair(key: name, keyPlace: section.keyPlace, value: value)
        }
        return sections
    }

    /// Whether two declarations say the same, and mean it: a relative path or a variable's name means what the file it
    /// stands in says.
    private func says(_ one: Mapping.Pair, theSameAs other: Mapping.Pair, in section: String) -> Bool {
        var isApart = false
        guard readsAlike(one.value, other.value, &isApart) else { return false }
        if !isApart { return true }
        return assembly.meaning(of: one, in: section) == assembly.meaning(of: other, in: section)
    }

    /// Whether two nodes have the same text.
    /// - Parameter isApart: set when some of it stands in files with other directories or variables.
    private func readsAlike(_ one: Node, _ other: Node, _ isApart: inout Bool) -> Bool {
        if one === other { return true }
        if one.place.file.origin != other.place.file.origin { isApart = true }
        switch (one.content, other.content) {
        case (.scalar(let first, _), .scalar(let second, _)):
            return first == second && one.isNull == other.isNull
        case (.sequence(let first), .sequence(let second)):
            return first.count == second.count
                && zip(first, second).allSatisfy { readsAlike($0, $1, &isApart) }
        case (.mapping(let first), .mapping(let second)):
            return first.pairs.count == second.pairs.count
                && first.pairs.allSatisfy { pair in
                    second[pair.key].map { readsAlike(pair.value, $0, &isApart) } ?? false
                }
        default: return false
        }
    }
}
