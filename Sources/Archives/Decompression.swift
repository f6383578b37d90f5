// SPDX-License-Identifier: Apache-2.0
//
// gzip (RFC 1952) and zstd (RFC 8878) by their magic numbers, never by a name or a media type: both lie. xz and bzip2,
// which no registry serves, are told here and read by RareCompression.swift.

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
    /// - memory: what all streams of the process together may have for their windows; waits for its share.
    public init(
        _ source: any ByteSource, chunk: Int = 256 << 10, memory: Int64 = LayerLimits.usualMemory
    ) throws(ArchiveError) {
        let first = try source.next()
        let replay = Replay(first, source)
        if first.starts(with: [0x1f, 0x8b]) {
            compression = .gzip
            inner = try GzipSource(replay, chunk)
        } else if first.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) {
            compression = .zstd
            let share = try StreamMemory("zstd", zstdWindow(first), most: memory)
            inner = try ZstdSource(replay, chunk, share, most: memory)
        } else if first.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) {
            compression = .xz
            inner = try RareSource(.xz, replay, chunk, memory: LayerLimits.xzMemory(memory))
        } else if first.starts(with: Array("BZh".utf8)) {
            compression = .bzip2
            inner = try RareSource(.bzip2, replay, chunk, memory: memory)
        } else {
            compression = .plain
            inner = replay
        }
    }

    public func next() throws(ArchiveError) -> UnsafeRawBufferPointer { try inner.next() }
}

/// Gives the chunk that was already read once more, then the rest.
private final class Replay: ByteSource {
    private var first: UnsafeRawBufferPointer?
    private let source: any ByteSource

    init(_ first: UnsafeRawBufferPointer, _ source: any ByteSource) {
        self.first = first
        self.source = source
    }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        if let chunk = first {
            first = nil
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

private final class ZstdSource: ByteSource {
    private let source: any ByteSource
    private let context: UnsafeMutableRawPointer
    private let memory: StreamMemory
    private let most: Int64
    private let output: UnsafeMutableRawBufferPointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var position = 0
    private var hint = 1
    private var outputWasFull = false

    /// - memory: what its first frame asks for. Later ones may have all that is allowed: layers that can be read in parts
    ///   begin with small frames.
    init(_ source: any ByteSource, _ chunk: Int, _ memory: StreamMemory, most: Int64) throws(ArchiveError) {
        self.source = source
        self.memory = memory
        self.most = most
        output = .allocate(byteCount: chunk, alignment: 64)
        if let missing = library_zstd_open() {
            throw .missingLibrary(name: String(cString: missing), package: "libzstd1")
        }
        // The next power of two, from zstd's least to its most (zstd.h, ZSTD_WINDOWLOG_MIN and _MAX_64).
        let log = Int64.bitWidth - (max(most, 2) - 1).leadingZeroBitCount
        guard let context = library_zstd_begin(Int32(min(max(log, 10), 31))) else {
            throw .damaged("zstd refused to start: out of memory")
        }
        self.context = context
    }

    deinit {
        library_zstd_end(context)
        output.deallocate()
    }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        var filled = 0
        while filled < output.count {
            // With the output full, zstd may hold more without needing input (zstd.h, ZSTD_decompressStream).
            if position == input.count, !outputWasFull {
                input = try source.next()
                position = 0
                if input.isEmpty {
                    if hint != 0 { throw .damaged("the zstd stream is truncated") }
                    break
                }
            }
            var greedy: Int32 = 0
            if let error = library_zstd_step(
                context, output.baseAddress, output.count, &filled, input.baseAddress, input.count, &position,
                &hint, &greedy)
            {
                if greedy != 0 { throw .greedy(StreamMemory.refusal("zstd", nil, most: most)) }
                throw .damaged("the zstd stream is damaged: \(String(cString: error))")
            }
            outputWasFull = filled == output.count && hint != 0
        }
        return UnsafeRawBufferPointer(rebasing: output[..<filled])
    }
}
