// SPDX-License-Identifier: Apache-2.0
//
// BakeText: what `build` would build, as a bake file has it (`--print`; docker/buildx, docs/bake-reference.md). Where file and
// command line both speak, `BuildWish` decides, here as for the build itself. No Dockerfile is read and no context fetched.

internal import ComposeModel
internal import Kernel

struct BakeText {
    let project: Project
    let wish: BuildWish
    /// As the command line has them: `id=NAME,src=FILE`, `default=SOCKET`.
    var secrets: [String]
    var agents: [String]

    func text(of services: Set<String>) -> String {
        let built = services.sorted().compactMap { project.services[$0] }.filter { $0.build != nil }
        let targets = built.map { service in (service.name, target(of: service)) }
        let all: [(String, JSONText)] = [("targets", .strings(targets.map(\.0)))]
        let group = JSONText.object([("default", JSONText.object(all))])
        return JSONText.object([("group", group), ("target", .object(targets))]).indented
    }

    private func target(of service: Service) -> JSONText {
        guard let build = service.build else { return .null }
        var members: [(String, JSONText)] = [("context", .string(build.context))]
        func add(_ name: String, _ values: [String: String]) {
            guard !values.isEmpty else { return }
            members.append(
                (name, .object(values.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })))
        }
        func add(_ name: String, _ values: [String]) {
            if !values.isEmpty { members.append((name, .strings(values))) }
        }
        func add(_ name: String, _ value: String?) {
            if let value { members.append((name, .string(value))) }
        }
        add("contexts", build.additionalContexts)
        if let text = build.dockerfileInline {
            add("dockerfile-inline", text)
        } else {
            add("dockerfile", build.dockerfile ?? "Dockerfile")
        }
        add("args", wish.arguments(of: build))
        add("labels", build.labels)
        add("tags", [project.imageName(of: service)] + build.tags)
        add("target", build.target)
        add("platforms", build.platforms)
        add("network", build.network)
        add("secret", secrets + build.secrets.map(text(of:)))
        add(
            "ssh",
            agents
                + build.ssh.sorted { $0.key < $1.key }.map { id, path in
                    path.isEmpty ? id : "\(id)=\(path)"
                })
        add("cache-from", wish.cacheSources.map(\.text) + build.cacheFrom)
        add("cache-to", wish.cacheTargets.map(\.text) + build.cacheTo)
        add("shm-size", build.shmSize.map { "\($0.bytes)" })
        add(
            "ulimits",
            build.ulimits.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.soft):\($0.value.hard)" })
        add("extra-hosts", Dictionary(build.extraHosts.map { ($0.name, $0.address) }) { "\($0),\($1)" })
        add("entitlements", build.entitlements + (build.privileged ? ["security.insecure"] : []))
        add("no-cache-filter", build.noCacheFilter)
        if wish.passesCacheBy(build) { members.append(("no-cache", .bool(true))) }
        if wish.pulls(build) { members.append(("pull", .bool(true))) }
        return .object(members)
    }

    /// Where it is from; what it holds is nobody's to print.
    private func text(of grant: Service.FileGrant) -> String {
        let id = "id=\(buildSecretID(of: grant))"
        switch project.secrets[grant.source]?.content {
        case .file(let path): return "\(id),src=\(path)"
        case .environment(let name, _): return "\(id),env=\(name)"
        case .content, .external, nil: return id
        }
    }
}

extension BuildWish {
    func arguments(of build: Service.Build) -> [String: String] { build.args.merging(arguments) { $1 } }
    func passesCacheBy(_ build: Service.Build) -> Bool { noCache || build.noCache }
    func pulls(_ build: Service.Build) -> Bool { pulls || build.pull }
}

/// What a build's steps call a secret of the file: the last part of its target, or its own name.
func buildSecretID(of grant: Service.FileGrant) -> String {
    let id = grant.isTargetGiven ? grant.target.split(separator: "/").last.map(String.init) : nil
    return id ?? grant.source
}
