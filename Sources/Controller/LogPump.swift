// SPDX-License-Identifier: Apache-2.0
//
// LogPump: one output stream of a container, from its FIFO into segment files.
//
// Bytes go by splice(2): what left the pipe is in the file, whatever happens to this process in between (read and write
// lose what was read). A side index holds 16-byte records {offset in the segment, nanoseconds since 1970}, one for each
// moment bytes arrived, so a line's time is its chunk's. A record is written before its bytes: whoever reads a log finds
// no byte whose time is still to come. JSON is made when read, not when written.
//
// What can't be written, because the disk is full or the directory gone, is dropped and counted: a program must not wait
// for somebody to free space.

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
    /// Somebody has written to this log before us.
    private let goesOn: Bool
    /// Takes what came as well, once it is in the file.
    var tap: ((UnsafeRawBufferPointer) -> Void)?
    /// Bytes dropped since the last that could be written; nil when the last could.
    private var dropped: Int64?
    /// Told when dropping begins, with the reason, and when it ends, with how much was lost.
    var onLoss: ((Loss) -> Void)?

    enum Loss {
        case began(SyscallError)
        case ended(bytes: Int64)
    }

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
        let last = names.compactMap {
            $0.hasPrefix(stream + ".") ? Int($0.dropFirst(stream.count + 1)) : nil
        }.max()
        number = last ?? 0
        goesOn = last != nil
    }

    var descriptor: Int32 { source.raw }

    /// Moves what is there, at most so many pieces of up to 1 MiB: one that never stops writing must not keep the loop
    /// from everything else. False when the stream has ended (only a terminal's does).
    func pump(pieces: Int = 4) throws(SyscallError) -> Bool {
        if bounds.segmentsKept == 0 { return try drop(pieces) }
        // A small segment makes small pieces; as much is moved all the same.
        let smaller = isTerminal ? 1 : max(1, (1 << 20) / Int(bounds.segmentSize))
        for _ in 0..<(pieces * smaller) {
            let moved: Int
            do throws(SyscallError) {
                try openSegment()
                guard let file else { return false }
                moved = isTerminal ? try copyOnce(to: file.raw) : try spliceOnce(to: file.raw)
            } catch {
                if error.errno == .again { return true }
                // EIO: the last slave was closed.
                if isTerminal, error.call == "read" { return false }
                if dropped == nil { onLoss?(.began(error)) }
                dropped = (dropped ?? 0) + (try loseWaiting())
                continue
            }
            if moved == 0 { return !isTerminal }
            if let lost = dropped {
                note(at: offset)
                onLoss?(.ended(bytes: lost))
            }
            dropped = nil
            if let tap, let file {
                try readAt(file.raw, offset: offset, count: moved).withUnsafeBytes { tap($0) }
            }
            offset += Int64(moved)
            if offset >= bounds.segmentSize { try rotate() }
        }
        return true
    }

    /// Gives the last line a line feed where the program that wrote it ended without: what the next run writes is another
    /// line. For want of room it stays as it is, and the next start tries again.
    func endLine() {
        guard bounds.segmentsKept > 0, goesOn || file != nil else { return }
        do throws(SyscallError) {
            try openSegment()
            guard let file, try lastByte() ?? 10 != 10 else { return }
            let (raw, end) = (file.raw, off_t(offset))
            // Without a record of its own: it came with what it ends.
            try retrying("pwrite", stream) { pwrite(raw, "\n", 1, end) }
            offset += 1
            if offset >= bounds.segmentSize { try rotate() }
        } catch {
            (file, index) = (nil, nil)
        }
    }

    /// The last that was written; nil when nothing was, or it was rotated away.
    private func lastByte() throws(SyscallError) -> UInt8? {
        if offset > 0, let file { return try readAt(file.raw, offset: offset - 1, count: 1).first }
        guard number > 0 else { return nil }
        do throws(SyscallError) {
            let before = try openFile("\(directory)/\(stream).\(number - 1)", flags: O_RDONLY | O_NOFOLLOW)
            let size = Int64(try fileStatus(of: before.raw).st_size)
            return size > 0 ? try readAt(before.raw, offset: size - 1, count: 1).first : nil
        } catch {
            if error.errno == .noEntry { return nil }
            throw error
        }
    }

    /// Reads what waits, up to 1 MiB, and forgets it; how much that was.
    private func loseWaiting() throws(SyscallError) -> Int64 {
        // A segment that can't be written may be gone: the next try opens it anew.
        (file, index) = (nil, nil)
        var buffer = [UInt8](repeating: 0, count: 65536)
        let source = source.raw
        var lost: Int64 = 0
        for _ in 0..<16 {
            do throws(SyscallError) {
                let count = try retrying("read", stream) {
                    buffer.withUnsafeMutableBytes { read(source, $0.baseAddress, $0.count) }
                }
                if count == 0 { break }
                lost += Int64(count)
            } catch {
                if error.errno == .again || isTerminal { break }
                throw error
            }
        }
        return lost
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

    /// 0 when nothing waits: a record is only written for what has come.
    private func spliceOnce(to file: Int32) throws(SyscallError) -> Int {
        var at = Int64(offset)
        let source = source.raw
        var waiting: Int32 = 0
        try retrying("ioctl", stream) { linux_ioctl_ptr(source, UInt(FIONREAD), &waiting) }
        if waiting == 0 { return 0 }
        noteArrival()
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
        if count > 0 { noteArrival() }
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
        if offset > 0, last.isEmpty { note(at: 0) }
    }

    private func readAt(_ fd: Int32, offset: Int64, count: Int) throws(SyscallError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        let got = try retrying("pread") {
            buffer.withUnsafeMutableBytes { pread(fd, $0.baseAddress, $0.count, off_t(offset)) }
        }
        return Array(buffer[..<got])
    }

    /// Of what can't be written no record is made over and over: the first that can gets its own afterwards.
    private func noteArrival() {
        if dropped == nil { note(at: offset) }
    }

    /// Without room for its record an arrival has the time of the one before. A torn record would shift all that follow.
    private func note(at offset: Int64) {
        guard let index else { return }
        var entry: [UInt8] = []
        for value in [offset, realtimeNanoseconds()] {
            withUnsafeBytes(of: value.littleEndian) { entry += $0 }
        }
        do throws(SyscallError) {
            try writeAll(index.raw, entry)
        } catch {
            if let size = try? fileStatus(of: index.raw).st_size, size % 16 != 0 {
                _ = ftruncate(index.raw, off_t(size / 16 * 16))
            }
        }
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
