// SPDX-License-Identifier: Apache-2.0
//
// What `covey resume` brings back after a reboot. A container's status is of its boot and gone with it; its restart
// policy is in its record. Beside that one thing must be known: whether somebody wanted it not to run. That is a file in
// its state directory, `rest`, written only then and removed with the next start, so that an `up` pays nothing for it.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Planning
internal import Records

/// Why a container that does not run is meant not to.
enum Rest: String {
    /// It was made by `create` or `up --no-start` and never started.
    case created
    /// Somebody stopped or killed it.
    case stopped

    static func path(_ stateDirectory: String) -> String { stateDirectory + "/rest" }

    init?(in stateDirectory: String) {
        guard let text = try? readText(Rest.path(stateDirectory)) else { return nil }
        // Whatever it says, it is there.
        self = Rest(rawValue: String(text.prefix { $0 != "\n" })) ?? .stopped
    }
}

/// Whether a container that ran before a reboot runs after it: Docker's rules for a daemon that starts. `always` is
/// brought back also when it was stopped by hand, `on-failure` is not, as the machine's end was no failure of its own.
func isResumed(_ policy: RestartPolicy, _ rest: Rest?) -> Bool {
    switch (policy, rest) {
    case (.always, nil), (.always, .stopped), (.unlessStopped, nil): true
    case (.always, .created), (.unlessStopped, _), (.no, _), (.onFailure, _): false
    }
}

/// Projects of this host that have a container to resume, by name. That somebody looks after a project says nothing: a keeper
/// is there also when none of its containers could be started yet.
public func projectsToResume(root: String, run: String) -> [String] {
    let names = (try? directoryEntries(root + "/projects")) ?? []
    return names.sorted().filter { name in
        let place = ProjectPlace(project: name, root: root, run: run)
        guard let boot = try? currentBootID(), exists(place.directory + "/project.json") else { return false }
        let containers = (try? directoryEntries(place.directory + "/containers")) ?? []
        return containers.contains { isToBeResumed(place, container: $0, boot: boot) }
    }
}

private func isToBeResumed(_ place: ProjectPlace, container: String, boot: String) -> Bool {
    let state = "\(place.directory)/containers/\(container)"
    let status = "\(place.runDirectory)/containers/\(container)/status.json"
    if let known = (try? readRecord(ContainerStatusRecord.self, status)) ?? nil, known.bootID == boot {
        return false
    }
    // One that can't be read is told by the controller, which is started for it.
    guard let record = (try? readRecord(ContainerRecord.self, state + "/container.json")) ?? nil else {
        return exists(state + "/container.json")
    }
    return record.oneOff == nil && isResumed(record.service.restart, Rest(in: state))
}

extension ProjectController {
    /// It is not to run after a reboot. Said after the fact and without a promise: who reboots in that moment finds it
    /// running.
    func rest(_ container: Container, _ reason: Rest) {
        guard container.rest != reason, container.oneOff == nil else { return }
        container.rest = reason
        let path = Rest.path(container.directories.state)
        do throws(SyscallError) {
            try replaceFile(path, "\(reason.rawValue)\n".utf8, mode: 0o600)
            unsynced.append(path)
        } catch {
            log("container \(container.name) may be started after a reboot: \(error)")
        }
    }

    func endRest(of container: Container) {
        guard container.rest != nil else { return }
        container.rest = nil
        do throws(SyscallError) {
            try removeFile(Rest.path(container.directories.state))
        } catch {
            if error.errno != .noEntry { log("container \(container.name): \(error)") }
        }
    }

    /// Starts what this boot has not seen yet and the restart policies want, with their networks, in the order of their
    /// dependencies. What they depend on and what is not wanted by its own policy stays as it is, as with Docker.
    func beginResume(_ connection: ClientConnection) {
        let wanted = Set(
            containers.values.filter {
                $0.oneOff == nil && $0.phase == .created && isResumed($0.service.restart, $0.rest)
            }.map(\.reference.service))
        guard let desired, !wanted.isEmpty else {
            connection.finish(.done(changed: false))
            return runEnded()
        }
        begin(connection) { () throws(Failure) in
            var options = Planning.UpOptions()
            options.services = wanted.filter { desired.services[$0] != nil }.sorted()
            options.noDependencies = true
            options.noRecreate = true
            return try planUp(desired, observed: try observe(for: desired), options: options)
        }
    }
}
