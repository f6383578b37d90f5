// SPDX-License-Identifier: Apache-2.0
//
// Places that Dockerfiles and Compose files name: repositories, build caches.

import Basics
import Testing

@testable import ImageBuild

@Test(
    "a repository is told from other sources, and read as Docker's builder reads it",
    arguments: [
        ("https://h/p.git", "https://h/p.git - -"), ("https://h/p.git#v1:a/./b/", "https://h/p.git v1 a/b"),
        ("https://h/p.git#:d", "https://h/p.git - d"), ("git@h:p/q.git#x", "git@h:p/q.git x -"),
        ("ssh://git@h:22/p#refs/pull/1/head", "ssh://git@h:22/p refs/pull/1/head -"),
        ("http://127.0.0.1:80/p.git", "http://127.0.0.1:80/p.git - - plain loopback"),
        ("git://h/p", "git://h/p - - plain"),
        ("http://[::1]:80/p.git", "http://[::1]:80/p.git - - plain loopback"),
        ("http://127.0.0.1.h/p.git", "http://127.0.0.1.h/p.git - - plain"),
    ])
func repositories(text: String, expected: String) throws {
    #expect(GitReference.isGit(text))
    let read = try GitReference(text, doing: "test")
    var told = "\(read.url) \(read.revision ?? "-") \(read.directory.isEmpty ? "-" : read.directory)"
    if read.isPlain { told += " plain" }
    if read.isLoopback { told += " loopback" }
    #expect(told == expected)
}

@Test(
    "what git could read as something else is refused",
    arguments: [
        "https://u:p@h/p.git", "https://u@h/p.git", "ssh://-oProxyCommand=x/p", "ssh://u:p@h/p", "ssh:///p",
        "git@-h:p", "git@h", "git@h:", "https://h/p.git#-x", "https://h/p.git#a b", "https://h/p.git#a:../b",
        "https://h/p.git#a@{0}", "https://h/p.git#a*", "git+file:///p", "https://h /p.git",
        "https://h/p.git?branch=x", "https:///p.git",
    ])
func badRepositories(text: String) {
    #expect(throws: Failure.self) { try GitReference(text, doing: "test") }
}

@Test("files and contexts are no repositories")
func others() {
    for text in [
        "https://h/p.tar", "https://h/p.git/x", "p.git", "/p.git", "https://h/p?x=.git#y", "file:///p.git",
    ] {
        #expect(!GitReference.isGit(text), "\(text)")
    }
    #expect(GitReference.isGit("git@h:p"))
}

@Test("a cache's place is read as Compose and buildx write it")
func caches() throws {
    let plain = try CacheReference("host/cache:1", isTarget: false)
    #expect(plain.place == .registry("host/cache:1"))
    let target = try CacheReference(
        "type=registry,ref=h/c:1,mode=max,ignore-error=true,oci-mediatypes=true", isTarget: true)
    #expect(target.place == .registry("h/c:1") && target.mode == .max && target.ignoresErrors)
    let local = try CacheReference("type=local,src=a/b,tag=x", isTarget: false)
    #expect(local.place == .directory("a/b", tag: "x"))
    #expect(try CacheReference("type=local,dest=/c", isTarget: true).place == .directory("/c", tag: "latest"))
    for text in [
        "type=gha", "type=inline", "type=local", "type=local,dest=", "type=registry,ref=a,ref=b", "ref=a",
        "type=registry,ref=a,mode=x", "type=local,dest=a,compression=zstd", "type=registry,x,ref=a", "=a",
    ] {
        #expect(throws: Failure.self, "\(text)") { try CacheReference(text, isTarget: true) }
    }
    #expect(throws: Failure.self) { try CacheReference("type=local,dest=a", isTarget: false) }
}

@Test(
    "a URL's file has the name its path ends in",
    arguments: [
        ("https://h/a/b.tar?x=/y#z", "b.tar"), ("https://h/a%20b", "a b"), ("https://h/", nil),
        ("https://h", nil),
        ("https://h/a/", "a"),
    ] as [(String, String?)])
func names(url: String, name: String?) throws { #expect(try StageRun.fileName(url) == name) }

@Test(
    "a URL whose file would be another is refused",
    arguments: ["https://h/%2e%2e", "https://h/a%2fb", "https://h/%zz", "https://h/%00"])
func badNames(url: String) { #expect(throws: Failure.self) { try StageRun.fileName(url) } }
