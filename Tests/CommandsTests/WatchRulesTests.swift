// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeModel
import Testing

@testable import Commands

private func rule(
    _ action: String, _ path: String = "/p/src", target: String? = "/srv", ignore: [String] = [],
    include: [String] = []
) throws -> WatchedRule {
    var rule = Service.WatchRule(path: path, action: action)
    rule.target = target
    rule.ignore = ignore
    rule.include = include
    return try WatchedRule(Service(name: "web"), rule)
}

@Suite struct WatchRulesTests {
    @Test(
        "a path is a rule's when it is below, not ignored, and included",
        arguments: [
            ("/p/src/a.txt", true), ("/p/src", true), ("/p/srcs/a", false), ("/p/other", false),
            ("/p/src/a.log", false), ("/p/src/deep/a.log", true), ("/p/src/skip/a", false),
            ("/p/src/.git/index", false), ("/p/src/deep/.a.swp", false), ("/p/src/a~", false),
            ("/p/src/#a#", false), ("/p/src/keep/a", true),
        ])
    func covers(_ path: String, _ expected: Bool) throws {
        let rule = try rule("sync", ignore: ["*.log", "skip/"])
        #expect(rule.covers(path) == expected)
    }

    @Test("only what is included counts, where something is")
    func included() throws {
        let rule = try rule("sync", include: ["*.go", "views"])
        #expect(rule.covers("/p/src/a.go"))
        #expect(rule.covers("/p/src/views/deep/a.html"))
        #expect(!rule.covers("/p/src/a.c"))
    }

    @Test("changes become one piece of work for each service")
    func grouped() throws {
        let rules = [
            try rule("sync"), try rule("sync+exec", include: ["*.conf"]), try rule("rebuild", "/p/go.mod"),
            try rule("sync+restart", "/p/one.txt", target: "/etc/one.txt"),
        ]
        let work = work(for: .init(paths: ["/p/src/b", "/p/src/a.conf", "/p/one.txt"]), rules)
        var expected = WatchWork()
        expected.syncs = [
            .init(source: "/p/one.txt", target: "/etc/one.txt", isWholeRule: true),
            .init(source: "/p/src/a.conf", target: "/srv/a.conf"),
            .init(source: "/p/src/a.conf", target: "/srv/a.conf"),
            .init(source: "/p/src/b", target: "/srv/b"),
        ]
        expected.restarts = true
        expected.execs = [1]
        #expect(work == ["web": expected])
    }

    @Test(
        "a file goes to its target, into it where that ends with a slash",
        arguments: [
            ("/srv/conf", "/p/conf", "/srv/conf"), ("/srv/", "/p/conf", "/srv/conf"),
            ("/", "/p/conf", "/conf"),
            ("/srv", "/p/conf/a/b", "/srv/a/b"), ("/srv/", "/p/conf/a/b", "/srv/a/b"),
        ])
    func targets(_ target: String, _ changed: String, _ expected: String) throws {
        #expect(try rule("sync", "/p/conf", target: target).target(of: changed) == expected)
    }

    @Test("a pattern that is none is refused")
    func badPattern() {
        #expect(throws: Failure.self) { try rule("sync", ignore: ["[a"]) }
    }
}
