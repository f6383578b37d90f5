// SPDX-License-Identifier: Apache-2.0
//
// `pause` and `unpause`, standing still while a client looks, `rm`'s choice of containers, and the way to a container's input
// for `attach`.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Planning

extension ProjectController {
    func pause(_ paused: Bool, _ services: [String], _ connection: ClientConnection) {
        do throws(Failure) {
            connection.finish(.done(changed: try setPaused(paused, services, connection)))
        } catch {
            connection.finish(.failed(error))
        }
    }

    /// Freezes or thaws what runs of the services, or of all; false when there was nothing to do.
    private func setPaused(_ paused: Bool, _ services: [String], _ connection: ClientConnection)
        throws(Failure) -> Bool
    {
        let word = paused ? "pause" : "unpause"
        let known = Set(containers.values.filter { $0.oneOff == nil }.map(\.reference.service))
        for name in services {
            guard known.contains(name) || desired?.services[name] != nil else {
                throw Failure(
                    "cannot \(word) \"\(name)\"", cause: "there is no such service",
                    advice: nearest(to: name, among: known.sorted()).map { "did you mean \"\($0)\"?" })
            }
            guard containers.values.contains(where: { $0.reference.service == name && $0.phase == .running })
            else {
                throw Failure(
                    "cannot \(word) \"\(name)\"", cause: "it does not run",
                    advice: "see `covey ps -a`; `covey start \(name)` starts it")
            }
        }
        if services.isEmpty,
            !containers.values.contains(where: { $0.oneOff == nil && $0.phase == .running })
        {
            throw Failure(
                "cannot \(word) project \"\(place.project)\"", cause: "none of its containers runs",
                advice: "see `covey ps -a`; `covey start` starts them")
        }
        let chosen = containers.values.filter { container in
            container.oneOff == nil && container.phase == .running && container.status.paused != paused
                && (services.isEmpty || services.contains(container.reference.service))
        }.sorted { $0.name < $1.name }
        connection.send(
            .planned(
                chosen.map {
                    PlannedOperation(
                        kind: "Container", name: $0.name, doing: paused ? "Pausing" : "Unpausing",
                        done: paused ? "Paused" : "Unpaused", reason: word)
                }))
        for (index, container) in chosen.enumerated() {
            do throws(Failure) {
                // Written down first: who comes after us must not take the frozen for broken.
                container.status.paused = paused
                try container.saveStatus()
                // For whom it is held it stands still until they are done.
                try cgroup.setFrozen(container.isPaused, container: container.name)
                tell(word, of: container)
                connection.send(.operation(index: index, .finished))
            } catch {
                container.status.paused = !paused
                try? container.saveStatus()
                connection.send(.operation(index: index, .failed))
                throw error
            }
        }
        if !chosen.isEmpty { changed() }
        return !chosen.isEmpty
    }

    /// Freezes a container until the client hangs up, and all others who wanted the same; a user's `pause` outlives them.
    /// Nothing of it is written down: who comes after a dead controller finds a frozen container that nobody paused, and thaws it.
    func hold(_ name: String, _ connection: ClientConnection) {
        do throws(Failure) {
            // One that is being stopped has a deadline to meet.
            if let container = containers[name], container.phase == .running, !container.status.stopRequested
            {
                let stoodStill = container.isPaused
                container.holders.insert(connection.descriptor)
                if !stoodStill {
                    try cgroup.setFrozen(true, container: name)
                    tell("pause", of: container)
                    changed()
                }
            }
            connection.send(.status(shownContainers()))
        } catch {
            // The end of the connection is the end of its hold.
            connection.finish(.failed(error))
        }
    }

    func endHold(of connection: ClientConnection) {
        for container in containers.values where container.holders.remove(connection.descriptor) != nil {
            if container.isPaused { continue }
            setThawed(container)
            tell("unpause", of: container)
            changed()
        }
    }

    /// Lets a paused container's processes go on, whoever wanted them to stand still, so that they can answer to a signal.
    func thaw(_ container: Container) {
        guard container.isPaused else { return }
        container.status.paused = false
        container.holders = []
        setThawed(container)
    }

    private func setThawed(_ container: Container) {
        do throws(Failure) {
            try cgroup.setFrozen(false, container: container.name)
        } catch {
            log("\(error)")
        }
    }

    /// The services' names with those of the one-off containers made after them.
    func withOneOffs(_ services: [String]) -> [String] {
        services.isEmpty
            ? []
            : services
                + containers.values.filter { $0.oneOff.map { services.contains($0.service) } ?? false }
                .map(\.reference.service)
    }

    func giveInput(_ service: String, _ index: Int, _ connection: ClientConnection) throws(Failure) {
        let container = try self.container(of: service, index: index)
        let doing = "cannot attach to service \"\(service)\""
        guard container.phase == .running else {
            throw Failure(doing, cause: "container \"\(container.name)\" does not run")
        }
        if let terminal = container.terminal {
            return connection.send(.execStarted, descriptors: [terminal.raw])
        }
        guard container.request.stdinOpen else {
            return connection.send(.execStarted)
        }
        do throws(SyscallError) {
            let input = try openFile(container.directories.standardInput, flags: O_WRONLY | O_NONBLOCK)
            connection.send(.execStarted, descriptors: [input.raw])
        } catch {
            throw Failure(doing, error)
        }
    }
}
