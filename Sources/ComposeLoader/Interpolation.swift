// SPDX-License-Identifier: Apache-2.0
//
// Interpolation of a whole file: values only, never keys; before files are merged. A subtree without a dollar
// sign is kept as it is.

internal import Basics
internal import YAMLTree

struct Interpolation {
    let variables: [String: String]
    let log: Diagnostics

    init(variables: [String: String], log: Diagnostics) {
        self.variables = variables
        self.log = log
    }

    /// Puts variables into a document.
    func apply(_ root: Node) -> Node { apply(root, Path(""), depth: 0, isLenient: false) }

    /// Puts variables into one value of a file, which stands so many mappings deep in it.
    func apply(_ node: Node, _ path: Path, depth: Int) -> Node {
        apply(node, path, depth: depth, isLenient: false)
    }

    /// - Parameter isLenient: beneath `x-…`, where a text that is no template means something to others.
    private func apply(_ node: Node, _ path: Path, depth: Int, isLenient: Bool) -> Node {
        switch node.content {
        case .scalar(let text, let style):
            guard text.utf8.contains(UInt8(ascii: "$")) else { return node }
            return Node(
                .scalar(expand(text, style, node, path, isLenient), .interpolated), tag: node.tag,
                at: node.place)
        case .sequence(let items):
            var changed: [Node]?
            for (index, item) in items.enumerated() {
                let new = apply(item, Path(index: index, in: path), depth: depth + 1, isLenient: isLenient)
                if new !== item {
                    if changed == nil { changed = items }
                    changed?[index] = new
                }
            }
            return changed.map { Node(.sequence($0), tag: node.tag, at: node.place) } ?? node
        case .mapping(let mapping):
            var changed: [Mapping.Pair]?
            for (index, pair) in mapping.pairs.enumerated() {
                // The top level, and what stands there under names: elsewhere `x-` may begin a user's own name.
                let isExtension = (depth == 0 || depth == 2) && pair.key.hasPrefix("x-")
                let new = apply(
                    pair.value, Path(pair.key, in: path), depth: depth + 1,
                    isLenient: isLenient || isExtension)
                if new !== pair.value {
                    if changed == nil { changed = mapping.pairs }
                    changed?[index] = Mapping.Pair(key: pair.key, keyPlace: pair.keyPlace, value: new)
                }
            }
            return changed.map { Node(.mapping(Mapping($0)), tag: node.tag, at: node.place) } ?? node
        }
    }

    private func expand(
        _ text: String, _ style: ScalarStyle, _ node: Node, _ path: Path, _ isLenient: Bool
    ) -> String {
        let template = Template(
            lookup: { variables[$0] },
            onMissing: { name, offset in
                guard log.unsetVariables.insert(name).inserted else { return }
                log.warn(
                    "the variable \"\(name)\" is not set: it is taken as empty",
                    advice: "set it, or give a default: ${\(name):-}",
                    at: place(of: offset, in: text, style, node))
            })
        do throws(TemplateError) {
            return try template.expand(text)
        } catch {
            if isLenient { return text }
            let place = place(of: error.offset, in: text, style, node)
            switch error.reason {
            case .invalid:
                log.error(
                    "`\(path.text)` has an invalid variable in \"\(shortened(text))\"",
                    advice: "write $$ for a dollar sign itself", at: place)
            case .required(let variable, let message):
                log.error(
                    "the variable \"\(variable)\" is required for `\(path.text)`",
                    cause: message.isEmpty ? nil : message, at: place)
            }
            return text
        }
    }

    /// The place of the dollar sign itself, where the scalar stands in the file as it is.
    private func place(of offset: Int, in text: String, _ style: ScalarStyle, _ node: Node) -> Place {
        guard style == .plain || style == .quoted else { return node.place }
        let before = text.utf8.prefix(offset).reduce(0) { $1 & 0xc0 == 0x80 ? $0 : $0 + 1 }
        let column = node.place.column + before + (style == .quoted ? 1 : 0)
        let line = node.place.file.text(ofLine: node.place.line) ?? ""
        guard line.unicodeScalars.dropFirst(column - 1).first == "$" else { return node.place }
        return Place(file: node.place.file, line: node.place.line, column: column)
    }
}

/// At most 60 characters of a text for a message, on one line.
func shortened(_ text: String) -> String {
    let line = text.split(separator: "\n", omittingEmptySubsequences: false).first.map(String.init) ?? ""
    if line.count <= 60 { return line.utf8.count == text.utf8.count ? line : line + "…" }
    return line.prefix(60) + "…"
}
