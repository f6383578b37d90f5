// SPDX-License-Identifier: Apache-2.0

/// An http or https URL, read strictly: what we can't read the same way as curl does is refused, so that two readers
/// never see two hosts in one text.
struct HTTPURL: Hashable, Sendable {
    var isSecure: Bool
    /// Lower case, IPv6 in brackets.
    var host: String
    var port: UInt16
    /// Path and query, beginning with `/`.
    var path: String

    init(isSecure: Bool, host: String, port: UInt16? = nil, path: String) {
        self.isSecure = isSecure
        self.host = host
        self.port = port ?? (isSecure ? 443 : 80)
        self.path = path
    }

    /// The API below a registry's `HOST[:PORT]`.
    init(isSecure: Bool, authority: String, path: String) {
        let (host, port) = HTTPURL.split(authority)
        self.init(isSecure: isSecure, host: host.lowercased(), port: port, path: path)
    }

    init?(_ text: String) {
        var rest = Substring(text)
        let lower = text.prefix(8).lowercased()
        if lower.hasPrefix("https://") {
            isSecure = true
            rest = rest.dropFirst(8)
        } else if lower.hasPrefix("http://") {
            isSecure = false
            rest = rest.dropFirst(7)
        } else {
            return nil
        }
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x5c }) else { return nil }
        if let hash = rest.firstIndex(of: "#") { rest = rest[..<hash] }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let (name, number) = HTTPURL.split(String(rest[..<end]))
        let plain = name.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (97...122).contains(byte) || (65...90).contains(byte)
                || [45, 46, 91, 93, 58, 95].contains(byte)
        }
        guard !name.isEmpty, plain, rest[..<end].last != ":" else { return nil }
        host = name.lowercased()
        port = number ?? (isSecure ? 443 : 80)
        let path = String(rest[end...])
        self.path = path.hasPrefix("/") ? path : "/\(path)"
    }

    /// The target of a Location header: absolute, or relative to this one (RFC 9110, 10.2.2).
    func resolving(_ location: String) -> HTTPURL? {
        if let absolute = HTTPURL(location) { return absolute }
        guard location.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), !location.contains("://") else {
            return nil
        }
        if location.hasPrefix("//") { return HTTPURL((isSecure ? "https:" : "http:") + location) }
        var url = self
        if location.hasPrefix("/") {
            url.path = location
        } else {
            let before = path.prefix { $0 != "?" }
            let slash = before.lastIndex(of: "/") ?? before.startIndex
            url.path = location.hasPrefix("?") ? before + location : before[...slash] + location
        }
        return url
    }

    /// Where credentials may go: the same scheme, host and port.
    func hasSameOrigin(as other: HTTPURL) -> Bool {
        isSecure == other.isSecure && host == other.host && port == other.port
    }

    var text: String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }

    /// `HOST`, with the port where it is not the scheme's.
    var authority: String { port == (isSecure ? 443 : 80) ? host : "\(host):\(port)" }

    /// For messages: without the query, which may hold a signature.
    var shown: String { "\(isSecure ? "https" : "http")://\(authority)\(path.prefix { $0 != "?" })" }

    /// The address or name without port and brackets is one of this machine's loopback.
    static func isLoopback(_ authority: String) -> Bool {
        let host = split(authority).host
        if host == "localhost" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func split(_ authority: String) -> (host: String, port: UInt16?) {
        let start =
            authority.hasPrefix("[")
            ? authority.firstIndex(of: "]") ?? authority.startIndex : authority.startIndex
        guard let colon = authority[start...].lastIndex(of: ":"),
            let port = UInt16(authority[authority.index(after: colon)...]), port > 0
        else { return (authority, nil) }
        return (String(authority[..<colon]), port)
    }
}

/// Percent-encodes what is not unreserved in a query's value (RFC 3986, 2.3); `:` and `/` are allowed there (3.4).
func queryEscaped(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var result: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: ","):
            result.append(byte)
        default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: result, as: UTF8.self)
}
