// SPDX-License-Identifier: Apache-2.0
//
// `run`: asks for a one-off container and stays with it to its end. Without a terminal our own descriptors are the
// program's and nothing passes through here; with one we carry bytes between ours and the container's. Signals go on to
// the program; a controller that died meanwhile is asked again how the container ended.

internal import Basics
internal import CLinux
internal import ComposeModel
internal import ContainerModel
internal import Controller
internal import Kernel

func runOneOff(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    guard let name = arguments.operands.first else { return 1 }
    var project = try session.project()
    try checkServices([name], project)
    let place = session.place(project.name)
    let oneOff = try OneOffName(session, project, service: name)
    let (input, output) = (session.invocation.input, session.invocation.output)
    let detached = arguments.has(.detach)
    let terminal =
        detached
        ? project.services[name]?.tty ?? false && !arguments.has(.noTTY)
        : !arguments.has(.noTTY) && isTerminal(input) && isTerminal(output)

    let progress =
        arguments.has(.quiet)
        ? Progress("run", mode: .quiet, output: session.errors) : try session.progress("run")
    progress.showsLayers = !arguments.has(.quietPull)
    progress.showsDetails = !arguments.has(.quietBuild)
    let noDependencies = arguments.has(.noDependencies)
    let wanted = noDependencies ? [name] : withDependencies([name], project)
    let images: ProjectImages
    do throws(Failure) {
        _ = try provide(session, &project, wanted: wanted, runs: true, progress)
        images = try resolveImages(session, &project, wanted: wanted, build: arguments.has(.build), progress)
    } catch {
        progress.end()
        throw error
    }
    var changed = project
    if let service = project.services[name] {
        changed.services[name] = try oneOffService(
            session, service, project, slug: oneOff.slug, terminal: terminal)
    }
    if terminal, let kind = session.invocation.variable("TERM"),
        changed.services[name]?.environment["TERM"] == nil
    {
        changed.services[name]?.environment["TERM"] = kind
    }
    // Its program may be the command line's alone.
    var (others, ownImages) = (images, images)
    switchOffIdle(&project, &others, except: wanted.subtracting([name]))
    switchOffIdle(&changed, &ownImages, except: wanted)
    let declared = try lowered(session, project, images: others)
    let own = try lowered(session, changed, images: ownImages)
    guard let request = own.desired.services[name] else {
        throw Failure("cannot run \"\(name)\"", cause: "it or what it depends on has no image")
    }
    var options = RunOptions(
        service: oneOffRequest(request, oneOff, useAliases: arguments.has(.useAliases)),
        oneOff: OneOff(service: name, removeAtEnd: arguments.has(.remove)), volumes: own.desired.volumes)
    options.noDependencies = noDependencies
    let orphans = try session.orphanChoice()
    options.removeOrphans = orphans == .removed
    options.ignoresOrphans = orphans == .ignored ? true : nil
    options.detached = detached
    if let size = windowSize(of: output) {
        options.rows = Int(size.rows)
        options.columns = Int(size.columns)
    }
    return try follow(session, place, options, try desiredBlobs(declared), oneOff, progress)
}

private func follow(
    _ session: Session, _ place: ProjectPlace, _ options: RunOptions, _ blobs: [[UInt8]],
    _ oneOff: OneOffName,
    _ progress: Progress
) throws(Failure) -> Int32 {
    let invocation = session.invocation
    let takesInput = !session.arguments.isOff(.interactive)
    let null = try kernel("cannot open /dev/null") { () throws(SyscallError) in try openFile("/dev/null") }
    let descriptors =
        options.detached || options.service.container.tty
        ? [] : [takesInput ? invocation.input : null.raw, invocation.output, invocation.errors]
    let signals = try kernel("cannot listen for signals") { () throws(SyscallError) in
        try SignalStream([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH])
    }
    let client = try connectOrStart(place, invocation)
    let keeper = KeeperHandle(of: place)
    let follower = OneOffFollower(session, place, oneOff.container, client, signals, progress)
    follower.takesInput = takesInput
    do throws(Failure) {
        try client.send(.run(options), blobs: blobs, descriptors: descriptors)
        switch try follower.awaitStart() {
        case .done: session.out.line(oneOff.container)
        case .ended(let code): return code
        case .running: return try follower.awaitEnd()
        }
        return 0
    } catch {
        progress.end()
        // Refused before anything was made: the controller leaves, and what it was started with goes too.
        if error != lostController(place), !exists(place.directory) { try? keeper.finishDown() }
        throw error
    }
}

/// A client of one one-off container.
private final class OneOffFollower {
    enum Start {
        /// A detached one.
        case done
        case running
        case ended(Int32)
    }

    var takesInput = true
    private let session: Session
    private let place: ProjectPlace
    private let container: String
    private var client: ControlClient
    private let signals: SignalStream
    private let progress: Progress
    private var interrupts = 0
    /// The operation that starts our container, and whether it was begun: from then on the program may run.
    private var startOperation: Int?
    private var isStarting = false
    /// The container's terminal, as long as we have one too.
    private var master: SharedFD?
    private var pending = PendingInput()
    /// Ours is gone: the container's is the controller's to read.
    private var leavesTerminal = false

    init(
        _ session: Session, _ place: ProjectPlace, _ container: String, _ client: ControlClient,
        _ signals: SignalStream, _ progress: Progress
    ) {
        self.session = session
        self.place = place
        self.container = container
        self.client = client
        self.signals = signals
        self.progress = progress
    }

