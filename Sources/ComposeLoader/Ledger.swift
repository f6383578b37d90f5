// SPDX-License-Identifier: Apache-2.0
//
// Ledger: every attribute of the Compose schema, and what Covey does with it, as data. The check below refuses
// what the tables refuse; merging finds its rules here; docs/compose-support.md is printed from here. So an
// attribute cannot be dropped in silence: what is in no table is unknown, what is in one has a standing.

internal import Basics
internal import YAMLTree

/// One attribute of the Compose schema. Every one loads, and `config` shows it; the standing is what this host
/// does about it.
public struct Attribute: Sendable {
    public enum Standing: Sendable, Equatable {
        case works
        /// Accepted, and rightly without effect; who runs the project is told.
        case noEffect
        /// Refused by name until it is honoured.
        case refused
        /// Refused: it belongs to a cluster, to Windows or to another engine.
        case notHere
        /// A proposal the specification has not taken up: a file that has it is not loaded.
        case proposed
    }

    public let name: String
    public let standing: Standing
    /// What a reader should know: limits of what works, or why it is refused.
    public let note: String
    /// Values of a refused attribute that ask for nothing, and so are accepted.
    public let harmless: [String]
    let shape: Shape
    /// `Suite.function`, or `Target.function`, of the test that proves a working one; empty: that of the outer one.
    public let proof: String
    /// Whether its reader warns already.
    var isTold = false

    /// The attributes of what stands inside: of a mapping, of each element, or of each name's value.
    public var inside: Fields? { shape.fields ?? shape.each?.fields }
}

/// What may stand inside an attribute, and how it merges.
final class Shape: Sendable {
    let merge: MergeRule
    /// Known fields of a mapping.
    let fields: Fields?
    /// What stands under names the user chose, or in a list's elements.
    let each: Shape?
    /// Whether those names are services': what is refused beneath one is only said when it is switched on.
    let isPerService: Bool

    init(
        _ merge: MergeRule = .ordinary, fields: Fields? = nil, each: Shape? = nil, isPerService: Bool = false
    ) {
        self.merge = merge
        self.fields = fields
        self.each = each
        self.isPerService = isPerService
    }

    static let plain = Shape()
    static let replaced = Shape(.replace)
    static let keyed = Shape(.keyed)
    static let list = Shape(.list)

    func inside(_ key: String) -> Shape { fields?[key]?.shape ?? each ?? .plain }
}

/// The attributes of one element.
public final class Fields: Sendable {
    public let attributes: [Attribute]
    /// Name → position; only kept when a linear look is the slower one.
    private let index: [String: Int]
    private static let linearLimit = 12

    init(_ attributes: [Attribute]) {
        self.attributes = attributes
        guard attributes.count > Fields.linearLimit else {
            index = [:]
            return
        }
        var index: [String: Int] = [:]
        for (position, attribute) in attributes.enumerated() { index[attribute.name] = position }
        self.index = index
    }

    public subscript(name: String) -> Attribute? {
        if attributes.count <= Fields.linearLimit { return attributes.first { $0.name == name } }
        return index[name].map { attributes[$0] }
    }
}

/// One attribute by its full path, `services.*.ports.*.target`: a star stands for a name or a place in a list.
public struct LedgerRow: Sendable {
    public let path: String
    /// What stands inside something refused is refused with it.
    public let standing: Attribute.Standing
    public let attribute: Attribute
    /// The test that proves it, when it works: its own or that of what it stands in; several with commas.
    public let proof: String

    public var proofs: [String] { proof.split(separator: ", ").map(String.init) }
}

extension Ledger {
    /// Every attribute, the outer before the inner.
    public static var rows: [LedgerRow] {
        var rows: [LedgerRow] = []
        func walk(_ shape: Shape, _ path: String, _ above: Attribute.Standing, _ outer: String) {
            for attribute in shape.fields?.attributes ?? [] {
                let own = path.isEmpty ? attribute.name : "\(path).\(attribute.name)"
                let standing = above == .works ? attribute.standing : above
                let proof = attribute.proof.isEmpty ? outer : attribute.proof
                rows.append(
                    LedgerRow(
                        path: own, standing: standing, attribute: attribute,
                        proof: standing == .works ? proof : ""))
                walk(attribute.shape, own, standing, proof)
            }
            if let each = shape.each { walk(each, path + ".*", above, outer) }
        }
        walk(root, "", .works, "")
        return rows
    }
}

