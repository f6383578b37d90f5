// SPDX-License-Identifier: Apache-2.0
//
// Keys of ssh-keygen, asked for and signed with through OpenSSH's own programs; and what an agent must not take.

import CLinux
import Glibc
import Kernel
import Testing

@testable import SSHAgent

/// A directory with keys that ssh-keygen made.
private final class Keys {
    let path: String

    init() throws {
        path = "/var/tmp/covey-agent-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try ensureDirectory(path, mode: 0o700)
    }

    deinit { try? removeTree(path) }

    /// Makes a key and gives the text of its file.
    func make(_ name: String, _ kind: String, passphrase: String = "") throws -> String {
        #expect(sh("ssh-keygen -q -t \(kind) -N '\(passphrase)' -C '\(name) key' -f \(path)/\(name)") == 0)
        return try readText("\(path)/\(name)")
    }

    /// Of a text; reading a file itself would forbid the tests' process to leave a core.
    static func secret(_ text: String) -> SecretBytes { SecretBytes(text.utf8) }

    @discardableResult
    func sh(_ line: String) -> Int32 { system("cd \(path) && { \(line); } >out 2>&1") }
    var output: String { (try? readText("\(path)/out")) ?? "" }
}

@Suite(
    "an SSH agent for key files",
    .enabled(if: access("/usr/bin/ssh-keygen", X_OK) == 0 || getenv("CI") != nil, "needs openssh-client"))
struct SSHAgentTests {
    static let kinds = [
        "ed25519", "rsa -b 2048", "rsa -b 3072", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521",
    ]

