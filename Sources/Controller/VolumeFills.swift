// SPDX-License-Identifier: Apache-2.0
//
// Which volumes of a container still begin with what its image has at their place. Directories of ours are filled when the
// container is created. One that is a file system is mounted by the container's start, and one that another project is
// filling would have to be waited for: those are written down, in `unfilled.json` of the container's state directory, and
// filled before its first start (VolumeWaits.swift). Once it was started a volume is its users', who may empty it.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Records
internal import Volumes

/// An image's directory that an empty volume begins with.
struct VolumeFill {
    var layers: [String]
    var path: String
    /// As `filledVolumes` has it.
    var key: String

    /// nil for a mount that fills nothing.
    init?(_ volume: String, _ mount: MountRequest, of request: ContainerRequest) {
        guard mount.copyFromImage, mount.subpath == nil else { return nil }
        layers = request.image.layers
        path = mount.target
        key = "\(volume) \(request.image.id) \(mount.target)"
    }
}

extension ProjectController {
    /// Fills those it can without waiting, and writes down the others.
    /// - Parameter inherited: where anonymous volumes lie that it takes over, by number.
    func fillVolumes(of container: Container, _ inherited: [Int: String]) throws(Failure) {
        for mount in container.request.mounts where mount.copyFromImage && mount.subpath == nil {
            switch mount.source {
            case .volume(let name):
                // Many containers may share it: after one look it has its first content, or keeps what it had.
                guard let fill = VolumeFill(name, mount, of: container.request),
                    !filledVolumes.contains(fill.key)
                else { continue }
                if try volumes.mount(of: name) == nil,
                    try volumes.fill(name, from: fill.layers, path: fill.path, waits: false) != .busy
                {
                    filledVolumes.insert(fill.key)
                } else {
                    container.unfilled.insert(name)
                }
            case .anonymous(let number):
                let data = inherited[number] ?? "\(container.directories.anonymousVolumes)/\(number)"
                try fillDirectory(
                    data, from: container.request.image.layers, path: mount.target,
                    gathering: .beside("\(data).filling"))
            case .bind, .tmpfs, .image: break
            }
        }
        if !container.unfilled.isEmpty {
            try writeRecord(container.unfilled.sorted(), unfilledPath(container))
        }
    }

    /// After another controller.
    func adoptUnfilled(_ container: Container) throws(Failure) {
        container.unfilled = Set(try readRecord([String].self, unfilledPath(container)) ?? [])
    }

    /// Its volumes are its own from now on.
    func forgetUnfilled(_ container: Container) throws(Failure) {
        if container.unfilled.isEmpty { return }
        do throws(SyscallError) {
            try removeFile(unfilledPath(container))
        } catch {
            throw Failure("cannot start container \"\(container.name)\"", error)
        }
        container.unfilled = []
    }

    private func unfilledPath(_ container: Container) -> String {
        container.directories.state + "/unfilled.json"
    }
}
