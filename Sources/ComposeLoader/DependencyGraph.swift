// SPDX-License-Identifier: Apache-2.0
//
// DependencyGraph: who depends on whom, the rings among them, and names that nobody has. Looked at twice: on the model, where every service's
// dependencies are known, and, for projects of thousands of services, on the merged tree before anything of it is
// understood, so that a file made to keep us busy is refused before it does.

internal import YAMLTree

struct DependencyGraph {
    /// In an order that is always the same, so that a ring is always told the same way.
    private let names: [String]
    /// By position in `names`.
    private let dependencies: [[Int]]

    init(names: [String], dependencies: [[Int]]) {
        self.names = names
        self.dependencies = dependencies
    }

    /// - dependencies: of each name's owner; names that are not among them count for nothing.
    init(names: [String], dependencies: [[String]]) {
        self.names = names
        var positions: [String: Int] = [:]
        positions.reserveCapacity(names.count)
        for (position, name) in names.enumerated() { positions[name] = position }
        self.dependencies = dependencies.map { $0.compactMap { positions[$0] }.sorted() }
    }

    /// A ring as it is told: only its ends where nobody would read it whole.
    struct Ring {
        /// The position of who closes it, by depending on the first.
        let last: Int
        let text: String

        /// - path: its members by name, each depending on the next and the last on the first.
        fileprivate init(_ path: ArraySlice<Int>, _ names: [String]) {
            let first = path.first.map { names[$0] } ?? ""
            last = path.last ?? 0
            let shown =
                path.count < 20
                ? path.map { names[$0] }
                : path.prefix(10).map { names[$0] } + ["… \(path.count - 14) more …"]
                    + path.suffix(4).map { names[$0] }
            text = "services depend on each other in a cycle: \((shown + [first]).joined(separator: " → "))"
        }
    }

    /// Each ring once, at most so many. Depth first without recursion.
    func rings(atMost limit: Int = Diagnostics.limit) -> [Ring] {
        enum Mark { case new, onPath, done }
        var rings: [Ring] = []
        var marks = [Mark](repeating: .new, count: names.count)
        var next = [Int](repeating: 0, count: names.count)
        for start in names.indices where marks[start] == .new {
            var path = [start]
            marks[start] = .onPath
            while let current = path.last {
                guard next[current] < dependencies[current].count else {
                    marks[current] = .done
                    path.removeLast()
                    continue
                }
                let other = dependencies[current][next[current]]
                next[current] += 1
                switch marks[other] {
                case .done: break
                case .new:
                    marks[other] = .onPath
                    path.append(other)
                case .onPath:
                    let first = path.firstIndex(of: other) ?? 0
                    rings.append(Ring(path[first...], names))
                    if rings.count == limit { return rings }
                }
            }
        }
        return rings
    }
}

/// From so many services on the tree is looked at first.
private let manyServices = 2000

/// Reports the rings of `depends_on`, and the names in it that nobody declares, in a tree of very many services.
///
/// Only what is certain before anything is read: what profiles switch off, and what is not required, is left to the look
/// at the model.
func checkDependencies(_ root: Node, _ log: Diagnostics) {
    guard let services = root.mapping?["services"]?.mapping, services.pairs.count >= manyServices else {
        return
    }
    let lists = services.pairs.map { $0.key.hasPrefix("x-") ? nil : $0.value.mapping?.pair("depends_on") }
    var dependencies: [[Int]] = []
    dependencies.reserveCapacity(lists.count)
    for (service, list) in zip(services.pairs, lists) {
        let isOptional = service.value.mapping?["profiles"] != nil
        var own: [Int] = []
        func depend(on name: String, isRequired: Bool) {
            if let position = services.position(of: name) {
                own.append(position)
            } else if isRequired, !isOptional {
                log.undeclared(
                    "service", name, of: service.key, among: services.pairs.map(\.key).sorted(),
                    "declare it under `services:`", at: list?.keyPlace.location)
            }
        }
        switch list?.value.content {
        case .sequence(let items):
            for name in items.lazy.compactMap(\.text) { depend(on: name, isRequired: true) }
        case .mapping(let mapping):
            for pair in mapping.pairs {
                let required = pair.value.mapping?["required"]
                depend(on: pair.key, isRequired: required == nil || required?.text == "true")
            }
        default: break
        }
        dependencies.append(own)
    }
    let graph = DependencyGraph(names: services.pairs.map(\.key), dependencies: dependencies)
    for ring in graph.rings() { log.error(ring.text, at: lists[ring.last]?.keyPlace) }
}
