// SPDX-License-Identifier: Apache-2.0

import JSONFormat
import Testing

private func parsed(_ text: String) throws -> JSONValue { try parseJSON(Array(text.utf8)) }

private func written(_ value: JSONValue) -> String {
    var bytes: [UInt8] = []
    value.write(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
}

private func nested(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
}

@Suite("JSON text")
struct JSONTextTests {
    @Test(
        "a text is read as RFC 8259 says",
        arguments: [
            ("null", .null), (" true\n", .bool(true)), ("\tfalse\r", .bool(false)),
            ("0", .integer(0)), ("-0", .integer(0)), ("-17", .integer(-17)),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("18446744073709551615", .unsigned(.max)),
            ("18446744073709551616", .double(18_446_744_073_709_551_616)),
            ("0.5", .double(0.5)), ("1e3", .double(1000)), ("1E+2", .double(100)),
            ("-2.5e-1", .double(-0.25)),
            (#""""#, .string("")), (#""a/b""#, .string("a/b")),
            (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{c}\n\r\t")),
            (#""\u00e9\u20AC""#, .string("é€")), (#""\ud83d\ude00""#, .string("😀")),
            ("\"é😀\"", .string("é😀")),
            (#""\u0000""#, .string("\0")), ("\u{FEFF}1", .integer(1)),
            ("[]", .array([])), ("[ 1 , 2 ]", .array([.integer(1), .integer(2)])),
            ("{}", .object([])),
            (#"{"a":1, "b" : [null]}"#, .object([.init("a", .integer(1)), .init("b", .array([.null]))])),
        ] as [(String, JSONValue)])
    func reads(text: String, value: JSONValue) throws {
        #expect(try parsed(text) == value)
    }

    @Test(
        "a text that is no JSON is refused with its place",
        arguments: [
            ("", 0), ("  ", 2), ("nul", 0), ("True", 0), ("01", 0), ("-01", 1), ("+1", 0), (".5", 0),
            ("1.", 2),
            ("1e", 2), ("1e+", 3), ("-", 1), ("0x10", 1), ("NaN", 0), ("Infinity", 0), ("1e999", 0),
            ("1 2", 2),
            ("[1,]", 3), ("[1 2]", 3), ("[", 1), ("]", 0), ("{\"a\"}", 4), ("{\"a\":}", 5), ("{a:1}", 1),
            ("{\"a\":1,}", 7), ("{'a':1}", 1), ("{\"a\":1 \"b\":2}", 7), ("\"a", 2), ("\"a\nb\"", 2),
            (#""\x41""#, 2), (#""\u12g4""#, 5), (#""\ud800""#, 7), (#""\ud800\u0041""#, 13),
            (#""\udc00""#, 7),
            ("// note\n1", 0), ("[1] // note", 4),
        ])
    func refuses(text: String, offset: Int) {
        #expect { _ = try parsed(text) } throws: { ($0 as? JSONSyntaxError)?.offset == offset }
    }

    @Test("bytes that are not UTF-8 are refused, escaped or not")
    func encoding() {
        for bytes: [UInt8] in [
            [0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x22, 0x5C, 0x6E, 0xED, 0xA0, 0x80, 0x22],
        ] {
            #expect(throws: JSONSyntaxError.self) { _ = try parseJSON(bytes) }
        }
    }

    @Test("512 arrays in each other are read, 513 and 100,000 are refused")
    func depth() throws {
        _ = try parsed(nested(512))
        #expect {
            _ = try parsed(nested(513))
        } throws: {
            ($0 as? JSONSyntaxError)?.problem == "nested deeper than 512"
        }
        #expect(throws: JSONSyntaxError.self) { _ = try parsed(nested(100_000)) }
    }

    @Test(
        "what is read and written is the same text",
        arguments: [
            #"{"b":[1,-2,0.5,1e+30],"a":{"":null},"c":"\" \\ / \b\f\n\r\t\u0001\u001f é 😀"}"#,
            "18446744073709551615",
            "[true,false,{}]",
        ])
    func roundTrip(text: String) throws {
        #expect(written(try parsed(text)) == text)
    }

    @Test("indented, a member or item stands on a line of its own")
    func indented() throws {
        var bytes: [UInt8] = []
        try parsed(#"{"a":[1,{"b":[]}],"c":{}}"#).write(to: &bytes, indentation: 0)
        #expect(
            String(decoding: bytes, as: UTF8.self) == """
                {
                  "a": [
                    1,
                    {
                      "b": []
                    }
                  ],
                  "c": {}
                }
                """)
    }

    @Test("of members with one name the last counts")
    func duplicates() throws {
        #expect(try parsed(#"{"a":1,"a":2}"#)["a"] == .integer(2))
        #expect(try parsed(#"{"a":1}"#)["b"] == nil)
    }

    @Test("a text cut or changed anywhere is read or refused, never more")
    func mutations() {
        let text = Array(#"{"a":[1,2.5,"x\u00e9\n",true,null],"b":{"c":-1e5}}"#.utf8)
        for end in 0..<text.count { _ = try? parseJSON(Array(text[..<end])) }
        for position in text.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[position] = byte
                _ = try? parseJSON(changed)
            }
        }
    }
}
