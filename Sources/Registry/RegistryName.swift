// SPDX-License-Identifier: Apache-2.0
//
// Registry: the distribution protocol (OCI distribution-spec 1.1; Docker's registry v2 is the same on the wire): names,
// HTTP, authentication, pulling into `Images` and pushing from it. It runs in the client's process and opens libcurl;
// the controller never sees it. It decides nothing about projects.
//
// Here: a name as a registry understands it: without a host (Images/ReferenceParts.swift) it is `docker.io`, and there a name of
// one part is `library/NAME`.

public import Basics
internal import Images

/// `HOST/PATH[:TAG][@DIGEST]`, every part in its long form.
public struct RegistryName: Hashable, Sendable {
    /// `docker.io`, `localhost:5000`.
    public var host: String
    /// `library/nginx`.
    public var repository: String
    /// nil with a digest: it says more.
    public var tag: String?
    public var digest: Digest?

    public init(_ text: String) throws(Failure) {
        let parts: ReferenceParts
        do throws(ReferenceMistake) { parts = try ReferenceParts(text) } catch {
            throw Failure(
                "cannot understand the image name \"\(text)\"", cause: error.reason,
                advice: "write [HOST[:PORT]/]NAME[:TAG] or NAME@sha256:DIGEST")
        }
        host = parts.host ?? "docker.io"
        if host == "index.docker.io" { host = "docker.io" }
        repository = parts.repository
        if host == "docker.io", !repository.contains("/") { repository = "library/\(repository)" }
        digest = parts.digest
        tag = digest == nil ? parts.tag ?? "latest" : nil
    }

    /// What the registry is asked for: the digest, else the tag.
    public var reference: String { digest?.description ?? tag ?? "latest" }

    /// `docker.io/library/nginx:latest`
    public var text: String {
        "\(host)/\(repository)" + (digest.map { "@\($0)" } ?? tag.map { ":\($0)" } ?? "")
    }

    /// The same repository, named by digest.
    public func pinned(to digest: Digest) -> RegistryName {
        var name = self
        name.digest = digest
        name.tag = nil
        return name
    }

    /// Docker Hub's API answers elsewhere than its name says, as all clients know.
    var apiHost: String { host == "docker.io" ? "registry-1.docker.io" : host }
}
