// SPDX-License-Identifier: Apache-2.0

import Basics
import CLinux
import Kernel
import Testing

@testable import Registry

@Suite("files by URL")
struct DownloadTests {
    private func access(stall: Duration = .seconds(5), attempts: Int = 3) -> RegistryAccess {
        var settings = RegistrySettings()
        settings.stall = stall
        settings.attempts = attempts
        return RegistryAccess(settings, CredentialFile(environment: ["HOME": "/nonexistent"]))
    }

    private func fetch(
        _ url: String, known: RemoteFileFacts? = nil, limit: Int64 = 1 << 20, pinned: Bool = false,
        stall: Duration = .seconds(5)
    ) throws -> (facts: RemoteFileFacts?, bytes: String) {
        let file = SharedFD(try memoryFile("download"))
        let facts = try access(stall: stall).download(
            url, known: known, limit: limit, allowsPlainHTTP: pinned, into: file, alive: {})
        lseek(file.raw, 0, SEEK_SET)
        return (facts, String(decoding: try readAll(file.raw), as: UTF8.self))
    }

    private func cause(_ url: String, limit: Int64 = 1 << 20, stall: Duration = .seconds(5)) -> String {
        do {
            _ = try fetch(url, limit: limit, stall: stall)
            return "it was fetched"
        } catch { return (error as? Failure)?.cause ?? "\(error)" }
    }

    @Test("a file comes with what the server says of it, and is asked for by that the next time")
    func validators() throws {
        let server = try ScriptedServer { request in
            if request.headers["if-none-match"] == "\"1\"" { return .status(304) }
            return .status(200, ["ETag": "\"1\"", "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"], "hello")
        }
        let (facts, bytes) = try fetch("http://\(server.host)/f")
        #expect(bytes == "hello" && facts?.entityTag == "\"1\"" && facts?.modified == 784_111_777)
        #expect(facts?.digest == Digest(of: "hello".utf8))
        #expect(try fetch("http://\(server.host)/f", known: facts).facts == nil)
        #expect(server.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test("a redirect is followed, never out of TLS into the open, and not in circles")
    func redirects() throws {
        let other = try ScriptedServer { _ in .status(200, [:], "there") }
        let place = other.host
        let server = try ScriptedServer { request in
            switch request.path {
            case "/circle": .status(302, ["Location": "/circle"])
            case "/nowhere": .status(302)
            case "/open": .status(302, ["Location": "http://192.0.2.1/f"])
            case "/file": .status(302, ["Location": "file:///etc/passwd"])
            default: .status(301, ["Location": "http://\(place)/f"])
            }
        }
        #expect(try fetch("http://\(server.host)/").bytes == "there")
        #expect(cause("http://\(server.host)/circle").contains("circles"))
        #expect(cause("http://\(server.host)/nowhere").contains("no place"))
        #expect(cause("http://\(server.host)/file").contains("no place"))
        #expect(
            cause("http://\(server.host)/open").contains(
                "redirects to http://192.0.2.1/f, which is plain HTTP"))
    }

    @Test("what breaks is tried again from the start; what is too large, silent or no answer is an error")
    func bad() throws {
        let server = try ScriptedServer { request in
            switch request.path {
            case "/cut": Reply(body: Array("0123456789".utf8), manner: .cut(4))
            case "/large": .status(200, [:], String(repeating: "x", count: 200))
            case "/endless": Reply(manner: .endless)
            case "/silent": Reply(manner: .silent)
            case "/trickle": Reply(manner: .trickle)
            case "/busy": .status(503, ["Retry-After": "0"])
            case "/closed": .status(503, ["Retry-After": "7200"])
            default: .status(403)
            }
        }
        let base = "http://\(server.host)"
        #expect(cause("\(base)/cut").contains("3 times"))
        #expect(server.requests("/cut").count == 3)
        #expect(cause("\(base)/busy").contains("503, 3 times"))
        #expect(cause("\(base)/closed") == "the server answered 503")
        #expect(server.requests("/closed").count == 1)
        #expect(cause("\(base)/large", limit: 100).contains("larger than the 100 bytes"))
        #expect(cause("\(base)/endless", limit: 1 << 20).contains("larger than"))
        #expect(cause("\(base)/silent", stall: .seconds(1)).contains("stalled"))
        #expect(cause("\(base)/trickle", stall: .seconds(1)).contains("stalled"))
        #expect(cause("\(base)/other").contains("403"))
        for url in ["http://u:p@127.0.0.1/f", "http://a b/", "gopher://x/y", "http://127.0.0.1\\@x/"] {
            #expect(cause(url).contains("read one way only"), "\(url)")
        }
        #expect(cause("http://192.0.2.1/f").contains("plain HTTP"))
    }

    @Test(
        "dates of the web",
        arguments: [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Fri, 31 Dec 2049 23:59:59 GMT", 2_524_607_999), ("yesterday", nil),
            ("Sun, 06 Nov 1994 25:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:49:37 CET", nil),
        ] as [(String, Int64?)])
    func dates(text: String, seconds: Int64?) { #expect(parseHTTPDate(text) == seconds) }
}
