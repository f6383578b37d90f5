// SPDX-License-Identifier: Apache-2.0
//
// `down`, `start`, `stop`, `restart`, `kill`: one request each, followed to its end.

internal import Basics
internal import Controller
internal import Kernel
internal import Volumes

func runDown(_ session: Session) throws(Failure) -> Int32 {
    let place = try session.place()
    var options = DownOptions()
    options.volumes = session.arguments.has(.volumes)
    options.timeout = try session.arguments.duration(.timeout)
    /// Volumes of an earlier `down` without --volumes.
    func hasVolumes() throws(Failure) -> Bool {
        guard options.volumes else { return false }
        return try VolumeStore(root: place.root).list().contains { $0.project == place.project }
    }
    func open() throws(Failure) -> ControlClient? {
        if let running = try ControlClient.connect(to: place) { return running }
        if !exists(place.directory), !exists(place.runDirectory), !(try hasVolumes()) { return nil }
        return try startController(place, environment: session.invocation.environment)
    }
    let provided = keptProviders(place)
    let progress = try session.progress("down")
    let nothing = "nothing to take down: project \"\(place.project)\" is not up"
    guard let client = try open() else {
        progress.notice(nothing)
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
    if !provided.isEmpty { try releaseProviders(provided, session, place) }
    if !changed, provided.isEmpty { progress.notice(nothing) }
    return 0
}

func runStart(_ session: Session) throws(Failure) -> Int32 {
    try simple(session, "start", "running", .start(services: session.arguments.operands))
}

func runStop(_ session: Session) throws(Failure) -> Int32 {
    let timeout = try session.arguments.duration(.timeout)
    return try simple(
        session, "stop", "stopped", .stop(services: session.arguments.operands, timeout: timeout))
}

func runRestart(_ session: Session) throws(Failure) -> Int32 {
    let timeout = try session.arguments.duration(.timeout)
    return try simple(
        session, "restart", nil, .restart(services: session.arguments.operands, timeout: timeout))
}

func runKill(_ session: Session) throws(Failure) -> Int32 {
    let signal = session.arguments.last(.signal) ?? "SIGKILL"
    return try simple(
        session, "kill", nil, .kill(services: session.arguments.operands, signal: signal))
}

/// Sends a request that needs a project that is up.
func simple(_ session: Session, _ title: String, _ already: String?, _ request: ControlRequest)
    throws(Failure) -> Int32
{
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
