// SPDX-License-Identifier: Apache-2.0
//
// `.dockerignore`: which paths of a context do not exist for the build. Patterns are Go's filepath.Match with
// `**`; the last pattern that matches a path, or a directory above it, decides.
// Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher for what the reference leaves open.

public import Basics

/// The patterns of one ignore file, in order.
public struct IgnorePatterns: Sendable {
    private struct Rule: Sendable {
        var pattern: PathPattern
        var isException: Bool
    }
    private var rules: [Rule] = []
    /// True when some pattern begins with `!`.
    public private(set) var hasExceptions = false

    /// No pattern: nothing is ignored.
    public init() {}

    public var isEmpty: Bool { rules.isEmpty }

    /// Parses an ignore file; a malformed pattern fails with its place.
    public init(parsing bytes: [UInt8], path: String) throws(Failure) {
        let source = SourceText(bytes, path: path)
        for number in source.lines.indices {
            let line = source.text(number)
            // Only a `#` in the first column begins a comment.
            if line.hasPrefix("#") { continue }
            var text = line.trimmed
            if text.isEmpty { continue }
            let place = source.location(line: number, offset: 0)
            let isException = text.hasPrefix("!")
            if isException { text = text.dropFirst().trimmed }
            guard !text.isEmpty else {
                throw Failure("`!` names no pattern", advice: "write !path", at: place)
            }
            try add(text, isException: isException, at: place)
        }
    }

    /// The values of `--exclude`, which know no exceptions.
    public init(excluding patterns: [Word]) throws(Failure) {
        for word in patterns { try add(word.text, isException: false, at: word.location) }
    }

    private mutating func add(_ given: String, isException: Bool, at place: SourceLocation) throws(Failure) {
        var text = cleanPath(given)
        if text.utf8.count > 1, text.hasPrefix("/") { text.removeFirst() }
        guard let pattern = PathPattern(text) else {
            throw Failure(
                "`\(text)` is not a pattern", cause: "a `[` is never closed, or a `\\` ends it", at: place)
        }
        rules.append(Rule(pattern: pattern, isException: isException))
        if isException { hasExceptions = true }
    }

    /// What the patterns say of one path; a directory's verdict is handed down to what is in it.
    public struct Verdict: Sendable {
        public fileprivate(set) var ignored = false
        fileprivate var hits: [Bool] = []
        public init() {}
    }

    /// Judges a path relative to the context, given the verdict on the directory it is in.
    public func verdict(_ path: String, under parent: Verdict = Verdict()) -> Verdict {
        var verdict = Verdict()
        guard !rules.isEmpty else { return verdict }
        verdict.hits = parent.hits.isEmpty ? Array(repeating: false, count: rules.count) : parent.hits
        let subject = PathPattern.Subject(path)
        for (index, rule) in rules.enumerated() {
            if !verdict.hits[index] { verdict.hits[index] = rule.pattern.matches(subject) }
            if verdict.hits[index] { verdict.ignored = !rule.isException }
        }
        return verdict
    }

    /// Judges a path and, as Docker does, every directory above it.
    public func ignores(_ path: String) -> Bool { verdictWithParents(path).ignored }

    /// The verdict on a path of which nothing was judged before.
    public func verdictWithParents(_ path: String) -> Verdict {
        var verdict = Verdict()
        guard !rules.isEmpty else { return verdict }
        var end = path.startIndex
        while true {
            end = path[end...].firstIndex(of: "/") ?? path.endIndex
            verdict = self.verdict(String(path[..<end]), under: verdict)
            if end == path.endIndex { return verdict }
            end = path.index(after: end)
        }
    }

    /// False when nothing below an ignored directory can come back through an exception, so that it need not be read.
    public func mayKeepSomething(below directory: String) -> Bool {
        hasExceptions && rules.contains { $0.isException && $0.pattern.mayMatch(below: directory) }
    }
}

/// `path` without `.`, empty and `..` elements, as Go's filepath.Clean has it: a relative one may begin with `..`.
private func cleanPath(_ path: String) -> String {
    if path.utf8.first == UInt8(ascii: "/") { return normalPath(path) }
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
        if part == "..", let last = parts.last, last != ".." {
            parts.removeLast()
        } else {
            parts.append(part)
        }
    }
    return parts.isEmpty ? "." : parts.joined(separator: "/")
}
