// SPDX-License-Identifier: Apache-2.0
//
// PlainModel: a project's files merged and nothing put in, for `config --no-interpolate` and `--variables`. What has
// a variable in it can't be understood yet and stays as it was written; the rest is made long as far as it says
// itself (compose-go, transform/canonical.go with parse errors ignored).

public import Basics
internal import ComposeModel
internal import YAMLTree

/// A project's merged files with their variables in place.
public struct PlainModel: Sendable {
    public let name: String
    /// In merge order, by name.
    public let services: [String]
    /// By name.
    public let variables: [TemplateVariable]
    private let document: Value

    public var yaml: String { document.yaml() }
    public var json: String { document.json() }

    fileprivate init(_ merged: MergedFiles, _ options: LoadOptions) {
        name = merged.projectName
        services = (merged.root.mapping?["services"]?.mapping?.pairs.map(\.key) ?? []).filter {
            !$0.hasPrefix("x-")
        }
        var variables = TemplateVariables()
        variables.collect(merged.root)
        self.variables = variables.found.values.sorted { $0.name < $1.name }
        let around = merged.surroundings(options)
        document = PlainRendering(around: around, normalizes: options.normalizes).document(merged.root)
    }
}

/// Merges a project's files without putting variables in.
/// - Throws: what is wrong with the files' text, `extends` and `include`.
public func loadPlainModel(_ options: LoadOptions, reading files: FileAccess) throws(Failure) -> PlainModel {
    PlainModel(try MergedFiles(options, files, interpolates: false), options)
}

private struct PlainRendering {
    let around: Surroundings
    let normalizes: Bool

    func document(_ root: Node) -> Value {
        var sections: [(String, Value)] = []
        var usesDefault = false
        for pair in root.mapping?.pairs ?? [] where !["version", "name"].contains(pair.key) {
            var value = document(pair.value, Ledger.root.inside(pair.key), Path(pair.key))
            if normalizes {
                switch (pair.key, value) {
                case ("services", .map(let services)):
                    value = .map(services.map { ($0.0, onNetwork($0.1, &usesDefault)) })
                case ("networks", .map(let resources)), ("volumes", .map(let resources)),
                    ("configs", .map(let resources)), ("secrets", .map(let resources)):
                    value = .map(resources.map { ($0.0, named($0.1, $0.0)) })
                default: break
                }
            }
            sections.append((pair.key, value))
        }
        if usesDefault { addDefaultNetwork(to: &sections) }
        sections.append(("name", .text(around.projectName)))
        return .map(sections.sorted { $0.0 < $1.0 })
    }

    // MARK: What is left unsaid

    private func onNetwork(_ service: Value, _ usesDefault: inout Bool) -> Value {
        guard case .map(var pairs) = service,
            !pairs.contains(where: { ["networks", "network_mode"].contains($0.0) })
        else { return service }
        usesDefault = true
        pairs.append(("networks", .map([("default", .null)])))
        return .map(pairs.sorted { $0.0 < $1.0 })
    }

    private func named(_ resource: Value, _ key: String) -> Value {
        var pairs: [(String, Value)] = []
        if case .map(let given) = resource { pairs = given }
        guard !pairs.contains(where: { $0.0 == "name" }) else { return resource }
        let isExternal = pairs.contains { $0.0 == "external" && $0.1 == .bool(true) }
        pairs.append(("name", .text(isExternal ? key : "\(around.projectName)_\(key)")))
        return .map(pairs.sorted { $0.0 < $1.0 })
    }

    private func addDefaultNetwork(to sections: inout [(String, Value)]) {
        var networks: [(String, Value)] = []
        let position = sections.firstIndex { $0.0 == "networks" }
        if let position, case .map(let given) = sections[position].1 { networks = given }
        guard !networks.contains(where: { $0.0 == "default" }) else { return }
        networks.append(("default", named(.null, "default")))
        let value = Value.map(networks.sorted { $0.0 < $1.0 })
        if let position { sections[position].1 = value } else { sections.append(("networks", value)) }
    }

    // MARK: Long forms

    private func document(_ node: Node, _ shape: Shape, _ path: Path) -> Value {
        switch node.content {
        case .scalar(let text, _):
            if case .build = shape.merge, !node.isNull { return .map([("context", absolute(text, node))]) }
            if isPath(path), !node.isNull { return absolute(text, node) }
            return node.value
        case .mapping(let mapping):
            let pairs = mapping.pairs.map {
                ($0.key, document($0.value, shape.inside($0.key), Path($0.key, in: path)))
            }
            return .map(pairs.sorted { $0.0 < $1.0 })
        case .sequence(let items):
            switch shape.merge {
            case .keyed: return keyed(items)
            case .named: return .map(items.compactMap(\.text).sorted().map { ($0, .null) })
            case .dependencies:
                let started = Value.map([("condition", .text("service_started")), ("required", .bool(true))])
                return .map(items.compactMap(\.text).sorted().map { ($0, started) })
            default: break
            }
            return .list(items.flatMap { element($0, shape.each ?? .plain, path) })
        }
    }

    private func keyed(_ items: [Node]) -> Value {
        var values: [String: Value] = [:]
        for text in items.compactMap(\.text) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values[String(parts[0])] = parts.count > 1 ? .text(String(parts[1])) : .null
        }
        return .map(values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }

    /// An element of a list; a port or a mount in its long form when it can be understood.
    private func element(_ node: Node, _ shape: Shape, _ path: Path) -> [Value] {
        let own = path.text
        let isService = own.hasPrefix("services.")
        if let text = node.text, !text.utf8.contains(UInt8(ascii: "$")), isService {
            let scratch = Diagnostics(ports: around.log.ports)
            let field = Field(
                node: Node(.sequence([node]), at: node.place), path: path, log: scratch)
            let rendering = Rendering(isJSON: false, isEscaped: false)
            var values: [Value] = []
            if own.hasSuffix(".ports") { values = field.ports().map(rendering.document(of:)) }
            if own.hasSuffix(".volumes") { values = field.mounts(around).map(rendering.document(of:)) }
            if !values.isEmpty, scratch.errors.isEmpty { return values }
            if own.hasSuffix(".env_file") { return [absolute(text, node)] }
        }
        return [document(node, shape, path)]
    }

    private func isPath(_ path: Path) -> Bool {
        let text = path.text
        return text.hasSuffix(".build.context") || text.hasSuffix(".env_file")
            || text.hasSuffix(".file") && (text.hasPrefix("configs.") || text.hasPrefix("secrets."))
    }

    private func absolute(_ text: String, _ node: Node) -> Value {
        // A variable at the beginning may well be absolute itself.
        if text.hasPrefix("$") || text.contains("://") || text.hasPrefix("git@") { return .text(text) }
        return .text(around.absolute(text, at: node.place))
    }
}
