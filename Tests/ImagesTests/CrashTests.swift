// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import ContainerModel
import Images
import Kernel
import OCIFormats
import Synchronization
import Testing

private final class Notices: Sendable {
    private let texts = Mutex<[String]>([])
    func add(_ text: String) { texts.withLock { $0.append(text) } }
    var all: [String] { texts.withLock { $0 } }
}

/// The mark is forged: another boot ended within a writer's work. What the end of a machine does to a disk is done by
/// hand: a byte flipped, a file gone.
@Suite("after the machine went down while the store was written to")
struct CrashTests {
    let ground: Playground
    let image: StoredImage
    private let notices = Notices()
    private var images: String { "\(ground.path)/root/images" }

    private static let text = String(repeating: "text ", count: 10_000)

    init() throws {
        ground = try Playground()
        var device = TarEntry(.characterDevice, "dev/null", mode: 0o666)
        (device.deviceMajor, device.deviceMinor) = (1, 3)
        var owned = file("d/owned", mode: 0o4755)
        (owned.uid, owned.gid, owned.modified) = (7, 8, 1_600_000_000)
        let lower = try ground.tar(
            "lower.tar", gzip: true,
            [
                (folder("d"), ""), (file("d/big"), CrashTests.text),
                (owned, "own"),
                (link("l", "d/big"), ""), (link("h", "d/owned", .hardlink), ""), (folder("dev"), ""),
                (device, ""), (TarEntry(.fifo, "p", mode: 0o600), ""), (file("gone"), ""),
            ])
        let upper = try ground.tar(
            "upper.tar",
            [
                (file(".wh.gone"), ""), (file(".wh.never"), ""), (folder("o"), ""),
                (file("o/.wh..wh..opq"), ""),
            ])
        let base = try ground.store.importImage(.tar(path: lower), as: "base:1")
        image = try ground.store.commit(
            layers: base.diffIDs, adding: .tar(path: upper),
            config: ImageConfig(architecture: hostArchitecture), as: "app:1")
    }

    private var store: ImageStore {
        var store = ground.store
        let notices = notices
        store.notice = { notices.add($0) }
        return store
    }

    private func crash() throws {
        try writeFile("\(images)/boot", "11111111-2222-3333-4444-555555555555 open\n".utf8)
    }

    /// Changes a byte and leaves everything else of the file as it was.
    private func flip(_ path: String) throws {
        let status = try fileStatus(path)
        var bytes = try readFile(path)
        bytes[bytes.count / 2] ^= 1
        try writeFile(path, bytes)
        var times = [status.st_mtim, status.st_mtim]
        #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
    }

    private func blob(_ layer: Int) throws -> String {
        let manifest = try store.manifest(of: image).manifest
        return "\(images)/blobs/sha256/\(manifest.layers[layer].digest.hex)"
    }

    private var lower: String { "\(ground.path)/root/layers/\(image.diffIDs[0].hex)/fs" }

    @Test("a whole image is looked at once, and nothing is said or changed")
    func whole() throws {
        let inode = try fileStatus("\(lower)/d/big").st_ino
        try crash()
        #expect(try store.lookUp("app:1")?.facts.id == image.facts.id)
        #expect(try store.lookUp("base:1") != nil)
        #expect(try fileStatus("\(lower)/d/big").st_ino == inode)
        #expect(notices.all.isEmpty, "\(notices.all)")
        #expect(!exists("\(images)/suspect"), "all were looked at")
        #expect(try readText("\(images)/boot").hasSuffix(" clean\n"))
    }

    @Test("in the same boot nothing is doubted, and a writer that ends says that it did")
    func sameBoot() throws {
        let boot = try readText("/proc/sys/kernel/random/boot_id").filter { $0 != "\n" }
        #expect(try readText("\(images)/boot") == "\(boot) clean\n")
        // A writer that was killed: what it wrote is in the kernel's cache.
        try writeFile("\(images)/boot", "\(boot) open\n".utf8)
        try flip("\(lower)/d/big")
        #expect(try store.lookUp("app:1") != nil)
        #expect(notices.all.isEmpty)
    }

