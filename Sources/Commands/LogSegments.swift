// SPDX-License-Identifier: Apache-2.0
//
// LogSegments: one output stream of one container, read as lines with times. A stream is a row of segment files
// `stdout.0`, `stdout.1`, …, each with an index `stdout.0.idx` of 16-byte records, little-endian: offset of a chunk
// in the segment, nanoseconds since 1970 when it arrived. A line's time is that of the chunk it begins in.
// The controller alone writes them; the oldest segments go when a stream grows too large.

internal import Basics
internal import CLinux
internal import Kernel

/// One line as a container wrote it.
struct LogLine: Equatable {
    /// Nanoseconds since 1970.
    var time: Int64
    /// Without the line feed.
    var bytes: [UInt8]
}

/// Reads one stream from some place on, further whenever it is asked.
final class LogStream {
    let directory: String
    /// `stdout` or `stderr`.
    let name: String

    private var segment: Int?
    /// The last that was rotated away before it could be opened.
    private var passedBy = -1
    private var fd: SharedFD?
    private var offset = 0
    private var indexFile: SharedFD?
    private var index: [(offset: Int, time: Int64)] = []
    private var indexRead = 0
    private var indexPosition = 0
    /// What a line has whose segment's index was rotated away; 0 before any was read.
    private var lastTime: Int64 = 0
    /// The beginning of a line whose end has not come yet.
    private var partial: [UInt8] = []
    private var partialTime: Int64 = 0
    /// What comes up to the next line feed belongs to a line that is not wanted, or whose beginning was rotated away.
    private var skipsToFeed = false
    /// Nothing behind this place is read.
    private var limit: (segment: Int, offset: Int)?
    private var lines: [LogLine] = []
    private var nextLine = 0

    static let chunk = 256 << 10
    /// A longer line is given in pieces: one that never ends would fill the memory.
    static let longestLine = 1 << 20

    init(directory: String, name: String) {
        self.directory = directory
        self.name = name
    }

    /// The numbers of the segments that are there, rising.
    private func segments() -> [Int] {
        let entries = (try? directoryEntries(directory)) ?? []
        let prefix = "\(name)."
        return entries.compactMap { $0.hasPrefix(prefix) ? Int($0.dropFirst(prefix.count)) : nil }.sorted()
    }

    private func path(_ segment: Int) -> String { "\(directory)/\(name).\(segment)" }

    /// The line to come, without taking it; nil when there is none yet.
    func peek() throws(Failure) -> LogLine? {
        while nextLine >= lines.count {
            if try !readMore() { return nil }
        }
        return lines[nextLine]
    }

    /// Takes the line that `peek` saw.
    func advance() {
        nextLine += 1
        if nextLine >= lines.count {
            lines.removeAll(keepingCapacity: true)
            nextLine = 0
        }
    }

    /// Ends with what is there now, or was there when this was asked before: of a container that writes faster than its log
    /// is read there would never be an end.
    func stopAtPresent() {
        if limit != nil { return }
        limit = (-1, 0)
        for number in segments().reversed() {
            guard let status = try? fileStatus(path(number)) else { continue }
            limit = (number, Int(status.st_size))
            break
        }
    }

    /// Reads on behind that place.
    func goOn() { limit = nil }

    /// A last line without a line feed, when nothing will follow.
    func takeRest() -> LogLine? {
        guard !partial.isEmpty else { return nil }
        defer { partial = [] }
        return LogLine(time: partialTime, bytes: partial)
    }

    /// When the last line came, as long as it has no line feed.
    var restTime: Int64? { partial.isEmpty ? nil : partialTime }

    /// Leaves that last line out, also what of it comes later.
    func skipRest() {
        guard !partial.isEmpty else { return }
        partial = []
        skipsToFeed = true
    }

    /// Reads one chunk on; false when there is nothing more for now.
    private func readMore() throws(Failure) -> Bool {
        while true {
            if try readChunk() { return true }
            // At its end; a later segment means that this one grows no more. It may have grown between the two looks.
            let behind = max(segment ?? -1, passedBy)
            guard let next = segments().first(where: { $0 > behind }) else { return false }
            if let limit, next > limit.segment { return false }
            if try readChunk() { return true }
            let expected = segment.map { $0 + 1 } ?? 0
            guard try open(next) else {
                passedBy = next
                continue
            }
            // What is between was rotated away, and with it the beginning of the line this one begins in.
            if next != expected {
                partial = []
                skipsToFeed = true
            }
        }
    }

    /// False when there is none of that number any more.
    private func open(_ number: Int) throws(Failure) -> Bool {
        do throws(SyscallError) {
            fd = SharedFD(try openFile(path(number)))
        } catch {
            if error.errno == .noEntry { return false }
            throw Failure("cannot read the log of \(directory)", error)
        }
        segment = number
        offset = 0
        indexFile = nil
        index = []
        indexRead = 0
        indexPosition = 0
        return true
    }

