// SPDX-License-Identifier: Apache-2.0
//
// The layers of docs/ARCHITECTURE.md as a table, and the imports in the sources held against it.

import Testing

/// One target: its layer (a target imports only lower layers or earlier ones of its own) and what it may import.
private struct Layer {
    var level: Int
    var imports: Set<String>
    init(_ level: Int, _ imports: Set<String>) {
        self.level = level
        self.imports = imports
    }
}

/// 0 C, 1 base, 2 formats, 3 meaning, 4 mechanisms, 5 engine, 6 faces.
private let layers: [String: Layer] = [
    "CYAML": Layer(0, []),
    "CLinux": Layer(0, []),
    "CLaunch": Layer(0, ["CLinux"]),
    "CLibraries": Layer(0, []),

    "Basics": Layer(1, []),
    "Kernel": Layer(1, ["Basics", "CLinux"]),

    "YAMLTree": Layer(2, ["Basics", "CYAML"]),
    "Archives": Layer(2, ["Basics", "Kernel", "CLinux", "CLibraries"]),
    "SSHAgent": Layer(2, ["Kernel", "CLinux", "CLibraries"]),
    "JSONFormat": Layer(2, []),
    "OCIFormats": Layer(2, ["Basics", "JSONFormat"]),
    "Netlink": Layer(2, ["Basics"]),
    "DNSFormat": Layer(2, ["Basics"]),
    "SeccompCompiler": Layer(2, ["Basics", "JSONFormat"]),
    "DockerfileSyntax": Layer(2, ["Basics"]),

    "ComposeModel": Layer(3, ["Basics"]),
    "ComposeLoader": Layer(3, ["Basics", "YAMLTree", "ComposeModel"]),
    "ContainerModel": Layer(3, ["Basics"]),
    "Planning": Layer(3, ["Basics", "YAMLTree", "ComposeModel", "ContainerModel"]),
    "LaunchPlanning": Layer(3, ["Basics", "CLaunch", "OCIFormats", "ContainerModel", "SeccompCompiler"]),

    "Records": Layer(4, ["Basics", "Kernel", "CLinux", "JSONFormat"]),
    "Images": Layer(
        4, ["Basics", "Kernel", "CLinux", "Archives", "OCIFormats", "ContainerModel", "Records"]),
    "Registry": Layer(
        4, ["Basics", "Kernel", "CLinux", "CLibraries", "Archives", "JSONFormat", "OCIFormats", "Images"]),
    "Cgroups": Layer(4, ["Basics", "Kernel", "CLinux", "OCIFormats", "ContainerModel"]),
    "Networking": Layer(
        4, ["Basics", "Kernel", "CLinux", "Netlink", "DNSFormat", "JSONFormat", "ContainerModel", "Records"]),
    "Volumes": Layer(4, ["Basics", "Kernel", "CLinux", "ContainerModel", "LaunchPlanning", "Records"]),
    "ContainerRuntime": Layer(
        4,
        [
            "Basics", "Kernel", "CLinux", "CLaunch", "SeccompCompiler", "ContainerModel", "LaunchPlanning",
            "Cgroups", "Records",
        ]),
    "OCIRuntime": Layer(
        4,
        [
            "Basics", "Kernel", "CLinux", "CLaunch", "JSONFormat", "OCIFormats", "SeccompCompiler",
            "ContainerModel", "LaunchPlanning", "Cgroups", "Volumes", "ContainerRuntime",
        ]),
    "ImageBuild": Layer(
        4,
        [
            "Basics", "Kernel", "CLinux", "Archives", "OCIFormats", "DockerfileSyntax", "ContainerModel",
            "Images", "ContainerRuntime", "LaunchPlanning",
        ]),

    "Controller": Layer(
        5,
        [
            "Basics", "Kernel", "CLinux", "CLaunch", "ContainerModel", "Planning", "LaunchPlanning",
            "Records",
            "Cgroups", "Netlink", "JSONFormat", "Networking", "Volumes", "ContainerRuntime",
        ]),

    "Commands": Layer(
        6,
        [
            "Basics", "Kernel", "CLinux", "YAMLTree", "JSONFormat", "ComposeModel", "ComposeLoader",
            "ContainerModel", "Planning", "Archives", "SSHAgent", "OCIFormats", "DockerfileSyntax", "Images",
            "Registry",
            "ImageBuild",
            "LaunchPlanning",
            "ContainerRuntime", "OCIRuntime", "Records", "Volumes", "Netlink", "Networking", "Cgroups",
            "Controller",
        ]),
    "covey": Layer(6, ["Commands", "CLaunch"]),
]

