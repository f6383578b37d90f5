// SPDX-License-Identifier: Apache-2.0
//
// `up`, `create` and `scale`: the declared project handed to the controller, which makes it so, or with --dry-run says what
// it would do.

internal import Basics
internal import ComposeModel
internal import ContainerModel
internal import Controller
internal import Kernel
internal import struct Planning.Lowered

func runUp(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    var project = try session.project()
    try checkServices(arguments.operands, project)
    try applyScale(session, to: &project)
    let place = session.place(project.name)
    let wait = arguments.has(.wait) || arguments.last(.waitTimeout) != nil
    let detached = arguments.has(.detach) || wait || arguments.has(.noStart)
    // The controller never hears of services others look after.
    let reach =
        (arguments.operands.isEmpty || arguments.has(.noDependencies)
        ? arguments.operands : withDependencies(arguments.operands, project).sorted())
        .filter { project.services[$0]?.provider == nil }
    let policy = try AbortPolicy(
        session, project, detached: detached,
        reach: reach.isEmpty ? project.services.keys.sorted() : reach)
    if arguments.has(.detach), arguments.has(.timestamps) || arguments.has(.noLogPrefix) {
        throw Failure("cannot show logs with --detach", advice: "leave --detach out, or run `covey logs`")
    }
    if wait, arguments.has(.noStart) {
        throw Failure("cannot wait for what is not started", advice: "leave out --no-start or --wait")
    }
    if detached, arguments.has(.watch) {
        throw Failure("cannot watch in the background", advice: "leave --watch or --detach out")
    }
    let attached = try attachedServices(arguments, project, detached: detached)
    var options = UpOptions()
    options.services = arguments.operands
    options.renewsVolumes = arguments.has(.renewVolumes)
    options.wait = wait ? ReadyWait(timeout: try arguments.duration(.waitTimeout)) : nil
    options.noStart = arguments.has(.noStart)
    let grace = try arguments.duration(.timeout)
    options.timeout = grace
    // Who waits for an end wants a run, not what is left of one before.
    options.rerunsCompleted = policy.trigger == .never ? nil : true
    let bringUp = try BringUp(session, project, options, title: "up")
    if arguments.has(.dryRun) { return try bringUp.rehearse() }
    // What is wrong with them is told before anything is started.
    let rules = arguments.has(.watch) ? try watchedRules(of: project, arguments.operands) : nil
    let prepared = try bringUp.prepare()
    let signals = try interruptSignals()
    let began = realtimeNanoseconds()
    let answer = try prepared.carryOut(signals)
    if answer.interrupted {
        if !detached { return try stopAfterInterrupt(session, place, signals, reach, grace) }
        return interruptedCode
    }
    if detached { return 0 }
    var watching: Watching?
    if let rules {
        let made = try Watching(WatchActions(session, project, place, signals), rules)
        if try made.begin() { return try stopAfterInterrupt(session, place, signals, reach, grace) }
        watching = made
    }
    return try attach(
        session, place, signals, services: attached,
        unattached: project.services.values.filter { $0.attach == false }.map(\.name).sorted(),
        since: began, stopping: reach, grace: grace, policy, watching)
}

/// The services whose output is shown and whose end is awaited; none for all.
private func attachedServices(_ arguments: Arguments, _ project: Project, detached: Bool) throws(Failure)
    -> [String]
{
    if arguments.has(.menu) {
        throw Failure(
            "cannot show a menu", cause: "there is none beneath the logs",
            advice: "leave --menu out; `--watch` follows changes of files")
    }
    for name in arguments.all(.attach) + arguments.all(.noAttach) { try checkServices([name], project) }
    guard arguments.has(.attachDependencies) else { return arguments.operands }
    guard arguments.all(.attach).isEmpty else {
        throw Failure(
            "cannot show dependencies beside services that are named one by one",
            advice: "leave --attach or --attach-dependencies out")
    }
    if detached {
        throw Failure(
            "cannot show logs in the background", advice: "leave out -d, --wait and --no-start, or this flag")
    }
    return arguments.operands.isEmpty ? [] : withDependencies(arguments.operands, project).sorted()
}

