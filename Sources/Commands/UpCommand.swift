// SPDX-License-Identifier: Apache-2.0
//
// `up` and `plan`: the declared project handed to the controller, which makes it so or says what it would do.

internal import Basics
internal import ComposeModel
internal import Controller
internal import Kernel
internal import struct Planning.LoweredImage

func runUp(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    var project = try session.project()
    try checkServices(arguments.operands, project)
    try applyScale(session, to: &project)
    guard !project.services.isEmpty else {
        throw Failure(
            "project \"\(project.name)\" has no service to start", cause: nil,
            advice: project.disabledServices.isEmpty
                ? "declare one under `services`" : "switch some on with --profile")
    }
    let place = session.place(project.name)
    let wait = arguments.has(.wait) || arguments.last(.waitTimeout) != nil
    let detached = arguments.has(.detach) || wait
    if arguments.has(.detach), arguments.has(.timestamps) || arguments.has(.noLogPrefix) {
        throw Failure("cannot show logs with --detach", advice: "leave --detach out, or run `covey logs`")
    }
    var options = UpOptions()
    options.services = arguments.operands
    options.forceRecreate = arguments.has(.forceRecreate)
    options.removeOrphans = arguments.has(.removeOrphans)
    options.renewsVolumes = arguments.has(.renewVolumes)
    options.wait = wait
    options.waitTimeout = try arguments.duration(.waitTimeout)
    let grace = try arguments.duration(.timeout)

    let wanted = withDependencies(arguments.operands, project)
    let progress = try session.progress("up")
    let images: [String: LoweredImage]
    do throws(Failure) {
        images = try resolveImages(
            session, &project, wanted: wanted, build: arguments.has(.build), progress)
    } catch {
        progress.end()
        throw error
    }
    let lowered = try lowered(session, project, images: images)
    let signals = try interruptSignals()
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
    if answer.interrupted {
        if !detached { return try stopAfterInterrupt(session, place, signals, grace) }
        return interruptedCode
    }
    if let standing = answer.unchanged {
        progress.notice(unchangedText(project.name, running: standing.running, completed: standing.completed))
    }
    if detached { return 0 }
    return try attach(session, place, signals, services: arguments.operands, grace: grace)
}

/// A service whose work is done does not run.
func unchangedText(_ project: String, running: Int, completed: Int) -> String {
    func services(_ count: Int) -> String { "\(count) service\(count == 1 ? "" : "s")" }
    var parts: [String] = []
    if running > 0 || completed == 0 { parts.append("\(services(running)) running") }
    if completed > 0 { parts.append("\(parts.isEmpty ? services(completed) : "\(completed)") completed") }
    return "project \"\(project)\" unchanged, \(parts.joined(separator: ", "))"
}

func runPlan(_ session: Session) throws(Failure) -> Int32 {
    var project = try session.project()
    try checkServices(session.arguments.operands, project)
    try applyScale(session, to: &project)
    let place = session.place(project.name)
    var options = UpOptions()
    options.services = session.arguments.operands
    options.forceRecreate = session.arguments.has(.forceRecreate)
    options.removeOrphans = session.arguments.has(.removeOrphans)
    let progress = Progress("plan", mode: .quiet, output: session.errors)
    let wanted = withDependencies(session.arguments.operands, project)
    let images = try resolveImages(session, &project, wanted: wanted, build: false, progress)
    let blobs = try desiredBlobs(try lowered(session, project, images: images))
    let plan: ShownPlan
    var running = try ControlClient.connect(to: place)
    if running == nil, exists(place.directory) {
        running = try startController(place, environment: session.invocation.environment)
    }
    if let client = running {
        try client.send(.plan(options), blobs: blobs)
        guard let shown = try follow(client, place, progress).plan else { throw session.hangup(place) }
        plan = shown
    } else {
        plan = try firstPlan(place, desired: blobs[0], options: options)
    }
    if session.arguments.last(.format) == "json" {
        session.out.write(plan.json.hasSuffix("\n") ? plan.json : "\(plan.json)\n")
    } else if plan.operations == 0 {
        session.out.line("nothing to do: project \"\(project.name)\" is as declared")
    } else {
        session.out.write(plan.text.hasSuffix("\n") ? plan.text : "\(plan.text)\n")
    }
    return plan.operations == 0 ? 0 : 2
}
