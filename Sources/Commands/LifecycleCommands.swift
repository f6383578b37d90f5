// SPDX-License-Identifier: Apache-2.0
//
// `down`, `start`, `stop`, `restart`, `kill`: one request each, followed to its end.

internal import Basics
internal import Controller
internal import Kernel
internal import Planning
internal import Volumes

func runDown(_ session: Session) throws(Failure) -> Int32 {
    try takeDown(session, services: session.arguments.operands)
}

/// Takes the services down, with all that depend on them; the whole project where none is named.
func takeDown(_ session: Session, services: [String]) throws(Failure) -> Int32 {
    let place = try session.place()
    var options = Controller.DownOptions()
    options.volumes = session.arguments.has(.volumes)
    options.timeout = try session.arguments.duration(.timeout)
    options.external = session.externalNames()
    options.declaredVolumes = session.declaredVolumes()
    if session.arguments.has(.dryRun) { return try rehearseDown(options, services, session, place) }
    if !services.isEmpty {
        if try downServices(options, services, session, place) { return 0 }
        // Nothing is left that would need the rest; volumes went with those that had them.
        options.volumes = false
    }
    /// Volumes of an earlier `down` without --volumes.
    func hasVolumes() throws(Failure) -> Bool {
        guard options.volumes else { return false }
        return try !leftVolumes(options, place).isEmpty
    }
    func open() throws(Failure) -> ControlClient? {
        if let running = try ControlClient.connect(to: place) { return running }
        if !exists(place.directory), !exists(place.runDirectory), !(try hasVolumes()) { return nil }
        return try startController(place, environment: session.invocation.environment)
    }
    let images = try imagesToRemove(session, of: services)
    let provided = try ProvidedServices(place).all()
    let progress = try session.progress("down")
    let nothing = "nothing to take down: project \"\(place.project)\" is not up"
    guard let client = try open() else {
        // An `up` that ended early, or a `down` whose provider failed, may have left these alone.
        if !provided.isEmpty { try endProviders(provided, .down, session, place) }
        if try !removeImages(images, session, progress), provided.isEmpty { progress.notice(nothing) }
        return 0
    }
    client.reopen = { () throws(Failure) in try open() }
    try client.send(.down(options))
    var keeper = KeeperHandle(of: place)
    var changed = false
    if !client.isGone {
        do throws(Failure) {
            let answer = try follow(client, place, progress)
            changed = answer.changed
            if answer.askedAgain { keeper = KeeperHandle(of: place) }
        } catch {
            // Another `down` came first: what was asked for is done.
            if !client.isGone { throw error }
        }
        try keeper.finishDown()
    }
    if !provided.isEmpty { try endProviders(provided, .down, session, place) }
    let removed = try removeImages(images, session, progress)
    if !changed, provided.isEmpty, !removed { progress.notice(nothing) }
    return 0
}

/// - Returns: whether containers of others are left; without them the project itself is to go.
private func downServices(
    _ options: Controller.DownOptions, _ named: [String], _ session: Session, _ place: ProjectPlace
) throws(Failure) -> Bool {
    let provided = try ProvidedServices(place).all().filter { named.contains($0.key) }
    var options = options
    options.services = named.filter { provided[$0] == nil }
    let progress = try session.progress("down")
    guard let client = try session.controller(place) else {
        if !provided.isEmpty {
            try endProviders(provided, .down, session, place)
            return true
        }
        progress.notice("nothing to take down: project \"\(place.project)\" is not up")
        return true
    }
    if options.services?.isEmpty == false {
        try client.send(.down(options))
        if try !follow(client, place, progress).changed, provided.isEmpty {
            progress.notice("nothing to take down: the services have no containers")
        }
    }
    if !provided.isEmpty { try endProviders(provided, .down, session, place) }
    let isLeft = try !session.containers(place).isEmpty
    // Otherwise they go with the project.
    if isLeft { _ = try removeImages(try imagesToRemove(session, of: named), session, progress) }
    return isLeft
}

/// The project's own volumes that are there, of an earlier `down` without --volumes among others.
private func leftVolumes(_ options: Controller.DownOptions, _ place: ProjectPlace) throws(Failure) -> [String]
{
    try VolumeStore(root: place.root).list()
        .filter { $0.project == place.project && options.external?.volumes.contains($0.name) != true }
        .map(\.name)
}

/// What `down` would do, its own part before the client's.
private func rehearseDown(
    _ options: Controller.DownOptions, _ named: [String], _ session: Session, _ place: ProjectPlace
) throws(Failure) -> Int32 {
    var lines: [String] = []
    var options = options
    let provided = try ProvidedServices(place).all().filter { named.isEmpty || named.contains($0.key) }
    let services = named.filter { provided[$0] == nil }
    if !named.isEmpty { options.services = services }
    if try session.controller(place) != nil {
        if named.isEmpty || !services.isEmpty { _ = try rehearse(.down(options), session) }
    } else if options.volumes, named.isEmpty {
        // Left by an earlier `down` without --volumes.
        lines = try leftVolumes(options, place).map { name in
            options.declaredVolumes?.contains(name) == false
                ? undeclaredVolumeNotice(name, of: place.project) : "remove volume \(name)"
        }
    }
    for (name, provider) in provided.sorted(by: { $0.key < $1.key }) {
        lines += provider.everyone.map { "take down \"\(name)\" by its provider \($0.type)" }
    }
    let store = try session.imageStore()
    for name in try imagesToRemove(session, of: named)
    where try store.lookUp(name, relativeTo: session.invocation.directory) != nil {
        lines.append("remove image \(name)")
    }
    if lines.isEmpty, try session.controller(place) == nil { lines.append("nothing to do") }
    for line in lines { session.out.line(line) }
    return 0
}

