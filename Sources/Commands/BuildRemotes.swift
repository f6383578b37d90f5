// SPDX-License-Identifier: Apache-2.0
//
// What a build reads from elsewhere, for the image builder: files through the registry client's HTTP, repositories
// through git; and contexts that are repositories, checked out for as long as the build takes.

internal import Basics
internal import CLinux
internal import ImageBuild
internal import Images
internal import Kernel
internal import Registry

struct BuildRemotes {
    private let environment: [String: String]
    private let limit: Int64
    private let root: String

    init(_ session: Session, _ store: ImageStore) {
        environment = session.invocation.environment
        limit = store.limits.bytes
        root = session.root
    }

    /// - agents: of the build; `default` is git's.
    func sources(agents: [String: String]) -> RemoteSources {
        let (environment, limit) = (environment, limit)
        func git(_ reference: GitReference) throws(Failure) -> GitProgram {
            try GitProgram(
                environment: environment, agent: agents["default"],
                doing: "cannot read the repository \(reference.url)")
        }
        return RemoteSources(
            download: { (request: RemoteFileRequest) throws(Failure) -> RemoteFileAnswer in
                let facts = try RegistryAccess(environment: environment).download(
                    request.url,
                    known: request.known.map {
                        RemoteFileFacts(
                            entityTag: $0.entityTag, lastModified: $0.lastModified, digest: $0.digest)
                    }, limit: limit, allowsPlainHTTP: request.isPinned, into: request.file,
                    alive: request.alive)
                guard let facts else { return .unchanged }
                return .fetched(
                    RemoteFileRecord(
                        entityTag: facts.entityTag, lastModified: facts.lastModified,
                        modified: facts.modified ?? 0, digest: facts.digest))
            },
            commit: { (reference: GitReference) throws(Failure) in try git(reference).commit(reference) },
            checkOut: {
                (reference: GitReference, commit: String, directory: String, keepsGit: Bool) throws(Failure)
                in
                try git(reference).checkOut(reference, commit, into: directory, keepsGit: keepsGit)
            })
    }

    /// A context that is a repository, as a directory; nil when it is none.
    func context(_ text: String, _ title: String, agents: [String: String], keepsGit: Bool)
        throws(Failure) -> CheckedOutContext?
    {
        let isShort = text.hasPrefix("github.com/")
        guard isShort || GitReference.isGit(text) else { return nil }
        let doing = "cannot use \(title)"
        let reference = try GitReference(isShort ? "https://\(text)" : text, doing: doing)
        let git = try GitProgram(environment: environment, agent: agents["default"], doing: doing)
        let commit = try git.commit(reference)
        let area: WorkArea
        let directory: String
        do throws(SyscallError) {
            area = try WorkArea(under: "\(root)/buildcache")
            directory = try area.directory("repository")
        } catch {
            throw Failure(doing, error)
        }
        try git.checkOut(reference, commit, into: directory, keepsGit: keepsGit)
        do throws(SyscallError) {
            // A link in the repository leads no further than the repository.
            let top = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
            let inner = reference.directory.isEmpty ? "." : reference.directory
            let place = try openat2(top.raw, inner, flags: O_PATH | O_DIRECTORY, resolve: .inRoot)
            return CheckedOutContext(area: area, path: try readLink("/proc/self/fd/\(place.raw)"))
        } catch {
            throw Failure(
                doing, cause: "the directory \"\(reference.directory)\" of the repository: \(error)",
                advice: "write https://HOST/PATH.git#BRANCH:DIRECTORY")
        }
    }
}

/// A repository's files, gone with the value.
final class CheckedOutContext {
    private let area: WorkArea
    let path: String

    init(area: WorkArea, path: String) {
        self.area = area
        self.path = path
    }
}
