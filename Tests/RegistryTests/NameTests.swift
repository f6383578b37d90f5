// SPDX-License-Identifier: Apache-2.0

import Basics
import Testing

@testable import Registry

@Suite("names")
struct NameTests {
    static let digest = "sha256:" + String(repeating: "a", count: 64)

    @Test(
        "a name is filled in as Docker does",
        arguments: [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("someone/app", "docker.io/someone/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("127.0.0.1:5000/a/b_c/d-e__f", "127.0.0.1:5000/a/b_c/d-e__f:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("Registry/app", "Registry/app:latest"),
            ("example.test/app:v1@\(NameTests.digest)", "example.test/app@\(NameTests.digest)"),
            ("app@\(NameTests.digest)", "docker.io/library/app@\(NameTests.digest)"),
        ])
    func names(text: String, long: String) throws {
        #expect(try RegistryName(text).text == long)
        #expect(try RegistryName(long) == RegistryName(text))
    }

    @Test(
        "what could be read two ways is no name",
        arguments: [
            "", "/", "App", "app:", "app:-x", "app@sha256:12", "app@md5:00", "a//b", "-a", "a-", "a..b",
            "a___b",
            "example.test:0/app", "example.test:99999/app", "user@example.test/app",
            "http://example.test/app", "a b", "a/../b", "example.test/a\nb", "[::1/app",
            "a:" + String(repeating: "x", count: 129),
        ])
    func refused(text: String) {
        #expect(throws: Failure.self) { try RegistryName(text) }
    }

    @Test("an URL is read as curl reads it, or not at all")
    func urls() throws {
        let url = try #require(HTTPURL("https://Example.test:8443/a/b?c=d#e"))
        #expect(url.text == "https://example.test:8443/a/b?c=d")
        #expect(HTTPURL("http://example.test:80/x")?.text == "http://example.test/x")
        #expect(HTTPURL("https://example.test")?.path == "/")
        for bad in [
            "ftp://x/", "https://user:pw@x/", "https://x\\@y/", "https:///a", "https://x:/", "https://x y/",
            "//x/",
        ] {
            #expect(HTTPURL(bad) == nil, "\(bad)")
        }
        #expect(url.resolving("/z")?.text == "https://example.test:8443/z")
        #expect(url.resolving("z")?.text == "https://example.test:8443/a/z")
        #expect(url.resolving("//other.test/z")?.text == "https://other.test/z")
        #expect(url.resolving("http://other.test/z")?.isSecure == false)
        #expect(url.resolving("ftp://other.test/z") == nil)
        #expect(!url.hasSameOrigin(as: try #require(HTTPURL("https://example.test/"))))
    }

    @Test("loopback is what stands for this machine, not what begins like it")
    func loopback() {
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:5000", "[::1]:5000"] {
            #expect(HTTPURL.isLoopback(host), "\(host)")
        }
        for host in [
            "localhost.example.test", "127.0.0.1.example.test", "127.example.test", "128.0.0.1", "[::2]",
        ] {
            #expect(!HTTPURL.isLoopback(host), "\(host)")
        }
    }

    @Test("challenges are read with their quotes and commas")
    func challenges() {
        let parsed = Challenge.parse(
            #"Bearer realm="https://auth.test/token",service="a, b",scope="repository:x:pull,push", Basic realm=plain"#
        )
        #expect(
            parsed == [
                Challenge(
                    scheme: "bearer",
                    parameters: [
                        "realm": "https://auth.test/token", "service": "a, b",
                        "scope": "repository:x:pull,push",
                    ]),
                Challenge(scheme: "basic", parameters: ["realm": "plain"]),
            ])
        #expect(Challenge.parse("") == [])
        #expect(Challenge.parse("=,=\"") == [])
    }

    @Test("base64 both ways", arguments: ["", "a", "ab", "abc", "user:pässword"])
    func base64s(text: String) {
        #expect(unbase64(base64(text)) == text)
    }
}
