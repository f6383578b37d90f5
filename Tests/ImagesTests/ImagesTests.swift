// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import ContainerModel
import Images
import Kernel
import OCIFormats
import CLinux
import Synchronization
import Testing

/// A directory of the test's own with a store in it, removed at the end.
final class Playground {
    let path: String
    let store: ImageStore
    private static let counter = SharedCounter()

    init() throws {
        path = "/var/tmp/covey-images-\(getpid())-\(Playground.counter.next())"
        try ensureDirectory(path)
        store = ImageStore(root: "\(path)/root")
    }

    deinit {
        let name = String(path.split(separator: "/").last ?? "")
        if let parent = try? openFile("/var/tmp", flags: O_RDONLY | O_DIRECTORY) {
            try? removeEntry(name.cName, at: parent.raw)
        }
    }

    /// An image of one layer, in which one file says the text.
    func image(
        _ name: String, _ text: String, gzip: Bool = false, in other: ImageStore? = nil
    ) throws -> StoredImage {
        let tar = try tar("\(Digest(of: text.utf8).hex).tar", gzip: gzip, [(file("text"), text)])
        return try (other ?? store).importImage(.tar(path: tar), as: name)
    }

    /// Writes a tar of entries; bodies by text.
    func tar(_ name: String, gzip: Bool = false, _ entries: [(TarEntry, String)]) throws -> String {
        let file = SharedFD(try openFile("\(path)/\(name)", flags: O_RDWR | O_CREAT | O_TRUNC))
        let sink = FileSink(file, name: name)
        let writer = TarWriter(gzip ? try GzipSink(sink) : sink)
        for (entry, body) in entries { try writer.add(entry, body: Array(body.utf8)) }
        try writer.finish()
        return "\(path)/\(name)"
    }

    /// Runs a program and gives its output; used to look at the store from outside.
    @discardableResult
    func run(_ arguments: String...) throws -> (status: Int32, output: String) {
        let command = arguments.map { "'\($0)'" }.joined(separator: " ")
        guard let pipe = popen("\(command) 2>&1", "r") else { return (-1, "") }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { break }
            output += buffer[..<count]
        }
        return (pclose(pipe), String(decoding: output, as: UTF8.self))
    }
}

final class SharedCounter: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}

func file(_ path: String, mode: UInt32 = 0o644) -> TarEntry { TarEntry(.file, path, mode: mode) }
func folder(_ path: String, mode: UInt32 = 0o755) -> TarEntry { TarEntry(.directory, path, mode: mode) }
func link(_ path: String, _ target: String, _ kind: TarEntry.Kind = .symlink) -> TarEntry {
    var entry = TarEntry(kind, path, mode: 0o777)
    entry.link = Array(target.utf8)
    return entry
}

@Suite("the image store")
struct ImagesTests {
    @Test("a root file system's tar is imported, found under every spelling of its name, and removed whole")
    func tarRoundTrip() throws {
        let ground = try Playground()
        let tar = try ground.tar(
            "root.tar", gzip: true, [(folder("bin"), ""), (file("bin/hello", mode: 0o4755), "hello\n")])
        let image = try ground.store.importImage(.tar(path: tar), as: "hello")
        #expect(image.facts.layers.count == 1)
        for name in ["hello", "hello:latest", "docker.io/library/hello", "docker.io/library/hello:latest"] {
            let found = try #require(try ground.store.lookUp(name))
            #expect(found.facts.id == image.facts.id)
            #expect(found.facts.layers == image.facts.layers)
            #expect(found.facts.reference == name)
        }
        let status = try fileStatus("\(image.facts.layers[0])/bin/hello")
        #expect(status.st_mode & 0o7777 == 0o4755)
        #expect(try readText("\(image.facts.layers[0])/bin/hello") == "hello\n")
        #expect(try ground.store.list().map(\.name) == ["hello:latest"])
        try ground.store.remove("hello")
        #expect(try ground.store.list().isEmpty)
        #expect(try directoryEntries("\(ground.path)/root/layers") == [".tmp"])
        #expect(try directoryEntries("\(ground.path)/root/images/blobs/sha256") == [])
    }
}
