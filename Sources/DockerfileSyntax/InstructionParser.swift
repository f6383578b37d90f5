// SPDX-License-Identifier: Apache-2.0
//
// One instruction's text → its value. What Docker's language has and this builder has not is refused by name,
// with its place: an ignored flag would build another image than the one described.

internal import Basics

/// What a line turned out to be.
enum ParsedLine {
    case stage(Stage)
    case instruction(Instruction)
}

struct InstructionParser {
    let source: SourceText
    private(set) var warnings: [Warning] = []

    init(source: SourceText) { self.source = source }

    mutating func parse(_ line: LogicalLine, _ reader: inout LineReader) throws(Failure) -> ParsedLine {
        var arguments = Arguments(source: source, line: line, escape: reader.escape)
        guard let keyword = arguments.plainWord() else {
            throw Failure("an instruction is missing", at: arguments.place)
        }
        let name = keyword.text.uppercased()
        arguments.skipBlank()
        let text = arguments.isAtEnd ? name : "\(name) \(arguments.rest)"
        if name == "FROM" { return .stage(try stage(&arguments, keyword, text)) }
        let action = try action(name, keyword, &arguments, &reader)
        return .instruction(Instruction(action: action, location: keyword.location, text: text))
    }

    private mutating func action(
        _ name: String, _ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader
    ) throws(Failure) -> Action {
        let needsArguments = arguments.isAtEnd && name != "ONBUILD"
        if Dockerfile.instructionNames.contains(name), needsArguments {
            throw Failure("`\(name)` needs at least one argument", at: keyword.location)
        }
        switch name {
        case "ARG": return .arg(try argumentDeclarations(&arguments))
        case "ENV": return .env(try namedValues(name, &arguments))
        case "LABEL": return .label(try namedValues(name, &arguments))
        case "COPY": return .copy(try copy(name, keyword, &arguments, &reader))
        case "ADD": return .add(try copy(name, keyword, &arguments, &reader))
        case "RUN": return .run(try run(keyword, &arguments, &reader))
        case "CMD": return .command(try commandLine(name, &arguments))
        case "ENTRYPOINT": return .entrypoint(try commandLine(name, &arguments))
        case "SHELL":
            guard let words = try arguments.jsonList(), !words.isEmpty else {
                throw Failure(
                    "`SHELL` takes a JSON list", advice: "write SHELL [\"/bin/bash\", \"-c\"]",
                    at: arguments.place)
            }
            return .shell(words.map(\.text))
        case "WORKDIR": return .workdir(try single(&arguments, keyword))
        case "USER": return .user(try single(&arguments, keyword))
        case "STOPSIGNAL": return .stopSignal(try single(&arguments, keyword))
        case "EXPOSE": return .expose(arguments.plainWords())
        case "VOLUME":
            let words = try arguments.jsonList() ?? arguments.plainWords()
            guard !words.isEmpty, words.allSatisfy({ !$0.text.trimmed.isEmpty }) else {
                throw Failure("`VOLUME` names an empty path", at: keyword.location)
            }
            return .volume(words)
        case "HEALTHCHECK": return .healthcheck(try healthcheck(&arguments, keyword))
        case "MAINTAINER":
            warnings.append(
                Warning(
                    "`MAINTAINER` is deprecated; write LABEL org.opencontainers.image.authors=…",
                    at: keyword.location))
            return .maintainer(try single(&arguments, keyword).text)
        case "ONBUILD":
            throw Failure(
                "`ONBUILD` is not supported",
                cause: "triggers run in other builds than the one that shows them",
                advice: "put the instruction in the Dockerfile that needs it", at: keyword.location)
        default:
            let near = nearest(to: name, among: Dockerfile.instructionNames)
            throw Failure(
                "`\(keyword.text)` is not a Dockerfile instruction",
                advice: near.map { "did you mean `\($0)`?" }, at: keyword.location)
        }
    }

    // MARK: FROM

