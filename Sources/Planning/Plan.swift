// SPDX-License-Identifier: Apache-2.0
//
// Plan: operations in an order in which they can be carried out one by one, each with those it really has to
// wait for; all others may run beside it. Its text is golden in tests and is what `covey plan` prints.

/// What shall be done, in topological order.
public struct Plan: Hashable, Codable, Sendable {
    public struct Node: Hashable, Sendable {
        public var operation: Operation
        /// Why, in the user's words.
        public var reason: String
        /// Indices of the nodes that must have been done before; all are smaller than the node's own.
        public var dependencies: [Int]

        public init(operation: Operation, reason: String, dependencies: [Int] = []) {
            self.operation = operation
            self.reason = reason
            self.dependencies = dependencies
        }
    }

    public var project: String
    public var nodes: [Node]
    /// What the user should know although nothing is done about it.
    public var notices: [String]

    public init(project: String, nodes: [Node] = [], notices: [String] = []) {
        self.project = project
        self.nodes = nodes
        self.notices = notices
    }

    /// Nothing to do; there may be notices.
    public var isEmpty: Bool { nodes.isEmpty }

    /// False for an empty plan and for one that only waits.
    public var changesSomething: Bool { nodes.contains { $0.operation.changesSomething } }

    /// Those whose containers it is about, or waits for.
    public var services: Set<String> { Set(nodes.compactMap(\.operation.service)) }
}

extension Plan: CustomStringConvertible {
    /// One line per operation, numbered from 1: `3. start container demo-web-1: it is new [after 1, 2]`.
    public var description: String {
        var lines = nodes.enumerated().map { index, node in
            let after = node.dependencies.map { String($0 + 1) }.joined(separator: ", ")
            return "\(index + 1). \(node.operation): \(node.reason)"
                + (after.isEmpty ? "" : " [after \(after)]")
        }
        if lines.isEmpty { lines.append("nothing to do") }
        return (lines + notices.map { "notice: \($0)" }).joined(separator: "\n")
    }
}

/// A plan being written.
struct PlanBuilder {
    private(set) var plan: Plan

    init(project: String) { plan = Plan(project: project) }

    /// Appends an operation and gives its index; `after` may hold an index twice.
    mutating func add(_ operation: Operation, because reason: String, after: [Int] = []) -> Int {
        let index = plan.nodes.count
        let dependencies = after.count < 2 ? after : Set(after).sorted()
        precondition(dependencies.last.map { $0 < index } ?? true, "a plan is in topological order")
        plan.nodes.append(Plan.Node(operation: operation, reason: reason, dependencies: dependencies))
        return index
    }

    mutating func extendReason(of index: Int, by text: String) { plan.nodes[index].reason += text }

    mutating func notice(_ text: String) { plan.notices.append(text) }
}