    @Test(
        "a layer that is not as it was unpacked is unpacked again from its blob, and named",
        arguments: ["d/big", "d/owned", "l", "h", "p", "dev/null", "mode", "whiteout"])
    func tree(what: String) throws {
        let upper = image.facts.layers[0]
        switch what {
        case "d/big", "d/owned": try flip("\(lower)/\(what)")
        case "mode": #expect(chmod("\(lower)/d", 0o700) == 0)
        case "whiteout": try removeFile("\(ground.path)/root/layers/\(image.diffIDs[1].hex)/fs/gone")
        default: try removeFile("\(lower)/\(what)")
        }
        try crash()
        let found = try #require(try store.lookUp("app:1"))
        #expect(found.diffIDs == image.diffIDs && found.facts.layers == image.facts.layers)
        #expect(try readText("\(lower)/d/big") == CrashTests.text)
        #expect(try readText("\(lower)/h") == "own")
        #expect(try fileStatus("\(lower)/d").st_mode & 0o777 == 0o755)
        #expect(try fileStatus("\(upper)/gone").isWhiteout)
        #expect(!exists("\(upper)/never"), "the chain's correction is kept")
        #expect(notices.all.contains { $0.contains("app:1") && $0.contains("sha256:") }, "\(notices.all)")
        #expect(try store.lookUp("base:1") != nil)
        #expect(!exists("\(images)/suspect"))
    }

    @Test("a damaged blob of an image nobody can be asked for is an error that names it and says what to do")
    func damagedBlob() throws {
        try flip(blob(0))
        try crash()
        let failure = try #require(throws: Failure.self) { try store.lookUp("app:1") }
        #expect(failure.doing.contains("app:1") && failure.doing.contains("damaged"), "\(failure)")
        #expect(failure.cause?.contains("sha256:") == true, "\(failure)")
        #expect(failure.advice?.contains("image import") == true, "\(failure)")
        // It stays so until somebody brings it in again.
        #expect(throws: Failure.self) { try store.lookUp("app:1") }
        let again = try store.importImage(.tar(path: "\(ground.path)/lower.tar"), as: "base:1")
        #expect(try store.lookUp("base:1")?.facts.layers == again.facts.layers)
        #expect(try store.lookUp("app:1") != nil, "the layer they share is right again")
    }

    @Test("a lost manifest or config is damage as well", arguments: ["manifest", "config"])
    func documents(which: String) throws {
        let manifest = try #require(image.manifest)
        let digest = which == "manifest" ? manifest : image.facts.id
        try flip("\(images)/blobs/sha256/\(digest.hex)")
        try crash()
        let failure = try #require(throws: Failure.self) { try store.lookUp("app:1") }
        #expect("\(failure)".contains(digest.hex), "\(failure)")
    }

    @Test("a step of a builder's cache that is damaged is one that is not there")
    func cache() throws {
        let key = Digest(of: "a step".utf8)
        let config = ImageConfig(architecture: hostArchitecture)
        let step = try store.keep(layers: image.diffIDs, adding: nil, config: config, asStep: key)
        #expect(try store.step(key) == step)
        try flip(blob(0))
        try crash()
        #expect(try store.step(key) == nil)
    }

    @Test("what nobody looked at is forgotten with the image")
    func removed() throws {
        try crash()
        _ = try store.lookUp("base:1")
        #expect(exists("\(images)/suspect"))
        try store.remove("app:1")
        try store.remove("base:1")
        #expect(!exists("\(images)/suspect"))
    }

    @Test("a torn mark is that of a crash", arguments: ["", "11111111-2222-3333-4444-555555555555", "open"])
    func torn(mark: String) throws {
        try flip("\(lower)/d/big")
        try writeFile("\(images)/boot", mark.utf8)
        #expect(try store.lookUp("app:1") != nil)
        #expect(!notices.all.isEmpty)
    }
}
