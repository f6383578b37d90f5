// SPDX-License-Identifier: Apache-2.0
//
// Pushing: blobs at once, those the registry has left out and those another repository of it has mounted; the manifest last
// and byte for byte, so that its digest there is the one here.

public import Basics
public import Images
internal import Kernel
internal import OCIFormats

extension RegistryAccess {
    /// Sends an image of the store to the registry its name says.
    /// - name: what it is called there, the image's own name unless said otherwise.
    /// - report: called now and then on the caller's thread.
    public func push(
        _ image: StoredImage, as name: String? = nil, from store: ImageStore,
        report: ([LayerTransfer]) -> Void
    ) throws(Failure) -> Digest {
        let reference = name ?? image.facts.reference
        let remote = try RegistryName(reference)
        let doing = "cannot push \"\(reference)\""
        guard let tag = remote.tag else {
            throw Failure(doing, cause: "it is named by digest", advice: "push it by a tag: covey image tag")
        }
        let stored = try store.manifest(of: image)
        let holders = try store.namesByBlob()
        guard let place = try settings.places(for: remote, pulling: false).last else {
            throw Failure(doing, cause: "no place to send it to is left")
        }
        var blobs: [Descriptor] = []
        for blob in stored.manifest.layers + [stored.manifest.config]
        where !blobs.contains(where: { $0.digest == blob.digest }) {
            blobs.append(blob)
        }
        let counters = blobs.map { TransferCounter($0.digest, $0.size) }
        let failures = FailureList()
        let all = blobs
        do throws(SyscallError) {
            try runJobs(all.count, width: settings.parallel, every: .milliseconds(100)) { job in
                if !failures.isEmpty { return }
                do throws(Failure) {
                    let other = RegistryAccess.neighbour(remote, holders[all[job].digest] ?? [])
                    try self.send(all[job], other, place, doing, counters[job]) { () throws(Failure) in
                        try store.blob(all[job], of: reference)
                    }
                } catch {
                    counters[job].set(.failed)
                    failures.add(error)
                }
            } meanwhile: {
                report(counters.map(\.state))
            }
        } catch {
            throw Failure(doing, error)
        }
        report(counters.map(\.state))
        if let failure = Failure.collect(failures.all) { throw failure }
        let client = RegistryClient(place, self, scopes: RegistryAccess.pushScopes(place, nil), doing: doing)
        try client.put(stored.bytes, stored.mediaType, tag)
        return stored.digest
    }

    /// Another repository of the same registry that may have a blob.
    private static func neighbour(_ name: RegistryName, _ holders: [String]) -> String? {
        holders.lazy.compactMap { try? RegistryName($0) }
            .first { $0.host == name.host && $0.repository != name.repository }?.repository
    }

    static func pushScopes(_ place: RegistryPlace, _ other: String?) -> [String] {
        ["repository:\(place.repository):pull,push"] + (other.map { ["repository:\($0):pull"] } ?? [])
    }

    /// One blob, on a thread of its own (distribution-spec, "Pushing a blob monolithically": POST then PUT).
    func send(
        _ blob: Descriptor, _ other: String?, _ place: RegistryPlace, _ doing: String,
        _ counter: TransferCounter, _ open: () throws(Failure) -> SharedFD
    ) throws(Failure) {
        let client = RegistryClient(
            place, self, scopes: RegistryAccess.pushScopes(place, other), doing: doing)
        let here = HTTPRequest(method: "HEAD", url: try client.url("blobs/\(blob.digest)"))
        if try client.exchange(here, wanted: [200, 404]).status == 200 { return counter.set(.alreadyThere) }
        let file = try open()
        var tries = 1
        while true {
            let mount = tries == 1 ? other.map { "?mount=\(blob.digest)&from=\(queryEscaped($0))" } : nil
            let begin = HTTPRequest(method: "POST", url: try client.url("blobs/uploads/\(mount ?? "")"))
            let answer = try client.exchange(begin, wanted: [201, 202])
            if answer.status == 201 { return counter.set(.mounted) }
            guard let location = answer["location"], var target = begin.url.resolving(location) else {
                throw Failure(doing, cause: "\(place.host) says no place to send a layer to")
            }
            try client.checkMayUse(target, from: begin.url)
            target.path += (target.path.contains("?") ? "&" : "?") + "digest=\(blob.digest)"
            var request = HTTPRequest(method: "PUT", url: target)
            request.headers.append(("Content-Type", "application/octet-stream"))
            request.body = .file(file, offset: 0, length: blob.size)
            counter.set(.moving)
            client.connection.onProgress = { counter.set(moved: $0) }
            defer { client.connection.onProgress = nil }
            do throws(Failure) {
                // An upload's place is good for one try: what is sent again is sent to a new one.
                _ = try client.exchange(request, wanted: [201, 204], tries: 1)
                return counter.set(.finished)
            } catch {
                guard tries < settings.attempts, client.lastMayMend else { throw error }
                tries += 1
                pauseBetweenLooks(.milliseconds(250 << min(tries - 2, 4)))
            }
        }
    }

    /// Whether a credential opens the registry; throws what it says otherwise.
    public func check(_ credential: Credential, for host: String) throws(Failure) {
        use(credential, for: host)
        let doing = "cannot log in to \(host)"
        let name = try RegistryName("\(host)/any")
        let place =
            try settings.places(for: name, pulling: false).last
            ?? RegistryPlace(host: host, repository: "", isInsecure: false)
        let client = RegistryClient(place, self, scopes: [], doing: doing)
        _ = try client.exchange(HTTPRequest(method: "GET", url: try client.base()), wanted: [200])
    }
}

extension RegistryClient {
    /// Sends a manifest, the last of what is pushed.
    func put(_ manifest: [UInt8], _ mediaType: String, _ tag: String) throws(Failure) {
        var request = HTTPRequest(method: "PUT", url: try url("manifests/\(tag)"))
        request.headers.append(("Content-Type", mediaType))
        request.body = .bytes(manifest)
        let response = try exchange(request, wanted: [200, 201, 202])
        let digest = Digest(hashing: manifest)
        if let text = response["docker-content-digest"], text != digest.description {
            throw Failure(doing, cause: "\(place.host) keeps it as \(text), but it is \(digest)")
        }
    }
}
