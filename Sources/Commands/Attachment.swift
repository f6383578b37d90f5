// SPDX-License-Identifier: Apache-2.0
//
// Attachment: `up` in the foreground, after everything runs: logs of all services until they have ended, or Ctrl-C.
// The first Ctrl-C asks the controller to stop the services, in its order; the second kills them.

internal import Basics
internal import Controller
internal import Kernel

/// Shows logs until all containers ended or the user had enough; the exit code.
/// - Parameters:
///   - began: Nanoseconds since 1970; what was said before is not shown again.
///   - reach: The services Ctrl-C and an end that counts stop; none for all.
func attach(
    _ session: Session, _ place: ProjectPlace, _ signals: SignalStream, services: [String],
    unattached: [String], since began: Int64, stopping reach: [String], grace: Duration?,
    _ policy: AbortPolicy, _ watching: Watching? = nil
) throws(Failure) -> Int32 {
    forgoKeeper(waits: true)
    guard let client = try session.controller(place) else { throw session.hangup(place) }
    let choice = LogChoice(services: services)
    let watch = try StatusWatch(session, place, client, choice)
    var shown = choice
    shown.only = session.arguments.all(.attach)
    // Named on the command line it is shown, whatever its `attach` says.
    shown.except = session.arguments.all(.noAttach) + unattached.filter { !shown.only.contains($0) }
    let style = LogPrinter.Style(
        prefix: !session.arguments.has(.noLogPrefix), times: session.arguments.has(.timestamps))
    let feed = LogFeed(
        project: place.project, choice: shown, tail: nil,
        printer: LogPrinter(out: session.out, errors: session.errors, style: style),
        period: began...Int64.max)
    watching?.show(feed)
    var ending: Ending?
    var ends = TellingEnds(since: began, of: shown)
    var cause: ContainerStatus?
    /// Ctrl-C came, not an end of ours.
    var isInterrupted = false
    while true {
        let news = try watch.wait(
            signals: signals, logs: feed.wakeup, also: ending?.descriptor ?? watching?.descriptor ?? -1,
            atMost: feed.patience)
        var isSignalled = news.signal != nil
        if ending == nil, !isSignalled { isSignalled = try watching?.look() ?? false }
        if let containers = news.containers {
            try feed.update(to: containers.filter { !$0.oneOff }.map(LogContainer.init))
        }
        try feed.printAvailable(last: news.ended)
        for text in ends.texts(of: news.containers ?? []) { feed.say(text) }
        if ending == nil, cause == nil, let found = policy.cause(among: news.containers ?? []) {
            cause = found
            feed.say("\(found.name) ended: stopping \(stoppedText(reach, place))")
            ending = try Ending(place, .stop(services: reach, timeout: grace), session)
        }
        if isSignalled {
            isInterrupted = true
            if ending == nil {
                feed.say("stopping \(stoppedText(reach, place)); Ctrl-C again kills it")
                ending = try Ending(place, .stop(services: reach, timeout: grace), session)
            } else if ending?.isKill == false {
                ending = try Ending(place, .kill(services: reach, signal: "SIGKILL"), session)
            }
        }
        if let current = ending, try current.hasEnded() {
            try feed.printAvailable(last: true)
            // The answer may come before the news of the last one's end.
            let containers = try session.containers(place)
            for text in ends.texts(of: containers) { feed.say(text) }
            if isInterrupted { return interruptedCode }
            return policy.code(cause: cause, containers)
        }
        if news.ended || ending == nil && watch.everyoneEnded {
            try feed.printAvailable(last: true)
            if isInterrupted { return interruptedCode }
            // Taken down by another: nobody can say how what was waited for ended.
            if news.ended { return policy.trigger == .never ? 0 : 1 }
            return policy.code(cause: cause, try session.containers(place))
        }
    }
}

/// Ctrl-C while `up` was still at work: stops what is there already.
func stopAfterInterrupt(
    _ session: Session, _ place: ProjectPlace, _ signals: SignalStream, _ services: [String],
    _ grace: Duration?
)
    throws(Failure) -> Int32
{
    guard let client = try ControlClient.connect(to: place) else { return interruptedCode }
    try client.send(.stop(services: services, timeout: grace))
    let answer = try follow(client, place, try session.progress("stop"), signals: signals)
    guard answer.interrupted, let client = try ControlClient.connect(to: place) else {
        return interruptedCode
    }
    try client.send(.kill(services: services, signal: "SIGKILL"))
    _ = try follow(client, place, try session.progress("kill"))
    return interruptedCode
}

private func stoppedText(_ services: [String], _ place: ProjectPlace) -> String {
    services.isEmpty ? "project \"\(place.project)\"" : services.joined(separator: ", ")
}

/// Which ends are still to be told: each once, of those that are shown, and none of before.
private struct TellingEnds {
    let began: Int64
    let choice: LogChoice
    /// When the end that was told last came, by container.
    private var told: [String: Int64] = [:]

    init(since began: Int64, of choice: LogChoice) {
        self.began = began
        self.choice = choice
    }

    mutating func texts(of containers: [ContainerStatus]) -> [String] {
        var texts: [String] = []
        for container in containers where container.state == .exited && !container.oneOff {
            guard let at = container.finishedAt, at >= began, told[container.name] != at,
                choice.wants(LogContainer(container))
            else { continue }
            told[container.name] = at
            let code = container.exitCodeKnown ? container.exitCode.map(String.init) ?? "?" : "unknown"
            texts.append("\(container.name) exited with code \(code)")
        }
        return texts
    }
}

/// A `stop` or `kill` under way while logs are still shown.
private final class Ending {
    let isKill: Bool
    private let client: ControlClient?
    private var over = false

    init(_ place: ProjectPlace, _ request: ControlRequest, _ session: Session) throws(Failure) {
        if case .kill = request { isKill = true } else { isKill = false }
        client = try session.controller(place)
        try client?.send(request)
    }

    var descriptor: Int32 { over ? -1 : client?.descriptor ?? -1 }

    /// Reads what was said; true at the request's end, or when the project is down. A controller that was lost meanwhile
    /// has another after it, which is asked the same.
    func hasEnded() throws(Failure) -> Bool {
        guard let client, !over else { return true }
        let ready = try kernel("cannot wait for the controller") { () throws(SyscallError) in
            try waitReadable([client.descriptor], atMost: .zero)
        }
        let hungUp = ready[0] ? try !client.fill() : false
        while let (event, _) = try client.nextBuffered() {
            switch event {
            case .done: over = true
            case .failed(let failure): throw failure
            default: break
            }
        }
        if hungUp, !over { over = try !client.sendAgain() }
        return over
    }
}
