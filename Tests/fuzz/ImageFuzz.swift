// SPDX-License-Identifier: Apache-2.0
//
// The entry libFuzzer calls: the first byte chooses what the others are: an image's documents, a compressed stream, or a
// layer, which is unpacked into a directory of its own, held against it again, and must have touched nothing beside it.
// COVEY_FUZZ holds it to one of these families. `Tests/fuzz/images` builds and runs this.

import Archives
import Basics
import CLinux
import Kernel
import OCIFormats

/// `in` is made anew for each layer; `out` must stay as it is.
private let ground: String = {
    let path = "/dev/shm/covey-fuzz-\(getpid())"
    do {
        try ensureDirectory("\(path)/out")
        try writeFile("\(path)/out/kept", "kept".utf8)
    } catch { fatalError("\(error)") }
    return path
}()

/// The first byte's values: documents are below 5, a stream is 5, a layer 6.
private let family: ClosedRange<UInt8> =
    switch getenv("COVEY_FUZZ").map({ String(cString: $0) }) {
    case "documents": 0...4
    case "streams": 5...5
    case "layers": 6...6
    default: 0...6
    }

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let rest = Array(input.dropFirst())
    switch family.lowerBound + (input.first ?? 0) % UInt8(family.count) {
    case 0: document(ImageManifest.self, rest)
    case 1: document(ImageIndex.self, rest)
    case 2: document(ImageConfig.self, rest)
    case 3: document([DockerArchiveImage].self, rest)
    case 4: document(ImageLayout.self, rest)
    case 5:
        // Whatever it is compressed with; what is wrong is told, in bounded memory.
        if let stream = try? Decompressed(MemorySource(rest)) {
            _ = try? stream.readAll(limit: 1 << 20, as: "x")
        }
    default: layer(rest)
    }
    return 0
}

/// What is read can be written, and reads the same again.
private func document<Document: Codable & Equatable>(_ type: Document.Type, _ bytes: [UInt8]) {
    do throws(Failure) {
        let value = try decodeDocument(type, bytes, title: "it")
        let again = try decodeDocument(type, try encodeDocument(value), title: "what was written")
        precondition(again == value)
    } catch {
        precondition(!error.description.isEmpty && !error.doing.contains("what was written"))
    }
}

private func layer(_ bytes: [UInt8]) {
    do {
        try ensureDirectory("\(ground)/in")
        let top = try openFile("\(ground)/in", flags: O_RDONLY | O_DIRECTORY)
        do throws(ArchiveError) {
            _ = try unpackLayer(TarReader(MemorySource(bytes)), into: top.raw, mostEntries: 200)
            _ = try firstDifference(between: TarReader(MemorySource(bytes)), and: top.raw)
        } catch {
            precondition(!error.cause.isEmpty)
        }
        let parent = try openFile(ground, flags: O_RDONLY | O_DIRECTORY)
        try removeEntry("in".cName, at: parent.raw)
        let (names, inner) = (try directoryEntries(ground), try directoryEntries("\(ground)/out"))
        let (kept, text) = (try fileStatus("\(ground)/out/kept"), try readText("\(ground)/out/kept"))
        precondition(names == ["out"] && inner == ["kept"])
        precondition(text == "kept" && kept.st_nlink == 1)
        precondition(kept.st_mode & 0o7777 == 0o644 && kept.st_uid == 0)
    } catch {
        fatalError("\(error)")
    }
}
