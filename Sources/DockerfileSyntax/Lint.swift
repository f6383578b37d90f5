// SPDX-License-Identifier: Apache-2.0
//
// What is legal in a Dockerfile and rarely meant: the rules of Docker's own checks, under their names, so that a
// `# check=skip=…` written for one builder holds for the other. Rules that a single line shows are told where the
// line is parsed; here are those that need the whole file. Those that need images or the context are ImageBuild's.
// Source: docs.docker.com/reference/build-checks.

internal import Basics

/// A rule by the name Docker's build checks have for it.
public enum LintRule: String, Sendable, CaseIterable {
    case stageNameCasing = "StageNameCasing"
    case fromAsCasing = "FromAsCasing"
    case noEmptyContinuation = "NoEmptyContinuation"
    case consistentInstructionCasing = "ConsistentInstructionCasing"
    case duplicateStageName = "DuplicateStageName"
    case reservedStageName = "ReservedStageName"
    case jsonArgsRecommended = "JSONArgsRecommended"
    case maintainerDeprecated = "MaintainerDeprecated"
    case undefinedArgInFrom = "UndefinedArgInFrom"
    case undefinedVar = "UndefinedVar"
    case multipleInstructionsDisallowed = "MultipleInstructionsDisallowed"
    case legacyKeyValueFormat = "LegacyKeyValueFormat"
    case workdirRelativePath = "WorkdirRelativePath"
    case invalidBaseImagePlatform = "InvalidBaseImagePlatform"
    case redundantTargetPlatform = "RedundantTargetPlatform"
    case secretsUsedInArgOrEnv = "SecretsUsedInArgOrEnv"
    case invalidDefaultArgInFrom = "InvalidDefaultArgInFrom"
    case fromPlatformFlagConstDisallowed = "FromPlatformFlagConstDisallowed"
    case copyIgnoredFile = "CopyIgnoredFile"
    case exposeProtoCasing = "ExposeProtoCasing"
    case exposeInvalidFormat = "ExposeInvalidFormat"
    /// Experimental, there as here: `check=experimental=InvalidDefinitionDescription` asks for it.
    case invalidDefinitionDescription = "InvalidDefinitionDescription"
}

extension LintRule {
    static let experimental: Set<LintRule> = [.invalidDefinitionDescription]
}

/// `# check=skip=Rule,…;error=true`.
public struct CheckDirective: Sendable, Equatable {
    public var skipped: Set<LintRule> = []
    public var skipsAll = false
    /// Experimental rules that are wanted.
    public var experimental: Set<LintRule> = []
    /// A warning ends the build.
    public var isError = false

    public init() {}

    init(_ text: String, at place: SourceLocation) throws(Failure) {
        for part in text.split(separator: ";") {
            let name = part.prefix { $0 != "=" }.trimmed.lowercased()
            let value = part.dropFirst(part.prefix { $0 != "=" }.count + 1).trimmed
            switch name {
            case "skip":
                for rule in value.split(separator: ",").map(\.trimmed) {
                    if rule.lowercased() == "all" {
                        skipsAll = true
                    } else if let known = LintRule.allCases.first(where: {
                        $0.rawValue.lowercased() == rule.lowercased()
                    }) {
                        skipped.insert(known)
                    }
                    // A rule of a later Docker is no reason to refuse the file.
                }
            case "error": isError = value.lowercased() == "true"
            case "experimental":
                for rule in value.split(separator: ",").map({ $0.trimmed.lowercased() }) {
                    experimental.formUnion(
                        LintRule.experimental.filter { rule == "all" || $0.rawValue.lowercased() == rule })
                }
            default:
                throw Failure(
                    "the directive `check` has no option `\(name)`",
                    advice: "write check=skip=RULE,… or check=error=true", at: place)
            }
        }
    }

    public func skips(_ rule: LintRule?) -> Bool {
        guard let rule else { return false }
        return skipsAll || skipped.contains(rule)
    }
}

extension LineReader {
    /// A comment right above a stage or an argument describes it, and then begins with its name.
    func checkDescription(of names: [String], _ what: String) -> Warning? {
        guard check.experimental.contains(.invalidDefinitionDescription), let comment,
            let first = names.first
        else { return nil }
        let word = comment.text.prefix { $0 != " " }
        if names.contains(where: { $0 == word }) { return nil }
        return Warning(
            "the comment above \(what) does not describe it: that begins with `# \(names.count > 1 ? "NAME" : first) `; an empty line sets it apart",
            .invalidDefinitionDescription, at: source.location(line: comment.line, offset: 0))
    }
}

extension Dockerfile {
    /// What the rules say that look at the file as a whole.
    func lint() -> [Warning] {
        var lint = Lint(file: self)
        lint.checkGlobalArguments()
        for stage in stages { lint.check(stage) }
        return lint.warnings
    }
}

private struct Lint {
    let file: Dockerfile
    var warnings: [Warning] = []
    /// Stages whose working directory is known to be absolute, by index.
    private var hasDirectory: Set<Int> = []
    private var defaults: [String: String] = [:]
    private var declared: Set<String> = [
        "TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "TARGETOSVERSION", "BUILDPLATFORM",
        "BUILDOS", "BUILDARCH", "BUILDVARIANT", "BUILDOSVERSION",
    ]

    init(file: Dockerfile) { self.file = file }