// MARK: Writing the tables

extension Attribute {
    static func works(
        _ name: String, _ note: String = "", _ shape: Shape = .plain, by proof: String = ""
    ) -> Attribute {
        Attribute(name: name, standing: .works, note: note, harmless: [], shape: shape, proof: proof)
    }

    static func proposed(_ name: String, _ note: String) -> Attribute {
        Attribute(name: name, standing: .proposed, note: note, harmless: [], shape: .plain, proof: "")
    }

    static func noEffect(
        _ name: String, _ note: String, unless harmless: [String] = [], _ shape: Shape = .plain
    ) -> Attribute {
        Attribute(name: name, standing: .noEffect, note: note, harmless: harmless, shape: shape, proof: "")
    }

    /// Without effect by the specification, and warned about whenever it is loaded.
    static func obsolete(_ name: String) -> Attribute {
        var attribute = noEffect(name, "obsolete, warned about")
        attribute.isTold = true
        return attribute
    }

    static func refused(
        _ name: String, _ note: String = "not supported yet", unless harmless: [String] = [],
        _ shape: Shape = .plain
    ) -> Attribute {
        Attribute(name: name, standing: .refused, note: note, harmless: harmless, shape: shape, proof: "")
    }

    static func refused(_ name: String, _ shape: Shape) -> Attribute {
        refused(name, "not supported yet", shape)
    }

    static func notHere(
        _ name: String, _ note: String, unless harmless: [String] = [], _ shape: Shape = .plain
    ) -> Attribute {
        Attribute(name: name, standing: .notHere, note: note, harmless: harmless, shape: shape, proof: "")
    }
}

// MARK: Holding a tree against them

extension Field {
    /// Reports every attribute beneath this node that is unknown, as an error, and every one that is not
    /// honoured, as a refusal.
    func check(_ shape: Shape) {
        switch node.content {
        case .scalar: return
        case .sequence:
            guard let each = shape.each else { return }
            for element in elements() { element.check(each) }
        case .mapping(let mapping):
            if let fields = shape.fields {
                for pair in mapping.pairs { check(pair, fields) }
            } else if let each = shape.each {
                for pair in mapping.pairs {
                    if shape.isPerService { log.service = pair.key }
                    child(pair).check(each)
                }
                if shape.isPerService { log.service = nil }
            }
        }
    }

    private func check(_ pair: Mapping.Pair, _ fields: Fields) {
        if pair.key.hasPrefix("x-") { return }
        guard let attribute = fields[pair.key] else {
            log.error(
                "unknown attribute `\(Path(pair.key, in: path).text)`", advice: advice(for: pair.key, fields),
                at: pair.keyPlace)
            return
        }
        let field = child(pair)
        switch attribute.standing {
        case .works: break
        case .noEffect:
            if !attribute.isTold, !field.asksNothing(attribute) {
                log.note("`\(field.path.text)` has no effect", cause: attribute.note, at: pair.keyPlace)
            }
        case .refused, .notHere:
            if field.asksNothing(attribute) { break }
            log.refuse(
                "`\(field.path.text)` is not supported\(attribute.standing == .refused ? " yet" : "")",
                cause: attribute.note == "not supported yet" ? nil : attribute.note,
                advice: attribute.harmless.isEmpty
                    ? nil
                    : "only \(attribute.harmless.map { "`\($0)`" }.joined(separator: ", ")) is accepted",
                at: pair.keyPlace)
        case .proposed:
            log.error(
                "`\(field.path.text)` is a proposal the Compose Specification has not taken up",
                advice: attribute.note, at: pair.keyPlace)
        }
        field.check(attribute.shape)
    }

    private func advice(for name: String, _ fields: Fields) -> String? {
        let known = fields.attributes.map(\.name)
        if let near = log.suggestion(for: name, among: known) { return "did you mean `\(near)`?" }
        return known.count <= 12 ? "known here: \(known.joined(separator: ", "))" : nil
    }

    private func asksNothing(_ attribute: Attribute) -> Bool {
        if node.isNull { return true }
        switch node.content {
        case .scalar(let text, _): return attribute.harmless.contains(text.lowercased())
        case .sequence(let items): return items.isEmpty
        case .mapping(let mapping): return mapping.pairs.isEmpty
        }
    }
}
