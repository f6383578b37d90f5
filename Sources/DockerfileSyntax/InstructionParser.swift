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
    var warnings: [Warning] = []
    /// How instructions' names are written in this file so far: in capitals or not.
    private var casing: Bool?

    init(source: SourceText) { self.source = source }

    mutating func warn(_ rule: LintRule, _ text: String, at place: SourceLocation) {
        warnings.append(Warning(text, rule, at: place))
    }

    private mutating func checkCasing(_ keyword: Word) {
        let isUpper = keyword.text == keyword.text.uppercased()
        let isLower = keyword.text == keyword.text.lowercased()
        if casing == nil, isUpper || isLower { casing = isUpper }
        guard let casing, casing ? !isUpper : !isLower else { return }
        warn(
            .consistentInstructionCasing,
            "`\(keyword.text)` is not written as the instructions before it, in \(casing ? "capitals" : "small letters")",
            at: keyword.location)
    }

    /// `ONBUILD`: the instruction is read as it will be, so that what is wrong shows where it stands.
    private mutating func trigger(
        _ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader
    ) throws(Failure) -> String {
        let text = arguments.rest.trimmed
        guard let inner = arguments.plainWord() else {
            throw Failure("`ONBUILD` needs an instruction", at: keyword.location)
        }
        let name = inner.text.uppercased()
        if ["ONBUILD", "FROM", "MAINTAINER"].contains(name) {
            throw Failure("`\(name)` cannot be a trigger of `ONBUILD`", at: inner.location)
        }
        arguments.skipBlank()
        let heredocs: [Heredoc]
        switch try action(name, inner, &arguments, &reader) {
        case .run(let run): heredocs = run.heredocs
        case .copy(let copy), .add(let copy): heredocs = copy.files
        default: heredocs = []
        }
        return heredocs.reduce(text) { "\($0)\n\($1.raw)\($1.name)" }
    }

    mutating func parse(_ line: LogicalLine, _ reader: inout LineReader) throws(Failure) -> ParsedLine {
        var arguments = Arguments(source: source, line: line, escape: reader.escape)
        guard let keyword = arguments.plainWord() else {
            throw Failure("an instruction is missing", at: arguments.place)
        }
        let name = keyword.text.uppercased()
        checkCasing(keyword)
        arguments.skipBlank()
        let text = arguments.isAtEnd ? name : "\(name) \(arguments.rest)"
        if name == "FROM" { return .stage(try stage(&arguments, keyword, text)) }
        let action = try action(name, keyword, &arguments, &reader)
        return .instruction(Instruction(action: action, location: keyword.location, text: text))
    }

    private mutating func action(
        _ name: String, _ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader
    ) throws(Failure) -> Action {
        let needsArguments = arguments.isAtEnd
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
            warn(
                .maintainerDeprecated,
                "`MAINTAINER` is deprecated; write LABEL org.opencontainers.image.authors=…",
                at: keyword.location)
            return .maintainer(try single(&arguments, keyword).text)
        case "ONBUILD": return .onBuild(try trigger(keyword, &arguments, &reader))
        default:
            let near = nearest(to: name, among: Dockerfile.instructionNames)
            throw Failure(
                "`\(keyword.text)` is not a Dockerfile instruction",
                advice: near.map { "did you mean `\($0)`?" }, at: keyword.location)
        }
    }

    // MARK: FROM

    private mutating func stage(_ arguments: inout Arguments, _ keyword: Word, _ text: String) throws(Failure)
        -> Stage
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
            if (words[1].text == "AS") != (keyword.text == "FROM"),
                words[1].text != words[1].text.lowercased()
                    || keyword.text != keyword.text.lowercased()
            {
                warn(
                    .fromAsCasing, "`\(keyword.text)` and `\(words[1].text)` are not written alike",
                    at: words[1].location)
            }
            let chosen = words[2].text.lowercased()
            if chosen != words[2].text {
                warn(
                    .stageNameCasing, "the stage name `\(words[2].text)` should be in small letters",
                    at: words[2].location)
            }
            let valid = chosen.unicodeScalars.enumerated().allSatisfy { index, scalar in
                ("a"..."z").contains(scalar)
                    || index > 0 && (("0"..."9").contains(scalar) || "-_.".unicodeScalars.contains(scalar))
            }
            guard valid else {
                throw Failure(
                    "`\(words[2].text)` cannot name a stage",
                    cause: "a name begins with a letter and goes on with letters, digits, `-`, `_` and `.`",
                    at: words[2].location)
            }
            name = chosen
        }
        return Stage(
            index: 0, base: base, platform: platform, name: name, location: keyword.location, text: text,
            instructions: [])
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
    private mutating func namedValues(_ keyword: String, _ arguments: inout Arguments) throws(Failure)
        -> [NamedValue]
    {
        var values: [NamedValue] = []
        arguments.skipBlank()
        while !arguments.isAtEnd {
            let start = arguments.position
            guard let word = arguments.quotedWord() else { break }
            let name = word.text.prefix { $0 != "=" }
            guard name.utf8.count < word.text.utf8.count else {
                if values.isEmpty, let rest = arguments.wholeRest() {
                    warn(
                        .legacyKeyValueFormat, "`\(keyword) name value` is an old form; write name=value",
                        at: word.location)
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

    mutating func commandLine(_ name: String, _ arguments: inout Arguments) throws(Failure)
        -> CommandLine
    {
        if let words = try arguments.jsonList() { return .exec(words.map(\.text)) }
        warnIfMeantAsList(arguments)
        return .shell(arguments.rest)
    }

    /// `CMD ['a']` is shell text to Docker, and hardly ever meant so.
    mutating func warnIfMeantAsList(_ arguments: Arguments) {
        let text = arguments.rest
        guard text.hasPrefix("["), text.hasSuffix("]"), text.contains("'") || text.contains("\"") else {
            return
        }
        warn(
            .jsonArgsRecommended, "this looks like a JSON list but is none, and is given to the shell",
            at: arguments.place)
    }

    // MARK: Flags

    func value(of flag: Flag) throws(Failure) -> Word {
        guard let value = flag.value, !value.text.isEmpty else {
            throw Failure("`--\(flag.name)` needs a value", at: flag.location)
        }
        return value
    }

    func unsupported(_ flag: Flag, of instruction: String) -> Failure {
        Failure("`\(instruction) --\(flag.name)` is not supported", at: flag.location)
    }

    func unknown(_ flag: Flag, of instruction: String, known: [String]) -> Failure {
        let near = nearest(to: flag.name, among: known)
        return Failure(
            "`\(instruction)` has no flag `--\(flag.name)`", advice: near.map { "did you mean `--\($0)`?" },
            at: flag.location)
    }
}
