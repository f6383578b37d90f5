// SPDX-License-Identifier: Apache-2.0
//
// Commands in a service's own container: `post_start` once its program runs, `pre_stop` before its stop signal, each
// after the one before has ended well. What they write goes to the container's log, by its own streams.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

/// Hooks of one moment in a container's life, one after another.
final class HookRun {
    fileprivate let attribute: String
    fileprivate let container: Container
    fileprivate var session: ExecSession?
    private var isEnded = false

    fileprivate init(_ attribute: String, in container: Container) {
        self.attribute = attribute
        self.container = container
    }

    /// The one that runs is ended, with all it started in its session; none follows it.
    func end() {
        isEnded = true
        endIfAsked()
    }

    /// One that was being started meanwhile had no process to be ended.
    fileprivate func endIfAsked() {
        guard isEnded, let pid = session?.pid else { return }
        kill(-pid, SIGKILL)
        kill(pid, SIGKILL)
    }
}

extension ProjectController {
    /// Runs hooks one after another; the closure hears once: nil when all ended well.
    func runHooks(
        _ attribute: String, _ hooks: [HookRequest], in container: Container,
        _ told: @escaping (Failure?) -> Void
    ) -> HookRun {
        let hookRun = HookRun(attribute, in: container)
        runNext(hooks[...], of: hookRun, told)
        return hookRun
    }

    private func runNext(
        _ hooks: ArraySlice<HookRequest>, of hookRun: HookRun, _ told: @escaping (Failure?) -> Void
    ) {
        guard let hook = hooks.first else { return told(nil) }
        let container = hookRun.container
        let doing = "hook `\(hookRun.attribute)` of container \"\(container.name)\""
        var options = ExecOptions(service: container.reference.service, arguments: hook.arguments)
        options.environment = hook.environment
        options.user = hook.user
        options.workingDirectory = hook.workingDirectory
        options.privileged = hook.privileged
        let command = hook.arguments.joined(separator: " ")
        do {
            let null = try openFile("/dev/null", flags: O_RDWR)
            let paths = container.directories
            let isTerminal = container.request.tty
            let output = try openFile(isTerminal ? "/dev/null" : paths.standardOutput, flags: O_RDWR)
            let errors = try openFile(isTerminal ? "/dev/null" : paths.standardError, flags: O_RDWR)
            hookRun.session = try startProcess(
                in: container, options, streams: [null.raw, output.raw, errors.raw],
                onStarted: { failure, _ in
                    guard let failure else { return hookRun.endIfAsked() }
                    hookRun.session = nil
                    told(Failure("\(doing) cannot run: \(failure.doing)", cause: failure.cause))
                },
                onEnded: { [unowned self] end in
                    hookRun.session = nil
                    guard end == .exited(0) else {
                        let how = end?.words ?? "ended, nobody knows how"
                        return told(Failure("\(doing) \(how)", cause: "it ran: \(command)"))
                    }
                    runNext(hooks.dropFirst(), of: hookRun, told)
                })
            hookRun.endIfAsked()
        } catch let failure as Failure {
            told(failure)
        } catch {
            told(Failure("\(doing) cannot run", cause: "\(error)"))
        }
    }

    /// What a started container still has to do before others may count on it.
    func finishStart(of container: Container, _ told: @escaping (Failure?) -> Void) {
        guard let hooks = container.service.hooks?.postStart, !hooks.isEmpty else { return told(nil) }
        // The plan that started it, and no other: what its policy starts nobody's command ends.
        let run = container.startingRun
        if let run, run.isCancelled {
            return told(
                Failure(
                    "hook `post_start` of container \"\(container.name)\" was not run",
                    cause: "the command was ended meanwhile"))
        }
        let hookRun = runHooks("post_start", hooks, in: container, told)
        // There is a hook to end only now.
        run?.whenCancelled { hookRun.end() }
    }

    /// Runs `pre_stop`, at most as long as the stop itself may take, then `goOn`. A hook that fails is told, and
    /// keeps nobody: what shall stop stops.
    func prepareStop(
        of container: Container, within limit: Duration, _ goOn: @escaping () -> Void
    ) {
        guard let hooks = container.service.hooks?.preStop, !hooks.isEmpty, container.phase == .running,
            !container.isPaused, limit > .zero
        else { return goOn() }
        let stopped = container.childID
        container.isPreparingStop = true
        var timer: EventLoop.Timer?
        let hookRun = runHooks("pre_stop", hooks, in: container) {
            [unowned self, unowned container] failure in
            if let timer { loop.cancel(timer) }
            timer = nil
            // Where it has no pid namespace of its own a hook may end after its container, and that may run again.
            guard container.childID == stopped, container.isPreparingStop else { return }
            container.isPreparingStop = false
            if let failure, container.isLive {
                runOwner?.send(.notice(failure.description))
                tell("pre_stop failed", of: container, ["cause": failure.doing])
            }
            if container.isLive { goOn() }
        }
        guard container.isPreparingStop else { return }
        timer = loop.after(limit) { [unowned self, weak container] in
            // v1's freezer keeps even the dying.
            if let container { thaw(container) }
            hookRun.end()
        }
    }
}
