// SPDX-License-Identifier: Apache-2.0
//
// `image tag|inspect|history|save|load|prune` and `system df`: the store looked at and tidied by hand.

internal import Basics
internal import CLinux
internal import ImageBuild
internal import Images
internal import JSONFormat
internal import Kernel
internal import OCIFormats
internal import Volumes

func runImageTag(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let words = session.arguments.operands
    let image = try stored(words[0], session, store)
    let tagged = try store.tag(image, as: words[1])
    session.out.line("\(tagged.facts.reference) is \(tagged.facts.id)")
    return 0
}

/// An image of the store, and never one that would have to be fetched for it.
func stored(_ reference: String, _ session: Session, _ store: ImageStore) throws(Failure)
    -> StoredImage
{
    if let image = try store.lookUp(reference, relativeTo: session.invocation.directory) { return image }
    // By the beginning of its id, as lists show it.
    let listed = try store.list()
    if reference.utf8.count >= ImageStore.shortestID {
        let fitting = Set(listed.filter { $0.id.hex.hasPrefix(reference) }.map(\.id))
        if fitting.count == 1, let id = fitting.first, let image = try store.lookUp(id.description) {
            return image
        }
    }
    return try store.resolve(reference, relativeTo: session.invocation.directory)
}

func runImageInspect(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    var values: [JSONText] = []
    let listed = try store.list()
    for name in session.arguments.operands {
        let image = try stored(name, session, store)
        let manifest = try store.manifest(of: image)
        let bytes = try store.document(manifest.manifest.config.digest, "the config of \"\(name)\"")
        let config: JSONValue
        do throws(JSONSyntaxError) { config = try parseJSON(bytes) } catch {
            throw Failure("cannot read the config of \"\(name)\"", cause: "\(error)")
        }
        let pulled = try store.pulledFacts(image.facts.reference)
        values.append(
            .object([
                ("Id", .string(image.facts.id.description)),
                ("Names", .strings(listed.filter { $0.id == image.facts.id }.map(\.name))),
                ("Digest", .string(manifest.digest.description)),
                ("PulledDigest", .optional(pulled?.digest.description)),
                ("MediaType", .string(manifest.mediaType)),
                ("Size", .number(manifest.manifest.layers.reduce(0) { $0 + $1.size })),
                (
                    "Layers",
                    .array(
                        zip(manifest.manifest.layers, image.diffIDs).map { layer, diffID in
                            .object([
                                ("Digest", .string(layer.digest.description)),
                                ("DiffID", .string(diffID.description)),
                                ("MediaType", .string(layer.mediaType)), ("Size", .number(layer.size)),
                            ])
                        })
                ), ("Image", config),
            ]))
    }
    var text: [UInt8] = []
    JSONValue.array(values).write(to: &text, indentation: 0)
    session.out.write(text + [0x0a])
    return 0
}

func runImageHistory(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let image = try stored(session.arguments.operands[0], session, store)
    let config = try store.config(of: image)
    let layers = try store.manifest(of: image).manifest.layers
    // One line a step, newest first; a layer without a step is of a tool that writes no history.
    var next = 0
    var rows: [(created: String?, by: String, size: Int64)] = []
    for step in config.history ?? [] {
        let isEmpty = step.emptyLayer == true || next >= layers.count
        rows.append((step.created, step.createdBy ?? step.comment ?? "", isEmpty ? 0 : layers[next].size))
        if !isEmpty { next += 1 }
    }
    while next < layers.count {
        rows.append((nil, "", layers[next].size))
        next += 1
    }
    if session.arguments.last(.format) == "json" {
        for row in rows.reversed() {
            session.out.line(
                JSONText.object([
                    ("Created", .optional(row.created)), ("CreatedBy", .string(row.by)),
                    ("Size", .number(row.size)),
                ]).compact)
        }
    } else {
        session.out.write(
            table(
                ["CREATED", "SIZE", "CREATED BY"],
                rows.reversed().map { row in
                    let moment = row.created.map {
                        String($0.prefix(16)).split(separator: "T").joined(separator: " ")
                    }
                    let words = row.by.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                    return [moment ?? "", humanSize(bytes: row.size), words]
                }))
    }
    return 0
}

func runImageSave(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let selected = try session.arguments.operands.map { name throws(Failure) in
        try stored(name, session, store)
    }
    let target = session.arguments.last(.output)
    var compression = ArchiveCompression.none
    if let target, target.hasSuffix(".gz") || target.hasSuffix(".tgz") { compression = .gzip }
    if let word = session.arguments.last(.compression) {
        compression = ArchiveCompression(rawValue: word) ?? .none
    }
    guard let target, target != "-" else {
        guard !isTerminal(session.invocation.output) else {
            throw Failure(
                "cannot write an archive to the terminal",
                advice: "name a file with -o, or redirect the output")
        }
        try store.save(selected, to: session.invocation.output, compression: compression)
        return 0
    }
    let path = session.invocation.absolute(target)
    let doing = "cannot write the archive \(path)"
    try writeOutput(to: path, doing) { (file) throws(Failure) in
        try store.save(selected, to: file.raw, compression: compression)
    }
    return 0
}

