// SPDX-License-Identifier: Apache-2.0
//
// TreeBuilder: libyaml's events → nodes, without recursion, so that depth is a number we check and not a stack
// we lose. libyaml's own words for syntax errors are turned into a sentence with advice in SyntaxErrors.swift.

internal import Basics
internal import CYAML

/// One container that is being read. A class: its lists grow in place while others look at it.
private final class Frame {
    let isMapping: Bool
    let place: Place
    let tag: MergeTag?
    let anchor: Anchor?
    var items: [Node] = []
    var pairs: [Mapping.Pair] = []
    /// Key → position, once there are too many pairs to look through.
    var index: [String: Int] = [:]
    var key: Key?
    /// What `<<` named, in order.
    var merged: [Mapping] = []

    struct Key {
        let text: String
        let place: Place
        let isMerge: Bool
    }

    init(isMapping: Bool, place: Place, tag: MergeTag?, anchor: Anchor?) {
        self.isMapping = isMapping
        self.place = place
        self.tag = tag
        self.anchor = anchor
    }

    /// Whether what comes next is a key.
    var awaitsKey: Bool { isMapping && key == nil }

    /// Takes a key for the next pair, unless a pair has it: then that one's position.
    func register(_ key: String) -> Int? {
        if pairs.count <= Mapping.linearLimit { return pairs.firstIndex { $0.key == key } }
        indexAll()
        // One hash a key, and few for keys that move when the table grows: this is most of reading a large mapping.
        if index.count == index.capacity { index.reserveCapacity(4 * index.count) }
        guard let earlier = index.updateValue(pairs.count, forKey: key) else { return nil }
        index[key] = earlier
        return earlier
    }

    /// The pairs that are not registered yet.
    private func indexAll() {
        if index.count >= pairs.count { return }
        for position in index.count..<pairs.count { index[pairs[position].key] = position }
    }

    /// A mapping's own pairs, then those of `<<` it has not; earlier ones win (yaml.org/type/merge.html).
    var mapping: Mapping {
        for mapping in merged {
            for pair in mapping.pairs where register(pair.key) == nil { pairs.append(pair) }
        }
        if pairs.count > Mapping.linearLimit { indexAll() }
        return Mapping(pairs, index: index)
    }
}

/// An anchor's name and which of its definitions this is: a name may be given again, the latest wins.
private struct Anchor {
    let name: String
    let serial: Int
}

private enum Anchored {
    case open(serial: Int)
    case node(Node)
}

/// Reads one file; used once.
final class TreeBuilder {
    private let file: SourceFile
    private let limits: YAMLLimits
    private let bomLength: Int
    private var stack: [Frame] = []
    private var anchors: [String: Anchored] = [:]
    private var anchorCount = 0
    private var aliasVisits = 0
    private var nodeCount = 0
    private var documents: [Node] = []
    private var problems: [Failure] = []

    init(file: SourceFile, limits: YAMLLimits) {
        self.file = file
        self.limits = limits
        bomLength = file.bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
    }

    func read() throws(Failure) -> [Node] {
        // libyaml keeps a pointer to the parser inside the parser: it must not move.
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else { throw Failure("out of memory reading \(file.name)") }
        defer { yaml_parser_delete(parser) }
        // With the encoding fixed libyaml no longer skips a byte order mark, so it never sees one.
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        let failure: Failure? = file.bytes.withUnsafeBufferPointer { bytes in
            let text = UnsafeBufferPointer(rebasing: bytes[bomLength...])
            yaml_parser_set_input_string(parser, text.baseAddress, text.count)
            do throws(Failure) {
                try readEvents(parser)
                return nil
            } catch {
                return error
            }
        }
        if let failure { problems.append(failure) }
        if let all = Failure.collect(problems) { throw all }
        return documents
    }

