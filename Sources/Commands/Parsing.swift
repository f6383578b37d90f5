// SPDX-License-Identifier: Apache-2.0
//
// Parsing: words → a command and its arguments. Global flags stand before or after the command; where a command
// has a flag of the same letter (`logs -f`), behind the command it is the command's.

internal import Basics

/// What a command line asks for.
enum Request {
    case run(CommandDefinition, Arguments)
    /// Help of one command, or of all.
    case help(CommandDefinition?)
    /// Help of a group such as `image`.
    case groupHelp(String)
    case version
}

/// The words of a command line, one after another.
private struct Words {
    let words: [String]
    /// What stands before them.
    let program: String
    var next = 0
    /// What is left asks for help.
    var asksForHelp: Bool { words[next...].contains { $0 == "-h" || $0 == "--help" } }
    mutating func take() -> String? {
        guard next < words.count else { return nil }
        defer { next += 1 }
        return words[next]
    }
}

/// - Parameter program: what stands before the words, for messages.
func parse(
    _ words: [String], commands: [CommandDefinition], globals: [Flag], program: String = "covey"
) throws(Failure) -> Request {
    var words = Words(words: words, program: program)
    var arguments = Arguments()
    var command: CommandDefinition?
    var helpAsked = false

    while let word = words.take() {
        if word == "--" {
            guard let command else {
                throw Failure(
                    "cannot understand the command line", cause: "`--` stands where a command belongs")
            }
            // `exec web -- cmd`: the border is ours, not the program's.
            _ = command
            while let rest = words.take() { arguments.operands.append(rest) }
        } else if word.hasPrefix("--") {
            helpAsked = try long(word, command, globals, &words, &arguments) || helpAsked
        } else if word.hasPrefix("-"), word != "-" {
            helpAsked = try cluster(word, command, globals, &words, &arguments) || helpAsked
        } else if let found = command {
            arguments.operands.append(word)
            if found.passesRest {
                if words.next < words.words.count, words.words[words.next] == "--" { words.next += 1 }
                while let rest = words.take() { arguments.operands.append(rest) }
            }
        } else {
            let isGroup = commands.contains { $0.name.hasPrefix("\(word) ") }
            if word == "help" {
                let asked = words.words[words.next...].joined(separator: " ")
                if asked.isEmpty { return .help(nil) }
                if commands.contains(where: { $0.name.hasPrefix("\(asked) ") }) { return .groupHelp(asked) }
                return .help(try find(asked, commands, program))
            }
            guard isGroup else {
                let found = try find(word, commands, program, helpAsked: words.asksForHelp)
                command = found
                if found.isRefused, !words.asksForHelp {
                    while let rest = words.take() { arguments.operands.append(rest) }
                }
                continue
            }
            guard let second = words.take(), second != "--help", second != "-h" else {
                return .groupHelp(word)
            }
            command = try find("\(word) \(second)", commands, program)
        }
    }
    if helpAsked { return .help(command) }
    guard let command else { return arguments.has(.version) ? .version : .help(nil) }
    try check(arguments.operands, command, program)
    return .run(command, arguments)
}

private func find(
    _ name: String, _ commands: [CommandDefinition], _ program: String, helpAsked: Bool = false
) throws(Failure) -> CommandDefinition {
    if let found = commands.first(where: { $0.name == name || $0.alias == name }) { return found }
    let near = nearest(to: name, among: commands.map(\.name)).map { "there is a command \"\($0)\"" }
    throw Failure(
        "no command \"\(name)\"", cause: near ?? (helpAsked ? "No help topic for '\(name)'" : nil),
        advice: "run `\(program) --help` for all commands")
}

private func check(_ operands: [String], _ command: CommandDefinition, _ program: String) throws(Failure) {
    let wanted = command.operands
    let usage = "\(program) \(command.name) --help says more"
    if operands.count < wanted.least {
        throw Failure(
            "cannot run `\(program) \(command.name)`", cause: "\(wanted.usage) is missing", advice: usage)
    }
    if let most = wanted.most, operands.count > most {
        throw Failure(
            "cannot run `\(program) \(command.name)`",
            cause: "\"\(operands[most])\" is one argument too many",
            advice: usage)
    }
}

