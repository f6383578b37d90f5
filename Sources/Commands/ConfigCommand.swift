// SPDX-License-Identifier: Apache-2.0
//
// `config`: the Compose file checked and printed as it was understood, also what this host does not honour; or one
// thing of it, a line each.

internal import Basics
internal import CLinux
internal import ComposeLoader
internal import ComposeModel
internal import Kernel

func runConfig(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    if arguments.has(.quiet) {
        let project = try session.understood().project
        try checkServices(arguments.operands, project)
        return 0
    }
    let text = try configText(session)
    guard let path = arguments.last(.output) else {
        session.out.write(text)
        return 0
    }
    let target = session.invocation.absolute(path)
    if arguments.has(.dryRun) {
        session.errors.line("would write \(target)")
        return 0
    }
    do throws(SyscallError) {
        // As a shell's `>`: into what a link leads to.
        let file = try openFile(target, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o666)
        try writeAll(file.raw, text.utf8, path: target)
    } catch {
        throw Failure("cannot write \(path)", error)
    }
    return 0
}

private func configText(_ session: Session) throws(Failure) -> String {
    let arguments = session.arguments
    let names = arguments.operands
    if arguments.has(.variables) { return variablesText(try session.plainModel(), arguments.last(.format)) }
    if arguments.has(.noInterpolate) {
        let model = try session.plainModel()
        if arguments.has(.services) { return lines(model.services.sorted()) }
        return arguments.last(.format) == "json" ? model.json : model.yaml
    }
    let loaded = try session.understood()
    var project = loaded.project
    if arguments.has(.environment) {
        return lines(loaded.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    }
    if arguments.has(.profiles) {
        let all = Array(project.services.values) + Array(project.disabledServices.values)
        return lines(Set(all.flatMap(\.profiles)).sorted())
    }
    try checkServices(names, project)
    if !names.isEmpty {
        let wanted = withDependencies(names, project)
        project.services = project.services.filter { wanted.contains($0.key) }
        if !project.keepsUnused, !arguments.has(.noNormalize) { project.dropUnusedResources() }
    }
    if arguments.has(.services) { return lines(project.services.keys.sorted()) }
    if arguments.has(.volumes) { return lines(project.volumes.keys.sorted()) }
    if arguments.has(.networks) { return lines(project.networks.keys.sorted()) }
    if arguments.has(.models) { return lines(project.models.values.map(\.model).sorted()) }
    if arguments.has(.images) {
        let images = project.services.sorted { $0.key < $1.key }.filter { $0.value.provider == nil }
        return lines(images.map { project.imageName(of: $0.value) })
    }
    if arguments.has(.resolveImageDigests) || arguments.has(.lockImageDigests) {
        project = try pinned(project, root: session.root)
        if arguments.has(.lockImageDigests) { return lockText(project, format: arguments.last(.format)) }
    }
    if let wanted = arguments.last(.hash) { return try hashText(wanted, project) }
    return arguments.last(.format) == "json" ? renderJSON(project) : renderYAML(project)
}

private func lines(_ lines: [String]) -> String { lines.map { "\($0)\n" }.joined() }

/// `SERVICE HASH`, of all for `*`.
private func hashText(_ wanted: String, _ project: Project) throws(Failure) -> String {
    let names =
        wanted == "*" ? Array(project.services.keys) : wanted.split(separator: ",").map(String.init)
    try checkServices(names, project)
    return lines(
        names.sorted().compactMap { name in
            project.services[name].map { "\(name) \(Digest(of: Array(renderForHash($0).utf8)).hex)" }
        })
}

/// The columns and the keys are Docker Compose's.
private func variablesText(_ model: PlainModel, _ format: String?) -> String {
    switch format {
    case "json":
        let members = model.variables.map { variable in
            (
                variable.name,
                JSONText.object([
                    ("Name", .string(variable.name)), ("DefaultValue", .string(variable.defaultValue)),
                    ("PresenceValue", .string(variable.presenceValue)),
                    ("Required", .bool(variable.isRequired)),
                ])
            )
        }
        return JSONText.object(members).compact + "\n"
    case "yaml":
        return model.variables.map { variable in
            """
            \(variable.name):
                name: \(variable.name)
                defaultvalue: \(quoted(variable.defaultValue))
                presencevalue: \(quoted(variable.presenceValue))
                required: \(variable.isRequired)

            """
        }.joined()
    default:
        return table(
            ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"],
            model.variables.map {
                [$0.name, $0.isRequired ? "true" : "false", $0.defaultValue, $0.presenceValue]
            })
    }
}