    private func readEvents(_ parser: UnsafeMutablePointer<yaml_parser_t>) throws(Failure) {
        var event = yaml_event_t()
        while true {
            guard yaml_parser_parse(parser, &event) == 1 else {
                throw syntaxFailure(parser.pointee, in: file, bomLength: bomLength)
            }
            defer { yaml_event_delete(&event) }
            switch event.type {
            case YAML_STREAM_END_EVENT: return
            case YAML_DOCUMENT_START_EVENT:
                anchors.removeAll(keepingCapacity: true)
                guard documents.count < limits.documents else {
                    throw Failure(
                        "\(file.name) has more than \(limits.documents) documents",
                        advice: "put what belongs together into one", at: place(event.start_mark).location)
                }
            case YAML_SCALAR_EVENT: try scalar(event)
            case YAML_SEQUENCE_START_EVENT:
                try open(
                    event, isMapping: false, anchor: event.data.sequence_start.anchor,
                    tag: event.data.sequence_start.tag)
            case YAML_MAPPING_START_EVENT:
                try open(
                    event, isMapping: true, anchor: event.data.mapping_start.anchor,
                    tag: event.data.mapping_start.tag)
            case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: try close()
            case YAML_ALIAS_EVENT: try alias(event)
            default: break
            }
        }
    }

