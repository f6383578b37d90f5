// SPDX-License-Identifier: Apache-2.0

import Basics
import Kernel
import OCIFormats
import Testing

@testable import Images
@testable import Registry

@Suite("credentials")
struct CredentialTests {
    let place: Workplace
    let image: PlayedImage

    init() throws {
        place = try Workplace()
        image = try PlayedImage(["one", "two", "three", "four"])
    }

    private func config(_ host: String) -> String {
        #"{"auths":{"\#(host)":{"auth":"\#(base64("me:secret"))"}}}"#
    }

    @Test("a token is got once with the credential, and serves all requests of the repository")
    func bearer() throws {
        let image = image
        let tokens = try ScriptedServer { _ in .status(200, [:], #"{"token":"let-me-in","expires_in":300}"#) }
        let realm = "http://\(tokens.host)/token"
        let server = try ScriptedServer { request in
            request.headers["authorization"] == "Bearer let-me-in"
                ? image.answer(request)
                : .status(
                    401, ["WWW-Authenticate": #"Bearer realm="\#(realm)",service="the registry",scope="x""#])
        }
        let access = try place.access(config(server.host))
        _ = try place.pull("\(server.host)/some/app:1", access)
        let asked = tokens.requests
        // Layers that begin at once may each find out that they need one; never one a request.
        #expect(!asked.isEmpty && asked.count <= 1, "\(asked.map(\.path))")
        #expect(
            asked.first?.path == "/token?service=the%20registry&scope=repository:some/app:pull&account=me")
        #expect(asked.first?.headers["authorization"] == "Basic \(base64("me:secret"))")
        #expect(
            server.requests.allSatisfy {
                $0.headers["authorization"].map { $0 == "Bearer let-me-in" } ?? true
            })
    }

    @Test("Basic where the registry wants that; a wrong password is told, not tried again")
    func basic() throws {
        let image = image
        let server = try ScriptedServer { request in
            request.headers["authorization"] == "Basic \(base64("me:secret"))"
                ? image.answer(request)
                : .status(
                    401, ["WWW-Authenticate": #"Basic realm="r""#],
                    #"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#)
        }
        #expect(try place.pull("\(server.host)/app:1", place.access(config(server.host))).isNew)
        let other = try Workplace()
        let wrong = #"{"auths":{"\#(server.host)":{"username":"me","password":"wrong"}}}"#
        let failure = try #require(throws: Failure.self) {
            try other.pull("\(server.host)/app:1", other.access(wrong))
        }
        #expect(failure.cause?.contains("401: who are you") == true, "\(failure)")
        #expect(failure.advice?.contains("covey login \(server.host)") == true)
        #expect(
            server.requests("/v2/app/manifests/").filter {
                $0.headers["authorization"] == "Basic \(base64("me:wrong"))"
            }.count == 1)
    }

    @Test("no credential goes along to another host, and none goes to one that asks")
    func leak() throws {
        let image = image
        let storage = try ScriptedServer { request in
            // It even asks for one, once.
            if request.path.contains("ask") { return .status(401, ["WWW-Authenticate": #"Basic realm="r""#]) }
            var own = request
            own.path = "/v2/app/blobs/" + (request.path.split(separator: "/").last.map(String.init) ?? "")
            return image.answer(own)
        }
        let server = try ScriptedServer { request in
            guard request.headers["authorization"] == "Basic \(base64("me:secret"))" else {
                return .status(401, ["WWW-Authenticate": #"Basic realm="r""#])
            }
            guard request.path.contains("/blobs/") else { return image.answer(request) }
            let name = request.path.split(separator: "/").last.map(String.init) ?? ""
            return .status(307, ["Location": "http://\(storage.host)/elsewhere/\(name)"])
        }
        #expect(try place.pull("\(server.host)/app:1", place.access(config(server.host))).isNew)
        #expect(!storage.requests.isEmpty)
        #expect(
            storage.requests.allSatisfy { $0.headers["authorization"] == nil && $0.headers["cookie"] == nil })

        let asking = try ScriptedServer { request in
            guard request.headers["authorization"] != nil else {
                return .status(401, ["WWW-Authenticate": #"Basic realm="r""#])
            }
            return .status(307, ["Location": "http://\(storage.host)/ask"])
        }
        let other = try Workplace()
        #expect(throws: Failure.self) {
            try other.pull("\(asking.host)/app:1", other.access(config(asking.host)))
        }
        #expect(storage.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test("the file is read as Docker writes it, and what is not ours in it stays")
    func file() throws {
        let path = "\(place.path)/config.json"
        try writeFile(
            path,
            #"{"HttpHeaders":{"a":"b"},"auths":{"https://index.docker.io/v1/":{"auth":"bWU6cHc="},"other.test":{"identitytoken":"t"}}}"#
                .utf8)
        let file = CredentialFile(environment: ["DOCKER_CONFIG": place.path])
        #expect(try file.credential(for: "docker.io") == Credential(user: "me", secret: "pw"))
        #expect(try file.credential(for: "other.test")?.isToken == true)
        #expect(try file.credential(for: "none.test") == nil)
        #expect(try file.store(Credential(user: "u", secret: "p:q"), for: "new.test:5000") == path)
        #expect(try file.credential(for: "new.test:5000") == Credential(user: "u", secret: "p:q"))
        #expect(try fileStatus(path).st_mode & 0o777 == 0o600)
        #expect(try file.erase("new.test:5000"))
        #expect(try !file.erase("new.test:5000"))
        let text = try readText(path)
        #expect(text.contains("HttpHeaders") && text.contains("other.test"), "\(text)")
        try writeFile(path, #"{"credsStore":"../../bin/x"}"#.utf8)
        let failure = try #require(throws: Failure.self) { try file.credential(for: "any.test") }
        #expect(failure.cause?.contains("`/`") == true)
        try writeFile(path, #"{"credHelpers":{"any.test":"covey-none-such"}}"#.utf8)
        #expect(throws: Failure.self) { try file.credential(for: "any.test") }
        #expect(try file.credential(for: "docker.io") == nil)
    }

    @Test("registries.conf is read as containers' tools read it, and what is not understood is refused")
    func settings() throws {
        var settings = RegistrySettings()
        try settings.add(
            """
            unqualified-search-registries = ["docker.io",
              "example.test"]  # names without a host: not ours
            short-name-mode = 'permissive'
            [aliases]
            "x" = "docker.io/library/x"
            [[registry]]
            prefix = "one.test/team"
            location = "inner.test:5000/mirrored"
            insecure = true
            [[registry.mirror]]
            location = "near.test"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "*.blocked.test"
            blocked = true
            """, path: "x.conf")
        let name = try RegistryName("one.test/team/app:1")
        #expect(
            try settings.places(for: name, pulling: true)
                == [RegistryPlace(host: "inner.test:5000", repository: "mirrored/app", isInsecure: true)])
        #expect(
            try settings.places(for: name.pinned(to: Digest(of: [])), pulling: true).first?.host
                == "near.test")
        #expect(
            try settings.places(for: RegistryName("one.test/teamwork/app"), pulling: true).first?.host
                == "one.test")
        #expect(throws: Failure.self) {
            try settings.places(for: RegistryName("a.blocked.test/x"), pulling: true)
        }
        for bad in [
            "[[registry]]", "[[registry]]\nprefix = 1", "[[registry]]\nlocation = \"a\"\nfoo = true", "[x",
            "a = ", "[[registry.mirror]]\nlocation=\"a\"", "[other]", "a = \"b\" c",
        ] {
            var settings = RegistrySettings()
            #expect(throws: Failure.self, "\(bad)") { try settings.add(bad, path: "x.conf") }
        }
    }
}
