// SPDX-License-Identifier: Apache-2.0
//
// compose.lock: which image each name of the project stood for when `lock` was run, by platform, so that the same project
// means the same images tomorrow and on another machine. It lies beside the Compose file and is made to be committed.
//
//     {"images": {"nginx:1.27": {"linux/amd64": "sha256:…"}}, "version": 1}

internal import Basics
internal import ComposeModel
internal import Images
internal import JSONFormat
internal import Kernel
internal import OCIFormats
internal import Registry

struct LockFile: Codable, Equatable {
    var version = 1
    /// Digests by the reference as the Compose file has it, and by platform.
    var images: [String: [String: Digest]] = [:]

    static func path(_ project: Project) -> String { "\(project.directory)/compose.lock" }
    static let platform = "linux/\(hostArchitecture)"

    /// The project's lock, nil when it has none.
    static func read(_ project: Project) throws(Failure) -> LockFile? {
        let path = path(project)
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(path, limit: 4 << 20) } catch {
            if error.errno == .noEntry { return nil }
            throw Failure("cannot read the lock \(path)", error)
        }
        do {
            let lock = try decodeJSON(LockFile.self, from: bytes)
            guard lock.version == 1 else {
                throw Failure(
                    "cannot read the lock \(path)",
                    cause: "it is of version \(lock.version); this program knows version 1",
                    advice: "use a newer covey, or run `covey lock` again")
            }
            return lock
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot read the lock \(path)", cause: "\(error)", advice: "run `covey lock` again")
        }
    }

    func digest(_ reference: String) -> Digest? { images[reference]?[LockFile.platform] }

    /// A reference that means the locked image and no other.
    func pinned(_ reference: String) throws(Failure) -> String? {
        guard let digest = digest(reference) else { return nil }
        return try RegistryName(reference).pinned(to: digest).text
    }
}

/// Images of a project that come from registries: not built here, no file, no id.
func lockable(_ project: Project) -> [(reference: String, service: Service)] {
    var seen: Set<String> = []
    var found: [(String, Service)] = []
    for name in project.services.keys.sorted() {
        guard let service = project.services[name], let reference = service.image, service.build == nil,
            Transport(reference, relativeTo: project.directory) == nil, Digest(reference) == nil,
            seen.insert(reference).inserted
        else { continue }
        found.append((reference, service))
    }
    return found
}

/// `--locked`: every image must be in the lock.
func checkLocked(_ project: Project, _ lock: LockFile?) throws(Failure) {
    guard let lock else {
        throw Failure(
            "cannot run with --locked", cause: "\(LockFile.path(project)) is not there",
            advice: "run `covey lock`")
    }
    let missing = lockable(project).filter { lock.digest($0.reference) == nil }
    if let first = missing.first {
        let names = missing.map { "\"\($0.reference)\"" }.joined(separator: ", ")
        throw Failure(
            "cannot run with --locked", cause: "the lock does not have \(names) for \(LockFile.platform)",
            advice: "run `covey lock`", at: first.service.marks["image"])
    }
}

/// `lock`: asks the registries what the names stand for now.
func runLock(_ session: Session) throws(Failure) -> Int32 {
    let project = try session.project()
    try checkServices(session.arguments.operands, project)
    let wanted = Set(session.arguments.operands)
    let path = LockFile.path(project)
    let old = try LockFile.read(project) ?? LockFile()
    var lock = old
    let all = lockable(project)
    // Names that the project no longer has go; others keep what other platforms' runs wrote.
    lock.images = old.images.filter { name, _ in all.contains { $0.reference == name } }
    let access = try RegistryAccess(environment: session.invocation.environment)
    var failures: [Failure] = []
    for (reference, service) in all {
        let users = project.services.values.filter { $0.image == reference }.map(\.name)
        if !wanted.isEmpty, wanted.isDisjoint(with: users) { continue }
        do throws(Failure) {
            let digest = try access.digest(of: reference)
            let before = lock.digest(reference)
            lock.images[reference, default: [:]][LockFile.platform] = digest
            if before != digest {
                session.out.line("\(reference)  \(before.map { "\($0) → " } ?? "")\(digest)")
            }
        } catch {
            var failure = error
            if failure.location == nil { failure.location = service.marks["image"] }
            failures.append(failure)
        }
    }
    if let failure = Failure.collect(failures) { throw failure }
    if lock == old, exists(path) {
        session.out.line("unchanged: \(path)")
        return 0
    }
    let bytes: [UInt8]
    do { bytes = try encodeJSON(lock, indented: true) } catch {
        throw Failure("cannot write the lock \(path)", cause: "\(error)")
    }
    try naming("cannot write the lock \(path)") { () throws(SyscallError) in
        try replaceFile(path, bytes + [0x0a], durable: true)
    }
    session.out.line("wrote \(path): \(lock.images.count) image\(lock.images.count == 1 ? "" : "s")")
    return 0
}

/// `plan --pull`: what a pull would change, a line for each image that is here and is another at its registry. What is
/// not here, or not as it is locked, planning tells in any case.
func pullChanges(_ session: Session, _ project: Project, services: Set<String>) throws(Failure) -> [String] {
    let access = try RegistryAccess(environment: session.invocation.environment)
    let store = try session.imageStore()
    let lock = try LockFile.read(project)
    var lines: [String] = []
    for (reference, _) in lockable(project)
    where project.services.values.contains(where: { $0.image == reference && services.contains($0.name) }) {
        guard lock?.digest(reference) == nil, try store.lookUp(reference) != nil else { continue }
        let here = try store.pulledFacts(reference)?.digest
        do throws(Failure) {
            let there = try access.digest(of: reference)
            if here != there {
                lines.append(
                    "image \(reference): \(here.map { "\($0)" } ?? "built or imported here"); the registry has \(there)"
                )
            }
        } catch {
            lines.append("image \(reference): the registry can't be asked now: \(error.cause ?? error.doing)")
        }
    }
    return lines
}
