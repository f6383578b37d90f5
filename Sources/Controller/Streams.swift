// SPDX-License-Identifier: Apache-2.0
//
// The ends of a container's output that are pumped into its log, from its start to the last byte after its end.

internal import Basics
internal import CLinux
internal import Kernel

extension ProjectController {
    /// Reading ends of its output, pumped into its log.
    /// - Parameter beginsRun: nothing of this run can be in the log yet.
    func openStreams(of container: Container, beginsRun: Bool = false) {
        let bounds = LogBounds(container.request.rare?.logging)
        do throws(SyscallError) {
            if let terminal = container.terminal {
                if container.isTerminalTaken { return }
                try setNonBlocking(terminal.raw)
                try addPump(
                    LogPump(
                        source: terminal, directory: container.directories.log, stream: "stdout",
                        isTerminal: true, bounds: bounds), container)
            } else if !container.request.tty {
                for (stream, path) in [
                    ("stdout", container.directories.standardOutput),
                    ("stderr", container.directories.standardError),
                ] {
                    let source = SharedFD(try openFile(path, flags: O_RDONLY | O_NONBLOCK))
                    try addPump(
                        LogPump(
                            source: source, directory: container.directories.log, stream: stream,
                            bounds: bounds),
                        container)
                }
            }
        } catch {
            log("cannot read the output of container \(container.name): \(error)")
        }
        // Of a run whose end nobody saw.
        if beginsRun { for pump in container.pumps { pump.endLine() } }
    }

    /// Where its output goes beside its log; the first time it is made is its start, where a failure counts.
    func ensureForwarder(of container: Container) throws(Failure) {
        guard container.forwarder == nil, let forwarding = container.request.rare?.logging?.forwarding else {
            return
        }
        container.forwarder = try LogForwarder(
            forwarding, container: container.name, image: container.request.image, loop: loop)
    }

    /// True when it is launched once who receives its output has answered. One that is started by its policy doesn't wait.
    func awaitReceiver(of container: Container) throws(Failure) -> Bool {
        try ensureForwarder(of: container)
        guard let forwarder = container.forwarder, forwarder.isConnecting, !container.startedByPolicy else {
            return false
        }
        container.awaitsReceiver = true
        container.phase = .launching
        forwarder.whenAnswered { [unowned self, unowned container] failure in
            container.awaitsReceiver = false
            if let failure { endLaunch(of: container, failure) } else { launchAfterWait(container) }
        }
        changed()
        return true
    }

    private func addPump(_ pump: LogPump, _ container: Container) throws(SyscallError) {
        container.pumps.append(pump)
        do throws(Failure) { try ensureForwarder(of: container) } catch { log("\(error)") }
        if let forwarder = container.forwarder {
            let stream = pump.stream
            pump.tap = { forwarder.take($0, from: stream) }
        }
        let name = container.name
        pump.onLoss = { [unowned self, unowned container] loss in
            switch loss {
            case .began(let error):
                let action = "what it writes is dropped until that is over"
                log("cannot write the log of container \(name): \(error): \(action)")
                tell("log_drop", of: container, ["cause": "\(error)", "action": action])
            case .ended(let bytes):
                log("the log of container \(name) is written again, \(bytes) bytes of it were dropped")
                tell("log_resume", of: container, ["dropped": "\(bytes)"])
            }
        }
        try loop.watch(pump.descriptor) { [unowned self, unowned pump] _ in
            do throws(SyscallError) {
                if try !pump.pump() { loop.unwatch(pump.descriptor) }
            } catch {
                log("cannot read the output of container \(name): \(error)")
                loop.unwatch(pump.descriptor)
            }
        }
    }

    /// What is still in the pipes goes to the log, then they are closed.
    func closeStreams(of container: Container) {
        for pump in container.pumps {
            // A pipe holds at most 1 MiB; what a process left behind still writes is not waited for.
            _ = try? pump.pump(pieces: 64)
            pump.endLine()
            loop.unwatch(pump.descriptor)
        }
        container.pumps = []
        if let forwarder = container.forwarder {
            forwarder.finish()
            forwarder.close()
            if forwarder.dropped > 0 {
                log(
                    "\(forwarder.dropped) lines of container \(container.name) were not taken by their receiver"
                )
            }
        }
        container.forwarder = nil
        container.terminal = nil
    }
}
