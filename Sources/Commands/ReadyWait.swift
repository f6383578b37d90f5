// SPDX-License-Identifier: Apache-2.0
//
// What `start --wait` waits for, seen from the client: every container runs and is healthy, or has ended well. `up --wait`
// is the controller's own, which also takes what it made down to its last lines.

internal import Basics
internal import Controller
internal import Kernel

/// Returns when the services' containers are ready.
/// - Throws: one of them failed or became unhealthy, or `timeout` passed before.
func awaitReady(_ session: Session, _ services: [String], timeout: Duration?) throws(Failure) {
    let client = try session.runningController()
    let place = try session.place()
    try client.send(.watch)
    let begin = monotonicNanoseconds()
    while true {
        while let (event, _) = try client.nextBuffered() {
            if case .failed(let failure) = event { throw failure }
            guard case .status(let all) = event else { continue }
            let own = all.filter { !$0.oneOff && (services.isEmpty || services.contains($0.service)) }
            if try isReady(own) { return }
        }
        var limit: Duration?
        if let timeout {
            let left = timeout - .nanoseconds(monotonicNanoseconds() - begin)
            guard left > .zero else {
                throw Failure(
                    "cannot wait any longer", cause: "not ready within \(timeout)",
                    advice: "see `covey ps`, or give --wait-timeout more")
            }
            limit = left
        }
        let ready = try kernel("cannot wait for the project") { () throws(SyscallError) in
            try waitReadable([client.descriptor], atMost: limit)
        }
        if ready[0], !(try client.fill()) { throw session.hangup(place) }
    }
}

private func isReady(_ containers: [ContainerStatus]) throws(Failure) -> Bool {
    for container in containers.sorted(by: { $0.name < $1.name }) {
        if container.state == .exited {
            if container.exitCode == 0 { continue }
            let code = container.exitCode.map { "exited with code \($0)" } ?? "ended"
            throw Failure(
                "container \"\(container.name)\" \(code)", advice: "see `covey logs \(container.service)`")
        }
        guard container.state == .running else { return false }
        switch container.health {
        case nil, .healthy: continue
        case .starting: return false
        case .unhealthy:
            throw Failure("container \"\(container.name)\" is unhealthy", cause: container.healthOutput)
        }
    }
    return true
}
