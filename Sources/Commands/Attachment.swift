// SPDX-License-Identifier: Apache-2.0
//
// Attachment: `up` in the foreground, after everything runs: logs of all services until they have ended, or Ctrl-C.
// The first Ctrl-C asks the controller to stop the services, in its order; the second kills them.

internal import Basics
internal import Controller
internal import Kernel

/// Shows logs until all containers ended or the user had enough; the exit code.
func attach(
    _ session: Session, _ place: ProjectPlace, _ signals: SignalStream, services: [String],
    unattached: [String], grace: Duration?, _ policy: AbortPolicy,
    _ watching: Watching? = nil
) throws(Failure) -> Int32 {
    guard let client = try ControlClient.connect(to: place) else { throw session.hangup(place) }
    let choice = LogChoice(services: services)
    let watch = try StatusWatch(client, choice)
    var shown = choice
    shown.only = session.arguments.all(.attach)
    // Named on the command line it is shown, whatever its `attach` says.
    shown.except = session.arguments.all(.noAttach) + unattached.filter { !shown.only.contains($0) }
    let style = LogPrinter.Style(
        prefix: !session.arguments.has(.noLogPrefix), times: session.arguments.has(.timestamps))
    let feed = LogFeed(
        project: place.project, choice: shown, tail: nil,
        printer: LogPrinter(out: session.out, errors: session.errors, style: style))
    var ending: Ending?
    var states: [String: ContainerStatus.State] = [:]
    var cause: ContainerStatus?
    /// Ctrl-C came, not an end of ours.
    var isInterrupted = false
    while true {
        let news = try watch.wait(
            signals: signals, logs: feed.wakeup, also: ending?.descriptor ?? watching?.descriptor ?? -1,
            atMost: LogFeed.look)
        if ending == nil { try watching?.look() }
        if let containers = news.containers {
            try feed.add(containers.filter { !$0.oneOff }.map(LogContainer.init))
        }
        try feed.printAvailable(last: news.ended)
        for container in news.containers ?? [] where !container.oneOff {
            let before = states.updateValue(container.state, forKey: container.name)
            if container.state == .exited, let before, before != .exited {
                let code = container.exitCodeKnown ? container.exitCode.map(String.init) ?? "?" : "unknown"
                feed.say("\(container.name) exited with code \(code)")
            }
        }
        if ending == nil, cause == nil, let found = policy.cause(among: news.containers ?? []) {
            cause = found
            feed.say("\(found.name) ended: stopping project \"\(place.project)\"")
            ending = try Ending(place, .stop(services: [], timeout: grace), session)
        }
        if news.signal != nil {
            isInterrupted = true
            if ending == nil {
                feed.say("stopping project \"\(place.project)\"; Ctrl-C again kills it")
                ending = try Ending(place, .stop(services: services, timeout: grace), session)
            } else if ending?.isKill == false {
                ending = try Ending(place, .kill(services: services, signal: "SIGKILL"), session)
            }
        }
        if let current = ending, try current.hasEnded() {
            try feed.printAvailable(last: true)
            if isInterrupted { return interruptedCode }
            return policy.code(cause: cause, try session.containers(place))
        }
        if news.ended || watch.everyoneEnded {
            try feed.printAvailable(last: true)
            if isInterrupted { return interruptedCode }
            return policy.code(cause: cause, news.ended ? [] : try session.containers(place))
        }
    }
}

/// Ctrl-C while `up` was still at work: stops what is there already.
func stopAfterInterrupt(
    _ session: Session, _ place: ProjectPlace, _ signals: SignalStream, _ grace: Duration?
)
    throws(Failure) -> Int32
{
    guard let client = try ControlClient.connect(to: place) else { return interruptedCode }
    try client.send(.stop(services: [], timeout: grace))
    let answer = try follow(client, place, try session.progress("stop"), signals: signals)
    guard answer.interrupted, let client = try ControlClient.connect(to: place) else {
        return interruptedCode
    }
    try client.send(.kill(services: [], signal: "SIGKILL"))
    _ = try follow(client, place, try session.progress("kill"))
    return interruptedCode
}

/// A `stop` or `kill` under way while logs are still shown.
private final class Ending {
    let isKill: Bool
    private let client: ControlClient?
    private var over = false

    init(_ place: ProjectPlace, _ request: ControlRequest, _ session: Session) throws(Failure) {
        if case .kill = request { isKill = true } else { isKill = false }
        client = try ControlClient.connect(to: place)
        try client?.send(request)
    }

    var descriptor: Int32 { over ? -1 : client?.descriptor ?? -1 }

    /// Reads what was said; true at the request's end, or when nobody is left to answer.
    func hasEnded() throws(Failure) -> Bool {
        guard let client, !over else { return true }
        let ready = try kernel("cannot wait for the controller") { () throws(SyscallError) in
            try waitReadable([client.descriptor], atMost: .zero)
        }
        if ready[0], try !client.fill() { over = true }
        while let (event, _) = try client.nextBuffered() {
            switch event {
            case .done: over = true
            case .failed(let failure): throw failure
            default: break
            }
        }
        return over
    }
}
