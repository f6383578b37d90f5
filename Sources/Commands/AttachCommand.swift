// SPDX-License-Identifier: Apache-2.0
//
// `attach`: a running container's output from now on, as the bytes it writes, and our input to it: through its terminal,
// or through its standard input where `stdin_open` gives it one. The output is read from its log, which misses nothing.

internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

func runAttach(_ session: Session) throws(Failure) -> Int32 {
    let service = session.arguments.operands.first ?? ""
    let keys = try DetachKeys(session.arguments.last(.detachKeys) ?? "ctrl-p,ctrl-q")
    let container = try session.container(of: service)
    let place = try session.place()
    let client = try session.runningController()
    try client.send(.input(service: service, index: container.index))
    var target: SharedFD?
    asked: while let (event, descriptors) = try client.next() {
        switch event {
        case .execStarted: target = descriptors.first
        case .failed(let failure): throw failure
        case .done: break asked
        default: break
        }
    }
    let attachment = try ContainerAttachment(session, place, container, keys)
    if let target, !session.arguments.has(.noInput) {
        try kernel("cannot use the service's input") { () throws(SyscallError) in
            try target.setNonBlocking()
        }
        attachment.target = target
    }
    guard let target, isTerminal(target.raw), isTerminal(session.invocation.input) else {
        return try attachment.carry()
    }
    attachment.terminal = target
    fitWindow(of: target.raw, to: session.invocation.output)
    // Where no key is passed on they are for our own terminal to understand.
    guard attachment.target != nil else { return try attachment.carry() }
    let raw = try kernel("cannot use the terminal") { () throws(SyscallError) in
        try RawMode(session.invocation.input)
    }
    let result: Result<Int32, Failure>
    do throws(Failure) {
        result = .success(try attachment.carry())
    } catch {
        result = .failure(error)
    }
    raw.end()
    return try result.get()
}

/// Keys that end an `attach` and leave the container running: `ctrl-p,ctrl-q`, as Docker writes them.
struct DetachKeys: Equatable {
    private let keys: [UInt8]
    private var matched = 0

    init(_ text: String) throws(Failure) {
        var keys: [UInt8] = []
        for part in text.isEmpty ? [] : text.split(separator: ",", omittingEmptySubsequences: false) {
            let bytes = Array(part.utf8)
            if bytes.count == 1 {
                keys.append(bytes[0])
            } else if part.hasPrefix("ctrl-"), bytes.count == 6,
                (64...95).contains(bytes[5] & 0xdf) || (97...122).contains(bytes[5])
            {
                keys.append(bytes[5] & 0x1f)
            } else {
                throw Failure(
                    "cannot understand --detach-keys \(text)",
                    cause: "\"\(part)\" is neither one key nor ctrl- and a letter",
                    advice: "write for example ctrl-p,ctrl-q")
            }
        }
        self.keys = keys
    }

    /// What of the typed bytes goes on to the program; nil when they complete the keys. Keys that began a match and did
    /// not end it go on too.
    mutating func pass(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
        var passed: [UInt8] = []
        for byte in bytes {
            if !keys.isEmpty, byte == keys[matched] {
                matched += 1
                if matched == keys.count { return nil }
                continue
            }
            passed += keys[..<matched]
            matched = 0
            if byte == keys.first { matched = 1 } else { passed.append(byte) }
        }
        return passed
    }
}

/// The bytes between the user and one container.
private final class ContainerAttachment {
    /// Where input goes; nil when none is taken, or no more.
    var target: SharedFD?
    /// The container's terminal, when ours is one too.
    var terminal: SharedFD?
    private let session: Session
    private let place: ProjectPlace
    private let container: ContainerStatus
    private var keys: DetachKeys
    private let signals: SignalStream
    private let watch: StatusWatch
    private let logs: LogWatch
    private let outputs: [(tail: RawLogTail, fd: Int32)]
    private var pending = PendingInput()
    private var inputEnded = false

    init(_ session: Session, _ place: ProjectPlace, _ container: ContainerStatus, _ keys: DetachKeys)
        throws(Failure)
    {
        self.session = session
        self.place = place
        self.container = container
        self.keys = keys
        signals = try kernel("cannot listen for signals") { () throws(SyscallError) in
            try SignalStream([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH])
        }
        guard let client = try session.controller(place) else { throw session.hangup(place) }
        watch = try StatusWatch(session, place, client)
        logs = try LogWatch()
        try logs.add(container.logDirectory)
        outputs = [
            (try RawLogTail(container.logDirectory, "stdout"), session.invocation.output),
            (try RawLogTail(container.logDirectory, "stderr"), session.invocation.errors),
        ]
    }

