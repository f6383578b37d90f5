// SPDX-License-Identifier: Apache-2.0
//
// Reads tar as a stream: ustar (POSIX.1-1988), GNU's long names and base-256 numbers, PAX records (POSIX.1-2001,
// pax "Extended Header") with SCHILY.xattr. Sparse entries are refused by name: no image tool writes them.
//
// A header is 512 bytes; a body is padded to a multiple of 512; two zero blocks end the archive.

/// The entries of a tar stream, in order.
public final class TarReader {
    private let source: any ByteSource
    /// What is left of the chunk last read.
    private var window = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Bytes of the current entry's body not yet read, and of its padding.
    private var bodyLeft: Int64 = 0
    private var padding: Int64 = 0
    /// Bytes of the archive passed so far.
    private var position: Int64 = 0
    private var ended = false
    private var header = [UInt8](repeating: 0, count: 512)

    /// PAX headers and GNU long names hold names and extended attributes; more than this for one entry is an attack.
    static let extensionLimit: Int64 = 1 << 20

    public init(_ source: any ByteSource) { self.source = source }

    /// Where the current entry's body begins in the stream, in bytes.
    public var bodyOffset: Int64 { position }

    /// The next entry; passes over what was not read of the last body. Nil at the end of the archive.
    public func next() throws(ArchiveError) -> TarEntry? {
        if ended { return nil }
        var extended = PaxRecords()
        var longPath: [UInt8]?
        var longLink: [UInt8]?
        // Before one entry there may be any number of them, each of which is remembered.
        var extensions: Int64 = 0
        while true {
            try skip(bodyLeft + padding)
            (bodyLeft, padding) = (0, 0)
            guard try readHeader() else {
                ended = true
                return nil
            }
            let type = header[156]
            let size = try number(124, 12, "size")
            guard size >= 0, size < 1 << 60 else { throw damage("has an impossible size, \(size)") }
            if type == UInt8(ascii: "x") || type == UInt8(ascii: "L") || type == UInt8(ascii: "K") {
                extensions += size
                guard extensions <= TarReader.extensionLimit else {
                    throw damage("has PAX headers or long names of \(extensions) bytes; 1 MiB is allowed")
                }
            }
            switch type {
            case UInt8(ascii: "x"): try extended.parse(try extensionBody(size))
            case UInt8(ascii: "g"), UInt8(ascii: "V"):
                // Global records hold comments (git archive), a volume label names the tape: neither is a file.
                startBody(size)
            case UInt8(ascii: "L"): longPath = terminated(try extensionBody(size)[...])
            case UInt8(ascii: "K"): longLink = terminated(try extensionBody(size)[...])
            default:
                return try entry(type, size, extended, longPath, longLink)
            }
        }
    }

    /// Hands the current entry's body on, chunk by chunk.
    public func body(_ consume: (UnsafeRawBufferPointer) throws(ArchiveError) -> Void) throws(ArchiveError) {
        while bodyLeft > 0 {
            try fill("in the middle of an entry")
            let count = Int(min(Int64(window.count), bodyLeft))
            try consume(UnsafeRawBufferPointer(rebasing: window[..<count]))
            advance(count)
            bodyLeft -= Int64(count)
        }
    }

    /// The current entry's body at once.
    public func wholeBody(limit: Int) throws(ArchiveError) -> [UInt8] {
        guard bodyLeft <= Int64(limit) else {
            throw damage("is larger than the \(limit) bytes allowed for it")
        }
        var result: [UInt8] = []
        try body { (bytes: UnsafeRawBufferPointer) throws(ArchiveError) in result += bytes }
        return result
    }

    // MARK: - entries

