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
    guard options.terminal else {
        return try exitCode(of: client, place, session)
    }
    // Ctrl-C belongs to the program in the container: raw mode hands it over as a byte.
    while let (event, descriptors) = try client.next() {
        switch event {
        case .execStarted:
            guard let master = descriptors.first else {
                throw Failure(
                    "cannot run a program in service \"\(service)\"", cause: "the terminal is missing",
                    advice: "try again with -T")
            }
            return try pump(client, place, session, master: master)
        case .exited(let code): return Int32(truncatingIfNeeded: code)
        case .failed(let failure): throw failure
        case .notice(let text): session.errors.line(text)
        default: break
        }
    }
    throw session.hangup(place)
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

/// Carries bytes between our terminal and the container's until the program ended; its exit code.
private func pump(_ client: ControlClient, _ place: ProjectPlace, _ session: Session, master: SharedFD)
    throws(Failure) -> Int32
{
    let (input, output) = (session.invocation.input, session.invocation.output)
    let doing = "cannot use the terminal"
    let signals = try kernel(doing) { () throws(SyscallError) in
        try SignalStream([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH])
    }
    fitWindow(of: master.raw, to: output)
    let raw = try kernel(doing) { () throws(SyscallError) in try RawMode(input) }
    let result: Result<Int32, Failure>
    do throws(Failure) {
        result = .success(try carryAll(client, place, session, master: master, signals))
    } catch {
        result = .failure(error)
    }
    raw.end()
    return try result.get()
}

private func carryAll(
    _ client: ControlClient, _ place: ProjectPlace, _ session: Session, master: SharedFD,
    _ signals: SignalStream
) throws(Failure) -> Int32 {
    let (input, output) = (session.invocation.input, session.invocation.output)
    let doing = "cannot use the terminal"
    var code: Int32?
    var inputOpen = true
    while true {
        let watched = [
            master.raw, inputOpen ? input : -1, signals.raw, code == nil ? client.descriptor : -1,
        ]
        // Once the program has ended only what it wrote last is awaited.
        let limit: Duration? = code == nil ? (client.hasBuffered ? .zero : nil) : .milliseconds(100)
        let ready = try kernel(doing) { () throws(SyscallError) in
            try waitReadable(watched, atMost: limit)
        }
        if ready[0] {
            guard carry(from: master.raw, to: output) else { break }
        } else if code != nil {
            break
        }
        if ready[1] { inputOpen = carry(from: input, to: master.raw) }
        if ready[2], let signal = signals.next() {
            if signal != SIGWINCH { return 128 + signal }
            fitWindow(of: master.raw, to: output)
        }
        if ready[3] || code == nil && client.hasBuffered {
            code = try exitCodeIfThere(client, place, session, isReadable: ready[3])
        }
    }
    if let code { return code }
    return try exitCode(of: client, place, session)
}

func fitWindow(of master: Int32, to terminal: Int32) {
    // A size that can't be told is no reason to give the session up.
    if let size = windowSize(of: terminal) { try? setWindowSize(of: master, size) }
}

/// Moves what is there once; false at the end. A terminal's master ends with EIO when nobody holds the other side.
func carry(from source: Int32, to target: Int32) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 32 << 10)
    let count = read(source, &buffer, buffer.count)
    if count < 0 { return linux_errno() == EINTR || linux_errno() == EAGAIN }
    guard count > 0 else { return false }
    var done = 0
    while done < count {
        let written = buffer.withUnsafeBytes {
            write(target, $0.baseAddress?.advanced(by: done), count - done)
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

/// What the controller has said by now.
private func exitCodeIfThere(
    _ client: ControlClient, _ place: ProjectPlace, _ session: Session, isReadable: Bool
) throws(Failure) -> Int32? {
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