    /// Carries until the container has ended or the keys were typed; the exit code.
    func carry() throws(Failure) -> Int32 {
        let input = session.invocation.input
        /// More was written than was copied.
        var isBehind = false
        while true {
            let typing = target == nil || inputEnded || pending.isFull ? -1 : input
            let news = try watch.wait(
                signals: signals, logs: logs, also: typing,
                orWritable: pending.isEmpty ? -1 : target?.raw ?? -1,
                atMost: isBehind ? .zero : LogFeed.look)
            logs.drain()
            isBehind = false
            for output in outputs {
                if try output.tail.copy(to: output.fd, atMost: 8) { isBehind = true }
            }
            if let signal = news.signal, try !take(signal) { return 128 + signal }
            if typing >= 0, try !readInput(typing) { return 0 }
            if let raw = target?.raw { pending.write(to: raw) }
            if inputEnded, pending.isEmpty { target = nil }
            guard let code = code(after: news) else { continue }
            for output in outputs { _ = try output.tail.copy(to: output.fd) }
            return code
        }
    }

    /// The container's exit code; nil while it runs. Of one that was gone before it was seen to end nobody knows it: 1.
    private func code(after news: StatusWatch.News) -> Int32? {
        for containers in news.states {
            let now = containers.first {
                $0.name == container.name && $0.createdAt == container.createdAt
            }
            guard let now else { return 1 }
            if now.state == .exited || now.state == .restarting { return Int32(clamping: now.exitCode ?? 1) }
        }
        return news.ended ? 1 : nil
    }

    /// False when the signal ends us instead of going on to the program.
    private func take(_ signal: Int32) throws(Failure) -> Bool {
        if signal == SIGWINCH {
            if let terminal { fitWindow(of: terminal.raw, to: session.invocation.output) }
            return true
        }
        guard !session.arguments.isOff(.proxySignals), signal != SIGHUP else { return false }
        // A key of a terminal that passes none on; the service has its own.
        if terminal != nil, session.arguments.has(.noInput), signal == SIGINT || signal == SIGQUIT {
            return false
        }
        guard let client = try ControlClient.connect(to: place) else { return false }
        try client.send(.signal(container: container.name, signal: "\(signal)"))
        return true
    }

    /// False when the keys were typed.
    private func readInput(_ input: Int32) throws(Failure) -> Bool {
        let ready = try kernel("cannot read the input") { () throws(SyscallError) in
            try waitReadable([input], atMost: .zero)
        }
        guard ready[0] else { return true }
        guard isTerminal(input) else {
            inputEnded = !pending.read(from: input)
            return true
        }
        guard let typed = readAvailable(input) else {
            inputEnded = true
            return true
        }
        guard let passed = keys.pass(typed) else { return false }
        pending.append(passed)
        return true
    }
}

/// One output stream of a container from now on, byte for byte, over the borders of its segment files.
final class RawLogTail {
    private let directory: String
    private let stream: String
    private var segment = -1
    private var file: SharedFD?
    private var offset: Int64 = 0

    init(_ directory: String, _ stream: String) throws(Failure) {
        self.directory = directory
        self.stream = stream
        for number in segments().reversed() {
            if try open(number) { break }
        }
        if let file { offset = Int64((try? fileStatus(of: file.raw).st_size) ?? 0) }
    }

    private func segments() -> [Int] {
        ((try? directoryEntries(directory)) ?? []).compactMap {
            $0.hasPrefix("\(stream).") ? Int($0.dropFirst(stream.count + 1)) : nil
        }.sorted()
    }

    /// False when it was rotated away; it is passed by.
    private func open(_ number: Int) throws(Failure) -> Bool {
        segment = number
        do throws(SyscallError) {
            file = SharedFD(try openFile("\(directory)/\(stream).\(number)"))
        } catch {
            if error.errno == .noEntry { return false }
            throw Failure("cannot read the output in \(directory)", error)
        }
        offset = 0
        return true
    }

    /// Writes what came since the last time, at most so many pieces; true when there may be more.
    func copy(to output: Int32, atMost pieces: Int = .max) throws(Failure) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        for _ in 0..<pieces {
            if let raw = file?.raw {
                let count = pread(raw, &buffer, buffer.count, off_t(offset))
                if count > 0 {
                    offset += Int64(count)
                    // Nobody is left to tell when the user's own descriptor is gone.
                    try? writeAll(output, buffer[..<count])
                    continue
                }
            }
            // At its end; a later one means that this one grows no more.
            guard let next = segments().first(where: { $0 > segment }) else { return false }
            // It may have grown between the two looks.
            if let raw = file?.raw, offset < Int64((try? fileStatus(of: raw).st_size) ?? 0) { continue }
            _ = try open(next)
        }
        return true
    }
}
