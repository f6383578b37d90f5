// SPDX-License-Identifier: Apache-2.0
//
// Build arguments and the environment: which variables an instruction sees. `ENV` hides an `ARG` of the same name;
// arguments before the first `FROM` are seen by `FROM` lines and by an `ARG` that repeats the name without a value.
// Source: Dockerfile reference, "Understand how ARG and FROM interact", "Using ARG variables", "Predefined ARGs".

internal import Basics
internal import DockerfileSyntax

/// An ordered environment.
struct Environment: Equatable {
    private(set) var entries: [(name: String, value: String)] = []

    init(_ list: [String] = []) {
        for text in list {
            let name = text.prefix { $0 != "=" }
            self[String(name)] = String(text.dropFirst(name.count + 1))
        }
    }

    subscript(name: String) -> String? {
        get { entries.first { $0.name == name }?.value }
        set {
            guard let newValue else { return entries.removeAll { $0.name == name } }
            if let index = entries.firstIndex(where: { $0.name == name }) {
                entries[index].value = newValue
            } else {
                entries.append((name, newValue))
            }
        }
    }

    var list: [String] { entries.map { "\($0.name)=\($0.value)" } }

    static func == (a: Environment, b: Environment) -> Bool { a.list == b.list }
}

/// What `--build-arg` and the builder itself give.
struct BuildArguments {
    private let given: [String: String]
    private let platform: [String: String]
    private(set) var used: Set<String> = []

    /// Usable without being declared, and no part of a step's identity unless they are.
    static let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"]
        .flatMap { [$0, $0.lowercased()] }

    init(_ given: [String: String], architecture: String) {
        self.given = given
        platform = [
            "TARGETPLATFORM": "linux/\(architecture)", "TARGETOS": "linux", "TARGETARCH": architecture,
            "TARGETVARIANT": "", "BUILDPLATFORM": "linux/\(architecture)", "BUILDOS": "linux",
            "BUILDARCH": architecture, "BUILDVARIANT": "",
        ]
    }

    mutating func value(_ name: String) -> String? {
        if let value = given[name] {
            used.insert(name)
            return value
        }
        return platform[name]
    }

    /// The platform's variables, which `FROM` lines see undeclared.
    func platformValue(_ name: String) -> String? { given[name] ?? platform[name] }

    /// Proxies that were given, in a stable order.
    mutating func proxies() -> [(name: String, value: String)] {
        BuildArguments.proxies.compactMap { name in value(name).map { (name, $0) } }
    }

    /// Names that the builder itself looks at need no ARG.
    var unused: [String] {
        given.keys.filter { name in
            !used.contains(name) && name != "SOURCE_DATE_EPOCH" && !name.hasPrefix("BUILDKIT_")
        }.sorted()
    }
}

/// Declared arguments with their values; nil is declared without one.
struct Scope {
    private(set) var declared: [(name: String, value: String?)] = []

    mutating func declare(_ name: String, _ value: String?) {
        declared.removeAll { $0.name == name }
        declared.append((name, value))
    }

    func value(_ name: String) -> String? { declared.first { $0.name == name }?.value }
}
