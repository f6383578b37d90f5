// SPDX-License-Identifier: Apache-2.0
//
// Small projects and images the tests of this directory start from.

import Basics
import ComposeModel
import ContainerModel
import Planning

func image(_ reference: String = "demo:1", _ change: (inout ImageDefaults) -> Void = { _ in }) -> LoweredImage
{
    var defaults = ImageDefaults()
    defaults.command = ["/bin/app"]
    change(&defaults)
    return LoweredImage(
        facts: ImageFacts(reference: reference, id: Digest(of: reference.utf8), layers: ["/layers/a"]),
        defaults: defaults)
}

/// A project of one service, `app`, on the default network, with a place for every attribute asked for.
func project(_ change: (inout Service) -> Void = { _ in }) -> Project {
    var service = Service(name: "app")
    service.image = "demo:1"
    service.networks = ["default": .init()]
    service.marks = Marks(
        element: SourceLocation(file: "compose.yaml", line: 2, column: 3),
        attributes: [
            "image": SourceLocation(file: "compose.yaml", line: 3, column: 12),
            "container_name": SourceLocation(file: "compose.yaml", line: 4, column: 21),
        ])
    change(&service)
    var project = Project(name: "demo", directory: "/work", files: ["/work/compose.yaml"])
    project.services["app"] = service
    project.networks["default"] = Network(name: "demo_default")
    return project
}

func lowered(
    _ project: Project, image: LoweredImage = image(), contents: FileContents = FileContents()
) throws(Failure) -> Lowered {
    try lower(project, images: project.services.mapValues { _ in image }, contents: contents)
}

/// The one service's request.
func request(image: LoweredImage = image(), _ change: (inout Service) -> Void = { _ in }) throws
    -> ServiceRequest
{
    guard let request = try lowered(project(change), image: image).desired.services["app"] else {
        throw Failure("no request")
    }
    return request
}
