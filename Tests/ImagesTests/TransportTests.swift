// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import ContainerModel
import Images
import Kernel
import OCIFormats
import Testing

/// skopeo reads and writes all of these formats and shares no code with us.
let hasSkopeo = access("/usr/bin/skopeo", X_OK) == 0

@Suite("images come in and go out")
struct TransportTests {
    static func config() -> ImageConfig {
        var config = ImageConfig(architecture: hostArchitecture)
        var defaults = ImageConfig.Defaults()
        defaults.env = ["PATH=/bin", "TEXT=two\nlines\\n"]
        defaults.entrypoint = ["/bin/hello"]
        defaults.cmd = ["a b", ""]
        defaults.user = "12:34"
        defaults.workingDir = "/srv"
        defaults.volumes = ["/data": .init()]
        defaults.exposedPorts = ["80/tcp": .init()]
        defaults.labels = ["a": "1", "b.c": "x y"]
        defaults.stopSignal = "SIGINT"
        defaults.shell = ["/bin/ash", "-c"]
        var check = ImageConfig.Healthcheck()
        check.test = ["CMD-SHELL", "true"]
        check.interval = 5_000_000_000
        defaults.healthcheck = check
        config.config = defaults
        return config
    }

    @Test(
        "the store is an OCI layout that skopeo copies, and what it copies comes back, by every transport",
        .enabled(if: hasSkopeo, "needs skopeo (apt-get install skopeo)"),
        arguments: ["oci", "oci-archive", "docker-archive"])
    func skopeo(transport: String) throws {
        let ground = try Playground()
        let lower = try ground.tar(
            "lower.tar", gzip: true, [(folder("d"), ""), (file("d/a"), "a"), (file("gone"), "")])
        let base = try ground.store.importImage(.tar(path: lower), as: "base")
        let upper = try ground.tar("upper.tar", [(file(".wh.gone"), ""), (file("new"), "b")])
        let image = try ground.store.commit(
            layers: base.diffIDs, adding: .tar(path: upper), config: TransportTests.config(), as: "bb:1")
        let target = "\(transport):\(ground.path)/copy:bb:1"
        let (status, output) = try ground.run(
            "skopeo", "copy", "--insecure-policy", "oci:\(ground.path)/root/images:bb:1", target)
        #expect(status == 0, "\(output)")
        let store = ImageStore(root: "\(ground.path)/other")
        let again = try store.resolve(target)
        #expect(again.diffIDs == image.diffIDs)
        #expect(again.defaults == image.defaults)
        let found = try #require(try store.lookUp(target))
        #expect(found == again)
        #expect(found.defaults.healthcheck?.command == ["/bin/ash", "-c", "true"])
        #expect(found.defaults.healthcheck?.interval == .seconds(5))
        #expect(found.defaults.environment == ["PATH=/bin", "TEXT=two\nlines\\n"])
        #expect(try fileStatus("\(found.facts.layers[0])/gone").isWhiteout)
        let named = try store.importImage(try #require(Transport(target, relativeTo: "/")))
        #expect(named.facts.reference == "bb:1")
        try store.remove("bb:1")
        try store.remove(target)
        #expect(try directoryEntries("\(ground.path)/other/layers") == [".tmp"])
        #expect(try directoryEntries("\(ground.path)/other/images/blobs/sha256") == [])
    }

    @Test(
        "what skopeo puts straight into the store is unpacked when it is first looked up",
        .enabled(if: hasSkopeo, "needs skopeo (apt-get install skopeo)"))
    func skopeoInto() throws {
        let ground = try Playground()
        let tar = try ground.tar("root.tar", gzip: true, [(file("hello"), "x")])
        let image = try ground.store.importImage(.tar(path: tar), as: "x")
        try ensureDirectory("\(ground.path)/two")
        let (status, output) = try ground.run(
            "skopeo", "copy", "--insecure-policy", "oci:\(ground.path)/root/images:x:latest",
            "oci:\(ground.path)/two/images:y:latest")
        #expect(status == 0, "\(output)")
        let found = try ImageStore(root: "\(ground.path)/two").resolve("y")
        #expect(found.diffIDs == image.diffIDs)
        #expect(try readText("\(found.facts.layers[0])/hello") == "x")
    }

    @Test("a transport's image is looked up again only while its source is unchanged")
    func stamp() throws {
        let ground = try Playground()
        let tar = try ground.tar("root.tar", [(file("hello"), "one")])
        let first = try ground.store.resolve("tar:root.tar", relativeTo: ground.path)
        #expect(first.facts.reference == "tar:root.tar")
        _ = try ground.tar("root.tar", [(file("hello"), "two!")])
        #expect(try ground.store.lookUp("tar:\(tar)") == nil)
        let second = try ground.store.resolve("tar:\(tar)")
        #expect(second.facts.id != first.facts.id)
    }

    @Test("a root file system is used in place, and copied when it is given a name")
    func inPlace() throws {
        let ground = try Playground()
        try ensureDirectory("\(ground.path)/rootfs/bin")
        try writeFile("\(ground.path)/rootfs/bin/x", "x".utf8)
        let image = try ground.store.resolve("dir:rootfs", relativeTo: ground.path)
        #expect(image.facts.layers == ["\(ground.path)/rootfs"])
        #expect(try ground.store.resolve("dir:\(ground.path)/rootfs").facts.id == image.facts.id)
        #expect(!exists("\(ground.path)/root"))
        let named = try ground.store.importImage(.directory(path: "\(ground.path)/rootfs"), as: "own")
        #expect(try readText("\(named.facts.layers[0])/bin/x") == "x")
        #expect(throws: Failure.self) { try ground.store.resolve("dir:\(ground.path)/rootfs/bin/x") }
    }

    @Test("a damaged layer is refused with both digests, and nothing of it stays")
    func wrongDigest() throws {
        let ground = try Playground()
        let tar = try ground.tar("root.tar", gzip: true, [(file("hello"), "x")])
        let image = try ground.store.importImage(.tar(path: tar), as: "x")
        let blobs = "\(ground.path)/root/images/blobs/sha256"
        let manifest = try decodeDocument(
            ImageManifest.self, readFile("\(blobs)/\(try #require(image.manifest).hex)"), title: "it")
        let layer = manifest.layers[0].digest
        // The same size, one bit in gzip's header (its time) changed: it still unpacks.
        var bytes = try readFile("\(blobs)/\(layer.hex)")
        bytes[5] ^= 1
        try writeFile("\(blobs)/\(layer.hex)", bytes)
        let other = ImageStore(root: "\(ground.path)/other")
        let failure = #expect(throws: Failure.self) { try other.resolve("oci:\(ground.path)/root/images") }
        let cause = failure?.cause ?? ""
        #expect(
            cause.contains(layer.description) && cause.contains(Digest(of: bytes).description), "\(cause)")
        bytes.removeLast(10)
        try writeFile("\(blobs)/\(layer.hex)", bytes)
        #expect(throws: Failure.self) { try other.resolve("oci:\(ground.path)/root/images") }
        #expect(try directoryEntries("\(ground.path)/other/layers/.tmp") == [])
        #expect(try directoryEntries("\(ground.path)/other/images/.tmp") == [])
        #expect(try directoryEntries("\(ground.path)/other/images/blobs/sha256") == [])
    }