/// `create`: `up` that starts nothing.
func runCreate(_ session: Session) throws(Failure) -> Int32 {
    var project = try session.project()
    try checkServices(session.arguments.operands, project)
    try applyScale(session, to: &project)
    var options = UpOptions()
    options.services = session.arguments.operands
    options.noStart = true
    let bringUp = try BringUp(session, project, options, title: "create")
    if session.arguments.has(.dryRun) { return try bringUp.rehearse() }
    let answer = try bringUp.prepare().carryOut(try interruptSignals())
    return answer.interrupted ? interruptedCode : 0
}

/// `scale SERVICE=N…`: `up -d` of these services with other numbers.
func runScale(_ session: Session) throws(Failure) -> Int32 {
    var project = try session.project()
    var options = UpOptions()
    for text in session.arguments.operands {
        options.services.append(try applyScale(text, to: &project))
    }
    let bringUp = try BringUp(session, project, options, title: "scale")
    if session.arguments.has(.dryRun) { return try bringUp.rehearse() }
    let answer = try bringUp.prepare().carryOut(try interruptSignals())
    return answer.interrupted ? interruptedCode : 0
}

/// The declared project handed to the controller, with images made and progress shown.
struct BringUp {
    fileprivate let session: Session
    fileprivate var project: Project
    fileprivate var options: UpOptions
    fileprivate let title: String
    /// Build images that can be built, also those that exist.
    var builds: Bool
    /// What build steps write is not shown.
    var hidesBuilds = false

    /// Takes in the flags that `up`, `create` and `scale` share.
    init(_ session: Session, _ project: Project, _ options: UpOptions, title: String) throws(Failure) {
        let arguments = session.arguments
        self.session = session
        self.project = project
        self.options = options
        self.title = title
        builds = arguments.has(.build)
        if arguments.has(.noBuild) {
            guard !builds else {
                throw Failure("cannot build and not build", advice: "leave --build or --no-build out")
            }
            for name in project.services.keys { self.project.services[name]?.build = nil }
        }
        let orphans = try session.orphanChoice()
        self.options.removeOrphans = orphans == .removed
        self.options.ignoresOrphans = orphans == .ignored ? true : nil
        self.options.forceRecreate = arguments.has(.forceRecreate)
        self.options.noRecreate = arguments.has(.noRecreate)
        self.options.recreateDependencies = arguments.has(.alwaysRecreateDependencies)
        self.options.noDependencies = arguments.has(.noDependencies)
        if arguments.has(.noRecreate),
            arguments.has(.forceRecreate) || arguments.has(.alwaysRecreateDependencies)
        {
            throw Failure(
                "cannot recreate and not recreate", advice: "leave --no-recreate out, or the other flag")
        }
        guard !project.services.isEmpty else {
            throw Failure(
                "project \"\(project.name)\" has no service to start", cause: nil,
                advice: project.disabledServices.isEmpty
                    ? "declare one under `services`" : "switch some on with --profile")
        }
    }

    /// The services whose images are needed.
    fileprivate var wanted: Set<String> {
        options.noDependencies && !options.services.isEmpty
            ? Set(options.services) : withDependencies(options.services, project)
    }

    /// Everything that is this process's own work, pulling and building above all. Nothing of the project has changed
    /// yet, so a signal may end the process here as it ends others: it is listened for afterwards.
    func prepare() throws(Failure) -> PreparedUp {
        var (project, options) = (project, options)
        let progress = try session.progress(title)
        progress.showsDetails = !session.arguments.has(.quietBuild) && !hidesBuilds
        progress.showsLayers = !session.arguments.has(.quietPull)
        var images: ProjectImages
        do throws(Failure) {
            let provided = try provide(session, &project, wanted: wanted, runs: true, progress)
            try leaveToProviders(provided, &options)
            images = try resolveImages(session, &project, wanted: wanted, build: builds, progress)
        } catch {
            progress.end()
            throw error
        }
        switchOffIdle(&project, &images, except: wanted)
        let lowered = try lowered(session, project, images: images)
        return PreparedUp(
            session: session, projectName: project.name, options: options, lowered: lowered,
            progress: progress)
    }
}

