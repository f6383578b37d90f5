// SPDX-License-Identifier: Apache-2.0
//
// Compressed streams by their magic numbers, never by a name or a media type: both lie. gzip (RFC 1952) is read here; zstd (RFC 8878),
// and xz and bzip2, which no registry serves and Docker reads archives of, by StreamLibrary.swift.

internal import CLibraries

/// How a stream is compressed.
public enum Compression: String, Sendable {
    case plain, gzip, zstd, xz, bzip2
}

/// Decompresses a stream of whichever kind it is.
public final class Decompressed: ByteSource {
    /// What the first bytes said.
    public let compression: Compression
    private let inner: any ByteSource

    /// - chunk: bytes decompressed at a time; what is damaged behind them is not met before they are given.
    /// - mostWindow: bytes that a stream may look back; one that asks for more is refused.
    public init(
        _ source: any ByteSource, chunk: Int = 256 << 10, mostWindow: Int64 = LayerLimits.usualWindow
    ) throws(ArchiveError) {
        let replay = try Replay(source, atLeast: 6)
        let first = replay.first
        if first.starts(with: [0x1f, 0x8b]) {
            compression = .gzip
            inner = try GzipSource(replay, chunk)
        } else if first.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) {
            compression = .zstd
            inner = try LibrarySource(.zstd, replay, chunk, mostWindow: mostWindow)
        } else if first.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) {
            compression = .xz
            inner = try LibrarySource(.xz, replay, chunk, mostWindow: mostWindow)
        } else if first.starts(with: Array("BZh".utf8)) {
            compression = .bzip2
            inner = try LibrarySource(.bzip2, replay, chunk, mostWindow: mostWindow)
        } else {
            compression = .plain
            inner = replay
        }
    }

    public func next() throws(ArchiveError) -> UnsafeRawBufferPointer { try inner.next() }
}

/// Looks at a stream's first bytes and gives them once more, then the rest. A source may be as short with its chunks as it
/// likes: a registry's first packet can be one byte.
private final class Replay: ByteSource {
    /// The stream's beginning, at least as long as was asked for unless the stream is shorter.
    let first: [UInt8]
    /// Chunks that were too short, as one.
    private let held: UnsafeMutableRawBufferPointer
    private var gaveHeld: Bool
    /// The chunk after those; its source keeps it until the next is asked for.
    private var chunk: UnsafeRawBufferPointer?
    private let source: any ByteSource

    init(_ source: any ByteSource, atLeast wanted: Int) throws(ArchiveError) {
        var short: [UInt8] = []
        var chunk = try source.next()
        while !chunk.isEmpty, short.count + chunk.count < wanted {
            short += chunk
            chunk = try source.next()
        }
        first = short + chunk.prefix(wanted)
        held = .allocate(byteCount: short.count, alignment: 1)
        held.copyBytes(from: short)
        gaveHeld = short.isEmpty
        self.chunk = chunk
        self.source = source
    }

    deinit { held.deallocate() }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        if !gaveHeld {
            gaveHeld = true
            return UnsafeRawBufferPointer(held)
        }
        if let chunk {
            self.chunk = nil
            return chunk
        }
        return try source.next()
    }
}

private final class GzipSource: ByteSource {
    private let source: any ByteSource
    private let stream: UnsafeMutablePointer<library_z_stream>
    private let output: UnsafeMutableRawBufferPointer
    private var inMember = true
    private var ended = false

    init(_ source: any ByteSource, _ chunk: Int) throws(ArchiveError) {
        self.source = source
        output = .allocate(byteCount: chunk, alignment: 64)
        stream = .allocate(capacity: 1)
        stream.initialize(to: library_z_stream())
        if let missing = library_zlib_open() {
            throw .missingLibrary(name: String(cString: missing), package: "zlib1g")
        }
        guard library_inflate_begin(stream) == Int32(library_z_ok) else {
            throw .damaged("zlib refused to start: out of memory")
        }
    }

    deinit {
        if stream.pointee.state != nil { library_inflate_end(stream) }
        stream.deallocate()
        output.deallocate()
    }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(output.count)
        while stream.pointee.avail_out > 0, !ended {
            if stream.pointee.avail_in == 0 {
                let chunk = try source.next()
                if chunk.isEmpty {
                    if inMember {
                        throw .damaged(
                            "the gzip stream is truncated: it ends after \(stream.pointee.total_in) bytes, before its checksum"
                        )
                    }
                    ended = true
                    break
                }
                stream.pointee.next_in = chunk.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_in = UInt32(chunk.count)
            }
            if !inMember { try betweenMembers() }
            guard stream.pointee.avail_in > 0 else { continue }
            switch library_inflate(stream) {
            case Int32(library_z_ok), Int32(library_z_buffer_error): break
            case Int32(library_z_stream_end): inMember = false
            default:
                let reason = stream.pointee.msg.map { String(cString: $0) } ?? "invalid data"
                throw .damaged("the gzip stream is damaged after \(stream.pointee.total_in) bytes: \(reason)")
            }
        }
        return UnsafeRawBufferPointer(rebasing: output[..<(output.count - Int(stream.pointee.avail_out))])
    }

    /// After a member: zeros are padding (gzip(1) ignores them too), another member goes on, anything else is not ours.
    private func betweenMembers() throws(ArchiveError) {
        while stream.pointee.avail_in > 0, stream.pointee.next_in.pointee == 0 {
            stream.pointee.next_in += 1
            stream.pointee.avail_in -= 1
        }
        guard stream.pointee.avail_in > 0 else { return }
        guard stream.pointee.next_in.pointee == 0x1f else {
            throw .damaged("garbage follows the gzip stream's end")
        }
        let (position, count) = (stream.pointee.next_in, stream.pointee.avail_in)
        library_inflate_reset(stream)
        stream.pointee.next_in = position
        stream.pointee.avail_in = count
        inMember = true
    }
}