    @Test("OpenSSH lists its keys and has them sign what OpenSSH then verifies")
    func signatures() throws {
        let keys = try Keys()
        var files: [String] = []
        for (index, kind) in Self.kinds.enumerated() { files.append(try keys.make("k\(index)", kind)) }
        let server = try AgentServer(try KeyRing(files.map(Keys.secret)), in: keys.path)
        let agent = "SSH_AUTH_SOCK=\(server.path)"
        keys.sh("\(agent) ssh-add -L")
        for index in Self.kinds.indices {
            let line = try readText("\(keys.path)/k\(index).pub")
            #expect(keys.output.contains(line), "\(Self.kinds[index]): \(keys.output)")
        }
        // With the public key alone ssh-keygen asks the agent. Several times: a number may have a leading zero.
        #expect(
            keys.sh(
                "rm k? && echo text >text && for i in 0 1 2 3 4 5; do echo \"me $(cat k$i.pub)\"; done >who")
                == 0)
        for index in Self.kinds.indices {
            let line =
                "for n in 1 2 3 4 5 6; do echo $n >>text; rm -f text.sig; \(agent) ssh-keygen -Y sign -f k\(index).pub -n file text && ssh-keygen -Y verify -f who -I me -n file -s text.sig <text || exit 1; done"
            #expect(keys.sh(line) == 0, "\(Self.kinds[index]): \(keys.output)")
        }
        // What adds, removes or locks is refused, and the keys are still there.
        for command in [
            "ssh-add -D", "ssh-keygen -q -t ed25519 -N '' -f own && ssh-add own", "echo x | ssh-add -x",
        ] {
            #expect(keys.sh("export \(agent); \(command)") != 0, "\(command): \(keys.output)")
        }
        keys.sh("\(agent) ssh-add -l | wc -l")
        #expect(keys.output == "6\n", "\(keys.output)")
    }

    @Test("RSA signs with SHA-2 as asked, and not with SHA-1; a key it doesn't have signs nothing")
    func requests() throws {
        let keys = try Keys()
        let file = try keys.make("k", "rsa -b 2048")
        let ring = try KeyRing([Keys.secret(file)])
        let publicKey = try PrivateKey(file: Keys.secret(file)).publicKey
        func ask(_ key: [UInt8], flags: Int, more: [UInt8] = []) -> [UInt8] {
            var request = WireWriter()
            request.byte(13)
            request.string(key)
            request.text("data")
            request.number(flags)
            return ring.answer(request.bytes + more)
        }
        for (flags, name) in [(2, "rsa-sha2-256"), (4, "rsa-sha2-512"), (6, "rsa-sha2-512")] {
            var answer = WireReader(ask(publicKey, flags: flags))
            #expect(answer.byte() == 14)
            var signature = WireReader(answer.string() ?? [])
            #expect(signature.text() == name && signature.string()?.count == 256 && answer.isAtEnd)
        }
        #expect(ask(publicKey, flags: 0) == [5])
        #expect(ask(Array(publicKey.dropLast()), flags: 2) == [5])
        #expect(ask(publicKey, flags: 2, more: [0]) == [5])
        for message in [[], [11, 0], [13], [13, 0xff, 0xff, 0xff, 0xff], [17], [27], [255]] as [[UInt8]] {
            #expect(ring.answer(message) == [5], "\(message)")
        }
    }

    @Test("a connection that says too much ends, and others are served; messages may come in pieces")
    func connections() throws {
        let keys = try Keys()
        let server = try AgentServer(try KeyRing([Keys.secret(try keys.make("k", "ed25519"))]), in: keys.path)
        let rude = try connectUnix(server.path)
        try writeAll(rude.raw, [0x7f, 0xff, 0xff, 0xff, 11])
        var byte: UInt8 = 0
        #expect(read(rude.raw, &byte, 1) == 0)
        let slow = try connectUnix(server.path)
        for piece in [[0, 0], [0, 1], [11, 0, 0, 0, 1, 11]] as [[UInt8]] { try writeAll(slow.raw, piece) }
        var answer = [UInt8](repeating: 0, count: 5)
        #expect(recv(slow.raw, &answer, 5, 0x100 /* MSG_WAITALL */) == 5 && answer[4] == 12)
        // More than it serves are told at once; when some go others come.
        var idle = try (0..<70).map { _ in SharedFD(try connectUnix(server.path)) }
        #expect(read(idle[69].raw, &byte, 1) == 0)
        idle = []
        // Gone without listening.
        _ = try connectUnix(server.path)
        keys.sh("SSH_AUTH_SOCK=\(server.path) ssh-add -l")
        #expect(keys.output.contains("k key (ED25519)"), "\(keys.output)")
    }

    @Test("files that are no usable keys are told, with what to do")
    func files() throws {
        let keys = try Keys()
        let good = try keys.make("good", "ed25519")
        let cases: [(String, String)] = [
            (try keys.make("locked", "ed25519", passphrase: "secret"), "passphrase"),
            (try keys.make("pem", "rsa -b 2048 -m PEM"), "ssh-keygen -p"),
            (try keys.make("lockedpem", "rsa -b 2048 -m PEM", passphrase: "secret"), "passphrase"),
            (try readText("\(keys.path)/good.pub"), "no private key"), ("", "no private key"),
            (String(good.dropLast(60)), "whole"),
            (good.replacing("\n", with: "\n!", maxReplacements: 3), "whole"),
        ]
        for (file, says) in cases {
            let error = #expect(throws: KeyFileError.self) { try KeyRing([Keys.secret(file)]) }
            let text = "\(error?.cause ?? "") \(error?.advice(for: "FILE") ?? "")"
            #expect(text.contains(says), "\(text)")
        }
        // Line ends that were lost: no error quotes what then stands beside the mark.
        for name in ["good", "pem"] {
            let file = try readText("\(keys.path)/\(name)")
            let error = #expect(throws: KeyFileError.self) {
                try KeyRing([Keys.secret(file.replacing("\n", with: " "))])
            }
            let secret = file.split(separator: "\n")[1]
            #expect(
                error?.cause.contains(secret) == false && error?.advice(for: "F").contains(secret) == false)
        }
        // Each byte changed in turn never harms, and no change of the key itself goes unseen.
        let lines = good.split(separator: "\n")
        let bytes = try #require(decoded(lines.dropFirst().dropLast().joined()))
        let seed = try #require(
            bytes.ranges(of: try PrivateKey(file: Keys.secret(good)).publicKey.suffix(32)).last
        )
        .lowerBound
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x41
            if let ring = try? KeyRing([Keys.secret(file(changed))]) {
                #expect(!(seed - 32..<seed + 32).contains(index), "another seed signs for this point")
                // Check numbers are compared, comments are anybody's.
                var answer = WireReader(ring.answer([11]))
                _ = answer.bytes(5)
                #expect(answer.string() == (try PrivateKey(file: Keys.secret(good))).publicKey)
            }
            _ = try? KeyRing([Keys.secret(file(Array(bytes[..<index])))])
        }
    }

    private func file(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let three = bytes[start..<min(start + 3, bytes.count)]
            let bits = (0..<3).reduce(0) { $0 << 8 | (start + $1 < bytes.count ? Int(bytes[start + $1]) : 0) }
            for position in 0..<4 {
                text.append(position <= three.count ? digits[bits >> (18 - 6 * position) & 63] : "=")
            }
        }
        return "-----BEGIN OPENSSH PRIVATE KEY-----\n\(text)\n-----END OPENSSH PRIVATE KEY-----\n"
    }

    @Test("a key that is read from its file can't be found in a core, and a large file is none")
    func undumpable() throws {
        let keys = try Keys()
        _ = try keys.make("k", "ed25519")
        defer { linux_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) }
        let file = try SecretBytes(file: "\(keys.path)/k", limit: 4096)
        #expect(linux_prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
        #expect(file.all.copy == (try readFile("\(keys.path)/k")))
        let error = #expect(throws: SyscallError.self) { try SecretBytes(file: "\(keys.path)/k", limit: 100) }
        #expect(error?.errno == Errno(EFBIG))
    }

    private func decoded(_ text: String) -> [UInt8]? { decodeBase64([SecretBytes(text.utf8).all])?.all.copy }

    @Test("base64 is told from what is none")
    func base64() {
        #expect(decoded("") == [])
        #expect(decoded("Zm9v") == Array("foo".utf8))
        #expect(decodeBase64([Keys.secret("Zm").all, Keys.secret("9v").all])?.all.copy == Array("foo".utf8))
        #expect(decoded("Zm8=") == Array("fo".utf8) && decoded("Zg==") == Array("f".utf8))
        for bad in ["Zg=", "Z===", "====", "Zm9\u{e9}", "Z=m9", "Zm9v\n"] {
            #expect(decoded(bad) == nil, "\(bad)")
        }
    }
}
