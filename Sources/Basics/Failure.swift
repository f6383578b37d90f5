// SPDX-License-Identifier: Apache-2.0
//
// Basics: values every layer speaks. Pure: no file, no clock, no kernel.
//
// Failure is the one error a person sees. Lower layers throw their own typed errors; the layer that knows
// the user's words turns them into a Failure, once. Text is made by `description`, at the edge.

/// What went wrong in three parts: what we were doing, why it failed, what to do.
public struct Failure: Error, Equatable, Codable, Sendable {
    /// What was being done, in the user's words: `cannot start service "db"`.
    public var doing: String
    /// Why it failed, with the errno's name where the kernel said no.
    public var cause: String?
    /// What the user can do about it.
    public var advice: String?
    /// The place in a file the user wrote, with the line itself for the caret.
    public var location: SourceLocation?
    /// Further failures of the same command: teardown collects them and goes on.
    public var others: [Failure]

    public init(
        _ doing: String, cause: String? = nil, advice: String? = nil, at location: SourceLocation? = nil,
        others: [Failure] = []
    ) {
        self.doing = doing
        self.cause = cause
        self.advice = advice
        self.location = location
        self.others = others
    }

    /// The failure and all others it carries, flat, each without its own list.
    public var flattened: [Failure] {
        var own = self
        own.others = []
        return [own] + others.flatMap(\.flattened)
    }

    /// One failure out of several, nil when there are none.
    public static func collect(_ failures: [Failure]) -> Failure? {
        guard var first = failures.first else { return nil }
        first.others += failures.dropFirst()
        return first
    }
}

extension Failure: CustomStringConvertible {
    public var description: String {
        var lines: [String] = []
        if let location {
            lines.append("\(location): error: \(doing)")
            if let excerpt = location.excerpt { lines.append(excerpt) }
        } else {
            lines.append("error: \(doing)")
        }
        if let cause { lines.append("  cause: \(cause)") }
        if let advice { lines.append("  try:   \(advice)") }
        lines += others.map(\.description)
        return lines.joined(separator: "\n")
    }
}
