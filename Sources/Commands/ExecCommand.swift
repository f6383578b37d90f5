// SPDX-License-Identifier: Apache-2.0
//
// `exec`: without a terminal the program gets our own descriptors and we only wait; with one we get the master of
// its terminal, put ours to raw mode and carry bytes both ways.

internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

func runExec(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    guard let service = arguments.operands.first else { return 1 }
    var options = ExecOptions(service: service, arguments: Array(arguments.operands.dropFirst()))
    options.index = try arguments.number(.index, atLeast: 1) ?? 1
    for text in arguments.all(.env) {
        // As Docker's: a name alone passes our own value on.
        if text.contains("=") {
            options.environment.append(text)
        } else if let value = session.invocation.environment[text] {
            options.environment.append("\(text)=\(value)")
        }
    }
    options.user = arguments.last(.user)
    options.workingDirectory = arguments.last(.workdir)
    options.privileged = arguments.has(.privileged)
    if arguments.has(.detach) { return try detach(session, options) }
    let (input, output) = (session.invocation.input, session.invocation.output)
    options.terminal = isTerminal(input) && isTerminal(output) && !arguments.has(.noTTY)
    if options.terminal, let kind = session.invocation.variable("TERM"),
        !options.environment.contains(where: { $0.hasPrefix("TERM=") })
    {
        options.environment.append("TERM=\(kind)")
    }

    if options.terminal, let size = windowSize(of: output) {
        options.rows = Int(size.rows)
        options.columns = Int(size.columns)
    }

    let client = try session.runningController()
    let place = try session.place()
    try client.send(
        .exec(options), descriptors: options.terminal ? [] : [input, output, session.invocation.errors])
    guard options.terminal else { return try exitCode(of: client, place, session) }
    let terminal = ExecTerminal(session, place, client)
    if let code = try terminal.awaitStart(of: service) { return code }
    return try terminal.awaitEnd()
}

/// `exec -d`: returns when the program runs.
private func detach(_ session: Session, _ options: ExecOptions) throws(Failure) -> Int32 {
    let null = try kernel("cannot open /dev/null") { () throws(SyscallError) in
        try openFile("/dev/null", flags: O_RDWR)
    }
    let client = try session.runningController()
    try client.send(.exec(options), descriptors: [null.raw, null.raw, null.raw])
    while let (event, _) = try client.next() {
        switch event {
        case .execStarted: return 0
        case .exited(let code): return Int32(truncatingIfNeeded: code)
        case .failed(let failure): throw failure
        case .notice(let text): session.errors.line(text)
        default: break
        }
    }
    throw session.hangup(try session.place())
}

private func exitCode(of client: ControlClient, _ place: ProjectPlace, _ session: Session) throws(Failure)
    -> Int32
{
    while let (event, _) = try client.next() {
        switch event {
        case .exited(let code): return Int32(truncatingIfNeeded: code)
        case .failed(let failure): throw failure
        case .notice(let text): session.errors.line(text)
        default: break
        }
    }
    throw session.hangup(place)
}

/// Our terminal and that of a program, whose master is ours alone: when we let go of it the program is hung up.
private final class ExecTerminal {
    private let session: Session
    private let place: ProjectPlace
    private let client: ControlClient
    private var master: SharedFD?
    private var pending = PendingInput()

    init(_ session: Session, _ place: ProjectPlace, _ client: ControlClient) {
        self.session = session
        self.place = place
        self.client = client
    }

    /// nil once the program runs; its exit code when it can't.
    func awaitStart(of service: String) throws(Failure) -> Int32? {
        while let (event, descriptors) = try client.next() {
            switch event {
            case .execStarted:
                master = descriptors.first
                if master != nil { return nil }
                throw Failure(
                    "cannot run a program in service \"\(service)\"", cause: "the terminal is missing",
                    advice: "try again with -T")
            case .exited(let code): return Int32(truncatingIfNeeded: code)
            case .failed(let failure): throw failure
            case .notice(let text): session.errors.line(text)
            default: break
            }
        }
        throw session.hangup(place)
    }

