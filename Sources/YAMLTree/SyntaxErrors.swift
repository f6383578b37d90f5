// SPDX-License-Identifier: Apache-2.0
//
// What libyaml says about broken text, in words that help. Only the frequent mistakes have advice of their own;
// the rest keep libyaml's sentence, which is short and exact.

internal import Basics
internal import CYAML

/// The failure a parser stopped with.
func syntaxFailure(_ parser: yaml_parser_t, in file: SourceFile, bomLength: Int) -> Failure {
    let problem = parser.problem.map { String(cString: $0) } ?? "unknown problem"
    if parser.error == YAML_READER_ERROR {
        let place = file.place(offset: Int(parser.problem_offset) + bomLength)
        if problem == "control characters are not allowed" {
            return Failure(
                "the control character U+\(fourDigits(Int(parser.problem_value))) is not allowed in YAML",
                at: place.location)
        }
        return Failure("invalid YAML: \(problem)", at: place.location)
    }
    if parser.error == YAML_MEMORY_ERROR { return Failure("out of memory reading \(file.name)") }

    let place = Place(
        file: file, line: Int(parser.problem_mark.line) + 1, column: Int(parser.problem_mark.column) + 1)
    let line = file.text(ofLine: place.line) ?? ""
    let character = line.unicodeScalars.dropFirst(place.column - 1).first
    let indentation = line.prefix { $0 == " " || $0 == "\t" }
    if problem == "found character that cannot start any token" && character == "\t"
        || indentation.contains("\t")
    {
        let column = indentation.firstIndex(of: "\t").map { line.distance(from: line.startIndex, to: $0) + 1 }
        return Failure(
            "a tab is used for indentation", advice: "YAML indents with spaces only",
            at: Place(file: file, line: place.line, column: column ?? place.column).location)
    }
    var doing = "invalid YAML: \(problem)"
    var advice: String?
    switch problem {
    case "found character that cannot start any token":
        doing = "a value cannot begin with `\(character.map(String.init) ?? "")`"
        advice = "put the value in quotes"
    case "mapping values are not allowed in this context":
        doing = "a `key: value` is not possible here"
        advice = "check the indentation of this line and the one above, or quote a text that has `: ` in it"
    case "did not find expected key", "did not find expected '-' indicator":
        advice = "check the indentation: the lines of one block begin in the same column"
    case "could not find expected ':'":
        advice = "a key needs a colon and a space after it; a text over several lines needs quotes or `|`"
    case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
        advice = "a bracket or brace is opened and never closed, or a comma is missing"
    default: break
    }
    if problem == "found unexpected end of stream", parser.context != nil {
        // The end of the file says little; the quote that was opened says where to look.
        let mark = parser.context_mark
        return Failure(
            "a quote is opened here and never closed",
            at: Place(file: file, line: Int(mark.line) + 1, column: Int(mark.column) + 1).location)
    }
    var cause: String?
    let context = parser.context.map { String(cString: $0) }
    if let context, context != "while scanning for the next token" {
        cause = context
        if parser.context_mark.line != parser.problem_mark.line {
            cause = "\(context) that begins at line \(parser.context_mark.line + 1)"
        }
    }
    return Failure(doing, cause: cause, advice: advice, at: place.location)
}

private func fourDigits(_ value: Int) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - text.count)) + text
}
