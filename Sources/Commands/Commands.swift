// SPDX-License-Identifier: Apache-2.0
//
// Commands: the command line's face: flags, help, progress, tables, and the client's half of every command.
// It decides nothing about containers: it loads the project, asks the controller, and shows what it hears.

internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

/// The exit code of a process ended by Ctrl-C, as shells count it: 128 + SIGINT.
let interruptedCode: Int32 = 130

/// Said of commands that can't tell what they would do.
private func withoutDryRun(_ command: CommandDefinition) -> Failure {
    let able = commandTable.filter { $0.dryRun == .told }.map(\.name)
    return Failure(
        "cannot say beforehand what `covey \(command.name)` would do",
        cause: "--dry-run is for what changes by a plan: \(able.joined(separator: ", "))",
        advice: "leave --dry-run out")
}

/// Runs what the command line asks for; returns the process's exit code.
///
/// In a process born as a project's controller it is that controller, to its end.
public func runCommandLine() -> Int32 {
    if let code = runController() { return code }
    do throws(Failure) {
        if let path = environmentValue("COVEY_FAULT") { linux_fault_arm("client", path) }
        let arguments = Array(CommandLine.arguments.dropFirst())
        // A runtime is called for each step of a container: it reads of its environment what it asks for.
        if let words = ociWords(arguments) { return runOCI(words, try Invocation.current(arguments, [:])) }
        let code = try run(Invocation.current(arguments, processEnvironment()))
        try checkOutput()
        return code
    } catch {
        Output(fd: 2, colours: false, isTerminal: false).line(error.description)
        return 1
    }
}

func run(_ invocation: Invocation) throws(Failure) -> Int32 {
    let plain = Output(fd: invocation.output, colours: false, isTerminal: false)
    do throws(Failure) {
        switch try parse(invocation.arguments, commands: commandTable, globals: globalFlags) {
        case .help(nil): plain.write(helpText(commands: commandTable, globals: globalFlags))
        case .help(let command?): plain.write(helpText(command))
        case .groupHelp(let group): plain.write(helpText(group: group, commands: commandTable))
        case .version: plain.line("covey \(coveyVersion)")
        case .run(let command, let arguments):
            if arguments.has(.dryRun), command.dryRun == .refused { throw withoutDryRun(command) }
            if command.name == "oci" { return runOCI(arguments.operands, invocation) }
            if let limit = arguments.last(.parallel) {
                _ = try parallelLimit(["COMPOSE_PARALLEL_LIMIT": limit])
            }
            try AnsiChoice.check(arguments, invocation)
            if command.needsRoot { try requireRoot(command.name) }
            return try command.run(Session(invocation, command, arguments))
        }
        return 0
    } catch {
        Output(fd: invocation.errors, colours: false, isTerminal: false).line(error.description)
        return 1
    }
}