    private func entry(
        _ type: UInt8, _ size: Int64, _ extended: PaxRecords, _ longPath: [UInt8]?, _ longLink: [UInt8]?
    ) throws(ArchiveError) -> TarEntry {
        let path = extended.path ?? longPath ?? ustarPath()
        if type == UInt8(ascii: "S") || extended.sparse {
            throw .refused(
                path: String(decoding: path, as: UTF8.self),
                why: "is sparse; write the archive without --sparse")
        }
        let kind: TarEntry.Kind
        switch type {
        // Version 7 wrote a directory as a file whose name ends in a slash.
        case 0 where path.last == UInt8(ascii: "/"): kind = .directory
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): kind = .file
        case UInt8(ascii: "1"): kind = .hardlink
        case UInt8(ascii: "2"): kind = .symlink
        case UInt8(ascii: "3"): kind = .characterDevice
        case UInt8(ascii: "4"): kind = .blockDevice
        case UInt8(ascii: "5"): kind = .directory
        case UInt8(ascii: "6"): kind = .fifo
        default:
            throw .refused(
                path: String(decoding: path, as: UTF8.self), why: "is of the unknown type \(type)")
        }
        var entry = TarEntry(
            kind, path: path, mode: UInt32(truncatingIfNeeded: try number(100, 8, "mode")) & 0o7777)
        entry.uid = try identity(known(extended.uid, 108, 8, "owner"), "owner")
        entry.gid = try identity(known(extended.gid, 116, 8, "group"), "group")
        entry.link = extended.link ?? longLink ?? terminated(header[157..<257])
        entry.modified = try known(extended.modified, 136, 12, "time")
        entry.modifiedNanoseconds = extended.modifiedNanoseconds
        entry.xattrs = extended.xattrs
        if kind == .characterDevice || kind == .blockDevice {
            entry.deviceMajor = UInt32(truncatingIfNeeded: try number(329, 8, "device"))
            entry.deviceMinor = UInt32(truncatingIfNeeded: try number(337, 8, "device"))
        }
        let size = extended.size ?? size
        guard size >= 0, size < 1 << 60 else { throw damage("has an impossible size, \(size)") }
        // Only files have bodies; some tools give links the target's size without one (star(5), "linkflag 1").
        if kind == .file {
            entry.size = size
            startBody(size)
        } else if kind == .directory {
            startBody(size)
        }
        return entry
    }

    private func ustarPath() -> [UInt8] {
        let name = terminated(header[0..<100])
        // GNU's magic, "ustar  ", keeps other things where POSIX has the prefix.
        guard header[257..<263].elementsEqual(Array("ustar".utf8) + [0]), header[345] != 0 else {
            return name
        }
        return terminated(header[345..<500]) + [UInt8(ascii: "/")] + name
    }

    private func identity(_ value: Int64, _ field: String) throws(ArchiveError) -> UInt32 {
        // The kernel keeps 2^32 - 1 for "no change" (chown(2)).
        guard value >= 0, value < Int64(UInt32.max) else {
            throw damage("has an impossible \(field), \(value)")
        }
        return UInt32(value)
    }

    // MARK: - header

    /// False at the end of the archive.
    private func readHeader() throws(ArchiveError) -> Bool {
        guard try readBlock() else { return false }
        if header.allSatisfy({ $0 == 0 }) { return false }
        let stored = try number(148, 8, "checksum")
        var unsigned: Int64 = 0
        var signed: Int64 = 0
        for (index, byte) in header.enumerated() {
            let byte = (148..<156).contains(index) ? UInt8(ascii: " ") : byte
            unsigned += Int64(byte)
            signed += Int64(Int8(bitPattern: byte))
        }
        // Old tars summed signed characters (tar(5), "checksum").
        guard stored == unsigned || stored == signed else {
            throw damage("has a wrong checksum: this is no tar archive, or it is damaged")
        }
        return true
    }

    /// False when the stream ends before the block.
    private func readBlock() throws(ArchiveError) -> Bool {
        var filled = 0
        while filled < 512 {
            if window.isEmpty { window = try source.next() }
            if window.isEmpty {
                if filled == 0 { return false }
                throw .damaged("the tar archive is truncated at \(position) bytes, in an entry's header")
            }
            let count = min(window.count, 512 - filled)
            for index in 0..<count { header[filled + index] = window[index] }
            advance(count)
            filled += count
        }
        return true
    }

    /// A value of the PAX header, else the header's own.
    private func known(_ value: Int64?, _ start: Int, _ length: Int, _ field: String) throws(ArchiveError)
        -> Int64
    {
        if let value { return value }
        return try number(start, length, field)
    }

    /// An octal number in ASCII, or GNU's base-256 with the top bit set.
    private func number(_ start: Int, _ length: Int, _ field: String) throws(ArchiveError) -> Int64 {
        let bytes = header[start..<(start + length)]
        if header[start] & 0x80 != 0 {
            let negative = header[start] & 0x40 != 0
            var value: Int64 = negative ? -1 : 0
            for (index, byte) in bytes.enumerated() {
                let byte = index == 0 ? (negative ? byte : byte & 0x7f) : byte
                guard value >= -(1 << 54), value < 1 << 54 else { throw damage("has an impossible \(field)") }
                value = value << 8 | Int64(byte)
            }
            return value
        }
        var value: Int64 = 0
        var seen = false
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                value = value << 3 | Int64(byte - UInt8(ascii: "0"))
                seen = true
            case UInt8(ascii: " ") where !seen: continue
            case UInt8(ascii: " "), 0: return value
            default: throw damage("has a \(field) that is no number")
            }
        }
        return value
    }

    private func terminated(_ bytes: ArraySlice<UInt8>) -> [UInt8] { Array(bytes.prefix { $0 != 0 }) }

    private func damage(_ what: String) -> ArchiveError {
        let name = String(decoding: ustarPath().prefix(200), as: UTF8.self)
        return .damaged("the tar entry \"\(name)\" (before byte \(position)) \(what)")
    }

    // MARK: - the stream

    private func extensionBody(_ size: Int64) throws(ArchiveError) -> [UInt8] {
        startBody(size)
        return try wholeBody(limit: Int(size))
    }

    private func startBody(_ size: Int64) {
        bodyLeft = size
        padding = (512 - size % 512) % 512
    }

    private func fill(_ place: String) throws(ArchiveError) {
        if window.isEmpty { window = try source.next() }
        if window.isEmpty { throw .damaged("the tar archive is truncated at \(position) bytes, \(place)") }
    }

    private func advance(_ count: Int) {
        window = UnsafeRawBufferPointer(rebasing: window[count...])
        position += Int64(count)
    }

    private func skip(_ count: Int64) throws(ArchiveError) {
        let near = Int(min(count, Int64(window.count)))
        advance(near)
        guard count > Int64(near) else { return }
        window = try source.skip(count - Int64(near))
        position += count - Int64(near)
    }
}
