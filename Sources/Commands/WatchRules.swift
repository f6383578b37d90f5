// SPDX-License-Identifier: Apache-2.0
//
// WatchRules: which rule of `develop.watch` a changed file meets, and what follows for its service. Pure but for the
// `.dockerignore` files that are read at the beginning (develop.md, watch).

internal import Basics
internal import ComposeModel
internal import DockerfileSyntax
internal import Kernel

/// One rule of one service, its patterns compiled.
struct WatchedRule {
    let service: String
    let rule: Service.WatchRule
    private let ignored: IgnorePatterns
    private let included: IgnorePatterns
    /// The build context's `.dockerignore`, for paths within the context.
    private let context: (path: String, ignored: IgnorePatterns)?
    /// The rule is for what is in a directory, which is no piece of it; a link to one is not either.
    private var isOfDirectory = false

    /// What editors and version control leave behind while they work.
    private static let transient = [
        "**/.git", "**/.svn", "**/.idea", "**/*~", "**/.*.sw?", "**/.*.sw??", "**/4913", "**/.#*", "**/#*#",
        "**/___jb_tmp___", "**/___jb_old___", "**/.DS_Store",
    ]

    init(_ service: Service, _ rule: Service.WatchRule) throws(Failure) {
        self.service = service.name
        self.rule = rule
        let title = "`develop.watch` of service \"\(service.name)\""
        ignored = try WatchedRule.compile(WatchedRule.transient + rule.ignore, title)
        included = try WatchedRule.compile(rule.include, title)
        if let path = service.build?.context, path.hasPrefix("/"),
            let bytes = try? readFile("\(path)/.dockerignore")
        {
            context = (path, try IgnorePatterns(parsing: bytes, path: "\(path)/.dockerignore"))
        } else {
            context = nil
        }
        look()
    }

    /// Sees whether the rule is for a directory or a file. While nothing is there, what was there last counts.
    mutating func look() {
        guard let status = try? fileStatus(rule.path, follow: true) else { return }
        isOfDirectory = status.isDirectory
    }

    private static func compile(_ patterns: [String], _ title: String) throws(Failure) -> IgnorePatterns {
        // A `#` begins a comment only in a file.
        let lines = patterns.map { $0.hasPrefix("#") ? "\\" + $0 : $0 }
        return try IgnorePatterns(parsing: Array(lines.joined(separator: "\n").utf8), path: title)
    }

    /// The path below the rule's own, empty for that itself; nil when it is not there.
    func relative(_ path: String) -> String? {
        if path == rule.path { return "" }
        let base = rule.path == "/" ? "/" : rule.path + "/"
        return path.hasPrefix(base) ? String(path.dropFirst(base.count)) : nil
    }

    func ignores(_ path: String) -> Bool {
        guard let relative = relative(path) else { return true }
        if relative.isEmpty { return false }
        if ignored.ignores(relative) { return true }
        if let context, path.hasPrefix(context.path + "/") {
            return context.ignored.ignores(String(path.dropFirst(context.path.count + 1)))
        }
        return false
    }

    /// Whether something in this directory may be the rule's: an ignored one is entered for the sake of an exception (`!`).
    func mayReach(below directory: String) -> Bool {
        if rule.path.hasPrefix(directory == "/" ? "/" : directory + "/") { return true }
        guard let relative = relative(directory) else { return false }
        if relative.isEmpty { return true }
        func mayKeep(_ patterns: IgnorePatterns, _ path: String) -> Bool {
            !patterns.ignores(path) || patterns.mayKeepSomething(below: path)
        }
        guard mayKeep(ignored, relative) else { return false }
        guard let context, directory.hasPrefix(context.path + "/") else { return true }
        return mayKeep(context.ignored, String(directory.dropFirst(context.path.count + 1)))
    }

    /// Whether a change of the path is one of the rule's.
    func covers(_ path: String) -> Bool {
        guard let relative = relative(path), !ignores(path) else { return false }
        if relative.isEmpty, isOfDirectory { return false }
        return included.isEmpty || relative.isEmpty || included.ignores(relative)
    }

    /// Where the file goes in the container: the rule's own, when its target ends with a slash, into that.
    func target(of path: String) -> String? {
        guard let target = rule.target, let relative = relative(path) else { return nil }
        if target.hasSuffix("/") { return target + (relative.isEmpty ? lastName(of: path) : relative) }
        return relative.isEmpty ? target : "\(target)/\(relative)"
    }

    /// What the rule wants copied for a changed path of its own.
    func copy(of path: String) -> WatchWork.Copy? {
        guard rule.action.hasPrefix("sync"), let target = target(of: path) else { return nil }
        return WatchWork.Copy(source: path, target: target, isWholeRule: path == rule.path)
    }
}

func lastName(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }

/// Every rule of these services, of all for none.
/// - Throws: when there is none, or one that can't be followed.
func watchedRules(of project: Project, _ services: [String]) throws(Failure) -> [WatchedRule] {
    var rules: [WatchedRule] = []
    for name in project.services.keys.sorted() where services.isEmpty || services.contains(name) {
        guard let service = project.services[name] else { continue }
        for rule in service.watch ?? [] {
            if rule.action == "rebuild", service.build == nil {
                throw Failure(
                    "service \"\(name)\" can't be rebuilt when files change", cause: "it has no `build`",
                    advice: "give it one, or another `action`", at: service.marks["develop"])
            }
            rules.append(try WatchedRule(service, rule))
        }
    }
    guard !rules.isEmpty else {
        throw Failure(
            "there is nothing to watch", cause: "no service has rules under `develop.watch`",
            advice: "see https://github.com/compose-spec/compose-spec/blob/main/develop.md")
    }
    return rules
}

/// What a number of changes ask for, by service.
struct WatchWork: Equatable {
    var syncs: [Copy] = []
    var restarts = false
    var rebuilds = false
    /// Positions of `sync+exec` rules.
    var execs: [Int] = []

    struct Copy: Equatable {
        var source: String
        var target: String
        /// Of a rule for one file. What is at the target was never the rule's, so a directory there is where the file goes.
        var isWholeRule = false
        /// What is gone on the host was a directory, and goes with all that is in it.
        var wasDirectory = false
    }
}

/// - Parameter rules: every rule; positions in it name the `sync+exec` ones.
func work(for changes: TreeWatch.Changes, _ rules: [WatchedRule]) -> [String: WatchWork] {
    var work: [String: WatchWork] = [:]
    for path in changes.paths.sorted() {
        for (position, rule) in rules.enumerated() where rule.covers(path) {
            var own = work[rule.service] ?? WatchWork()
            if var copy = rule.copy(of: path) {
                copy.wasDirectory = changes.directories.contains(path) && !copy.isWholeRule
                own.syncs.append(copy)
            }
            switch rule.rule.action {
            case "rebuild": own.rebuilds = true
            case "restart", "sync+restart": own.restarts = true
            case "sync+exec": if !own.execs.contains(position) { own.execs.append(position) }
            default: break
            }
            work[rule.service] = own
        }
    }
    return work
}
