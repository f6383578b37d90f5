// SPDX-License-Identifier: Apache-2.0

import Basics
import CLinux
import Kernel
import OCIFormats
import Synchronization
import Testing

@testable import Images
@testable import Registry

@Suite("pulling")
struct PullTests {
    let place: Workplace
    let image: PlayedImage

    init() throws {
        place = try Workplace()
        image = try PlayedImage([noise(60_000), noise(3_000, seed: 2), "three"])
    }

    private func content(_ pulled: PulledImage, _ file: String) throws -> String {
        for layer in pulled.image.facts.layers where exists("\(layer)/\(file)") {
            return try readText("\(layer)/\(file)")
        }
        throw Failure("\(file) is in no layer")
    }

    @Test("an image comes whole, its digest the registry's, and is not fetched again")
    func whole() throws {
        let image = image
        let server = try ScriptedServer { image.answer($0) }
        let name = "\(server.host)/some/app:1"
        let pulled = try place.pull(name)
        #expect(pulled.digest == image.digest && pulled.image.manifest == image.digest && pulled.isNew)
        #expect(try content(pulled, "file2") == "three")
        #expect(try place.store.pulledFacts(name)?.digest == image.digest)
        let blobs = server.requests("/v2/some/app/blobs/").count
        #expect(try !place.pull(name).isNew)
        #expect(server.requests("/v2/some/app/blobs/").count == blobs + 1, "only the config is read again")
        // By digest: no tag is touched, and the same layers serve.
        let pinned = "\(server.host)/some/app@\(image.digest)"
        #expect(
            try place.store.lookUp(pinned)?.manifest == image.digest, "the tag's image answers to its digest")
        #expect(try place.store.lookUp("\(server.host)/some/app@\(Digest(of: [1]))") == nil)
    }

    @Test("an index is asked for this host's image; the name stands for the index")
    func index() throws {
        let image = image
        var wanted = Descriptor(
            mediaType: MediaType.manifest, digest: image.digest, size: Int64(image.manifest.count))
        wanted.platform = Platform(architecture: hostArchitecture, os: "linux")
        var other = wanted
        other.platform = Platform(architecture: "s390x", os: "linux")
        other.digest = Digest(of: [1])
        var index = ImageIndex()
        index.mediaType = MediaType.index
        index.manifests = [other, wanted]
        let bytes = try encodeDocument(index)
        let server = try ScriptedServer { request in
            request.path.hasSuffix("/manifests/1")
                ? Reply(headers: ["Content-Type": MediaType.index], body: bytes) : image.answer(request)
        }
        let pulled = try place.pull("\(server.host)/app:1")
        #expect(pulled.digest == Digest(hashing: bytes))
        #expect(pulled.image.manifest == image.digest)
        #expect(try place.store.lookUp("\(server.host)/app@\(pulled.digest)")?.manifest == image.digest)
    }

    @Test(
        "a break in a layer is mended by Range, with and without the registry's help",
        arguments: [true, false])
    func resume(knowsRange: Bool) throws {
        let image = image
        let breaks = Counter()
        let server = try ScriptedServer { request in
            if image.isLayer(request), breaks.next() == 1 {
                var reply = image.answer(request)
                reply.manner = .cut(20_000)
                return reply
            }
            var request = request
            if !knowsRange { request.headers["range"] = nil }
            return image.answer(request)
        }
        let pulled = try place.pull("\(server.host)/app:1")
        #expect(try content(pulled, "file0") == noise(60_000))
        let asked = server.requests.filter { image.isLayer($0) }
        #expect(asked.count == 2)
        #expect(
            asked.last?.headers["range"]?.hasPrefix("bytes=20000-") == true, "\(asked.last?.headers ?? [:])")
    }

    @Test("a layer that always breaks off ends in an error, and nothing of it is left")
    func truncated() throws {
        let image = image
        let server = try ScriptedServer { request in
            var reply = image.answer(request)
            if image.isLayer(request) { reply.manner = .cut(0) }
            return reply
        }
        let failure = try #require(throws: Failure.self) { try place.pull("\(server.host)/app:1") }
        #expect(failure.cause?.contains("broke off 3 times") == true, "\(failure)")
        #expect(try place.store.lookUp("\(server.host)/app:1") == nil)
        // What is complete is kept for the next try, and is nobody's: the next removal takes it.
        let next = try ImageIntake(place.store, title: "next")
        withExtendedLifetime(next) {}
    }

    @Test("what a registry can't do now is asked for again, as it says")
    func again() throws {
        let image = image
        let times = Counter()
        let server = try ScriptedServer { request in
            if request.path.contains("/manifests/") {
                switch times.next() {
                case 1: return .status(429, ["Retry-After": "0"])
                // A date that has come.
                case 2: return .status(503, ["Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"])
                default: break
                }
            }
            return image.answer(request)
        }
        #expect(try place.pull("\(server.host)/app:1").isNew)
        #expect(server.requests("/v2/app/manifests/").count == 3)
    }

    @Test(
        "a registry that wants more than a minute of patience gets an error that says so",
        arguments: [
            ("3600", "in 3600 s"), ("Fri, 31 Dec 2049 23:59:59 GMT", "that is what the registry asks for"),
        ])
    func tooMuchPatience(after: String, says: String) throws {
        let server = try ScriptedServer {
            $0.path == "/v2/" ? .status(200) : .status(429, ["Retry-After": after])
        }
        let failure = try #require(throws: Failure.self) { try place.pull("\(server.host)/app:1") }
        #expect(failure.advice?.contains(says) == true, "\(failure)")
        #expect(server.requests("/v2/app/").count == 1)
    }

    @Test(
        "silence and a trickle end in an error, wherever they are",
        arguments: ["/v2/app/manifests/", "/v2/app/blobs/"], [false, true])
    func stall(where path: String, trickles: Bool) throws {
        let image = image
        let server = try ScriptedServer { request in
            request.path.hasPrefix(path)
                ? Reply(manner: trickles ? .trickle : .silent, claimedLength: 60_000) : image.answer(request)
        }
        let access = try place.access(stall: .seconds(1))
        let failure = try #require(throws: Failure.self) { try place.pull("\(server.host)/app:1", access) }
        #expect(failure.cause?.contains("stalled") == true, "\(failure)")
        #expect(try place.leftovers().isEmpty)
    }

    @Test(
        "bytes that are not what their digest says are not used", arguments: ["manifest", "config", "layer"])
    func wrongDigest(which: String) throws {
        let image = image
        let server = try ScriptedServer { request in
            var reply = image.answer(request)
            let isLayer = image.isLayer(request)
            let isConfig = request.path.hasSuffix(Digest(hashing: image.config).description)
            if which == "layer" && isLayer || which == "config" && isConfig
                || which == "manifest" && request.path.contains("/manifests/")
            {
                reply.body[reply.body.count / 2] ^= 1
            }
            return reply
        }
        let failure = try #require(throws: Failure.self) {
            try place.pull("\(server.host)/app@\(image.digest)")
        }
        #expect("\(failure)".contains("sha256:") || "\(failure)".contains("damaged"), "\(failure)")
        #expect(try place.store.list().isEmpty)
    }

    @Test("more bytes than the manifest says are refused when they come, not when the disk is full")
    func endless() throws {
        let image = image
        let server = try ScriptedServer { request in
            image.isLayer(request) ? Reply(manner: .endless) : image.answer(request)
        }
        #expect(throws: Failure.self) { try place.pull("\(server.host)/app:1") }
        let documents = try ScriptedServer { request in
            request.path == "/v2/" ? .status(200) : Reply(manner: .endless, claimedLength: 1 << 30)
        }
        let failure = try #require(throws: Failure.self) { try place.pull("\(documents.host)/app:1") }
        #expect(failure.cause?.contains("larger than the 8388608 bytes") == true, "\(failure)")
    }

    @Test("Docker's schema 2 is taken as it is: its list, its manifest, its digests")
    func schema2() throws {
        let image = try PlayedImage(["one", "two"], docker: true)
        var wanted = Descriptor(
            mediaType: MediaType.dockerManifest, digest: image.digest, size: Int64(image.manifest.count))
        wanted.platform = Platform(architecture: hostArchitecture, os: "linux")
        var list = ImageIndex()
        list.mediaType = MediaType.dockerIndex
        list.manifests = [wanted]
        let bytes = try encodeDocument(list)
        let server = try ScriptedServer { request in
            request.path.hasSuffix("/manifests/1")
                ? Reply(headers: ["Content-Type": MediaType.dockerIndex], body: bytes) : image.answer(request)
        }
        let pulled = try place.pull("\(server.host)/app:1")
        #expect(pulled.digest == Digest(hashing: bytes) && pulled.image.manifest == image.digest)
        #expect(try content(pulled, "file1") == "two")
        let stored = try place.store.manifest(of: pulled.image)
        #expect(stored.bytes == image.manifest && stored.mediaType == MediaType.dockerManifest)
    }

    @Test("three layers come at once, never more")
    func parallel() throws {
        let image = try PlayedImage((0..<6).map { "layer \($0)" })
        let meeting = try Meeting(3)
        let server = try ScriptedServer { request in
            guard (0..<6).contains(where: { image.isLayer(request, $0) }) else {
                return image.answer(request)
            }
            // Each waits until three are here: fewer at once would wait until the pull gives up.
            meeting.meet()
            return image.answer(request)
        }
        #expect(try place.pull("\(server.host)/app:1").isNew)
        #expect(meeting.most == 3)
    }

    @Test("a wait that the registry asks for is kept")
    func retryAfter() throws {
        let image = image
        let times = Mutex<[Int64]>([])
        let server = try ScriptedServer { request in
            guard request.path.contains("/manifests/") else { return image.answer(request) }
            let first = times.withLock {
                $0.append(monotonicNanoseconds())
                return $0.count == 1
            }
            return first ? .status(429, ["Retry-After": "1"]) : image.answer(request)
        }
        #expect(try place.pull("\(server.host)/app:1").isNew)
        let asked = times.withLock { $0 }
        #expect(asked.count >= 2 && asked[1] - asked[0] >= 1_000_000_000)
    }

    @Test("whatever is silent, the error comes within half a minute")
    func patience() throws {
        #expect(RegistrySettings().stall <= .seconds(25))
        // Nobody takes a connection: the listener's queue is full, and the kernel drops what else knocks (listen(2)).
        let listener = linux_socket(AF_INET, 1 | O_CLOEXEC, 0)
        defer { close(listener) }
        var (address, port): (UInt32, UInt16) = (0, 0)
        try #require(
            linux_bind_inet(listener, 0x7f00_0001, 0) == 0 && listen(listener, 0) == 0
                && linux_socket_name_inet(listener, &address, &port) == 0)
        let visitor = linux_socket(AF_INET, 1 | O_CLOEXEC, 0)
        defer { close(visitor) }
        #expect(linux_connect_inet(visitor, 0x7f00_0001, port) == 0)
        let access = try place.access(stall: .seconds(1))
        let failure = try #require(throws: Failure.self) {
            try place.pull("127.0.0.1:\(port)/app:1", access)
        }
        #expect(failure.cause?.contains("127.0.0.1:\(port)") == true, "\(failure)")
    }

    @Test("redirects in circles end")
    func circle() throws {
        let server = try ScriptedServer {
            $0.path == "/v2/" ? .status(200) : .status(307, ["Location": $0.path])
        }
        let failure = try #require(throws: Failure.self) { try place.pull("\(server.host)/app:1") }
        #expect(failure.cause?.contains("circles") == true, "\(failure)")
    }

    @Test("plain HTTP is only for loopback")
    func plain() throws {
        let server = try ScriptedServer {
            $0.path == "/v2/" ? .status(200) : .status(307, ["Location": "http://192.0.2.1/x"])
        }
        let failure = try #require(throws: Failure.self) { try place.pull("\(server.host)/app:1") }
        #expect(failure.cause?.contains("plain HTTP") == true, "\(failure)")
    }

    @Test(
        "a document that lies about itself is refused",
        arguments: [
            (#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#, "at once"),
            (#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (#"{"schemaVersion":2,"mediaType":"application/x-else","layers":[]}"#, "no image"),
            ("[]", "cannot"), ("{", "no JSON"), ("", "no JSON"),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":-1},"layers":[]}"#,
                "-1 bytes"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"DIGEST","size":-5}]}"#,
                "-5 bytes"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"DIGEST","size":99999999999999999999}]}"#,
                "cannot"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"../../etc/passwd","size":5}]}"#,
                "digest"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":2},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"DIGEST","size":5,"urls":["http://192.0.2.1/x"]}]}"#,
                "foreign"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":2},"layers":[{"mediaType":"application/vnd.wasm.v1","digest":"DIGEST","size":5}]}"#,
                "no file system"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":1073741824},"layers":[]}"#,
                "1073741824 bytes; up to 8388608"
            ),
            (
                #"{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"DIGEST","size":9223372036854775807}]}"#,
                "9223372036854775807 bytes"
            ),
            (
                #"{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"DIGEST","size":1,"platform":{"os":"plan9","architecture":"mips"}}]}"#,
                "plan9/mips"
            ),
        ])
    func lies(document: String, says: String) throws {
        let digest = Digest(of: Array("{}".utf8)).description
        let bytes = Array(document.replacingDigest(digest).utf8)
        let server = try ScriptedServer { request in
            request.path.contains("/manifests/") ? Reply(body: bytes) : Reply(body: Array("{}".utf8))
        }
        let failure = try #require(throws: Failure.self) { try place.pull("\(server.host)/app:1") }
        #expect("\(failure)".contains(says), "\(failure)")
        #expect(try place.leftovers().isEmpty)
    }

    @Test("mirrors come first, and one that fails is passed over with a note")
    func mirrors() throws {
        let image = image
        let good = try ScriptedServer { image.answer($0) }
        let bad = try ScriptedServer { $0.path == "/v2/" ? .status(200) : .status(404) }
        let settings = """
            [[registry]]
            prefix = "registry.test"
            [[registry.mirror]]
            location = "\(bad.host)/first"
            [[registry.mirror]]
            location = "\(good.host)/second" # the one that has it
            """
        let pulled = try place.pull("registry.test/app:1", place.access(registries: settings))
        #expect(pulled.notes.count == 1 && pulled.notes[0].contains(bad.host), "\(pulled.notes)")
        #expect(bad.requests("/v2/first/app/manifests/").count == 1)
        #expect(good.requests("/v2/second/app/manifests/").count == 1)
        #expect(try place.store.lookUp("registry.test/app:1") != nil)
    }

    @Test("what two pulls have in common comes once, and a removal beside a pull takes nothing of it")
    func together() throws {
        let image = image
        let server = try ScriptedServer { image.answer($0) }
        _ = try place.pull("\(server.host)/app:1")
        let before = server.requests.filter { image.isLayer($0) }.count
        _ = try place.pull("\(server.host)/other:2")
        #expect(server.requests.filter { image.isLayer($0) }.count == before)
        let intake = try ImageIntake(place.store, title: "a pull under way")
        let layer = Descriptor(
            mediaType: MediaType.layerGzip, digest: Digest(hashing: image.layers[0]),
            size: Int64(image.layers[0].count))
        #expect(try intake.has(layer, image.diffIDs[0]))
        try place.store.remove("\(server.host)/app:1")
        try place.store.remove("\(server.host)/other:2")
        #expect(try intake.has(layer, image.diffIDs[0]))
        #expect(exists("\(place.store.root)/layers/\(image.diffIDs[0].hex)/layer.json"))
        #expect(!exists("\(place.store.root)/layers/\(image.diffIDs[1].hex)"))
    }
}

/// Threads that wait for each other, so many at a time: each reads a byte, and the last to come writes as many.
private final class Meeting: Sendable {
    private let size: Int
    private let here = Mutex<(waiting: Int, most: Int)>((0, 0))
    private let (reader, writer): (SharedFD, SharedFD)

    init(_ size: Int) throws {
        self.size = size
        let pipe = try makePipe()
        (reader, writer) = (SharedFD(try pipe.first.duplicate()), SharedFD(try pipe.second.duplicate()))
    }

    var most: Int { here.withLock { $0.most } }

    func meet() {
        let isLast = here.withLock { here in
            here.waiting += 1
            here.most = max(here.most, here.waiting)
            if here.waiting == size { here.waiting = 0 }
            return here.waiting == 0
        }
        if isLast { try? writeAll(writer.raw, [UInt8](repeating: 0, count: size)) }
        var byte: UInt8 = 0
        _ = try? retrying("read") { read(reader.raw, &byte, 1) }
    }
}

extension String {
    fileprivate func replacingDigest(_ digest: String) -> String {
        split(separator: "DIGEST", omittingEmptySubsequences: false).joined(separator: digest)
    }
}
