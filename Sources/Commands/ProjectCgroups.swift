// SPDX-License-Identifier: Apache-2.0

internal import Basics
internal import Cgroups
internal import Controller
internal import JSONFormat
internal import Kernel

/// The little of a container's record that says where its cgroup is.
private struct ParentRecord: Decodable {
    struct Rare: Decodable { var cgroupParent: String? }
    struct Container: Decodable { var rare: Rare? }
    struct Service: Decodable { var container: Container }
    var service: Service
}

/// A project's cgroups, with the places of containers that have a `cgroup_parent`.
func projectCgroups(_ place: ProjectPlace, _ containers: [ContainerStatus]) throws(Failure) -> ProjectCgroup {
    var cgroups = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
    for container in containers {
        // Removed meanwhile, or being made.
        guard let bytes = try? readFile("\(place.directory)/containers/\(container.name)/container.json"),
            let record = try? decodeJSON(ParentRecord.self, from: bytes)
        else { continue }
        cgroups.setParent(record.service.container.rare?.cgroupParent, of: container.name)
    }
    return cgroups
}
