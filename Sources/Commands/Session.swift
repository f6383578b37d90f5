// SPDX-License-Identifier: Apache-2.0
//
// Session: one run of one command: what was given, where output goes, and the project it is about. Everything is
// made when it is first asked for; `--help` pays for nothing.

internal import Basics
internal import CLinux
internal import ComposeLoader
internal import ComposeModel
internal import ContainerModel
internal import Controller
internal import Kernel
internal import Planning

final class Session {
    let invocation: Invocation
    let command: CommandDefinition
    let arguments: Arguments
    private let ansi: AnsiChoice
    private var loaded: LoadedProject?
    private var warned = false

    init(_ invocation: Invocation, _ command: CommandDefinition, _ arguments: Arguments) {
        var invocation = invocation
        // As with Docker Compose the flag stands for the variable, which registries and builds read.
        if let limit = arguments.last(.parallel) { invocation.environment["COMPOSE_PARALLEL_LIMIT"] = limit }
        self.invocation = invocation
        self.command = command
        self.arguments = arguments
        ansi = AnsiChoice(arguments, invocation)
    }

    var out: Output { ansi.output(invocation.output) }
    var errors: Output { ansi.output(invocation.errors) }

    /// COVEY_ROOT: images, volumes, what projects are.
    var root: String {
        invocation.absolute(arguments.last(.root) ?? invocation.variable("COVEY_ROOT") ?? "/var/lib/covey")
    }

    /// COVEY_RUN: sockets and what lives until the next boot.
    var run: String {
        invocation.absolute(arguments.last(.run) ?? invocation.variable("COVEY_RUN") ?? "/run/covey")
    }

    func place(_ project: String) -> ProjectPlace { ProjectPlace(project: project, root: root, run: run) }

    func progress(_ title: String) throws(Failure) -> Progress {
        let text = arguments.last(.progress) ?? invocation.variable("COMPOSE_PROGRESS") ?? "auto"
        guard let mode = ProgressMode(rawValue: text) else {
            throw Failure(
                "cannot understand COMPOSE_PROGRESS=\(text)",
                cause: "it is none of auto, tty, plain, json, quiet")
        }
        return Progress(title, mode: mode, output: errors)
    }

    /// The project of the Compose files, loaded once; what is worth saying about it goes to the error output.
    /// - Throws: also when this host does not honour all of it.
    func project() throws(Failure) -> Project {
        let loaded = try load()
        if !warned {
            for warning in loaded.warnings + loaded.notes { errors.line(warningText(warning)) }
        }
        warned = true
        try loaded.checkHonoured()
        return loaded.project
    }

    /// The project as the files say it, whether this host honours it or not.
    func understood() throws(Failure) -> LoadedProject {
        let loaded = try load()
        if !warned { for warning in loaded.warnings { errors.line(warningText(warning)) } }
        warned = true
        return loaded
    }

    /// What is external by the project's files; nil when there are none that can be read, as with `--project-name` elsewhere.
    func externalNames() -> ExternalNames? {
        guard let loaded = try? load() else { return nil }
        return Planning.externalNames(of: loaded.project)
    }

    /// Real names of the volumes the project's files declare, used or not; nil when the project is meant as it was brought up: as
    /// with Docker Compose that is what `--project-name` alone says, whatever files are beside.
    func declaredVolumes() -> [String]? {
        if arguments.last(.project) != nil, arguments.all(.file).isEmpty { return nil }
        guard let loaded = try? load() else { return nil }
        return loaded.project.declaredVolumes.sorted()
    }

    /// The project's files merged, with their variables in place.
    func plainModel() throws(Failure) -> PlainModel { try loadPlainModel(self) }

    /// The environment with the environment files.
    func variables() throws(Failure) -> [String: String] { try load().environment }

    private func load() throws(Failure) -> LoadedProject {
        if let loaded { return loaded }
        let new = try loadProject(self)
        loaded = new
        return new
    }

    /// Where the project's state is. With `--project-name` no Compose file is needed.
    func place() throws(Failure) -> ProjectPlace {
        if let name = arguments.last(.project) ?? invocation.variable("COMPOSE_PROJECT_NAME"),
            arguments.all(.file).isEmpty
        {
            return place(try checked(projectName: name))
        }
        // Only the name is asked for: what the files say of services is no news here.
        return place(try load().project.name)
    }

    /// 02-model.md: a name is a directory and a cgroup, so its letters are few.
    private func checked(projectName name: String) throws(Failure) -> String {
        let letters = name.utf8.allSatisfy {
            (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
        }
        guard let first = name.utf8.first, letters, first != 45, first != 95 else {
            throw Failure(
                "\"\(name)\" is no project name",
                cause: "lower-case letters, digits, `-` and `_` make one, the first a letter or digit")
        }
        return name
    }

    /// The project's controller, started when state is there to look after; nil when the project is not up.
    func controller(_ place: ProjectPlace) throws(Failure) -> ControlClient? {
        let client = try runningOrStarted(place)
        client?.reopen = { [self] () throws(Failure) in try runningOrStarted(place) }
        return client
    }

    private func runningOrStarted(_ place: ProjectPlace) throws(Failure) -> ControlClient? {
        if let running = try ControlClient.connect(to: place) { return running }
        guard exists("\(place.directory)/project.json") else { return nil }
        return try startController(place, environment: invocation.environment)
    }

    /// The project's controller, or the error that nothing is up.
    func runningController() throws(Failure) -> ControlClient {
        let place = try place()
        if let client = try controller(place) { return client }
        throw Failure(
            "project \"\(place.project)\" is not up", cause: "nothing of it is in \(place.directory)",
            advice: "run `covey up`")
    }

    /// The containers that exist, by name; empty when the project is not up.
    func containers(
        _ place: ProjectPlace, noticed: (String) -> Void = { _ in }
    ) throws(Failure) -> [ContainerStatus] {
        guard let client = try controller(place) else { return [] }
        return try containers(place, client, noticed: noticed)
    }

    /// The containers as one controller knows them.
    /// - Parameter noticed: hears what is in disorder.
    func containers(
        _ place: ProjectPlace, _ client: ControlClient, noticed: (String) -> Void = { _ in }
    ) throws(Failure) -> [ContainerStatus] {
        try client.send(.status)
        var found: [ContainerStatus] = []
        while let (event, _) = try client.next() {
            switch event {
            case .status(let containers): found = containers
            case .notice(let text): noticed(text)
            case .failed(let failure): throw failure
            case .done:
                return found.sorted { ($0.service, $0.index, $0.name) < ($1.service, $1.index, $1.name) }
            default: break
            }
        }
        throw hangup(place)
    }

    func hangup(_ place: ProjectPlace) -> Failure { lostController(place) }
}

/// The project's controller, started when none runs.
func connectOrStart(_ place: ProjectPlace, _ invocation: Invocation) throws(Failure) -> ControlClient {
    func open() throws(Failure) -> ControlClient {
        if let running = try ControlClient.connect(to: place) {
            forgoKeeper()
            return running
        }
        return try startController(place, environment: invocation.environment)
    }
    let client = try open()
    client.reopen = { () throws(Failure) in try open() }
    return client
}

/// Namespaces, mounts and cgroups need them; said before anything is tried.
func requireRoot(_ command: String) throws(Failure) {
    guard geteuid() == 0 else {
        throw Failure(
            "cannot run `covey \(command)`", cause: "no root rights: the user id is \(geteuid())",
            advice: "run it with sudo")
    }
}
