// SPDX-License-Identifier: Apache-2.0
//
// DNSFormat: DNS messages ↔ values (RFC 1035, EDNS of RFC 6891). Pure. Names are kept as lower-case text of labels
// joined by dots; labels with bytes that are not plain host-name characters are escaped as `\DDD` (RFC 1035, 5.1), so
// that a name never means two things. Resolving, caching and sockets are `Networking`'s.

/// Why bytes are no DNS message.
public enum DNSFormatError: Error, Equatable, Sendable {
    /// Shorter than its own counts say.
    case truncated
    /// A label over 63 bytes, a name over 255, or a compression pointer that does not point backwards.
    case badName
}

/// Record types; values of RFC 1035, 3.2.2, and later ones.
public struct DNSType: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let a = DNSType(rawValue: 1)
    public static let ns = DNSType(rawValue: 2)
    public static let cname = DNSType(rawValue: 5)
    public static let soa = DNSType(rawValue: 6)
    public static let ptr = DNSType(rawValue: 12)
    public static let aaaa = DNSType(rawValue: 28)
    public static let opt = DNSType(rawValue: 41)
    public static let any = DNSType(rawValue: 255)
}

public enum DNSResponseCode: UInt8, Sendable {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    case nameError = 3
    case notImplemented = 4
    case refused = 5
}

/// The twelve bytes every message begins with.
public struct DNSHeader: Hashable, Sendable {
    public var id: UInt16
    /// QR, opcode, AA, TC, RD, RA, Z and RCODE as they travel.
    public var flags: UInt16
    public var questions: UInt16
    public var answers: UInt16
    public var authorities: UInt16
    public var additionals: UInt16

    /// From a message's first bytes; nil when there are fewer than twelve.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count >= 12 else { return nil }
        func word(_ i: Int) -> UInt16 { UInt16(bytes[i]) << 8 | UInt16(bytes[i + 1]) }
        id = word(0)
        flags = word(2)
        questions = word(4)
        answers = word(6)
        authorities = word(8)
        additionals = word(10)
    }

    public var isResponse: Bool { flags & 0x8000 != 0 }
    public var opcode: UInt8 { UInt8(flags >> 11 & 15) }
    public var isTruncated: Bool { flags & 0x0200 != 0 }
    public var recursionDesired: Bool { flags & 0x0100 != 0 }
    public var responseCode: UInt8 { UInt8(flags & 15) }
}

/// What is asked.
public struct DNSQuestion: Hashable, Sendable {
    /// Lower case, no dot at the end; the root is empty.
    public var name: String
    public var type: DNSType
    /// 1 is the Internet.
    public var recordClass: UInt16

    public init(name: String, type: DNSType, recordClass: UInt16 = 1) {
        self.name = name
        self.type = type
        self.recordClass = recordClass
    }
}

/// A query as a name service needs it: header, one question, and the requester's EDNS size.
public struct DNSQuery: Hashable, Sendable {
    public var header: DNSHeader
    public var question: DNSQuestion
    /// The question as it travelled, with the asker's spelling, to be given back (RFC 4343 and 0x20 mixing).
    public var questionBytes: [UInt8]
    /// What the asker takes over UDP; nil without EDNS, which means 512.
    public var udpSize: UInt16?

    /// Reads a query; nil for what deserves no answer (a response, or no header).
    /// - Throws: what deserves FORMERR.
    public init?(_ bytes: [UInt8]) throws(DNSFormatError) {
        guard let header = DNSHeader(bytes), !header.isResponse else { return nil }
        guard header.questions == 1 else { throw .truncated }
        self.header = header
        var reader = DNSReader(bytes, at: 12)
        let name = try reader.name()
        question = DNSQuestion(
            name: name, type: DNSType(rawValue: try reader.word()), recordClass: try reader.word())
        // A compressed name in a question could only point into the header.
        questionBytes = Array(bytes[12..<reader.offset])
        let records = Int(header.answers) + Int(header.authorities) + Int(header.additionals)
        guard records <= 64 else { throw .truncated }
        for _ in 0..<records {
            let record = try reader.record()
            // RFC 6891, 6.1.2: the class of OPT is the size; below 512 means 512.
            if record.type == .opt { udpSize = max(512, record.recordClass) }
        }
    }
}

/// A resource record as read; its data may hold compressed names, so it is given with its place in the message.
public struct DNSRecord: Hashable, Sendable {
    public var name: String
    public var type: DNSType
    public var recordClass: UInt16
    /// Seconds.
    public var ttl: UInt32
    public var data: [UInt8]
}

/// A whole response, for tests and for reading what upstream servers say.
public struct DNSResponse: Hashable, Sendable {
    public var header: DNSHeader
    public var questions: [DNSQuestion]
    public var answers: [DNSRecord]

    public init(_ bytes: [UInt8]) throws(DNSFormatError) {
        guard let header = DNSHeader(bytes) else { throw .truncated }
        self.header = header
        var reader = DNSReader(bytes, at: 12)
        questions = []
        answers = []
        for _ in 0..<header.questions {
            let name = try reader.name()
            questions.append(
                DNSQuestion(
                    name: name, type: DNSType(rawValue: try reader.word()), recordClass: try reader.word()))
        }
        for _ in 0..<header.answers { answers.append(try reader.record()) }
    }
}