/// What `--rmi` names: `all`: every service's image; `local`: of those that are built, unless `image` gives them a name.
/// - Parameter named: services; none is all.
private func imagesToRemove(_ session: Session, of named: [String]) throws(Failure) -> [String] {
    guard let which = session.arguments.last(.removeImages) else { return [] }
    let project = try session.project()
    let services = (Array(project.services.values) + Array(project.disabledServices.values))
        .filter { named.isEmpty || named.contains($0.name) }
    let names = services.compactMap { service -> String? in
        if service.image == nil { return service.build == nil ? nil : project.imageName(of: service) }
        return which == "all" ? service.image : nil
    }
    return Set(names).sorted()
}

/// False when none of them was there.
private func removeImages(_ names: [String], _ session: Session, _ progress: Progress) throws(Failure) -> Bool
{
    guard !names.isEmpty else { return false }
    let store = try session.imageStore()
    let used = try layersInUse(root: session.root)
    var failures: [Failure] = []
    var removed = false
    for name in names {
        do throws(Failure) {
            guard try store.lookUp(name, relativeTo: session.invocation.directory) != nil else { continue }
            let task = progress.begin("Image", name, doing: "Removing", done: "Removed")
            try store.remove(name, relativeTo: session.invocation.directory, keeping: used)
            progress.update(task, .done)
            removed = true
        } catch {
            failures.append(error)
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    return removed
}

func runStart(_ session: Session) throws(Failure) -> Int32 {
    let services = session.arguments.operands
    let waits = session.arguments.has(.wait) || session.arguments.last(.waitTimeout) != nil
    let wait = waits ? ReadyWait(timeout: try session.arguments.duration(.waitTimeout)) : nil
    return try simple(
        session, "start", waits ? nil : "running", .start(services: services, wait: wait))
}

func runStop(_ session: Session) throws(Failure) -> Int32 {
    let timeout = try session.arguments.duration(.timeout)
    let names = session.arguments.operands
    let place = try session.place()
    let provided = try ProvidedServices(place).all()
    let services = names.filter { provided[$0] == nil }
    if names.isEmpty || !services.isEmpty {
        _ = try simple(session, "stop", "stopped", .stop(services: services, timeout: timeout))
    }
    let stopped = provided.filter { names.isEmpty || names.contains($0.key) }
    if session.arguments.has(.dryRun) {
        for name in stopped.keys.sorted() { session.out.line("stop \"\(name)\" by its provider") }
        return 0
    }
    if !stopped.isEmpty { try endProviders(stopped, .stop, session, place) }
    return 0
}

func runRestart(_ session: Session) throws(Failure) -> Int32 {
    let timeout = try session.arguments.duration(.timeout)
    return try simple(
        session, "restart", nil,
        .restart(
            services: session.arguments.operands, timeout: timeout,
            noDependencies: session.arguments.has(.noDependencies)))
}

func runKill(_ session: Session) throws(Failure) -> Int32 {
    let signal = session.arguments.last(.signal) ?? "SIGKILL"
    let orphans = session.arguments.has(.removeOrphans) ? try orphans(session) : []
    let code = try simple(
        session, "kill", nil, .kill(services: session.arguments.operands, signal: signal))
    if orphans.isEmpty { return code }
    return try simple(session, "kill", nil, .remove(services: orphans, stop: true))
}

/// Services that have containers and are declared no longer; one-off containers are their service's.
private func orphans(_ session: Session) throws(Failure) -> [String] {
    let project = try session.project()
    let declared = Set(project.services.keys).union(project.disabledServices.keys)
    let present = try session.containers(session.place(project.name)).filter { !$0.oneOff }
    return Set(present.map(\.service)).subtracting(declared).sorted()
}

/// Sends a request that needs a project that is up; with --dry-run asks what it would do.
func simple(_ session: Session, _ title: String, _ already: String?, _ request: ControlRequest)
    throws(Failure) -> Int32
{
    if session.arguments.has(.dryRun) { return try rehearse(request, session) }
    let client = try session.runningController()
    let place = try session.place()
    let progress = try session.progress(title)
    try client.send(request)
    let answer = try follow(client, place, progress)
    if !answer.changed, let already { progress.notice("nothing to do: already \(already)") }
    return 0
}

func runDebugLaunch(_ session: Session) throws(Failure) -> Int32 {
    let client = try session.runningController()
    let place = try session.place()
    try client.send(.launchProgram(service: session.arguments.operands.first ?? ""))
    let answer = try follow(client, place, Progress("launch", mode: .quiet, output: session.errors))
    session.out.write(answer.text.hasSuffix("\n") ? answer.text : "\(answer.text)\n")
    return 0
}
