// SPDX-License-Identifier: Apache-2.0
//
// `pull`: the images of a project's services; `image pull`: images by name.

internal import Basics
internal import ComposeModel
internal import Images

func runPull(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    let project = try session.project()
    try checkServices(arguments.operands, project)
    let names =
        arguments.operands.isEmpty || arguments.has(.includeDependencies)
        ? withDependencies(arguments.operands, project) : Set(arguments.operands)
    let progress = try transferProgress(session, "pull")
    defer { progress.end() }
    let store = try session.imageStore()
    let transfer = try ImageTransfer(session, store, progress)
    let lock = try LockFile.read(project)
    var failures: [Failure] = []
    var seen: Set<String> = []
    for name in names.sorted() {
        guard let service = project.services[name], let reference = service.image else { continue }
        if service.build != nil, arguments.has(.ignoreBuildable) { continue }
        let policy = try PullPolicy(service, flag: arguments.last(.policy))
        if [.never, .build].contains(try PullPolicy(service, flag: nil)) || !seen.insert(reference).inserted {
            continue
        }
        // Files and directories, and images by id, are no registry's.
        if Transport(reference, relativeTo: project.directory) != nil || Digest(reference) != nil { continue }
        if policy == .missing, arguments.last(.policy) != nil, try store.lookUp(reference) != nil { continue }
        do throws(Failure) {
            // What is locked is fetched as it is locked; `covey lock` moves on.
            let source = service.build == nil ? try lock?.pinned(reference) : nil
            _ = try transfer.pull(source ?? reference, as: reference)
        } catch {
            var failure = error
            if failure.location == nil { failure.location = service.marks["image"] }
            if service.build != nil {
                progress.notice("\(reference) can be built: \(error.cause ?? error.doing)")
            } else if arguments.has(.ignorePullFailures) {
                progress.notice(failure.description)
            } else {
                failures.append(failure)
            }
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    return 0
}

func runImagePull(_ session: Session) throws(Failure) -> Int32 {
    let progress = try transferProgress(session, "pull")
    defer { progress.end() }
    let transfer = try ImageTransfer(session, try session.imageStore(), progress)
    var failures: [Failure] = []
    for reference in session.arguments.operands {
        do throws(Failure) {
            session.out.line("\(try transfer.pull(reference).digest)")
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
