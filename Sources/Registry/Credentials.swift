// SPDX-License-Identifier: Apache-2.0
//
// Credentials as Docker keeps them: config.json in DOCKER_CONFIG or ~/.docker, whose `credHelpers` and `credsStore` name
// programs that keep them better (docker-credential-helpers: `get`, `store`, `erase` over standard input and output).
// What else the file says is kept as it is.

public import Basics
internal import JSONFormat
internal import Kernel

/// A user's name and password, or a token that stands for both.
public struct Credential: Hashable, Sendable {
    public var user: String
    public var secret: String
    /// The secret is an identity token (OAuth2 refresh token).
    public var isToken = false

    public init(user: String, secret: String, isToken: Bool = false) {
        self.user = user
        self.secret = secret
        self.isToken = isToken
    }

    /// RFC 7617.
    var basic: String { "Basic \(base64("\(user):\(secret)"))" }
}

/// Docker's config.json.
public struct CredentialFile: Sendable {
    /// The file; it need not exist.
    public let path: String

    public init(environment: [String: String]) {
        let directory =
            environment["DOCKER_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
            ?? "\(environment["HOME"] ?? "/root")/.docker"
        path = "\(directory)/config.json"
    }

    /// What Docker calls a registry in that file.
    static func key(_ host: String) -> String {
        host == "docker.io" ? "https://index.docker.io/v1/" : host
    }

    /// The credential for a host, nil when there is none.
    public func credential(for host: String) throws(Failure) -> Credential? {
        let config = try read()
        let key = CredentialFile.key(host)
        if let helper = helper(config, key) { return try ask(helper, key) }
        let entries = config["auths"]
        for name in [
            key, "https://\(key)", "http://\(key)", "https://\(key)/", "https://\(key)/v1/",
            "https://\(key)/v2/",
        ] {
            guard let entry = entries?[name] else { continue }
            if case .string(let token)? = entry["identitytoken"], !token.isEmpty {
                return Credential(user: "<token>", secret: token, isToken: true)
            }
            if case .string(let text)? = entry["auth"], !text.isEmpty {
                guard let pair = unbase64(text), let colon = pair.firstIndex(of: ":") else {
                    throw Failure(
                        "cannot read the credential for \(host)",
                        cause: "\(path): `auths.\(name).auth` is no base64 of USER:PASSWORD",
                        advice: "run `covey login \(host)`")
                }
                return Credential(
                    user: String(pair[..<colon]), secret: String(pair[pair.index(after: colon)...]))
            }
            if case .string(let user)? = entry["username"], case .string(let secret)? = entry["password"] {
                return Credential(user: user, secret: secret)
            }
        }
        return nil
    }

    /// Keeps a credential; gives where: a helper's name or the file.
    public func store(_ credential: Credential, for host: String) throws(Failure) -> String {
        let key = CredentialFile.key(host)
        let config = try read()
        if let helper = helper(config, key) {
            let text = JSONValue.object([
                .init("ServerURL", .string(key)), .init("Username", .string(credential.user)),
                .init("Secret", .string(credential.secret)),
            ])
            _ = try run(helper, "store", try encoded(text, indented: false))
            return "docker-credential-\(helper)"
        }
        let entry = JSONValue.object([
            credential.isToken
                ? .init("identitytoken", .string(credential.secret))
                : .init("auth", .string(base64("\(credential.user):\(credential.secret)")))
        ])
        try write(config.setting("auths", (config["auths"] ?? .object([])).setting(key, entry)))
        return path
    }

    /// Forgets a host's credential; false when there was none.
    public func erase(_ host: String) throws(Failure) -> Bool {
        let key = CredentialFile.key(host)
        let config = try read()
        if let helper = helper(config, key) {
            guard try ask(helper, key) != nil else { return false }
            _ = try run(helper, "erase", Array(key.utf8))
            return true
        }
        guard case .object(let members)? = config["auths"] else { return false }
        let left = members.filter {
            ![key, "https://\(key)", "http://\(key)", "https://\(key)/"].contains($0.name)
        }
        if left.count == members.count { return false }
        try write(config.setting("auths", .object(left)))
        return true
    }

    // MARK: - helpers

    private func helper(_ config: JSONValue, _ key: String) -> String? {
        if case .string(let name)? = config["credHelpers"]?[key], !name.isEmpty { return name }
        if case .string(let name)? = config["credsStore"], !name.isEmpty { return name }
        return nil
    }

    private func ask(_ helper: String, _ key: String) throws(Failure) -> Credential? {
        guard let output = try run(helper, "get", Array(key.utf8)) else { return nil }
        guard let value = try? parseJSON(output), case .string(let user)? = value["Username"],
            case .string(let secret)? = value["Secret"]
        else {
            throw Failure(
                "cannot read the credential for \(key)",
                cause: "docker-credential-\(helper) answered without Username and Secret")
        }
        return Credential(user: user, secret: secret, isToken: user == "<token>")
    }

    /// nil when the helper has nothing of that name.
    private func run(_ helper: String, _ verb: String, _ input: [UInt8]) throws(Failure) -> [UInt8]? {
        let program = "docker-credential-\(helper)"
        let doing = "cannot ask the credential helper \(program)"
        // The name becomes a program's: no path.
        guard !helper.contains("/") else {
            throw Failure(doing, cause: "\(path) names it with a `/`", advice: "name the helper only")
        }
        let result: ProgramResult
        do throws(SyscallError) { result = try runProgram([program, verb], input: input) } catch {
            throw Failure(
                doing, error, advice: error.errno == .noEntry ? "install it, or remove it from \(path)" : nil)
        }
        if result.code == 0 { return result.output }
        let words = String(decoding: result.output.prefix(300), as: UTF8.self)
        // The helpers' protocol has no code for it but these words (credentials/error.go).
        if words.contains("credentials not found") { return nil }
        throw Failure(doing, cause: "`\(program) \(verb)` ended with \(result.code): \(words)")
    }

    // MARK: - the file

    private func read() throws(Failure) -> JSONValue {
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(path, limit: 4 << 20) } catch {
            if error.errno == .noEntry { return .object([]) }
            throw Failure("cannot read the credentials in \(path)", error)
        }
        do { return try parseJSON(bytes) } catch {
            throw Failure(
                "cannot read the credentials in \(path)", cause: "\(error)",
                advice: "mend the file, or move it away")
        }
    }