    /// Carries bytes both ways until the program ended; its exit code. Ctrl-C belongs to the program: raw mode hands it
    /// over as a byte. A signal to ourselves ends us, and with us goes the program's terminal.
    func awaitEnd() throws(Failure) -> Int32 {
        let (input, output) = (session.invocation.input, session.invocation.output)
        let doing = "cannot use the terminal"
        let signals = try kernel(doing) { () throws(SyscallError) in
            try SignalStream([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH])
        }
        try kernel(doing) { () throws(SyscallError) in try master?.setNonBlocking() }
        if let raw = master?.raw { fitWindow(of: raw, to: output) }
        let mode = try kernel(doing) { () throws(SyscallError) in try RawMode(input) }
        let result: Result<Int32, Failure>
        do throws(Failure) {
            result = .success(try carryAll(signals))
        } catch {
            result = .failure(error)
        }
        mode.end()
        return try result.get()
    }

    private func carryAll(_ signals: SignalStream) throws(Failure) -> Int32 {
        let (input, output) = (session.invocation.input, session.invocation.output)
        var code: Int32?
        var (inputOpen, outputOpen) = (true, true)
        while true {
            if let code, master == nil || !outputOpen { return code }
            let raw = master?.raw ?? -1
            let watched = [
                outputOpen ? raw : -1, inputOpen && !pending.isFull ? input : -1, signals.raw,
                code == nil ? client.descriptor : -1,
            ]
            // Once the program has ended only what it wrote last is awaited.
            let limit: Duration? = code == nil ? (client.hasBuffered ? .zero : nil) : .milliseconds(100)
            let ready = try kernel("cannot use the terminal") { () throws(SyscallError) in
                try waitReadable(watched, orWritable: pending.isEmpty ? -1 : raw, atMost: limit)
            }
            if ready[2], let signal = signals.next() {
                if signal != SIGWINCH { return 128 + signal }
                fitWindow(of: raw, to: output)
            }
            if ready[0] {
                // The program may have closed its terminal and run on: it keeps it to its end.
                outputOpen = carry(from: raw, to: output)
            } else if let code {
                return code
            }
            if ready[1] { inputOpen = pending.read(from: input) }
            pending.write(to: raw)
            // Where ours is gone nobody is left whose the program's would be.
            if !inputOpen || !outputOpen, !isTerminal(output) { (master, inputOpen) = (nil, false) }
            if ready[3] || code == nil && client.hasBuffered { code = try exitCodeIfThere(ready[3]) }
        }
    }

    /// What the controller has said by now.
    private func exitCodeIfThere(_ isReadable: Bool) throws(Failure) -> Int32? {
        let alive = isReadable ? try client.fill() : true
        while let (event, _) = try client.nextBuffered() {
            switch event {
            case .exited(let code): return Int32(truncatingIfNeeded: code)
            case .failed(let failure): throw failure
            default: break
            }
        }
        if !alive { throw session.hangup(place) }
        return nil
    }
}

func fitWindow(of master: Int32, to terminal: Int32) {
    // A size that can't be told is no reason to give the session up.
    if let size = windowSize(of: terminal) { try? setWindowSize(of: master, size) }
}

/// Moves what is there once; false at the end. It waits for who reads the target.
func carry(from source: Int32, to target: Int32) -> Bool {
    guard let bytes = readAvailable(source) else { return false }
    var done = 0
    while done < bytes.count {
        let written = bytes.withUnsafeBytes {
            write(target, $0.baseAddress?.advanced(by: done), $0.count - done)
        }
        if written >= 0 {
            done += written
        } else if linux_errno() == EAGAIN {
            try? waitWritable(target)
        } else if linux_errno() != EINTR {
            return false
        }
    }
    return true
}
