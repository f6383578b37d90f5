// SPDX-License-Identifier: Apache-2.0
//
// `images` and `volumes`: what the project's containers are made of and keep.

internal import Basics
internal import Controller
internal import Images
internal import JSONFormat
internal import Kernel
internal import OCIFormats
internal import Volumes

/// The little `images` reads of a container's record.
private struct ImageRecord: Decodable {
    struct Image: Decodable {
        var reference: String
        var id: Digest
    }
    struct Container: Decodable { var image: Image }
    struct Service: Decodable { var container: Container }
    var service: Service
}

func runImages(_ session: Session) throws(Failure) -> Int32 {
    let place = try session.place()
    let containers = try session.containers(place)
    let wanted = session.arguments.operands
    try checkKnown(wanted, among: containers.map(\.service), session)
    let stored = try ImageStore(root: session.root).list()
    var rows: [(container: String, image: ImageRecord.Image, stored: ImageStore.Listing?)] = []
    for container in containers where wanted.isEmpty || wanted.contains(container.service) {
        let path = "\(place.directory)/containers/\(container.name)/container.json"
        // Removed meanwhile, or being made.
        guard let bytes = try? readFile(path), let record = try? decodeJSON(ImageRecord.self, from: bytes)
        else {
            continue
        }
        let image = record.service.container.image
        rows.append((container.name, image, stored.first { $0.id == image.id }))
    }
    if session.arguments.has(.quiet) {
        for id in Set(rows.map(\.image.id.description)).sorted() { session.out.line(id) }
    } else if session.arguments.last(.format) == "json" {
        // One array, with the names of Docker Compose's; `ps`, `stats` and `volumes` write a line for each, there as here.
        session.out.line(
            JSONText.array(
                rows.map { row in
                    let (repository, tag) = repositoryAndTag(row.image.reference)
                    return .object([
                        ("ID", .string(row.image.id.description)), ("ContainerName", .string(row.container)),
                        ("Repository", .string(repository)), ("Tag", .string(tag)),
                        ("Platform", .string("linux/\(hostArchitecture)")),
                        ("Size", row.stored.map { .number($0.size.bytes) } ?? .null),
                        ("Created", .optional(row.stored?.created)),
                    ])
                }
            ).compact)
    } else {
        session.out.write(
            table(
                ["CONTAINER", "IMAGE", "IMAGE ID", "SIZE"],
                rows.map {
                    [
                        $0.container, $0.image.reference, String($0.image.id.hex.prefix(12)),
                        $0.stored.map { humanSize(bytes: $0.size.bytes) } ?? "-",
                    ]
                }))
    }
    return 0
}

/// The two parts of a name as Docker shows them; a digest is no tag.
private func repositoryAndTag(_ reference: String) -> (repository: String, tag: String) {
    let name = reference.prefix { $0 != "@" }
    // A colon before the last slash is a port's.
    guard let colon = name.lastIndex(of: ":"), !name[colon...].contains("/") else {
        return (String(name), "")
    }
    return (String(name[..<colon]), String(name[name.index(after: colon)...]))
}

func runVolumes(_ session: Session) throws(Failure) -> Int32 {
    let services = session.arguments.operands
    var wanted: Set<String>?
    if !services.isEmpty {
        let project = try session.project()
        try checkServices(services, project)
        var names: Set<String> = []
        for name in services {
            for mount in project.services[name]?.volumes ?? [] {
                if case .volume(let key) = mount.source { names.insert(project.volumes[key]?.name ?? key) }
            }
        }
        wanted = names
    }
    let project = try session.place().project
    // Those of others that the services use are theirs as well.
    let found = try VolumeStore(root: session.root).list().filter {
        wanted?.contains($0.name) ?? ($0.project == project)
    }.map(\.name).sorted()
    if session.arguments.has(.quiet) {
        for name in found { session.out.line(name) }
    } else if session.arguments.last(.format) == "json" {
        for name in found {
            session.out.line(
                JSONText.object([("Driver", .string("local")), ("Name", .string(name))]).compact)
        }
    } else {
        session.out.write(table(["DRIVER", "VOLUME NAME"], found.map { ["local", $0] }))
    }
    return 0
}
