// SPDX-License-Identifier: Apache-2.0
//
// Anonymous volumes of a container that is recreated: between the removal of the old one and the creation of the new
// one they lie in `carried/<service>.<number>` of the project's directory, beside the old record, which says what was mounted
// where. A volume goes on at the same path in the container; others end with their container.
//
// All that may well fail of the new one's creation (room for what images bring, addresses) comes before it has its record,
// and touches nothing here but to fill what is empty: a creation that failed is tried again by the next `up`, which finds the
// volumes as they were. After the record there are only renames.
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
        try carryVolumes(of: container)
    }

    /// The same of one that is in nobody's care although its record can be read: it could not be taken over, or its making
    /// ended after it had its record.
    func carryVolumes(ofLeftover reference: ContainerReference) throws(Failure) {
        let directories = directories(of: reference.name)
        guard let record = try? readRecord(ContainerRecord.self, directories.record),
            record.service.name == reference.service, record.index == reference.index
        else { return }
        let container = Container(
            reference: reference, service: record.service, createdAt: record.createdAt,
            directories: directories, bootID: bootID, oneOff: record.oneOff)
        if !container.anonymousVolumes.isEmpty { try carryVolumes(of: container) }
    }

    private func carryVolumes(of container: Container) throws(Failure) {
        // What it was to take over itself may not all have come to it.
        if hasCarriedVolumes(container.reference) { try takeCarriedVolumes(container) }
        let aside = carried(container.reference)
        mayHaveCarried = true
        do throws(SyscallError) {
            // Cut off after the first move, they are in `aside` already.
            if exists(container.directories.anonymousVolumes) {
                try removeTree(aside)
                try ensureDirectory(aside, mode: 0o700)
                try moveFile(container.directories.anonymousVolumes, to: aside + "/volumes")
            }
            try ensureDirectory(aside, mode: 0o700)
            try moveFile(container.directories.record, to: aside + "/container.json")
        } catch {
            throw Failure("cannot keep the anonymous volumes of container \"\(container.name)\"", error)
        }
    }

    /// True when volumes of its predecessor wait for a container.
    func hasCarriedVolumes(_ reference: ContainerReference) -> Bool {
        mayHaveCarried && exists(carried(reference) + "/container.json")
    }

    /// Where the volumes lie that a container is to take over, by its own numbers.
    func inheritedVolumes(of container: Container) throws(Failure) -> [Int: String] {
        guard hasCarriedVolumes(container.reference) else { return [:] }
        let aside = carried(container.reference)
        let record = try readRecord(ContainerRecord.self, aside + "/container.json")
        let before = record.map { mountedAnonymously($0.service.container) } ?? [:]
        var found: [Int: String] = [:]
        for (target, number) in container.anonymousVolumes {
            guard let old = before[target], exists("\(aside)/volumes/\(old)") else { continue }
            found[number] = "\(aside)/volumes/\(old)"
        }
        return found
    }

    /// Makes the anonymous volumes of a container that is created, but for those it takes over.
    func ensureAnonymousVolumes(of container: Container, besides inherited: [Int: String] = [:])
        throws(Failure)
    {
        let wanted = container.anonymousVolumes
        guard !wanted.isEmpty else { return }
        do throws(SyscallError) {
            for number in wanted.values where inherited[number] == nil {
                try ensureDirectory("\(container.directories.anonymousVolumes)/\(number)")
            }
        } catch {
            throw Failure("cannot create container \"\(container.name)\"", error)
        }
    }

    /// Gives a container that has its record what its predecessor had; can be done again at any point.
    func takeCarriedVolumes(_ container: Container) throws(Failure) {
        let inherited = try inheritedVolumes(of: container)
        do throws(SyscallError) {
            try ensureDirectory(container.directories.anonymousVolumes)
            for (number, path) in inherited {
                try moveFile(path, to: "\(container.directories.anonymousVolumes)/\(number)")
            }
        } catch {
            throw Failure("cannot keep the anonymous volumes of container \"\(container.name)\"", error)
        }
        try ensureAnonymousVolumes(of: container)
        try dropCarriedVolumes(of: container.reference)
    }

    /// What lies there for a container and was not taken over by it.
    func dropCarriedVolumes(of reference: ContainerReference) throws(Failure) {
        let aside = carried(reference)
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

    /// After an `up` that came to its end: what no container took over is nobody's. Of services it was not about their own
    /// `up`, which failed before, may come again.
    func dropCarriedVolumes(after options: UpOptions) {
        guard mayHaveCarried, let desired else { return }
        let asked =
            (try? selection(
                of: options.services, among: desired.services, withDependencies: !options.noDependencies))
            ?? []
        do throws(SyscallError) {
            var isLeft = false
            for name in exists(carriedDirectory) ? try directoryEntries(carriedDirectory) : [] {
                let service = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
                let isOrphan =
                    desired.services[service] == nil && !desired.disabledServices.contains(service)
                if asked.contains(service) || isOrphan && options.removeOrphans {
                    try removeTree("\(carriedDirectory)/\(name)")
                } else {
                    isLeft = true
                }
            }
            if isLeft { return }
            try removeTree(carriedDirectory)
            mayHaveCarried = false
        } catch {
            log("cannot remove what lies in \(carriedDirectory): \(error)")
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
