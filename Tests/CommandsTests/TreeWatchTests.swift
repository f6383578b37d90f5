// SPDX-License-Identifier: Apache-2.0
//
// What of a tree is followed, on directories of the real kernel: what is told after each change.

import Basics
import ComposeModel
import Glibc
import Kernel
import Testing

@testable import Commands

/// A directory of its own, removed at the end.
private final class Tree {
    let path: String

    init() throws {
        var template = Array("/tmp/covey-tree-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("no directory") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? removeTree(path) }

    func make(_ directory: String) throws { try ensureDirectory("\(path)/\(directory)") }

    func write(_ name: String, _ text: String = "x") throws {
        let file = try openFile("\(path)/\(name)", flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try writeAll(file.raw, text.utf8, path: name)
    }

    func remove(_ name: String) throws { try removeTree("\(path)/\(name)") }

    func move(_ name: String, to other: String) { rename("\(path)/\(name)", "\(path)/\(other)") }

    func link(_ name: String, to target: String) { symlink(target, "\(path)/\(name)") }

    func watch(_ root: String, ignore: [String] = []) throws -> (TreeWatch, WatchedRule) {
        var rule = Service.WatchRule(path: "\(path)/\(root)", action: "sync")
        rule.target = "/srv"
        rule.ignore = ignore
        let watched = try WatchedRule(Service(name: "web"), rule)
        return (
            try TreeWatch([rule.path], isIgnored: watched.ignores, enters: watched.mayReach), watched
        )
    }

    /// What changed and is the rule's, without the directory.
    func told(_ watch: (tree: TreeWatch, rule: WatchedRule)) throws -> [String] {
        let changed = try watch.tree.changes().paths
        var rule = watch.rule
        rule.look()
        let own = changed.filter(rule.covers)
        return own.map { String($0.dropFirst(path.utf8.count + 1)) }.sorted()
    }
}

@Suite struct TreeWatchTests {
    @Test("an exception in an ignored directory is followed, the rest of it is not")
    func exceptions() throws {
        let tree = try Tree()
        try tree.make("src/data/keep/deep")
        try tree.write("src/data/keep/a")
        let watch = try tree.watch("src", ignore: ["data", "!data/keep", "cache"])
        #expect(
            watch.0.everything(below: tree.path + "/src").map {
                String($0.dropFirst(tree.path.utf8.count + 1))
            }
            .sorted() == ["src/data/keep", "src/data/keep/a", "src/data/keep/deep"])
        try tree.write("src/data/other")
        try tree.write("src/data/keep/a", "y")
        try tree.write("src/data/keep/deep/b")
        try tree.make("src/cache")
        #expect(try tree.told(watch) == ["src/data/keep/a", "src/data/keep/deep/b"])
        // Ignored, and nothing in it can come back: it is not entered.
        try tree.write("src/cache/c")
        #expect(try watch.0.changes().paths.isEmpty)
        try tree.remove("src/data")
        _ = try watch.0.changes()
        try tree.make("src/data/keep")
        try tree.write("src/data/keep/c")
        #expect(try tree.told(watch) == ["src/data/keep", "src/data/keep/c"])
    }

    @Test("a root that goes and comes back is followed, alone, with what is above it, or under another name")
    func comesBack() throws {
        let tree = try Tree()
        try tree.make("a/b/src")
        let watch = try tree.watch("a/b/src")
        for (gone, isMoved) in [
            ("a/b/src", false), ("a/b", false), ("a", false), ("a/b/src", true), ("a/b", true),
        ] {
            if isMoved { tree.move(gone, to: "away") } else { try tree.remove(gone) }
            _ = try tree.told(watch)
            try tree.make("a/b/src/sub")
            try tree.write("a/b/src/one")
            #expect(try tree.told(watch) == ["a/b/src/one", "a/b/src/sub"], "\(gone) \(isMoved)")
            try tree.write("a/b/src/sub/two")
            #expect(try tree.told(watch) == ["a/b/src/sub/two"], "\(gone) \(isMoved)")
            if isMoved { try tree.remove("away") }
        }
    }

    @Test("a root that is not there yet is waited for", arguments: ["", "a", "a/b"])
    func comesLater(_ above: String) throws {
        let tree = try Tree()
        if !above.isEmpty { try tree.make(above) }
        let watch = try tree.watch("a/b/src")
        #expect(watch.0.everything(below: "\(tree.path)/a/b/src").isEmpty)
        #expect(try tree.told(watch) == [])
        try tree.make("a/b/src/sub")
        try tree.write("a/b/src/one")
        #expect(try tree.told(watch).filter { $0 != "a/b/src" } == ["a/b/src/one", "a/b/src/sub"])
        try tree.write("a/b/src/sub/two")
        #expect(try tree.told(watch) == ["a/b/src/sub/two"])
    }

    @Test("the end of a directory within does not make all the others changed")
    func quietEnd() throws {
        let tree = try Tree()
        try tree.make("src/sub")
        try tree.write("src/one")
        let watch = try tree.watch("src")
        try tree.remove("src/sub")
        #expect(try tree.told(watch) == ["src/sub"])
        try tree.make("src/x")
        _ = try tree.told(watch)
        tree.move("src/x", to: "src/y")
        #expect(try tree.told(watch) == ["src/x", "src/y"])
        try tree.write("src/y/a")
        #expect(try tree.told(watch) == ["src/y/a"])
    }

    @Test("a root that is a link is followed to where it leads, and to where it leads next")
    func link() throws {
        let tree = try Tree()
        try tree.make("v1")
        try tree.make("v2")
        try tree.write("v1/a")
        try tree.write("v2/b")
        tree.link("current", to: "v1")
        let watch = try tree.watch("current")
        #expect(watch.0.everything(below: tree.path + "/current") == [tree.path + "/current/a"])
        try tree.write("v1/a", "y")
        #expect(try tree.told(watch) == ["current/a"])
        tree.link("next", to: "v2")
        tree.move("next", to: "current")
        #expect(try tree.told(watch) == ["current/b"])
        try tree.write("v2/c")
        #expect(try tree.told(watch) == ["current/c"])
    }

    @Test("a file alone is followed when it is replaced, and its neighbours are not")
    func file() throws {
        let tree = try Tree()
        try tree.write("one")
        let watch = try tree.watch("one")
        #expect(watch.0.everything(below: tree.path + "/one") == [tree.path + "/one"])
        try tree.write("two")
        #expect(try tree.told(watch) == [])
        tree.move("two", to: "one")
        #expect(try tree.told(watch) == ["one"])
        try tree.remove("one")
        #expect(try tree.told(watch) == ["one"])
    }
}
