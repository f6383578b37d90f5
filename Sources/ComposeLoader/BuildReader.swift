// SPDX-License-Identifier: Apache-2.0
//
// BuildReader: `build` of a service (build.md), a directory or its long form.

internal import Basics
internal import ComposeModel

extension Field {
    func build(_ around: Surroundings) -> Service.Build? {
        if node.isNull { return nil }
        if node.text != nil {
            return directory(around).map { Service.Build(context: $0) }
        }
        guard let mapping = node.mapping else {
            wrongForm(expected: "a directory or a mapping")
            return nil
        }
        var build = Service.Build(context: around.absolute(".", at: place))
        var dockerfile: String?
        for (key, _, field) in fields() {
            switch key {
            case "context": build.context = field.directory(around) ?? build.context
            case "dockerfile": dockerfile = field.nonEmptyString()
            case "dockerfile_inline": build.dockerfileInline = field.string()
            case "target": build.target = field.nonEmptyString()
            case "args":
                for (key, value, field) in field.keyValues() {
                    // Without a value the client's own; without that the Dockerfile's default.
                    if let value = value ?? around.variable(key, at: field.place) {
                        build.args[key] = value
                    } else {
                        build.unsetArgs.insert(key)
                    }
                }
            case "labels": build.labels = field.labels()
            case "tags": build.tags = unique(field.strings()) { $0 }
            case "no_cache": build.noCache = field.bool() ?? false
            case "no_cache_filter": build.noCacheFilter = field.stringOrList()
            case "platforms": build.platforms = unique(field.elements().compactMap { $0.platform() }) { $0 }
            case "entitlements":
                build.entitlements = unique(field.strings()) { $0 }
                for name in build.entitlements where !["security.insecure", "network.host"].contains(name) {
                    field.refuse(
                        "has \"\(name)\", which is not supported",
                        advice: "security.insecure and network.host are")
                }
            case "provenance": build.provenance = field.string()
            case "sbom": build.sbom = field.string()
            case "ssh": build.ssh = field.agents(around)
            case "cache_from": build.cacheFrom = unique(field.strings()) { $0 }
            case "cache_to": build.cacheTo = unique(field.strings()) { $0 }
            case "pull": build.pull = field.bool() ?? false
            case "extra_hosts": build.extraHosts = field.extraHosts()
            case "isolation": build.isolation = field.nonEmptyString()
            case "network": build.network = field.nonEmptyString()
            case "secrets": build.secrets = field.grants(defaultDirectory: "/run/secrets/")
            case "shm_size": build.shmSize = field.bytes()
            case "ulimits": build.ulimits = field.ulimits()
            case "privileged": build.privileged = field.bool() ?? false
            case _ where key.hasPrefix("x-"): build.extensions[key] = field.node.value
            case "additional_contexts":
                for (name, value, field) in field.keyValues() {
                    build.additionalContexts[name] = field.namedContext(value ?? "", around)
                }
            default: continue
            }
        }
        if let pair = mapping.pair("dockerfile_inline"), dockerfile != nil {
            error(
                "has both `dockerfile` and `dockerfile_inline`", advice: "give one of them", at: pair.keyPlace
            )
        }
        build.dockerfile = dockerfile.map {
            around.resolvesPaths && !isRemote(build.context) ? joinedPath(build.context, $0) : $0
        }
        return build
    }

    /// `default`, or ID=SOCKET. One text alone is refused, as the schema and compose-go refuse it (transform/ssh.go),
    /// whatever the schema's description says; so is another id without a socket.
    ///
    /// Paths are the file's, as all paths of it (compose-go, paths/resolve.go, `services.*.build.ssh.*`); several key files have
    /// commas between them.
    private func agents(_ around: Surroundings) -> [String: String] {
        var agents: [String: String] = [:]
        for (id, socket, field) in keyValues() {
            if socket == nil, id != "default", node.items != nil {
                field.error("is \"\(id)\"; expected default, or ID=SOCKET")
            }
            // An empty one is told by who looks for the files.
            let paths = (socket ?? "").split(separator: ",", omittingEmptySubsequences: false).map {
                $0.isEmpty ? "" : around.absolute(String($0), at: field.place)
            }
            agents[id] = paths.joined(separator: ",")
        }
        return agents
    }

    /// A directory of this host.
    private func directory(_ around: Surroundings) -> String? {
        guard let text = nonEmptyString() else { return nil }
        if isRemote(text) {
            if !isRepository(text) {
                refuse(
                    "is \"\(text)\"; a remote context is a git repository",
                    advice: "write https://HOST/PATH.git#BRANCH:DIRECTORY, or fetch it and name the directory"
                )
            }
            return text
        }
        return around.absolute(text, at: place)
    }

    private func namedContext(_ text: String, _ around: Surroundings) -> String? {
        if text.isEmpty {
            error("is empty")
            return nil
        }
        if text.hasPrefix("service:") || text.hasPrefix("docker-image://") { return text }
        if text.hasPrefix("oci-layout://") { return around.transport("oci:" + text.dropFirst(13), at: place) }
        if isRepository(text) { return text }
        if isRemote(text) {
            refuse(
                "is \"\(text)\", which is not supported",
                advice:
                    "a directory, service:NAME, a git repository, oci:PATH, oci-archive:PATH, docker-archive:PATH or dir:PATH"
            )
            return text
        }
        return around.transport(text, at: place) ?? around.absolute(text, at: place)
    }

    /// As Docker tells a repository from other URLs.
    private func isRepository(_ text: String) -> Bool {
        let plain = text.prefix { $0 != "#" }
        if ["git@", "git://", "ssh://", "github.com/"].contains(where: plain.hasPrefix) { return true }
        return plain.hasSuffix(".git") && (plain.hasPrefix("https://") || plain.hasPrefix("http://"))
    }

    private func isRemote(_ text: String) -> Bool {
        text.contains("://") || text.hasPrefix("git@") || text.hasPrefix("github.com/")
    }
}
