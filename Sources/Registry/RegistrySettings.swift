// SPDX-License-Identifier: Apache-2.0
//
// What the user says about registries: containers-registries.conf(5) as podman, skopeo and buildah read it (mirrors,
// other places, `insecure`, `blocked`), and certificates by host as they and Docker keep them (certs.d). Settings about
// short names are not ours: a name without a host is Docker Hub's (docs/decisions/008).

public import Basics
internal import Kernel

public struct RegistrySettings: Sendable {
    /// Directories with a directory per `HOST[:PORT]` in each.
    var certificateDirectories: [String] = []
    var rules: [Rule] = []
    /// How long a transfer may be silent.
    public var stall: Duration = .seconds(25)
    /// Layers that come at once.
    public var parallel = 3
    /// Tries of one request in all.
    var attempts = 5

    public init() {}

    struct Rule: Sendable, Equatable {
        /// `HOST[:PORT][/PATH]`, or `*.DOMAIN`.
        var prefix: String
        var location: String
        var isInsecure = false
        var isBlocked = false
        var mirrors: [Source] = []
    }
    struct Source: Sendable, Equatable {
        enum Use: String { case all, digestOnly = "digest-only", tagOnly = "tag-only" }
        var location: String
        var isInsecure = false
        var use = Use.all
    }

