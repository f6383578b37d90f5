// SPDX-License-Identifier: Apache-2.0
//
// Names of containers across the projects of one state directory: a project's own stand in its records, and whoever names a
// container of somebody else's means one. A name that a person chose is not taken twice; those Covey makes begin with
// their project.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Planning
internal import Records

extension ProjectController {
    /// Other projects that have a container of this name.
    private func otherProjects(withContainer name: String) -> [String] {
        guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else { return [] }
        let projects = (try? directoryEntries("\(place.root)/projects")) ?? []
        return projects.sorted().filter {
            $0 != place.project && exists(directories(of: name, in: $0).record)
        }
    }

    private func directories(of name: String, in project: String) -> ContainerDirectories {
        ContainerDirectories(
            state: "\(place.root)/projects/\(project)/containers/\(name)",
            run: "\(place.run)/\(project)/containers/\(name)")
    }

    /// The container of this name that another project has; nil when none has one.
    /// - Throws: when several have one: which of them is meant is not ours to choose.
    func foreignContainer(_ name: String, _ doing: String) throws(Failure) -> (
        project: String, directories: ContainerDirectories
    )? {
        let projects = otherProjects(withContainer: name)
        guard let project = projects.first else { return nil }
        if projects.count > 1 {
            let all = projects.map { "\"\($0)\"" }.joined(separator: " and ")
            throw Failure(
                doing, cause: "projects \(all) each have a container of that name",
                advice: "give all but one of them another `container_name`")
        }
        return (project, directories(of: name, in: project))
    }

    /// Refuses names that were chosen for containers and are taken by another project, before anything is made.
    func checkNames(of plan: Plan, _ services: [String: ServiceRequest]) throws(Failure) {
        for node in plan.nodes {
            guard case .createContainer(let reference, _) = node.operation,
                services[reference.service]?.containerName != nil
            else { continue }
            try checkName(reference.name)
        }
    }

    private func checkName(_ name: String) throws(Failure) {
        guard let other = otherProjects(withContainer: name).first else { return }
        throw Failure(
            "cannot create container \"\(name)\"",
            cause: "the name is in use by a container of project \"\(other)\"",
            advice: "choose another name, or take it down with `covey -p \(other) down`")
    }

    /// Writes a container's record, with which its name is taken. One that was chosen is looked for once more while nobody else
    /// takes one: of two projects that were told at the same time that it is free, one has it.
    func claim(_ record: ContainerRecord, in path: String) throws(Failure) {
        guard record.service.containerName != nil else { return try writeRecord(record, path) }
        do throws(Failure) {
            let lock: FileLock
            do throws(SyscallError) {
                lock = try FileLock(directory: "\(place.root)/projects")
            } catch {
                throw Failure("cannot create container \"\(record.name)\"", error)
            }
            try checkName(record.name)
            try writeRecord(record, path)
            _ = consume lock
        } catch {
            try? removeLeftovers(of: record.name)
            try? networking?.releaseAddresses(of: record.name)
            throw error
        }
    }
}
