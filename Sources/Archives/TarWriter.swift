// SPDX-License-Identifier: Apache-2.0
//
// Writes tar: ustar headers, and a PAX header before an entry that ustar can't say (long or non-ASCII path, large
// number, extended attributes, fraction of a second). Equal entries give equal bytes: no user names, no clock.

internal import CLinux

/// Writes entries into a sink.
public final class TarWriter {
    private let sink: any ByteSink
    /// Bytes of the current body still to come.
    private var bodyLeft: Int64 = 0
    private var padding = 0
    private static let zeros = [UInt8](repeating: 0, count: 1024)

    public init(_ sink: any ByteSink) { self.sink = sink }

    /// Begins an entry; a file's `size` bytes of body follow by `write`.
    public func add(_ entry: TarEntry) throws(ArchiveError) {
        precondition(bodyLeft == 0)
        try pad()
        var records: [UInt8] = []
        var entry = entry
        if entry.kind == .directory, entry.path.last != UInt8(ascii: "/") {
            entry.path.append(UInt8(ascii: "/"))
        }
        if !fits(entry.path, 100) { records += record("path", entry.path) }
        if !fits(entry.link, 100) { records += record("linkpath", entry.link) }
        if entry.size >= 1 << 33 { records += record("size", entry.size) }
        if entry.uid >= 1 << 21 { records += record("uid", Int64(entry.uid)) }
        if entry.gid >= 1 << 21 { records += record("gid", Int64(entry.gid)) }
        if entry.modified < 0 || entry.modified >= 1 << 33 { records += record("mtime", entry.modified) }
        for attribute in entry.xattrs.sorted(by: { $0.name < $1.name }) {
            records += record("SCHILY.xattr.\(attribute.name)", attribute.value)
        }
        if !records.isEmpty {
            var extended = TarEntry(.file, "PaxHeaders/entry")
            extended.size = Int64(records.count)
            try put(header(extended, type: UInt8(ascii: "x")))
            try put(records)
            try put(TarWriter.zeros[..<((512 - records.count % 512) % 512)])
        }
        let types: [TarEntry.Kind: Character] = [
            .file: "0", .hardlink: "1", .symlink: "2", .characterDevice: "3", .blockDevice: "4",
            .directory: "5",
            .fifo: "6",
        ]
        try put(header(entry, type: types[entry.kind]?.asciiValue ?? 0))
        bodyLeft = entry.kind == .file ? entry.size : 0
        padding = Int((512 - bodyLeft % 512) % 512)
    }

    /// Part of the current entry's body.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        precondition(Int64(bytes.count) <= bodyLeft)
        bodyLeft -= Int64(bytes.count)
        try sink.write(bytes)
    }

    /// An entry with its body at hand.
    public func add(_ entry: TarEntry, body: [UInt8]) throws(ArchiveError) {
        var entry = entry
        entry.size = Int64(body.count)
        try add(entry)
        try put(body)
        bodyLeft = 0
    }

    /// Ends the archive and the sink.
    public func finish() throws(ArchiveError) {
        precondition(bodyLeft == 0)
        try pad()
        try put(TarWriter.zeros)
        try sink.finish()
    }

    private func pad() throws(ArchiveError) {
        try put(TarWriter.zeros[..<padding])
        padding = 0
    }

    private func put(_ bytes: some Sequence<UInt8>) throws(ArchiveError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: bytes.underestimatedCount, alignment: 1)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: Array(bytes))
        try sink.write(UnsafeRawBufferPointer(buffer))
    }

    private func fits(_ text: [UInt8], _ length: Int) -> Bool {
        text.count <= length && text.allSatisfy { $0 < 0x80 }
    }

    private func record(_ key: String, _ value: Int64) -> [UInt8] { record(key, Array(String(value).utf8)) }

    private func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        // The length counts its own digits.
        let rest = key.utf8.count + value.count + 3
        var length = rest + String(rest).utf8.count
        if String(length).utf8.count != String(rest).utf8.count { length = rest + String(length).utf8.count }
        return Array("\(length) \(key)=".utf8) + value + [UInt8(ascii: "\n")]
    }

    private func header(_ entry: TarEntry, type: UInt8) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Sequence<UInt8>, at start: Int) {
            for (index, byte) in bytes.enumerated() { block[start + index] = byte }
        }
        func number(_ value: Int64, _ start: Int, _ length: Int) {
            let digits = String(max(0, value), radix: 8)
            // A number that does not fit stands in the PAX header.
            guard digits.utf8.count < length else { return }
            put(repeatElement(UInt8(ascii: "0"), count: length - 1 - digits.utf8.count), at: start)
            put(digits.utf8, at: start + length - 1 - digits.utf8.count)
        }
        put(entry.path.prefix(100), at: 0)
        number(Int64(entry.mode), 100, 8)
        number(Int64(entry.uid), 108, 8)
        number(Int64(entry.gid), 116, 8)
        number(entry.size, 124, 12)
        number(entry.modified, 136, 12)
        put(repeatElement(UInt8(ascii: " "), count: 8), at: 148)
        block[156] = type
        put(entry.link.prefix(100), at: 157)
        put("ustar\u{0}00".utf8, at: 257)
        number(Int64(entry.deviceMajor), 329, 8)
        number(Int64(entry.deviceMinor), 337, 8)
        let sum = block.reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        put(repeatElement(UInt8(ascii: "0"), count: 6 - digits.utf8.count), at: 148)
        put(digits.utf8, at: 154 - digits.utf8.count)
        block[154] = 0
        return block
    }
}
