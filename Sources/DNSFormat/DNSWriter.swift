// SPDX-License-Identifier: Apache-2.0
//
// Making queries and responses. Responses give the question back as it came, point to it for the records' names, and
// stop with TC set at the size the asker takes.

/// A name as it travels; nil when a label or the whole is too long, or an escape is none.
public func encodeDNSName(_ name: some StringProtocol) -> [UInt8]? {
    var result: [UInt8] = []
    var label: [UInt8] = []
    var rest = Array(name.utf8)[...]
    if rest.last == UInt8(ascii: ".") { rest.removeLast() }
    if rest.isEmpty { return [0] }
    while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "."):
            guard (1...63).contains(label.count) else { return nil }
            result.append(UInt8(label.count))
            result += label
            label = []
        case UInt8(ascii: "\\"):
            let digits = rest.prefix(3)
            guard digits.count == 3, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
            let value = digits.reduce(0) { $0 * 10 + Int($1) - 48 }
            guard value <= 255 else { return nil }
            label.append(UInt8(value))
            rest.removeFirst(3)
        default: label.append(byte)
        }
    }
    guard (1...63).contains(label.count) else { return nil }
    result.append(UInt8(label.count))
    result += label
    result.append(0)
    return result.count <= 255 ? result : nil
}

/// The data of one answer; its name is the question's.
public enum DNSAnswer: Hashable, Sendable {
    /// Four bytes, or sixteen.
    case address([UInt8])
    case pointer(String)
}

extension DNSQuery {
    /// A response of our own: authoritative, recursion available, with EDNS when the query had it.
    ///
    /// A pointer to what is no DNS name is left out.
    /// - Parameter limit: bytes the transport takes; answers that do not fit are left out and TC is set.
    public func response(
        _ code: DNSResponseCode, answers: [DNSAnswer] = [], ttl: UInt32 = 0, limit: Int
    ) -> [UInt8] {
        let tail: [UInt8] = udpSize == nil ? [] : [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]
        var bytes: [UInt8] = []
        func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
        bytes += word(header.id)
        bytes += [0, 0, 0, 1, 0, 0, 0, 0, 0, tail.isEmpty ? 0 : 1]
        bytes += questionBytes
        var written: UInt16 = 0
        var truncated = false
        for answer in answers {
            let type: DNSType
            let data: [UInt8]
            switch answer {
            case .address(let address): (type, data) = (address.count == 16 ? .aaaa : .a, address)
            case .pointer(let name):
                // A container's name may be longer than a label may be.
                guard let encoded = encodeDNSName(name) else { continue }
                (type, data) = (.ptr, encoded)
            }
            if bytes.count + 12 + data.count + tail.count > limit {
                truncated = true
                break
            }
            // Name: a pointer to the question.
            bytes += [0xc0, 12] + word(type.rawValue) + [0, 1]
            bytes += word(UInt16(ttl >> 16)) + word(UInt16(ttl & 0xffff)) + word(UInt16(data.count)) + data
            written += 1
        }
        let flags: UInt16 =
            0x8000 | header.flags & 0x7900 | 0x0400 | (truncated ? 0x0200 : 0) | 0x0080
            | UInt16(code.rawValue)
        bytes.replaceSubrange(2..<4, with: word(flags))
        bytes.replaceSubrange(6..<8, with: word(written))
        return bytes + tail
    }

    /// The bytes a UDP answer may have.
    public var udpLimit: Int { Int(udpSize ?? 512) }
}

/// An answer to what could not be read: its id and FORMERR; nil when there is not even an id, or it is a response.
public func dnsFormatErrorResponse(to bytes: [UInt8]) -> [UInt8]? {
    guard let header = DNSHeader(bytes), !header.isResponse else { return nil }
    return [bytes[0], bytes[1], 0x80 | bytes[2] & 0x79, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// A query, for tests and probes.
public func dnsQuery(id: UInt16, _ question: DNSQuestion, udpSize: UInt16? = nil) -> [UInt8]? {
    guard let name = encodeDNSName(question.name) else { return nil }
    func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
    var bytes = word(id) + [1, 0, 0, 1, 0, 0, 0, 0, 0, udpSize == nil ? 0 : 1]
    bytes += name + word(question.type.rawValue) + word(question.recordClass)
    if let udpSize { bytes += [0, 0, 41] + word(udpSize) + [0, 0, 0, 0, 0, 0] }
    return bytes
}

extension DNSQuery {
    /// True when a message is a response with this id to this question; only such a one is believed (RFC 5452, 9.1).
    public func isAnswered(by bytes: [UInt8], id: UInt16) -> Bool {
        guard let header = DNSHeader(bytes), header.isResponse, header.id == id,
            header.opcode == self.header.opcode
        else { return false }
        // Some servers send errors without the question.
        if header.questions == 0 { return header.responseCode != 0 && header.answers == 0 }
        guard header.questions == 1 else { return false }
        var reader = DNSReader(bytes, at: 12)
        do throws(DNSFormatError) {
            let answered = DNSQuestion(
                name: try reader.name(), type: DNSType(rawValue: try reader.word()),
                recordClass: try reader.word())
            return answered == question
        } catch {
            return false
        }
    }

    /// A response cut to header and question with TC set, for an asker who takes less than it has.
    public func truncatedResponse(from bytes: [UInt8]) -> [UInt8] {
        let flags = bytes.count >= 4 ? [bytes[2] | 0x02, bytes[3]] : [0x82, 0x80]
        return Array(bytes.prefix(2)) + flags + [0, 1, 0, 0, 0, 0, 0, 0] + questionBytes
    }
}
