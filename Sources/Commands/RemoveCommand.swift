// SPDX-License-Identifier: Apache-2.0
//
// `rm`: removes containers that don't run, after asking; `pause` and `unpause` are as short.

internal import Basics
internal import Controller
internal import Kernel

func runRemove(_ session: Session) throws(Failure) -> Int32 {
    let client = try session.runningController()
    let place = try session.place()
    let services = session.arguments.operands
    let stop = session.arguments.has(.stop)
    let all = try session.containers(place)
    try checkKnown(services, among: all.map(\.service), session)
    let chosen = all.filter {
        (services.isEmpty || services.contains($0.service)) && (stop || !$0.state.isUp)
    }
    // A service that has no container has nothing to remove; the controller would not know its name.
    let named = services.filter { name in chosen.contains { $0.service == name } }
    let request = ControlRequest.remove(services: services.isEmpty ? [] : named, stop: stop)
    if session.arguments.has(.dryRun), !chosen.isEmpty { return try rehearse(request, session) }
    let progress = try session.progress("rm")
    guard !chosen.isEmpty else {
        progress.notice("no stopped containers")
        return 0
    }
    if !session.arguments.has(.force) {
        session.errors.write("going to remove \(chosen.map(\.name).joined(separator: ", "))\nsure? [yN] ")
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            session.errors.line("nothing was removed")
            return 1
        }
    }
    try client.send(request)
    _ = try follow(client, place, progress)
    return 0
}

func runPause(_ session: Session) throws(Failure) -> Int32 {
    try simple(session, "pause", "paused", .pause(services: session.arguments.operands))
}

func runUnpause(_ session: Session) throws(Failure) -> Int32 {
    try simple(session, "unpause", "running", .unpause(services: session.arguments.operands))
}
