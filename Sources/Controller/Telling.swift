// SPDX-License-Identifier: Apache-2.0
//
// What happens is written down and told to whoever follows the project's events. The words are Docker's where it has one.

internal import Basics
internal import ContainerModel
internal import Kernel

extension ProjectController {
    func tell(
        _ kind: ProjectEvent.Kind, _ action: String, _ name: String, service: String? = nil,
        _ attributes: [String: String] = [:]
    ) {
        let event = ProjectEvent(
            time: realtimeNanoseconds(), kind, action, name, service: service, attributes)
        do throws(SyscallError) {
            try eventLog.append(event)
        } catch {
            // Told to followers all the same; a directory that is full or gone is said once a minute at most.
            if monotonicNanoseconds() - eventLogFailed > 60_000_000_000 {
                eventLogFailed = monotonicNanoseconds()
                log("cannot keep events: \(error)")
            }
        }
        for (descriptor, options) in eventFollowers where options.wants(event) {
            connections[descriptor]?.send(.event(event))
        }
    }

    func tell(_ action: String, of container: Container, _ attributes: [String: String] = [:]) {
        tell(
            .container, action, container.name, service: container.reference.service,
            attributes.merging(["image": container.request.image.reference]) { own, _ in own })
    }

    /// Those kept, then, when that is wanted, those to come.
    func showEvents(_ options: EventOptions, _ connection: ClientConnection) {
        if let since = options.since {
            for event in eventLog.events(since: since) where options.wants(event) {
                connection.send(.event(event))
            }
        }
        guard options.follow else { return connection.finish(.done(changed: false)) }
        // A first word, so that the client knows it is heard.
        connection.send(.text(""))
        eventFollowers[connection.descriptor] = options
    }
}
