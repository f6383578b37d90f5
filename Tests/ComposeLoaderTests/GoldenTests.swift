// SPDX-License-Identifier: Apache-2.0
//
// The tables in Golden/, written by hand from the specification: each line or block of them is one case.

import Basics
import ComposeLoader
import ComposeModel
import Glibc
import Testing

/// The lines of a table that say something, with their numbers.
private func table(_ name: String) -> [(number: Int, text: String)] {
    let path = #filePath.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/Golden/\(name).golden"
    guard let file = fopen(path, "r") else {
        Issue.record("\(path) is missing")
        return []
    }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
        .split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        .map { ($0.offset + 1, String($0.element)) }
}

private func rows(_ name: String) -> [(number: Int, text: String)] {
    table(name).filter { !$0.text.isEmpty && !$0.text.hasPrefix("#") }
}

/// What stands left and right of the first of these signs.
private func cut(_ text: String, _ signs: [String]) -> (left: String, sign: String, right: String) {
    for index in text.indices {
        for sign in signs where text[index...].hasPrefix(sign) {
            let rest = text[text.index(index, offsetBy: sign.count)...].drop { $0 == " " }
            return (String(text[..<index]), sign, String(rest))
        }
    }
    return (text, "", "")
}

private func split(_ text: String, _ separator: String) -> [String] {
    let (left, sign, right) = cut(text, [separator])
    return sign.isEmpty ? [text] : [left] + split(right, separator)
}

/// The block of a key in printed YAML, joined to one line; without what every service has.
private func block(_ yaml: String, _ keys: [String]) -> String {
    let lines = yaml.split(separator: "\n").map(String.init)
    var index = 0
    for (depth, key) in keys.enumerated() {
        let lead = String(repeating: " ", count: depth * 2)
        guard
            let found = lines[index...].firstIndex(where: {
                ["\(lead)\(key):", "\(lead)\"\(key)\":"].contains($0)
            })
        else { return "no \(key)" }
        index = found + 1
    }
    let lead = String(repeating: " ", count: keys.count * 2)
    let own = lines[index...].prefix { $0.hasPrefix(lead) }.map { String($0.dropFirst(lead.count)) }
    var kept: [String] = []
    var skips = 0
    for (position, line) in own.enumerated() {
        if skips > 0 {
            skips -= 1
        } else if line == "networks:", position + 1 < own.count, own[position + 1] == "  default: null",
            position + 2 == own.count || !own[position + 2].hasPrefix("  ")
        {
            skips = 1
        } else {
            kept.append(line)
        }
    }
    return kept.map { String($0.drop { $0 == " " }) }.joined(separator: "; ")
}

/// A service `web` with these lines; `#kind: name` declares what they name.
private func project(_ text: String) -> String {
    var (lines, services, rest): ([String], String, String) = ([], "", "")
    for line in split(text, " | ").map({ $0.trimmed }) {
        let (kind, _, name) = cut(line, [":"])
        switch kind {
        case "#service": services += "  \(name): {image: \(name)}\n"
        case "#networks", "#volumes": rest += "\(kind.dropFirst()): {\(name): }\n"
        case "#configs", "#secrets": rest += "\(kind.dropFirst()): {\(name): {file: ./f}}\n"
        case "#models": rest += "models: {\(name): {model: x}}\n"
        default: lines.append("    " + line)
        }
    }
    return "services:\n  web:\n    image: app\n\(lines.joined(separator: "\n"))\n\(services)\(rest)"
}

extension String {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}

private func attempt(
    _ files: [String: String], _ change: (inout LoadOptions) -> Void = { _ in }
) -> (loaded: LoadedProject?, errors: [Failure]) {
    do throws(Failure) {
        return (try load(files, honoured: false, change), [])
    } catch {
        return (nil, error.flattened)
    }
}

/// The service's attributes but those that are always there.
private func attributes(_ project: Project, of name: String, dropping dropped: [String]) -> String {
    let text = block(renderYAML(project), ["services", name])
    return split(text, ";").map(\.trimmed).filter { !dropped.contains($0) }.joined(separator: "; ")
}

