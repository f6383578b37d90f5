// SPDX-License-Identifier: Apache-2.0
//
// `volumes_from`: another container's volumes and bind mounts, looked up whenever the container is started. The other one
// need not run; its record says what it has.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Records

extension ProjectController {
    /// - Throws: when a container it names is not there.
    func mountsOfOthers(_ container: Container) throws(Failure) -> [MountRequest] {
        let sources = container.request.rare?.volumesFrom ?? []
        guard !sources.isEmpty else { return [] }
        // What is its own stays; of several others the first counts.
        var taken = Set(container.request.mounts.map(\.target) + container.request.files.map(\.target))
        var found: [MountRequest] = []
        for source in sources {
            let (request, directories) = try holder(of: source, for: container)
            for mount in request.mounts {
                var mount = mount
                switch mount.source {
                case .tmpfs, .image: continue
                case .volume, .bind: break
                case .anonymous(let index):
                    mount.source = .bind(
                        path: "\(directories.anonymousVolumes)/\(index)", createHostPath: false,
                        propagation: nil)
                }
                guard taken.insert(mount.target).inserted else { continue }
                if source.readOnly { mount.readOnly = true }
                mount.copyFromImage = false
                found.append(mount)
            }
        }
        return found
    }

    private func holder(of source: VolumesFrom, for container: Container) throws(Failure) -> (
        ContainerRequest, ContainerDirectories
    ) {
        let own: Container?
        switch source.owner {
        case .service(let service): own = firstContainer(of: service)
        case .container(let name): own = containers[name]
        }
        if let own { return (own.request, own.directories) }
        let doing = "cannot take the volumes of \(source.owner.text)"
        if case .container(let name) = source.owner, let other = try foreignContainer(name, doing),
            let record = try readRecord(ContainerRecord.self, other.directories.record)
        {
            return (record.service.container, other.directories)
        }
        throw Failure(
            doing, cause: "there is no such container",
            advice: "create it first; `covey ls` and `covey ps -a` show what there is")
    }
}
