// SPDX-License-Identifier: Apache-2.0

internal import CLibraries
internal import CLinux
public import Basics
public import Kernel

/// A stream that bytes are pushed into.
public protocol ByteSink: AnyObject {
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError)
    /// Hands on what is still held; nothing may be written afterwards.
    func finish() throws(ArchiveError)
}

extension ByteSource {
    /// Hands all bytes on to a sink, which is finished then.
    public func copy(to sink: some ByteSink) throws(ArchiveError) {
        while true {
            let chunk = try next()
            if chunk.isEmpty { break }
            try sink.write(chunk)
        }
        try sink.finish()
    }
}

/// Into a file, its digest taken on the way.
public final class FileSink: ByteSink {
    private let fd: SharedFD
    private let name: String
    private let hash = ContentHash()
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    private var held = 0
    private var early: EarlyWriting?
    /// Bytes written.
    public private(set) var count: Int64 = 0

    /// - name: for messages.
    /// - isSynchronised: the caller waits for the disk at the end, so that the file had better be on its way.
    public init(_ fd: SharedFD, name: String, isSynchronised: Bool = false) {
        self.fd = fd
        self.name = name
        early = isSynchronised ? EarlyWriting(fd.raw) : nil
    }

    deinit { buffer.deallocate() }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        count += Int64(bytes.count)
        if held + bytes.count > buffer.count { try flush() }
        if bytes.count >= buffer.count { return try out(bytes) }
        UnsafeMutableRawBufferPointer(rebasing: buffer[held...]).copyMemory(from: bytes)
        held += bytes.count
    }

    public func finish() throws(ArchiveError) {
        try flush()
        early?.finish()
    }

    /// The digest of all that was written, once, after `finish`.
    public func digest() -> Digest { hash.finish() }

    private func flush() throws(ArchiveError) {
        try out(UnsafeRawBufferPointer(rebasing: buffer[..<held]))
        held = 0
    }

    private func out(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        hash.update(bytes)
        try writeBytes(fd.raw, bytes, path: name)
        early?.wrote(bytes.count)
    }
}

/// Compresses into another sink as one gzip member (RFC 1952), without name or time, so that equal bytes give equal bytes.
public final class GzipSink: ByteSink {
    private let sink: any ByteSink
    private let stream: UnsafeMutablePointer<library_z_stream>
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 64)

    /// - level: 1 (fast) to 9 (small).
    public init(_ sink: any ByteSink, level: Int32 = 6) throws(ArchiveError) {
        self.sink = sink
        stream = .allocate(capacity: 1)
        stream.initialize(to: library_z_stream())
        if let missing = library_zlib_open() {
            throw .missingLibrary(name: String(cString: missing), package: "zlib1g")
        }
        guard library_deflate_begin(stream, level) == Int32(library_z_ok) else {
            throw .damaged("zlib refused to start: out of memory")
        }
    }

    deinit {
        if stream.pointee.state != nil { library_deflate_end(stream) }
        stream.deallocate()
        output.deallocate()
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        var rest = bytes
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            stream.pointee.next_in = part.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_in = UInt32(part.count)
            while stream.pointee.avail_in > 0 { _ = try step(finish: false) }
            rest = UnsafeRawBufferPointer(rebasing: rest[part.count...])
        }
    }

    public func finish() throws(ArchiveError) {
        while !(try step(finish: true)) {}
        try sink.finish()
    }

    /// True when the stream has ended.
    private func step(finish: Bool) throws(ArchiveError) -> Bool {
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(output.count)
        let result = library_deflate(stream, finish ? 1 : 0)
        let produced = output.count - Int(stream.pointee.avail_out)
        try sink.write(UnsafeRawBufferPointer(rebasing: output[..<produced]))
        return result == Int32(library_z_stream_end)
    }
}
