// SPDX-License-Identifier: Apache-2.0
//
// `RUN --mount=type=…`: a comma-separated list of options, values of which may hold variables. What is wrong without
// knowing a variable is found when the file is parsed, the rest when the step's turn comes.
// Source: Dockerfile reference, "RUN --mount".

public import Basics

/// One `--mount` as it is written.
public struct RunMount: Sendable, Equatable {
    /// In order, names in lower case; a value that was not written is nil.
    public var options: [(name: Word, value: Word?)]
    public var location: SourceLocation

    /// The stage, context or image that `from` names; never substituted.
    public var from: Word? { value("from") }

    public static func == (a: RunMount, b: RunMount) -> Bool {
        a.location == b.location && a.options.map(\.name) == b.options.map(\.name)
            && a.options.map(\.value) == b.options.map(\.value)
    }

    init(parsing word: Word) throws(Failure) {
        location = word.location
        options = RunMount.fields(of: word)
        if let from = value("from"), from.text.contains("$") {
            throw Failure(
                "`from` of a mount takes no variable", cause: "stages are known before variables are",
                advice: "begin a stage with FROM \(from.text) AS name, and write from=name", at: from.location
            )
        }
        // Without variables all is known now.
        if !word.text.contains("$") {
            let plain = Substitution(escape: "\\") { _ in nil }
            _ = try settled { (word: Word) throws(Failure) -> String in try plain.expand(word) }
        }
    }

    func value(_ name: String) -> Word? { options.first { $0.name.text == name }?.value }

    /// Fields between commas; one in double quotes may hold commas (RFC 4180).
    private static func fields(of word: Word) -> [(name: Word, value: Word?)] {
        var fields: [(Word, Word?)] = []
        var (text, start, offset, quoted) = ("", 0, 0, false)
        func close() {
            var place = word.location
            place.column += start
            let name = String(text.prefix { $0 != "=" })
            var value: Word?
            if name.count < text.count {
                var valuePlace = place
                valuePlace.column += name.count + 1
                value = Word(String(text.dropFirst(name.count + 1)), at: valuePlace)
            }
            fields.append((Word(name.trimmed.lowercased(), at: place), value))
        }
        var characters = Array(word.text)[...]
        // Quotes around the whole list are the shell's habit and mean nothing.
        if let first = characters.first, first == "\"" || first == "'", characters.last == first,
            characters.count > 1, !characters.dropFirst().dropLast().contains(first)
        {
            characters = characters.dropFirst().dropLast()
            offset = 1
            start = 1
        }
        for character in characters {
            offset += 1
            if character == "\"" {
                quoted.toggle()
            } else if character == ",", !quoted {
                close()
                (text, start) = ("", offset)
            } else {
                text.append(character)
            }
        }
        close()
        return fields
    }
}

/// A mount with its variables replaced.
public struct MountSettings: Sendable, Equatable {
    public enum Kind: String, Sendable { case bind, cache, tmpfs, secret, ssh }
    public enum Sharing: String, Sendable { case shared, `private`, locked }

    public var kind = Kind.bind
    public var target: String?
    public var source: String?
    public var id: String?
    public var isReadOnly: Bool?
    public var sharing = Sharing.shared
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    public var size: ByteSize?
    public var isRequired = false
    /// Of a secret: the variable that holds it.
    public var environment: String?
    public init() {}
}

extension RunMount {
    private static let allowed: [MountSettings.Kind: [String]] = [
        .bind: ["target", "source", "from", "rw", "ro"],
        .cache: ["target", "source", "from", "id", "sharing", "mode", "uid", "gid", "ro", "rw"],
        .tmpfs: ["target", "size"],
        .secret: ["id", "source", "target", "required", "mode", "uid", "gid", "env"],
        .ssh: ["id", "target", "required", "mode", "uid", "gid"],
    ]
    private static let synonyms = [
        "dst": "target", "destination": "target", "src": "source", "readonly": "ro", "readwrite": "rw",
    ]

    /// What the options say once `expand` has replaced their variables.
    public func settled(_ expand: (Word) throws(Failure) -> String) throws(Failure) -> MountSettings {
        var settings = MountSettings()
        if let kind = value("type") {
            guard let known = MountSettings.Kind(rawValue: kind.text.lowercased()) else {
                let near = nearest(to: kind.text, among: ["bind", "cache", "tmpfs", "secret", "ssh"])
                throw Failure(
                    "`\(kind.text)` is no type of a mount", advice: near.map { "did you mean `\($0)`?" },
                    at: kind.location)
            }
            settings.kind = known
        }
        let allowed = RunMount.allowed[settings.kind] ?? []
        for (name, word) in options where name.text != "type" && name.text != "from" {
            let option = RunMount.synonyms[name.text] ?? name.text
            guard allowed.contains(option) else {
                let near = nearest(to: option, among: allowed)
                throw Failure(
                    "a mount of type \(settings.kind.rawValue) has no option `\(name.text)`",
                    advice: near.map { "did you mean `\($0)`?" }, at: name.location)
            }
            let text = try word.map { (word: Word) throws(Failure) -> String in try expand(word) }
            try settings.set(option, text, name, word)
        }
        if settings.target == nil, settings.kind != .secret, settings.kind != .ssh {
            throw Failure(
                "a mount of type \(settings.kind.rawValue) needs a `target`", advice: "add target=/path",
                at: location)
        }
        if settings.kind == .secret, settings.id == nil, settings.source == nil, settings.target == nil {
            throw Failure("a secret needs an `id`", advice: "add id=NAME", at: location)
        }
        return settings
    }
}

extension MountSettings {
    fileprivate mutating func set(_ option: String, _ text: String?, _ name: Word, _ word: Word?)
        throws(Failure)
    {
        if ["ro", "rw", "required"].contains(option) {
            let truth: Bool
            switch text?.lowercased() {
            case nil, "", "true", "1": truth = true
            case "false", "0": truth = false
            default: throw wrong(name, text, "it takes `true` or `false`", word)
            }
            switch option {
            case "ro": isReadOnly = truth
            case "rw": isReadOnly = !truth
            default: isRequired = truth
            }
            return
        }
        guard let text, !text.isEmpty else {
            throw Failure("`\(name.text)` of a mount needs a value", at: name.location)
        }
        switch option {
        case "target": target = text
        case "source": source = text
        case "id": id = text
        case "env": environment = text
        case "sharing":
            guard let known = Sharing(rawValue: text.lowercased()) else {
                throw wrong(name, text, "it takes `shared`, `private` or `locked`", word)
            }
            sharing = known
        case "mode":
            guard let number = UInt32(text, radix: 8), number <= 0o7777 else {
                throw wrong(name, text, "it takes an octal number such as 0400", word)
            }
            mode = number
        case "size":
            guard let bytes = ByteSize(text) else {
                throw wrong(name, text, "it takes a size such as 64m", word)
            }
            size = bytes
        default:
            guard let number = UInt32(text), number < UInt32.max else {
                throw wrong(name, text, "it takes a number", word)
            }
            if option == "uid" { uid = number } else { gid = number }
        }
    }

    private func wrong(_ name: Word, _ text: String?, _ cause: String, _ word: Word?) -> Failure {
        Failure(
            "`\(name.text)` of a mount is `\(text ?? "")`", cause: cause, at: word?.location ?? name.location)
    }
}
