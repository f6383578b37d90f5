// SPDX-License-Identifier: Apache-2.0
//
// House rules a compiler does not know. Each says in its message why it is there and where that was learnt.

import Testing

private struct Forbidden {
    var call: String
    var reason: String
    /// Path prefixes in which it is allowed.
    var allowedIn: [String]
    init(_ call: String, allowedIn: [String] = [], _ reason: String) {
        self.call = call
        self.reason = reason
        self.allowedIn = allowedIn
    }
}

private let forbidden: [Forbidden] = [
    Forbidden(
        "import Foundation",
        "Foundation carries ICU, 40 MB, and makes every start 8-17 ms; FoundationEssentials' JSON costs a third of `up` (docs/decisions/007)"
    ),
    Forbidden("system(", "spawns a shell: the product spawns no program of the host (docs/ARCHITECTURE.md)"),
    Forbidden("popen(", "spawns a shell: the product spawns no program of the host (docs/ARCHITECTURE.md)"),
    Forbidden(
        // The programs the user names: a credential helper of the configuration, a provider of a service.
        "posix_spawn", allowedIn: ["Sources/Kernel/Spawning.swift", "Sources/Kernel/ChildProgram.swift"],
        "the product spawns no program of the host; containers are cloned by the keeper"),
    Forbidden("try!", "ends the process on the world's errors; a precondition is for our own"),
    Forbidden("as!", "ends the process on the world's errors; a precondition is for our own"),
    Forbidden("fatalError(", "ends the process with no three-part error; use precondition for our own bugs"),
    Forbidden("Task.detached", "nothing is asynchronous here (docs/decisions/001)"),
    Forbidden("Task {", "nothing is asynchronous here (docs/decisions/001)"),
    Forbidden("nonisolated(unsafe)", "hides a data race from the compiler (Swift 6 migration guide)"),
    Forbidden(
        // rmdir(2) of a cgroup v1 that is busy with its last zombie: the kernel tells nobody when it no longer is.
        "usleep(",
        "a fixed sleep is a race that has not been lost yet; wait for the event itself"),
    Forbidden(" sleep(", "a fixed sleep is a race that has not been lost yet; wait for the event itself"),
    Forbidden("String(format:", "needs Foundation; interpolate"),
    Forbidden("Mirror(", "reflection metadata costs size, and decisions by reflection can't be checked"),
    Forbidden(
        "getpwnam", "asks NSS, which may load anything; users are read from the image's own /etc/passwd"),
    Forbidden(
        "getgrnam", "asks NSS, which may load anything; groups are read from the image's own /etc/group"),
    Forbidden("gethostbyname", "asks NSS, which may load anything"),
    Forbidden("getaddrinfo", "asks NSS, which may load anything"),
]

/// Long on purpose: data with one entry a line.
private let tables: Set<String> = [
    "Sources/SeccompCompiler/DefaultProfile.swift",
    "Sources/SeccompCompiler/Syscall.swift",
    "Sources/SeccompCompiler/SyscallNumbers.swift",
    "Sources/Commands/CommandTable.swift",
]

@Suite("house rules")
struct HouseRuleTests {
    @Test("the product makes no forbidden call", arguments: Repository.sources)
    func calls(file: RepositoryFile) {
        let forbidden = forbidden.filter { file.has($0.call.filter { $0 != "\n" }) }
        if forbidden.isEmpty { return }
        let neighbours = Repository.sources.filter { $0.target == file.target }
        let own = forbidden.map(\.call).filter { call in
            neighbours.contains { $0.has("func \(call.dropLast())<") || $0.has("func \(call)") }
        }
        for (number, line) in file.lines.enumerated() {
            let code = code(in: line) + "\n"
            for rule in forbidden where code.contains(rule.call) {
                if rule.allowedIn.contains(where: file.path.hasPrefix) { continue }
                let before = code.firstRange(of: rule.call).flatMap { code[..<$0.lowerBound].last }
                // Neither `filesystem(` nor `.system(` is `system(`.
                // Nor is the declaration of a case of that name, nor a call of the target's own function.
                if code.contains("case \(rule.call)") || own.contains(rule.call) { continue }
                if let before, let first = rule.call.first, first.isLetter,
                    before.isLetter || "_.".contains(before)
                {
                    continue
                }
                Issue.record("\(file.path):\(number + 1): \(rule.call.filter { $0 != "\n" }): \(rule.reason)")
            }
        }
    }

