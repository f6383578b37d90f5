// SPDX-License-Identifier: Apache-2.0
//
// DependencyGraph: who depends on whom, and the rings among them. Looked at twice: on the model, where every service's
// dependencies are known, and, for projects of thousands of services, on the merged tree before anything of it is
// understood, so that a file made to keep us busy is refused before it does.

internal import YAMLTree

struct DependencyGraph {
    /// Sorted, so that a ring is always told the same way.
    let names: [String]
    /// By position in `names`.
    private let dependencies: [[Int]]

    init(names: [String], dependencies: (String) -> [String]) {
        self.names = names
        var positions: [String: Int] = [:]
        positions.reserveCapacity(names.count)
        for (position, name) in names.enumerated() { positions[name] = position }
        self.dependencies = names.map { dependencies($0).compactMap { positions[$0] }.sorted() }
    }

    /// Each ring once, its first service at the end again. Depth first without recursion.
    func rings() -> [[String]] {
        enum Mark { case new, onPath, done }
        var rings: [[String]] = []
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
                    rings.append((path[first...] + [other]).map { names[$0] })
                }
            }
        }
        return rings
    }

    /// The ends of a ring nobody would read whole.
    static func text(_ ring: [String]) -> String {
        let shown =
            ring.count <= 20 ? ring : ring.prefix(10) + ["… \(ring.count - 15) more …"] + ring.suffix(5)
        return "services depend on each other in a cycle: \(shown.joined(separator: " → "))"
    }
}

/// From so many services on the tree is looked at first.
private let manyServices = 2000

/// Reports the rings of `depends_on` in a tree of very many services.
func checkRings(_ root: Node, _ log: Diagnostics) {
    guard let services = root.mapping?["services"]?.mapping, services.pairs.count >= manyServices else {
        return
    }
    var lists: [String: Node] = [:]
    lists.reserveCapacity(services.pairs.count)
    for pair in services.pairs {
        if let node = pair.value.mapping?["depends_on"] { lists[pair.key] = node }
    }
    let graph = DependencyGraph(names: lists.keys.sorted()) { name in
        switch lists[name]?.content {
        case .sequence(let items): items.compactMap(\.text)
        case .mapping(let mapping): mapping.pairs.map(\.key)
        default: []
        }
    }
    for ring in graph.rings() {
        log.error(DependencyGraph.text(ring), at: lists[ring[ring.count - 2]]?.place)
    }
}