    private func wait(_ descriptors: [Int32], writing: Bool = false, _ limit: Duration?) throws(Failure)
        -> [Bool]
    {
        try kernel("cannot wait for the controller") { () throws(SyscallError) in
            try waitReadable(descriptors, orWritable: writing ? master?.raw ?? -1 : -1, atMost: limit)
        }
    }

    /// Follows the bring-up until the program runs. A signal ends it, unless the program may run already: then it is kept
    /// for it, as a controller that dies is asked again.
    func awaitStart() throws(Failure) -> Start {
        defer { progress.end() }
        var answer = Answer()
        var first = 0
        var kept: [Int32] = []
        while true {
            while let (event, descriptors) = try client.nextBuffered() {
                noteStart(event)
                switch event {
                case .execStarted:
                    for signal in kept { try pass(signal) }
                    master = descriptors.first
                    return .running
                case .exited(let code): return .ended(Int32(truncatingIfNeeded: code))
                // Why the program can't be run, which the exit code alone would not tell.
                case .text(let text): session.errors.line(text)
                default:
                    if try take(event, &answer, &first, progress) { return .done }
                }
            }
            let ready = try wait([client.descriptor, signals.raw], progress.untilTick)
            if ready[0], try !client.fill() {
                guard isStarting else { throw lostController(place) }
                try findAgain()
            }
            // What was said before the signal counts: the program may run since then.
            if ready[1], !client.hasBuffered, let signal = signals.next(), signal != SIGWINCH {
                guard isStarting else { return .ended(128 + signal) }
                kept.append(signal)
            }
            progress.tick()
        }
    }

    private func noteStart(_ event: ControlEvent) {
        switch event {
        case .planned(let operations):
            startOperation = operations.firstIndex {
                $0.kind == "Container" && $0.name == container && $0.doing == "Starting"
            }
        case .operation(index: let index, .started): isStarting = isStarting || index == startOperation
        default: break
        }
    }

    /// Stays with the program to its end; its exit code.
    func awaitEnd() throws(Failure) -> Int32 {
        guard let master else { return try carryOn() }
        let (input, output) = (session.invocation.input, session.invocation.output)
        let doing = "cannot use the terminal"
        try kernel(doing) { () throws(SyscallError) in try master.setNonBlocking() }
        fitWindow(of: master.raw, to: output)
        let raw = try kernel(doing) { () throws(SyscallError) in try RawMode(input) }
        let result: Result<Int32, Failure>
        do throws(Failure) {
            result = .success(try carryOn())
        } catch {
            result = .failure(error)
        }
        raw.end()
        return try result.get()
    }

    private func carryOn() throws(Failure) -> Int32 {
        let (input, output) = (session.invocation.input, session.invocation.output)
        var inputOpen = takesInput && master != nil
        var code: Int32?
        while true {
            if let code, master == nil { return code }
            // Once the program has ended only what it wrote last is awaited.
            let limit: Duration? = code == nil ? (client.hasBuffered ? .zero : nil) : .milliseconds(100)
            let ready = try wait(
                [
                    code == nil ? client.descriptor : -1, signals.raw, master?.raw ?? -1,
                    inputOpen && master != nil && !pending.isFull ? input : -1,
                ], writing: !pending.isEmpty, limit)
            // Looked at before anything is read: what we had read nobody else would.
            if code == nil, ready[2] || ready[3], !isTerminal(output) {
                try leaveTerminal()
                continue
            }
            if ready[2], let raw = master?.raw {
                if !carry(from: raw, to: output) {
                    master = nil
                    if code == nil, !isTerminal(output) { try leaveTerminal() }
                }
            } else if let code {
                return code
            }
            if ready[3] { inputOpen = pending.read(from: input) }
            if let raw = master?.raw { pending.write(to: raw) }
            if ready[1], let signal = signals.next() {
                if signal == SIGWINCH {
                    if let raw = master?.raw { fitWindow(of: raw, to: output) }
                } else {
                    try pass(signal)
                }
            }
            if code == nil, ready[0] || client.hasBuffered { code = try hear(ready[0]) }
        }
    }

    /// What the controller has said by now: the exit code, or nothing yet.
    private func hear(_ isReadable: Bool) throws(Failure) -> Int32? {
        let alive = isReadable ? try client.fill() : true
        while let (event, _) = try client.nextBuffered() {
            switch event {
            case .exited(let code): return Int32(truncatingIfNeeded: code)
            case .failed(let failure): throw failure
            case .notice(let text): session.errors.line(text)
            default: break
            }
        }
        if !alive { try findAgain() }
        return nil
    }

    /// Our terminal is gone. The program must not wait for us to read its own: with the connection the controller gets
    /// that back, and on another one tells how the program ends.
    private func leaveTerminal() throws(Failure) {
        master = nil
        leavesTerminal = true
        client.hangUp()
        try findAgain()
    }

    /// Another controller knows how it goes on: the keeper starts one, or we do.
    private func findAgain() throws(Failure) {
        for _ in 0..<250 {
            if let other = try session.controller(place) {
                try other.send(.follow(container: container, leavesTerminal: leavesTerminal ? true : nil))
                client = other
                return
            }
            pauseBetweenLooks(.milliseconds(20))
        }
        throw lostController(place)
    }

    /// A signal goes on to the program; the third Ctrl-C kills what does not answer to it.
    private func pass(_ signal: Int32) throws(Failure) {
        if signal == SIGINT || signal == SIGTERM { interrupts += 1 }
        let name = interrupts >= 3 ? "SIGKILL" : signalName("\(signal)") ?? "SIGTERM"
        if name == "SIGKILL" { session.errors.line("container \(container) does not end; it is killed") }
        guard let other = try ControlClient.connect(to: place) else { return }
        try other.send(.signal(container: container, signal: name))
    }
}