    private mutating func warn(_ rule: LintRule, _ text: String, _ place: SourceLocation) {
        warnings.append(Warning(text, rule, at: place))
    }

    mutating func checkGlobalArguments() {
        for case .arg(let all) in file.globalArguments.map(\.action) {
            for each in all {
                checkSecret(each.name, "ARG", each.location)
                declared.insert(each.name)
                let known = defaults
                let words = Substitution(escape: file.escape) { known[$0] }
                if let value = each.value, let text = try? words.expand(value) { defaults[each.name] = text }
            }
        }
    }

    mutating func check(_ stage: Stage) {
        checkFrom(stage)
        let base = file.stages[..<stage.index].last { $0.name == stage.base.text.lowercased() }
        if let base, hasDirectory.contains(base.index) { hasDirectory.insert(stage.index) }
        var last: [String: SourceLocation] = [:]
        var hasShell = false
        for instruction in stage.instructions {
            let name = String(instruction.text.prefix { $0 != " " })
            if ["CMD", "ENTRYPOINT", "HEALTHCHECK"].contains(name) {
                if let earlier = last.updateValue(instruction.location, forKey: name) {
                    warn(
                        .multipleInstructionsDisallowed,
                        "this `\(name)` has no effect: a later one of the stage takes its place", earlier)
                }
            }
            switch instruction.action {
            case .command(.shell(let text)), .entrypoint(.shell(let text)):
                // What looks like a list was told where it was read.
                if hasShell || text.hasPrefix("[") { continue }
                warn(
                    .jsonArgsRecommended,
                    "a JSON list is better for `\(name)`: signals reach the program, not a shell",
                    instruction.location)
            case .shell: hasShell = true
            case .arg(let all): for each in all { checkSecret(each.name, "ARG", each.location) }
            case .env(let all): for each in all { checkSecret(each.name.text, "ENV", each.name.location) }
            case .workdir(let word):
                if word.text.hasPrefix("/") || word.text.hasPrefix("$") {
                    hasDirectory.insert(stage.index)
                } else if !hasDirectory.contains(stage.index) {
                    warn(
                        .workdirRelativePath,
                        "`WORKDIR \(word.text)` counts from a directory that the base image decides",
                        word.location)
                }
            case .expose(let words): for word in words { checkPort(word) }
            default: break
            }
        }
    }

    private mutating func checkFrom(_ stage: Stage) {
        if let name = stage.name {
            if file.stages[..<stage.index].contains(where: { $0.name == name }) {
                warn(
                    .duplicateStageName, "stage `\(name)` is defined twice; the later one is meant",
                    stage.location)
            }
            if name == "scratch" || name == "context" {
                warn(
                    .reservedStageName, "the stage name `\(name)` means something else elsewhere",
                    stage.location)
            }
        }
        if let platform = stage.platform {
            if platform.text == "$TARGETPLATFORM" || platform.text == "${TARGETPLATFORM}" {
                warn(
                    .redundantTargetPlatform, "`--platform=\(platform.text)` is the default",
                    platform.location)
            } else if !platform.text.contains("$") {
                warn(
                    .fromPlatformFlagConstDisallowed, "`--platform` should not be a constant",
                    platform.location)
            }
        }
        for word in [stage.base, stage.platform].compactMap({ $0 }) {
            let (declared, defaults) = (declared, defaults)
            var undefined: [String] = []
            var words = Substitution(escape: file.escape) { name in
                declared.contains(name) ? defaults[name] ?? "" : nil
            }
            words.undefined = { undefined.append($0) }
            guard let text = try? words.expand(word) else { continue }
            for name in undefined {
                let near = nearest(to: name, among: declared.sorted())
                warn(
                    .undefinedArgInFrom,
                    "`FROM` uses `\(name)`, which no ARG before the first FROM declares"
                        + (near.map { "; did you mean `\($0)`?" } ?? ""), word.location)
            }
            if word == stage.base, undefined.isEmpty, word.text.contains("$"),
                text.isEmpty || text.hasSuffix(":") || text.hasSuffix("@") || text.hasSuffix("/")
                    || text.hasPrefix(":")
            {
                warn(
                    .invalidDefaultArgInFrom,
                    "with the defaults of its ARGs, `\(word.text)` is `\(text)`, which is no image",
                    word.location)
            }
        }
    }

    /// Words that tell a credential, as Docker's rule has them.
    private static let secretWords: Set<String> = [
        "apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret",
        "token",
    ]

    private mutating func checkSecret(_ name: String, _ instruction: String, _ place: SourceLocation) {
        let words = Set(name.lowercased().split(separator: "_").map(String.init))
        guard !words.isDisjoint(with: Lint.secretWords), !words.contains("public") else { return }
        warn(
            .secretsUsedInArgOrEnv,
            "`\(instruction) \(name)` may hold a secret, which everybody finds in the image; use RUN --mount=type=secret",
            place)
    }

    private mutating func checkPort(_ word: Word) {
        if word.text.contains("$") { return }
        let parts = word.text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, parts[1] != parts[1].lowercased() {
            warn(
                .exposeProtoCasing, "the protocol of `\(word.text)` should be in small letters", word.location
            )
        }
        if parts.first?.contains(":") == true {
            warn(
                .exposeInvalidFormat,
                "`EXPOSE \(word.text)`: an image has no say in the host's address or port", word.location)
        }
    }
}