func runImageLoad(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    var path = session.arguments.last(.inputFile) ?? "-"
    var spooled: SharedFD?
    if path == "-" {
        // An archive is read here and there: its list comes last.
        let doing = "cannot read the archive from the standard input"
        guard !isTerminal(session.invocation.input) else {
            throw Failure(
                doing, cause: "it is a terminal", advice: "name a file with -i, or redirect the input")
        }
        spooled = try naming(doing) { () throws(SyscallError) in
            let file = SharedFD(try unnamedFile(in: "/var/tmp"))
            var buffer = [UInt8](repeating: 0, count: 256 << 10)
            while true {
                let count = try retrying("read") { read(session.invocation.input, &buffer, buffer.count) }
                if count == 0 { return file }
                try writeAll(file.raw, buffer[..<count])
            }
        }
        path = "/proc/self/fd/\(spooled?.raw ?? 0)"
    } else {
        path = session.invocation.absolute(path)
    }
    defer { withExtendedLifetime(spooled) {} }
    for image in try store.load(path) { session.out.line("loaded \(image.facts.reference)") }
    return 0
}

func runImagePrune(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let used = try imagesInUse(root: session.root)
    let (before, stepsBefore) = try storedBytes(session, store)
    let gone = try store.prune(
        keeping: used.layers, unless: session.arguments.has(.all) ? used.ids : nil,
        cache: session.arguments.has(.buildCache))
    if session.arguments.has(.buildCache) { try removeBuildCache(under: session.root) }
    for name in gone { session.out.line("removed \(name)") }
    let (after, steps) = try storedBytes(session, store)
    session.out.line("\(humanSize(bytes: before + stepsBefore - after - steps)) given back")
    if steps > 0, !session.arguments.has(.buildCache) {
        session.out.line(
            "the build cache holds \(humanSize(bytes: steps)); `covey image prune --build-cache` gives it back"
        )
    }
    return 0
}

/// What images take, and what only the build cache does.
private func storedBytes(_ session: Session, _ store: ImageStore) throws(Failure) -> (Int64, Int64) {
    let used = try imagesInUse(root: session.root)
    let usage = try store.usage(inUse: used.layers, ids: used.ids)
    return (usage.bytes, usage.cacheBytes + buildCacheBytes(session))
}

func runSystemUsage(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let used = try imagesInUse(root: session.root)
    let images = try store.usage(inUse: used.layers, ids: used.ids)
    let volumes = try VolumeStore(root: session.root).list()
    // What is mounted for a volume is not ours.
    let volumeBytes = volumes.reduce(Int64(0)) {
        $1.mounted == nil ? $0 + treeBytes("\(session.root)/volumes/\($1.name)/data") : $0
    }
    let uppers = used.uppers.reduce(Int64(0)) { $0 + treeBytes($1) }
    let steps = images.cacheBytes + buildCacheBytes(session)
    let rows: [(kind: String, total: Int, active: Int?, bytes: Int64, reclaimable: Int64?)] = [
        ("Images", images.images, images.activeImages, images.bytes, images.reclaimable),
        ("Containers", used.uppers.count, nil, uppers, nil),
        ("Volumes", volumes.count, nil, volumeBytes, nil),
        ("Build cache steps", images.cacheEntries, nil, steps, steps),
    ]
    if session.arguments.last(.format) == "json" {
        for row in rows {
            session.out.line(
                JSONText.object([
                    ("Type", .string(row.kind)), ("TotalCount", .number(row.total)),
                    ("Active", row.active.map { .number($0) } ?? .null), ("Size", .number(row.bytes)),
                    ("Reclaimable", row.reclaimable.map { .number($0) } ?? .null),
                ]).compact)
        }
    } else {
        session.out.write(
            table(
                ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"],
                rows.map { row in
                    [
                        row.kind, "\(row.total)", row.active.map { "\($0)" } ?? "-",
                        humanSize(bytes: row.bytes),
                        row.reclaimable.map { humanSize(bytes: $0) } ?? "-",
                    ]
                }))
    }
    return 0
}

/// What builds keep beside the store; of directories alone nothing is given back.
private func buildCacheBytes(_ session: Session) -> Int64 {
    treeBytes("\(session.root)/buildcache", ofDirectories: false)
}

/// Bytes on the disk below a directory, without following links or crossing into another file system.
private func treeBytes(_ path: String, ofDirectories: Bool = true) -> Int64 {
    guard let top = try? fileStatus(path) else { return 0 }
    guard top.isDirectory else { return Int64(top.st_blocks) * 512 }
    var sum = ofDirectories ? Int64(top.st_blocks) * 512 : 0
    for name in (try? directoryEntries(path)) ?? [] {
        guard let status = try? fileStatus("\(path)/\(name)"), status.st_dev == top.st_dev else { continue }
        sum +=
            status.isDirectory
            ? treeBytes("\(path)/\(name)", ofDirectories: ofDirectories) : Int64(status.st_blocks) * 512
    }
    return sum
}
