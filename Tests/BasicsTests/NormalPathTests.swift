// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Basics

@Suite struct NormalPathTests {
    @Test(arguments: [
        ("/", "/"), ("", "/"), ("/a", "/a"), ("/a/", "/a"), ("//a//b", "/a/b"), ("/a/./b/.", "/a/b"),
        ("/a/../b", "/b"), ("/../../a", "/a"), ("/a/b/../..", "/"),
        ("/.hidden/..name/...", "/.hidden/..name/..."),
        ("a/b", "/a/b"), ("/ä/../ö", "/ö"), ("/a/..b/../c", "/a/c"),
    ])
    func normal(_ path: String, _ expected: String) { #expect(normalPath(path) == expected) }

    @Test func joined() {
        #expect(joinedPath("/srv/app", "./conf/../.env") == "/srv/app/.env")
        #expect(joinedPath("/srv/app", "/etc/../x") == "/x")
        #expect(joinedPath("/srv/app", "") == "/srv/app")
    }
}
