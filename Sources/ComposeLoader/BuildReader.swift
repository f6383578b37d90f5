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
        var build = Service.Build(context: around.directory)
        var dockerfile: String?
        for (key, _, field) in fields() {
            switch key {
            case "context": build.context = field.directory(around) ?? build.context
            case "dockerfile": dockerfile = field.nonEmptyString()
            case "dockerfile_inline": build.dockerfileInline = field.string()
            case "target": build.target = field.nonEmptyString()
            case "args":
                for (key, value, _) in field.keyValues() {
                    // Without a value the client's own; without that the Dockerfile's default.
                    if let value = value ?? around.variables[key] { build.args[key] = value }
                }
            case "labels": build.labels = field.labels()
            case "tags": build.tags = unique(field.strings()) { $0 }
            case "no_cache": build.noCache = field.bool() ?? false
            case "platforms": for element in field.elements() { element.platform() }
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
        build.dockerfile = dockerfile.map { joined(build.context, $0) }
        return build
    }

    /// A directory of this host.
    private func directory(_ around: Surroundings) -> String? {
        guard let text = nonEmptyString() else { return nil }
        if isRemote(text) {
            error(
                "is \"\(text)\"; a remote context is not supported", advice: "clone it and name the directory"
            )
            return nil
        }
        return around.absolute(text)
    }

    private func namedContext(_ text: String, _ around: Surroundings) -> String? {
        if text.isEmpty {
            error("is empty")
            return nil
        }
        if text.hasPrefix("service:") { return text }
        if text.hasPrefix("oci-layout://") { return around.transport("oci:" + text.dropFirst(13)) }
        if isRemote(text) {
            error(
                "is \"\(text)\", which is not supported",
                advice:
                    "a directory, service:NAME, oci:PATH, oci-archive:PATH, docker-archive:PATH or dir:PATH")
            return nil
        }
        return around.transport(text) ?? around.absolute(text)
    }

    private func isRemote(_ text: String) -> Bool {
        text.contains("://") || text.hasPrefix("git@") || text.hasPrefix("github.com/")
    }
}