extension BringUp {
    /// What it would change; nothing is fetched, built or made.
    func plan() throws(Failure) -> ShownPlan {
        var (project, options) = (project, options)
        let progress = Progress(title, mode: .quiet, output: session.errors)
        let provided = try provide(session, &project, wanted: wanted, runs: false, progress)
        try leaveToProviders(provided, &options)
        var images = try resolveImages(
            session, &project, wanted: wanted, build: builds, fetches: false, progress)
        switchOffIdle(&project, &images, except: wanted)
        let lowered = try lowered(session, project, images: images)
        let blobs = try desiredBlobs(lowered)
        let place = session.place(project.name)
        var running = try ControlClient.connect(to: place)
        if running == nil, exists(place.directory) {
            running = try startController(place, environment: session.invocation.environment)
        }
        guard let client = running else { return try firstPlan(place, desired: blobs[0], options: options) }
        try client.send(.plan(options), blobs: blobs)
        guard let shown = try follow(client, place, progress).plan else { throw session.hangup(place) }
        return shown
    }

    /// `--dry-run`: prints the plan.
    func rehearse() throws(Failure) -> Int32 {
        show(try plan(), of: project.name, session)
        return 0
    }
}

/// A project with its images there, ready for the controller.
struct PreparedUp {
    fileprivate let session: Session
    fileprivate let projectName: String
    fileprivate let options: UpOptions
    fileprivate let lowered: Lowered
    fileprivate let progress: Progress

    /// - Parameter signals: the first one ends the wait; what was begun goes on.
    func carryOut(_ signals: SignalStream?) throws(Failure) -> Answer {
        let place = session.place(projectName)
        // Before the description is written out: a new controller takes as long to begin.
        let client = try connectOrStart(place, session.invocation)
        let keeper = KeeperHandle(of: place)
        let answer: Answer
        do throws(Failure) {
            try client.send(.up(options), blobs: try desiredBlobs(lowered))
            answer = try follow(client, place, progress, signals: signals)
        } catch {
            // Refused before anything was made: the controller leaves, and what it was started with goes too.
            if error != lostController(place), !exists(place.directory) { try? keeper.finishDown() }
            throw error
        }
        if options.noStart {
            if !answer.interrupted, !answer.changed {
                progress.notice("project \"\(projectName)\" unchanged, its containers are created")
            }
        } else if let standing = answer.unchanged {
            progress.notice(
                unchangedText(projectName, running: standing.running, completed: standing.completed))
        }
        return answer
    }
}

/// The controller never hears of services others look after.
private func leaveToProviders(_ provided: Set<String>, _ options: inout UpOptions)
    throws(Failure)
{
    let named = options.services
    options.services.removeAll(where: provided.contains)
    guard !named.isEmpty, options.services.isEmpty else { return }
    throw Failure(
        "cannot bring up \"\(named[0])\" alone", cause: "a provider looks after it",
        advice: "name a service that depends on it, or none")
}

/// A service whose work is done does not run.
func unchangedText(_ project: String, running: Int, completed: Int) -> String {
    func services(_ count: Int) -> String { "\(count) service\(count == 1 ? "" : "s")" }
    var parts: [String] = []
    if running > 0 || completed == 0 { parts.append("\(services(running)) running") }
    if completed > 0 { parts.append("\(parts.isEmpty ? services(completed) : "\(completed)") completed") }
    return "project \"\(project)\" unchanged, \(parts.joined(separator: ", "))"
}
