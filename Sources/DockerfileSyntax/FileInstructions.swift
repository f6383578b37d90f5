// SPDX-License-Identifier: Apache-2.0
//
// `COPY`, `ADD` and `RUN`: flags, words and the here-documents after them.

internal import Basics

extension InstructionParser {
    // MARK: COPY and ADD

    mutating func copy(
        _ name: String, _ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader
    ) throws(Failure) -> CopyInstruction {
        var copy = try copyFlags(name, &arguments)
        let begin = arguments
        if var words = try arguments.jsonList() {
            guard words.count >= 2 else { throw tooFew(name, keyword) }
            copy.destination = words.removeLast()
            copy.sources = words
            return copy
        }
        arguments = begin
        let marks = try heredocMarks(arguments)
        var words = arguments.plainWords()
        guard words.count >= 2 else { throw tooFew(name, keyword) }
        let destination = words.removeLast()
        copy.destination = destination
        copy.files = try heredocs(marks, &reader)
        if let last = marks.last, last.word.location == destination.location {
            throw Failure("`\(name)` needs a destination after the heredoc", at: destination.location)
        }
        if !copy.files.isEmpty, let from = copy.from {
            throw Failure("a heredoc cannot be copied with `--from`", at: from.location)
        }
        copy.sources = words.filter { word in !marks.contains { $0.word.location == word.location } }
        return copy
    }

    private func copyFlags(_ name: String, _ arguments: inout Arguments) throws(Failure) -> CopyInstruction {
        let both = ["chown", "chmod", "link", "exclude"]
        let known = both + (name == "COPY" ? ["from", "parents"] : ["checksum", "keep-git-dir", "unpack"])
        var copy = CopyInstruction(sources: [], files: [], destination: Word("", at: arguments.place))
        for flag in try arguments.flags() {
            guard known.contains(flag.name) else { throw unknown(flag, of: name, known: known) }
            switch flag.name {
            case "from":
                let value = try value(of: flag)
                if value.text.contains("$") {
                    throw Failure(
                        "`--from` takes no variable", cause: "stages are known before variables are",
                        advice: "begin a stage with FROM \(value.text) AS name, and write --from=name",
                        at: value.location)
                }
                copy.from = value
            case "chown": copy.owner = try value(of: flag)
            case "chmod": copy.mode = try value(of: flag)
            case "checksum": copy.checksum = try value(of: flag)
            case "exclude": copy.excludes.append(try value(of: flag))
            case "link": copy.isLinked = try truth(of: flag)
            case "parents": copy.keepsParents = try truth(of: flag)
            case "keep-git-dir": copy.keepsGitDirectory = try truth(of: flag)
            default: copy.unpacks = try truth(of: flag)
            }
        }
        return copy
    }

    /// `--name` or `--name=true`.
    private func truth(of flag: Flag) throws(Failure) -> Bool {
        switch flag.value?.text.lowercased() {
        case nil, "true", "1", "t": return true
        case "false", "0", "f": return false
        default:
            throw Failure(
                "`--\(flag.name)` takes `true` or `false`", at: flag.value?.location ?? flag.location)
        }
    }

    private func tooFew(_ name: String, _ keyword: Word) -> Failure {
        Failure(
            "`\(name)` needs at least a source and a destination",
            advice: "write \(name) source… destination",
            at: keyword.location)
    }

    // MARK: RUN

    mutating func run(_ keyword: Word, _ arguments: inout Arguments, _ reader: inout LineReader)
        throws(Failure) -> RunInstruction
    {
        var run = RunInstruction(command: .exec([]), heredocs: [])
        for flag in try arguments.flags() {
            switch flag.name {
            case "network":
                let value = try value(of: flag)
                guard let network = RunInstruction.Network(rawValue: value.text) else {
                    throw Failure(
                        "`--network=\(value.text)` is no network of a step",
                        advice: "use `default`, `none` or `host`", at: value.location)
                }
                run.network = network
            case "mount": run.mounts.append(try RunMount(parsing: try value(of: flag)))
            case "security":
                let value = try value(of: flag)
                guard ["sandbox", "insecure"].contains(value.text) else {
                    throw Failure(
                        "`--security=\(value.text)` is no security of a step",
                        advice: "use `sandbox`, which is the default, or `insecure`", at: value.location)
                }
                run.isInsecure = value.text == "insecure"
            case "device": throw unsupported(flag, of: "RUN")
            default: throw unknown(flag, of: "RUN", known: ["network", "mount", "security", "device"])
            }
        }
        guard !arguments.isAtEnd else {
            throw Failure("`RUN` needs a command", at: keyword.location)
        }
        if let words = try arguments.jsonList() {
            guard !words.isEmpty else { throw Failure("`RUN` needs a command", at: keyword.location) }
            run.command = .exec(words.map(\.text))
            return run
        }
        warnIfMeantAsList(arguments)
        run.heredocs = try heredocs(try heredocMarks(arguments), &reader)
        run.command = .shell(arguments.rest)
        return run
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
}