    private func place(_ mark: yaml_mark_t) -> Place {
        Place(file: file, line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    }

    // MARK: Nodes

    private func scalar(_ event: yaml_event_t) throws(Failure) {
        let place = place(event.start_mark)
        let length = Int(event.data.scalar.length)
        guard length <= limits.scalarBytes else {
            throw Failure(
                "a value of \(ByteSize(bytes: Int64(length))) is too long; at most \(ByteSize(bytes: Int64(limits.scalarBytes))) are read",
                at: place.location)
        }
        let bytes = UnsafeBufferPointer(start: event.data.scalar.value, count: length)
        guard !bytes.contains(0) else {
            throw Failure(
                "a text has a NUL character in it",
                cause: "programs, files and the kernel take a text to its first NUL", at: place.location)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        var style: ScalarStyle
        switch event.data.scalar.style {
        case YAML_PLAIN_SCALAR_STYLE: style = .plain
        case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: style = .block
        default: style = .quoted
        }
        let tag = readTag(event.data.scalar.tag, at: place)
        if tag.isText, style == .plain { style = .quoted }
        let anchor = define(event.data.scalar.anchor)
        // A merge key is a plain `<<` alone; in quotes it is an ordinary key.
        if let top = stack.last, top.awaitsKey {
            top.key = Frame.Key(text: text, place: place, isMerge: style == .plain && text == "<<")
            if let anchor { finish(anchor, Node(.scalar(text, style), tag: tag.merge, at: place)) }
            try count(place)
            checkDuplicate(in: top)
            return
        }
        let node = Node(.scalar(text, style), tag: tag.merge, at: place)
        if let anchor { finish(anchor, node) }
        try add(node)
    }

    private func open(
        _ event: yaml_event_t, isMapping: Bool, anchor: UnsafeMutablePointer<UInt8>?,
        tag: UnsafeMutablePointer<UInt8>?
    ) throws(Failure) {
        let place = place(event.start_mark)
        guard stack.count < limits.depth else {
            throw Failure(
                "nesting deeper than \(limits.depth) levels is refused", at: place.location)
        }
        if let top = stack.last, top.awaitsKey {
            throw Failure(
                "a key must be plain text, not a \(isMapping ? "mapping" : "list")",
                advice: "put the key in quotes when it begins with a bracket or brace", at: place.location)
        }
        let merge = readTag(tag, at: place).merge
        stack.append(Frame(isMapping: isMapping, place: place, tag: merge, anchor: define(anchor)))
    }

    private func close() throws(Failure) {
        guard let frame = stack.popLast() else { return }
        let node: Node
        if frame.isMapping {
            node = Node(.mapping(frame.mapping), tag: frame.tag, at: frame.place)
        } else {
            node = Node(.sequence(frame.items), tag: frame.tag, at: frame.place)
        }
        if let anchor = frame.anchor { finish(anchor, node) }
        try add(node)
    }

    private func alias(_ event: yaml_event_t) throws(Failure) {
        let place = place(event.start_mark)
        let name = event.data.alias.anchor.map { String(cString: $0) } ?? ""
        switch anchors[name] {
        case .node(let node):
            aliasVisits += node.weight
            guard aliasVisits <= limits.aliasVisits else {
                throw Failure(
                    "aliases expand to more than \(limits.aliasVisits) nodes",
                    advice: "name fewer things by alias; a file that grows like this is usually an attack",
                    at: place.location)
            }
            if let top = stack.last, top.awaitsKey {
                guard let text = node.text else {
                    throw Failure("a key must be plain text; `*\(name)` is not", at: place.location)
                }
                top.key = Frame.Key(text: text, place: place, isMerge: false)
                checkDuplicate(in: top)
                return
            }
            try add(node)
        case .open:
            throw Failure("`*\(name)` stands inside what `&\(name)` names: a cycle", at: place.location)
        case nil:
            let known = anchors.keys.sorted()
            throw Failure(
                "`*\(name)` names no anchor; none `&\(name)` stands before it",
                advice: nearest(to: name, among: known).map { "did you mean `*\($0)`?" }, at: place.location)
        }
    }

    /// Counts a key or a value.
    private func count(_ place: Place) throws(Failure) {
        nodeCount += 1
        guard nodeCount <= limits.nodes else {
            throw Failure(
                "\(file.name) has more than \(limits.nodes) keys and values",
                advice: "split it, and `include` the parts", at: place.location)
        }
    }

    private func add(_ node: Node) throws(Failure) {
        try count(node.place)
        guard let top = stack.last else {
            documents.append(node)
            return
        }
        guard top.isMapping else {
            top.items.append(node)
            return
        }
        guard let key = top.key else { return }
        top.key = nil
        if key.isMerge {
            try merge(node, into: top)
        } else {
            top.pairs.append(Mapping.Pair(key: key.text, keyPlace: key.place, value: node))
        }
    }

    // MARK: Mappings

    /// Reports the key just read when its mapping has it already; both are read, the first counts.
    private func checkDuplicate(in frame: Frame) {
        guard let key = frame.key else { return }
        if key.isMerge {
            if !frame.merged.isEmpty {
                problems.append(
                    Failure(
                        "`<<` is given twice in one mapping", advice: "give a list: `<<: [*a, *b]`",
                        at: key.place.location))
            }
            return
        }
        guard let first = frame.register(key.text).map({ frame.pairs[$0].keyPlace }) else { return }
        // A file of nothing but duplicates is answered as soon as another.
        if problems.count < limits.problems {
            problems.append(
                Failure(
                    "`\(key.text)` is given twice", cause: "first given at line \(first.line)",
                    at: key.place.location))
        }
        // Keeps the keys unique for whoever reads on; the tree is not handed out.
        let text = "\(key.text)\u{0}\(frame.pairs.count)"
        _ = frame.register(text)
        frame.key = Frame.Key(text: text, place: key.place, isMerge: false)
    }

    private func merge(_ node: Node, into frame: Frame) throws(Failure) {
        switch node.content {
        case .mapping(let mapping): frame.merged.append(mapping)
        case .sequence(let items):
            for item in items {
                guard let mapping = item.mapping else {
                    throw Failure("`<<` takes a mapping or a list of mappings", at: item.place.location)
                }
                frame.merged.append(mapping)
            }
        case .scalar:
            if node.isNull { return }
            throw Failure("`<<` takes a mapping or a list of mappings", at: node.place.location)
        }
    }

    // MARK: Anchors and tags

    private func define(_ name: UnsafeMutablePointer<UInt8>?) -> Anchor? {
        guard let name else { return nil }
        let anchor = Anchor(name: String(cString: name), serial: anchorCount)
        anchorCount += 1
        anchors[anchor.name] = .open(serial: anchor.serial)
        return anchor
    }

    private func finish(_ anchor: Anchor, _ node: Node) {
        if case .open(let serial) = anchors[anchor.name], serial == anchor.serial {
            anchors[anchor.name] = .node(node)
        }
    }

    private func readTag(_ tag: UnsafeMutablePointer<UInt8>?, at place: Place) -> (
        merge: MergeTag?, isText: Bool
    ) {
        guard let tag else { return (nil, false) }
        let text = String(cString: tag)
        let core = "tag:yaml.org,2002:"
        if text.hasPrefix(core) {
            switch text.dropFirst(core.count) {
            case "str": return (nil, true)
            case "int", "float", "bool", "null", "map", "seq", "timestamp", "merge": return (nil, false)
            default: break
            }
        } else if text == "!" {
            return (nil, true)
        } else if let merge = MergeTag(rawValue: text) {
            return (merge, false)
        }
        problems.append(
            Failure(
                "unknown tag `\(text)`", advice: "Compose knows `!reset` and `!override`", at: place.location)
        )
        return (nil, false)
    }
}
