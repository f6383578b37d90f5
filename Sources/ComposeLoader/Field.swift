// SPDX-License-Identifier: Apache-2.0
//
// Field: a node with its path and the place for complaints; reads it as the type the field has. A reader that
// can't returns nil and has said why. Interpolation yields text, so every type accepts its text form too.

internal import Basics
internal import ComposeModel
internal import YAMLTree

struct Field {
    let node: Node
    let path: Path
    let log: Diagnostics

    var place: Place { node.place }

    func error(
        _ text: @autoclosure () -> String, cause: String? = nil, advice: @autoclosure () -> String? = nil,
        at place: Place? = nil
    ) {
        log.error("`\(path.text)` \(text())", cause: cause, advice: advice(), at: place ?? node.place)
    }

    /// Says that the value is understood and not honoured here.
    func refuse(_ text: String, cause: String? = nil, advice: String? = nil, at place: Place? = nil) {
        log.refuse("`\(path.text)` \(text)", cause: cause, advice: advice, at: place ?? node.place)
    }

    /// Says that the node has the wrong form.
    func wrongForm(expected: String) {
        let found: String
        switch node.content {
        case .mapping: found = "a mapping"
        case .sequence: found = "a list"
        case .scalar(let text, _): found = node.isNull ? "nothing" : "\"\(text)\""
        }
        error("is \(found); expected \(expected)")
    }

    func child(_ pair: Mapping.Pair) -> Field {
        Field(node: pair.value, path: Path(pair.key, in: path), log: log)
    }

    func child(_ index: Int, _ node: Node) -> Field {
        Field(node: node, path: Path(index: index, in: path), log: log)
    }

    // MARK: Containers

    /// The pairs of a mapping; nothing for null.
    func fields() -> [(key: String, keyPlace: Place, field: Field)] {
        switch node.content {
        case .mapping(let mapping):
            return mapping.pairs.map { ($0.key, $0.keyPlace, child($0)) }
        default:
            if !node.isNull { wrongForm(expected: "a mapping") }
            return []
        }
    }

    /// The elements of a list; nothing for null.
    func elements() -> [Field] {
        guard let items = node.items else {
            if !node.isNull { wrongForm(expected: "a list") }
            return []
        }
        return items.enumerated().map { child($0, $1) }
    }

    // MARK: Scalars

    var isScalar: Bool {
        if case .scalar = node.content { return true }
        return false
    }

    func string() -> String? {
        guard let text = node.text else {
            wrongForm(expected: "text")
            return nil
        }
        return text
    }

    /// Text that must say something.
    func nonEmptyString() -> String? {
        guard let text = string() else { return nil }
        if text.isEmpty {
            error("is empty")
            return nil
        }
        return text
    }

    /// YAML 1.1's words, as people write them in Compose files.
    func bool() -> Bool? {
        switch node.text?.lowercased() {
        case "true", "yes", "on", "y": return true
        case "false", "no", "off", "n": return false
        default:
            wrongForm(expected: "true or false")
            return nil
        }
    }

    func integer(_ range: ClosedRange<Int> = Int.min...Int.max, what: String = "a whole number") -> Int? {
        guard let text = node.text,
            let value = Int(text) == nil || text.hasPrefix("0") ? plainInteger() : Int(text),
            range.contains(value)
        else {
            wrongForm(expected: what)
            return nil
        }
        return value
    }

