// SPDX-License-Identifier: Apache-2.0
//
// Values of a service that are given on the command line instead of in a file: the short forms of `ports` and
// `volumes`, files of variables, a command as one text. The readers are those of the files.

public import Basics
public import ComposeModel
internal import YAMLTree

/// Reads `-p`'s short form of a port; a range gives several.
/// - Throws: what is wrong with it.
public func readPorts(_ text: String) throws(Failure) -> [Service.Port] {
    try reading("port", [text]) { $0.ports() }
}

/// Reads `-v`'s short form of a mount; relative paths start at `directory`, `~` at `home`.
/// - Throws: what is wrong with it.
public func readMounts(_ text: String, directory: String, home: String?) throws(Failure) -> [Service.Mount] {
    try reading("volume", [text]) { field in
        field.mounts(
            Surroundings(
                projectName: "", home: home,
                origins: Origins(Origin(directory: directory, variables: [:])),
                resolvesPaths: true, normalizes: true, log: field.log))
    }
}

/// Reads a file of variables as `env_file` does; a name alone takes its value from `environment`.
/// - Throws: the first mistake, with its place.
public func readVariables(_ bytes: [UInt8], name: String, environment: [String: String]) throws(Failure)
    -> [String: String]
{
    try EnvironmentFile.read(bytes, name: name) { environment[$0] }
}

/// Splits a text into words as a shell does, expanding nothing.
/// - Throws: when a quote is never closed.
public func readWords(_ text: String) throws(Failure) -> [String] {
    guard let words = shellWords(text) else {
        throw Failure("cannot understand \"\(text)\"", cause: "it opens a quote and never closes it")
    }
    return words
}

private func reading<Value>(_ title: String, _ texts: [String], _ read: (Field) -> [Value]) throws(Failure)
    -> [Value]
{
    let log = Diagnostics()
    let place = Place(file: SourceFile(name: "the command line", bytes: []), line: 1, column: 1)
    let items = texts.map { Node(.scalar($0, .quoted), at: place) }
    let values = read(Field(node: Node(.sequence(items), at: place), path: Path(title), log: log))
    if let failure = log.errors.first ?? log.held(stopping: true, services: []).first {
        // It has no place in a file.
        throw Failure(
            "cannot understand the \(title) \"\(texts.joined(separator: " "))\"",
            cause: failure.doing.replacingPath, advice: failure.advice)
    }
    return values
}

extension String {
    /// `` `port[0]` is … `` without the path, which the user did not write.
    fileprivate var replacingPath: String {
        guard hasPrefix("`"), let end = dropFirst().firstIndex(of: "`") else { return self }
        return "it" + self[index(after: end)...]
    }
}
