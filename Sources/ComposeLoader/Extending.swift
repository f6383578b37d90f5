// SPDX-License-Identifier: Apache-2.0
//
// Extending: `extends` of services (05-services.md; compose-go, loader/extends.go). The base is of the same
// document or of another file, and may itself extend. It is laid beneath the service by the rules of merging;
// only the service comes over, not the resources it names. `!reset` and `!override` of the service count for the
// base, and stay for the files beneath this one.

internal import Basics
internal import YAMLTree

/// The services of one file, each resolved once.
private final class Scope {
    let path: String
    let origin: Int
    let services: Mapping
    /// A file that is only extended has its variables put in service by service: the others may ask for more.
    let isForeign: Bool
    var resolved: [String: Node] = [:]
    /// Complained about already.
    var failed: Set<String> = []

    init(path: String, origin: Int, services: Mapping, isForeign: Bool) {
        self.path = path
        self.origin = origin
        self.services = services
        self.isForeign = isForeign
    }
}

final class Extending {
    private let assembly: Assembly
    private let root: Node
    private let own: Scope?
    private var scopes: [String: Scope] = [:]
    private var log: Diagnostics { assembly.log }

    static let depth = 100

    init(assembly: Assembly, path: String, root: Node, origin: Int) {
        self.assembly = assembly
        self.root = root
        own = root.mapping?["services"]?.mapping.map {
            Scope(path: path, origin: origin, services: $0, isForeign: false)
        }
    }

    /// The document with every `extends` carried out.
    func apply() -> Node {
        guard let own, let mapping = root.mapping, let section = mapping.position(of: "services"),
            own.services.pairs.contains(where: { $0.value.mapping?["extends"] != nil })
        else { return root }
        let pairs = own.services.pairs.map { pair in
            let service = resolve(pair.key, in: own, chain: [])
            return Mapping.Pair(key: pair.key, keyPlace: pair.keyPlace, value: service ?? pair.value)
        }
        var sections = mapping.pairs
        let old = sections[section]
        sections[section] = Mapping.Pair(
            key: old.key, keyPlace: old.keyPlace,
            value: Node(.mapping(Mapping(pairs)), tag: old.value.tag, at: old.value.place))
        return Node(.mapping(Mapping(sections)), tag: root.tag, at: root.place)
    }

    /// A service with what it extends beneath it; nil after a complaint.
    private func resolve(_ name: String, in scope: Scope, chain: [String]) -> Node? {
        if let done = scope.resolved[name] { return done }
        if scope.failed.contains(name) { return nil }
        let found = resolveAnew(name, in: scope, chain: chain)
        if let found { scope.resolved[name] = found } else { scope.failed.insert(name) }
        return found
    }

    private func resolveAnew(_ name: String, in scope: Scope, chain: [String]) -> Node? {
        guard let pair = scope.services.pair(name) else { return nil }
        let path = Path(name, in: Path("services"))
        var node = pair.value
        if scope.isForeign, assembly.interpolates {
            node = Interpolation(variables: assembly.origins.all[scope.origin].variables, log: log)
                .apply(node, path, depth: 2)
        }
        guard let mapping = node.mapping, let extends = mapping.pair("extends"), !extends.value.isNull else {
            return node
        }
        let step = "\"\(name)\" in \(assembly.reader.displayName(scope.path))"
        if let start = chain.firstIndex(of: step) {
            log.error(
                "services extend each other in a cycle",
                cause: (chain[start...] + [step]).joined(separator: " → "), at: extends.keyPlace)
            return nil
        }
        guard chain.count < Extending.depth else {
            log.error("services extend each other more than \(Extending.depth) deep", at: extends.keyPlace)
            return nil
        }
        let field = Field(node: extends.value, path: Path("extends", in: path), log: log)
        guard let (reference, base) = base(field, scope) else { return nil }
        guard base.services.pair(reference) != nil else {
            log.error(
                "service \"\(name)\" extends \"\(reference)\", which is not in \(assembly.reader.displayName(base.path))",
                advice: nearest(to: reference, among: base.services.pairs.map(\.key)).map {
                    "did you mean \"\($0)\"?"
                }, at: field.place)
            return nil
        }
        guard let found = resolve(reference, in: base, chain: chain + [step]) else { return nil }
        let rest = Mapping(mapping.pairs.filter { $0.key != "extends" })
        let over = Node(.mapping(rest), tag: node.tag, at: node.place)
        let beneath = Merging(log: log).settle(found) ?? Node(.mapping(Mapping([])), at: found.place)
        if beneath.isNull { return over }
        var merging = Merging(log: log)
        merging.keepsTags = true
        return merging.merge(beneath, over, Ledger.serviceShape, path)
    }

    /// The service's name and the file it is in; nil after a complaint.
    private func base(_ field: Field, _ scope: Scope) -> (String, Scope)? {
        var reference: String?
        var file: (path: String, field: Field)?
        if field.node.mapping != nil {
            field.check(Shape(fields: Ledger.extends))
            for (key, _, field) in field.fields() {
                switch key {
                case "service": reference = field.nonEmptyString()
                case "file":
                    if !field.node.isNull { file = field.nonEmptyString().map { ($0, field) } }
                default: continue
                }
            }
            if field.node.mapping?["service"] == nil {
                field.error("has no `service`", advice: "name the service it extends")
            }
        } else {
            reference = field.nonEmptyString()
        }
        guard let reference else { return nil }
        guard let file else { return (reference, scope) }
        if assembly.isRemote(file.path) {
            file.field.error(
                "names \(file.path); files that must be fetched are not supported", advice: "copy it here")
            return nil
        }
        let path = assembly.absolute(file.path, origin: field.place.file.origin)
        if path == scope.path { return (reference, scope) }
        let key = "\(scope.origin) \(path)"
        if let known = scopes[key] { return (reference, known) }
        let variables = assembly.origins.all[scope.origin].variables
        let origin = assembly.origins.add(Origin(directory: parent(of: path), variables: variables))
        let documents = assembly.reader.documents(path, origin: origin, at: file.field.place)
        let merging = Merging(log: log)
        var merged: Node?
        for document in documents {
            merged =
                if let below = merged {
                    merging.merge(below, document, Ledger.root, Path(""))
                } else {
                    merging.settle(document)
                }
        }
        guard let merged else { return nil }
        guard let services = merged.mapping?["services"]?.mapping else {
            log.error(
                "\(assembly.reader.displayName(path)) has no services to extend", at: file.field.place)
            return nil
        }
        let new = Scope(path: path, origin: origin, services: services, isForeign: true)
        scopes[key] = new
        return (reference, new)
    }
}
