// SPDX-License-Identifier: Apache-2.0
//
// Anonymous volumes of a container that is recreated: between the removal of the old one and the creation of the new
// one they lie in `carried/<service>.<number>` of the project's directory, beside the old record, which says what was mounted
// where. A volume goes on at the same path in the container; others end with their container.
//
// Whenever this is cut off, the next controller finishes: without a record in `carried` the volumes go back to the
// container they are of, with one they go to the new container, if it has its own record by then.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Planning
internal import Records

extension ProjectController {
    private var carriedDirectory: String { place.directory + "/carried" }

    private func carried(_ reference: ContainerReference) -> String {
        "\(carriedDirectory)/\(reference.service).\(reference.index)"
    }

    /// Puts aside what the container's successor in the same plan takes over.
    func carryVolumes(of reference: ContainerReference, _ run: PlanRun) throws(Failure) {
        guard let container = containers[reference.name], !run.renewsVolumes,
            !container.anonymousVolumes.isEmpty,
            run.plan.nodes.contains(where: { node in
                guard case .createContainer(let new, _) = node.operation else { return false }
                return new.service == reference.service && new.index == reference.index
            })
        else { return }
        let aside = carried(reference)
        mayHaveCarried = true
        do throws(SyscallError) {
            try removeTree(aside)
            try ensureDirectory(aside, mode: 0o700)
            try moveFile(container.directories.anonymousVolumes, to: aside + "/volumes")
            try moveFile(container.directories.record, to: aside + "/container.json")
        } catch {
            throw Failure("cannot keep the anonymous volumes of container \"\(reference.name)\"", error)
        }
    }

    /// True when volumes of its predecessor wait for a container.
    func hasCarriedVolumes(_ reference: ContainerReference) -> Bool {
        mayHaveCarried && exists(carried(reference) + "/container.json")
    }

    /// Makes the anonymous volumes of a container that is created, filled from its image.
    func ensureAnonymousVolumes(of container: Container) throws(Failure) {
        let wanted = container.anonymousVolumes
        guard !wanted.isEmpty else { return }
        do throws(SyscallError) {
            for number in wanted.values {
                try ensureDirectory("\(container.directories.anonymousVolumes)/\(number)")
            }
        } catch {
            throw Failure("cannot create container \"\(container.name)\"", error)
        }
    }

    /// Gives a container that has its record what its predecessor had; can be done again at any point.
    func takeCarriedVolumes(_ container: Container) throws(Failure) {
        let aside = carried(container.reference)
        let record = try readRecord(ContainerRecord.self, aside + "/container.json")
        let before = record.map { mountedAnonymously($0.service.container) } ?? [:]
        do throws(SyscallError) {
            try ensureDirectory(container.directories.anonymousVolumes)
            for (target, number) in container.anonymousVolumes {
                guard let old = before[target], exists("\(aside)/volumes/\(old)") else { continue }
                try moveFile(
                    "\(aside)/volumes/\(old)", to: "\(container.directories.anonymousVolumes)/\(number)")
            }
        } catch {
            throw Failure("cannot keep the anonymous volumes of container \"\(container.name)\"", error)
        }
        try ensureAnonymousVolumes(of: container)
        try fillVolumes(of: container)
        do throws(SyscallError) { try removeTree(aside) } catch {
            throw Failure("cannot remove \(aside)", error)
        }
    }

    /// What an earlier controller began and could not finish.
    func adoptCarriedVolumes() {
        guard exists(carriedDirectory) else { return }
        mayHaveCarried = true
        for container in containers.values {
            let aside = carried(container.reference)
            do throws(Failure) {
                if exists(aside + "/container.json") {
                    try takeCarriedVolumes(container)
                } else if exists(aside + "/volumes") {
                    do throws(SyscallError) {
                        try moveFile(aside + "/volumes", to: container.directories.anonymousVolumes)
                    } catch {
                        throw Failure("cannot give back \(aside)/volumes", error)
                    }
                }
            } catch {
                log("\(error)")
            }
        }
    }

    /// After an `up` that came to its end: what no container took over is nobody's.
    func dropCarriedVolumes() {
        guard mayHaveCarried else { return }
        do throws(SyscallError) {
            try removeTree(carriedDirectory)
            mayHaveCarried = false
        } catch {
            log("cannot remove \(carriedDirectory): \(error)")
        }
    }
}

extension Container {
    /// By their path in the container, with their numbers.
    fileprivate var anonymousVolumes: [String: Int] { mountedAnonymously(request) }
}

private func mountedAnonymously(_ request: ContainerRequest) -> [String: Int] {
    var found: [String: Int] = [:]
    for mount in request.mounts {
        if case .anonymous(let number) = mount.source { found[mount.target] = number }
    }
    return found
}
