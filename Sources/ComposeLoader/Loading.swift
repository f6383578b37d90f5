// SPDX-License-Identifier: Apache-2.0
//
// Loading, in the order of compose-go's parsing.md: parse, put variables in, merge, hold against the ledger, read
// into the model, profiles, consistency. Each step reports all it finds; a step that found errors is the last,
// so that one mistake is not told twice.

public import Basics
internal import ComposeModel
internal import YAMLTree

/// Loads a project.
/// - Throws: every problem of the step that failed, each with its place.
public func loadProject(_ options: LoadOptions, reading files: FileAccess) throws(Failure) -> LoadedProject {
    let sources = try ProjectFiles(options, files)
    let log = Diagnostics()

    var documents: [Node] = []
    for path in sources.paths {
        let name = sources.displayName(path)
        guard let bytes = try files.read(path) else {
            log.add(
                Failure("cannot read \(name)", cause: "no such file", advice: "name a Compose file with -f"))
            continue
        }
        do throws(Failure) {
            let read = try readYAML(bytes, file: name).filter { !$0.isNull }
            if read.isEmpty { log.add(Failure("\(name) is empty", advice: "a Compose file has `services:`")) }
            for node in read where node.mapping == nil {
                log.error("\(name) is not a Compose file", cause: "it is not a mapping", at: node.place)
            }
            documents += read
        } catch {
            log.add(error)
        }
    }
    try log.check()

    var variables = sources.variables
    let name = try projectName(options, sources, documents, variables)
    variables["COMPOSE_PROJECT_NAME"] = name
    let interpolation = Interpolation(variables: variables, log: log)
    documents = documents.map(interpolation.apply)
    try log.check()

    let merging = Merging(log: log)
    var merged: Node?
    for document in documents {
        merged =
            if let base = merged { merging.merge(base, document, Ledger.root, Path("")) } else {
                merging.settle(document)
            }
    }
    try log.check()
    guard let merged else { throw Failure("the project is empty") }

    let around = Surroundings(
        projectName: name, directory: sources.directory, home: variables["HOME"], variables: variables,
        log: log)
    let root = Field(node: merged, path: Path(""), log: log)
    root.check(Ledger.root)
    var reading = ProjectReading(around: around, files: files)
    reading.read(root)
    try log.check()
    var active = options.profiles
    active += split(variables["COMPOSE_PROFILES"] ?? "", by: ",")
    var project = try reading.finish(active: Set(active), named: options.services)
    project.files = sources.paths
    return LoadedProject(project: project, warnings: log.warnings, environment: variables)
}

/// `-p`, then COMPOSE_PROJECT_NAME, then the last file's `name`, then the directory's name.
private func projectName(
    _ options: LoadOptions, _ sources: ProjectFiles, _ documents: [Node], _ variables: [String: String]
) throws(Failure) -> String {
    func refuse(_ name: String, _ origin: String, at place: Place?) -> Failure {
        let normal = normalizedProjectName(name)
        return Failure(
            "\(origin) is \"\(name)\"; a project's name has lower-case letters, digits, \"-\" and \"_\", and begins with a letter or digit",
            advice: normal.isEmpty ? nil : "did you mean \"\(normal)\"?", at: place?.location)
    }
    if let name = options.projectName, !name.isEmpty {
        guard normalizedProjectName(name) == name else { throw refuse(name, "-p", at: nil) }
        return name
    }
    if let name = variables["COMPOSE_PROJECT_NAME"], !name.isEmpty {
        guard normalizedProjectName(name) == name else { throw refuse(name, "COMPOSE_PROJECT_NAME", at: nil) }
        return name
    }
    for document in documents.reversed() {
        guard let node = document.mapping?["name"], let text = node.text else { continue }
        let template = Template(lookup: { variables[$0] }, onMissing: { _, _ in })
        // What is wrong with the variables in it is reported with its place when the whole file is read.
        guard let name = try? template.expand(text), !name.isEmpty else { continue }
        guard normalizedProjectName(name) == name else { throw refuse(name, "`name`", at: node.place) }
        return name
    }
    let name = normalizedProjectName(baseName(sources.directory))
    guard !name.isEmpty else {
        throw Failure(
            "the project has no name", cause: "nothing of \"\(baseName(sources.directory))\" can be in one",
            advice: "give one with -p or `name:`")
    }
    return name
}
