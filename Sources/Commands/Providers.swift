// SPDX-License-Identifier: Apache-2.0
//
// Services with a `provider`: others look after them. Before containers are asked for, each is brought up, and what it
// says stands in the environment of those that depend on it; the controller never sees the service. What was brought
// up is kept (ProvidedServices.swift), so that `down` needs no Compose file, and a plan no provider.

internal import Basics
internal import ComposeLoader
internal import ComposeModel
internal import ContainerModel
internal import Controller
internal import JSONFormat
internal import Kernel
internal import Planning

/// Takes the provided services out of the project, with what depends on them told how to reach them.
/// - Parameter runs: false takes what they said last time.
/// - Returns: the services' names.
func provide(
    _ session: Session, _ project: inout Project, wanted: Set<String>, runs: Bool, _ progress: Progress
) throws(Failure) -> Set<String> {
    let names = project.services.keys.filter { project.services[$0]?.provider != nil }
    if names.isEmpty { return [] }
    let record = ProvidedServices(session.place(project.name))
    let before = try record.all()
    for name in try inOrder(names.sorted(), project) {
        guard let service = project.services[name], let provider = service.provider else { continue }
        var request = ProvidedService(type: provider.type, options: provider.options)
        request.variables = before[name]?.variables ?? []
        // Only the program that made something knows how to take it down.
        let others = before[name]?.everyone.filter { $0.type != provider.type } ?? []
        request.former = others.isEmpty ? nil : others
        if runs, wanted.contains(name) {
            let task = progress.begin("Provider", name, doing: "Creating", done: "Created")
            do throws(Failure) {
                try bringUp(name, &request, before[name], record, session, project, progress)
                progress.update(task, .done)
            } catch {
                progress.update(task, .failed)
                throw error
            }
        }
        try hand(request.variables, from: name, to: &project) { progress.notice($0) }
    }
    for name in names {
        project.services[name] = nil
        for other in project.services.keys { project.services[other]?.dependsOn[name] = nil }
    }
    return Set(names)
}

/// Has one provider at work, and what it may have made written down before it begins.
private func bringUp(
    _ name: String, _ request: inout ProvidedService, _ before: ProvidedService?, _ record: ProvidedServices,
    _ session: Session, _ project: Project, _ progress: Progress
) throws(Failure) {
    let run = try providerRun("up", name, request, session, project)
    try record.keep(name, request)
    do throws(Failure) {
        let outcome = try run.run(errors: session.invocation.errors) { progress.notice("\(name): \($0)") }
        request.variables = outcome.variables.map { "\($0.name)=\($0.value)" }
    } catch {
        request.isRefused = before?.type == request.type ? before?.isRefused == true : true
        try record.keep(name, request)
        throw error
    }
    try record.keep(name, request)
}

/// Those that others need first.
private func inOrder(_ names: [String], _ project: Project) throws(Failure) -> [String] {
    var done: [String] = []
    var rest = names
    for name in names {
        for other in (project.services[name]?.dependsOn ?? [:]).keys.sorted() where !names.contains(other) {
            throw Failure(
                "service \"\(name)\" has a provider and depends on \"\(other)\", which is a container",
                cause: "providers are run before containers", advice: "remove this `depends_on`",
                at: project.services[name]?.marks["depends_on"])
        }
    }
    while !rest.isEmpty {
        let ready = rest.filter { name in
            (project.services[name]?.dependsOn ?? [:]).keys.allSatisfy { done.contains($0) }
        }
        // A ring was refused when the project was loaded.
        if ready.isEmpty { break }
        done += ready
        rest.removeAll { ready.contains($0) }
    }
    return done + rest
}

private func hand(
    _ variables: [String], from name: String, to project: inout Project, _ warn: (String) -> Void
) throws(Failure) {
    for other in project.services.keys.sorted() where project.services[other]?.dependsOn[name] != nil {
        for text in variables {
            let key = String(text.prefix { $0 != "=" })
            let value = String(text.dropFirst(key.count + 1))
            if let given = project.services[other]?.environment[key], given != value,
                !key.hasPrefix(variablePrefix(name))
            {
                warn("\(key) of service \"\(other)\" is what the provider of \"\(name)\" says")
            }
            project.services[other]?.environment[key] = value
        }
    }
}

private func providerRun(
    _ verb: String, _ name: String, _ request: ProvidedService, _ session: Session, _ project: Project
) throws(Failure) -> ProviderRun {
    var definition = "{}"
    if let whole = try? parseJSON(Array(renderJSON(project).utf8)), let own = whole["services"]?[name] {
        var bytes: [UInt8] = []
        own.write(to: &bytes)
        definition = String(decoding: bytes, as: UTF8.self)
    }
    return try providerRun(
        verb, name, request, session, project: project.name, directory: project.directory, definition)
}

private func providerRun(
    _ verb: String, _ name: String, _ request: ProvidedService, _ session: Session, project: String,
    directory: String, _ definition: String
) throws(Failure) -> ProviderRun {
    let environment = session.invocation.environment
    let program = try providerProgram(request.type, path: environment["PATH"] ?? "/usr/bin:/bin")
    var options: [String] = []
    for (key, values) in request.options.sorted(by: { $0.key < $1.key }) {
        for value in values { options.append("--\(key)=\(value)") }
    }
    return ProviderRun(
        service: name, program: program,
        arguments: [program, "compose", "--project-name=\(project)", verb] + options + [name],
        environment: environment, directory: exists(directory) ? directory : "/", definition: definition)
}

/// What is asked of a provider at the end.
enum ProviderEnd: String {
    /// It will be asked to bring the service up again.
    case stop
    case down
}

/// Stops what was provided, or gives it back, after the containers that used it. All are tried; the failures are one. What was
/// not given back is asked for again by the next `down`.
func endProviders(
    _ provided: [String: ProvidedService], _ end: ProviderEnd, _ session: Session, _ place: ProjectPlace
) throws(Failure) {
    var failures: [Failure] = []
    let record = ProvidedServices(place)
    let progress = try session.progress(end.rawValue)
    defer { progress.end() }
    for (name, service) in provided.sorted(by: { $0.key < $1.key }) {
        var left = service.everyone
        for request in end == .stop ? Array(left.prefix(1)) : left {
            if end == .stop, request.isRefused == true { continue }
            let (doing, done) = end == .stop ? ("Stopping", "Stopped") : ("Removing", "Removed")
            let title = request.type == service.type ? name : "\(name) of \(request.type)"
            let task = progress.begin("Provider", title, doing: doing, done: done)
            do throws(Failure) {
                let run = try providerRun(
                    end.rawValue, name, request, session, project: place.project,
                    directory: session.invocation.directory, "{}")
                _ = try run.run(errors: session.invocation.errors) { progress.notice("\(name): \($0)") }
                progress.update(task, .done)
            } catch {
                progress.update(task, .failed)
                guard end == .down, request.isRefused == true else {
                    failures.append(error)
                    continue
                }
                // It was never up: asked once for what it may have left, it keeps nobody for ever.
                progress.notice("\(error.doing); it could not bring it up before, and is not asked again")
            }
            guard end == .down else { continue }
            left.removeAll { $0 == request }
            do throws(Failure) { try record.keep(name, only: left) } catch { failures.append(error) }
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
}