    /// False at the segment's end.
    private func readChunk() throws(Failure) -> Bool {
        guard let fd, let segment else { return false }
        var count = Self.chunk
        if let limit, segment >= limit.segment {
            count = segment > limit.segment ? 0 : min(count, limit.offset - offset)
        }
        if count <= 0 { return false }
        let bytes = try kernel("cannot read the log \(path(segment))") { () throws(SyscallError) in
            try readAt(fd.raw, offset, count)
        }
        if !bytes.isEmpty { split(bytes) }
        return !bytes.isEmpty
    }

    /// Cuts a chunk of the segment, which begins at `offset`, into lines.
    private func split(_ bytes: [UInt8]) {
        readIndex()
        var start = 0
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            while start < buffer.count,
                let found = memchr(base + start, 10, buffer.count - start)
            {
                let end = UnsafeRawPointer(found) - UnsafeRawPointer(base)
                if skipsToFeed {
                    skipsToFeed = false
                } else if partial.isEmpty {
                    lines.append(LogLine(time: time(at: offset + start), bytes: Array(buffer[start..<end])))
                } else {
                    lines.append(LogLine(time: partialTime, bytes: partial + buffer[start..<end]))
                    partial = []
                }
                start = end + 1
            }
        }
        if start < bytes.count, !skipsToFeed {
            if partial.isEmpty { partialTime = time(at: offset + start) }
            partial += bytes[start...]
            if partial.count >= Self.longestLine {
                lines.append(LogLine(time: partialTime, bytes: partial))
                partial = []
            }
        }
        offset += bytes.count
    }

    /// The time of the chunk a byte is in; offsets are asked for in rising order.
    private func time(at offset: Int) -> Int64 {
        while indexPosition + 1 < index.count, index[indexPosition + 1].offset <= offset {
            indexPosition += 1
        }
        if indexPosition < index.count { lastTime = index[indexPosition].time }
        // There was no room for a record (the disk is full): the segment's own time is the nearest.
        if lastTime == 0, let fd, let status = try? fileStatus(of: fd.raw) {
            lastTime = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        }
        return lastTime
    }

    private func readIndex() {
        guard let segment else { return }
        // Kept open: it may be rotated away while its segment is still read.
        if indexFile == nil, let file = try? openFile("\(path(segment)).idx") { indexFile = SharedFD(file) }
        guard let indexFile else { return }
        while let bytes = try? readAt(indexFile.raw, indexRead, Self.chunk), bytes.count >= 16 {
            let records = decodeIndex(bytes)
            index += records
            indexRead += records.count * 16
        }
    }

    /// Moves so that at most `count` lines are still to come; 0 moves to the end. Reads backwards from the end, so
    /// that a long log costs no more than its tail. For a stream nothing was read of yet.
    func start(last count: Int) throws(Failure) {
        var found = 0
        var end: (segment: Int, offset: Int)?
        for number in segments().reversed() {
            // Rotated away under our eyes: what is left begins behind it.
            guard try open(number), let fd else { break }
            var position = try kernel("cannot read the log \(path(number))") { () throws(SyscallError) in
                Int(try fileStatus(of: fd.raw).st_size)
            }
            if position > 0, end == nil {
                end = (number, position)
                if count == 0 {
                    offset = position
                    return
                }
            }
            while position > 0 {
                let length = min(Self.chunk, position)
                let bytes = try kernel("cannot read the log \(path(number))") { () throws(SyscallError) in
                    try readAt(fd.raw, position - length, length)
                }
                position -= length
                var search = bytes.count
                while let feed = lastLineFeed(bytes, before: search) {
                    search = feed
                    // The last line's own end is not the border before it.
                    if let end, end.segment == number, position + feed == end.offset - 1 { continue }
                    found += 1
                    if found == count {
                        offset = position + feed + 1
                        return
                    }
                }
            }
        }
        // Fewer lines than wanted: from the first byte on.
        fd = nil
        segment = nil
    }
}

/// Index records: offset and time, both little-endian 64-bit; half a record at the end is left for later.
func decodeIndex(_ bytes: [UInt8]) -> [(offset: Int, time: Int64)] {
    bytes.withUnsafeBytes { raw in
        (0..<raw.count / 16).map { record in
            let offset = raw.loadUnaligned(fromByteOffset: record * 16, as: Int64.self)
            let time = raw.loadUnaligned(fromByteOffset: record * 16 + 8, as: Int64.self)
            return (Int(Int64(littleEndian: offset)), Int64(littleEndian: time))
        }
    }
}

private func lastLineFeed(_ bytes: [UInt8], before end: Int) -> Int? {
    bytes.withUnsafeBytes { raw in
        guard let base = raw.baseAddress, let found = memrchr(base, 10, end) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

/// pread(2): at most `count` bytes from an offset, none at the end.
private func readAt(_ fd: Int32, _ offset: Int, _ count: Int) throws(SyscallError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: count)
    let got = try retrying("pread") {
        buffer.withUnsafeMutableBytes { pread(fd, $0.baseAddress, count, offset) }
    }
    buffer.removeSubrange(got...)
    return buffer
}
