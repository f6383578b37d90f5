// SPDX-License-Identifier: Apache-2.0
//
// When `up` in the foreground takes everything down because one container ended, and what it ends with then. A container
// that others wait for to complete is meant to end: it counts only when it fails.

internal import Basics
internal import ComposeModel
internal import Controller

struct AbortPolicy: Equatable {
    enum Trigger: Equatable { case never, failure, exit }
    let trigger: Trigger
    /// The service whose code is ours.
    let codeFrom: String?
    /// Services whose end others await.
    let awaited: Set<String>
    /// The services whose ends count; none for all.
    let reach: [String]

    static let none = AbortPolicy(trigger: .never, codeFrom: nil, awaited: [])

    init(trigger: Trigger, codeFrom: String?, awaited: Set<String>, reach: [String] = []) {
        self.trigger = trigger
        self.codeFrom = codeFrom
        self.awaited = awaited
        self.reach = reach
    }

    init(_ session: Session, _ project: Project, detached: Bool, reach: [String]) throws(Failure) {
        self.reach = reach
        let arguments = session.arguments
        codeFrom = arguments.last(.exitCodeFrom)
        if let codeFrom { try checkServices([codeFrom], project) }
        let (onExit, onFailure) = (arguments.has(.abortOnExit), arguments.has(.abortOnFailure))
        if onExit, onFailure {
            throw Failure(
                "cannot abort on every exit and on failures alone",
                advice: "choose --abort-on-container-exit or --abort-on-container-failure")
        }
        trigger = onFailure ? .failure : onExit || codeFrom != nil ? .exit : .never
        if trigger != .never, detached {
            throw Failure(
                "cannot wait for a container's end in the background",
                advice: "leave out -d, --wait and --no-start, or run `covey wait`")
        }
        awaited = Set(
            project.services.values.flatMap { service in
                service.dependsOn.filter { $0.value.condition == .completed }.map(\.key)
            })
    }

    /// The container whose end takes the others along: the first that ended; nil while none does.
    func cause(among containers: [ContainerStatus]) -> ContainerStatus? {
        if trigger == .never { return nil }
        return containers.filter { container in
            guard !container.oneOff, container.state == .exited || container.state == .dead,
                reach.isEmpty || reach.contains(container.service) || container.service == codeFrom
            else {
                return false
            }
            let failed = container.exitCode != 0 || !container.exitCodeKnown
            if container.service == codeFrom { return true }
            return failed || trigger == .exit && !awaited.contains(container.service)
        }.min { ($0.finishedAt ?? 0) < ($1.finishedAt ?? 0) }
    }

    /// The code to end with once all have ended.
    func code(cause: ContainerStatus?, _ containers: [ContainerStatus]) -> Int32 {
        let own = containers.filter { $0.service == codeFrom && !$0.oneOff }
        let counted = codeFrom == nil ? cause.map { [$0] } ?? [] : own
        let codes = counted.map { $0.exitCodeKnown ? $0.exitCode ?? 0 : 1 }
        return Int32(clamping: codes.first { $0 != 0 } ?? 0)
    }
}
