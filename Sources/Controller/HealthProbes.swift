// SPDX-License-Identifier: Apache-2.0
//
// Health checks as processes in a running container: each probe is an exec whose output and end are told to the
// container's HealthMonitor, which alone decides what they mean and when the next one comes.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel

extension ProjectController {
    /// - Parameter atOnce: the first probe doesn't wait; for a container that runs already.
    func startHealth(of container: Container, atOnce: Bool = false) {
        guard let check = container.service.healthcheck else { return }
        container.health = HealthMonitor(
            check, startedAt: container.runningSince ?? monotonicNanoseconds(), atOnce: atOnce, loop: loop,
            probe: { [unowned self, unowned container] told in probe(container, check, told) },
            changed: { [unowned self, unowned container] in
                if let health = container.health {
                    tell("health_status: \(health.state.rawValue)", of: container)
                }
                changed()
            })
        container.health?.isSuspended = { [unowned container] in container.isPaused }
    }

    private func probe(
        _ container: Container, _ check: HealthcheckRequest, _ told: @escaping (Bool?, String) -> Void
    ) {
        let outcome = ProbeOutcome(told)
        do {
            let pipe = try makePipe()
            let null = try openFile("/dev/null", flags: O_RDWR)
            let reader = SharedFD(try pipe.first.duplicate())
            try setNonBlocking(reader.raw)
            outcome.watching(reader, loop)
            let session = try startProcess(
                in: container, ExecOptions(service: container.reference.service, arguments: check.command),
                streams: [null.raw, pipe.second.raw, pipe.second.raw],
                onStarted: { failure, _ in
                    if let failure { outcome.end(false, failure.description) }
                }, onEnded: { outcome.end($0.map { $0 == .exited(0) }, nil) })
            _ = consume pipe
            outcome.timer = loop.after(check.timeout) { [unowned session] in
                // Its whole session: what the probe started goes with it.
                if let pid = session.pid {
                    kill(-pid, SIGKILL)
                    kill(pid, SIGKILL)
                }
                outcome.end(false, "the check did not end within \(check.timeout.composeText)")
            }
        } catch let failure as Failure {
            outcome.end(false, failure.description)
        } catch {
            outcome.end(false, "\(error)")
        }
    }
}

/// What one probe said and how it ended; told once.
private final class ProbeOutcome {
    private var told: ((Bool?, String) -> Void)?
    private var output: [UInt8] = []
    private var reader: SharedFD?
    private var loop: EventLoop?
    var timer: EventLoop.Timer?

    /// Docker keeps as much.
    private let limit = 4096

    init(_ told: @escaping (Bool?, String) -> Void) { self.told = told }

    func watching(_ reader: SharedFD, _ loop: EventLoop) {
        self.reader = reader
        self.loop = loop
        try? loop.watch(reader.raw) { [weak self] _ in self?.read() }
    }

    private func read() {
        guard let reader else { return }
        guard let part = try? receive(reader.raw) else { return }
        if part.isEmpty { loop?.unwatch(reader.raw) }
        output += part.prefix(max(0, limit - output.count))
    }

    private func receive(_ fd: Int32) throws(SyscallError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try retrying("read") {
            buffer.withUnsafeMutableBytes { CLinux.read(fd, $0.baseAddress, $0.count) }
        }
        return Array(buffer[..<count])
    }

    func end(_ success: Bool?, _ text: String?) {
        guard let told else { return }
        self.told = nil
        read()
        if let reader { loop?.unwatch(reader.raw) }
        reader = nil
        if let timer { loop?.cancel(timer) }
        told(success, text ?? String(decoding: output, as: UTF8.self))
    }
}