/// What a target may import besides: the C library, and of the toolchain's own only these.
private let fromTheToolchain: Set<String> = ["Glibc", "Synchronization"]

@Suite("layers")
struct LayerTests {
    @Test("a target imports only what the layer table allows", arguments: Repository.sources)
    func imports(file: RepositoryFile) throws {
        let target = try #require(file.target)
        let layer = try #require(layers[target], "\(target) is in no layer: add it to the table")
        for (number, line) in file.lines.enumerated() {
            guard let module = importedModule(code(in: line)) else { continue }
            #expect(
                layer.imports.contains(module) || fromTheToolchain.contains(module),
                "\(file.path):\(number + 1): \(target) must not import \(module); see docs/ARCHITECTURE.md, Layers"
            )
        }
    }

    @Test("the table allows no target a higher layer, and no circle")
    func levels() {
        for (name, layer) in layers {
            for other in layer.imports {
                let level = layers[other]?.level
                #expect(level != nil, "\(name) may import \(other), which the table does not have")
                #expect(level ?? 0 <= layer.level, "\(name) may import \(other), which is in a higher layer")
            }
            #expect(!reachable(from: layer.imports).contains(name), "\(name) reaches itself")
        }
    }

    @Test("Package.swift says what the table says")
    func package() throws {
        let package = try #require(Repository.file("Package.swift")).text
        var seen: Set<String> = []
        for call in calls(of: "layer(", in: package) {
            guard let name = call.first else { continue }
            seen.insert(name)
            let wanted = try #require(layers[name], "\(name) is in Package.swift and in no layer")
            #expect(Set(call.dropFirst()) == wanted.imports, "dependencies of \(name)")
        }
        #expect(seen.count > 20, "Package.swift could not be read")
        for name in layers.keys where !name.hasPrefix("C") && name != "covey" {
            #expect(seen.contains(name), "\(name) is in the table and not in Package.swift")
        }
    }

    @Test("C is written only in the C targets")
    func onlyThereC() {
        for file in Repository.files where file.path.hasSuffix(".c") || file.path.hasSuffix(".h") {
            guard let target = file.target else { continue }
            #expect(
                ["CYAML", "CLinux", "CLaunch", "CLibraries"].contains(target),
                "\(file.path): C belongs where Swift cannot go; see docs/ARCHITECTURE.md, Layers")
        }
    }

    @Test("docs/ARCHITECTURE.md names every target")
    func architecture() throws {
        let text = try #require(Repository.file("docs/ARCHITECTURE.md")).text
        for name in layers.keys.sorted() { #expect(text.contains("`\(name)`"), "\(name) is not described") }
    }

    @Test("every target has a charter comment: what it is and what it leaves to others")
    func charters() {
        for name in layers.keys.sorted() where name != "CYAML" && name != "covey" {
            let charter = Repository.files.contains { file in
                guard file.target == name else { return false }
                // SPDX line, an empty comment line, then "Name: …".
                let head = file.lines.prefix(4)
                return head.first?.contains("SPDX-License-Identifier: Apache-2.0") == true
                    && head.dropFirst(2).first?.hasPrefix("// ") == true
                    && file.lines.prefix(12).filter { $0.hasPrefix("//") }.count >= 3
            }
            #expect(charter, "no file of \(name) opens with a charter (CONTRIBUTING.md)")
        }
    }

    private func importedModule(_ line: String) -> String? {
        let words = line.split(separator: " ")
        guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
            words[..<at].allSatisfy({
                $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0)
            })
        else { return nil }
        // `import struct Module.Type`
        let kinds: Set<Substring> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
        ]
        let name = kinds.contains(words[at + 1]) && at + 2 < words.count ? words[at + 2] : words[at + 1]
        return name.split(separator: ".").first.map(String.init)
    }

    private func reachable(from names: Set<String>) -> Set<String> {
        var found = names
        while true {
            let next = found.reduce(into: found) { $0.formUnion(layers[$1]?.imports ?? []) }
            if next == found { return found }
            found = next
        }
    }

    /// The string literals inside each `name…)` of the text.
    private func calls(of name: String, in text: String) -> [[String]] {
        text.split(separator: "\n").joined(separator: " ").components(after: name).map { call in
            call.prefix { $0 != ")" }.split(separator: "\"", omittingEmptySubsequences: false)
                .enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
        }
    }
}

extension String {
    /// What follows each occurrence of `mark`, up to the next.
    fileprivate func components(after mark: String) -> [Substring] {
        var result: [Substring] = []
        var rest = self[...]
        while let range = rest.firstRange(of: mark) {
            rest = rest[range.upperBound...]
            result.append(rest)
        }
        return result
    }
}