    /// The settings of this machine and user.
    /// - environment: COVEY_REGISTRIES_CONF and COVEY_CERTS_D name others.
    public init(environment: [String: String]) throws(Failure) {
        let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 }
        if let own = environment["COVEY_CERTS_D"], !own.isEmpty {
            certificateDirectories = [own]
        } else {
            certificateDirectories =
                (home.map { ["\($0)/.config/containers/certs.d"] } ?? [])
                + ["/etc/containers/certs.d", "/etc/docker/certs.d"]
        }
        if let text = environment["COVEY_STALL_SECONDS"], !text.isEmpty {
            guard let seconds = Int64(text), (1...3600).contains(seconds) else {
                throw Failure(
                    "cannot understand COVEY_STALL_SECONDS=\(text)", cause: "it is no number from 1 to 3600")
            }
            stall = .seconds(seconds)
        }
        if let limit = try parallelLimit(environment) { parallel = limit }
        var files: [String] = []
        if let own = environment["COVEY_REGISTRIES_CONF"], !own.isEmpty {
            files = [own]
        } else {
            let users = home.map { "\($0)/.config/containers/registries.conf" }
            let main = users.flatMap { exists($0) ? $0 : nil } ?? "/etc/containers/registries.conf"
            if exists(main) { files.append(main) }
            let parts = (try? directoryEntries("/etc/containers/registries.conf.d")) ?? []
            files += parts.filter { $0.hasSuffix(".conf") }.map { "/etc/containers/registries.conf.d/\($0)" }
        }
        for path in files {
            let text: String
            do throws(SyscallError) { text = try readText(path) } catch {
                throw Failure("cannot read the registry settings \(path)", error)
            }
            try add(text, path: path)
        }
    }

    /// Adds a file's rules; a later one for the same prefix replaces an earlier one.
    mutating func add(_ text: String, path: String) throws(Failure) {
        var current: Rule?
        func refuse(_ table: TOMLTable, _ why: String) -> Failure {
            Failure(
                "cannot read the registry settings", cause: "\(path):\(table.line): \(why)",
                advice: "see containers-registries.conf(5)")
        }
        func finish(_ settings: inout RegistrySettings) {
            guard let rule = current else { return }
            settings.rules.removeAll { $0.prefix == rule.prefix }
            settings.rules.append(rule)
            current = nil
        }
        for table in try parseTOML(text, path: path) {
            func text(_ key: String) throws(Failure) -> String? {
                guard let value = table.values[key] else { return nil }
                guard case .text(let text) = value else { throw refuse(table, "`\(key)` is no string") }
                return text
            }
            func flag(_ key: String) throws(Failure) -> Bool {
                guard let value = table.values[key] else { return false }
                guard case .flag(let flag) = value else {
                    throw refuse(table, "`\(key)` is neither true nor false")
                }
                return flag
            }
            func known(_ keys: [String]) throws(Failure) {
                if let key = table.values.keys.sorted().first(where: { !keys.contains($0) }) {
                    throw refuse(table, "`\(key)` is not known in `\(table.path)`")
                }
            }
            switch table.path {
            case "registry":
                finish(&self)
                try known(["prefix", "location", "insecure", "blocked", "mirror-by-digest-only"])
                let location = try text("location")
                let prefix = try text("prefix") ?? location
                guard let prefix, !prefix.isEmpty else {
                    throw refuse(table, "neither `prefix` nor `location`")
                }
                current = Rule(prefix: prefix, location: location ?? "")
                current?.isInsecure = try flag("insecure")
                current?.isBlocked = try flag("blocked")
                byDigestOnly = try flag("mirror-by-digest-only")
            case "registry.mirror":
                guard current != nil else { throw refuse(table, "a mirror of no registry") }
                try known(["location", "insecure", "pull-from-mirror"])
                guard let location = try text("location"), !location.isEmpty else {
                    throw refuse(table, "a mirror without `location`")
                }
                let word = try text("pull-from-mirror") ?? (byDigestOnly ? "digest-only" : "all")
                guard let use = Source.Use(rawValue: word) else {
                    throw refuse(table, "`pull-from-mirror` is none of all, digest-only, tag-only")
                }
                current?.mirrors.append(
                    Source(location: location, isInsecure: try flag("insecure"), use: use))
            // About names without a host, and helpers: podman's, not ours.
            case "", "aliases": break
            default: throw refuse(table, "`[\(table.path)]` is not known")
            }
        }
        finish(&self)
    }
    private var byDigestOnly = false

    /// Where an image may be asked for, in order: mirrors, then its own registry.
    func places(for name: RegistryName, pulling: Bool) throws(Failure) -> [RegistryPlace] {
        let full = "\(name.host)/\(name.repository)"
        let rule = rules.filter { RegistrySettings.matches($0.prefix, full) }.max {
            $0.prefix.utf8.count < $1.prefix.utf8.count
        }
        guard let rule else {
            return [RegistryPlace(host: name.host, repository: name.repository, isInsecure: false)]
        }
        if rule.isBlocked {
            throw Failure(
                "cannot reach \(name.host)", cause: "registries.conf blocks `\(rule.prefix)`",
                advice: "remove `blocked = true` there")
        }
        func place(_ location: String, _ insecure: Bool, isMirror: Bool) -> RegistryPlace {
            var text = full
            if !location.isEmpty {
                let tail =
                    rule.prefix.hasPrefix("*.")
                    ? full.drop { $0 != "/" } : full.dropFirst(rule.prefix.utf8.count)
                text = location + tail
            }
            let parts = text.split(separator: "/", maxSplits: 1)
            return RegistryPlace(
                host: String(parts.first ?? ""), repository: parts.count > 1 ? String(parts[1]) : "",
                isInsecure: insecure, isMirror: isMirror)
        }
        var places: [RegistryPlace] = []
        for mirror in rule.mirrors where pulling {
            if mirror.use == .digestOnly && name.digest == nil { continue }
            if mirror.use == .tagOnly && name.digest != nil { continue }
            places.append(place(mirror.location, mirror.isInsecure, isMirror: true))
        }
        return places + [place(rule.location, rule.isInsecure, isMirror: false)]
    }

    private static func matches(_ prefix: String, _ name: String) -> Bool {
        if prefix.hasPrefix("*.") {
            let host = name.prefix { $0 != "/" }.prefix { $0 != ":" }
            return host.hasSuffix(prefix.dropFirst())
        }
        guard name.hasPrefix(prefix) else { return false }
        let rest = name.dropFirst(prefix.count)
        return rest.isEmpty || rest.first == "/"
    }

    /// Certificates for a host: `*.crt` are authorities, `NAME.cert` with `NAME.key` is the client's own.
    func tls(for place: RegistryPlace) -> TLSSettings {
        var settings = TLSSettings(verifies: !place.isInsecure)
        for directory in certificateDirectories.map({ "\($0)/\(place.host)" }) {
            for name in (try? directoryEntries(directory)) ?? [] {
                if name.hasSuffix(".crt") { settings.authorities.append("\(directory)/\(name)") }
                if name.hasSuffix(".cert"), exists("\(directory)/\(name.dropLast(5)).key") {
                    settings.clientCertificate = "\(directory)/\(name)"
                    settings.clientKey = "\(directory)/\(name.dropLast(5)).key"
                }
            }
            // As with Docker, the first directory that has something for the host is the one.
            if settings != TLSSettings(verifies: !place.isInsecure) { break }
        }
        return settings
    }
}

/// One place an image's repository is at.
struct RegistryPlace: Hashable, Sendable {
    var host: String
    var repository: String
    /// Certificates are not checked, and plain HTTP will do.
    var isInsecure: Bool
    var isMirror = false

    var apiHost: String { host == "docker.io" ? "registry-1.docker.io" : host }
    var allowsPlainHTTP: Bool { isInsecure || HTTPURL.isLoopback(host) }
}