/// The flag for which `matches` holds, the command's own before the globals; nil when there is none.
private func flag(_ command: CommandDefinition?, _ globals: [Flag], _ matches: (Flag) -> Bool) -> Flag? {
    command?.flags.first(where: matches) ?? globals.first(where: matches)
}

private func unknown(
    _ spelling: String, _ command: CommandDefinition?, _ globals: [Flag], _ program: String
) -> Failure {
    let names = ((command?.flags ?? []) + globals).map { "--\($0.name.rawValue)" }
    let near = spelling.hasPrefix("--") ? nearest(to: spelling, among: names) : nil
    let place = command.map { "`\(program) \($0.name)`" } ?? "`\(program)`"
    return Failure(
        "no flag \(spelling) of \(place)", cause: near.map { "there is a flag \($0)" },
        advice: "run `\(program) \(command.map { "\($0.name) " } ?? "")--help` for all flags")
}

/// `--name`, `--name value`, `--name=value`. True when it asked for help.
private func long(
    _ word: String, _ command: CommandDefinition?, _ globals: [Flag], _ words: inout Words,
    _ arguments: inout Arguments
) throws(Failure) -> Bool {
    let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts.first ?? "")
    let attached = parts.count > 1 ? String(parts[1]) : nil
    guard let flag = flag(command, globals, { $0.name.rawValue == name }) else {
        throw unknown("--\(name)", command, globals, words.program)
    }
    if !flag.takesValue {
        switch attached {
        case nil, "true": arguments.set(flag.name, true)
        case "false": arguments.set(flag.name, false)
        case .some(let value):
            throw Failure("cannot understand \(word)", cause: "--\(name) takes no value \"\(value)\"")
        }
        return flag.name == .help && arguments.has(.help)
    }
    guard let value = attached ?? words.take() else {
        throw Failure("cannot understand \(word)", cause: "its value is missing")
    }
    try store(flag, value, &arguments)
    return false
}

/// `-abc`, `-n5`, `-n 5`, `-n=5`. True when it asked for help.
private func cluster(
    _ word: String, _ command: CommandDefinition?, _ globals: [Flag], _ words: inout Words,
    _ arguments: inout Arguments
) throws(Failure) -> Bool {
    var rest = word.dropFirst()
    var helpAsked = false
    while let letter = rest.popFirst() {
        guard let flag = flag(command, globals, { $0.short == letter }) else {
            throw unknown("-\(letter)", command, globals, words.program)
        }
        guard flag.takesValue else {
            // `-i=false`, as Docker takes it.
            let value = rest.hasPrefix("=") ? String(rest.dropFirst()) : "true"
            guard value == "true" || value == "false" else {
                throw Failure("cannot understand \(word)", cause: "-\(letter) takes no value \"\(value)\"")
            }
            arguments.set(flag.name, value == "true")
            if flag.name == .help { helpAsked = value == "true" }
            if rest.hasPrefix("=") { break }
            continue
        }
        if rest.hasPrefix("=") { rest = rest.dropFirst() }
        guard let value = rest.isEmpty ? words.take() : String(rest) else {
            throw Failure("cannot understand -\(letter)", cause: "its value is missing")
        }
        try store(flag, value, &arguments)
        break
    }
    return helpAsked
}

private func store(_ flag: Flag, _ value: String, _ arguments: inout Arguments) throws(Failure) {
    if case .choice(let choices) = flag.value, !choices.contains(value) {
        throw Failure(
            "cannot understand --\(flag.name.rawValue) \(value)",
            cause: "it is none of \(choices.joined(separator: ", "))",
            advice: nearest(to: value, among: choices).map { "did you mean \($0)?" })
    }
    arguments.add(flag.name, value)
}
