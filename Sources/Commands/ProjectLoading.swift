// SPDX-License-Identifier: Apache-2.0
//
// ProjectLoading: the command line's wishes handed to the Compose loader, and the files it asks for read.

internal import Basics
internal import ComposeLoader
internal import Kernel

/// Loads the project a session is about.
func loadProject(_ session: Session) throws(Failure) -> LoadedProject {
    try loadProject(loadOptions(session), reading: fileAccess(input: session.invocation.input))
}

/// Merges the files of the project a session is about, and puts nothing in.
func loadPlainModel(_ session: Session) throws(Failure) -> PlainModel {
    try loadPlainModel(loadOptions(session), reading: fileAccess(input: session.invocation.input))
}

private func loadOptions(_ session: Session) -> LoadOptions {
    let (invocation, arguments) = (session.invocation, session.arguments)
    var options = LoadOptions(workingDirectory: invocation.directory, environment: invocation.environment)
    options.files = arguments.all(.file)
    options.projectName = arguments.last(.project)
    options.projectDirectory = arguments.last(.projectDirectory).map(invocation.absolute)
    options.envFiles = arguments.all(.envFile)
    options.profiles = arguments.all(.profile)
    if session.command.namesServices { options.services = arguments.operands }
    // Who is asked for by name needs no profile.
    if session.command.name == "run" { options.services = Array(arguments.operands.prefix(1)) }
    options.normalizes = !arguments.has(.noNormalize)
    options.resolvesPaths = !arguments.has(.noPathResolution)
    options.checksConsistency = !arguments.has(.noConsistency)
    options.resolvesEnvironment = !arguments.has(.noEnvResolution)
    options.keepsUnused = arguments.has(.allResources)
    // COMPOSE_COMPATIBILITY is Docker Compose's variable for the same.
    let isSet = ["1", "true"].contains(invocation.variable("COMPOSE_COMPATIBILITY")?.lowercased())
    if arguments.has(.compatibility) || isSet && !arguments.isOff(.compatibility) {
        options.nameSeparator = "_"
    }
    return options
}

private func fileAccess(input: Int32) -> FileAccess {
    FileAccess(
        read: { (path: String) throws(Failure) -> [UInt8]? in
            do throws(SyscallError) {
                return try readFile(path == "-" ? "/proc/self/fd/\(input)" : path)
            } catch {
                if error.errno == .noEntry || error.errno == .notDirectory { return nil }
                throw Failure("cannot read \(path)", error)
            }
        },
        exists: { path in (try? fileStatus(path, follow: true)) != nil },
        isDirectory: { path in (try? fileStatus(path, follow: true))?.isDirectory ?? false })
}

/// A failure that stops nothing: `compose.yaml:3:1: warning: …`
func warningText(_ failure: Failure) -> String {
    var text = failure.location.map { "\($0): " } ?? ""
    text += "warning: \(failure.doing)"
    if let cause = failure.cause { text += "\n  cause: \(cause)" }
    if let advice = failure.advice { text += "\n  try:   \(advice)" }
    return text
}
