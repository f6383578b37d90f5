// SPDX-License-Identifier: Apache-2.0

import DNSFormat
import Testing

/// A query for `WWW.Example.` with type A, as hex.
private let query: [UInt8] =
    [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + [3] + Array("WWW".utf8) + [7] + Array("Example".utf8)
    + [0, 0, 1, 0, 1]

@Suite struct QueryTests {
    @Test("a query is read in lower case and its spelling kept")
    func read() throws {
        let read = try #require(try DNSQuery(query))
        #expect(read.question == DNSQuestion(name: "www.example", type: .a))
        #expect(read.header.id == 0x1234)
        #expect(read.header.recursionDesired)
        #expect(read.udpLimit == 512)
        #expect(Array(read.questionBytes.prefix(4)) == [3] + Array("WWW".utf8))
    }

    @Test("EDNS gives the size the asker takes, 512 at least", arguments: [(4096, 4096), (100, 512)])
    func edns(size: UInt16, limit: Int) throws {
        let bytes = try #require(dnsQuery(id: 1, DNSQuestion(name: "a", type: .aaaa), udpSize: size))
        let read = try #require(try DNSQuery(bytes))
        #expect(read.udpLimit == limit)
        #expect(try DNSResponse(read.response(.noError, limit: 512)).header.additionals == 1)
    }

    @Test("a response gives back id, question, spelling and the answers")
    func respond() throws {
        let read = try #require(try DNSQuery(query))
        let bytes = read.response(
            .noError, answers: [.address([10, 0, 0, 2]), .address([10, 0, 0, 3])], ttl: 5, limit: 512)
        #expect(Array(bytes.prefix(12)) == [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 2, 0, 0, 0, 0])
        #expect(Array(bytes[12..<29]) == Array(query[12..<29]))
        #expect(Array(bytes[29..<45]) == [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 2])
        let response = try DNSResponse(bytes)
        #expect(response.answers.map(\.data) == [[10, 0, 0, 2], [10, 0, 0, 3]])
        #expect(response.answers.map(\.name) == ["www.example", "www.example"])
        #expect(read.isAnswered(by: bytes, id: 0x1234))
        #expect(!read.isAnswered(by: bytes, id: 0x1235))
        let bytesOfOther = try #require(dnsQuery(id: 0x1234, DNSQuestion(name: "b", type: .a)))
        let other = try #require(try DNSQuery(bytesOfOther))
        #expect(!other.isAnswered(by: bytes, id: 0x1234))
    }

    @Test("what does not fit is left out and TC set")
    func truncate() throws {
        let read = try #require(try DNSQuery(query))
        let answers = (0..<200).map { DNSAnswer.address([10, 0, 0, UInt8($0)]) }
        let short = read.response(.noError, answers: answers, limit: 512)
        #expect(short.count <= 512)
        #expect(DNSHeader(short)?.isTruncated == true)
        #expect(try DNSResponse(short).answers.count == 30)
        let long = read.response(.noError, answers: answers, limit: 65535)
        #expect(DNSHeader(long)?.isTruncated == false)
        #expect(try DNSResponse(read.truncatedResponse(from: long)).answers.isEmpty)
        #expect(DNSHeader(read.truncatedResponse(from: long))?.isTruncated == true)
    }

    @Test("malformed queries get FORMERR or nothing, never more")
    func malformed() throws {
        #expect(try DNSQuery([]) == nil)
        #expect(try DNSQuery([1, 2, 3]) == nil)
        #expect(dnsFormatErrorResponse(to: [1, 2, 3]) == nil)
        var response = query
        response[2] |= 0x80
        #expect(try DNSQuery(response) == nil)
        #expect(dnsFormatErrorResponse(to: response) == nil)
        for broken in [
            Array(query.dropLast(1)), Array(query.prefix(12)),
            Array(query.prefix(12)) + [0xc0, 12, 0, 1, 0, 1],  // points to itself
            Array(query.prefix(12)) + [1, 97, 0xc0, 12, 0, 1, 0, 1],  // to its own beginning
            Array(query.prefix(12)) + [0xc0, 14, 0xc0, 12, 0, 1, 0, 1],  // back and forth
            Array(query.prefix(12)) + [0x80, 0, 0, 1, 0, 1],  // reserved label type
            Array(query.prefix(12)) + (0..<5).flatMap { _ in [63] + [UInt8](repeating: 97, count: 63) } + [
                0, 0, 1, 0, 1,
            ],
        ] {
            #expect(throws: DNSFormatError.self) { try DNSQuery(broken) }
            let answer = try #require(dnsFormatErrorResponse(to: broken))
            #expect(answer.prefix(4) == [0x12, 0x34, 0x81, 0x81])
            #expect(answer.count == 12)
        }
    }

    @Test(
        "names travel and come back",
        arguments: [
            "a", "db.shop_default", "", "a\\046b.c", "\\000\\255", "xn--bcher-kva.example",
            String(repeating: "a", count: 63),
        ])
    func names(name: String) throws {
        let bytes = try #require(encodeDNSName(name))
        var reader = DNSReader(bytes, at: 0)
        #expect(try reader.name() == name)
        #expect(reader.offset == bytes.count)
    }

    @Test(
        "names that cannot travel are refused",
        arguments: [
            "a..b", ".a", String(repeating: "a", count: 64), "\\1", "\\999", "a\\",
            String(repeating: "a.", count: 130),
        ])
    func badNames(name: String) {
        #expect(encodeDNSName(name) == nil)
    }

    @Test("a pointer to a name that cannot travel is left out")
    func longPointer() throws {
        let read = try #require(try DNSQuery(query))
        let name = String(repeating: "a", count: 64) + ".net"
        #expect(
            read.response(.noError, answers: [.pointer(name), .pointer("a.b")], limit: 512)
                == read.response(.noError, answers: [.pointer("a.b")], limit: 512))
    }

    @Test("random bytes and damaged messages never crash the readers")
    func fuzz() throws {
        var random = SystemRandomNumberGenerator()
        let good = try #require(try DNSQuery(query)).response(
            .noError, answers: [.address([1, 2, 3, 4]), .pointer("a.b")], limit: 512)
        for round in 0..<20_000 {
            var bytes = round % 3 == 0 ? query : good
            if round % 3 == 2 {
                bytes = (0..<Int.random(in: 0...64)).map { _ in .random(in: 0...255, using: &random) }
            } else {
                for _ in 0..<3 {
                    bytes[.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                }
                bytes.removeLast(.random(in: 0..<bytes.count, using: &random))
            }
            if let read = try? DNSQuery(bytes) {
                #expect(read.response(.noError, answers: [.address([1, 2, 3, 4])], limit: 512).count <= 512)
                _ = read.isAnswered(by: bytes, id: 0)
            }
            _ = try? DNSResponse(bytes)
            _ = dnsFormatErrorResponse(to: bytes)
        }
    }
}