    private func stage(_ arguments: inout Arguments, _ keyword: Word, _ text: String) throws(Failure) -> Stage
    {
        var platform: Word?
        for flag in try arguments.flags() {
            switch flag.name {
            case "platform": platform = try value(of: flag)
            default: throw unknown(flag, of: "FROM", known: ["platform"])
            }
        }
        let words = arguments.plainWords()
        guard words.count == 1 || words.count == 3, let base = words.first else {
            throw Failure(
                "`FROM` takes one image, or an image, `AS` and a name", advice: "write FROM image [AS name]",
                at: words.dropFirst().first?.location ?? keyword.location)
        }
        var name: String?
        if words.count == 3 {
            guard words[1].text.lowercased() == "as" else {
                throw Failure(
                    "`\(words[1].text)` stands where `AS` is expected", advice: "write FROM image AS name",
                    at: words[1].location)
            }
            let chosen = words[2].text.lowercased()
            let valid = chosen.unicodeScalars.enumerated().allSatisfy { index, scalar in
                ("a"..."z").contains(scalar)
                    || index > 0 && (("0"..."9").contains(scalar) || "-_.".unicodeScalars.contains(scalar))
            }
            guard valid, chosen != "scratch", chosen != "context" else {
                throw Failure(
                    "`\(words[2].text)` cannot name a stage",
                    cause: valid
                        ? "the name is reserved"
                        : "a name begins with a letter and goes on with letters, digits, `-`, `_` and `.`",
                    at: words[2].location)
            }
            name = chosen
        }
        return Stage(
            index: 0, base: base, platform: platform, name: name, location: keyword.location, text: text,
            instructions: [])
    }

    // MARK: COPY, ADD, RUN

    private mutating func copy(
        _ name: String, _ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader
    ) throws(Failure) -> CopyInstruction {
        var (from, owner, mode): (Word?, Word?, Word?)
        let known = name == "COPY" ? ["from", "chown", "chmod", "link"] : ["chown", "chmod", "link"]
        for flag in try arguments.flags() {
            switch flag.name {
            case "from" where name == "COPY":
                let value = try value(of: flag)
                if value.text.contains("$") {
                    throw Failure(
                        "`--from` takes no variable", cause: "stages are known before variables are",
                        advice: "begin a stage with FROM \(value.text) AS name, and write --from=name",
                        at: value.location)
                }
                from = value
            case "chown": owner = try value(of: flag)
            case "chmod": mode = try value(of: flag)
            // The layer is its own in any case; the flag only frees Docker's cache from the layers beneath.
            case "link": break
            case "parents", "exclude", "checksum", "keep-git-dir", "unpack":
                throw unsupported(flag, of: name)
            default: throw unknown(flag, of: name, known: known)
            }
        }
        let begin = arguments
        if var words = try arguments.jsonList() {
            guard words.count >= 2 else { throw tooFew(name, keyword) }
            let destination = words.removeLast()
            return CopyInstruction(
                sources: words, files: [], destination: destination, from: from, owner: owner, mode: mode)
        }
        arguments = begin
        let marks = try heredocMarks(arguments)
        var words = arguments.plainWords()
        guard words.count >= 2 else { throw tooFew(name, keyword) }
        let destination = words.removeLast()
        let files = try heredocs(marks, &reader)
        if let last = marks.last, last.word.location == destination.location {
            throw Failure("`\(name)` needs a destination after the heredoc", at: destination.location)
        }
        if !files.isEmpty, let from {
            throw Failure("a heredoc cannot be copied with `--from`", at: from.location)
        }
        let sources = words.filter { word in !marks.contains { $0.word.location == word.location } }
        return CopyInstruction(
            sources: sources, files: files, destination: destination, from: from, owner: owner, mode: mode)
    }

    private func tooFew(_ name: String, _ keyword: Word) -> Failure {
        Failure(
            "`\(name)` needs at least a source and a destination",
            advice: "write \(name) source… destination",
            at: keyword.location)
    }

    private mutating func run(_ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader)
        throws(Failure) -> RunInstruction
    {
        var network = true
        for flag in try arguments.flags() {
            switch flag.name {
            case "network":
                let value = try value(of: flag)
                guard ["default", "none"].contains(value.text) else {
                    throw Failure(
                        "`--network=\(value.text)` is not supported", advice: "use `default` or `none`",
                        at: value.location)
                }
                network = value.text == "default"
            case "mount", "security", "device": throw unsupported(flag, of: "RUN")
            default: throw unknown(flag, of: "RUN", known: ["network", "mount", "security", "device"])
            }
        }
        guard !arguments.isAtEnd else {
            throw Failure("`RUN` needs a command", at: keyword.location)
        }
        if let words = try arguments.jsonList() {
            guard !words.isEmpty else { throw Failure("`RUN` needs a command", at: keyword.location) }
            return RunInstruction(command: .exec(words.map(\.text)), heredocs: [], network: network)
        }
        warnIfMeantAsList(arguments)
        let heredocs = try heredocs(try heredocMarks(arguments), &reader)
        return RunInstruction(command: .shell(arguments.rest), heredocs: heredocs, network: network)
    }

