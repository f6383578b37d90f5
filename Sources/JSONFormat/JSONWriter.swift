// SPDX-License-Identifier: Apache-2.0
//
// A tree to JSON text; slashes and what is not ASCII stay as they are.

extension JSONValue {
    /// The text; an object's members keep their order.
    /// - indentation: nil for one line, otherwise how deep this value is already indented, two spaces a step.
    public func write(to bytes: inout [UInt8], indentation: Int? = nil) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .unsigned(let value): bytes += String(value).utf8
        case .double(let value): writeJSONNumber(value, to: &bytes)
        case .string(let value): writeJSONString(value, to: &bytes)
        case .array(let items):
            writeList(items, "[", "]", to: &bytes, indentation) { item, bytes, deeper in
                item.write(to: &bytes, indentation: deeper)
            }
        case .object(let members):
            writeList(members, "{", "}", to: &bytes, indentation) { member, bytes, deeper in
                writeJSONString(member.name, to: &bytes)
                bytes += (deeper == nil ? ":" : ": ").utf8
                member.value.write(to: &bytes, indentation: deeper)
            }
        }
    }
}

private func writeList<Item>(
    _ items: [Item], _ start: String, _ end: String, to bytes: inout [UInt8], _ indentation: Int?,
    _ write: (Item, inout [UInt8], Int?) -> Void
) {
    bytes += start.utf8
    for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        if let indentation { bytes += [0x0A] + Array(repeating: 0x20, count: 2 * (indentation + 1)) }
        write(item, &bytes, indentation.map { $0 + 1 })
    }
    if let indentation, !items.isEmpty { bytes += [0x0A] + Array(repeating: 0x20, count: 2 * indentation) }
    bytes += end.utf8
}

/// A number that is finite; whole ones without a point.
func writeJSONNumber(_ value: Double, to bytes: inout [UInt8]) {
    if value.magnitude < 1e15, value == value.rounded(.towardZero) {
        bytes += String(Int64(value)).utf8
    } else {
        bytes += value.description.utf8
    }
}

/// A string with its quotes; escaped is what RFC 8259, 7 says must be, and nothing else.
public func writeJSONString(_ text: String, to bytes: inout [UInt8]) {
    var text = text
    bytes.append(UInt8(ascii: "\""))
    text.withUTF8 { utf8 in
        var plain = 0
        for index in utf8.indices {
            let byte = utf8[index]
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain..<index]))
            plain = index + 1
            bytes.append(UInt8(ascii: "\\"))
            switch byte {
            case 0x08: bytes.append(UInt8(ascii: "b"))
            case 0x09: bytes.append(UInt8(ascii: "t"))
            case 0x0A: bytes.append(UInt8(ascii: "n"))
            case 0x0C: bytes.append(UInt8(ascii: "f"))
            case 0x0D: bytes.append(UInt8(ascii: "r"))
            case 0..<0x20:
                let digits: StaticString = "0123456789abcdef"
                bytes += "u00".utf8
                digits.withUTF8Buffer { bytes += [$0[Int(byte >> 4)], $0[Int(byte & 15)]] }
            default: bytes.append(byte)
            }
        }
        bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain...]))
    }
    bytes.append(UInt8(ascii: "\""))
}
