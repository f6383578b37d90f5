// SPDX-License-Identifier: Apache-2.0

/// The records of one PAX extended header: `<length> <key>=<value>\n` each, the length counting itself.
struct PaxRecords {
    var path: [UInt8]?
    var link: [UInt8]?
    var size: Int64?
    var uid: Int64?
    var gid: Int64?
    var modified: Int64?
    var modifiedNanoseconds = 0
    var xattrs: [TarEntry.Attribute] = []
    var sparse = false

    mutating func parse(_ bytes: [UInt8]) throws(ArchiveError) {
        var rest = bytes[...]
        // Some writers pad the header with zeros.
        while let first = rest.first, first != 0 {
            guard let space = rest.firstIndex(of: UInt8(ascii: " ")),
                let length = decimal(rest[..<space]), length > space - rest.startIndex + 1,
                length <= Int64(rest.count)
            else { throw .damaged("a PAX header has a record without a valid length") }
            let record = rest[(space + 1)..<(rest.startIndex + Int(length))]
            rest = rest[(rest.startIndex + Int(length))...]
            guard record.last == UInt8(ascii: "\n"), let equals = record.firstIndex(of: UInt8(ascii: "="))
            else {
                throw .damaged("a PAX header has a record without `=` or line end")
            }
            try take(
                String(decoding: record[..<equals], as: UTF8.self), Array(record[(equals + 1)...].dropLast()))
        }
    }

    private mutating func take(_ key: String, _ value: [UInt8]) throws(ArchiveError) {
        switch key {
        case "path": path = value
        case "linkpath": link = value
        case "size": size = try number(key, value)
        case "uid": uid = try number(key, value)
        case "gid": gid = try number(key, value)
        case "mtime": try takeTime(value)
        default:
            if key.hasPrefix("SCHILY.xattr.") {
                xattrs.append(.init(name: String(key.dropFirst(13)), value: value))
            } else if key.hasPrefix("GNU.sparse.") {
                sparse = true
            }
        }
    }

    private func number(_ key: String, _ value: [UInt8]) throws(ArchiveError) -> Int64 {
        guard let number = decimal(value[...]) else {
            throw .damaged(
                "a PAX header's \(key) is no number: \"\(String(decoding: value.prefix(40), as: UTF8.self))\""
            )
        }
        return number
    }

    /// Seconds with an optional fraction, perhaps negative.
    private mutating func takeTime(_ value: [UInt8]) throws(ArchiveError) {
        let negative = value.first == UInt8(ascii: "-")
        let digits = negative ? value.dropFirst() : value[...]
        let whole = digits.prefix { $0 != UInt8(ascii: ".") }
        let fraction = digits.dropFirst(whole.count + 1).prefix(9)
        guard let seconds = decimal(whole) else { throw .damaged("a PAX header's mtime is no number") }
        var nanoseconds: Int64 = 0
        if !fraction.isEmpty {
            guard let value = decimal(fraction) else { throw .damaged("a PAX header's mtime is no number") }
            nanoseconds = value
            for _ in fraction.count..<9 { nanoseconds *= 10 }
        }
        // tv_nsec counts forward: -1.25 s is -2 s and 0.75.
        modified = negative ? -seconds - (nanoseconds > 0 ? 1 : 0) : seconds
        modifiedNanoseconds = Int(negative && nanoseconds > 0 ? 1_000_000_000 - nanoseconds : nanoseconds)
    }

    /// Up to 18 decimal digits, which never overflow.
    private func decimal(_ digits: ArraySlice<UInt8>) -> Int64? {
        guard !digits.isEmpty, digits.count <= 18 else { return nil }
        var value: Int64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int64(digit - UInt8(ascii: "0"))
        }
        return value
    }
}