    @Test("an unchecked Sendable says who owns it", arguments: Repository.sources)
    func unchecked(file: RepositoryFile) {
        let lines = file.lines
        for (number, line) in lines.enumerated() where code(in: line).contains("@unchecked Sendable") {
            let above = lines[max(0, number - 6)..<number].joined(separator: "\n").lowercased()
            #expect(
                file.path.hasPrefix("Sources/Kernel/") && above.contains("owner"),
                "\(file.path):\(number + 1): only in Kernel, with a comment that names the owner of the data")
        }
    }

    @Test("no source file is longer than 500 lines, but tables")
    func length() {
        for file in Repository.files
        where file.path.hasSuffix(".swift") || file.path.hasSuffix(".c") || file.path.hasSuffix(".h") {
            if tables.contains(file.path) { continue }
            // Golden text is long.
            let most = file.path.hasPrefix("Tests/") ? 800 : 500
            #expect(
                file.lines.count <= most, "\(file.path): look for the missing type, not for a second file")
        }
    }

    @Test("every source file opens with its licence")
    func licence() {
        for file in Repository.files where file.path.hasSuffix(".swift") || file.path.hasSuffix(".c") {
            // Package.swift has its tools version first.
            let head = file.lines.prefix(2).joined(separator: "\n")
            #expect(head.contains("SPDX-License-Identifier: Apache-2.0"), "\(file.path)")
        }
    }

    @Test("a thing left to do names its issue")
    func leftToDo() {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
        for file in Repository.files where isCode(file) && marks.contains(where: file.has) {
            for (number, line) in file.lines.enumerated() {
                for mark in marks where line.contains(mark) && !line.contains("mktemp") {
                    if let at = line.firstRange(of: mark) {
                        let after = line[at.upperBound...]
                        if mark == "XX" + "X", after.first == "X" || line[..<at.lowerBound].last == "X" {
                            continue
                        }
                        #expect(
                            after.hasPrefix("(#") || after.hasPrefix(" #"),
                            "\(file.path):\(number + 1): \(mark) without an issue, as \(mark)(#12)")
                    }
                }
            }
        }
    }

    @Test("the tree names no package registry and no path of the machine it was written on")
    func ofNoMachine() {
        let hosts = [
            "pypi" + ".org", "registry.npmjs" + ".org", "crates" + ".io", "rubygems" + ".org",
            "proxy.golang" + ".org",
        ]
        let paths = [
            "/wo" + "rk/wt", "/wo" + "rk/main", "/wo" + "rk/shared", "/ro" + "ot/.", "/op" + "t/swift",
        ]
        for file in Repository.files where (hosts + paths).contains(where: file.has) {
            for (number, line) in file.lines.enumerated() {
                for host in hosts where line.contains(host) {
                    Issue.record("\(file.path):\(number + 1): names the registry \(host)")
                }
                for path in paths where line.contains(path) {
                    let before = line.firstRange(of: path).flatMap { line[..<$0.lowerBound].last }
                    // Part of a longer path or name, as overlay's `…/w/work/incompat`.
                    if let before, before.isLetter || before.isNumber || "./}$_)-".contains(before) {
                        continue
                    }
                    Issue.record("\(file.path):\(number + 1): names the path \(path)")
                }
            }
        }
    }

    @Test(".ci/run calls README's two commands")
    func commands() throws {
        let readme = try #require(Repository.file("README.md")).text
        let run = try #require(Repository.file(".ci/run")).text
        let commands = marked("<!-- command -->", in: readme)
        #expect(
            commands.count == 2, "README marks its two commands with <!-- command --> before a code block")
        for command in commands {
            #expect(run.contains(command), ".ci/run does not run what README says:\n\(command)")
        }
    }

    /// The text of each fenced code block that follows the mark.
    private func marked(_ mark: String, in text: String) -> [String] {
        var result: [String] = []
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        while let line = lines.popFirst() {
            guard line == mark else { continue }
            guard lines.popFirst()?.hasPrefix("```") == true else { continue }
            let block = lines.prefix { !$0.hasPrefix("```") }
            result.append(block.joined(separator: "\n"))
        }
        return result
    }

    private func isCode(_ file: RepositoryFile) -> Bool {
        [".swift", ".c", ".h"].contains(where: file.path.hasSuffix)
    }
}
