// SPDX-License-Identifier: Apache-2.0
//
// What the connections of one command share: settings, credentials, tokens, and which hosts speak TLS. Tokens live as
// long as the command; nothing of them is written down.

public import Basics
internal import Synchronization

public final class RegistryAccess: Sendable {
    public let settings: RegistrySettings
    let credentialFile: CredentialFile
    /// By host and scope.
    private let tokens = Mutex<[String: Authorization]>([:])
    private let credentials = Mutex<[String: Credential?]>([:])
    /// Whether a host speaks TLS, once that is known.
    private let secure = Mutex<[String: Bool]>([:])

    public init(_ settings: RegistrySettings, _ credentialFile: CredentialFile) {
        self.settings = settings
        self.credentialFile = credentialFile
    }

    public convenience init(environment: [String: String]) throws(Failure) {
        self.init(
            try RegistrySettings(environment: environment), CredentialFile(environment: environment))
    }

    /// The credential for a host, asked for once.
    func credential(for host: String) throws(Failure) -> Credential? {
        if let known = credentials.withLock({ $0[host] }) { return known }
        let found = try credentialFile.credential(for: host)
        credentials.withLock { $0[host] = .some(found) }
        return found
    }

    /// A credential that is tried before it is kept.
    func use(_ credential: Credential?, for host: String) {
        credentials.withLock { $0[host] = .some(credential) }
    }

    func authorization(_ key: String) -> Authorization? { tokens.withLock { $0[key] } }
    func keep(_ authorization: Authorization?, _ key: String) { tokens.withLock { $0[key] = authorization } }

    func isSecure(_ host: String) -> Bool? { secure.withLock { $0[host] } }
    func note(_ host: String, isSecure: Bool) { secure.withLock { $0[host] = isSecure } }
}

/// The value of an Authorization header.
enum Authorization: Hashable, Sendable {
    case basic(String)
    case bearer(String)

    var header: String {
        switch self {
        case .basic(let value): value
        case .bearer(let token): "Bearer \(token)"
        }
    }
}

/// One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1).
struct Challenge: Equatable {
    var scheme: String
    var parameters: [String: String] = [:]

    /// The challenges of a header's value; several may stand in one line.
    static func parse(_ header: String) -> [Challenge] {
        var challenges: [Challenge] = []
        var rest = Substring(header)
        func skip(_ extra: Set<Character> = []) {
            rest = rest.drop { $0 == " " || $0 == "\t" || extra.contains($0) }
        }
        func token() -> String {
            let word = rest.prefix { !" \t,=\"".contains($0) }
            rest = rest.dropFirst(word.count)
            return String(word)
        }
        while true {
            skip([","])
            let word = token()
            if word.isEmpty { return challenges }
            skip()
            guard rest.first == "=" else {
                challenges.append(Challenge(scheme: word.lowercased()))
                continue
            }
            rest = rest.dropFirst()
            skip()
            var value = ""
            if rest.first == "\"" {
                rest = rest.dropFirst()
                while let character = rest.popFirst(), character != "\"" {
                    value.append(character == "\\" ? rest.popFirst() ?? "\\" : character)
                }
            } else {
                value = token()
            }
            if challenges.isEmpty { return [] }
            challenges[challenges.count - 1].parameters[word.lowercased()] = value
        }
    }
}
