// SPDX-License-Identifier: Apache-2.0
//
// Codable values through our coders, and the same through FoundationEssentials' as the other opinion.

import FoundationEssentials
import JSONFormat
import Testing

private enum Source: Codable, Hashable {
    case named(String)
    case pair(first: Int, second: [UInt8])
    case nothing
}

private enum Level: String, Codable { case low, high }

private struct Everything: Codable, Hashable {
    var text = "é\"\n"
    var missing: String?
    var there: String? = "x"
    var yes = true
    var small: Int8 = -128
    var large = UInt64.max
    var port: UInt16 = 65535
    var ratio = 0.1
    var whole = 3.0
    var list = ["b", "a"]
    var optionals: [Int?] = [1, nil]
    var map = ["z": [1], "a": []]
    var byNumber = [2: "two", 1: "one"]
    var sources: [Source] = [.named("n"), .pair(first: 1, second: [0, 255]), .nothing]
    var level = Level.high
    var nested: [[String: Double]] = [["x": 1e-7], [:]]
}

private final class Base: Codable { var value = 1 }

@Suite("JSON coding")
struct JSONCodingTests {
    @Test("a value comes back as it went")
    func roundTrip() throws {
        let value = Everything()
        #expect(try decodeJSON(Everything.self, from: encodeJSON(value)) == value)
        #expect(try decodeJSON(Everything.self, from: encodeJSON(value, indented: true)) == value)
    }

    @Test("Foundation writes the same bytes with sorted keys, and both read the other's")
    func foundation() throws {
        let value = Everything()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let theirs = Array(try encoder.encode(value))
        let ours = try encodeJSON(value)
        #expect(String(decoding: ours, as: UTF8.self) == String(decoding: theirs, as: UTF8.self))
        #expect(try decodeJSON(Everything.self, from: theirs) == value)
        #expect(try JSONDecoder().decode(Everything.self, from: Data(ours)) == value)
    }

    @Test("fragments: a text need not be an object")
    func fragments() throws {
        #expect(try encodeJSON("x") == Array(#""x""#.utf8))
        #expect(try decodeJSON([Int].self, from: Array("[1,2]".utf8)) == [1, 2])
        #expect(try decodeJSON(Base.self, from: encodeJSON(Base())).value == 1)
    }

    @Test("numbers JSON does not have are refused", arguments: [Double.nan, .infinity, -.infinity])
    func notFinite(value: Double) {
        #expect(throws: EncodingError.self) { _ = try encodeJSON([value]) }
    }

    @Test(
        "what is not of the type is refused with the way to it",
        arguments: [
            (#"{"items":[{"port":1}, {"port":"x"}]}"#, "items.1.port"),
            (#"{"items":[{"port":70000}]}"#, "items.0.port"),
            (#"{"items":[{"port":1.5}]}"#, "items.0.port"), (#"{"items":[{"port":-1}]}"#, "items.0.port"),
            (#"{"items":[{"port":null}]}"#, "items.0.port"), (#"{"items":[{}]}"#, "items.0"),
            (#"{"items":{}}"#, "items"),
            (#"{}"#, ""), ("[]", ""),
        ])
    func mismatch(text: String, path: String) {
        struct Item: Codable { var port: UInt16 }
        struct List: Codable { var items: [Item] }
        #expect {
            _ = try decodeJSON(List.self, from: Array(text.utf8))
        } throws: { error in
            guard let error = error as? DecodingError else { return false }
            let context: DecodingError.Context
            switch error {
            case .keyNotFound(_, let at), .typeMismatch(_, let at), .valueNotFound(_, let at),
                .dataCorrupted(let at):
                context = at
            @unknown default: return false
            }
            return context.codingPath.map(\.stringValue).joined(separator: ".") == path
        }
    }

    @Test("a whole number written with a point fits an integer")
    func wholeNumbers() throws {
        #expect(try decodeJSON([Int].self, from: Array("[1.0, 2e3]".utf8)) == [1, 2000])
    }
}
