// SPDX-License-Identifier: Apache-2.0
//
// DNSReader walks a message's bytes. A compression pointer must point before the name it stands in and each further
// one before the last, so that no name can loop, and a name has 255 bytes at most (RFC 1035, 2.3.4 and 4.1.4).

public struct DNSReader {
    private let bytes: [UInt8]
    public private(set) var offset: Int

    public init(_ bytes: [UInt8], at offset: Int) {
        self.bytes = bytes
        self.offset = offset
    }

    mutating func byte() throws(DNSFormatError) -> UInt8 {
        guard offset < bytes.count else { throw .truncated }
        offset += 1
        return bytes[offset - 1]
    }

    public mutating func word() throws(DNSFormatError) -> UInt16 {
        UInt16(try byte()) << 8 | UInt16(try byte())
    }

    mutating func record() throws(DNSFormatError) -> DNSRecord {
        let name = try name()
        let type = DNSType(rawValue: try word())
        let recordClass = try word()
        let ttl = UInt32(try word()) << 16 | UInt32(try word())
        let length = Int(try word())
        guard offset + length <= bytes.count else { throw .truncated }
        offset += length
        return DNSRecord(
            name: name, type: type, recordClass: recordClass, ttl: ttl,
            data: Array(bytes[(offset - length)..<offset]))
    }

    /// A name, lower case, without the dot at its end.
    public mutating func name() throws(DNSFormatError) -> String {
        var text: [UInt8] = []
        var size = 1
        var place = offset
        var bound = offset
        var jumped = false
        while true {
            guard place < bytes.count else { throw .truncated }
            let length = Int(bytes[place])
            switch length >> 6 {
            case 0:
                place += 1
                if length == 0 {
                    if !jumped { offset = place }
                    return String(decoding: text, as: UTF8.self)
                }
                guard place + length <= bytes.count else { throw .truncated }
                size += length + 1
                guard size <= 255 else { throw .badName }
                if !text.isEmpty { text.append(UInt8(ascii: ".")) }
                for byte in bytes[place..<(place + length)] { escape(byte, into: &text) }
                place += length
            case 3:
                guard place + 1 < bytes.count else { throw .truncated }
                let target = (length & 63) << 8 | Int(bytes[place + 1])
                if !jumped { offset = place + 2 }
                jumped = true
                guard target < bound, target >= 12 else { throw .badName }
                bound = target
                place = target
            default: throw .badName
            }
        }
    }

    private func escape(_ byte: UInt8, into text: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): text.append(byte | 0x20)
        case UInt8(ascii: "."), UInt8(ascii: "\\"), 0...32, 127...255:
            text += [UInt8(ascii: "\\"), 48 + byte / 100, 48 + byte / 10 % 10, 48 + byte % 10]
        default: text.append(byte)
        }
    }
}
