// SPDX-License-Identifier: Apache-2.0
//
// Merging of override files (13-merge.md; compose-go, override/merge.go): mappings recurse, lists append,
// scalars replace; where Compose does otherwise, `MergeRule` says so, and the ledger says where. That list
// elements with the same key replace each other is the business of whoever reads the list (`unique`).

internal import Basics
internal import YAMLTree

/// How an attribute of an override file meets the one beneath it.
enum MergeRule: Sendable {
    /// Mappings recurse, lists append, scalars replace.
    case ordinary
    case replace
    /// `{K: V}` or `["K=V"]`: made mappings, then merged by key.
    case keyed
    /// A text or a list: made lists, then appended.
    case list
    /// A list of names, or a mapping by name: made mappings, then merged.
    case named
    /// `depends_on`: a list's elements are `service_started` and required.
    case dependencies
    /// `build`: a text is its context.
    case build
    /// Options are merged for the same driver only.
    case logging
    /// `ipam.config`: elements with one subnet are merged.
    case subnets
    /// `extra_hosts`: a mapping or a list, made lists, then appended.
    case hosts
    /// `gpus`: a list, or `all`.
    case gpus
}

struct Merging {
    let log: Diagnostics
    /// Whether `!reset` and `!override` stay in what comes out, for the file beneath (`extends`).
    var keepsTags = false

    /// Strips `!reset` and `!override` of a file that has nothing beneath it.
    func settle(_ node: Node) -> Node? {
        if node.tag == .reset { return nil }
        switch node.content {
        case .scalar(let text, let style):
            return node.tag == nil ? node : Node(.scalar(text, style), at: node.place)
        case .sequence(let items):
            let settled = items.compactMap(settle)
            if node.tag == nil, zip(settled, items).allSatisfy({ $0 === $1 }), settled.count == items.count {
                return node
            }
            return Node(.sequence(settled), at: node.place)
        case .mapping(let mapping):
            var changed = node.tag != nil
            var pairs: [Mapping.Pair] = []
            pairs.reserveCapacity(mapping.pairs.count)
            for pair in mapping.pairs {
                let new = settle(pair.value)
                if new !== pair.value { changed = true }
                if let new { pairs.append(Mapping.Pair(key: pair.key, keyPlace: pair.keyPlace, value: new)) }
            }
            return changed ? Node(.mapping(Mapping(pairs)), at: node.place) : node
        }
    }

    /// What comes from the upper file: settled, unless tags are kept.
    private func taken(_ node: Node) -> Node? { keepsTags ? node : settle(node) }

    /// `over` laid on `base`, which is settled; nil when `!reset` removes it.
    func merge(_ base: Node, _ over: Node, _ shape: Shape, _ path: Path) -> Node? {
        if over.tag == .reset { return keepsTags ? over : nil }
        if over.tag == .override { return taken(over) }
        switch shape.merge {
        case .replace: return taken(over)
        case .keyed: return mappings(keyed(base), keyed(over), shape, path, nullReplaces: true)
        case .dependencies: return mappings(dependencies(base), dependencies(over), shape, path)
        case .named: return mappings(named(base), named(over), shape, path)
        case .build: return mappings(contextual(base), contextual(over), shape, path)
        case .list: return lists(listed(base), listed(over), path)
        case .hosts: return lists(hosts(base), hosts(over), path)
        case .gpus: if base.items == nil || over.items == nil { return taken(over) }
        case .logging:
            let (old, new) = (base.mapping?["driver"]?.text, over.mapping?["driver"]?.text)
            if let old, let new, old != new { return taken(over) }
        case .subnets: return subnets(base, over, shape, path)
        case .ordinary: break
        }
        switch (base.content, over.content) {
        case (.mapping, .mapping): return mappings(base, over, shape, path)
        case (.sequence, .sequence): return lists(base, over, path)
        case (.scalar, _): return taken(over)
        default:
            // An empty section says nothing about what is beneath it.
            if over.isNull { return base }
            log.error(
                "`\(path.text)` cannot be merged: it is \(form(over)) here and \(form(base)) in \(base.place.file.name):\(base.place.line)",
                advice: "use the same form, or `!override` to replace it", at: over.place)
            return base
        }
    }

