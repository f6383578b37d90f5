// SPDX-License-Identifier: Apache-2.0
//
// `pull`: the images of a project's services; `image pull`: images by name.

internal import Basics
internal import ComposeModel
internal import Images

func runPull(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    let store = try session.imageStore()
    var seen: Set<String> = []
    return try transferImages(session, "pull", forgiving: .ignorePullFailures) {
        (project, service, reference, transfer, progress) throws(Failure) in
        if service.build != nil, arguments.has(.ignoreBuildable) { return false }
        // What another service builds is in no registry, or is pushed there by who built it.
        if service.build == nil, project.builder(of: reference) != nil { return false }
        let policy = try PullPolicy(service, flag: arguments.last(.policy))
        if [.never, .build].contains(try PullPolicy(service, flag: nil)) || !seen.insert(reference).inserted {
            return false
        }
        // Files and directories, and images by id, are no registry's.
        if Transport(reference, relativeTo: project.directory) != nil || Digest(reference) != nil {
            return false
        }
        if policy == .missing, arguments.last(.policy) != nil, try store.lookUp(reference) != nil {
            return false
        }
        do throws(Failure) {
            // What is locked is fetched as it is locked; `covey lock` moves on.
            let source = service.build == nil ? try LockFile.read(project)?.pinned(reference) : nil
            _ = try transfer.pull(source ?? reference, as: reference)
        } catch {
            guard service.build != nil else { throw error }
            progress.notice("\(reference) can be built: \(error.cause ?? error.doing)")
        }
        return true
    }
}

func runImagePull(_ session: Session) throws(Failure) -> Int32 {
    try transferNamed(session, "pull") { (reference, transfer) throws(Failure) in
        try transfer.pull(reference).digest
    }
}

/// Goes through the wanted services' images. All are tried; what failed is told at the end, or on the way for those who
/// ignore it.
/// - idle: said when no image was one to move, by what `move` gives.
func transferImages(
    _ session: Session, _ title: String, forgiving flag: FlagName, idle: String? = nil,
    _ move: (Project, Service, String, ImageTransfer, Progress) throws(Failure) -> Bool
) throws(Failure) -> Int32 {
    let arguments = session.arguments
    let project = try session.project()
    try checkServices(arguments.operands, project)
    let names =
        arguments.operands.isEmpty || arguments.has(.includeDependencies)
        ? withDependencies(arguments.operands, project) : Set(arguments.operands)
    let progress = try transferProgress(session, title)
    defer { progress.end() }
    let transfer = try ImageTransfer(session, try session.imageStore(), progress)
    var failures: [Failure] = []
    var isIdle = true
    for name in names.sorted() {
        guard let service = project.services[name], let reference = service.image else { continue }
        do throws(Failure) {
            if try move(project, service, reference, transfer, progress) { isIdle = false }
        } catch {
            isIdle = false
            var failure = error
            if failure.location == nil { failure.location = service.marks["image"] }
            if arguments.has(flag) {
                progress.notice(failure.description)
            } else {
                failures.append(failure)
            }
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    if isIdle, let idle { progress.notice(idle) }
    return 0
}

/// Goes through the images that were named and prints each one's digest.
func transferNamed(
    _ session: Session, _ title: String, _ move: (String, ImageTransfer) throws(Failure) -> Digest
) throws(Failure) -> Int32 {
    let progress = try transferProgress(session, title)
    defer { progress.end() }
    let transfer = try ImageTransfer(session, try session.imageStore(), progress)
    var failures: [Failure] = []
    for reference in session.arguments.operands {
        do throws(Failure) {
            session.out.line("\(try move(reference, transfer))")
        } catch {
            failures.append(error)
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    return 0
}

/// Progress as the flags say; none with `-q`.
func transferProgress(_ session: Session, _ title: String) throws(Failure) -> Progress {
    session.arguments.has(.quiet)
        ? Progress(title, mode: .quiet, output: session.errors) : try session.progress(title)
}