    // MARK: Heredocs

    private struct HeredocMark {
        var word: Word
        var name: String
        var stripsTabs: Bool
        var expands: Bool
    }

    /// The words `[digits]<<[-]NAME` of the line.
    private func heredocMarks(_ arguments: Arguments) throws(Failure) -> [HeredocMark] {
        var (arguments, marks) = (arguments, [HeredocMark]())
        while let word = arguments.quotedWord() {
            var rest = word.text.drop { ("0"..."9").contains($0) }
            guard rest.hasPrefix("<<") else { continue }
            rest = rest.dropFirst(2)
            let stripsTabs = rest.hasPrefix("-")
            if stripsTabs { rest = rest.dropFirst() }
            guard !rest.isEmpty, !rest.contains("<") else { continue }
            var plain = Substitution(escape: Unicode.Scalar(arguments.escape)) { "$\($0)" }
            plain.keepsQuotes = false
            let name = try plain.expand(Word(String(rest), at: word.location))
            guard !name.isEmpty, !name.contains(where: \.isWhitespace) else { continue }
            marks.append(
                HeredocMark(word: word, name: name, stripsTabs: stripsTabs, expands: name == rest))
        }
        return marks
    }

    private func heredocs(_ marks: [HeredocMark], _ reader: inout LineReader) throws(Failure) -> [Heredoc] {
        var result: [Heredoc] = []
        for mark in marks {
            guard let raw = reader.heredocLines(until: mark.name, strippingTabs: mark.stripsTabs) else {
                throw Failure(
                    "the heredoc `\(mark.name)` never ends",
                    cause: "no line up to the end of the file is `\(mark.name)` alone", at: mark.word.location
                )
            }
            result.append(
                Heredoc(
                    name: mark.name, raw: raw, stripsTabs: mark.stripsTabs, expands: mark.expands,
                    location: mark.word.location))
        }
        return result
    }

    // MARK: Words

    private func single(_ arguments: inout Arguments, _ keyword: Word) throws(Failure) -> Word {
        guard let word = arguments.wholeRest() else {
            throw Failure("`\(keyword.text.uppercased())` needs an argument", at: keyword.location)
        }
        return word
    }

    private func argumentDeclarations(_ arguments: inout Arguments) throws(Failure) -> [ArgumentDeclaration] {
        var declarations: [ArgumentDeclaration] = []
        arguments.skipBlank()
        while !arguments.isAtEnd {
            let start = arguments.position
            guard let word = arguments.quotedWord() else { break }
            let name = word.text.prefix { $0 != "=" }
            guard !name.isEmpty else { throw Failure("`ARG` has no name before `=`", at: word.location) }
            var value: Word?
            if name.utf8.count < word.text.utf8.count {
                value = arguments.part(of: word, startingAt: start, from: name.utf8.count + 1)
            }
            declarations.append(
                ArgumentDeclaration(name: String(name), value: value, location: word.location))
            arguments.skipBlank()
        }
        return declarations
    }

    /// `name=value…`, or the old form `name value with blanks`.
    private func namedValues(_ keyword: String, _ arguments: inout Arguments) throws(Failure) -> [NamedValue]
    {
        var values: [NamedValue] = []
        arguments.skipBlank()
        while !arguments.isAtEnd {
            let start = arguments.position
            guard let word = arguments.quotedWord() else { break }
            let name = word.text.prefix { $0 != "=" }
            guard name.utf8.count < word.text.utf8.count else {
                if values.isEmpty, let rest = arguments.wholeRest() {
                    return [NamedValue(name: word, value: rest)]
                }
                throw Failure(
                    "`\(word.text)` has no `=`", cause: "`\(keyword)` takes name=value",
                    advice: "quote a value that holds blanks", at: word.location)
            }
            guard !name.isEmpty else {
                throw Failure("`\(keyword)` has no name before `=`", at: word.location)
            }
            values.append(
                NamedValue(
                    name: Word(String(name), at: word.location),
                    value: arguments.part(of: word, startingAt: start, from: name.utf8.count + 1)))
            arguments.skipBlank()
        }
        return values
    }

