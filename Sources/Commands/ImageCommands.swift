// SPDX-License-Identifier: Apache-2.0
//
// `image ls`, `image import`, `image rm`: the store by hand.

internal import Basics
internal import Images
internal import JSONFormat
internal import Kernel

func runImageList(_ session: Session) throws(Failure) -> Int32 {
    let images = try ImageStore(root: session.root).list()
    for image in images {
        guard let damage = image.damage else { continue }
        session.errors.line(
            "warning: image \"\(image.name)\" is damaged: \(damage); covey image rm \(image.name) takes it away"
        )
    }
    if session.arguments.has(.quiet) {
        var seen: Set<Digest> = []
        for image in images where seen.insert(image.id).inserted {
            session.out.line(image.id.description)
        }
    } else if session.arguments.last(.format) == "json" {
        session.out.line(
            JSONText.array(
                images.map {
                    .object([
                        ("Name", .string($0.name)), ("ID", .string($0.id.description)),
                        ("Digest", .string($0.manifest.description)), ("Size", .number($0.size.bytes)),
                        ("Created", .optional($0.created)), ("Damage", .optional($0.damage)),
                    ])
                }
            ).compact)
    } else {
        session.out.write(imageTable(images))
    }
    return 0
}

func imageTable(_ images: [ImageStore.Listing]) -> String {
    table(
        ["NAME", "IMAGE ID", "CREATED", "SIZE"],
        images.map {
            if $0.damage != nil { return [$0.name, String($0.id.hex.prefix(12)), "damaged", "-"] }
            // `2026-01-02T03:04:05Z` to the minute.
            let created = $0.created.map { String($0.prefix(16)) } ?? ""
            let words = created.split(separator: "T", maxSplits: 1).joined(separator: " ")
            return [$0.name, String($0.id.hex.prefix(12)), words, humanSize(bytes: $0.size.bytes)]
        })
}

func runImageImport(_ session: Session) throws(Failure) -> Int32 {
    let source = session.arguments.operands.first ?? ""
    let name = session.arguments.last(.alias) ?? session.arguments.operands.dropFirst().first
    guard let transport = Transport(source, relativeTo: session.invocation.directory) else {
        throw Failure(
            "cannot import \"\(source)\"", cause: "it names no place an image can be read from",
            advice: "write oci:PATH, oci-archive:FILE, docker-archive:FILE, dir:ROOTFS or tar:FILE")
    }
    let progress = try session.progress("import")
    let task = progress.begin("Image", name ?? transport.text, doing: "Importing", done: "Imported")
    defer { progress.end() }
    do throws(Failure) {
        let image = try session.imageStore().importImage(transport, as: name)
        progress.update(task, .done)
        session.out.line(image.facts.id.description)
    } catch {
        progress.update(task, .failed)
        throw error
    }
    return 0
}

func runImageRemove(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let used = try layersInUse(root: session.root)
    var failures: [Failure] = []
    // Found first: the first of two words that mean one image takes nothing from the second.
    var names: [String] = []
    for word in session.arguments.operands {
        for name in try store.names(for: word, relativeTo: session.invocation.directory)
        where !names.contains(name) {
            names.append(name)
        }
    }
    for name in names {
        do throws(Failure) {
            try store.remove(name, relativeTo: session.invocation.directory, keeping: used)
            session.out.line("removed \(name)")
        } catch {
            failures.append(error)
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    return 0
}

/// The little of a record that tells which layers a container stands on.
private struct LayersRecord: Decodable {
    struct Service: Decodable { var container: Container }
    struct Container: Decodable { var image: Image }
    struct Image: Decodable {
        var id: Digest
        var layers: [String]
    }
    var service: Service
}

/// What containers of any project stand on.
struct ImagesInUse {
    /// Paths of layers; they outlive their image's name.
    var layers: Set<String> = []
    var ids: Set<Digest> = []
    /// The containers' own directories of what they wrote.
    var uppers: [String] = []
}

func layersInUse(root: String) throws(Failure) -> Set<String> { try imagesInUse(root: root).layers }

/// - only: one project's; nil for all.
func imagesInUse(root: String, by only: String? = nil) throws(Failure) -> ImagesInUse {
    var used = ImagesInUse()
    for project in only.map({ [$0] }) ?? ((try? directoryEntries("\(root)/projects")) ?? []) {
        let containers = "\(root)/projects/\(project)/containers"
        for container in (try? directoryEntries(containers)) ?? [] {
            let path = "\(containers)/\(container)/container.json"
            guard exists(path) else { continue }
            let bytes = try kernel("cannot read \(path)") { () throws(SyscallError) in try readFile(path) }
            do {
                let image = try decodeJSON(LayersRecord.self, from: bytes).service.container.image
                used.layers.formUnion(image.layers)
                used.ids.insert(image.id)
                used.uppers.append("\(containers)/\(container)/upper")
            } catch {
                // A record that can't be read may stand on any layer.
                throw Failure(
                    "cannot tell which layers container \"\(container)\" of project \"\(project)\" uses",
                    cause: "\(path): \(error)",
                    advice: "take the project down first: covey -p \(project) down")
            }
        }
    }
    return used
}
