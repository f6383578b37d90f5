// SPDX-License-Identifier: Apache-2.0
//
// Mounts, and configs and secrets as files: what stands where in the container's tree. A place is taken once;
// parents come before what lies below them, because that is the order they are mounted in.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// The service's mounts, then an anonymous volume for each of the image's VOLUMEs nothing is mounted on.
    ///
    /// As in the engine only a mount at the very path counts, not one above it.
    func mounts(beside files: [FileRequest]) throws(Failure) -> [MountRequest] {
        var taken: Set<String> = []
        for file in files where !taken.insert(file.target).inserted {
            throw Failure(
                "service \(quoted(service.name)) has two files at \(file.target)",
                advice: "give one of them another `target`", at: service.marks.place("secrets", "configs"))
        }
        var requests: [MountRequest] = []
        for mount in service.volumes {
            let place = mount.location ?? service.marks["volumes"]
            guard mount.target.hasPrefix("/") else {
                throw Failure(
                    "service \(quoted(service.name)) mounts at \(quoted(mount.target))",
                    cause: "the path in the container is not absolute", advice: "begin it with /", at: place)
            }
            let target = normalPath(mount.target)
            guard target != "/" else {
                throw Failure(
                    "service \(quoted(service.name)) mounts over the container's root",
                    advice: "choose a directory below /", at: place)
            }
            guard taken.insert(target).inserted else {
                throw Failure(
                    "service \(quoted(service.name)) has two mounts at \(target)",
                    advice: "remove one of them", at: place)
            }
            var request = MountRequest(
                source: try source(of: mount, at: place), target: target, readOnly: mount.readOnly,
                copyFromImage: !mount.noCopy)
            if case .image = request.source { request.readOnly = true }
            request.subpath = mount.subpath
            if mount.runsPrograms { request.runsPrograms = true }
            if case .anonymous = request.source, !mount.labels.isEmpty { request.labels = mount.labels }
            request.beneath = mount.recursive.flatMap(MountRequest.MountsBeneath.init)
            if request.beneath == .readOnly || request.beneath == .writable, !mount.readOnly {
                throw Failure(
                    "service \(quoted(service.name)) has `recursive: \(mount.recursive ?? "")` on a writable mount "
                        + "at \(target)",
                    cause: "it says what of a read-only one holds for the mounts beneath",
                    advice: "add `read_only: true`, or remove `recursive`", at: place)
            }
            requests.append(request)
        }
        for volume in image.defaults.volumes {
            let target = normalPath(volume)
            guard target != "/", taken.insert(target).inserted else { continue }
            requests.append(MountRequest(source: .anonymous(index: 0), target: target))
        }
        requests.sort { (depth(of: $0.target), $0.target) < (depth(of: $1.target), $1.target) }
        var anonymous = 0
        for index in requests.indices {
            if case .anonymous = requests[index].source {
                requests[index].source = .anonymous(index: anonymous)
                anonymous += 1
            }
        }
        return requests
    }

    private func source(
        of mount: Service.Mount, at place: SourceLocation?
    ) throws(Failure) -> MountRequest.Source {
        switch mount.source {
        case .anonymous: return .anonymous(index: 0)
        case .bind(let path, let create, let propagation):
            return .bind(path: path, createHostPath: create, propagation: propagation)
        case .tmpfs(let size, let mode, let uid, let gid):
            return .tmpfs(size: size, mode: mode, uid: uid, gid: gid)
        case .volume(let key):
            guard let volume = project.volumes[key] else {
                throw Failure(
                    "service \(quoted(service.name)) uses volume \(quoted(key)), which is not declared",
                    advice: nearest(to: key, among: project.volumes.keys.sorted())
                        .map { "did you mean \(quoted($0))?" }
                        ?? "declare it under the top-level `volumes`, or write ./\(key) for a directory",
                    at: place)
            }
            return .volume(name: volume.name)
        case .image(let reference):
            guard let facts = contents.images[reference] else {
                throw Failure(
                    "service \(quoted(service.name)) mounts the image \(quoted(reference)), which is not in the store",
                    advice: "import it with `covey image import`", at: place)
            }
            return .image(reference: reference, id: facts.id, layers: facts.layers)
        case .foreign:
            throw Failure(
                "service \(quoted(service.name)) has a mount of a kind that is not supported at \(mount.target)",
                advice: "volume, bind, tmpfs and image are", at: place)
        }
    }
}

/// The contents given to services so far; each is hashed once, whoever uses it.
struct GrantedFiles {
    let project: Project
    let contents: FileContents
    private(set) var blobs: [Digest: [UInt8]] = [:]
    private var digests: [String: Digest] = [:]

    init(project: Project, contents: FileContents) {
        self.project = project
        self.contents = contents
    }

    /// Configs, then secrets, by their place in the container.
    mutating func requests(for service: Service) throws(Failure) -> [FileRequest] {
        var requests: [FileRequest] = []
        for grant in service.configs {
            requests.append(
                try request(for: grant, kind: "config", of: service, content: contents.configs[grant.source]))
        }
        for grant in service.secrets {
            requests.append(
                try request(for: grant, kind: "secret", of: service, content: contents.secrets[grant.source]))
        }
        return requests.sorted { $0.target < $1.target }
    }

    private mutating func request(
        for grant: Service.FileGrant, kind: String, of service: Service, content: [UInt8]?
    ) throws(Failure) -> FileRequest {
        let title = "\(kind) \(quoted(grant.source))"
        guard let content else {
            let known = (kind == "config" ? project.configs : project.secrets)
            throw Failure(
                "service \(quoted(service.name)) uses \(title), which is "
                    + (known[grant.source] == nil
                        ? "not declared" : "empty-handed: its content was not read"),
                advice: nearest(to: grant.source, among: known.keys.sorted())
                    .flatMap { $0 == grant.source ? nil : "did you mean \(quoted($0))?" }
                    ?? "declare it under the top-level `\(kind)s`",
                at: grant.location ?? service.marks["\(kind)s"])
        }
        let digest = digests[title] ?? Digest(of: content)
        digests[title] = digest
        blobs[digest] = content
        return FileRequest(
            title: title, content: digest, target: normalPath(grant.target), uid: grant.uid ?? 0,
            gid: grant.gid ?? 0,
            mode: grant.mode ?? 0o444)
    }
}

private func depth(of path: String) -> Int {
    path.utf8.reduce(0) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 }
}