    private func write(_ value: JSONValue) throws(Failure) {
        let bytes = try encoded(value, indented: true)
        try naming("cannot write the credentials into \(path)") { () throws(SyscallError) in
            try ensureDirectory(String(path.prefix(path.utf8.count - "/config.json".utf8.count)), mode: 0o700)
            try replaceFile(path, bytes + [0x0a], mode: 0o600, durable: true)
        }
    }

    private func encoded(_ value: JSONValue, indented: Bool) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        value.write(to: &bytes, indentation: indented ? 0 : nil)
        return bytes
    }
}

extension JSONValue {
    fileprivate func setting(_ name: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var members) = self else { return .object([.init(name, value)]) }
        if let index = members.lastIndex(where: { $0.name == name }) {
            members[index].value = value
        } else {
            members.append(.init(name, value))
        }
        return .object(members)
    }
}

/// RFC 4648, 4.
func base64(_ text: String) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let part = bytes[start..<min(start + 3, bytes.count)]
        var value: UInt32 = 0
        for offset in 0..<3 { value = value << 8 | (offset < part.count ? UInt32(part[start + offset]) : 0) }
        for index in 0..<4 {
            result.append(
                index <= part.count ? letters[Int(value >> UInt32(18 - 6 * index)) & 63] : UInt8(ascii: "="))
        }
    }
    return String(decoding: result, as: UTF8.self)
}

/// nil for what is no base64 of UTF-8; the padding may be missing.
func unbase64(_ text: String) -> String? {
    var (value, bits) = (UInt32(0), 0)
    var result: [UInt8] = []
    for byte in text.utf8.prefix(while: { $0 != UInt8(ascii: "=") }) {
        let digit: UInt32
        switch byte {
        case 65...90: digit = UInt32(byte) - 65
        case 97...122: digit = UInt32(byte) - 71
        case 48...57: digit = UInt32(byte) + 4
        case 43, 45: digit = 62
        case 47, 95: digit = 63
        default: return nil
        }
        value = value << 6 | digit
        bits += 6
        if bits >= 8 {
            bits -= 8
            result.append(UInt8(truncatingIfNeeded: value >> UInt32(bits)))
            value &= (1 << UInt32(bits)) - 1
        }
    }
    // Docker's file pads with NUL in some versions.
    while result.last == 0 { result.removeLast() }
    return String(validating: result, as: UTF8.self)
}
