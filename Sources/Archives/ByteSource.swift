// SPDX-License-Identifier: Apache-2.0
//
// Streams of bytes that are pulled, a chunk at a time. A chunk belongs to its source and is valid until the next
// call, so bytes travel from the file to the unpacked file without a copy.

internal import CLinux
public import Kernel

/// A stream of bytes.
public protocol ByteSource: AnyObject {
    /// The next bytes, valid until the next call; empty at the end.
    func next() throws(ArchiveError) -> UnsafeRawBufferPointer
    /// Passes over `count` bytes and gives what is left of the last chunk read for it.
    func skip(_ count: Int64) throws(ArchiveError) -> UnsafeRawBufferPointer
}

extension ByteSource {
    public func skip(_ count: Int64) throws(ArchiveError) -> UnsafeRawBufferPointer {
        try readPast(count, of: "the archive")
    }

    fileprivate func readPast(_ count: Int64, of name: String) throws(ArchiveError) -> UnsafeRawBufferPointer
    {
        var left = count
        while left > 0 {
            let chunk = try next()
            if chunk.isEmpty { throw .damaged("\(name) ends in the middle of an entry") }
            if Int64(chunk.count) > left { return UnsafeRawBufferPointer(rebasing: chunk[Int(left)...]) }
            left -= Int64(chunk.count)
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Reads to the end, for the sake of those that listen on the way.
    public func drain() throws(ArchiveError) {
        while !(try next()).isEmpty {}
    }

    /// All bytes; more than `limit` is an error.
    public func readAll(limit: Int, as name: String) throws(ArchiveError) -> [UInt8] {
        var result: [UInt8] = []
        while true {
            let chunk = try next()
            if chunk.isEmpty { return result }
            if result.count + chunk.count > limit {
                throw .refused(path: name, why: "is larger than the \(limit) bytes allowed for it")
            }
            result += chunk
        }
    }
}

/// A part of a regular file, or all of a pipe. Reads of a part use pread(2), so several parts may be read in turn.
public final class FileSource: ByteSource {
    private let fd: SharedFD
    private let name: String
    private var offset: Int64?
    private var end: Int64
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)

    /// The `length` bytes at `offset`. - name: for messages.
    public init(_ fd: SharedFD, offset: Int64, length: Int64, name: String) {
        self.fd = fd
        self.name = name
        self.offset = offset
        end = offset + length
    }

    /// From where the descriptor stands to its end.
    public init(_ fd: SharedFD, name: String) {
        self.fd = fd
        self.name = name
        end = .max
    }

    deinit { buffer.deallocate() }

    public func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        var filled = 0
        while filled < buffer.count {
            let room = Int(min(Int64(buffer.count - filled), end - (offset ?? 0)))
            if room == 0 { break }
            let start = buffer.baseAddress?.advanced(by: filled)
            let count = try system { () throws(SyscallError) in
                try retrying("read", name) {
                    offset.map { pread(fd.raw, start, room, Int($0)) } ?? read(fd.raw, start, room)
                }
            }
            if count == 0 {
                if offset != nil {
                    throw .damaged("\(name) ends at \(offset ?? 0) bytes, where \(end) were expected")
                }
                break
            }
            filled += count
            if let position = offset { offset = position + Int64(count) }
        }
        return UnsafeRawBufferPointer(rebasing: buffer[..<filled])
    }

    public func skip(_ count: Int64) throws(ArchiveError) -> UnsafeRawBufferPointer {
        if let position = offset {
            if count > end - position { throw .damaged("\(name) ends in the middle of an entry") }
            offset = position + count
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return try readPast(count, of: name)
    }
}

/// Bytes at hand as a stream.
public final class MemorySource: ByteSource {
    private var bytes: UnsafeMutableRawBufferPointer
    private var given = false

    public init(_ bytes: [UInt8]) {
        self.bytes = .allocate(byteCount: bytes.count, alignment: 1)
        self.bytes.copyBytes(from: bytes)
    }

    deinit { bytes.deallocate() }

    public func next() -> UnsafeRawBufferPointer {
        defer { given = true }
        return given ? UnsafeRawBufferPointer(start: nil, count: 0) : UnsafeRawBufferPointer(bytes)
    }
}

/// Passes a stream on, counts its bytes and, where wanted, takes their digest and keeps a copy in a file.
public final class Tee: ByteSource {
    private let source: any ByteSource
    private let hash: ContentHash?
    private let copy: Int32?
    private var early: EarlyWriting?
    /// Bytes that came by.
    public private(set) var count: Int64 = 0

    /// - copy: a descriptor that outlives the stream.
    public init(_ source: any ByteSource, hash: ContentHash? = nil, copy: Int32? = nil) {
        self.source = source
        self.hash = hash
        self.copy = copy
        early = copy.map { EarlyWriting($0) }
    }

    public func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        let chunk = try source.next()
        if chunk.isEmpty {
            early?.finish()
            return chunk
        }
        hash?.update(chunk)
        count += Int64(chunk.count)
        if let copy { try writeBytes(copy, chunk, path: "a blob") }
        early?.wrote(chunk.count)
        return chunk
    }
}

/// write(2) until all is written; a full disk is told with `path` and `size` (default: these bytes).
func writeBytes(
    _ fd: Int32, _ bytes: UnsafeRawBufferPointer, path: @autoclosure () -> String, size: Int64? = nil
)
    throws(ArchiveError)
{
    var done = 0
    while done < bytes.count {
        let count = write(fd, bytes.baseAddress?.advanced(by: done), bytes.count - done)
        if count >= 0 {
            done += count
        } else if linux_errno() != EINTR {
            throw .writing(
                SyscallError("write", Errno(linux_errno()), path()), path(), size ?? Int64(bytes.count))
        }
    }
}

extension ArchiveError {
    /// The error of a call that makes or fills a file; a full disk or quota is its own case.
    static func writing(_ error: SyscallError, _ path: String, _ bytes: Int64) -> ArchiveError {
        error.errno.code == ENOSPC || error.errno.code == EDQUOT
            ? .noSpace(path: path, bytes: bytes) : .system(error)
    }
}
