// SPDX-License-Identifier: Apache-2.0

/// A node of a YAML document; immutable, shared by the aliases that name it.
public final class Node: Sendable {
    public enum Content: Sendable {
        case scalar(String, ScalarStyle)
        case sequence([Node])
        case mapping(Mapping)
    }

    public let content: Content
    /// `!reset` or `!override`, which merging understands.
    public let tag: MergeTag?
    public let place: Place
    /// Nodes beneath and including this one, every alias followed; bounded by `YAMLLimits.aliasVisits`.
    public let weight: Int

    public init(_ content: Content, tag: MergeTag? = nil, at place: Place) {
        self.content = content
        self.tag = tag
        self.place = place
        switch content {
        case .scalar: weight = 1
        case .sequence(let items):
            weight = items.reduce(1) { $0 + $1.weight }
        case .mapping(let mapping):
            weight = mapping.pairs.reduce(1) { $0 + $1.value.weight }
        }
    }

    /// The text of a scalar, nil for anything else and for null.
    public var text: String? {
        guard case .scalar(let text, _) = content, !isNull else { return nil }
        return text
    }

    /// Whether this is a null: nothing, `~` or `null`, unquoted.
    public var isNull: Bool {
        guard case .scalar(let text, .plain) = content else { return false }
        return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
    }

    public var items: [Node]? {
        guard case .sequence(let items) = content else { return nil }
        return items
    }

    public var mapping: Mapping? {
        guard case .mapping(let mapping) = content else { return nil }
        return mapping
    }
}

/// Tags with a meaning when files are merged (Compose spec, 13-merge.md).
public enum MergeTag: String, Sendable {
    case reset = "!reset"
    case override = "!override"
}

/// How a scalar was written.
public enum ScalarStyle: Sendable {
    case plain
    /// In quotes, or tagged `!!str`: always text.
    case quoted
    /// `|` or `>`.
    case block
    /// A variable was put in: text, never null.
    case interpolated
}

/// Pairs in the order they were written, keys unique.
public struct Mapping: Sendable {
    public struct Pair: Sendable {
        public let key: String
        public let keyPlace: Place
        public let value: Node

        public init(key: String, keyPlace: Place, value: Node) {
            self.key = key
            self.keyPlace = keyPlace
            self.value = value
        }
    }

    public let pairs: [Pair]
    /// Key → position; only kept when a linear look is the slower one.
    private let index: [String: Int]

    /// - Precondition: no key occurs twice.
    public init(_ pairs: [Pair]) {
        var index: [String: Int] = [:]
        if pairs.count > Mapping.linearLimit {
            index.reserveCapacity(pairs.count)
            for (position, pair) in pairs.enumerated() { index[pair.key] = position }
        }
        self.init(pairs, index: index)
    }

    /// - Precondition: `index` has the position of every key, or is empty for a few pairs.
    init(_ pairs: [Pair], index: [String: Int]) {
        self.pairs = pairs
        self.index = index
    }

    /// This mapping's keys at their positions with other values, and more after them.
    ///
    /// A large mapping that is changed a little need not be indexed again.
    /// - Precondition: `pairs` begins with this one's keys in their order, and no key occurs twice.
    public func extended(to pairs: [Pair]) -> Mapping {
        guard self.pairs.count > Mapping.linearLimit else { return Mapping(pairs) }
        var index = index
        for position in self.pairs.count..<pairs.count { index[pairs[position].key] = position }
        return Mapping(pairs, index: index)
    }

    static let linearLimit = 12

    public func position(of key: String) -> Int? {
        pairs.count > Mapping.linearLimit ? index[key] : pairs.firstIndex { $0.key == key }
    }

    public func pair(_ key: String) -> Pair? { position(of: key).map { pairs[$0] } }

    public subscript(key: String) -> Node? { pair(key)?.value }
}
