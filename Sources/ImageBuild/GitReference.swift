// SPDX-License-Identifier: Apache-2.0
//
// A git repository as Dockerfiles and contexts name it: `https://HOST/PATH.git#REF:DIRECTORY`, `ssh://…`, `git@HOST:PATH`.
// Pure. What could be read as an option, a local path or another transport is refused here, before any program sees it.
// Source: Dockerfile reference, "ADD", "Adding files from a Git repository"; docs.docker.com/build/concepts/context "URL fragments".

public import Basics

public struct GitReference: Hashable, Sendable {
    /// What git is given: a URL, or `user@host:path`.
    public var url: String
    /// A branch, tag, full name or commit; nil is the repository's own choice.
    public var revision: String?
    /// Within the repository; empty is all of it.
    public var directory: String
    /// As it was written.
    public var text: String
    /// Neither encrypted nor authenticated on its way.
    public var isPlain: Bool

    /// True for text that means a repository, however it is spelled further.
    public static func isGit(_ text: String) -> Bool {
        let plain = text.prefix { $0 != "#" }
        let lower = plain.lowercased()
        if ["git://", "ssh://", "git+"].contains(where: lower.hasPrefix) || lower.hasPrefix("git@") {
            return true
        }
        guard lower.hasPrefix("https://") || lower.hasPrefix("http://") else { return false }
        return lower.prefix { $0 != "?" }.hasSuffix(".git")
    }

    public init(_ text: String, doing: String) throws(Failure) {
        func refuse(_ cause: String, _ advice: String? = nil) -> Failure {
            Failure(doing, cause: cause, advice: advice ?? "write https://HOST/PATH.git#BRANCH:DIRECTORY")
        }
        self.text = text
        var rest = Substring(text)
        if let hash = rest.firstIndex(of: "#") {
            let fragment = rest[rest.index(after: hash)...]
            rest = rest[..<hash]
            let parts = fragment.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            revision = parts[0].isEmpty ? nil : String(parts[0])
            directory = parts.count > 1 ? String(parts[1]) : ""
        } else {
            revision = nil
            directory = ""
        }
        url = String(rest)
        let lower = url.lowercased()
        isPlain = lower.hasPrefix("http://") || lower.hasPrefix("git://")
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x5c && $0 != 0x27 && $0 != 0x22 }) else {
            throw refuse("the URL has a character that URLs don't have")
        }
        guard !url.contains("?") else { throw refuse("a query of a repository's URL is not understood") }
        if lower.hasPrefix("git@") {
            guard let colon = url.firstIndex(of: ":"), GitReference.isHost(url[..<colon].dropFirst(4)),
                url.index(after: colon) != url.endIndex
            else { throw refuse("`\(url)` is not git@HOST:PATH", "write git@HOST:PATH.git") }
        } else {
            let schemes = ["https://", "http://", "ssh://", "git://"]
            guard let scheme = schemes.first(where: { lower.hasPrefix($0) }) else {
                throw refuse("its scheme is none of https, ssh, git and http")
            }
            var authority = url.dropFirst(scheme.count).prefix { $0 != "/" }
            if let at = authority.lastIndex(of: "@") {
                guard scheme == "ssh://", !authority[..<at].contains(":"), authority.first != "-" else {
                    throw refuse(
                        "it names a user, and what is in a URL is seen by everybody",
                        "use ssh with an agent (--ssh default)")
                }
                authority = authority[authority.index(after: at)...]
            }
            guard GitReference.isHost(authority) else { throw refuse("`\(authority)` is no host") }
        }
        if let revision {
            // git-check-ref-format(1); a leading dash would be an option.
            let forbidden: Set<Character> = ["~", "^", ":", "?", "*", "[", "\\", " "]
            guard revision.first != "-", !revision.contains(".."), !revision.contains("@{"),
                revision.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }),
                !revision.contains(where: forbidden.contains)
            else { throw refuse("`\(revision)` is no name of a branch, tag or commit") }
        }
        directory = directory.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
        guard !directory.split(separator: "/").contains("..") else {
            throw refuse("`\(directory)` leads out of the repository")
        }
    }

    /// The revision where it is a whole commit id already (SHA-1 or SHA-256).
    public var commit: String? {
        guard let revision, [40, 64].contains(revision.utf8.count),
            revision.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { return nil }
        return revision
    }

    /// Only this machine is at the other end.
    public var isLoopback: Bool {
        let rest = url.split(separator: "/", omittingEmptySubsequences: true).dropFirst().first ?? ""
        let host = rest.hasPrefix("[") ? rest.prefix { $0 != "]" } + "]" : rest.prefix { $0 != ":" }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return host == "localhost" || host == "[::1]"
            || parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// A name, an address or a bracketed IPv6 one, with or without a port.
    private static func isHost(_ text: Substring) -> Bool {
        guard let first = text.first, first != "-", first != "." else { return false }
        return text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (97...122).contains(byte) || (65...90).contains(byte)
                || [45, 46, 58, 91, 93, 95].contains(byte)
        }
    }
}