private let always = ["command: null", "entrypoint: null"]

@Test("attributes of a service, a line each")
func goldenAttributes() {
    let cases = rows("attributes")
    for (number, text) in cases {
        let (input, sign, expected) = cut(text, ["=>", "!!"])
        let (loaded, errors) = attempt(["compose.yaml": project(input)]) { $0.profiles = ["*"] }
        if sign == "!!" {
            #expect(errors.first?.doing == expected, "attributes.golden:\(number)")
        } else if let loaded {
            let told = attributes(loaded.project, of: "web", dropping: always + ["image: app"])
            #expect(told == expected, "attributes.golden:\(number)")
        } else {
            Issue.record("attributes.golden:\(number): \(errors)")
        }
    }
    #expect(cases.count > 200)
}

@Test("one attribute laid on another, a line each")
func goldenMerges() {
    for (number, text) in rows("merge") {
        let (input, _, expected) = cut(text, ["=>"])
        let (base, _, over) = cut(input, ["++"])
        let (loaded, errors) = attempt([
            "compose.yaml": project(base.trimmed),
            "compose.override.yaml": "services:\n  web:\n    \(over.trimmed)\n",
        ])
        guard let loaded else {
            Issue.record("merge.golden:\(number): \(errors)")
            continue
        }
        var told = attributes(loaded.project, of: "web", dropping: ["command: null", "image: app"])
        if !expected.contains("entrypoint") {
            told = attributes(loaded.project, of: "web", dropping: always + ["image: app"])
        }
        #expect(told == expected, "merge.golden:\(number)")
    }
}

@Test("variables in every form, a line each")
func goldenInterpolations() {
    let variables = [
        "SET": "value", "EMPTY": "", "NUM": "5", "NESTED": "$SET", "_UNDER": "under", "set": "lower",
    ]
    for (number, text) in rows("interpolation") {
        let (input, sign, expected) = cut(text, ["=>", "!!", "??"])
        // A label takes any text; an error is told of the host's name, which is read by the same way.
        let isError = sign == "!!"
        let line = isError ? "hostname: '\(input.trimmed)'" : "labels: {l: '\(input.trimmed)'}"
        let (loaded, errors) = attempt(["compose.yaml": project(line)]) { $0.environment = variables }
        switch sign {
        case "!!": #expect(errors.first?.doing == expected, "interpolation.golden:\(number)")
        case "??":
            let warnings = loaded?.warnings.map(\.doing)
            #expect(
                warnings == ["the variable \"\(expected)\" is not set: it is taken as empty"],
                "interpolation.golden:\(number)")
        default:
            #expect(
                loaded?.project.services["web"]?.labels["l"] == expected,
                "interpolation.golden:\(number): \(errors)")
            #expect(loaded?.warnings.isEmpty == true, "interpolation.golden:\(number)")
        }
    }
}

@Test("environment files, a line each")
func goldenEnvironmentFiles() {
    func unescaped(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "\\", let next = rest.popFirst() else {
                result.append(character)
                continue
            }
            switch next {
            case "n": result += "\n"
            case "r": result += "\r"
            case "t": result += "\t"
            default: result.append(next)
            }
        }
        return result
    }
    for (number, text) in rows("envfiles") {
        var (input, sign, expected) = cut(text, ["=>", "!!"])
        let isRaw = input.hasPrefix("raw: ")
        if isRaw { input = String(input.dropFirst(5)) }
        if input.last == " " { input.removeLast() }
        let line = "env_file: [{path: v.env\(isRaw ? ", format: raw" : "")}]"
        let (loaded, errors) = attempt(["compose.yaml": project(line), "v.env": unescaped(input)])
        if sign == "!!" {
            #expect(errors.first?.doing == expected, "envfiles.golden:\(number)")
        } else {
            let found = loaded?.project.services["web"]?.environment ?? ["": "\(errors)"]
            let told = found.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(
                separator: "; ")
            #expect(told == unescaped(expected), "envfiles.golden:\(number)")
        }
    }
}

