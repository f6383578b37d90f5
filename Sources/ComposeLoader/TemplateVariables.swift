// SPDX-License-Identifier: Apache-2.0
//
// TemplateVariables: which variables a file asks for, without putting any in: `config --variables`.

internal import YAMLTree

/// One variable a project's files name.
public struct TemplateVariable: Sendable, Equatable {
    public let name: String
    /// Of `${NAME:-text}` and `${NAME-text}`.
    public var defaultValue = ""
    /// Of `${NAME:+text}` and `${NAME+text}`.
    public var presenceValue = ""
    /// `${NAME:?…}` or `${NAME?…}` stands somewhere.
    public var isRequired = false
}

/// Collects the variables of a tree; what is said of one in several places comes together.
struct TemplateVariables {
    private(set) var found: [String: TemplateVariable] = [:]

    mutating func collect(_ node: Node) {
        switch node.content {
        case .scalar(let text, _):
            if text.utf8.contains(UInt8(ascii: "$")) { collect(Array(text.utf8)[...], depth: 0) }
        case .sequence(let items): for item in items { collect(item) }
        case .mapping(let mapping): for pair in mapping.pairs { collect(pair.value) }
        }
    }

    private mutating func collect(_ text: ArraySlice<UInt8>, depth: Int) {
        guard depth < 100 else { return }
        var rest = text
        while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
            rest = rest[(dollar + 1)...]
            guard let first = rest.first else { return }
            if first == UInt8(ascii: "$") {
                rest = rest.dropFirst()
            } else if first == UInt8(ascii: "{") {
                guard let end = Template.closingBrace(rest, from: rest.startIndex) else { return }
                braced(rest[(rest.startIndex + 1)..<end], depth: depth + 1)
                rest = rest[(end + 1)...]
            } else {
                let name = Template.variableName(rest)
                rest = rest[name.endIndex...]
                if !name.isEmpty { note(name) { _ in } }
            }
        }
    }

    private mutating func braced(_ inside: ArraySlice<UInt8>, depth: Int) {
        let name = Template.variableName(inside)
        guard !name.isEmpty else { return }
        var rest = inside[name.endIndex...]
        if rest.first == UInt8(ascii: ":") { rest = rest.dropFirst() }
        let sign = rest.popFirst()
        let text = String(decoding: rest, as: UTF8.self)
        note(name) { variable in
            switch sign {
            case UInt8(ascii: "-"): variable.defaultValue = text
            case UInt8(ascii: "+"): variable.presenceValue = text
            case UInt8(ascii: "?"): variable.isRequired = true
            default: break
            }
        }
        collect(rest, depth: depth)
    }

    private mutating func note(_ name: ArraySlice<UInt8>, _ change: (inout TemplateVariable) -> Void) {
        let name = String(decoding: name, as: UTF8.self)
        change(&found[name, default: TemplateVariable(name: name)])
    }
}
