// SPDX-License-Identifier: Apache-2.0
//
// Loading, in the order of compose-go's parsing.md: parse, put variables in, extends, include, merge, hold against
// the ledger, read into the model, profiles, consistency. Each step reports all it finds; a step that found
// errors is the last, so that one mistake is not told twice.
//
// Loading is one thing and honouring another: what the model has and this host has not comes back as refusals.

public import Basics
internal import ComposeModel
internal import YAMLTree

/// Loads a project.
/// - Throws: every problem of the step that failed, each with its place.
public func loadProject(_ options: LoadOptions, reading files: FileAccess) throws(Failure) -> LoadedProject {
    let merged = try MergedFiles(options, files, interpolates: true)
    let log = merged.log
    let around = merged.surroundings(options)
    if options.checksConsistency {
        checkDependencies(merged.root, log)
        try log.check()
    }
    let root = Field(node: merged.root, path: Path(""), log: log)
    root.check(Ledger.root)
    // As many as are told: reading on would only count.
    if log.isFull { try log.check() }
    var reading = ProjectReading(around: around, files: files, options: options)
    reading.read(root)
    try log.check()
    // The variable is asked only when the command line says nothing (compose-go, cli/options.go, WithDefaultProfiles).
    var active = options.profiles
    if active.isEmpty {
        active = split(merged.variables["COMPOSE_PROFILES"] ?? "", by: ",").map(trimmed)
    }
    var project = try reading.finish(active: Set(active), named: options.services)
    project.files = merged.paths
    let services = project.services.keys
    return LoadedProject(
        project: project, warnings: log.warnings, refusals: log.held(stopping: true, services: services),
        notes: log.held(stopping: false, services: services), environment: merged.variables)
}

/// A project's files merged to one tree, before anything in it is understood.
struct MergedFiles {
    let log = Diagnostics()
    let projectName: String
    let root: Node
    let origins: Origins
    let paths: [String]
    var variables: [String: String] { origins.all[0].variables }

    init(_ options: LoadOptions, _ files: FileAccess, interpolates: Bool) throws(Failure) {
        let sources = try ProjectFiles(options, files, log)
        paths = sources.paths
        let reader = FileReader(files: files, log: log, displayName: sources.displayName)
        var documents: [(path: String, roots: [Node])] = []
        for path in sources.paths {
            documents.append((path, reader.documents(path, origin: 0, at: nil)))
        }
        try log.check()
        var variables = sources.variables
        projectName = try ComposeLoader.projectName(
            options, sources.directory, documents.flatMap(\.roots), variables)
        variables["COMPOSE_PROJECT_NAME"] = projectName
        origins = Origins(Origin(directory: sources.directory, variables: variables))
        let assembly = Assembly(
            reader: reader, files: files, log: log, origins: origins, interpolates: interpolates)
        let assembled = assembly.merge(documents, origin: 0, within: [])
        try log.check()
        guard let assembled else { throw Failure("the project is empty") }
        root = assembled
    }

    func surroundings(_ options: LoadOptions) -> Surroundings {
        Surroundings(
            projectName: projectName, home: variables["HOME"], origins: origins,
            resolvesPaths: options.resolvesPaths, normalizes: options.normalizes,
            resolvesEnvironment: options.resolvesEnvironment, log: log)
    }
}

/// Without white space at its ends.
private func trimmed(_ text: String) -> String {
    let start = text.drop(while: \.isWhitespace)
    guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(start[...last])
}

/// `-p`, then COMPOSE_PROJECT_NAME, then the last file's `name`, then the directory's name.
private func projectName(
    _ options: LoadOptions, _ directory: String, _ documents: [Node], _ variables: [String: String]
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
    let name = normalizedProjectName(baseName(directory))
    guard !name.isEmpty else {
        throw Failure(
            "the project has no name", cause: "nothing of \"\(baseName(directory))\" can be in one",
            advice: "give one with -p or `name:`")
    }
    return name
}
