// SPDX-License-Identifier: Apache-2.0
//
// DockerfileSyntax: Dockerfile and .dockerignore text → values. Pure: reads no file, runs nothing, fetches nothing.
// What an instruction means for an image is ImageBuild's.
//
// This file: what a Dockerfile says, as values. Words keep their place and their unexpanded text, since
// variables are known only when the instruction's turn comes.
// Source: Dockerfile reference (docs.docker.com/reference/dockerfile).

public import Basics

/// A parsed Dockerfile.
public struct Dockerfile: Sendable, Equatable {
    /// `\` or, by the `escape` directive, a backtick.
    public var escape: Unicode.Scalar
    /// `ARG`s before the first `FROM`; only `FROM` lines see them.
    public var globalArguments: [Instruction]
    public var stages: [Stage]
    public var warnings: [Warning]
    /// The `check` directive.
    public var check = CheckDirective()
}

/// Something a user should know that does not stop the build.
public struct Warning: Sendable, Equatable {
    /// nil for what no rule of Docker's checks is about.
    public var rule: LintRule?
    public var text: String
    public var location: SourceLocation

    public init(_ text: String, _ rule: LintRule? = nil, at location: SourceLocation) {
        self.rule = rule
        self.text = text
        self.location = location
    }
}

/// Text with its place, before substitution.
public struct Word: Sendable, Equatable {
    public var text: String
    public var location: SourceLocation

    public init(_ text: String, at location: SourceLocation) {
        self.text = text
        self.location = location
    }
}

/// One `FROM` and what follows it.
public struct Stage: Sendable, Equatable {
    /// Counted from 0 in the file.
    public var index: Int
    public var base: Word
    public var platform: Word?
    /// In lower case, as stages are looked up.
    public var name: String?
    public var location: SourceLocation
    /// `FROM a AS b`, for progress.
    public var text: String
    public var instructions: [Instruction]
}

/// One instruction within a stage.
public struct Instruction: Sendable, Equatable {
    public var action: Action
    /// Of the instruction's name.
    public var location: SourceLocation
    /// The name in upper case and its arguments, continuations joined; for progress and history.
    public var text: String
}

public enum Action: Sendable, Equatable {
    case arg([ArgumentDeclaration])
    case env([NamedValue])
    case label([NamedValue])
    case copy(CopyInstruction)
    case add(CopyInstruction)
    case run(RunInstruction)
    case command(CommandLine)
    case entrypoint(CommandLine)
    case shell([String])
    case workdir(Word)
    case user(Word)
    case expose([Word])
    case volume([Word])
    case stopSignal(Word)
    case healthcheck(Healthcheck)
    case maintainer(String)
    /// An instruction for builds on this image, with its heredocs, as the image's config keeps it.
    case onBuild(String)
}

/// `ARG name[=value]`.
public struct ArgumentDeclaration: Sendable, Equatable {
    public var name: String
    public var value: Word?
    public var location: SourceLocation
}

/// `name=value` of `ENV` and `LABEL`; both sides are substituted.
public struct NamedValue: Sendable, Equatable {
    public var name: Word
    public var value: Word
}

public enum CommandLine: Sendable, Equatable {
    /// Given to the shell in effect as one argument.
    case shell(String)
    /// The JSON form: program and arguments.
    case exec([String])
}

/// `COPY` or `ADD`.
public struct CopyInstruction: Sendable, Equatable {
    public var sources: [Word]
    /// Files written in the Dockerfile itself, `COPY <<EOF /path`.
    public var files: [Heredoc]
    public var destination: Word
    /// A stage's name or number, a named context or an image; never substituted.
    public var from: Word?
    public var owner: Word?
    public var mode: Word?
    /// The files are put on an empty root, so that nothing of the image beneath has a say in where they go.
    public var isLinked = false
    /// Sources keep their directories; `/./` within a source says from where on.
    public var keepsParents = false
    /// Patterns of what is left out.
    public var excludes: [Word] = []
    /// Of `ADD` of a URL: `sha256:…`.
    public var checksum: Word?
    /// Of `ADD` of a repository.
    public var keepsGitDirectory = false
    /// `ADD --unpack`; nil is the custom: archives of the context are unpacked, downloaded ones are not.
    public var unpacks: Bool?
}

public struct RunInstruction: Sendable, Equatable {
    public enum Network: String, Sendable { case standard = "default", none, host }
    public var command: CommandLine
    public var heredocs: [Heredoc]
    public var network = Network.standard
    public var mounts: [RunMount] = []
    /// `--security=insecure`: with all the rights there are.
    public var isInsecure = false
}

/// A here-document after `RUN`, `COPY` or `ADD`.
public struct Heredoc: Sendable, Equatable {
    public var name: String
    /// The lines between, each with its newline, as they stand.
    public var raw: String
    /// `<<-`: leading tabs do not count.
    public var stripsTabs: Bool
    /// False when the name was quoted.
    public var expands: Bool
    public var location: SourceLocation

    /// The content with `<<-` applied.
    public var content: String {
        guard stripsTabs else { return raw }
        var text = ""
        for line in raw.split(separator: "\n", omittingEmptySubsequences: false) {
            if !text.isEmpty || line.startIndex != raw.startIndex { text += "\n" }
            text += line.drop { $0 == "\t" }
        }
        return text
    }
}

public enum Healthcheck: Sendable, Equatable {
    case none
    case check(HealthcheckOptions, CommandLine)
}

/// What `HEALTHCHECK` says of time; nil is the default.
public struct HealthcheckOptions: Sendable, Equatable {
    public var interval: Duration?
    public var timeout: Duration?
    public var startPeriod: Duration?
    public var startInterval: Duration?
    public var retries: Int?
    public init() {}
}