    private func form(_ node: Node) -> String {
        switch node.content {
        case .scalar: "text"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    private func lists(_ base: Node, _ over: Node, _ path: Path) -> Node {
        guard let old = base.items, let new = over.items else { return taken(over) ?? base }
        return Node(.sequence(old + new.compactMap(taken)), at: base.place)
    }

    private func mappings(
        _ base: Node, _ over: Node, _ shape: Shape, _ path: Path, nullReplaces: Bool = false
    ) -> Node {
        guard let old = base.mapping, let new = over.mapping else {
            if over.isNull { return base }
            if base.isNull { return taken(over) ?? base }
            // The reader of the attribute says what form it wants.
            return taken(over) ?? base
        }
        var pairs = old.pairs
        var removed: Set<Int> = []
        for pair in new.pairs {
            guard let position = old.position(of: pair.key) else {
                if let value = taken(pair.value) {
                    pairs.append(Mapping.Pair(key: pair.key, keyPlace: pair.keyPlace, value: value))
                }
                continue
            }
            let beneath = pairs[position]
            let replaces = nullReplaces || pair.key.hasPrefix("x-")
            let value =
                replaces
                ? taken(pair.value)
                : merge(beneath.value, pair.value, shape.inside(pair.key), Path(pair.key, in: path))
            guard let value else {
                removed.insert(position)
                continue
            }
            // The place is where the value was said last.
            let isWhole = value !== beneath.value && value.mapping == nil
            pairs[position] = Mapping.Pair(
                key: pair.key, keyPlace: isWhole ? pair.keyPlace : beneath.keyPlace, value: value)
        }
        if removed.isEmpty { return Node(.mapping(old.extended(to: pairs)), at: base.place) }
        let left = pairs.indices.lazy.filter { !removed.contains($0) }.map { pairs[$0] }
        return Node(.mapping(Mapping(Array(left))), at: base.place)
    }

    private func subnets(_ base: Node, _ over: Node, _ shape: Shape, _ path: Path) -> Node {
        guard var result = base.items, let new = over.items else { return taken(over) ?? base }
        for item in new {
            let subnet = item.mapping?["subnet"]?.text
            let position = result.firstIndex { $0.mapping?["subnet"]?.text == subnet && subnet != nil }
            if let position {
                if let merged = merge(result[position], item, shape.inside(""), path) {
                    result[position] = merged
                }
            } else if let item = taken(item) {
                result.append(item)
            }
        }
        return Node(.sequence(result), at: base.place)
    }

    // MARK: Common forms

    private func keyed(_ node: Node) -> Node {
        guard let items = node.items else { return node }
        var pairs: [Mapping.Pair] = []
        for item in items {
            guard let text = item.text else { return node }
            let key: String
            let value: Node
            if let equals = text.firstIndex(of: "=") {
                key = String(text[..<equals])
                value = Node(
                    .scalar(String(text[text.index(after: equals)...]), .quoted), tag: item.tag,
                    at: item.place)
            } else {
                key = text
                value = Node(.scalar("", .plain), tag: item.tag, at: item.place)
            }
            pairs.append(Mapping.Pair(key: key, keyPlace: item.place, value: value))
        }
        return Node(.mapping(Mapping(unique(pairs) { $0.key })), at: node.place)
    }

    private func dependencies(_ node: Node) -> Node {
        guard let mapping = named(node).mapping, node.items != nil else { return node }
        let pairs = mapping.pairs.map { pair in
            let place = pair.keyPlace
            let started = [("condition", "service_started"), ("required", "true")].map {
                Mapping.Pair(key: $0.0, keyPlace: place, value: Node(.scalar($0.1, .quoted), at: place))
            }
            let value = Node(.mapping(Mapping(started)), tag: pair.value.tag, at: place)
            return Mapping.Pair(key: pair.key, keyPlace: place, value: value)
        }
        return Node(.mapping(Mapping(pairs)), at: node.place)
    }

    private func named(_ node: Node) -> Node {
        guard let items = node.items else { return node }
        var pairs: [Mapping.Pair] = []
        for item in items {
            guard let text = item.text else { return node }
            pairs.append(
                Mapping.Pair(
                    key: text, keyPlace: item.place,
                    value: Node(.scalar("", .plain), tag: item.tag, at: item.place)))
        }
        return Node(.mapping(Mapping(unique(pairs) { $0.key })), at: node.place)
    }

    private func contextual(_ node: Node) -> Node {
        guard node.text != nil else { return node }
        return Node(
            .mapping(Mapping([Mapping.Pair(key: "context", keyPlace: node.place, value: node)])),
            at: node.place)
    }

    /// `{NAME: ADDRESS}` or `{NAME: [ADDRESS…]}` as the list of `NAME=ADDRESS`.
    private func hosts(_ node: Node) -> Node {
        guard let mapping = node.mapping else { return node }
        var items: [Node] = []
        for pair in mapping.pairs {
            for address in pair.value.items ?? [pair.value] {
                guard let text = address.text else { return node }
                items.append(Node(.scalar("\(pair.key)=\(text)", .quoted), at: pair.keyPlace))
            }
        }
        return Node(.sequence(items), tag: node.tag, at: node.place)
    }

    private func listed(_ node: Node) -> Node {
        guard node.text != nil else { return node }
        return Node(.sequence([node]), at: node.place)
    }
}
