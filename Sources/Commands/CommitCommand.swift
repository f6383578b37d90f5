// SPDX-License-Identifier: Apache-2.0
//
// `commit`: what a container wrote, as a layer on its image. A running container stands still meanwhile, so that its files
// fit together.

internal import Archives
internal import Basics
internal import CLinux
internal import ContainerModel
internal import Controller
internal import ImageBuild
internal import Images
internal import Kernel
internal import OCIFormats

func runCommit(_ session: Session) throws(Failure) -> Int32 {
    let (service, name) = (session.arguments.operands[0], session.arguments.operands[1])
    let doing = "cannot make an image of \"\(service)\""
    let index = try session.arguments.number(.index, atLeast: 1)
    let container = try session.container(of: service, number: index)
    let state = "\(try session.place().directory)/containers/\(container.name)"
    let origin = try recordedService("\(state)/container.json", doing)
    let record = origin.container.image
    let store = ImageStore(root: session.root)
    guard let image = try store.lookUp(record.id.description), image.manifest != nil else {
        throw Failure(
            doing, cause: "its image \(record.reference) is not in the store any more, or was used in place",
            advice: "import or pull it again")
    }
    // The container's settings, then what the command line changes of them.
    var config = try store.config(of: image).holding(origin)
    config = try config.applying(session.arguments.all(.change))
    config.author = session.arguments.last(.author) ?? config.author
    let moment = rfc3339(nanoseconds: realtimeNanoseconds())
    config.created = moment
    var step = ImageConfig.History(createdBy: "covey commit \(service)")
    step.created = moment
    step.comment = session.arguments.last(.message)
    step.author = session.arguments.last(.author)
    config.history = (config.history ?? []) + [step]
    // Frozen until we hang up, whatever becomes of us.
    var hold = try session.arguments.isOff(.pause) ? nil : stillness(of: container, session)
    // Archived, not moved: the container goes on with it. A file without a name: whatever ends us leaves nothing.
    let file = SharedFD(
        try naming(doing) { () throws(SyscallError) in
            try unnamedFile(in: "\(session.root)/images")
        })
    defer { withExtendedLifetime(file) {} }
    let upper = try naming(doing) { () throws(SyscallError) in
        try openFile("\(state)/upper", flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
    try copying(doing) { () throws(ArchiveError) in
        _ = try archiveLayer(upper.raw, into: TarWriter(FileSink(file, name: "the layer")))
    }
    // Its files are read.
    withExtendedLifetime(hold) {}
    hold = nil
    let made = try store.commit(
        layers: image.diffIDs, adding: .tar(path: "/proc/self/fd/\(file.raw)"), config: config, as: name)
    session.out.line(made.facts.id.description)
    return 0
}

/// Has a running container frozen for as long as what is given back lives; nil for one that does not run.
private func stillness(of container: ContainerStatus, _ session: Session) throws(Failure) -> ControlClient? {
    guard container.pid != nil else { return nil }
    let client = try session.runningController()
    try client.send(.hold(container: container.name))
    while let (event, _) = try client.next() {
        if case .failed(let failure) = event { throw failure }
        if case .status = event { return client }
    }
    throw session.hangup(try session.place())
}
