// SPDX-License-Identifier: Apache-2.0
//
// What ADD names outside of this machine: files by URL and git repositories. The builder decides when something is
// fetched and what is known already; how it is fetched is the caller's.

public import Basics
public import Kernel

/// How a build reaches what is not in its contexts.
public struct RemoteSources {
    /// Fetches a file, or says that it is the known one.
    public var download: (RemoteFileRequest) throws(Failure) -> RemoteFileAnswer
    /// The commit that a reference stands for now.
    public var commit: (GitReference) throws(Failure) -> String
    /// Puts a commit's files into an empty directory.
    public var checkOut:
        (_ reference: GitReference, _ commit: String, _ directory: String, _ keepsGit: Bool) throws(Failure)
            -> Void

    public init(
        download: @escaping (RemoteFileRequest) throws(Failure) -> RemoteFileAnswer,
        commit: @escaping (GitReference) throws(Failure) -> String,
        checkOut: @escaping (GitReference, String, String, Bool) throws(Failure) -> Void
    ) {
        self.download = download
        self.commit = commit
        self.checkOut = checkOut
    }

    /// For builds that shall reach nothing.
    public static var none: RemoteSources {
        func refusal(_ what: String) -> Failure {
            Failure("cannot fetch \(what)", cause: "this build reads nothing but its contexts")
        }
        return RemoteSources(
            download: { (request: RemoteFileRequest) throws(Failure) -> RemoteFileAnswer in
                throw refusal(request.url)
            },
            commit: { (reference: GitReference) throws(Failure) -> String in throw refusal(reference.text) },
            checkOut: { (reference: GitReference, _: String, _: String, _: Bool) throws(Failure) -> Void in
                throw refusal(reference.text)
            })
    }
}

/// What a server said of a file, kept for the next build.
public struct RemoteFileRecord: Hashable, Sendable {
    public var entityTag: String?
    public var lastModified: String?
    /// Last-Modified in seconds since 1970; 0 where the server says none, as Docker's builder has it.
    public var modified: Int64
    public var digest: Digest

    public init(entityTag: String?, lastModified: String?, modified: Int64, digest: Digest) {
        self.entityTag = entityTag
        self.lastModified = lastModified
        self.modified = modified
        self.digest = digest
    }
}

public struct RemoteFileRequest {
    public var url: String
    /// What is here of it.
    public var known: RemoteFileRecord?
    /// Its bytes will be held against a digest: nobody on the way can change them.
    public var isPinned: Bool
    /// An empty file to write it to.
    public var file: SharedFD
    /// To be called now and then, by the thread that fetches.
    public var alive: () -> Void
}

public enum RemoteFileAnswer {
    case unchanged
    case fetched(RemoteFileRecord)
}