    private mutating func commandLine(_ name: String, _ arguments: inout Arguments) throws(Failure)
        -> CommandLine
    {
        if let words = try arguments.jsonList() { return .exec(words.map(\.text)) }
        warnIfMeantAsList(arguments)
        return .shell(arguments.rest)
    }

    /// `CMD ['a']` is shell text to Docker, and hardly ever meant so.
    private mutating func warnIfMeantAsList(_ arguments: Arguments) {
        let text = arguments.rest
        guard text.hasPrefix("["), text.hasSuffix("]"), text.contains("'") || text.contains("\"") else {
            return
        }
        warnings.append(
            Warning("this looks like a JSON list but is none, and is given to the shell", at: arguments.place)
        )
    }

    // MARK: HEALTHCHECK

    private mutating func healthcheck(_ arguments: inout Arguments, _ keyword: Word) throws(Failure)
        -> Healthcheck
    {
        var options = HealthcheckOptions()
        let known = ["interval", "timeout", "start-period", "start-interval", "retries"]
        let flags = try arguments.flags()
        for flag in flags {
            switch flag.name {
            case "interval": options.interval = try duration(of: flag)
            case "timeout": options.timeout = try duration(of: flag)
            case "start-period": options.startPeriod = try duration(of: flag)
            case "start-interval": options.startInterval = try duration(of: flag)
            case "retries":
                let value = try value(of: flag)
                guard let count = Int(value.text), count >= 0 else {
                    throw Failure(
                        "`--retries` is `\(value.text)`; it takes a whole number", at: value.location)
                }
                options.retries = count
            default: throw unknown(flag, of: "HEALTHCHECK", known: known)
            }
        }
        guard let kind = arguments.plainWord() else {
            throw Failure("`HEALTHCHECK` needs `CMD` or `NONE`", at: keyword.location)
        }
        arguments.skipBlank()
        switch kind.text.uppercased() {
        case "NONE":
            guard arguments.isAtEnd, flags.isEmpty else {
                throw Failure("`HEALTHCHECK NONE` takes nothing else", at: kind.location)
            }
            return .none
        case "CMD":
            guard !arguments.isAtEnd else {
                throw Failure("`HEALTHCHECK CMD` needs a command", at: kind.location)
            }
            let command = try commandLine("HEALTHCHECK", &arguments)
            if case .exec([]) = command {
                throw Failure("`HEALTHCHECK CMD` needs a command", at: kind.location)
            }
            return .check(options, command)
        default:
            throw Failure(
                "`\(kind.text)` is no health check",
                advice: "write HEALTHCHECK CMD command, or HEALTHCHECK NONE",
                at: kind.location)
        }
    }

    private func duration(of flag: Flag) throws(Failure) -> Duration {
        let value = try value(of: flag)
        guard let duration = Duration(compose: value.text),
            duration == .zero || duration >= .milliseconds(1)
        else {
            throw Failure(
                "`--\(flag.name)` is `\(value.text)`",
                cause: "it takes a duration of at least 1ms, such as 1m30s",
                at: value.location)
        }
        return duration
    }

    // MARK: Flags

    private func value(of flag: Flag) throws(Failure) -> Word {
        guard let value = flag.value, !value.text.isEmpty else {
            throw Failure("`--\(flag.name)` needs a value", at: flag.location)
        }
        return value
    }

    private func unsupported(_ flag: Flag, of instruction: String) -> Failure {
        Failure("`\(instruction) --\(flag.name)` is not supported", at: flag.location)
    }

    private func unknown(_ flag: Flag, of instruction: String, known: [String]) -> Failure {
        let near = nearest(to: flag.name, among: known)
        return Failure(
            "`\(instruction)` has no flag `--\(flag.name)`", advice: near.map { "did you mean `--\($0)`?" },
            at: flag.location)
    }
}