// MARK: Whole projects

private struct ProjectCase {
    var title = ""
    var number = 0
    var files: [String: String] = [:]
    var environment: [String: String] = [:]
    var settings: [String: [String]] = [:]
    var expected: [(of: String, text: String)] = []
    var errors: [String] = []
    var warnings: [String] = []
}

private func projectCases() -> [ProjectCase] {
    var cases: [ProjectCase] = []
    var (current, file, wanted): (ProjectCase?, String?, String?) = (nil, nil, nil)
    for (number, text) in table("projects") {
        if text.hasPrefix("## ") {
            if let current { cases.append(current) }
            current = ProjectCase()
            current?.title = String(text.dropFirst(3))
            current?.number = number
            (file, wanted) = (nil, nil)
        } else if text.hasPrefix("@ ") {
            file = String(text.dropFirst(2))
        } else if text.hasPrefix("=> ") {
            (file, wanted) = (nil, String(text.dropFirst(3)))
        } else if text.hasPrefix("!! ") {
            file = nil
            current?.errors.append(String(text.dropFirst(3)))
        } else if text.hasPrefix("?? ") {
            file = nil
            current?.warnings.append(String(text.dropFirst(3)))
        } else if let of = wanted, !text.isEmpty, file == nil {
            current?.expected.append((of, text))
            wanted = nil
        } else if let file {
            let (key, _, value) = cut(text, [file == "set" ? ":" : "="])
            switch file {
            case "env": if !text.isEmpty { current?.environment[key] = value }
            case "set":
                if !text.isEmpty { current?.settings[key] = value.split(separator: " ").map(String.init) }
            default:
                let line = text.hasPrefix("\\BOM") ? "\u{feff}" + text.dropFirst(4) : text
                current?.files[file, default: ""] += line + "\n"
            }
        }
    }
    if let current { cases.append(current) }
    return cases
}

@Test("whole projects of several files")
func goldenProjects() {
    let cases = projectCases()
    for one in cases {
        let title = Comment(rawValue: "projects.golden:\(one.number): \(one.title)")
        let (loaded, errors) = attempt(one.files) { options in
            options.environment.merge(one.environment) { $1 }
            options.files = one.settings["files"] ?? []
            options.profiles = one.settings["profiles"] ?? []
            options.services = one.settings["services"] ?? []
        }
        let told = errors.map { "\($0.location.map { "\($0): " } ?? "")\($0.doing)" }
        #expect(told == one.errors, title)
        guard let loaded else { continue }
        #expect(loaded.warnings.map(\.doing) == one.warnings, title)
        let project = loaded.project
        for (of, text) in one.expected {
            let told: String
            switch of {
            case "services": told = project.services.keys.sorted().joined(separator: " ")
            case "name": told = project.name
            case "networks": told = project.networks.keys.sorted().joined(separator: " ")
            case "resources":
                let keys = [project.networks.keys.sorted(), project.volumes.keys.sorted()]
                told =
                    (keys + [project.configs.keys.sorted(), project.secrets.keys.sorted()]).flatMap { $0 }
                    .joined(separator: " ")
            case _ where of.contains("."):
                told = block(renderYAML(project), of.split(separator: ".").map(String.init))
            default: told = attributes(project, of: of, dropping: always)
            }
            #expect(told == text, title)
        }
        // What is printed is the same project.
        var copy = one.files
        copy["compose.yaml"] = renderYAML(project)
        copy["compose.override.yaml"] = nil
        copy[".env"] = nil
        let (again, problems) = attempt(copy) {
            $0.files = ["compose.yaml"]
            $0.profiles = ["*"]
        }
        #expect(again.map { renderYAML($0.project) } == renderYAML(project), title)
        #expect(problems.isEmpty, title)
    }
    #expect(cases.count > 80)
}