    @Test("a truncated layer tells so")
    func truncated() throws {
        let ground = try Playground()
        let tar = try ground.tar(
            "root.tar", gzip: true, [(file("hello"), String(repeating: "x", count: 9999))])
        try writeFile(tar, try readFile(tar).dropLast(8))
        let failure = #expect(throws: Failure.self) { try ground.store.resolve("tar:\(tar)") }
        #expect(failure?.cause?.contains("truncated") == true)
        #expect(try ground.store.list().isEmpty)
    }

    @Test("a name that is not there says how to get it, with the nearest name")
    func missing() throws {
        let ground = try Playground()
        let tar = try ground.tar("root.tar", [(file("hello"), "x")])
        _ = try ground.store.importImage(.tar(path: tar), as: "busybox")
        let failure = #expect(throws: Failure.self) { try ground.store.resolve("busybax") }
        #expect(failure?.doing == "image \"busybax\" is not in the store")
        #expect(failure?.cause?.contains("\"busybox\"") == true)
        #expect(failure?.advice?.contains("covey image import") == true)
        for bad in ["", "a b", "x:", "/x", "x@sha256:1"] {
            #expect(throws: Failure.self) { try ground.store.resolve(bad) }
        }
    }

    @Test("a full disk is one error that names the file and its size, and leaves nothing")
    func fullDisk() throws {
        let ground = try Playground()
        let tar = try ground.tar(
            "root.tar", gzip: true, [(file("big"), String(repeating: "x", count: 3_000_000))])
        try ensureDirectory("\(ground.path)/small")
        #expect(linux_mount("covey-test", "\(ground.path)/small", "tmpfs", 0, "size=1m") == 0)
        defer { _ = linux_umount2("\(ground.path)/small", 0) }
        let failure = #expect(throws: Failure.self) {
            try ImageStore(root: "\(ground.path)/small").importImage(.tar(path: tar), as: "x")
        }
        #expect(failure?.cause == "ENOSPC while writing \"big\" (3000000 bytes): no space left on the disk")
        #expect(try directoryEntries("\(ground.path)/small/layers") == [".tmp"])
        #expect(try directoryEntries("\(ground.path)/small/layers/.tmp") == [])
        #expect(try directoryEntries("\(ground.path)/small/images/.tmp") == [])
    }

    @Test("what a dead writer left is gone with the next")
    func leftovers() throws {
        let ground = try Playground()
        try ensureDirectory("\(ground.path)/root/layers/.tmp/layer/fs/deep")
        try ensureDirectory("\(ground.path)/root/images/.tmp")
        try writeFile("\(ground.path)/root/images/.tmp/blob", "half".utf8)
        let tar = try ground.tar("root.tar", [(file("hello"), "x")])
        _ = try ground.store.importImage(.tar(path: tar), as: "x")
        #expect(try directoryEntries("\(ground.path)/root/layers/.tmp") == [])
        #expect(try directoryEntries("\(ground.path)/root/images/.tmp") == [])
    }

    @Test("a lost or torn record of a name is made anew from the index")
    func tornRecord() throws {
        let ground = try Playground()
        let tar = try ground.tar("root.tar", [(file("hello"), "x")])
        let image = try ground.store.importImage(.tar(path: tar), as: "x")
        try writeFile("\(ground.path)/root/images/resolved/x:latest", "covey-image 1\nid ".utf8)
        #expect(try ground.store.resolve("x").facts.id == image.facts.id)
        try removeEntry(
            "layers".cName, at: try openFile("\(ground.path)/root", flags: O_RDONLY | O_DIRECTORY).release())
        #expect(try readText("\(ground.store.resolve("x").facts.layers[0])/hello") == "x")
    }

    @Test(
        "archives load whichever way they are compressed as a whole",
        arguments: ["gzip", "zstd -q", "xz", "bzip2"])
    func compressed(tool: String) throws {
        let ground = try Playground()
        let tar = try ground.tar("root.tar", gzip: true, [(file("hello"), "x")])
        let image = try ground.store.importImage(.tar(path: tar), as: "x:1")
        let archive = "\(ground.path)/a.tar"
        let out = try openFile(archive, flags: O_WRONLY | O_CREAT)
        try ground.store.save([image], to: out.raw, compression: .none)
        #expect(system("\(tool) -c \(archive) >\(archive).packed") == 0)
        let other = ImageStore(root: "\(ground.path)/other")
        #expect(try other.load("\(archive).packed").map(\.manifest) == [image.manifest])
        var small = ImageStore(root: "\(ground.path)/small")
        small.limits.bytes = 2000
        let failure = try #require(throws: Failure.self) { try small.load("\(archive).packed") }
        #expect(failure.advice?.contains("COVEY_LAYER_BYTES") == true, "\(failure)")
    }

    @Test(
        "layers in xz and bzip2 are taken, and kept plain: no other reader of the layout would know them",
        arguments: ["xz", "bzip2"])
    func rareLayers(tool: String) throws {
        let ground = try Playground()
        let layer = try ground.tar("layer.tar", [(file("hello"), "from \(tool)")])
        let plain = Digest(hashing: try readFile(layer))
        #expect(system("\(tool) -k \(layer) && mv \(layer).?z* \(ground.path)/packed") == 0)
        let root = try ground.store.importImage(.tar(path: "\(ground.path)/packed"), as: "root:1")
        #expect(root.diffIDs == [plain])
        var config = ImageConfig(architecture: hostArchitecture)
        config.rootfs.diffIDs = [plain]
        let description = try encodeDocument(config)
        let index = [DockerArchiveImage(config: "config.json", repoTags: ["old:1"], layers: ["l/layer.tar"])]
        let archive = SharedFD(try openFile("\(ground.path)/old.tar", flags: O_RDWR | O_CREAT))
        let writer = TarWriter(FileSink(archive, name: "old.tar"))
        try writer.add(TarEntry(.file, "config.json"), body: description)
        try writer.add(TarEntry(.file, "l/layer.tar"), body: try readFile("\(ground.path)/packed"))
        try writer.add(TarEntry(.file, "manifest.json"), body: try encodeDocument(index))
        try writer.finish()
        let store = ImageStore(root: "\(ground.path)/other")
        let image = try #require(try store.load("\(ground.path)/old.tar").first)
        let descriptor = try store.manifest(of: image).manifest.layers[0]
        #expect(descriptor.mediaType == MediaType.layer && descriptor.digest == plain)
        #expect(try readText("\(image.facts.layers[0])/hello") == "from \(tool)")
        #expect(
            try fileStatus("\(ground.path)/other/images/blobs/sha256/\(plain.hex)").st_size == descriptor.size
        )
    }

    @Test("layers come in several at once, each once; one that is damaged leaves nothing of the others")
    func severalLayers() throws {
        let ground = try Playground()
        var config = ImageConfig(architecture: hostArchitecture)
        var entry = DockerArchiveImage(config: "config.json", repoTags: ["many:1"], layers: [])
        var bodies: [String: [UInt8]] = [:]
        for number in [0, 1, 2, 3, 4, 5, 2] {
            let bytes = try readFile(try ground.tar("layer.tar", [(file("f\(number)"), "\(number)")]))
            config.rootfs.diffIDs.append(Digest(hashing: bytes))
            entry.layers.append("l\(number)/layer.tar")
            bodies["l\(number)/layer.tar"] = bytes
        }
        func archive(_ name: String) throws -> String {
            let path = "\(ground.path)/\(name)"
            let sink = FileSink(SharedFD(try openFile(path, flags: O_RDWR | O_CREAT)), name: name)
            let writer = TarWriter(sink)
            try writer.add(TarEntry(.file, "config.json"), body: try encodeDocument(config))
            try writer.add(TarEntry(.file, "manifest.json"), body: try encodeDocument([entry]))
            for (name, body) in bodies { try writer.add(TarEntry(.file, name), body: body) }
            try writer.finish()
            return path
        }
        let image = try #require(try ground.store.load(try archive("many.tar")).first)
        #expect(image.diffIDs == config.rootfs.diffIDs && image.facts.layers.count == 6)
        for number in 0..<6 {
            let directory = "\(ground.path)/root/layers/\(config.rootfs.diffIDs[number].hex)/fs"
            #expect(try readText("\(directory)/f\(number)") == "\(number)")
        }
        config.rootfs.diffIDs[4] = Digest(of: [])
        let other = ImageStore(root: "\(ground.path)/other")
        let bad = try archive("bad.tar")
        let failure = #expect(throws: Failure.self) { try other.load(bad) }
        #expect(failure?.cause?.contains(Digest(of: []).description) == true)
        for place in ["layers/.tmp", "images/.tmp", "images/blobs/sha256"] {
            #expect(try directoryEntries("\(ground.path)/other/\(place)") == [])
        }
    }

    @Test(
        "an archive's names are its own files, however they climb or link; nothing of this host is read (CVE-2014-9356)",
        arguments: ["../../../../../etc/passwd", "/etc/passwd", "link", "up", "loop"])
    func foreignNames(name: String) throws {
        let ground = try Playground()
        let path = "\(ground.path)/hostile.tar"
        let writer = TarWriter(FileSink(SharedFD(try openFile(path, flags: O_RDWR | O_CREAT)), name: path))
        for (name, target) in [("link", "/etc/passwd"), ("up", "../../../../etc/passwd"), ("loop", "loop")] {
            var entry = TarEntry(.symlink, name)
            entry.link = Array(target.utf8)
            try writer.add(entry)
        }
        let entry = DockerArchiveImage(config: name, repoTags: ["../../hostile"], layers: [name])
        try writer.add(TarEntry(.file, "manifest.json"), body: try encodeDocument([entry]))
        try writer.finish()
        let failure = #expect(throws: Failure.self) { try ground.store.load(path) }
        #expect(failure?.cause == "\(name) is not there", "\(failure.map { "\($0)" } ?? "")")
        #expect(try ground.store.list().isEmpty)
    }

    @Test("a document of a gigabyte is refused before it is read")
    func giant() throws {
        let ground = try Playground()
        try ensureDirectory("\(ground.path)/layout")
        try writeFile("\(ground.path)/layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".utf8)
        let index = try openFile("\(ground.path)/layout/index.json", flags: O_WRONLY | O_CREAT)
        #expect(ftruncate(index.raw, 1 << 30) == 0)
        let failure = #expect(throws: Failure.self) { try ground.store.resolve("oci:\(ground.path)/layout") }
        #expect(failure?.cause?.hasPrefix("it has 1073741824 bytes") == true, "\(failure as Any)")
    }
}
