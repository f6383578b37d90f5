// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import ContainerModel
import Images
import Kernel
import OCIFormats
import Testing

/// Each of these was measured on overlayfs before it was designed around; here the kernel is asked again.
@Suite("traps of overlay layers")
struct LayerTrapTests {
    /// Mounts an image read-only for the body.
    private func mounted(_ image: StoredImage, _ ground: Playground, _ body: (String) throws -> Void) throws {
        let target = "\(ground.path)/mounted"
        try ensureDirectory(target)
        try ensureDirectory("\(ground.path)/empty")
        // A single lower can't be mounted without an upper.
        let lowers = (image.facts.layers + ["\(ground.path)/empty"]).joined(separator: ":")
        let result = linux_mount("overlay", target, "overlay", 1, "lowerdir=\(lowers)")
        try #require(result == 0, "overlay mount: errno \(linux_errno())")
        defer { _ = linux_umount2(target, 0) }
        try body(target)
    }

    private func image(_ ground: Playground, _ layers: [[(TarEntry, String)]], as name: String = "x") throws
        -> StoredImage
    {
        var image: StoredImage?
        for (index, entries) in layers.enumerated() {
            let tar = try ground.tar("layer\(index).tar", entries)
            image = try ground.store.commit(
                layers: image?.diffIDs ?? [], adding: .tar(path: tar),
                config: ImageConfig(architecture: hostArchitecture),
                as: index == layers.count - 1 ? name : "step:\(index)")
        }
        return try #require(image)
    }

    @Test("a diff id that occurs twice is mounted once, at its topmost place")
    func twice() throws {
        let ground = try Playground()
        let same = [(file("f"), "first")]
        let image = try image(ground, [same, [(file("f"), "second")], same])
        #expect(image.diffIDs.count == 3)
        #expect(image.facts.layers.count == 2)
        try mounted(image, ground) { (root: String) throws in #expect(try readText("\(root)/f") == "first") }
    }

    @Test(
        "a whiteout with nothing beneath is no broken entry, and the shared layer keeps it for other chains")
    func strayWhiteout() throws {
        let ground = try Playground()
        let top = [(folder("d"), ""), (file("d/.wh.ghost"), ""), (file("d/real"), "")]
        let stray = try image(ground, [[(file("base"), "")], top], as: "stray")
        #expect(stray.facts.layers[0].hasSuffix(".chain/fs"))
        try mounted(stray, ground) { (root: String) throws in
            #expect(try directoryEntries("\(root)/d") == ["real"])
        }
        let meant = try image(ground, [[(folder("d"), ""), (file("d/ghost"), "")], top], as: "meant")
        #expect(meant.facts.layers[0].hasSuffix("\(meant.diffIDs[1].hex)/fs"))
        try mounted(meant, ground) { (root: String) throws in
            #expect(try directoryEntries("\(root)/d") == ["real"])
        }
    }

    @Test("a directory a layer only implies keeps its owner and mode from beneath, or the link it is there")
    func implied() throws {
        let ground = try Playground()
        var secret = folder("secret", mode: 0o700)
        (secret.uid, secret.gid) = (7, 8)
        let base = [(secret, ""), (folder("usr"), ""), (folder("usr/lib"), ""), (link("lib", "usr/lib"), "")]
        let image = try image(
            ground, [base, [(file("secret/f"), "1"), (file("lib/so"), "2"), (file("plain/f"), "3")]])
        #expect(image.facts.layers[0].hasSuffix(".chain/fs"))
        try mounted(image, ground) { (root: String) throws in
            let status = try fileStatus("\(root)/secret")
            #expect(status.st_mode & 0o7777 == 0o700)
            #expect(status.st_uid == 7 && status.st_gid == 8)
            #expect(try fileStatus("\(root)/lib").isSymlink)
            #expect(try readText("\(root)/usr/lib/so") == "2")
            #expect(try readText("\(root)/plain/f") == "3")
        }
        // Where nothing is beneath, the layer is shared as it is.
        let alone = try self.image(ground, [[(file("secret/f"), "1"), (file("plain/f"), "3")]], as: "alone")
        #expect(!alone.facts.layers[0].contains("chain"))
        try ground.store.remove("x")
        #expect(!exists(image.facts.layers[0]))
    }

    @Test("an upper directory becomes a layer by a move; the same change becomes the same layer")
    func commitUpper() throws {
        let ground = try Playground()
        let base = try image(
            ground, [[(folder("d"), ""), (file("d/old"), "x"), (file("keep"), "")]], as: "base")
        var ids: [Digest] = []
        for round in 0..<2 {
            let own = "\(ground.path)/build\(round)"
            for name in ["upper", "work"] { try ensureDirectory("\(own)/\(name)") }
            let target = "\(ground.path)/mounted"
            try ensureDirectory(target)
            let lowers = base.facts.layers.joined(separator: ":")
            let options =
                "lowerdir=\(lowers),upperdir=\(own)/upper,workdir=\(own)/work,redirect_dir=off,metacopy=off"
            try #require(linux_mount("overlay", target, "overlay", 0, options) == 0)
            try removeFile("\(target)/d/old")
            try writeFile("\(target)/d/new", "new".utf8)
            var times = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
            _ = utimensat(AT_FDCWD, "\(target)/d/new", &times, 0)
            _ = utimensat(AT_FDCWD, "\(target)/d", &times, 0)
            _ = linux_umount2(target, 0)
            let image = try ground.store.commit(
                layers: base.diffIDs, adding: .upper(path: "\(own)/upper"),
                config: ImageConfig(architecture: hostArchitecture), as: "built:\(round)")
            #expect(exists("\(own)/upper") == (round == 1))
            ids.append(try #require(image.diffIDs.last))
            try mounted(image, ground) { (root: String) throws in
                #expect(try directoryEntries("\(root)/d") == ["new"])
                #expect(try readText("\(root)/d/new") == "new")
                #expect(exists("\(root)/keep"))
            }
        }
        #expect(ids[0] == ids[1])
    }

    @Test("removing a name keeps what other names and running containers stand on")
    func removal() throws {
        let ground = try Playground()
        let base = [(file("f"), "x")]
        let one = try image(ground, [base, [(file("one"), "")]], as: "one")
        let two = try image(ground, [base, [(file("two"), "")]], as: "two")
        try ground.store.remove("step:0")
        try ground.store.remove("one", keeping: [one.facts.layers[0]])
        #expect(exists(one.facts.layers[0]))
        #expect(two.facts.layers.allSatisfy { exists($0) })
        #expect(throws: Failure.self) { try ground.store.remove("one") }
        try ground.store.remove("two")
        #expect(!exists(one.facts.layers[0]))
    }
}