    /// A plain number in one of YAML's other spellings: `0x1f`, `0o17`, `017`, `0b11`, `1_000`. Text has none of them.
    private func plainInteger() -> Int? {
        guard case .scalar(let text, let style) = node.content else { return nil }
        guard case .plain = style else { return Int(text) }
        let digits = text.filter { $0 != "_" }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            return Int(digits.dropFirst(2), radix: radix)
        }
        if digits.hasPrefix("0"), digits.utf8.count > 1, let octal = Int(digits, radix: 8) { return octal }
        return Int(digits)
    }

    func number(
        _ range: ClosedRange<Double> = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude,
        what: String = "a number"
    ) -> Double? {
        guard let text = node.text, let value = Double(text), value.isFinite, range.contains(value) else {
            wrongForm(expected: what)
            return nil
        }
        return value
    }

    func bytes() -> ByteSize? {
        guard let text = node.text, let size = ByteSize(text) else {
            wrongForm(expected: "a size such as 64m or 1gb")
            return nil
        }
        return size
    }

    func duration() -> Duration? {
        guard let text = node.text, let duration = Duration(compose: text) else {
            wrongForm(expected: "a duration such as 10s or 1m30s")
            return nil
        }
        return duration
    }

    /// Permission bits. A plain number with a leading zero, and every text, is octal; any other plain number is
    /// decimal, as YAML has it.
    func mode() -> UInt32? {
        guard case .scalar(let text, let style) = node.content, !node.isNull else {
            wrongForm(expected: "permission bits such as 0440")
            return nil
        }
        let digits = text.hasPrefix("0o") ? text.dropFirst(2) : text[...]
        let isOctal = style != .plain || text.hasPrefix("0")
        guard let value = UInt32(digits, radix: isOctal ? 8 : 10), value <= 0o7777 else {
            wrongForm(expected: "permission bits such as 0440")
            return nil
        }
        if !isOctal, value >= 100, UInt32(text, radix: 8) != nil {
            log.warn(
                "`\(path.text)` is \(text), a decimal number: the permission bits are 0\(String(value, radix: 8))",
                advice: "write 0\(text) for the octal number", at: place)
        }
        return value
    }

    // MARK: Lists

    func strings() -> [String] { elements().compactMap { $0.string() } }

    /// One text, or a list of them.
    func stringOrList() -> [String] {
        if let text = node.text { return [text] }
        return strings()
    }

    /// `{K: V}` or `["K=V", "K"]`: in order, the last of a key counts. nil is a key without a value.
    func keyValues(separator: Character = "=") -> [(key: String, value: String?, field: Field)] {
        var found: [(key: String, value: String?, field: Field)] = []
        var positions: [String: Int] = [:]
        func add(_ key: String, _ value: String?, _ field: Field) {
            if key.isEmpty {
                field.error("has an empty name")
            } else if let position = positions[key] {
                found[position] = (key, value, field)
            } else {
                positions[key] = found.count
                found.append((key, value, field))
            }
        }
        switch node.content {
        case .mapping(let mapping):
            for pair in mapping.pairs {
                let field = child(pair)
                guard case .scalar = pair.value.content else {
                    field.wrongForm(expected: "text, a number or true or false")
                    continue
                }
                add(pair.key, pair.value.text, field)
            }
        case .sequence(let items):
            for (index, item) in items.enumerated() {
                let field = child(index, item)
                guard let text = field.string() else { continue }
                if let equals = text.firstIndex(of: separator) {
                    add(String(text[..<equals]), String(text[text.index(after: equals)...]), field)
                } else {
                    add(text, nil, field)
                }
            }
        case .scalar:
            if !node.isNull { wrongForm(expected: "a mapping or a list of \"NAME=value\"") }
        }
        return found
    }

    /// `keyValues` as a dictionary; a key without a value has an empty one.
    func labels() -> [String: String] {
        var labels: [String: String] = [:]
        for (key, value, _) in keyValues() { labels[key] = value ?? "" }
        return labels
    }

    /// A mapping whose values are texts, numbers or truths, as texts.
    func options() -> [String: String] {
        var options: [String: String] = [:]
        for (key, _, field) in fields() {
            guard case .scalar = field.node.content else {
                field.wrongForm(expected: "text or a number")
                continue
            }
            options[key] = field.node.text ?? ""
        }
        return options
    }

    /// A program with its arguments: a list as it is, a text split as a shell would, without running one.
    /// nil for null.
    func command() -> [String]? {
        if node.isNull { return nil }
        if let text = node.text {
            guard let words = shellWords(text) else {
                error("opens a quote and never closes it")
                return nil
            }
            return words
        }
        return strings()
    }
}

/// Later elements replace earlier ones with the same key, at the place of the first (compose-go, override/uncity.go).
func unique<Element, Key: Hashable>(_ elements: [Element], by key: (Element) -> Key) -> [Element] {
    if elements.count < 2 { return elements }
    var found: [Element] = []
    var positions: [Key: Int] = [:]
    positions.reserveCapacity(elements.count)
    for element in elements {
        let key = key(element)
        if let position = positions[key] {
            found[position] = element
        } else {
            positions[key] = found.count
            found.append(element)
        }
    }
    return found
}

/// Splits as a POSIX shell splits words: quotes and backslashes, nothing expanded. nil for an unclosed quote.
func shellWords(_ text: String) -> [String]? {
    var words: [String] = []
    var word: [UInt8] = []
    var isWord = false
    var quote: UInt8 = 0
    var bytes = Array(text.utf8)[...]
    while let byte = bytes.popFirst() {
        switch (quote, byte) {
        case (0x27, 0x27), (0x22, 0x22): quote = 0
        case (0x27, _): word.append(byte)
        case (0x22, 0x5c):
            guard let next = bytes.popFirst() else { return nil }
            if ![0x22, 0x5c, 0x24, 0x60, 0x0a].contains(next) { word.append(0x5c) }
            if next != 0x0a { word.append(next) }
        case (0x22, _): word.append(byte)
        case (_, 0x27), (_, 0x22): (quote, isWord) = (byte, true)
        case (_, 0x5c):
            isWord = true
            guard let next = bytes.popFirst() else {
                word.append(0x5c)
                break
            }
            if next != 0x0a { word.append(next) }
        case (_, 0x20), (_, 0x09), (_, 0x0a), (_, 0x0d):
            if isWord { words.append(String(decoding: word, as: UTF8.self)) }
            word.removeAll()
            isWord = false
        default:
            isWord = true
            word.append(byte)
        }
    }
    if quote != 0 { return nil }
    if isWord { words.append(String(decoding: word, as: UTF8.self)) }
    return words
}
