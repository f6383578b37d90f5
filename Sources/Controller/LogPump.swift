// SPDX-License-Identifier: Apache-2.0
//
// LogPump: one output stream of a container, from its FIFO into segment files.
//
// Bytes go by splice(2): what left the pipe is in the file, whatever happens to this process in between (read and write
// lose what was read). A side index holds 16-byte records {offset in the segment, nanoseconds since 1970}, one for each
// moment bytes arrived, so a line's time is its chunk's. JSON is made when read, not when written.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

/// Bytes of one segment, and how many are kept: a stream holds at most 64 MiB.
struct LogBounds {
    var segmentSize: Int64 = 16 << 20
    /// 0: what comes is read and dropped.
    var segmentsKept = 4
}

final class LogPump {
    private let source: SharedFD
    private let directory: String
    let stream: String
    private var number = 0
    private var file: SharedFD?
    private var index: SharedFD?
    private var offset: Int64 = 0
    /// A terminal's master can't be spliced everywhere, and what a person types is little: it is read and written.
    private let isTerminal: Bool
    private let bounds: LogBounds
    /// Takes what came as well, once it is in the file.
    var tap: ((UnsafeRawBufferPointer) -> Void)?

    /// - Parameter source: the FIFO's reading end or the terminal's master, non-blocking.
    init(
        source: SharedFD, directory: String, stream: String, isTerminal: Bool = false,
        bounds: LogBounds = LogBounds()
    ) throws(SyscallError) {
        self.source = source
        self.directory = directory
        self.stream = stream
        self.isTerminal = isTerminal
        self.bounds = bounds
        let names = try directoryEntries(directory)
        number =
            names.compactMap { $0.hasPrefix(stream + ".") ? Int($0.dropFirst(stream.count + 1)) : nil }.max()
            ?? 0
    }

    var descriptor: Int32 { source.raw }

    /// Moves what is there, at most so many pieces of up to 1 MiB: one that never stops writing must not keep the loop
    /// from everything else. False when the stream has ended (only a terminal's does).
    func pump(pieces: Int = 4) throws(SyscallError) -> Bool {
        if bounds.segmentsKept == 0 { return try drop(pieces) }
        // A small segment makes small pieces; as much is moved all the same.
        let smaller = isTerminal ? 1 : max(1, (1 << 20) / Int(bounds.segmentSize))
        for _ in 0..<(pieces * smaller) {
            try openSegment()
            guard let file else { return false }
            var moved = 0
            do throws(SyscallError) {
                moved = isTerminal ? try copyOnce(to: file.raw) : try spliceOnce(to: file.raw)
            } catch {
                if error.errno == .again { return true }
                // EIO: the last slave was closed.
                if isTerminal { return false }
                throw error
            }
            if moved == 0 { return !isTerminal }
            try note(at: offset)
            if let tap { try readAt(file.raw, offset: offset, count: moved).withUnsafeBytes { tap($0) } }
            offset += Int64(moved)
            if offset >= bounds.segmentSize { try rotate() }
        }
        return true
    }

    /// Nothing is kept, yet the container must never wait for a reader.
    private func drop(_ pieces: Int) throws(SyscallError) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let source = source.raw
        for _ in 0..<(pieces * 16) {
            do throws(SyscallError) {
                let count = try retrying("read", stream) {
                    buffer.withUnsafeMutableBytes { read(source, $0.baseAddress, $0.count) }
                }
                if count == 0 { return !isTerminal }
                buffer[..<count].withUnsafeBytes { tap?($0) }
            } catch {
                if error.errno == .again { return true }
                if isTerminal { return false }
                throw error
            }
        }
        return true
    }

    private func spliceOnce(to file: Int32) throws(SyscallError) -> Int {
        var at = Int64(offset)
        let source = source.raw
        let room = Int(min(max(bounds.segmentSize - offset, 1), 1 << 20))
        return try retrying("splice", stream) { linux_splice(source, nil, file, &at, room, 0x02) }
    }

    private func copyOnce(to file: Int32) throws(SyscallError) -> Int {
        var buffer = [UInt8](repeating: 0, count: 16384)
        let source = source.raw
        let count = try retrying("read", stream) {
            buffer.withUnsafeMutableBytes { read(source, $0.baseAddress, $0.count) }
        }
        var done = 0
        while done < count {
            done += try retrying("pwrite", stream) {
                buffer.withUnsafeBytes {
                    pwrite(file, $0.baseAddress?.advanced(by: done), count - done, off_t(offset) + done)
                }
            }
        }
        return count
    }

    private func openSegment() throws(SyscallError) {
        if file != nil { return }
        let path = "\(directory)/\(stream).\(number)"
        // Not O_APPEND: splice(2) refuses such a file.
        let opened = SharedFD(try openFile(path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600))
        offset = Int64(try fileStatus(of: opened.raw).st_size)
        let entries = SharedFD(
            try openFile(path + ".idx", flags: O_RDWR | O_CREAT | O_NOFOLLOW | O_APPEND, mode: 0o600))
        file = opened
        index = entries
        // Bytes whose moment a controller before us could not write down any more.
        let size = Int64(try fileStatus(of: entries.raw).st_size)
        var last: [UInt8] = []
        if size >= 16 { last = try readAt(entries.raw, offset: size / 16 * 16 - 16, count: 16) }
        if size % 16 != 0 { try retrying("ftruncate") { ftruncate(entries.raw, off_t(size / 16 * 16)) } }
        if offset > 0, last.isEmpty { try note(at: 0) }
    }

    private func readAt(_ fd: Int32, offset: Int64, count: Int) throws(SyscallError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        let got = try retrying("pread") {
            buffer.withUnsafeMutableBytes { pread(fd, $0.baseAddress, $0.count, off_t(offset)) }
        }
        return Array(buffer[..<got])
    }

    private func note(at offset: Int64) throws(SyscallError) {
        guard let index else { return }
        var entry: [UInt8] = []
        for value in [offset, realtimeNanoseconds()] {
            withUnsafeBytes(of: value.littleEndian) { entry += $0 }
        }
        try writeAll(index.raw, entry)
    }

    private func rotate() throws(SyscallError) {
        file = nil
        index = nil
        number += 1
        if number >= bounds.segmentsKept {
            try removeFile("\(directory)/\(stream).\(number - bounds.segmentsKept)")
            try removeFile("\(directory)/\(stream).\(number - bounds.segmentsKept).idx")
        }
    }
}

extension LogBounds {
    /// One file alone would be emptied whenever it is full: it is two of half its size.
    init(_ logging: RareSettings.Logging?) {
        guard let logging else { return }
        if let size = logging.fileSize { segmentSize = size }
        if let files = logging.files { segmentsKept = files }
        if segmentsKept == 1 {
            segmentSize = max(segmentSize / 2, 1)
            segmentsKept = 2
        }
    }
}
