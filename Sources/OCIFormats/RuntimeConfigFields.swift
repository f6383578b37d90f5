// SPDX-License-Identifier: Apache-2.0
//
// Fields of a JSON object with the types the specification's schema gives them. What is null counts as absent, as the
// specification's own Go types write it; what the schema does not name is passed over (spec.md, "Extensibility").

internal import JSONFormat

struct ConfigObject {
    let value: JSONValue
    /// Where in the document, `linux.resources`; empty for the whole.
    let path: String

    init(_ value: JSONValue, _ path: String) throws(RuntimeConfigError) {
        guard case .object = value else {
            throw RuntimeConfigError(field: path, problem: "an object is wanted")
        }
        self.value = value
        self.path = path
    }

    func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    func wrong(_ name: String, _ problem: String) -> RuntimeConfigError {
        RuntimeConfigError(field: place(name), problem: problem)
    }

    private func field(_ name: String) -> JSONValue? {
        guard let found = value[name] else { return nil }
        if case .null = found { return nil }
        return found
    }

    func has(_ name: String) -> Bool { field(name) != nil }

    func required<Value>(_ name: String, _ value: Value?) throws(RuntimeConfigError) -> Value {
        guard let value else { throw wrong(name, "it is missing") }
        return value
    }

    func string(_ name: String) throws(RuntimeConfigError) -> String? {
        guard let found = field(name) else { return nil }
        return try text(found, name)
    }

    /// A text that goes to the kernel ends at its first NUL there, so it may have none.
    private func text(_ value: JSONValue, _ name: @autoclosure () -> String) throws(RuntimeConfigError)
        -> String
    {
        guard case .string(let text) = value else { throw wrong(name(), "a string is wanted") }
        if text.utf8.contains(0) { throw wrong(name(), "a string with a NUL in it") }
        return text
    }

    func bool(_ name: String) throws(RuntimeConfigError) -> Bool? {
        guard let found = field(name) else { return nil }
        guard case .bool(let value) = found else { throw wrong(name, "true or false is wanted") }
        return value
    }

    func number<Number: FixedWidthInteger>(_ name: String, _ type: Number.Type) throws(RuntimeConfigError)
        -> Number?
    {
        guard let found = field(name) else { return nil }
        return try whole(found, name, type)
    }

    private func whole<Number: FixedWidthInteger>(
        _ value: JSONValue, _ name: String, _ type: Number.Type
    ) throws(RuntimeConfigError) -> Number {
        let number: Number?
        switch value {
        case .integer(let value): number = Number(exactly: value)
        case .unsigned(let value): number = Number(exactly: value)
        case .double(let value): number = Number(exactly: value)
        default: throw wrong(name, "a number is wanted")
        }
        guard let number else {
            throw wrong(name, "a whole number from \(Number.min) to \(Number.max) is wanted")
        }
        return number
    }

    private func array(_ name: String) throws(RuntimeConfigError) -> [JSONValue] {
        guard let found = field(name) else { return [] }
        guard case .array(let items) = found else { throw wrong(name, "an array is wanted") }
        return items
    }

    func strings(_ name: String) throws(RuntimeConfigError) -> [String] {
        var result: [String] = []
        for (index, item) in try array(name).enumerated() {
            result.append(try text(item, "\(name)[\(index)]"))
        }
        return result
    }

    func numbers<Number: FixedWidthInteger>(_ name: String, _ type: Number.Type) throws(RuntimeConfigError)
        -> [Number]
    {
        var result: [Number] = []
        for (index, item) in try array(name).enumerated() {
            result.append(try whole(item, "\(name)[\(index)]", type))
        }
        return result
    }

    func object(_ name: String) throws(RuntimeConfigError) -> ConfigObject? {
        guard let found = field(name) else { return nil }
        return try ConfigObject(found, place(name))
    }

    func objects(_ name: String) throws(RuntimeConfigError) -> [ConfigObject] {
        var result: [ConfigObject] = []
        for (index, item) in try array(name).enumerated() {
            result.append(try ConfigObject(item, place("\(name)[\(index)]")))
        }
        return result
    }

    /// The members of an object whose values are objects, in order.
    func members(_ name: String) throws(RuntimeConfigError) -> [(name: String, value: ConfigObject)] {
        guard let found = try object(name), case .object(let members) = found.value else { return [] }
        var result: [(name: String, value: ConfigObject)] = []
        for member in members {
            result.append((member.name, try ConfigObject(member.value, found.place(member.name))))
        }
        return result
    }

    func pairs(_ name: String) throws(RuntimeConfigError) -> [RuntimeConfig.StringPair] {
        guard let found = try object(name), case .object(let members) = found.value else { return [] }
        var result: [RuntimeConfig.StringPair] = []
        for member in members {
            result.append(.init(name: member.name, value: try found.text(member.value, member.name)))
        }
        return result
    }

    /// One of the words the schema lists.
    func choice(_ name: String, _ words: [String]) throws(RuntimeConfigError) -> String? {
        guard let found = try string(name) else { return nil }
        guard words.contains(found) else { throw noneOf(words, found, name) }
        return found
    }

    func choices(_ name: String, _ words: [String]) throws(RuntimeConfigError) -> [String] {
        let found = try strings(name)
        if let other = found.first(where: { !words.contains($0) }) { throw noneOf(words, other, name) }
        return found
    }

    func noneOf(_ words: [String], _ found: String, _ name: String) -> RuntimeConfigError {
        wrong(name, "\"\(found)\" is none of \(words.joined(separator: ", "))")
    }

    func requireAbsolute(_ paths: [String], _ name: String) throws(RuntimeConfigError) {
        if let path = paths.first(where: { !$0.hasPrefix("/") }) {
            throw wrong(name, "\"\(path)\" is no absolute path")
        }
    }
}
