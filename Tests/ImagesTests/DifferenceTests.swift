// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import Images
import OCIFormats
import Testing

@Suite("what two images do not have alike")
struct DifferenceTests {
    private func image(_ ground: Playground, _ layers: [[(TarEntry, String)]], as name: String) throws
        -> StoredImage
    {
        var image: StoredImage?
        for (index, entries) in layers.enumerated() {
            let tar = try ground.tar("\(name)-\(index).tar", entries)
            image = try ground.store.commit(
                layers: image?.diffIDs ?? [], adding: .tar(path: tar),
                config: ImageConfig(architecture: hostArchitecture), as: "\(name):\(index)")
        }
        return try #require(image)
    }

    private func lines(_ changes: [TreeChange]) -> [String] {
        changes.map { "\($0.kind) \(String(decoding: $0.path, as: UTF8.self))" }
    }

    private let base: [(TarEntry, String)] = [
        (folder("d"), ""), (file("d/kept"), "same"), (file("d/text"), "one"), (file("mode"), ""),
        (link("l", "d/kept"), ""), (folder("old"), ""), (file("old/a"), "a"), (file("gone"), ""),
        (folder("tree"), ""), (file("tree/x"), "x"),
    ]

    @Test("a layer's changes: content, mode, links, kinds, whiteouts and opaque directories; not times alone")
    func layer() throws {
        let ground = try Playground()
        var touched = file("d/kept")
        touched.modified = 5
        let image = try image(
            ground,
            [
                base,
                [
                    (touched, "same"), (file("d/text"), "two"), (file("d/new"), ""),
                    (file("mode", mode: 0o755), ""),
                    (link("l", "d/text"), ""), (folder("old"), ""), (file("old/.wh..wh..opq"), ""),
                    (file("old/b"), "b"), (file(".wh.gone"), ""), (file("tree"), "now a file"),
                ],
            ], as: "x")
        let expected = [
            "added d/new", "changed d/text", "deleted gone", "changed l", "changed mode", "deleted old/a",
            "added old/b", "changed tree", "deleted tree/x",
        ]
        #expect(lines(try ground.store.changes(in: image)) == expected)
        let parent = try #require(try ground.store.lookUp("x:0"))
        #expect(lines(try ground.store.changes(from: parent, to: image)) == expected)
        // The other way round what was added is deleted.
        let back = lines(try ground.store.changes(from: image, to: parent))
        #expect(back.contains("deleted d/new") && back.contains("added old/a"), "\(back)")
        #expect(try ground.store.changes(from: image, to: image).isEmpty)
    }

    @Test("equal trees of different layers differ in nothing; a first layer is all added")
    func equal() throws {
        let ground = try Playground()
        let whole = try image(ground, [base], as: "whole")
        let parts = try image(ground, [Array(base[..<5]), Array(base[5...])], as: "parts")
        #expect(try ground.store.changes(from: whole, to: parts).isEmpty)
        #expect(try ground.store.changes(in: whole).count == base.count)
        #expect(try ground.store.changes(in: whole).allSatisfy { $0.kind == .added })
    }

    @Test("a layer that occurs twice is still beneath when its upper occurrence is compared")
    func twice() throws {
        let ground = try Playground()
        let same = [(file("f"), "first")]
        let image = try image(ground, [same, [(file("f"), "second")], same], as: "twice")
        #expect(lines(try ground.store.changes(in: image)) == ["changed f"])
    }

    @Test("an image used in place has no parent to compare it with")
    func inPlace() throws {
        let ground = try Playground()
        let image = try ground.store.resolve("dir:\(ground.path)")
        #expect(throws: Failure.self) { try ground.store.changes(in: image) }
    }
}
