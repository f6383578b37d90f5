// SPDX-License-Identifier: Apache-2.0
//
// Commands in a service's own container: `post_start` once its program runs, `pre_stop` before its stop signal, each
// after the one before has ended well. What they write goes to the container's log, by its own streams.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

extension ProjectController {
    /// Runs hooks one after another; the closure hears once: nil when all ended well.
    func runHooks(
        _ attribute: String, _ hooks: ArraySlice<HookRequest>, in container: Container,
        _ told: @escaping (Failure?) -> Void
    ) {
        guard let hook = hooks.first else { return told(nil) }
        let doing = "hook `\(attribute)` of container \"\(container.name)\""
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
            container.hook = try startProcess(
                in: container, options, streams: [null.raw, output.raw, errors.raw],
                onStarted: { [unowned container] failure, _ in
                    guard let failure else { return }
                    container.hook = nil
                    told(Failure("\(doing) cannot run: \(failure.doing)", cause: failure.cause))
                },
                onEnded: { [unowned self, unowned container] end in
                    container.hook = nil
                    guard end == .exited(0) else {
                        let how = end?.words ?? "ended, nobody knows how"
                        return told(Failure("\(doing) \(how)", cause: "it ran: \(command)"))
                    }
                    runHooks(attribute, hooks.dropFirst(), in: container, told)
                })
        } catch let failure as Failure {
            told(failure)
        } catch {
            told(Failure("\(doing) cannot run", cause: "\(error)"))
        }
    }

    /// What a started container still has to do before others may count on it.
    func finishStart(of container: Container, _ told: @escaping (Failure?) -> Void) {
        guard let hooks = container.service.hooks?.postStart, !hooks.isEmpty else { return told(nil) }
        let run = run
        if let run, run.isCancelled {
            return told(
                Failure(
                    "hook `post_start` of container \"\(container.name)\" was not run",
                    cause: "the command was ended meanwhile"))
        }
        runHooks("post_start", hooks[...], in: container, told)
        // There is a hook to end only now.
        run?.whenCancelled { [weak self, weak container] in
            if let container { self?.endHook(of: container) }
        }
    }

    /// Runs `pre_stop`, at most as long as the stop itself may take, then `goOn`. A hook that fails is told, and
    /// keeps nobody: what shall stop stops.
    func prepareStop(
        of container: Container, within limit: Duration, _ goOn: @escaping () -> Void
    ) {
        guard let hooks = container.service.hooks?.preStop, !hooks.isEmpty, container.phase == .running,
            !container.isPaused, limit > .zero
        else { return goOn() }
        container.isPreparingStop = true
        let timer = loop.after(limit) { [unowned self, unowned container] in endHook(of: container) }
        runHooks("pre_stop", hooks[...], in: container) { [unowned self, unowned container] failure in
            loop.cancel(timer)
            container.isPreparingStop = false
            if let failure, container.isLive {
                runOwner?.send(.notice(failure.description))
                tell("pre_stop failed", of: container, ["cause": failure.doing])
            }
            if container.isLive { goOn() }
        }
    }

    /// The hook that runs is ended, with all it started in its session.
    func endHook(of container: Container) {
        guard let pid = container.hook?.pid else { return }
        kill(-pid, SIGKILL)
        kill(pid, SIGKILL)
    }
}
