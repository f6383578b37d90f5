// SPDX-License-Identifier: Apache-2.0

import Basics
import DockerfileSyntax
import Testing

struct IgnoreCase: Sendable, CustomTestStringConvertible {
    var patterns: String
    var ignored: [String]
    var kept: [String]
    init(_ patterns: String, ignores ignored: [String], keeps kept: [String]) {
        self.patterns = patterns
        self.ignored = ignored
        self.kept = kept
    }
    var testDescription: String { patterns.split(separator: "\n").joined(separator: " ⏎ ") }
}

@Test(
    ".dockerignore decides as Docker's does",
    arguments: [
        IgnoreCase("", ignores: [], keeps: ["a"]),
        IgnoreCase("# a\n\n  \n", ignores: [], keeps: ["a", "# a"]),
        IgnoreCase(" #a", ignores: ["#a"], keeps: ["a"]),
        IgnoreCase("a", ignores: ["a", "a/b"], keeps: ["b/a", "ab"]),
        IgnoreCase("/a/", ignores: ["a", "a/b"], keeps: ["b/a"]),
        IgnoreCase("./a/../b", ignores: ["b"], keeps: ["a"]),
        IgnoreCase("  a  ", ignores: ["a"], keeps: [" a"]),
        IgnoreCase("*", ignores: ["a", ".x", "a/b"], keeps: []),
        IgnoreCase("*.md", ignores: ["a.md", ".md"], keeps: ["d/a.md", "a.mdx"]),
        IgnoreCase("*/a", ignores: ["d/a", "d/a/x"], keeps: ["a", "d/e/a"]),
        IgnoreCase("*/*/a", ignores: ["d/e/a"], keeps: ["a", "d/a"]),
        IgnoreCase("a?", ignores: ["ab", "aé"], keeps: ["a", "abc", "a/"]),
        IgnoreCase("[ab].c", ignores: ["a.c", "b.c"], keeps: ["c.c"]),
        IgnoreCase("[^a].c", ignores: ["b.c"], keeps: ["a.c"]),
        IgnoreCase("[a-c]x", ignores: ["bx"], keeps: ["dx"]),
        IgnoreCase("\\*", ignores: ["*"], keeps: ["a"]),
        IgnoreCase("**", ignores: ["a", "a/b"], keeps: []),
        IgnoreCase("**/a", ignores: ["a", "d/a", "d/e/a", "d/a/x"], keeps: ["ba", "d/ba"]),
        IgnoreCase("**/*.go", ignores: ["a.go", "d/a.go", "d/e/.go"], keeps: ["a.gox"]),
        IgnoreCase("d/**", ignores: ["d/a", "d/e/f"], keeps: ["d", "e/d"]),
        IgnoreCase("d/**/x", ignores: ["d/x", "d/e/x", "d/e/f/x"], keeps: ["x", "d/ex"]),
        IgnoreCase("**/d/**", ignores: ["d/a", "c/d/a"], keeps: ["d", "ad/a"]),
        IgnoreCase("**ab", ignores: ["ab", "xab", "d/xab"], keeps: ["abx"]),
        IgnoreCase("a.b", ignores: ["a.b"], keeps: ["axb"]),
        IgnoreCase("*.md\n!README.md", ignores: ["a.md"], keeps: ["README.md"]),
        IgnoreCase(
            "*.md\n!README*.md\nREADME-secret.md", ignores: ["README-secret.md"], keeps: ["README-x.md"]),
        IgnoreCase("*.md\nREADME-secret.md\n!README*.md", ignores: ["x.md"], keeps: ["README-secret.md"]),
        IgnoreCase("!a\na", ignores: ["a"], keeps: ["b"]),
        IgnoreCase("d\n!d/keep", ignores: ["d", "d/a"], keeps: ["d/keep", "d/keep/x"]),
        IgnoreCase("*\n!src/**", ignores: ["a", "src"], keeps: ["src/a", "src/b/c"]),
        IgnoreCase("! a", ignores: [], keeps: ["a"]),
        IgnoreCase("*\n! /a", ignores: ["b"], keeps: ["a"]),
        IgnoreCase(
            "node_modules\n**/node_modules", ignores: ["node_modules/x", "p/node_modules/y"], keeps: ["p"]),
    ])
func ignores(_ each: IgnoreCase) throws {
    let patterns = try IgnorePatterns(parsing: Array(each.patterns.utf8), path: ".dockerignore")
    for path in each.ignored { #expect(patterns.ignores(path), "\(path) is ignored") }
    for path in each.kept { #expect(!patterns.ignores(path), "\(path) is kept") }
}

@Test("a directory is skipped unread unless an exception reaches into it")
func skips() throws {
    let patterns = try IgnorePatterns(parsing: Array("*\n!src/*.c\n!a/b/c".utf8), path: ".dockerignore")
    #expect(patterns.mayKeepSomething(below: "src"))
    #expect(!patterns.mayKeepSomething(below: "doc"))
    #expect(patterns.mayKeepSomething(below: "a/b"))
    #expect(!patterns.mayKeepSomething(below: "a/x"))
    let none = try IgnorePatterns(parsing: Array("*".utf8), path: ".dockerignore")
    #expect(!none.mayKeepSomething(below: "src"))
    let all = try IgnorePatterns(parsing: Array("*\n!**/keep".utf8), path: ".dockerignore")
    #expect(all.mayKeepSomething(below: "any/where"))
}

@Test(
    "a malformed pattern is an error with its line",
    arguments: ["a\n[", "a\n[]x", "a\n!", "a\n[b-a]", "a\nx\\"])
func badPatterns(_ text: String) {
    let failure = #expect(throws: Failure.self) {
        try IgnorePatterns(parsing: Array(text.utf8), path: ".dockerignore")
    }
    #expect(failure?.location?.line == 2)
}

@Test("a pattern of many stars is matched in time linear in the path")
func hostilePattern() throws {
    let text = String(repeating: "*a", count: 200) + "b"
    let pattern = try #require(PathPattern(text))
    #expect(!pattern.matches(String(repeating: "a", count: 3000)))
}
