// SPDX-License-Identifier: Apache-2.0
//
// A container's terminal on our side: its master goes to whoever listens at --console-socket (runc's docs/terminals.md),
// or we carry its bytes ourselves as long as we wait for the container.

internal import Basics
internal import CLinux
internal import Kernel

/// The connected console socket.
struct ConsoleSocket {
    private let socket: SharedFD

    init(_ path: String) throws(Failure) {
        socket = try naming("cannot connect to the console socket \(path)") { () throws(SyscallError) in
            SharedFD(try connectUnix(path))
        }
    }

    func send(_ master: SharedFD) throws(Failure) {
        try naming("cannot hand over the terminal") { () throws(SyscallError) in
            try sendMessage(socket.raw, Array("/dev/ptmx".utf8), descriptors: [master.raw])
        }
    }
}

/// Waits in the foreground: signals are passed on, a terminal's bytes carried both ways.
struct Foreground {
    private let signals: SignalStream
    private var master: SharedFD?

    init() throws(Failure) {
        // All that can be caught and mean something to a program; SIGCHLD and SIGWINCH are ours.
        let passed = (Int32(1)...31).filter {
            ![SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU, SIGTSTP, SIGCONT].contains($0)
        }
        signals = try naming("cannot take signals") { () throws(SyscallError) in try SignalStream(passed) }
    }

    mutating func use(_ master: SharedFD) { self.master = master }

    /// The exit code of the child.
    func wait(for child: BundleChild, _ readiness: ReadinessRelay? = nil) throws(Failure) -> Int32 {
        guard let master else { return try waitPlain(child, readiness) }
        try naming("cannot use the terminal") { () throws(SyscallError) in try master.setNonBlocking() }
        fit(master)
        var raw: RawMode?
        if isTerminal(0) {
            raw = try naming("cannot use the terminal") { () throws(SyscallError) in try RawMode(0) }
        }
        let result: Result<Int32, Failure>
        do throws(Failure) {
            result = .success(try carry(child, master, readiness))
        } catch {
            result = .failure(error)
        }
        if let mode = raw.take() { mode.end() }
        return try result.get()
    }

    private func waitPlain(_ child: BundleChild, _ readiness: ReadinessRelay?) throws(Failure) -> Int32 {
        while true {
            let ready = try naming("cannot wait") { () throws(SyscallError) in
                try waitReadable([child.pidfd.raw, signals.raw, readiness?.socket.raw ?? -1], atMost: nil)
            }
            if ready[2] { _ = readiness?.receive(from: child.pid) }
            while ready[1], let signal = signals.next() {
                if signal != SIGWINCH { child.signal(signal) }
            }
            if ready[0] { return try child.wait() }
        }
    }

    private func fit(_ master: SharedFD) {
        if let size = windowSize(of: 0) { try? setWindowSize(of: master.raw, size) }
    }

    private func carry(
        _ child: BundleChild, _ master: SharedFD, _ readiness: ReadinessRelay?
    ) throws(Failure) -> Int32 {
        var (inputOpen, pending) = (true, PendingInput())
        // The program has closed its terminal. It may open it again, and its signals and end are still ours to see.
        var isHungUp = false
        var code: Int32?
        while true {
            let watched = [
                isHungUp ? -1 : master.raw, inputOpen && !pending.isFull ? 0 : -1, signals.raw,
                code == nil ? child.pidfd.raw : -1,
                readiness?.socket.raw ?? -1,
            ]
            // Once the program has ended only what it wrote last is awaited.
            let ready = try naming("cannot wait") { () throws(SyscallError) in
                try waitReadable(
                    watched, orWritable: pending.isEmpty ? -1 : master.raw,
                    atMost: code == nil && !isHungUp ? nil : .milliseconds(100))
            }
            if ready[0] {
                if let bytes = readAvailable(master.raw) {
                    // What nobody takes is dropped: a program must not wait for a reader that is gone.
                    try? writeAll(1, bytes)
                } else if let code {
                    return code
                } else {
                    isHungUp = true
                }
            } else if let code, !isHungUp {
                return code
            } else {
                isHungUp = false
            }
            if ready[1] { inputOpen = pending.read(from: 0) }
            pending.write(to: master.raw)
            while ready[2], let signal = signals.next() {
                if signal == SIGWINCH { fit(master) } else { child.signal(signal) }
            }
            if ready[4] { _ = readiness?.receive(from: child.pid) }
            if ready[3] { code = try child.wait() }
        }
    }
}
