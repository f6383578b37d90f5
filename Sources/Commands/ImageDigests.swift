// SPDX-License-Identifier: Apache-2.0
//
// Images pinned to the manifest digests the store has of them, for `config`: in the whole project, or as an override file
// that holds nothing else. An image the store has not is an error: a pin nobody looked up is none.

internal import Basics
internal import ComposeModel
internal import Images

/// The project with every service's image pinned; services that are built and named nowhere else keep no image.
func pinned(_ project: Project, root: String) throws(Failure) -> Project {
    var project = project
    let store = ImageStore(root: root)
    var failures: [Failure] = []
    for name in project.services.keys.sorted() {
        guard let service = project.services[name], let reference = service.image else { continue }
        if reference.contains("@sha256:") { continue }
        do throws(Failure) {
            guard let digest = try store.lookUp(reference, relativeTo: project.directory)?.manifest else {
                throw Failure(
                    "cannot pin image \"\(reference)\"", cause: "the image store has no digest of it",
                    advice: "bring it into the store first, or write `image: NAME@sha256:…` yourself",
                    at: service.marks["image"])
            }
            project.services[name]?.image = "\(reference)@\(digest)"
        } catch {
            failures.append(error)
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    return project
}

/// An override file with the pinned images alone.
func lockText(_ project: Project, format: String?) -> String {
    let images = project.services.sorted { $0.key < $1.key }.compactMap { name, service in
        service.image.map { (name, $0) }
    }
    if format == "json" {
        let services = images.map { ($0.0, JSONText.object([("image", .string($0.1))])) }
        return JSONText.object([("services", JSONText.object(services))]).compact + "\n"
    }
    return "services:\n" + images.map { "  \($0.0):\n    image: \($0.1)\n" }.joined()
}
